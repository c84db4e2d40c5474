"""That every argument of every operator's function arrives: each result is computed once more by the formula of its documentation.

The operators themselves are tested in tests/device. Needs a Hopper GPU, or the emulator in the place of the CUDA runtime.
"""
import math
import unittest

import ckl

from arrays import FastArray
from device_main import main


def some(*shape, dtype="f32", seed=1):
    """Numbers from -2 to 2 that f16 and bf16 hold exactly."""
    return FastArray([((seed * 7 + i * 11) % 33 - 16) / 8 for i in range(math.prod(shape))], shape, dtype)


def empty(*shape, dtype="f32"):
    return FastArray.full(shape, -77, dtype)


def rows(x):
    """The rows of a tensor, as lists."""
    values, n = x.values(), x.shape[-1]
    return [values[i:i + n] for i in range(0, len(values), n)]


class Operators(unittest.TestCase):
    def close(self, array, expected, shape=None, tolerance=1e-5):
        expected = [value for row in expected for value in row] if expected and isinstance(expected[0], list) else expected
        if shape is not None:
            self.assertEqual(array.shape, shape)
        values = array.values()
        self.assertEqual(len(values), len(expected))
        for i, (value, wanted) in enumerate(zip(values, expected)):
            self.assertLessEqual(abs(value - wanted), tolerance * max(1, abs(wanted)), f"element {i} is {value}, but {wanted} is right")


class Elementwise(Operators):
    def test_named(self):
        x, y, z = some(3, 5), some(3, 5, seed=2), some(3, 5, seed=3)
        values = list(zip(x.values(), y.values(), z.values()))
        silu = lambda v: v / (1 + math.exp(-v))
        for out, formula in (
            (ckl.sub(x, y), lambda p, q, r: p - q),
            (ckl.mul(x, y), lambda p, q, r: p * q),
            (ckl.div(x, ckl.elementwise("exp", y)), lambda p, q, r: p / math.exp(q)),
            (ckl.swiglu(x, y), lambda p, q, r: silu(p) * q),
            (ckl.fma(x, y, z), lambda p, q, r: p * q + r),
            (ckl.where(ckl.elementwise("max", x, y), y, z), lambda p, q, r: q if max(p, q) else r),
            (ckl.scale(x, 2.5), lambda p, q, r: 2.5 * p),
            (ckl.copy(x), lambda p, q, r: p),
            (ckl.elementwise("clamp", x, scalars=[-1, 0.5]), lambda p, q, r: min(max(p, -1), 0.5)),
        ):
            self.close(out, [formula(*v) for v in values], [3, 5])

    def test_where_goes_by_its_values(self):
        out = ckl.where(FastArray([True, False], dtype="b8"), FastArray([1, 2]), FastArray([3, 4]))
        self.assertEqual((out.values(), out.dtype), ([1, 4], "f32"))

    def test_cast(self):
        x = FastArray([1.75, -2.25])
        self.assertEqual(ckl.cast(x, dtype="i32").values(), [1, -2])
        self.assertEqual(ckl.cast(x, FastArray.full([2], dtype="bf16")).values(), [1.75, -2.25])

    def test_permute(self):
        out = ckl.permute(FastArray(range(24), [2, 3, 4], "i32"), [2, 0, 1])
        self.assertEqual((out.shape, out.values()), ([4, 2, 3], [12 * i + 4 * j + k for k in range(4) for i in range(2) for j in range(3)]))
        with self.assertRaisesRegex(ckl.Error, "order"):
            ckl.permute(out, [0, 0, 7])

    def test_two_outputs(self):
        x = [some(6, seed=s) for s in range(4)]
        p, q, c, s = (array.values() for array in x)
        y0, y1 = ckl.elementwise("rotate", *x)
        self.close(y0, [p[i] * c[i] - q[i] * s[i] for i in range(6)])
        self.close(y1, [p[i] * s[i] + q[i] * c[i] for i in range(6)])
        outs = empty(6), empty(6)
        self.assertEqual(ckl.elementwise("rotate", *x, out=outs), outs)
        self.close(outs[1], y1.values())
        with self.assertRaisesRegex(TypeError, "out must be None or a tuple of 2 tensors for rotate"):
            ckl.elementwise("rotate", *x, out=outs[0])

    def test_fill(self):
        out = empty(3)
        self.assertIs(ckl.elementwise("fill", out=out, scalars=[2.5]), out)
        self.assertEqual(out.values(), [2.5] * 3)
        with self.assertRaisesRegex(TypeError, r"out\[0\] must be given where there is no input"):
            ckl.elementwise("fill", scalars=[1])

    def test_errors(self):
        x = some(3)
        for message, call in {
            'op must be one of cast, .*rotate, but is "cosh"': lambda: ckl.elementwise("cosh", x),
            "add must have 2 inputs, but has 1": lambda: ckl.elementwise("add", x),
            "scalars": lambda: ckl.elementwise("clamp", x),
            r"in\[0\].sizes\[0\] must be 1 or out\[0\].sizes\[0\], 2, but is 3": lambda: ckl.add(x, some(2)),
        }.items():
            with self.assertRaisesRegex(ckl.Error, message):
                call()


class Reduce(Operators):
    def test_ops(self):
        x = some(7)
        v = x.values()
        mean = sum(v) / 7
        variance = sum((e - mean) ** 2 for e in v) / 7
        for op, expected, dtype in (
            ("sum", sum(v), "f32"), ("product", math.prod(v), "f32"), ("mean", mean, "f32"), ("min", min(v), "f32"), ("max", max(v), "f32"),
            ("argmin", v.index(min(v)), "i64"), ("argmax", v.index(max(v)), "i64"), ("any", any(v), "b8"), ("all", all(v), "b8"),
            ("l1", sum(map(abs, v)), "f32"), ("l2", math.sqrt(sum(e * e for e in v)), "f32"),
            ("log_sum_exp", math.log(sum(map(math.exp, v))), "f32"), ("variance", variance, "f32"), ("deviation", math.sqrt(variance), "f32"),
        ):
            with self.subTest(op):
                out = ckl.reduce(op, x)
                self.assertEqual(out.dtype, dtype)
                self.close(out, [expected], [])
        self.close(ckl.reduce("variance", x, correction=1), [variance * 7 / 6])
        self.assertEqual(ckl.reduce("sum", x, dtype="f64").dtype, "f64")
        self.close(ckl.reduce("sum", x, batch_invariant=True), [sum(v)])

    def test_axes(self):
        x = FastArray(range(24), [2, 3, 4], "i32")
        self.assertEqual(ckl.reduce("sum", x, 1).values(), [12 + 36 * i + 3 * k for i in range(2) for k in range(4)])
        out = ckl.reduce("sum", x, (0, -1), keep_dims=True)
        self.assertEqual((out.shape, out.values()), ([1, 3, 1], [60 + 32 * j for j in range(3)]))
        self.assertEqual(ckl.reduce("max", x, [0, 1, 2], keep_dims=True).shape, [1, 1, 1])
        out = empty(2, 4, dtype="i64")
        self.assertIs(ckl.reduce("sum", x, 1, out), out)
        for axes, message in (((), "axes must be None for all or name one or more, but is empty"), (3, "axes"), ((1, 1), "axes")):
            with self.assertRaisesRegex(ckl.Error, message):
                ckl.reduce("sum", x, axes)


class Softmax(Operators):
    def softmax(self, row, log=False):
        top = max(row)
        total = sum(math.exp(v - top) for v in row)
        return [v - top - math.log(total) if log else math.exp(v - top) / total for v in row]

    def test_forward(self):
        x, mask = some(4, 9), some(1, 9, seed=5)
        m = mask.values()
        self.close(ckl.softmax(x), [self.softmax(row) for row in rows(x)], [4, 9])
        self.close(ckl.softmax(x, scale=0.5, log=True, mask=mask),
                   [self.softmax([0.5 * v + w for v, w in zip(row, m)], log=True) for row in rows(x)])
        causal = ckl.softmax(x, causal=True, diagonal=2)
        self.close(causal, [self.softmax(row[:i + 3]) + [0] * (6 - i) for i, row in enumerate(rows(x))])
        self.close(ckl.softmax(x.transposed(), 0, x.transposed()).transposed(), [self.softmax(row) for row in rows(some(4, 9))])

    def test_backward(self):
        dy = some(3, 8, seed=4)
        y = ckl.softmax(some(3, 8))
        dots = [sum(map(float.__mul__, p, q)) for p, q in zip(rows(y), rows(dy))]
        self.close(ckl.softmax_backward(y, dy, scale=2),
                   [[2 * p * (q - dot) for p, q in zip(*pair)] for *pair, dot in zip(rows(y), rows(dy), dots)], [3, 8])
        self.close(ckl.softmax_backward(y.transposed(), dy.transposed(), 0, dy.transposed()).transposed(),
                   [[p * (q - dot) for p, q in zip(*pair)] for *pair, dot in zip(rows(y), rows(some(3, 8, seed=4)), dots)])
        dy = some(3, 8, seed=4)
        z = ckl.softmax(some(3, 8), log=True)
        out = empty(3, 8)
        self.assertIs(ckl.softmax_backward(z, dy, 1, out, log=True), out)
        self.close(out, [[q - math.exp(p) * sum(d) for p, q in zip(r, d)] for r, d in zip(rows(z), rows(dy))])

    def test_errors(self):
        x = some(2, 3)
        with self.assertRaisesRegex(ckl.Error, "axis"):
            ckl.softmax(x, 2)
        with self.assertRaisesRegex(ckl.Error, "y"):
            ckl.softmax(x, out=empty(3, 2))


class Norm(Operators):
    def statistics(self, x, layer, epsilon=1e-5):
        """The mean and rstd of each row."""
        for row in rows(x):
            mean = sum(row) / len(row) if layer else 0
            yield mean, 1 / math.sqrt(sum((v - mean) ** 2 for v in row) / len(row) + epsilon)

    def test_forward(self):
        x, residual, weight, bias = some(3, 16), some(3, 16, seed=2), some(16, seed=3), some(16, seed=4)
        total, mean, rstd = empty(3, 16), empty(3), empty(3)
        y = ckl.norm("layernorm", x, weight, bias, epsilon=0.25, residual=residual, sum=total, mean=mean, rstd=rstd)
        self.close(total, list(map(float.__add__, x.values(), residual.values())))
        statistics = list(self.statistics(total, True, 0.25))
        self.close(mean, [m for m, _ in statistics], [3])
        self.close(rstd, [r for _, r in statistics])
        w, b = weight.values(), bias.values()
        self.close(y, [[(v - m) * r * w[j] + b[j] for j, v in enumerate(row)] for row, (m, r) in zip(rows(total), statistics)], [3, 16])
        out = empty(3, 16)
        self.assertIs(ckl.norm("rmsnorm", x, out=out), out)
        self.close(out, [[v * r for v in row] for row, (_, r) in zip(rows(x), self.statistics(x, False))])

    def test_quantized(self):
        x, weight = some(3, 16), some(16, seed=3)
        exact = list(map(list, rows(ckl.norm("rmsnorm", x, weight))))
        for dtype, largest, ulp in ("e4m3", 448, 1 / 8), ("e5m2", 57344, 1 / 4):
            scale = empty(3)
            y = ckl.norm("rmsnorm", x, weight, scale=scale, dtype=dtype)
            self.assertEqual((y.dtype, y.shape), (dtype, [3, 16]))
            self.close(scale, [max(map(abs, row)) / largest for row in exact], [3])
            for row, expected, s in zip(rows(y), exact, scale.values()):
                for v, e in zip(row, expected):
                    self.assertLessEqual(abs(v * s - e), abs(e) * ulp / 2 + s / 256)
            out = type(x).full([3, 16], dtype=dtype)
            self.assertIs(ckl.norm("rmsnorm", x, weight, out=out, scale=scale), out)
            self.assertEqual(out.values(), y.values())

    def test_backward(self):
        x, dy, weight = some(3, 16), some(3, 16, seed=5), some(16, seed=3)
        for kind in ("layernorm", "rmsnorm"):
            layer, w = kind == "layernorm", weight.values()
            statistics = list(self.statistics(x, layer))
            rstd = FastArray([r for _, r in statistics])
            mean = FastArray([m for m, _ in statistics]) if layer else None
            dweight, dbias = empty(16), empty(16)
            dx = ckl.norm_backward(kind, x, dy, rstd, weight, mean=mean, dweight=dweight, dbias=dbias)
            expected, dw = [], [0] * 16
            for row, d, (m, r) in zip(rows(x), rows(dy), statistics):
                hat, g = [(v - m) * r for v in row], [p * q for p, q in zip(d, w)]
                mean_g, mean_gh = sum(g) / 16 if layer else 0, sum(map(float.__mul__, g, hat)) / 16
                expected.append([r * (p - mean_g - h * mean_gh) for p, h in zip(g, hat)])
                dw = [total + p * h for total, p, h in zip(dw, d, hat)]
            self.close(dx, expected, [3, 16])
            self.close(dweight, dw)
            self.close(dbias, [sum(column) for column in zip(*rows(dy))])

    def test_errors(self):
        x = some(2, 8)
        for message, call in {
            'kind must be one of layernorm, rmsnorm, but is "batch"': lambda: ckl.norm("batch", x),
            "weight": lambda: ckl.norm("rmsnorm", x, some(7)),
            "mean": lambda: ckl.norm_backward("layernorm", x, x, some(2)),
            "scale must be there where y.dtype is e4m3, but is absent": lambda: ckl.norm("rmsnorm", x, dtype="e4m3"),
            "scale must be absent": lambda: ckl.norm("rmsnorm", x, scale=empty(2)),
        }.items():
            with self.assertRaisesRegex(ckl.Error, message):
                call()


class CrossEntropy(Operators):
    def test_both_ways(self):
        logits, targets = some(5, 12), FastArray([3, 0, 7, 11, 5], dtype="i64")
        n, s = 12, 0.25
        lse, loss = empty(5), empty(5)
        self.assertIs(ckl.cross_entropy(logits, targets, loss, lse=lse, ignore_index=7, label_smoothing=s), loss)
        expected_lse = [math.log(sum(map(math.exp, row))) for row in rows(logits)]
        self.close(lse, expected_lse)
        self.close(loss, [0 if t == 7 else total - (1 - s) * row[t] - s * sum(row) / n
                          for row, t, total in zip(rows(logits), targets.values(), expected_lse)])
        dloss = some(5, seed=2)
        dlogits = ckl.cross_entropy_backward(logits, targets, lse, dloss, ignore_index=7, label_smoothing=s)
        self.close(dlogits, [[0 if t == 7 else d * (math.exp(v - total) - s / n - (1 - s) * (j == t)) for j, v in enumerate(row)]
                             for row, t, total, d in zip(rows(logits), targets.values(), expected_lse, dloss.values())], [5, 12])
        self.assertEqual(ckl.cross_entropy(some(2, 3, 4, dtype="bf16"), FastArray.full([2, 3], 1, "i32")).shape, [2, 3])
        self.assertIs(ckl.cross_entropy_backward(logits, targets, lse, dloss, logits), logits)

    def test_errors(self):
        with self.assertRaisesRegex(ckl.Error, "targets"):
            ckl.cross_entropy(some(5, 12), FastArray([1, 2], dtype="i64"))
        with self.assertRaisesRegex(ckl.Error, "logits"):
            ckl.cross_entropy(some(), FastArray([1], [], dtype="i64"))


if __name__ == "__main__":
    main()
