"""Suites in, and a document of `ckl bench --json`'s schema out: see docs/benchmarking.md. Knows nothing of PyTorch."""
import dataclasses
import itertools
import json
import math
import pathlib

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Problem:
    op: str
    sizes: "tuple[int, ...]"
    dtype: str
    dtype_out: str
    layout: str
    axis: "str | None" = None

    def place(self):
        """As the command writes it."""
        fields = {"sizes": list(self.sizes)}
        if self.axis is not None:
            fields["axis"] = int(self.axis) if self.axis.lstrip("-").isdigit() else self.axis
        return fields

    def __str__(self):
        types = self.dtype + (f">{self.dtype_out}" if self.dtype_out != self.dtype else "")
        return " ".join(filter(None, [self.op, "x".join(map(str, self.sizes)), self.axis and f"axis {self.axis}", types, self.layout]))


# What a suite's row leaves out.
DEFAULTS = {"softmax": {"axis": "1", "layout": "plain"}, "softmax_backward": {"axis": "1", "layout": "plain"}, "norm": {"layout": "layer"},
            "norm_backward": {"layout": "layer"}, "cross_entropy": {"layout": "plain"}, "cross_entropy_backward": {"layout": "plain"},
            "reduce": {"axis": "all", "layout": "sum"}}


def problems(suite):
    """All combinations that a suite (its YAML, loaded) names, in its order."""
    for entry in suite["rows"]:
        choices = {key: [str(value) for value in (values if isinstance(values, list) else [values])] for key, values in entry.items()}
        for values in itertools.product(*choices.values()):
            row = dict(zip(choices, values))
            row = {"layout": "contiguous", **DEFAULTS.get(row["op"], {}), **row}
            sizes = tuple(int(size) for size in row["problem"].split("x"))
            yield Problem(row["op"], sizes, row["dtype"], row.get("dtype-out", row["dtype"]), row["layout"], row.get("axis"))


def quantile(values, share):
    """Linear between neighbours, as bench/timer/statistics.hpp has it."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def spread(values):
    return {"median": quantile(values, 0.5), "p10": quantile(values, 0.1), "p90": quantile(values, 0.9)}


def rounds(samples):
    """The mean of the two samples of each round: A B B A cancels a drift only when both halves are joined."""
    return [(first + second) / 2 for first, second in zip(samples[::2], samples[1::2])]


@dataclasses.dataclass
class Measured:
    """What is known of one implementation of a problem."""
    impl: str
    config: str
    error: "float | None" = None   # in units of what it may be
    samples: "list[float]" = dataclasses.field(default_factory=list)  # microseconds a call; two a round
    host_us: "float | None" = None
    note: str = ""

    @property
    def verified(self):
        return self.error is not None and self.error <= 1


def rows_of(problem, suite, moved_bytes, all_measured):
    """The rows of one problem: ours with the ratios to the others, whose samples of the same round stand side by side."""
    ours = next(one for one in all_measured if one.impl == "ckl")
    for one in all_measured:
        row = {"op": problem.op, "suite": suite, "problem": problem.place(), "dtype": problem.dtype, "dtype_out": problem.dtype_out,
               "layout": problem.layout, "regime": "cold", "impl": one.impl, "config": one.config, "verified": one.verified}
        if one.error is not None:
            row.update(error=one.error, error_bound=1.0)
        if one.samples:
            row.update(time_us=spread(one.samples), host_us=one.host_us, gbps=moved_bytes / quantile(one.samples, 0.5) / 1e3)
        others = [other for other in all_measured if other is not ours and other.samples]
        if one is ours and one.samples and others:
            row["ratio"] = {other.impl: spread([theirs / mine for theirs, mine in zip(rounds(other.samples), rounds(ours.samples))])
                            for other in others}
        if one.note:
            row["note"] = one.note
        yield row


def write(path, environment, rows):
    """In one step, so that an interruption leaves the rows of before."""
    unfinished = pathlib.Path(f"{path}.unfinished")
    unfinished.write_text(json.dumps({"schema": SCHEMA, "environment": environment, "rows": rows}, indent=1) + "\n")
    unfinished.replace(path)
