#!/bin/sh
# compile_module.sh FATBIN LOG NVCC ARGUMENT...
# Compiles one kernel module, keeps what nvcc and ptxas say in LOG, and fails where ptxas has serialized wgmma or ignored
# setmaxnreg (C75xx): it only prints an info line then, but the kernel loses a tenth of its speed.
fatbin=$1
log=$2
shift 2

"$@" -fatbin -o "$fatbin" >"$log" 2>&1
status=$?
if [ $status -ne 0 ]; then
  cat "$log" >&2
  rm -f "$fatbin"
  exit $status
fi
echo "CPU time, user and system, of this script and of the compiler:" >>"$log"
times >>"$log"
grep -i warning "$log" >&2
if grep 'C75[0-9][0-9]' "$log" >&2; then
  echo "error: ptxas serialized wgmma or ignored setmaxnreg in $(basename "$fatbin"); see the lines above" >&2
  rm -f "$fatbin"
  exit 1
fi
exit 0
