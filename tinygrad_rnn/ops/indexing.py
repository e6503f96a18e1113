"""Case 2, addition, by places that are chosen: indices of every kind, look-ups, their adjoints, and padding.

On the processor, places are checked before they are used; on a device nobody waits to check them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from .. import arguments, backends
from ..backends import Backend
from ..chain_rule import addition as a
from ..chain_rule.choice import WITHIN
from ..chain_rule.routing import written_out
from ..errors import DtypeError, ShapeError
from ..tape import Node, apply, choose, holds_tensors, host_array, lift, thread
from .addition import astype, where
from .choice import greater_equal, less, logical_and, not_equal
from .operands import ArrayLike, Index, Tensor, as_tensor, axis_of, joint_shape
from .shapes import along, broadcast_to, expand_dims, reshape, transpose


def getitem(x: ArrayLike, index: Index) -> Tensor:
    """x[index] with every kind of NumPy index: slices, steps, ellipsis, None, integer arrays, boolean
    masks."""
    if type(index) is int or type(index) is slice:
        return apply(a.GETITEM, (x,), (index,))
    x = as_tensor(x)
    parts = index if type(index) is tuple else (index,)
    if thread.tracing is not None and any(
        isinstance(part, Node) and part._data.dtype.kind in "iu" for part in parts
    ):
        return _at_indices(x, parts)
    settled = tuple(_index_part(part, x._backend) for part in parts)
    return apply(a.GETITEM, (x,), (settled if type(index) is tuple else settled[0],))


def _index_part(part: Any, backend: Backend) -> Any:
    if isinstance(part, Node):
        if thread.tracing is not None:
            thread.tracing.look(part, "an index")
        return part._data
    if isinstance(part, (list, numpy.ndarray)):
        return backend.from_host(
            numpy.asarray(part, dtype=numpy.intp) if isinstance(part, list) and not part else host_array(part)
        )
    return part


def _at_indices(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    """x[index] by integers that a trace does not know yet: slices first, then one look-up along the axes that
    integers choose from.

    As NumPy has it, what they choose stands where their axes stood; before all others where these did not
    stand together.
    """
    parts = [part for part, _ in written_out(index, x.shape)]
    basic = tuple(slice(None) if _is_index(part) else part for part in parts)
    y = getitem(x, basic)
    lookups = [(axis, part) for axis, part in enumerate(parts) if _is_index(part)]
    axes = [axis for axis, _ in lookups]
    if axes != list(range(axes[0], axes[-1] + 1)):
        y = transpose(y, (*axes, *(axis for axis in range(y.ndim) if axis not in axes)))
        axes = list(range(len(axes)))
    first, lengths = axes[0], y.shape[axes[0] : axes[-1] + 1]
    place: Any = 0
    for (_, part), n in zip(lookups, lengths, strict=True):
        part = indices_of("getitem: the index", x._backend, part, n)
        place = place * n + (where(part < 0, part + n, part) if len(lookups) > 1 else part)
    return take(reshape(y, (*y.shape[:first], -1, *y.shape[axes[-1] + 1 :])), place, first)


def _is_index(part: Any) -> bool:
    """Whether a part of an index chooses by integers, beside others that do: also a single one."""
    return part is not None and part is not Ellipsis and not isinstance(part, slice)


def scatter(x: ArrayLike, index: Index, shape: Sequence[int]) -> Tensor:
    """Zeros of ``shape`` with x added at ``index``: the adjoint of getitem."""
    return apply(a.SCATTER, (x,), (index, tuple(shape)))


def take(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> Tensor:
    """Slices along an axis by integers, which may repeat.

    >>> tg.take([1.0, 2.0, 3.0], [2, 0, 2])
    tensor([3., 1., 3.], dtype=float32)
    """
    x, axis = along(x, axis)
    return apply(a.TAKE, (x, indices_of("take: the index", x._backend, indices, x.shape[axis])), (axis,))


def scatter_take(x: ArrayLike, indices: ArrayLike, axis: int, shape: Sequence[int]) -> Tensor:
    """The adjoint of take."""
    return apply(a.SCATTER_TAKE, (x, indices), (axis, tuple(shape)))


def take_along_axis(x: ArrayLike, indices: ArrayLike, axis: int | None = -1) -> Tensor:
    """One element for each index along an axis, as ``numpy.take_along_axis``.

    >>> tg.take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]])
    tensor([[2.],
            [3.]], dtype=float32)
    """
    x, axis = along(x, axis)
    return pick(x, indices_of("take_along_axis: the index", x._backend, indices, x.shape[axis]), axis)


def pick(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """As take_along_axis, with indices that were looked at."""
    axis = axis_of(x, axis)
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: indices have {indices.ndim} axes, the tensor has {x.ndim}")
    outside = tuple(
        n if i == axis else joint_shape("take_along_axis", (n,), (x.shape[i],))[0]
        for i, n in enumerate(indices.shape)
    )
    whole = tuple(x.shape[axis] if i == axis else n for i, n in enumerate(outside))
    x = x if x.shape == whole else broadcast_to(x, whole)
    indices = indices if indices.shape == outside else broadcast_to(indices, outside)
    return apply(a.TAKE_ALONG_AXIS, (x, indices), (axis,))


def scatter_along_axis(x: ArrayLike, indices: ArrayLike, axis: int, shape: Sequence[int]) -> Tensor:
    """The adjoint of take_along_axis."""
    return apply(a.SCATTER_ALONG_AXIS, (x, indices), (axis, tuple(shape)))


def pad(x: ArrayLike, pad_width: ArrayLike, mode: str = "constant", constant_values: ArrayLike = 0) -> Tensor:
    """Longer axes: with a constant around, or with NumPy's index modes ("edge", "reflect", "symmetric",
    "wrap").

    >>> tg.pad([1.0, 2.0], (1, 2))
    tensor([0., 1., 2., 0., 0.], dtype=float32)
    """
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
    y = apply(a.PAD, (x,), (widths,))
    if not values.any():
        return y
    frame = numpy.pad(numpy.zeros(x.shape, x.dtype), widths, constant_values=values)
    return y + Node.result_type(x._backend.from_host(frame), x._backend)


# -- places that were chosen --------------------------------------------------------------------------


def indices_of(
    what: str,
    backend: Backend,
    indices: ArrayLike,
    n: int,
    least: int | None = None,
    advice: str = "",
    kinds: str = "iu",
) -> Tensor:
    """Integers from ``least`` (by default −n) to n − 1 on a backend, of some kinds of dtypes.

    Raises:
        DtypeError: they are no integers.
        IndexRangeError: others, as :func:`check_range`; what is given as an array or a list is looked at
            before it goes to a device.
    """
    indices = lift(indices, backend) if holds_tensors(indices) else indices
    array = indices._data if isinstance(indices, Node) else host_array(indices)
    if array.dtype.kind not in kinds and array.size:
        raise DtypeError(f"{what} must be a whole number, got dtype {array.dtype}")
    if isinstance(indices, Node):
        return check_range(
            what,
            as_tensor(indices) if array.dtype.kind in kinds else astype(indices, numpy.int64),
            n,
            least,
            advice,
        )
    backends.get("numpy").within(array, what, -n if least is None else least, n, advice)
    array = array if array.size else array.astype(numpy.int64)
    return Node.result_type(backend.from_host(array), backend)


def check_range(what: str, indices: Tensor, n: int, least: int | None = None, advice: str = "") -> Tensor:
    """Integers from ``least`` (by default −n) to n − 1, themselves.

    A trace, which has no values yet, holds the check; but what the array module refuses itself is left to
    that.

    Raises:
        IndexRangeError: others, on the processor; on a device, which would have to be waited for, nobody
            looks.
    """
    params = (what, -n if least is None else least, n, advice)
    if not thread.tracing:
        indices._backend.within(indices._data, *params)
    elif least is not None:
        return choose(WITHIN, (indices,), params)
    return indices


def lookup(what: str, x: Tensor, indices: ArrayLike, advice: str = "", padding: int | None = None) -> Tensor:
    """Rows of x by numbers that do not count from its end: of words, of classes; the row ``padding`` gets no
    residual.

    Raises:
        DtypeError: they are no integers.
        IndexRangeError: there is no such row. On a device, where nobody looks, it is NaN.
    """
    indices = indices_of(f"{what}: the number", x._backend, indices, x.shape[0], 0, advice)
    y = apply(a.TAKE, (x, indices), (0,))
    if padding is not None:
        learned = expand_dims(not_equal(indices, padding), tuple(range(indices.ndim, y.ndim)))
        y = where(learned, y, y.detach())
    return nan_outside(y, indices, x.shape[0])


def nan_outside(y: Tensor, indices: Tensor, n: int) -> Tensor:
    """y; on a device NaN where a number does not lie from 0 to n − 1: there nobody waits to look at them."""
    if indices._backend.name == "numpy":
        return y
    inside = logical_and(greater_equal(indices, 0), less(indices, n))
    return where(expand_dims(inside, tuple(range(inside.ndim, y.ndim))), y, math.nan)


# fmt: off
__all__ = [
    "pad", "take", "take_along_axis",
]
