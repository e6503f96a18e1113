"""How each row of the library is written in ONNX's operators.

    emit(w, xs, params, y) → the result, or a list of them

w is the writer, xs the operands as values of the graph, params those of the row with lengths in them, and y
what comes out: a value without a name, or a list of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from ....errors import CheckpointError
from ....sequence.program import Number
from .indexing import at_index, part
from .writer import Emit, Value, Writer

ROWS: dict[str, Emit] = {}
"""By the name of the row."""


def emitted(w: Writer, name: str, operands: Sequence[Any], params: Any, ys: list[Value]) -> list[Value]:
    """The values of a row's results.

    Raises:
        CheckpointError: ONNX has nothing for it.
    """
    if name not in ROWS:
        raise CheckpointError(
            f"export: the operation {name!r} has no operator in ONNX: compute what it gives before or after "
            "the model"
        )
    given = ROWS[name](w, list(operands), params, ys if len(ys) != 1 or name in _SEVERAL else ys[0])
    return given if isinstance(given, list) else [given]


_SEVERAL = ("split", "unstack")


def row(*names: str) -> Callable[[Emit], Emit]:
    def added(emit: Emit) -> Emit:
        ROWS.update(dict.fromkeys(names, emit))
        return emit

    return added


def _tensors(w: Writer, xs: Sequence[Any], dtype: Any) -> list[Value]:
    """Operands as tensors of one dtype, as ONNX wants them."""
    return [w.scalar(x.value, dtype) if isinstance(x, Number) else w.cast(x, dtype) for x in xs]


# -- elementwise ---------------------------------------------------------------------------------------------

_UNARY = {
    "negative": "Neg", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "relu": "Relu", "abs": "Abs", "erf": "Erf",
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan",
    "sinh": "Sinh", "cosh": "Cosh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh",
    "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "rint": "Round",
}  # fmt: skip
_BINARY = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "power": "Pow", "maximum": "Max", "minimum": "Min",
}  # fmt: skip
_COMPARISONS = {
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}  # fmt: skip
_LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}


for _name, _kind in _UNARY.items():
    ROWS[_name] = lambda w, xs, params, y, kind=_kind: w.one(kind, _tensors(w, xs, y.dtype), y.shape)
for _name, _kind in _BINARY.items():
    ROWS[_name] = lambda w, xs, params, y, kind=_kind: w.one(kind, _tensors(w, xs, y.dtype), y.shape)
for _name, _kind in _COMPARISONS.items():
    ROWS[_name] = lambda w, xs, params, y, kind=_kind: w.one(kind, _alike(w, xs), y.shape, bool)
for _name, _kind in _LOGIC.items():
    ROWS[_name] = lambda w, xs, params, y, kind=_kind: w.one(kind, _tensors(w, xs, bool), y.shape)


def _alike(w: Writer, xs: Sequence[Any]) -> list[Value]:
    """Operands of a comparison in their joint dtype."""
    dtypes = [x.dtype for x in xs if isinstance(x, Value)]
    numbers = [x.value for x in xs if isinstance(x, Number) and isinstance(x.value, (int, float))]
    return _tensors(w, xs, numpy.result_type(*dtypes, *numbers))


def _chain(w: Writer, x: Value, *steps: Any) -> Value:
    """Operators one after the other on elements; a pair has a number as its second operand."""
    for step in steps:
        kind, *numbers = step if isinstance(step, tuple) else (step,)
        x = w.one(kind, [x, *(w.number(n, x.dtype) for n in numbers)], x.shape)
    return x


@row("not_equal")
def _not_equal(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("Not", [w.one("Equal", _alike(w, xs), y.shape, bool)], y.shape)


@row("logical_not")
def _not(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("Not", _tensors(w, xs, bool), y.shape)


ROWS["isnan"] = lambda w, xs, params, y: w.one("IsNaN", xs, y.shape, bool)
ROWS["isinf"] = lambda w, xs, params, y: w.one(
    "Equal", [w.one("Abs", xs, y.shape), w.number(math.inf, xs[0].dtype)], y.shape, bool
)
# neither NaN nor an infinity
ROWS["isfinite"] = lambda w, xs, params, y: w.one(
    "Less", [w.one("Abs", xs, y.shape), w.number(math.inf, xs[0].dtype)], y.shape, bool
)
ROWS["expm1"] = lambda w, xs, params, y: _chain(w, xs[0], "Exp", ("Sub", 1))
ROWS["log1p"] = lambda w, xs, params, y: _chain(w, xs[0], ("Add", 1), "Log")
ROWS["log2"] = lambda w, xs, params, y: _chain(w, xs[0], "Log", ("Mul", 1 / math.log(2)))
ROWS["log10"] = lambda w, xs, params, y: _chain(w, xs[0], "Log", ("Mul", 1 / math.log(10)))
ROWS["exp2"] = lambda w, xs, params, y: _chain(w, xs[0], ("Mul", math.log(2)), "Exp")
ROWS["trunc"] = lambda w, xs, params, y: w.one(
    "Mul", [w.one("Sign", xs, y.shape), _chain(w, xs[0], "Abs", "Floor")], y.shape
)
ROWS["cbrt"] = lambda w, xs, params, y: w.one(
    "Mul", [w.one("Sign", xs, y.shape), _chain(w, xs[0], "Abs", ("Pow", 1 / 3))], y.shape
)
ROWS["raise_to"] = lambda w, xs, params, y: _chain(w, xs[0], ("Pow", params[0]))
ROWS["within"] = lambda w, xs, params, y: xs[0]
ROWS["astype"] = lambda w, xs, params, y: w.cast(xs[0], y.dtype)


def _whole_times(w: Writer, a: Value, b: Value, y: Value) -> Value:
    """⌊a / b⌋: of whole numbers (a − a mod b) / b, where the remainder has the sign of b."""
    if y.dtype.kind == "f":
        return w.one("Floor", [w.one("Div", [a, b], y.shape)], y.shape)
    rest = w.one("Mod", [a, b], y.shape)
    return w.one("Div", [w.one("Sub", [a, rest], y.shape), b], y.shape)


def _quotient(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    a, b = _tensors(w, xs, y.dtype)
    return _whole_times(w, a, b, y)


def _remainder(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    a, b = _tensors(w, xs, y.dtype)
    if y.dtype.kind != "f":
        return w.one("Mod", [a, b], y.shape)
    return w.one("Sub", [a, w.one("Mul", [b, _whole_times(w, a, b, y)], y.shape)], y.shape)


ROWS["floor_divide"], ROWS["mod"] = _quotient, _remainder
ROWS["fmod"] = lambda w, xs, params, y: w.one("Mod", _tensors(w, xs, y.dtype), y.shape, fmod=1)


@row("hypot")
def _hypot(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    squares = [w.one("Mul", [x, x], x.shape) for x in _tensors(w, xs, y.dtype)]
    return w.one("Sqrt", [w.one("Add", squares, y.shape)], y.shape)


@row("logaddexp")
def _logaddexp(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    """The larger one + softplus(−|a − b|)."""
    a, b = _tensors(w, xs, y.dtype)
    apart = w.one("Sub", [a, b], y.shape)
    return w.one("Add", [w.one("Max", [a, b], y.shape), _chain(w, apart, "Abs", "Neg", "Softplus")], y.shape)


@row("where")
def _where(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    condition, *values = xs
    return w.one("Where", [w.cast(condition, bool), *_tensors(w, values, y.dtype)], y.shape, y.dtype)


@row("clip")
def _clip(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    bounds = [None if bound is None else w.number(bound, y.dtype) for bound in params]
    return w.one("Clip", [xs[0], *bounds], y.shape)


# -- products and sums ---------------------------------------------------------------------------------------


@row("matmul")
def _matmul(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("MatMul", _tensors(w, xs, y.dtype), y.shape)


@row("einsum")
def _einsum(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("Einsum", _tensors(w, xs, y.dtype), y.shape, equation=f"{','.join(params[0])}->{params[1]}")


_REDUCTIONS = {"sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin"}
for _name, _kind in _REDUCTIONS.items():
    ROWS[_name] = lambda w, xs, params, y, kind=_kind: _reduced(w, kind, w.cast(xs[0], y.dtype), params, y)


def _reduced(w: Writer, kind: str, x: Value, params: Any, y: Value) -> Value:
    axes, keepdims = params
    if not axes:
        return x
    return w.one(kind, [x, w.ints(axes)], y.shape, keepdims=int(keepdims))


for _name, _kind in {"argmax": "ArgMax", "argmin": "ArgMin"}.items():
    ROWS[_name] = lambda w, xs, params, y, kind=_kind: w.one(
        kind, xs, y.shape, y.dtype, axis=params[0], keepdims=0
    )
for _name, _kind in {"all": "ReduceMin", "any": "ReduceMax"}.items():
    ROWS[_name] = lambda w, xs, params, y, kind=_kind: w.cast(
        w.one(kind, [w.cast(w.cast(xs[0], bool), "int32"), w.ints(params[0])], y.shape, keepdims=0), bool
    )


def _sorted(w: Writer, xs: Any, params: Any, y: Value) -> list[Value]:
    """All elements from the smallest on, and their places."""
    x, axis = xs[0], params[0]
    dtypes = [x.dtype, numpy.dtype("int64")]
    return w.add("TopK", [x, w.length(x.shape[axis])], [x.shape] * 2, dtypes, axis=axis, largest=0)


ROWS["sort"] = lambda w, xs, params, y: _sorted(w, xs, params, y)[0]
ROWS["argsort"] = lambda w, xs, params, y: w.cast(_sorted(w, xs, params, y)[1], y.dtype)


@row("cumsum")
def _cumsum(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("CumSum", [w.cast(xs[0], y.dtype), w.number(params[0], "int64")], y.shape)


# -- shapes --------------------------------------------------------------------------------------------------


@row("reshape")
def _reshape(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.reshaped(xs[0], y.shape)


@row("transpose")
def _transpose(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("Transpose", xs, y.shape, perm=list(params[0]))


@row("broadcast_to")
def _broadcast(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("Expand", [xs[0], w.lengths(y.shape)], y.shape)


@row("flip")
def _flip(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    axes = params[0]
    count, smallest = len(axes), numpy.iinfo(numpy.int64).min
    inputs = [w.ints(each) for each in ([-1] * count, [smallest] * count, axes, [-1] * count)]
    return w.one("Slice", [xs[0], *inputs], y.shape)


for _name, _upper in {"tril": 0, "triu": 1}.items():
    ROWS[_name] = lambda w, xs, params, y, upper=_upper: w.one(
        "Trilu", [xs[0], w.number(params[0], "int64")], y.shape, upper=upper
    )


@row("pad")
def _pad(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    before, after = zip(*params[0], strict=True)
    return w.one("Pad", [xs[0], w.lengths([*before, *after])], y.shape)


@row("concatenate")
def _concatenate(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("Concat", _tensors(w, xs, y.dtype), y.shape, axis=params[0])


@row("stack")
def _stack(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    axis = params[0]
    apart = (*y.shape[:axis], 1, *y.shape[axis + 1 :])
    parts = [w.one("Unsqueeze", [x, w.ints([axis])], apart) for x in _tensors(w, xs, y.dtype)]
    return w.one("Concat", parts, y.shape, axis=axis)


@row("split")
def _split(w: Writer, xs: Any, params: Any, ys: list[Value]) -> list[Value]:
    axis = params[1]
    lengths = w.lengths([y.shape[axis] for y in ys])
    return w.add("Split", [xs[0], lengths], [y.shape for y in ys], axis=axis)


@row("unstack")
def _unstack(w: Writer, xs: Any, params: Any, ys: list[Value]) -> list[Value]:
    (axis,) = params
    return [part(w, xs[0], axis, i, y.shape) for i, y in enumerate(ys)]


@row("roll")
def _roll(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    x = xs[0]
    for shift, axis in zip(*params, strict=True):
        n = x.shape[axis]
        if not isinstance(n, int):
            raise CheckpointError("export: an axis of any length cannot be rolled: fix it with axes={}")
        parts = [(n - shift % n, n), (0, n - shift % n)]
        cut = [
            w.one(
                "Slice",
                [x, w.ints([a]), w.ints([b]), w.ints([axis])],
                (*x.shape[:axis], b - a, *x.shape[axis + 1 :]),
            )
            for a, b in parts
        ]
        x = w.one("Concat", cut, x.shape, axis=axis)
    return x


@row("getitem")
def _getitem(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return at_index(w, xs[0], params[0], y)


@row("take")
def _take(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("Gather", xs, y.shape, axis=params[0])


@row("take_along_axis")
def _take_along(w: Writer, xs: Any, params: Any, y: Value) -> Value:
    return w.one("GatherElements", [xs[0], w.cast(xs[1], "int64")], y.shape, axis=params[0])
