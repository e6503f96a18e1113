"""NumPy's functions called with tensors: ``np.tanh(t)`` is ``tg.tanh(t)``, recorded.

A function that the library has under the same name is called instead, its arguments named as NumPy names
them. Others get the values of tensors that require no grad. A tensor that requires one is refused by them: it
would leave the tape without a word.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from . import derived, linalg, ops, tree
from .errors import TapeError, TinygradRNNError
from .tape import cuts, off_tape
from .tensor import Tensor

_NAMES = {
    **{name: getattr(room, name) for room in (*ops.ROOMS, *derived.ROOMS) for name in room.__all__},
    **{f"linalg.{name}": getattr(linalg, name) for name in linalg.__all__},
}
"""The library's functions of arrays."""

_MAKERS = ("arange", "eye", "full", "identity", "linspace", "ones", "zeros")
"""Of these only the result is an array."""


def _of_booleans(name: str) -> Callable[..., Any]:
    """What ``&``, ``|``, ``^`` and ``~`` of arrays call. There is a row for booleans; the bits of whole
    numbers are NumPy's alone."""
    theirs = numpy.invert if name == "not" else getattr(numpy, f"bitwise_{name}")

    def bitwise(*xs: Any) -> Any:
        if all(ops.as_tensor(x).dtype == numpy.bool_ for x in xs):
            return getattr(ops, f"logical_{name}")(*xs)
        return _by_numpy(theirs, xs, {}, lambda: f"np.{theirs.__name__} is for booleans and whole numbers")

    return bitwise


def _size(a: Any, axis: ops.Axis = None) -> int:
    x = ops.as_tensor(a)
    return math.prod(x.shape[i] for i in ops.axes_of(x, axis))


def _result_type(*arrays_and_dtypes: Any) -> Any:
    return numpy.result_type(*(x.dtype if isinstance(x, Tensor) else x for x in arrays_and_dtypes))


def _shared() -> dict[Any, Callable[..., Any]]:
    """NumPy's functions, and what is called instead."""
    found = {}
    for path, ours in _NAMES.items():
        room, _, name = path.rpartition(".")
        theirs = getattr(numpy.linalg if room else numpy, name, None)
        if theirs is not None and name not in _MAKERS:
            found[theirs] = ours
    return found


_SHARED: dict[Any, Callable[..., Any]] = {
    **_shared(),
    numpy.divmod: lambda x1, x2: (ops.floor_divide(x1, x2), ops.mod(x1, x2)),
    numpy.bitwise_and: _of_booleans("and"),
    numpy.bitwise_or: _of_booleans("or"),
    numpy.bitwise_xor: _of_booleans("xor"),
    numpy.invert: _of_booleans("not"),
    numpy.shape: lambda a: ops.as_tensor(a).shape,
    numpy.ndim: lambda a: ops.as_tensor(a).ndim,
    numpy.size: _size,
    numpy.result_type: _result_type,
    numpy.iscomplexobj: lambda x: False,
    numpy.isrealobj: lambda x: True,
}

_LOOKERS = {numpy.array_equal, numpy.array_equiv, numpy.array2string, numpy.array_repr, numpy.array_str}
"""What they answer has no gradient, so that they may look at values."""

_WRITERS = {numpy.copyto, numpy.fill_diagonal, numpy.place, numpy.put, numpy.put_along_axis, numpy.putmask}
"""They write into their first argument, as ``ufunc.at`` does."""

_METHODS = {
    "add.reduce": "sum",
    "add.accumulate": "cumsum",
    "multiply.reduce": "prod",
    "multiply.accumulate": "cumprod",
    "multiply.outer": "outer",
    "maximum.reduce": "max",
    "minimum.reduce": "min",
    "logical_and.reduce": "all",
    "logical_or.reduce": "any",
}


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
    """What NumPy calls for its elementwise functions, and for an operator with an array on its left."""
    if method != "__call__":
        refusal = functools.partial(_refusal, f"{ufunc.__name__}.{method}", None, keywords)
        return _by_numpy(getattr(ufunc, method), inputs, keywords, refusal)
    ours = _SHARED.get(ufunc)
    if ours is not None and not keywords:
        return ours(*inputs)
    return _by_numpy(ufunc, inputs, keywords, functools.partial(_refusal, ufunc.__name__, ufunc, keywords))


def _array_function(
    self: Tensor, function: Any, types: Any, args: Sequence[Any], keywords: Mapping[str, Any]
) -> Any:
    """What NumPy calls for its other functions."""
    ours = _SHARED.get(function)
    call = None if ours is None else _bound(function, ours, args, keywords)
    if ours is not None and call is not None:
        try:
            return ours(*call[0], **call[1])
        except TinygradRNNError:  # NumPy takes more, such as None in places
            if any(map(cuts, tree.leaves([args, keywords]))):
                raise
    room = "linalg." if getattr(function, "__module__", "") == "numpy.linalg" else ""
    return _by_numpy(
        function, args, keywords, functools.partial(_refusal, room + function.__name__, function, keywords)
    )


def _bound(
    function: Any, ours: Any, args: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments of a call to NumPy's function as ours takes them; None where it does not."""
    positional, named = list(args), dict(keywords)
    theirs = _signature(function)
    if theirs is not None:
        positional, named = [], {}
        for name, value in theirs.bind(*args, **keywords).arguments.items():
            parameter = theirs.parameters[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional += value
            elif parameter.kind is parameter.VAR_KEYWORD:
                named |= value
            elif parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif value is not parameter.default and not (
                type(value) in (bool, int, float, str) and value == parameter.default
            ):
                named[name] = value
    try:
        _signature(ours).bind(*positional, **named)  # type: ignore[union-attr]
    except TypeError:
        return None
    return positional, named


@functools.cache
def _signature(function: Any) -> inspect.Signature | None:
    """None where NumPy does not tell: its parameters are in the order of ours then."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def _refusal(name: str, function: Any, keywords: Mapping[str, Any]) -> str:
    """Why tensors on the tape cannot go into a call, and what to write."""
    if keywords.get("out") is not None:
        return (
            f"np.{name} writes into an array, which holds no gradient: use what tg.{name} returns, as "
            "in a = a + t for a += t"
        )
    if function in _SHARED:
        return f"np.{name} was called with arguments that tg.{name} does not have: write it without them"
    if name in _NAMES:
        return f"np.{name} makes a constant, and so does tg.{name}"
    import difflib  # only errors need it

    nearest = _METHODS.get(name) or next(iter(difflib.get_close_matches(name, _NAMES, 1, 0.8)), "")
    return f"tinygrad_rnn has no function {name}" + (f"; the nearest is tg.{nearest}" if nearest else "")


def _by_numpy(
    function: Any, args: Sequence[Any], keywords: Mapping[str, Any], refusal: Callable[[], str]
) -> Any:
    """NumPy's own function of the values.

    Raises:
        TapeError: a tensor that requires grad is among the arguments, or one is to be written to.
    """
    written = [keywords.get("out"), args[0] if function in _WRITERS or function.__name__ == "at" else None]
    if any(isinstance(x, Tensor) for x in tree.leaves(written)):
        raise TapeError(
            f"np.{function.__name__} would write into a tensor: make another one, with tg.where for example"
        )
    if function not in _LOOKERS and any(map(cuts, tree.leaves([args, keywords]))):
        raise off_tape(refusal())
    values = tree.map_leaves(
        lambda x: x.numpy() if isinstance(x, Tensor) else x, (tuple(args), dict(keywords))
    )
    return function(*values[0], **values[1])


def _mask(self: Tensor) -> Any:
    """``np.ma`` computes with the ``_data`` of whatever has one, and asks for this beside it."""
    if cuts(self):
        raise off_tape("in a masked array it is not recorded; tg.where(mask, t, 0) is")
    raise AttributeError("a tensor has no mask")


Tensor.__array_ufunc__ = _array_ufunc
Tensor.__array_function__ = _array_function
Tensor._mask = property(_mask)  # type: ignore[attr-defined]
