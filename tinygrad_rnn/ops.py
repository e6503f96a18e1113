"""The rows under NumPy's names and signatures, on tensors.

This is what a rule sees as ``np`` when its own arithmetic is recorded; and what users call. Each function only settles axes and shapes and
applies its row. Functions with no rule of their own are in ``derived``.
"""

from __future__ import annotations

import builtins
import math
import string
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from . import arguments, backends
from .backends import Backend
from .chain_rule import addition as a
from .chain_rule import choices
from .chain_rule import composition as c
from .chain_rule import weighting as w
from .chain_rule.choice import WITHIN
from .chain_rule.routing import written_out
from .chain_rule.row import Row
from .errors import ArgumentError, DtypeError, IndexRangeError, ShapeError
from .tape import PYTHON_NUMBERS, Node, apply, choose, floats_beside, holds_tensors, home, host_array, lift, thread

Tensor = Any
Axis = int | Sequence[int] | None

# -- composition ----------------------------------------------------------------------------------------------------------------------


def _unary(row: Row) -> Callable[[Any], Tensor]:
    def function(x: Any) -> Tensor:
        return apply(row, (x,))

    function.__name__ = function.__qualname__ = row.name
    function.__doc__ = f"{row.name}(x), elementwise: a {row.case}."
    return function


def _binary(row: Row) -> Callable[[Any, Any], Tensor]:
    def function(x1: Any, x2: Any) -> Tensor:
        return apply(row, (x1, x2))

    function.__name__ = function.__qualname__ = row.name
    function.__doc__ = f"{row.name}(x1, x2), elementwise with broadcasting: {'an' if row.case[0] == 'a' else 'a'} {row.case}."
    return function


exp = _unary(c.EXP)
exp2 = _unary(c.EXP2)
expm1 = _unary(c.EXPM1)
log = _unary(c.LOG)
log2 = _unary(c.LOG2)
log10 = _unary(c.LOG10)
log1p = _unary(c.LOG1P)
sqrt = _unary(c.SQRT)
cbrt = _unary(c.CBRT)
tanh = _unary(c.TANH)
sigmoid = _unary(c.SIGMOID)
softplus = _unary(c.SOFTPLUS)
relu = _unary(c.RELU)
abs = absolute = _unary(c.ABS)
erf = _unary(c.ERF)
sin = _unary(c.SIN)
cos = _unary(c.COS)
tan = _unary(c.TAN)
arcsin = asin = _unary(c.ARCSIN)
arccos = acos = _unary(c.ARCCOS)
arctan = atan = _unary(c.ARCTAN)
sinh = _unary(c.SINH)
cosh = _unary(c.COSH)
arcsinh = asinh = _unary(c.ARCSINH)
arccosh = acosh = _unary(c.ARCCOSH)
arctanh = atanh = _unary(c.ARCTANH)
arctan2 = atan2 = _binary(c.ARCTAN2)
hypot = _binary(c.HYPOT)
logaddexp = _binary(c.LOGADDEXP)
mod = _binary(c.MOD)
mod.__doc__ = """The remainder with the sign of x2, as x1 % x2. As NumPy's, exact; a kernel's is so for floats where the quotient lies below
2⁴⁸ in float32 and 2¹⁰⁶ in float64, and NaN beyond, and for integers that float64 has."""
fmod = _binary(c.FMOD)
fmod.__doc__ = """The remainder with the sign of x1; as exact as :func:`mod`."""


def reciprocal(x: Any) -> Tensor:
    """1 / x. Whole numbers become floats first: a reciprocal of ints would be cut to 0."""
    if isinstance(x, Node):
        return apply(c.RECIPROCAL, (x if x._data.dtype.kind == "f" else astype(x, numpy.float64),))
    if type(x) in PYTHON_NUMBERS:
        return 1 / x if x else math.copysign(math.inf, x)
    return reciprocal(as_tensor(x))


def divide(x1: Any, x2: Any) -> Tensor:
    """x1 / x2: weighting by a reciprocal, which is taken in the dtype that NumPy's quotient has."""
    dtype = x2._data.dtype if isinstance(x2, Node) else None
    alike = type(x1) in PYTHON_NUMBERS or (isinstance(x1, Node) and x1._data.dtype is dtype)
    if not (alike and dtype is not None and dtype.kind == "f") and type(x2) not in PYTHON_NUMBERS:
        if type(x1) in PYTHON_NUMBERS:
            x2 = as_tensor(x2)
        else:
            x1, x2 = _with_partner(x1, x2)
        joint = numpy.result_type(x1._data.dtype if isinstance(x1, Node) else x1, x2._data.dtype)
        x2 = astype(x2, joint if joint.kind == "f" else numpy.float64)
    return apply(w.MULTIPLY, (x1, reciprocal(x2)))


def power(x1: Any, x2: Any) -> Tensor:
    """x1 to the power x2, elementwise. A Python number as exponent has a row of its own, without the logarithm."""
    if type(x2) in (int, float, bool):
        return apply(c.RAISE_TO, (x1,), (x2,))
    if type(x1) in (int, float, bool) and isinstance(x2, Node):  # the rule looks at the base: it must be an array
        try:
            x1 = Node.result_type(x2._backend.full((), x1, numpy.result_type(x2._data.dtype, x1)), x2._backend)
        except OverflowError as error:
            raise DtypeError(f"power: x1: {error}; convert it to a float") from error
    return apply(c.POWER, (x1, x2))


pow = power


def raise_to(x: Any, exponent: float) -> Tensor:
    """x to a fixed power."""
    return apply(c.RAISE_TO, (x,), (exponent,))


def solve(a: Any, b: Any) -> Tensor:
    """The x of a @ x = b, as ``numpy.linalg.solve``: b is a vector if it has one axis, else matrices.

    Raises:
        LinearAlgebraError: a matrix of ``a`` is singular.
    """
    a, b = as_float(a), as_float(b)
    if a.ndim < 2 or b.ndim == 0 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"solve: needs square matrices and vectors or matrices, got shapes {a.shape} and {b.shape}")
    columns = reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    stack = _joint_shape("solve", a.shape[:-2], columns.shape[:-2])  # devices do not broadcast here
    y = apply(c.SOLVE, [x if x.shape[:-2] == stack else broadcast_to(x, (*stack, *x.shape[-2:])) for x in (a, columns)])
    return squeeze(y, -1) if b.ndim == 1 else y


def _joint_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return numpy.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeError(f"{name}: {error}") from error


def det(a: Any) -> Tensor:
    """The determinant of each matrix of a stack. Its derivative needs the inverse: LinearAlgebraError at a singular matrix."""
    return apply(c.DET, (as_float(a),))


# -- weighting ------------------------------------------------------------------------------------------------------------------------

multiply = _binary(w.MULTIPLY)


def matmul(x1: Any, x2: Any) -> Tensor:
    """Matrix product with NumPy's rules: vectors on either side, stacks of matrices broadcast."""
    if isinstance(x1, Node) and isinstance(x2, Node) and len(x1._data.shape) > 1 and len(x2._data.shape) > 1:
        if len(x1._data.shape) > 2 and len(x2._data.shape) == 2:  # one product, not one for each matrix of the stack
            rows = reshape(x1, (math.prod(x1._data.shape[:-1]), x1._data.shape[-1]))
            return reshape(apply(w.MATMUL, (rows, x2)), (*x1._data.shape[:-1], x2._data.shape[-1]))
        return apply(w.MATMUL, (x1, x2))
    x1, x2 = _with_partner(x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        raise ShapeError(f"matmul: operands need at least one axis, got shapes {x1.shape} and {x2.shape}; use * for numbers")
    row = reshape(x1, (1, *x1.shape)) if x1.ndim == 1 else x1
    column = reshape(x2, (*x2.shape, 1)) if x2.ndim == 1 else x2
    y = apply(w.MATMUL, (row, column))
    lost = ([-2] if x1.ndim == 1 else []) + ([-1] if x2.ndim == 1 else [])
    return squeeze(y, tuple(lost)) if lost else y


def einsum(subscripts: str, *operands: Any, optimize: Any = True) -> Tensor:
    """Einstein summation over any number of operands, explicit (``"ij,jk->ik"``) or implicit, with repeated and summed-out indices and
    ``...``; axes of length 1 are stretched.

    Raises:
        ShapeError: the subscripts do not fit the operands.
    """
    subscripts = arguments.text("einsum: subscripts", subscripts)
    path = isinstance(optimize, (list, tuple)) and bool(optimize) and isinstance(optimize[0], str) and optimize[0] == "einsum_path"
    if not path:
        arguments.choice("einsum: optimize", optimize, (True, False, "greedy", "optimal"))
    xs = _with_partner(*operands)
    inputs, output = _einsum_letters(subscripts, [x.ndim for x in xs])
    if not set(output) <= set("".join(inputs)) or len(set(output)) != len(output):
        raise ShapeError(f"einsum {subscripts!r}: each output index must stand once, and in an operand")
    # diagonals, stretched axes and indices that stand nowhere else are additions: taken out first, they leave the weighting clean
    long = {letter for part, x in zip(inputs, xs, strict=True) for letter, n in zip(part, x.shape, strict=True) if n != 1}
    for i, part in enumerate(inputs):
        stretched = {letter for letter, n in zip(part, xs[i].shape, strict=True) if n == 1 and letter in long}
        inputs[i], xs[i] = _einsum_diagonal(*_einsum_without(stretched, part, xs[i]))
    for i, part in enumerate(inputs):
        lonely = set(part).difference(output, *inputs[:i], *inputs[i + 1 :])
        inputs[i], xs[i] = _einsum_without(lonely, part, xs[i])
    if len(xs) == 1:
        return transpose(xs[0], tuple(inputs[0].index(letter) for letter in output))
    return apply(w.EINSUM, xs, (tuple(inputs), output))


def _einsum_letters(subscripts: str, ranks: list[int]) -> tuple[list[str], str]:
    """Subscripts with the output written out and ``...`` replaced by letters of their own."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ranks):
        raise ShapeError(f"einsum {subscripts!r}: {len(inputs)} subscripts for {len(ranks)} operands")
    unused = [letter for letter in string.ascii_letters if letter not in text]
    hidden = [rank - len(part.replace("...", "")) if "..." in part else 0 for part, rank in zip(inputs, ranks, strict=True)]
    wide = unused[: builtins.max(hidden, default=0)]
    for part, rank, extra in zip(inputs, ranks, hidden, strict=True):
        if extra < 0 or ("..." not in part and len(part) != rank):
            raise ShapeError(f"einsum {subscripts!r}: {part!r} does not fit an operand with {rank} axes")
    inputs = [part.replace("...", "".join(wide[len(wide) - extra :])) for part, extra in zip(inputs, hidden, strict=True)]
    if builtins.any(letter not in string.ascii_letters for part in (*inputs, output.replace("...", "")) for letter in part):
        raise ShapeError(f"einsum {subscripts!r}: indices are letters, operands are parted by commas")
    if arrow:
        return inputs, output.replace("...", "".join(wide))
    joined = "".join(inputs)
    once = sorted(letter for letter in set(joined) if joined.count(letter) == 1 and letter not in wide)
    return inputs, "".join(wide) + "".join(once)


def _einsum_without(gone: set[str], letters: str, x: Tensor) -> tuple[str, Tensor]:
    """An operand with the axes of some indices summed out."""
    axes = tuple(i for i, letter in enumerate(letters) if letter in gone)
    return ("".join(letter for letter in letters if letter not in gone), narrow_sum(x, axes)) if axes else (letters, x)


def _einsum_diagonal(letters: str, x: Tensor) -> tuple[str, Tensor]:
    """An operand with each index once: the diagonal of those that are repeated."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(f"einsum: index {letter!r} stands for axes of {x.shape[first]} and {x.shape[second]} of one operand")
            x = _diagonal(x, first, second)
            letters = letters[:second] + letters[second + 1 :]
    return letters, x


def _diagonal(x: Tensor, first: int, second: int) -> Tensor:
    """The diagonal of two axes, left in the place of the first."""
    n = x.shape[first]
    rest = [i for i in range(x.ndim) if i not in (first, second)]
    lined = transpose(x, (*rest, first, second))
    flat = reshape(lined, (*lined.shape[:-2], n * n))
    line = getitem(flat, (..., slice(None, None, n + 1)))
    return moveaxis(line, -1, first)


# -- addition: sums -------------------------------------------------------------------------------------------------------------------

add = _binary(a.ADD)
subtract = _binary(a.SUBTRACT)
negative = _unary(a.NEGATIVE)


def sum(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over axes (all of them by default)."""
    x = as_tensor(x) if dtype is None else astype(x, dtype)
    return apply(a.SUM, (x,), (axes_of(x, axis), _flag(keepdims)))


def narrow_sum(x: Tensor, axis: Axis) -> Tensor:
    """The sum in the dtype of x, as in products, where that of small whole numbers is not a wider one."""
    return astype(sum(x, axis), x._data.dtype)


def cumsum(x: Any, axis: int | None = None) -> Tensor:
    """Running sum along an axis, or over the flattened array."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return apply(a.CUMSUM, (x,), (axis_of(x, axis),))


def broadcast_to(x: Any, shape: Sequence[int]) -> Tensor:
    return apply(a.BROADCAST_TO, (x,), (shape if type(shape) is tuple else arguments.shape("broadcast_to: shape", shape),))


def sum_to(x: Any, shape: Sequence[int]) -> Tensor:
    """Sum over the axes that broadcasting from ``shape`` would add or stretch."""
    return apply(a.SUM_TO, (x,), (tuple(shape),))


def astype(x: Any, dtype: Any) -> Tensor:
    """The tensor in another dtype; bool and int results are constants."""
    dtype = arguments.dtype("astype: dtype", dtype)
    x = as_tensor(x)
    if x._data.dtype == dtype:
        return x
    return (apply if dtype.kind == "f" else choose)(a.ASTYPE, (x,), (dtype,))


# -- addition: shapes -----------------------------------------------------------------------------------------------------------------


def reshape(x: Any, shape: int | Sequence[int]) -> Tensor:
    """The same elements in another shape; one length may be −1."""
    x = as_tensor(x)
    lengths = shape if type(shape) is tuple and _INT.issuperset(map(type, shape)) else arguments.shape("reshape: shape", shape, -1)
    return apply(a.RESHAPE, (x,), (_whole_shape(x.shape, lengths),))


_INT = frozenset((int,))


def _whole_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    if -1 not in wanted:
        return wanted
    known = 1
    for n in wanted:
        known *= 1 if n == -1 else n
    size = 1
    for n in shape:
        size *= n
    if wanted.count(-1) > 1 or known == 0 or size % known:
        raise ShapeError(f"reshape: {list(shape)} cannot take the shape {list(wanted)}")
    return tuple(size // known if n == -1 else n for n in wanted)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, reversed by default."""
    x = as_tensor(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else axes_of(x, arguments.wholes("transpose: axes", axes), ordered=True)
    if len(order) != x.ndim:
        raise ShapeError(f"transpose: axes {order} are not an order of the {x.ndim} axes of shape {x.shape}")
    return apply(a.TRANSPOSE, (x,), (order,))


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    x = as_tensor(x)
    order = list(range(x.ndim))
    i, j = axis_of(x, axis1), axis_of(x, axis2)
    order[i], order[j] = j, i
    return apply(a.TRANSPOSE, (x,), (tuple(order),))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    x = as_tensor(x)
    sources, destinations = axes_of(x, source, ordered=True), axes_of(x, destination, ordered=True)
    if len(sources) != len(destinations):
        raise ShapeError(f"moveaxis: {len(sources)} axes cannot go to {len(destinations)} places")
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """Without the axes of length 1, or without those named."""
    x = as_tensor(x)
    lost = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else axes_of(x, axis)
    if builtins.any(x.shape[i] != 1 for i in lost):
        raise ShapeError(f"squeeze: an axis of {axis} of shape {x.shape} is longer than 1")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in lost))


def expand_dims(x: Any, axis: int | Sequence[int]) -> Tensor:
    """With new axes of length 1 at the given places of the result."""
    x = as_tensor(x)
    places = arguments.wholes("expand_dims: axis", axis)
    rank = x.ndim + len(places)
    new = _axes(places, rank)
    lengths = iter(x.shape)
    return reshape(x, tuple(1 if i in new else next(lengths) for i in range(rank)))


def flip(x: Any, axis: Axis = None) -> Tensor:
    x = as_tensor(x)
    return apply(a.FLIP, (x,), (axes_of(x, axis),))


def roll(x: Any, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Elements pushed along axes, around the end."""
    x = as_tensor(x)
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, 0), x.shape)
    axes = axes_of(x, axis, ordered=True, repeated=True)
    shifts = arguments.wholes("roll: shift", shift)
    if len(shifts) != len(axes):
        axes, shifts = axes * len(shifts) if len(axes) == 1 else axes, shifts * len(axes) if len(shifts) == 1 else shifts
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    return apply(a.ROLL, (x,), (shifts, axes))


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Tensor:
    """Longer axes: with a constant around, or with NumPy's index modes ("edge", "reflect", "symmetric", "wrap")."""
    x = as_tensor(x)
    arguments.choice("pad: mode", mode, ("constant", "edge", "reflect", "symmetric", "wrap"))
    widths = host_array(pad_width)
    if widths.dtype.kind not in "iu":
        raise arguments.refused("pad: pad_width", "whole numbers", pad_width)
    if (widths < 0).any():
        raise ShapeError(f"pad: pad_width must not be negative, got {pad_width}")
    try:
        pairs = tuple((int(p), int(q)) for p, q in numpy.broadcast_to(widths, (x.ndim, 2)))
        if mode == "constant":
            return _pad_with(x, pairs, constant_values)
        for axis, pair in enumerate(pairs):
            if pair != (0, 0):
                x = take(x, numpy.pad(numpy.arange(x.shape[axis]), pair, mode=mode), axis)  # type: ignore[call-overload]
    except ValueError as error:
        raise ShapeError(f"pad: pad_width {pad_width} does not fit shape {x.shape}: {error}") from error
    return x


def _pad_with(x: Tensor, widths: tuple[tuple[int, int], ...], constant_values: Any) -> Tensor:
    values = host_array(constant_values)
    padded = apply(a.PAD, (x,), (widths,))
    if not values.any():
        return padded
    frame = numpy.pad(numpy.zeros(x.shape, x.dtype), widths, constant_values=values)
    return padded + Node.result_type(x._backend.from_host(frame), x._backend)


def tril(x: Any, k: int = 0) -> Tensor:
    return apply(a.TRIL, (x,), (arguments.whole("tril: k", k),))


def triu(x: Any, k: int = 0) -> Tensor:
    return apply(a.TRIU, (x,), (arguments.whole("triu: k", k),))


# -- addition: joining and splitting --------------------------------------------------------------------------------------------------


_LISTS = (list, tuple)


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Tensor:
    """Tensors one after the other along an axis (flattened if None)."""
    parts = _with_partner(*(arrays if type(arrays) in _LISTS else arguments.several("concatenate: arrays", arrays)))
    if not parts:
        raise ShapeError("concatenate: there is nothing to join")
    if axis is None:
        parts, axis = [reshape(part, (-1,)) for part in parts], 0
    return apply(a.CONCATENATE, parts, (axis_of(parts[0], axis),))


concat = concatenate


def stack(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    parts = _with_partner(*(arrays if type(arrays) in _LISTS else arguments.several("stack: arrays", arrays)))
    if not parts:
        raise ShapeError("stack: there is nothing to join")
    return apply(a.STACK, parts, (_axis(axis, parts[0].ndim + 1),))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Equal parts (a number of them) or parts cut before the given places: one entry with several outputs, no copies."""
    x = as_tensor(x)
    axis = axis_of(x, axis)
    n = x._data.shape[axis]
    if arguments.is_one(indices_or_sections):
        parts = arguments.size("split: indices_or_sections", indices_or_sections, 1)
        if n % parts:
            raise ShapeError(f"split: an axis of {n} cannot be cut into {parts} equal parts; use array_split or give the places")
        return apply(a.SPLIT, (x,), (tuple(range(n // parts, n, n // parts)) if n else (0,) * (parts - 1), axis))
    places = arguments.wholes("split: indices_or_sections", indices_or_sections)
    bounds = [builtins.min(builtins.max(p + n if p < 0 else p, 0), n) for p in places]
    if bounds != sorted(bounds):
        raise ShapeError(f"split: the places {list(places)} must not fall")
    return apply(a.SPLIT, (x,), (tuple(bounds), axis))


def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis: one entry with several outputs."""
    x = as_tensor(x)
    if x.ndim == 0:
        raise ShapeError("unstack: a number has no axis to take apart")
    return apply(a.UNSTACK, (x,), (axis_of(x, axis),))


# -- addition: indexing ---------------------------------------------------------------------------------------------------------------


def getitem(x: Any, index: Any) -> Tensor:
    """x[index] with every kind of NumPy index: slices, steps, ellipsis, None, integer arrays, boolean masks."""
    if type(index) is int or type(index) is slice:
        return apply(a.GETITEM, (x,), (index,))
    x = as_tensor(x)
    parts = index if type(index) is tuple else (index,)
    if thread.tracing is not None and builtins.any(isinstance(part, Node) and part._data.dtype.kind in "iu" for part in parts):
        return _at_numbers(x, parts)
    settled = tuple(_index_part(part, x._backend) for part in parts)
    return apply(a.GETITEM, (x,), (settled if type(index) is tuple else settled[0],))


def _index_part(part: Any, backend: Backend) -> Any:
    if isinstance(part, Node):
        if thread.tracing is not None:
            thread.tracing.look(part, "an index")
        return part._data
    if isinstance(part, (list, numpy.ndarray)):
        return backend.from_host(numpy.asarray(part, dtype=numpy.intp) if isinstance(part, list) and not part else host_array(part))
    return part


def _at_numbers(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    """x[index] by numbers that a trace does not know yet: slices first, then one look-up along the axes that numbers choose from.

    As NumPy has it, what the numbers choose stands where their axes stood; before all others where these did not stand together.
    """
    parts = [part for part, _ in written_out(index, x.shape)]
    basic = tuple(slice(None) if _is_number(part) else part for part in parts)
    y = getitem(x, basic)
    numbers = [(axis, part) for axis, part in enumerate(parts) if _is_number(part)]
    axes = [axis for axis, _ in numbers]
    if axes != list(range(axes[0], axes[-1] + 1)):
        y = transpose(y, (*axes, *(axis for axis in range(y.ndim) if axis not in axes)))
        axes = list(range(len(axes)))
    first, lengths = axes[0], y.shape[axes[0] : axes[-1] + 1]
    place: Any = 0
    for (_, part), n in zip(numbers, lengths, strict=True):
        part = indices_of("getitem: the index", x._backend, part, n)
        place = place * n + (where(part < 0, part + n, part) if len(numbers) > 1 else part)
    return take(reshape(y, (*y.shape[:first], -1, *y.shape[axes[-1] + 1 :])), place, first)


def _is_number(part: Any) -> bool:
    """Whether a part of an index chooses by numbers, beside others that do: also a single one."""
    return part is not None and part is not Ellipsis and not isinstance(part, slice)


def scatter(x: Any, index: Any, shape: Sequence[int]) -> Tensor:
    """Zeros of ``shape`` with x added at ``index``: the adjoint of getitem."""
    return apply(a.SCATTER, (x,), (index, tuple(shape)))


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Slices along an axis by whole numbers, which may repeat."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = axis_of(x, axis)
    return apply(a.TAKE, (x, indices_of("take: the index", x._backend, indices, x.shape[axis])), (axis,))


def scatter_take(x: Any, indices: Any, axis: int, shape: Sequence[int]) -> Tensor:
    """The adjoint of take."""
    return apply(a.SCATTER_TAKE, (x, indices), (axis, tuple(shape)))


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Tensor:
    """One element for each index along an axis, as ``numpy.take_along_axis``."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = axis_of(x, axis)
    return pick(x, indices_of("take_along_axis: the index", x._backend, indices, x.shape[axis]), axis)


def pick(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """As take_along_axis, with indices that were looked at."""
    axis = axis_of(x, axis)
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: indices have {indices.ndim} axes, the tensor has {x.ndim}")
    outside = tuple(n if i == axis else _joint_shape("take_along_axis", (n,), (x.shape[i],))[0] for i, n in enumerate(indices.shape))
    whole = tuple(x.shape[axis] if i == axis else n for i, n in enumerate(outside))
    x = x if x.shape == whole else broadcast_to(x, whole)
    indices = indices if indices.shape == outside else broadcast_to(indices, outside)
    return apply(a.TAKE_ALONG_AXIS, (x, indices), (axis,))


def scatter_along_axis(x: Any, indices: Any, axis: int, shape: Sequence[int]) -> Tensor:
    """The adjoint of take_along_axis."""
    return apply(a.SCATTER_ALONG_AXIS, (x, indices), (axis, tuple(shape)))


def indices_of(what: str, backend: Backend, indices: Any, n: int, least: int | None = None, advice: str = "", kinds: str = "iu") -> Tensor:
    """Whole numbers from ``least`` (by default −n) to n − 1 on a backend, of some kinds of dtypes.

    Raises:
        DtypeError: no whole numbers.
        IndexRangeError: others, as :func:`check_range`; what is given as an array or a list is looked at before it goes to a device.
    """
    indices = lift(indices, backend) if holds_tensors(indices) else indices
    array = indices._data if isinstance(indices, Node) else host_array(indices)
    if array.dtype.kind not in kinds and array.size:
        raise DtypeError(f"{what} must be a whole number, got dtype {array.dtype}")
    if isinstance(indices, Node):
        return check_range(what, indices if array.dtype.kind in kinds else astype(indices, numpy.int64), n, least, advice)
    backends.get("numpy").within(array, what, -n if least is None else least, n, advice)
    array = array if array.size else array.astype(numpy.int64)
    return Node.result_type(backend.from_host(array), backend)


def check_range(what: str, indices: Tensor, n: int, least: int | None = None, advice: str = "") -> Tensor:
    """Whole numbers from ``least`` (by default −n) to n − 1, themselves.

    A trace, which has no numbers yet, holds the check; but what the array module refuses itself is left to that.

    Raises:
        IndexRangeError: others, on the processor; on a device, which would have to be waited for, nobody looks.
    """
    params = (what, -n if least is None else least, n, advice)
    if not thread.tracing:
        indices._backend.within(indices._data, *params)
    elif least is not None:
        return choose(WITHIN, (indices,), params)
    return indices


def lookup(what: str, x: Tensor, numbers: Any, advice: str = "") -> Tensor:
    """Rows of x by numbers that do not count from its end: of words, of classes.

    Raises:
        DtypeError: no whole numbers.
        IndexRangeError: there is no such row. On a device, where nobody looks, it is NaN.
    """
    numbers = indices_of(f"{what}: the number", x._backend, numbers, x.shape[0], 0, advice)
    return nan_outside(apply(a.TAKE, (x, numbers), (0,)), numbers, x.shape[0])


def nan_outside(y: Tensor, numbers: Tensor, n: int) -> Tensor:
    """y; on a device NaN where a number does not lie from 0 to n − 1: there nobody waits to look at them."""
    if numbers._backend.name == "numpy":
        return y
    inside = logical_and(greater_equal(numbers, 0), less(numbers, n))
    return where(expand_dims(inside, tuple(range(inside.ndim, y.ndim))), y, math.nan)


# -- addition: routing by a choice ----------------------------------------------------------------------------------------------------

maximum = _binary(a.MAXIMUM)
minimum = _binary(a.MINIMUM)


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where the condition holds, else y. The branch not taken gets the residual 0, whatever its slope."""
    return apply(a.WHERE, (_with_partner(condition, x, y)[0] if isinstance(condition, bool) else condition, x, y))


def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    """x held between two bounds; at a bound the residual passes. Bounds that are tensors get residuals as in maximum and minimum."""
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ArgumentError("clip: give a bound by one name, a_min and a_max or min and max")
    a_min, a_max = min if a_min is None else a_min, max if a_max is None else a_max
    if not (isinstance(a_min, _NUMBERS) and isinstance(a_max, _NUMBERS)):
        x = x if a_min is None else maximum(x, a_min)
        return x if a_max is None else minimum(x, a_max)
    return as_tensor(x) if a_min is None and a_max is None else apply(a.CLIP, (x,), (a_min, a_max))


_NUMBERS = (int, float, numpy.integer, numpy.floating, numpy.bool_, type(None))
"""What bounds of ``clip`` are that get no residuals."""


def _extremum(row: Row, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    return apply(row, (x,), (axes_of(x, axis), _flag(keepdims)))


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes; ties share the residual equally."""
    return _extremum(a.MAX, x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes; ties share the residual equally."""
    return _extremum(a.MIN, x, axis, keepdims)


amax, amin = max, min


def sort(x: Any, axis: int | None = -1) -> Tensor:
    """In rising order along an axis."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return apply(a.SORT, (x,), (axis_of(x, axis),))


# -- choices: no derivative -----------------------------------------------------------------------------------------------------------


def _choice(name: str) -> Callable[..., Tensor]:
    row = choices[name]

    def function(x: Any) -> Tensor:
        return choose(row, (x,))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name}(x), elementwise. It moves only in jumps: no residual passes."
    return function


def _binary_choice(name: str) -> Callable[..., Tensor]:
    row = choices[name]

    def function(x1: Any, x2: Any) -> Tensor:
        return choose(row, (x1, x2))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name}(x1, x2), elementwise with broadcasting. It moves only in jumps: no residual passes."
    return function


equal, not_equal = _binary_choice("equal"), _binary_choice("not_equal")
less, less_equal = _binary_choice("less"), _binary_choice("less_equal")
greater, greater_equal = _binary_choice("greater"), _binary_choice("greater_equal")
logical_and, logical_or = _binary_choice("logical_and"), _binary_choice("logical_or")
logical_xor, logical_not = _binary_choice("logical_xor"), _choice("logical_not")
isnan, isinf, isfinite = _choice("isnan"), _choice("isinf"), _choice("isfinite")
sign, floor, ceil, rint, trunc = _choice("sign"), _choice("floor"), _choice("ceil"), _choice("rint"), _choice("trunc")
floor_divide = _binary_choice("floor_divide")


def _position(name: str, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    x, keepdims = as_tensor(x), _flag(keepdims)
    if axis is None:
        y = choose(choices[name], (reshape(x, (-1,)),), (0,))
        return reshape(y, (1,) * x.ndim) if keepdims else y
    y = choose(choices[name], (x,), (axis_of(x, axis),))
    return expand_dims(y, axis) if keepdims else y


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the largest element, the first of several."""
    return _position("argmax", x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the smallest element, the first of several."""
    return _position("argmin", x, axis, keepdims)


def argsort(x: Any, axis: int | None = -1) -> Tensor:
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return choose(choices["argsort"], (x,), (axis_of(x, axis),))


def _quantifier(name: str, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    axes = axes_of(x, axis)
    y = choose(choices[name], (x,), (axes,))
    return expand_dims(y, axes) if _flag(keepdims) else y


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return _quantifier("all", x, axis, keepdims)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return _quantifier("any", x, axis, keepdims)


def searchsorted(a: Any, v: Any, side: str = "left") -> Tensor:
    """Where the elements of v would stand in the sorted vector a."""
    a, v = _with_partner(a, v)
    if a.ndim != 1:
        raise ShapeError(f"searchsorted: a must be a vector, not of shape {a.shape}")
    return choose(choices["searchsorted"], (a, v), (arguments.choice("searchsorted: side", side, ("left", "right")),))


# -- making tensors -------------------------------------------------------------------------------------------------------------------


def as_tensor(x: Any) -> Tensor:
    """x itself if it is a tensor, else a constant tensor of it."""
    return x if isinstance(x, Node) else lift(x, backends.owner(x) or backends.current())


def as_float(x: Any) -> Tensor:
    x = as_tensor(x)
    return x if x._data.dtype.kind == "f" else astype(x, numpy.float64)


def _with_partner(*operands: Any) -> list[Tensor]:
    """All of them as tensors on one backend."""
    for x in operands:
        if not isinstance(x, Node):
            break
    else:  # nearly always
        return list(operands)
    backend, floats = home(operands), floats_beside(operands)
    return [lift(x, backend, floats) for x in operands]


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    return _alike("zeros_like", x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    return _alike("ones_like", x, 1, dtype)


def _alike(name: str, x: Any, value: int, dtype: Any) -> Tensor:
    x = as_tensor(x)
    dtype = x._data.dtype if dtype is None else arguments.dtype(f"{name}: dtype", dtype)
    return Node.result_type(x._backend.full(x._data.shape, value, dtype), x._backend)


def full_like(x: Any, fill_value: float, dtype: Any = None) -> Tensor:
    x = as_tensor(x)
    return _full("full_like", x.shape, x._data.dtype if dtype is None else dtype, fill_value, x._backend)


def identity_like(x: Tensor) -> Tensor:
    """The identity matrix for each matrix of a stack."""
    return Node.result_type(x._backend.identity_like(x._data), x._backend)


def copy(x: Any) -> Tensor:
    """The same values in memory of their own; residuals pass."""
    x = as_tensor(x)
    return (apply if x._data.dtype.kind == "f" else choose)(a.ASTYPE, (x,), (x._data.dtype,))


def zeros(shape: int | Sequence[int], *sizes: Any, dtype: Any = None) -> Tensor:
    """Zeros: ``zeros((2, 3), dtype)`` as in NumPy, or ``zeros(2, 3)`` as in PyTorch."""
    return _full("zeros", *_shape_and_dtype("zeros", shape, sizes, dtype), 0.0, backends.current())


def ones(shape: int | Sequence[int], *sizes: Any, dtype: Any = None) -> Tensor:
    """Ones: ``ones((2, 3), dtype)`` as in NumPy, or ``ones(2, 3)`` as in PyTorch."""
    return _full("ones", *_shape_and_dtype("ones", shape, sizes, dtype), 1.0, backends.current())


def _shape_and_dtype(name: str, shape: Any, sizes: tuple[Any, ...], dtype: Any) -> tuple[Any, Any]:
    if sizes and isinstance(sizes[-1], (int, numpy.integer)):
        return (shape, *sizes), dtype
    if len(sizes) > 1 or (sizes and dtype is not None):
        raise ArgumentError(f"{name}: takes a shape, a tuple or its sizes one by one, and dtype=; not {arguments.shown((shape, *sizes))}")
    return shape, sizes[0] if sizes else dtype


def full(shape: int | Sequence[int], fill_value: float, dtype: Any = None) -> Tensor:
    return _full("full", shape, dtype, fill_value, backends.current())


def _full(name: str, shape: Any, dtype: Any, fill_value: Any, backend: Backend) -> Tensor:
    lengths = arguments.shape(f"{name}: shape", shape)
    if isinstance(dtype, int):
        raise arguments.refused(f"{name}: dtype", f"a dtype; a shape of several lengths is one tuple, {name}((2, 3))", dtype)
    values = host_array(fill_value, None if dtype is None else arguments.dtype(f"{name}: dtype", dtype))
    try:
        return Node.result_type(backend.from_host(numpy.full(lengths, values, values.dtype)), backend)
    except ValueError as error:
        raise ShapeError(f"{name}: {error}") from error


def identity(n: int, dtype: Any = None) -> Tensor:
    return eye(n, dtype=dtype)


def eye(n: int, m: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Zeros (n, m) with ones on the k-th diagonal above the main one."""
    rows = arguments.size("eye: n", n)
    columns = rows if m is None else arguments.size("eye: m", m)
    arguments.shape("eye: the shape (n, m)", (rows, columns))
    k = builtins.max(-rows, builtins.min(arguments.whole("eye: k", k), columns))
    return _made(numpy.eye(rows, columns, k), _dtype("eye", dtype, True))


def arange(*args: Any, dtype: Any = None) -> Tensor:
    """As ``numpy.arange``: whole numbers stay whole, floats get the default dtype."""
    if not 1 <= len(args) <= 3:
        raise ArgumentError(f"arange: takes stop, or start and stop, or start, stop and step, not {len(args)} numbers")
    for x in args:
        arguments.real("arange: a number of args", x)
    if len(args) == 3 and args[2] == 0:
        raise ArgumentError("arange: the step among args must not be 0")
    try:
        values = numpy.arange(*args)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(f"arange: {error}") from error
    return _made(values, _dtype("arange", dtype, builtins.any(isinstance(x, float) for x in args)))


def linspace(start: float, stop: float, num: int = 50, endpoint: bool = True, dtype: Any = None) -> Tensor:
    """``num`` numbers from start to stop, at even distances."""
    ends = host_array(start), host_array(stop)
    num, endpoint = arguments.size("linspace: num", num), arguments.flag("linspace: endpoint", endpoint)
    try:
        return _made(numpy.linspace(*ends, num, endpoint), _dtype("linspace", dtype, True))
    except ValueError as error:
        raise ShapeError(f"linspace: start of shape {ends[0].shape}, stop of shape {ends[1].shape}: {error}") from error


def _dtype(name: str, dtype: Any, floats: bool) -> Any:
    """A dtype that was asked for; else the default one for floats, and none for whole numbers, which keep theirs."""
    if dtype is None:
        return host_array(0.0).dtype if floats else None
    return arguments.dtype(f"{name}: dtype", dtype)


def _made(array: numpy.ndarray, dtype: Any) -> Tensor:
    backend = backends.current()
    return Node.result_type(backend.from_host(host_array(array, dtype)), backend)


# -- axes -----------------------------------------------------------------------------------------------------------------------------


def _axis(axis: int, rank: int) -> int:
    if type(axis) is not int:
        axis = arguments.whole("axis", axis)
    if not -rank <= axis < rank:
        raise IndexRangeError(f"axis {axis} is out of range for {rank} axes")
    return axis % rank


def axis_of(x: Tensor, axis: int) -> int:
    """An axis counted from the front.

    Raises:
        IndexRangeError: there is no such axis.
    """
    return _axis(axis, len(x._data.shape))


def axes_of(x: Tensor, axis: Axis, ordered: bool = False, repeated: bool = False) -> tuple[int, ...]:
    """Axes counted from the front, all of them for None; sorted unless their order counts."""
    rank = len(x._data.shape)
    if axis is None:
        return tuple(range(rank))
    if type(axis) is int:
        return (_axis(axis, rank),)
    axes = _axes(axis, rank, repeated)
    return axes if ordered else tuple(sorted(axes))


def _axes(axis: Any, rank: int, repeated: bool = False) -> tuple[int, ...]:
    if isinstance(axis, Iterator):  # who reads it twice finds nothing the second time
        raise arguments.refused("axis", "a whole number or a tuple of them", axis)
    parts = axis if type(axis) is tuple else arguments.wholes("axis", axis)
    axes = tuple([_axis(part, rank) for part in parts])
    if len(set(axes)) != len(axes) and not repeated:
        raise ShapeError(f"an axis stands twice in {axis}")
    return axes


def _flag(keepdims: Any) -> bool:
    return keepdims if keepdims is True or keepdims is False else arguments.flag("keepdims", keepdims)


__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "all",
    "amax",
    "amin",
    "any",
    "arange",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "broadcast_to",
    "cbrt",
    "ceil",
    "clip",
    "concat",
    "concatenate",
    "copy",
    "cos",
    "cosh",
    "cumsum",
    "divide",
    "einsum",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "fmod",
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "hypot",
    "identity",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "max",
    "maximum",
    "min",
    "minimum",
    "mod",
    "moveaxis",
    "multiply",
    "negative",
    "not_equal",
    "ones",
    "ones_like",
    "pad",
    "pow",
    "power",
    "reciprocal",
    "relu",
    "reshape",
    "rint",
    "roll",
    "searchsorted",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "unstack",
    "where",
    "zeros",
    "zeros_like",
]
