#!/usr/bin/env python3
"""Times PyTorch and Triton kernels beside the library, on the same problems, in one process, through the Python module.

  PYTHONPATH=BUILD/python bench/peers/compare.py --json FILE [--suite FILE] [--only TEXT] [--effort quick|full]

Who takes part: `ckl`; `pytorch`, run eagerly; `torch_compile`, the same expression as Inductor's Triton kernel; `liger`, Triton kernels
written by hand, where liger-kernel is installed. Each is verified against the expression in double precision before it is timed. The JSON
is of the schema of `ckl bench --json`: `ckl report FILE` shows it. Needs PyTorch and a Hopper GPU.
"""
import argparse
import datetime
import os
import pathlib
import subprocess
import sys
import time

import yaml

import document

HERE = pathlib.Path(__file__).resolve().parent


def environment(commit):
    import torch
    import triton
    import ckl
    import operators

    def query(*fields):
        answer = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"], capture_output=True, text=True)
        return (answer.stdout.splitlines() or [""])[0].split(", ")

    driver, sm, memory, sm_max, watts, limit, celsius = (query("driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw",
                                                               "power.limit", "temperature.gpu") + [""] * 7)[:7]
    number = lambda text: float(text) if text.replace(".", "", 1).isdigit() else None
    about = {"gpu": torch.cuda.get_device_name(0), "emulated": False, "driver": driver, "cuda": torch.version.cuda,
             "cudnn": str(torch.backends.cudnn.version()), "pytorch": torch.__version__, "triton": triton.__version__,
             "library": ckl.__version__, "commit": commit, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
             "clocks": {"sm_mhz": number(sm), "memory_mhz": number(memory), "sm_max_mhz": number(sm_max)},
             "power": {"watts": number(watts), "limit_watts": number(limit)}, "temperature": {"celsius": number(celsius)}}
    if operators.liger:
        import importlib.metadata
        about["liger"] = importlib.metadata.version("liger-kernel")
    return about


def commit_of_checkout():
    described = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def contestants(work):
    """(name, how, function of a set's operands and number) of those who take part."""
    import torch
    outputs = {}  # of the library, by set: what it made at first, it writes again

    def ours(operands, index):
        outputs[index] = work.ckl(*operands, out=outputs.get(index))
        return outputs[index]

    compiled = torch.compile(work.expression, dynamic=False, fullgraph=True)
    yield "ckl", "", ours
    eager = work.eager or work.expression
    yield "pytorch", "eager", lambda operands, index: eager(*operands)
    yield "torch_compile", "Inductor, default mode", lambda operands, index: compiled(*operands)
    if work.liger:
        yield "liger", "Triton", lambda operands, index: work.liger(*operands)


def judge(problem, effort, impls):
    """Everybody verified, then those who are right timed; and the bytes that must move."""
    import torch
    from operators import error, size_of, tensors, work_of
    from protocol import sets_for, time_interleaved

    torch.manual_seed(1)
    work = work_of(problem)
    operands = [work.make()]
    precise = [x.double() if x.is_floating_point() else x for x in operands[0]]
    exact, magnitude = work.expression(*precise), work.magnitude and work.magnitude(*precise)
    del precise
    measured, functions = [], []
    for name, how, function in contestants(work):
        if name != "ckl" and name not in impls:
            continue
        one = document.Measured(name, how)
        measured.append(one)
        try:
            results = function(operands[0], 0)
            one.error = error(results, exact, magnitude)
            if not one.verified:
                one.note = f"wrong: {one.error:.3g} times what the error may be"
        except Exception as failure:  # a peer that cannot is a note in its row
            if name == "ckl":
                raise
            one.note = f"{type(failure).__name__}: {str(failure).splitlines()[0] if str(failure) else ''}"[:160]
        if one.verified:
            functions.append((one, function))
        if name == "ckl":
            moved = work.moved(operands[0], results) if work.moved else sum(map(size_of, [*operands[0], *tensors(results)]))
    del exact, results

    operands += [work.make() for _ in range(sets_for(moved) - 1)]
    launches = [lambda index, function=function: function(operands[index], index) for _, function in functions]
    for launch in launches:  # the library makes its results
        for index in range(len(operands)):
            launch(index)
    torch.cuda.synchronize()
    for (one, _), times in zip(functions, time_interleaved(launches, len(operands), effort)):
        one.samples, one.host_us = times
    return moved, measured


def compile_share(problems, share, of):
    """Compiles every `of`-th problem's kernels into Inductor's and Triton's caches on disk."""
    import torch
    from operators import work_of
    for problem in problems[share::of]:
        try:
            work = work_of(problem)
            operands = work.make()
            torch.compile(work.expression, dynamic=False, fullgraph=True)(*operands)
            if work.liger:
                work.liger(*operands)
        except Exception as failure:  # the row itself will say so
            print(f"{problem}: {failure}", file=sys.stderr)
        torch.compiler.reset()
        torch.cuda.empty_cache()


def compile_ahead(jobs):
    """In as many processes: one after another in this one, compiling takes longer than all measurements."""
    command = [sys.executable, __file__, *sys.argv[1:], "--compile-share"]
    running = [subprocess.Popen([*command, f"{i}/{jobs}"], env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}) for i in range(jobs)]
    for process in running:
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True, help="where the document goes; written after each problem")
    parser.add_argument("--suite", type=pathlib.Path, default=HERE / "peers.yaml", help="problems; what is not compared is named and left out")
    parser.add_argument("--only", metavar="TEXT", default="", help="only problems whose line contains it, e.g. 'softmax 16384'")
    parser.add_argument("--impl", default="ckl,pytorch,torch_compile,liger", help="who takes part, besides ckl (default: %(default)s)")
    parser.add_argument("--effort", choices=["quick", "full"], default="full")
    parser.add_argument("--jobs", type=int, default=min(12, os.cpu_count()), help="processes that compile ahead (0: none)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no problem after this time")
    parser.add_argument("--commit", default=None, help="of the library, where this is no checkout")
    parser.add_argument("--compile-share", help=argparse.SUPPRESS)
    options = parser.parse_args()

    begin = time.monotonic()
    suite = yaml.safe_load(options.suite.read_text())
    problems = [problem for problem in document.problems(suite) if options.only in str(problem)]
    if not problems:
        sys.exit(f"compare: no problem of {options.suite} contains {options.only!r}")
    if options.compile_share:
        share, of = map(int, options.compile_share.split("/"))
        return compile_share(problems, share, of)

    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # what is compiled here is in the cache: no pool of workers
    import torch
    import ckl
    if not ckl.supported(0):
        sys.exit("compare: needs a Hopper GPU")
    if options.jobs and "torch_compile" in options.impl:
        compile_ahead(min(options.jobs, len(problems)))
        print(f"compiled in {time.monotonic() - begin:.0f} s", flush=True)

    rows, about = [], None
    for problem in problems:
        if time.monotonic() - begin > options.seconds:
            print(f"no time left for {problem} and what follows", flush=True)
            break
        try:
            moved, measured = judge(problem, options.effort, options.impl.split(","))
        except NotImplementedError as what:
            print(f"{problem}: is not compared: {what}", flush=True)
            continue
        rows += document.rows_of(problem, suite["name"], moved, measured)
        about = about or environment(options.commit or commit_of_checkout())  # now that the GPU is warm
        document.write(options.json, about, rows)
        print(f"{str(problem):44}", *(f"{one.impl} {document.quantile(one.samples, 0.5):.2f} us" if one.samples else f"{one.impl}: {one.note}"
                                      for one in measured), sep="  ", flush=True)
        torch.compiler.reset()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
