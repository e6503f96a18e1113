"""Checks of arguments: one for each kind, named after the kind, for every public function that takes one.

Each takes what to call the argument ("LSTM: hidden_size") and its value, and returns the value as the library
goes on with it, or raises an ArgumentError that says what to write. They run before anything is changed, in
constructors and in functions that are no inner loop: what an operation on tensors is given is left to the
array module, and ``tape`` explains what that says.
"""

from __future__ import annotations

import inspect
import math
import numbers
import operator
import os
import reprlib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, TypeAlias, TypeVar

import numpy

from .errors import ArgumentError, DtypeError, ShapeError

T = TypeVar("T")

DTypeLike: TypeAlias = "str | type[bool] | type[int] | type[float] | type[numpy.generic] | numpy.dtype[Any]"
"""What stands for a dtype."""


_LONGEST = 300


def shown(value: Any) -> str:
    """A value in an error's text: short, whatever it is."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and shape and dtype is not None:
        return f"{type(value).__name__} of shape {shape} and dtype {dtype}"
    text = reprlib.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def refused(what: str, expected: str, value: Any) -> ArgumentError:
    """The error of every check."""
    return ArgumentError(f"{what} must be {expected}, not {shown(value)}")


def optional(check: Callable[..., Any], what: str, value: Any, *bounds: Any) -> Any:
    """None, or what a check lets through."""
    return None if value is None else check(what, value, *bounds)


def renamed(call: str, old: str, new: str, given: Any, value: Any) -> Any:
    """The value of a parameter that had another name, for one more release: with a warning what was given
    under the old one."""
    if given is None:
        return value
    warnings.warn(f"{call}: {old} is called {new} now", DeprecationWarning, stacklevel=3)
    return given


# -- numbers: of Python, of NumPy, or an array of one --------------------------------------------------------


def _number(value: Any, kind: type) -> Any:
    """The number, or None. A bool is none; nor is a tensor whose residuals would be lost."""
    if type(value) is int or (type(value) is float and kind is numbers.Real):  # nearly always
        return value
    if (
        getattr(value, "shape", None) == ()
        and hasattr(value, "item")
        and not getattr(value, "requires_grad", False)
    ):
        value = value.item()
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def whole(what: str, value: Any, least: int | None = None) -> int:
    """A whole number. A float is none, whatever its value."""
    number = _number(value, numbers.Integral)
    if number is None:
        raise refused(what, "a whole number", value)
    if least is not None and number < least:
        raise refused(what, f"at least {least}", value)
    return operator.index(number)


def size(what: str, value: Any, least: int = 0) -> int:
    """How many there are of what is made: units, layers, steps."""
    number = whole(what, value, least)
    if number > _MOST:
        raise ArgumentError(f"{what} is more than any memory holds: {shown(number)}")
    return number


_MOST = sys.maxsize >> 3
"""Elements of 8 bytes that an address can tell apart."""


def real(what: str, value: Any) -> float:
    """A number; neither NaN nor, here and below, an infinity."""
    return _real(what, value, lambda x: x == x, "a number")


def number(what: str, value: Any) -> float:
    """A number, also NaN or an infinity."""
    return _real(what, value, lambda x: True, "a number", infinite=True)


def rate(what: str, value: Any) -> float:
    """A learning rate, the weight of a decay, a standard deviation."""
    return _real(what, value, lambda x: x >= 0, "at least 0")


def positive(what: str, value: Any) -> float:
    return _real(what, value, lambda x: x > 0, "above 0")


def probability(what: str, value: Any) -> float:
    return _real(what, value, lambda x: 0 <= x <= 1, "a probability, from 0 to 1")


def decay(what: str, value: Any) -> float:
    """What a running mean keeps of itself at each step."""
    return _real(what, value, lambda x: 0 <= x < 1, "at least 0 and below 1")


def decays(what: str, value: Any) -> tuple[float, float]:
    pair = several(what, value, "two numbers")
    if len(pair) != 2:
        raise refused(what, "two numbers", value)
    return decay(f"{what}[0]", pair[0]), decay(f"{what}[1]", pair[1])


def bound(what: str, value: Any) -> float:
    """What something is held below; an infinity holds nothing."""
    return _real(what, value, lambda x: x >= 0, "at least 0", infinite=True)


def order(what: str, value: Any) -> Any:
    """The order of a norm."""
    if value is None or (isinstance(value, str) and value == "fro"):
        return value
    expected = "None, 'fro' or a number; other norms of matrices need singular values"
    if _number(value, numbers.Real) is None:
        raise refused(what, expected, value)
    return _real(what, value, lambda x: x == x, expected, infinite=True)


def _real(
    what: str, value: Any, fits: Callable[[float], bool], expected: str, infinite: bool = False
) -> float:
    number = _number(value, numbers.Real)
    if number is None:
        raise refused(what, "a number", value)
    if abs(number) > sys.float_info.max:  # also a whole number that no float can hold
        number = math.inf if number > 0 else -math.inf
    if not fits(number):
        raise refused(what, expected, value)
    if math.isinf(number) and not infinite:
        raise refused(what, "finite", value)
    return float(number) + 0.0  # −0 becomes 0


# -- words and choices ---------------------------------------------------------------------------------------


def flag(what: str, value: Any) -> bool:
    """True or False; NumPy's too, and 1 and 0."""
    if value is True or value is False:
        return value
    single = value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
    if isinstance(single, numbers.Integral) and single in (0, 1):
        return bool(single)
    raise refused(what, "True or False", value)


def choice(what: str, value: Any, options: Sequence[Any]) -> Any:
    """One of a few words (or of a few words, True and False)."""
    if isinstance(value, (str, bool)) and value in options:
        return value
    *first, last = map(repr, options)
    raise refused(what, f"{', '.join(first)} or {last}", value)


def text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise refused(what, "a string", value)
    return value


def path(what: str, value: Any) -> str:
    """A path, as a string. Whether anything is there is not looked at.

    Raises:
        ArgumentError: no string or path, an empty one, or one that no file can have.
    """
    name = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(name, str) or not name:
        raise refused(what, "a path: a string or a pathlib.Path", value)
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{what} holds a character that no path can have: {shown(name)}") from error
    if b"\0" in encoded:
        raise ArgumentError(f"{what} holds a NUL character, which no path can have: {shown(name)}")
    return name


# -- arrays --------------------------------------------------------------------------------------------------


def several(what: str, value: Any, expected: str = "a list or tuple") -> tuple[Any, ...]:
    """The parts of what is a list in any way, in their order; but not the characters of a word or the keys of
    a dict."""
    unordered = (str, bytes, Mapping, Set)
    if isinstance(value, unordered) or not isinstance(value, Iterable) or getattr(value, "shape", None) == ():
        raise refused(what, expected, value)
    return tuple(value)


def is_one(value: Any) -> bool:
    """Whether an argument that takes one whole number or several of them is given as one."""
    return type(value) is int or not isinstance(value, Iterable) or getattr(value, "shape", None) == ()


def wholes(what: str, value: Any, least: int | None = None) -> tuple[int, ...]:
    """One whole number or several: axes, lengths, places."""
    if least is None and type(value) is tuple and all(type(part) is int for part in value):  # nearly always
        return value
    if is_one(value):
        return (whole(what, value, least),)
    parts = several(what, value, "a whole number or a tuple of them")
    if getattr(value, "ndim", 1) != 1:
        raise refused(what, "a whole number or a tuple of them", value)
    return tuple([whole(f"{what}[{i}]", part, least) for i, part in enumerate(parts)])


def shape(what: str, value: Any, least: int = 0) -> tuple[int, ...]:
    """The lengths of axes; a number stands for one axis.

    Raises:
        ArgumentError: not whole numbers.
        ShapeError: a length below ``least``, or more elements than any memory holds.
    """
    lengths = wholes(what, value)
    if min(lengths, default=least) < least:
        raise ShapeError(f"{what} must not have negative lengths: {shown(lengths)}")
    if math.prod(lengths) > _MOST:
        raise ShapeError(f"{what} has more elements than any memory holds: {shown(lengths)}")
    return lengths


def dtype(what: str, value: Any) -> numpy.dtype[Any]:
    """A bool, int or float dtype by any name that NumPy knows, in this machine's order of bytes.

    Raises:
        DtypeError: it is none.
    """
    try:
        kind = numpy.dtype(value) if isinstance(value, (str, type, numpy.dtype)) else None
    except (TypeError, ValueError, SyntaxError):  # SyntaxError: NumPy parses what has a comma
        kind = None
    if kind is None or kind.kind not in "biuf":
        raise DtypeError(f"{what} must be a bool, int or float dtype such as 'float32', not {shown(value)}")
    return kind if kind.isnative else numpy.dtype(kind.type)


def float_dtype(what: str, value: Any) -> numpy.dtype[Any]:
    """A float dtype by any name that NumPy knows.

    Raises:
        DtypeError: it is none.
    """
    kind = dtype(what, value)
    if kind.kind != "f":
        raise DtypeError(f"{what} must be a float dtype such as 'float32', not {kind}")
    return kind


# -- functions and what holds others -------------------------------------------------------------------------


def function(what: str, value: Any, instance: bool = False) -> Any:
    """Something that can be called; with ``instance`` no class, which would make an object instead of a
    result."""
    if instance and isinstance(value, type):
        raise ArgumentError(
            f"{what} is the class {value.__name__}, not an instance of it: write {value.__name__}(…)"
        )
    if not callable(value):
        raise refused(what, "a function or another callable", value)
    return value


def instance(what: str, value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise refused(what, f"of the class {kind.__name__}", value)
    return value


def mapping(what: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise refused(what, "a dict", value)
    return value


def seed(what: str, value: Any) -> Any:
    """Where chance starts from: a whole number, several of them, or None for a start that nobody knows."""
    return (
        list(wholes(what, value, 0)) if isinstance(value, (list, tuple)) else optional(whole, what, value, 0)
    )


# -- which argument a value was ------------------------------------------------------------------------------


def place(value: Any) -> str:
    """``"where: y: "``, the public function that the user called and the argument that a value is, for the
    text of an error; "" where that is not seen.

    It is looked up in the frames of the library's functions, on the way out: so no function pays for knowing
    its arguments' names.
    """
    frame: Any = sys._getframe(1)
    outermost = None
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        outermost = outermost if _forwards(frame.f_code) else frame
        frame = frame.f_back
    if outermost is None:
        return ""
    for argument in _names(outermost.f_code):
        given = outermost.f_locals.get(argument)
        if given is value or (isinstance(given, (tuple, list)) and any(part is value for part in given)):
            name = outermost.f_code.co_name
            name = type(outermost.f_locals["self"]).__name__ if name in ("__init__", "__call__") else name
            return f"{name}: {argument}: "
    return ""


def _names(code: Any) -> tuple[str, ...]:
    """The parameters of a function."""
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    names: tuple[str, ...] = code.co_varnames[:count]
    return names


def _forwards(code: Any) -> bool:
    """Whether a function only hands its arguments on, as one that a decorator made."""
    return "args" in _names(code) and bool(code.co_flags & inspect.CO_VARKEYWORDS)
