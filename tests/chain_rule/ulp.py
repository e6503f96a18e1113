"""How exact the lowerings are: each row's expression as machine code, beside mpmath.

``python -m tests.chain_rule.ulp [name ...]`` measures the largest error on a million points of each function
in float32 and float64, and the nanoseconds that an element takes. The suite does the same on fewer points.

float32 is compared with float64. float64 is compared with the processor's longer float, where there is one;
and where the error is largest with mpmath, whose word counts.
"""

from __future__ import annotations

import ctypes
import functools
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

from tinygrad_rnn.backends.atoms import Value
from tinygrad_rnn.backends.native import compiler
from tinygrad_rnn.backends.native.emit import Emitter, table_lines
from tinygrad_rnn.chain_rule import choices, rows

Arrays = Sequence[np.ndarray]
Params = tuple[Any, ...]

DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "i1": np.bool_}
FLOATS = ("f32", "f64")
ELEMENTWISE = {row.name: row for row in (*rows.values(), *choices.values()) if row.elementwise}

_COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
_LOGIC = ["logical_and", "logical_or", "logical_xor"]
_PAIRS = [
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "floor_divide",
    "mod",
    "fmod",
    "power",
    "arctan2",
    "hypot",
    "logaddexp",
]
OPERANDS = dict.fromkeys(ELEMENTWISE, 1) | dict.fromkeys([*_COMPARISONS, *_LOGIC, *_PAIRS], 2) | {"where": 3}

_POWERS = [0, 1, 2, 3, 4, -1, -2, -3, 0.5, -0.5, 1.5, -1.5, 2.5, 1 / 3, 11.3]
PARAMS: dict[str, list[Params]] = {
    "raise_to": [(power,) for power in _POWERS],
    "clip": [(-0.5, 0.5), (None, 1.0), (0.0, None), (1.0, -1.0)],
    "astype": [(np.dtype(dtype),) for dtype in ("float32", "float64", "int32", "int64", "bool")],
}
CASES = [(name, params) for name in ELEMENTWISE for params in PARAMS.get(name, [()])]
"""Every elementwise row with the parameters that it is tried with."""

INEXACT = [(name, params) for name, params in CASES if ELEMENTWISE[name].lowering.ulp > 1]
"""Those that are rounded more than once; floor_divide aside, whose rounding is that of an integer."""


def result_kind(name: str, params: Params, kind: str) -> str:
    """The kind of a row's result for floats of a kind."""
    if name == "astype":
        return next(k for k, dtype in DTYPES.items() if dtype == params[0])
    return "i1" if name.startswith("is") or name in (*_COMPARISONS, *_LOGIC, "logical_not") else kind


# -- machine code --------------------------------------------------------------------------------------------


def expression(name: str, params: Params) -> Callable[..., Value]:
    """expression(k, *operands) of a row."""
    lowering = ELEMENTWISE[name].lowering
    return lambda k, *xs: lowering(k, *xs, *params)


def llvm_loop(function: Callable[..., Value], kinds: Sequence[str], result: str, **traits: bool) -> str:
    """LLVM text of ``loop(x0, x1, …, y, n)``: y[j] = function(k, x0[j], x1[j], …), as the compiler writes
    loops.

    Args:
        traits: of the processor, instead of this one's: ``fused``, ``rounds``.
    """
    e = Emitter()
    vars(e).update(traits)
    types = ["i8" if kind == "i1" else e.TYPES[kind] for kind in (*kinds, result)]
    for i, each in enumerate(types[:-1]):
        e.line(f"%l{i} = load {each}, ptr %q{i}, !llvm.access.group !0")
    xs = [Value(e, e.let(f"icmp ne i8 %l{i}, 0") if k == "i1" else f"%l{i}", k) for i, k in enumerate(kinds)]
    y = e.as_kind(function(e, *xs), result).text
    if result == "i1":
        y = e.let(f"zext i1 {y} to i8")
    e.line(f"store {types[-1]} {y}, ptr %q{len(kinds)}, !llvm.access.group !0")
    pointers = ", ".join(f"ptr %p{i}" for i in range(len(types)))
    places = "\n  ".join(f"%q{i} = getelementptr {each}, ptr %p{i}, i64 %j" for i, each in enumerate(types))
    body = "\n  ".join(e.lines)
    return f"""
define void @loop({pointers}, i64 %n) "prefer-vector-width"="512" {{
entry:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %each, label %end
each:
  %j = phi i64 [ 0, %entry ], [ %j1, %each ]
  {places}
  {body}
  %j1 = add nuw nsw i64 %j, 1
  %more = icmp slt i64 %j1, %n
  br i1 %more, label %each, label %end, !llvm.loop !1
end:
  ret void
}}
{chr(10).join(table_lines(e.tables))}
!0 = distinct !{{}}
!1 = distinct !{{!1, !2, !3, !4}}
!2 = !{{!"llvm.loop.parallel_accesses", !0}}
!3 = !{{!"llvm.loop.vectorize.enable", i1 true}}
!4 = !{{!"llvm.loop.interleave.count", i32 1}}
"""


def prototype(operands: int) -> Any:
    """The type of a ``loop``."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (operands + 1), ctypes.c_int64)


def called(loop: Any, kinds: Sequence[str], result: str, operands: Sequence[Any]) -> np.ndarray:
    """What a compiled ``loop`` makes of operands."""
    arrays = [np.ascontiguousarray(x, DTYPES[kind]) for x, kind in zip(operands, kinds, strict=True)]
    y = np.empty(arrays[0].shape, DTYPES[result])
    loop(*(array.ctypes.data for array in (*arrays, y)), y.size)
    return y


@functools.cache
def loop_of(name: str, params: Params, kind: str, **traits: bool) -> Any:
    """A row as machine code."""
    kinds, result = [kind] * OPERANDS[name], result_kind(name, params, kind)
    text = llvm_loop(expression(name, params), kinds, result, **traits)
    return prototype(len(kinds))(compiler.compiled(text, ("loop",))["loop"])


def machine(name: str, params: Params, kind: str, operands: Sequence[Any], **traits: bool) -> np.ndarray:
    """A row of floats, run as machine code."""
    kinds, result = [kind] * OPERANDS[name], result_kind(name, params, kind)
    return called(loop_of(name, params, kind, **traits), kinds, result, operands)


# -- points --------------------------------------------------------------------------------------------------

SPECIAL = [
    *(s * x for x in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0, 1e30, 1e-30, np.inf) for s in (1, -1)),
    np.nan,
]
_THRESHOLDS = [9.01, 9.02, 18.7, 19.1, 88.72, 88.73, 89.41, 89.42, 103.9, 104.1, 709.78, 710.47, 745.1, 746.0]


def special(kind: str) -> np.ndarray:
    """Numbers where functions have ends, signs and kinks."""
    info = np.finfo(DTYPES[kind])
    edges = [info.max, info.smallest_normal, info.smallest_subnormal, 1 + info.eps, 1 - info.epsneg]
    sizes = np.array([*edges, *_THRESHOLDS, np.pi, np.pi / 2, 2.0**24, 2.0**53])
    return np.concatenate([SPECIAL, sizes, -sizes]).astype(DTYPES[kind])


def _spread(kind: str, part: int, random: np.random.Generator) -> np.ndarray:
    """Numbers over all binades, about 0 and 1, where functions bend and where they end, of both signs."""
    dtype, integer, top = (np.float32, np.uint32, 110.0) if kind == "f32" else (np.float64, np.uint64, 750.0)
    sizes = [
        np.abs(random.normal(size=part) * 3),
        np.exp(random.uniform(-25, 5, part)),
        1 + random.choice([-1, 1], part) * np.exp(random.uniform(-35, 0, part)),
        random.uniform(0, top, part),
        random.uniform(0, 2, part) * float(np.finfo(dtype).smallest_normal),
        2.0 ** random.uniform(15, 30, part),
        np.rint(random.normal(size=part) * 30) * np.pi / 2 * (1 + random.normal(size=part) * 1e-7),
    ]
    bits = random.integers(0, np.iinfo(integer).max, part, dtype=integer, endpoint=True)
    signed = np.concatenate(sizes) * random.choice([-1.0, 1.0], 7 * part)
    return np.concatenate([bits.view(dtype), signed.astype(dtype)])


def points(name: str, kind: str, count: int, seed: int = 0) -> list[np.ndarray]:
    """Operands for a row, about as many as are asked for."""
    random, part, dtype = np.random.default_rng(seed), count // 8 + 1, DTYPES[kind]
    with np.errstate(all="ignore"):
        if name == "power":  # results that are numbers, and whatever comes
            base = np.exp(random.normal(size=4 * part) * random.choice([1e-4, 0.1, 10.0], 4 * part))
            largest = {"f32": 110.0, "f64": 750.0}[kind] / np.log(base)
            pairs = [base, largest * random.uniform(-1, 1, 4 * part)]
            others = [_spread(kind, part // 2 + 1, random) for _ in pairs]
            return [np.concatenate(both).astype(dtype) for both in zip(pairs, others, strict=True)]
        if OPERANDS[name] == 2:  # also ones that are near each other
            a = _spread(kind, part // 2 + 1, random)
            near = a * np.exp(random.normal(size=a.size) * 3) * random.choice([-1.0, 1.0], a.size)
            return [np.concatenate([random.permutation(a), a]), np.concatenate([a, near]).astype(dtype)]
        return [np.concatenate([_spread(kind, part, random), special(kind)]) for _ in range(OPERANDS[name])]


# -- errors --------------------------------------------------------------------------------------------------


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _raise_to(x: Any, exponent: Any) -> Any:
    # as x ** 0.5 is in NumPy, also at −0 and −∞
    return np.sqrt(x) if exponent == 0.5 else np.power(x, exponent)


def _erf(x: Any) -> Any:
    if x.dtype == np.float64:
        return np.vectorize(math.erf, otypes=[float])(x)
    return np.array([_longest(mpmath.erf(mpmath.mpf(float(value)))) for value in x]).astype(x.dtype)


def _longest(value: Any) -> Any:
    """The longest float next to a number."""
    head = float(value)
    return np.longdouble(head) + (np.longdouble(float(value - head)) if np.isfinite(head) else 0)


_WIDE = {
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "raise_to": _raise_to,
    "erf": _erf,
}
"""Functions of longer floats that are not NumPy's under the row's name."""


def _logaddexp(a: Any, b: Any) -> Any:
    return max(a, b) + mpmath.log1p(mpmath.exp(-abs(a - b)))


_EXACT: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(mpmath, name)
        for name in ("exp", "expm1", "log", "log1p", "sinh", "cosh", "tanh", "erf", "hypot")
    },
    **{name: getattr(mpmath, name) for name in ("sin", "cos", "tan", "power")},
    **{
        f"arc{name}": getattr(mpmath, f"a{name}")
        for name in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")
    },
    "raise_to": mpmath.power,
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "logaddexp": _logaddexp,
}


def _unit(kind: str, size: Any) -> Any:
    """The unit in the last place of a number of that size."""
    info = np.finfo(DTYPES[kind])
    exponent = np.maximum(np.frexp(np.abs(size))[1] - 1, info.minexp)
    return np.ldexp(np.ones_like(size), exponent - info.nmant)


def _scale(name: str, operands: Sequence[Any], y: Any) -> Any:
    """The size that errors are measured by: of the result, or of the largest operand where operands may
    cancel."""
    return np.maximum.reduce([np.abs(x) for x in (y, *operands)]) if name == "logaddexp" else y


def wide(name: str, params: Params, kind: str, operands: Arrays) -> np.ndarray:
    """The function in a longer float."""
    longer = np.float64 if kind == "f32" else np.longdouble
    function = _WIDE.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        return function(*(x.astype(longer) for x in operands), *(longer(DTYPES[kind](p)) for p in params))


def errors(name: str, kind: str, operands: Arrays, y: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Units in the last place between results and what is true; infinite where only one of them is NaN.

    An infinite result stands for the first number that is too large.
    """
    end = np.ldexp(true.dtype.type(1), np.finfo(DTYPES[kind]).maxexp)
    with np.errstate(all="ignore"):
        near, far = (np.clip(x, -end, end) for x in (y.astype(true.dtype), true))
        size = _scale(name, [x.astype(true.dtype) for x in operands], np.minimum(np.abs(far), end / 2))
        apart = (np.abs(near - far) / _unit(kind, size)).astype(float)
    apart[np.isnan(y) != np.isnan(true)] = np.inf
    apart[np.isnan(y) & np.isnan(true)] = 0
    return apart


def exact_error(name: str, kind: str, operands: Sequence[Any], y: Any) -> float:
    """The error of one result by mpmath."""
    info = np.finfo(DTYPES[kind])
    with mpmath.workprec(1300 if name in ("sin", "cos", "tan") else 200):
        true = _EXACT[name](*(mpmath.mpf(float(x)) for x in operands))
        end = mpmath.mpf(2) ** int(info.maxexp)
        near = mpmath.mpf(float(y)) if np.isfinite(y) else end * (1 if y > 0 else -1)
        size = _scale(name, [float(x) for x in operands], float(min(abs(true), mpmath.mpf(float(info.max)))))
        return float(abs(near - true) / mpmath.mpf(float(_unit(kind, np.float64(size)))))


def measured(name: str, params: Params, kind: str, operands: Arrays, checked: int) -> tuple[float, Params]:
    """The largest error of a row on operands, and there the operands and the result.

    In float64 those that the longer float finds largest are measured by mpmath, and others at random, so that
    the longer float is looked after too.
    """
    y = machine(name, params, kind, operands)
    found = errors(name, kind, operands, y, wide(name, params, kind, operands))
    if kind == "f64" and np.isfinite(found).all():
        largest, others = (
            np.argsort(-found)[: checked // 2],
            np.random.default_rng(1).integers(0, y.size, checked // 2),
        )
        known = np.isfinite([*operands, y]).all(axis=0)
        for x in operands:  # mpmath has one zero only
            known[known] = x[known] != 0
        found[known] = 0
        for i in (*largest, *others):
            if known[i]:
                found[i] = exact_error(name, kind, [*(x[i] for x in operands), *params], y[i])
    worst = int(np.argmax(found))
    return float(found[worst]), (*(x[worst] for x in operands), y[worst])


def nanoseconds(name: str, params: Params, kind: str, count: int = 4096) -> float:
    """The least time that an element took, of many runs."""
    # rows begin at different places of a page
    block = np.empty((OPERANDS[name] + 1, count + 96), DTYPES[kind])
    block[:] = np.random.default_rng(0).uniform(0.1, 0.9, block.shape) + (name == "arccosh")
    loop, places, least = loop_of(name, params, kind), [row.ctypes.data for row in block], np.inf
    for _ in range(2000):
        start = time.perf_counter()
        loop(*places, count)
        least = min(least, time.perf_counter() - start)
    return least / count * 1e9


def main() -> None:
    wanted = sys.argv[1:]
    print(f"{'':24}{'bound':>6}{'float32':>9}{'ns':>7}{'float64':>9}{'ns':>7}")
    for name, params in INEXACT:
        if not wanted or name in wanted:
            line = f"{' '.join(map(str, (name, *params))):24}{ELEMENTWISE[name].lowering.ulp:6g}"
            for kind in FLOATS:
                error, _ = measured(name, params, kind, points(name, kind, 1_000_000), 4000)
                line += f"{error:9.3f}{nanoseconds(name, params, kind):7.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
