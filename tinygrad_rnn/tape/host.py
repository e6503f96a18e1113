"""NumPy arrays of what a user hands over: numbers, nested lists, arrays of any kind."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Sequence
from typing import Any

import numpy

from .. import arguments
from ..arguments import DTypeLike
from ..backends import Array, Backend
from ..effects import effect
from ..errors import DtypeError, ShapeError, TapeError
from .entry import Node
from .mode import no_grad

PYTHON_NUMBERS = frozenset((float, int, bool))
"""Types of numbers that take the dtype which they meet."""

default_dtype: numpy.dtype[Any] = numpy.dtype(numpy.float32)


@effect("sets the default dtype")
def set_default_dtype(dtype: DTypeLike) -> None:
    """The dtype that Python floats and lists of them get (float32 at first).

    >>> tg.set_default_dtype("float64")
    >>> tg.tensor(0.5)
    tensor(0.5, dtype=float64)
    """
    global default_dtype
    default_dtype = arguments.float_dtype("set_default_dtype: dtype", dtype)


def host_array(x: Any, dtype: Any = None, floats: Any = None) -> numpy.ndarray:
    """A NumPy array of x; arrays keep their dtype, Python floats get the one for them, by default the default
    one.

    Raises:
        DtypeError: not numbers, or complex ones.
        ShapeError: a nested list whose parts differ in length.
        TapeError: a tensor that is being recorded.
    """
    array = _of_numbers(_array(x, None), x, dtype)
    # of x itself, not of the array: a number out of range is then an error
    array = array if dtype is None else _array(x, dtype)
    typed = dtype is not None or isinstance(x, _TYPED) or hasattr(x, "__array__")
    if (
        not typed
        and array.dtype == numpy.float64
        and not (isinstance(x, (list, tuple)) and _holds(x, _TYPED))
    ):
        return array.astype(default_dtype if floats is None else floats)
    return array


def host_values(x: Any) -> numpy.ndarray:
    """The same where the values are asked for, also those of a tensor that is being recorded."""
    with no_grad():
        return host_array(x)


_TYPED = (numpy.ndarray, numpy.generic)
"""What has a dtype that counts, also in a list."""


def _array(x: Any, dtype: Any) -> numpy.ndarray:
    try:
        return numpy.asarray(x, dtype)
    except TapeError as error:  # of a tensor inside
        raise TapeError(f"{arguments.place(x)}{error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise uneven(x, "several") from error
        raise DtypeError(
            f"{arguments.place(x)}cannot make a tensor of {type(x).__name__}: {error}"
        ) from error
    except RuntimeError as error:  # PyTorch's for its tensors on a tape
        said = f"cannot make a tensor of {type(x).__name__}: {error}{no_history(error)}"
        raise DtypeError(f"{arguments.place(x)}{said}") from error


def no_history(error: Exception) -> str:
    """What to do where another library says that an array of its own is on its tape; "" for its other
    errors."""
    return "; take its values without its history, as with .detach()" if "grad" in str(error) else ""


def plain_array(x: Array, backend: Backend, given: Any = None) -> Array:
    """The same memory as an array of the backend's own class: the user's may be of a subclass.

    Args:
        given: what the user gave, where x is only made of it: for the text of an error.

    Raises:
        DtypeError: not numbers, or some of them are masked.
    """
    return backend.asarray(_of_numbers(x, x if given is None else given))


def _of_numbers(array: Array, x: Any, dtype: Any = None) -> Array:
    """An array that was made of x, in this machine's byte order, if its elements are numbers. Where a dtype
    was asked for, these may also be fractions, or integers of any size.

    Raises:
        DtypeError: it is none, or some of the numbers are masked.
    """
    kind = array.dtype.kind
    if type(x) is not numpy.ndarray and _is_masked(x):
        raise DtypeError(
            f"{arguments.place(x)}cannot make a tensor of a masked array: write .filled(number), or "
            ".compressed()"
        )
    if not array.dtype.isnative and kind in "biuf":
        return array.astype(numpy.dtype(array.dtype.type))
    if kind in "biuf" or (
        kind == "O" and dtype is not None and all(isinstance(part, numbers.Real) for part in array.flat)
    ):
        return array
    what = f"{arguments.shown(x)}, dtype {array.dtype}"
    raise DtypeError(
        f"{arguments.place(x)}cannot make a tensor of {what}: give numbers that are bool, int or float"
    )


def _is_masked(x: Any) -> bool:
    """Whether an array, or one in a nested list, has masked elements."""
    masked = sys.modules.get("numpy.ma")  # where nobody has loaded it there are none
    if masked is None or type(x) in PYTHON_NUMBERS:
        return False
    if isinstance(x, (list, tuple)):
        return _holds(x, masked.MaskedArray) and any(map(_is_masked, x))
    return isinstance(x, masked.MaskedArray) and bool(masked.is_masked(x))


def holds_tensors(x: Any) -> bool:
    """Whether x is a nested list or tuple with a tensor in it."""
    return isinstance(x, (list, tuple)) and _holds(x, Node)


def _holds(x: Sequence[Any], kinds: Any) -> bool:
    """Whether a nested list holds something of some types. Of a long list of numbers not each is looked
    at."""
    todo, seen = [x], set()
    while todo:
        part = todo.pop()
        if id(part) in seen:  # a list may hold itself
            continue
        seen.add(id(part))
        types = set(map(type, part))
        if any(issubclass(kind, kinds) for kind in types):
            return True
        if any(issubclass(kind, (list, tuple)) for kind in types):
            todo += [inner for inner in part if isinstance(inner, (list, tuple))]
    return False


def uneven(x: Any, shapes: str) -> ShapeError:
    return ShapeError(
        f"{arguments.place(x)}a list stands for the stack of its parts, which must have one shape, not "
        f"{shapes}: "
        "make them equally long with tg.pad, or join them with tg.concatenate"
    )
