#!/bin/sh
# compile_module.sh FATBIN LOG NVCC ARGUMENT...
# Compiles one kernel module, writes its dependencies to FATBIN.d, keeps what nvcc and ptxas say in LOG, and fails where ptxas has
# serialized wgmma or ignored setmaxnreg (C75xx): it only prints an info line then, but the kernel loses a tenth of its speed.
#
# With CKL_MODULE_CACHE=DIR (or where ~/.cache/cutekernellib exists) modules are kept by the hash of their preprocessed source,
# the flags and the compiler, so that several build folders and branches share them; those with -lineinfo are not, since their
# line numbers are not in the hash. Delete the folder at any time.
fatbin=$1
log=$2
shift 2

cache=${CKL_MODULE_CACHE:-$HOME/.cache/cutekernellib}
kept=
case " $* " in *" -lineinfo "*) cache= ;; esac
if [ -d "$cache" ] && "$@" -E -o "$fatbin.ii" 2>/dev/null && [ -s "$fatbin.ii" ]; then
  preprocessed=$(grep -v '^# [0-9]' "$fatbin.ii" | sha256sum)
  # The flags without the paths of this build folder and of the headers, whose text is in the preprocessed source.
  flags=$(printf '%s\n' "$@" | grep -v '/' | sha256sum)
  compiler=$("$1" --version | sha256sum)
  kept=$cache/$(printf '%s %s %s' "$preprocessed" "$flags" "$compiler" | sha256sum | cut -c1-40)
fi
rm -f "$fatbin.ii"
if [ -n "$kept" ] && [ -f "$kept.fatbin" ] && [ -f "$kept.log" ]; then
  "$@" -M -MF "$fatbin.d" -MT "$fatbin" && cp "$kept.log" "$log" && cp "$kept.fatbin" "$fatbin"
  exit $?
fi

"$@" -MD -MF "$fatbin.d" -MT "$fatbin" -fatbin -o "$fatbin" >"$log" 2>&1
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
if [ -n "$kept" ]; then
  cp "$log" "$kept.log.$$" && mv "$kept.log.$$" "$kept.log"
  cp "$fatbin" "$kept.fatbin.$$" && mv "$kept.fatbin.$$" "$kept.fatbin"
fi
exit 0
