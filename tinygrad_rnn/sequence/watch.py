"""Calls out of Python that a cell makes while it is traced, seen before they happen.

Python tells a profile function of each function of C that is about to be called. Allowed are ours, NumPy's,
and those that only compute; any other (a clock, a file, a random number, a print) would not happen at each
step of a compiled scan, so the trace is refused by name.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import types
from collections.abc import Callable
from typing import Any

from ..cleanup import with_cleanup
from ..effects import effects
from ..errors import TraceError
from ..reading.closure import Closure
from ..tape import Tracing
from ..user_code import PACKAGE, calling_line, file_of, is_user, within

_REFUSED_BUILTINS = frozenset(
    ["open", "input", "print", "breakpoint", "exec", "eval", "compile", "globals", "help", "exit", "quit",
     "id"]
)  # fmt: skip
_COMPUTES = frozenset(
    ["math", "cmath", "_operator", "_functools", "itertools", "_collections", "_abc", "_struct", "_bisect",
     "_json", "_statistics", "_decimal", "_weakref", "_typing", "_contextvars", "_string", "unicodedata",
     "_sre", "_heapq", "zlib", "binascii", "_hashlib", "_blake2", "_md5", "_sha1", "_sha2", "_sha256",
     "_sha512", "_sha3", "datetime", "_datetime"]
)  # fmt: skip
"""Modules of C functions that only compute, or change what can be put back."""

_OUTSIDE = frozenset(
    ["time", "posix", "nt", "_io", "io", "_socket", "_random", "signal", "_posixsubprocess", "select",
     "mmap", "fcntl", "syslog", "_ssl", "_sqlite3", "_ctypes", "readline", "_curses", "winreg", "msvcrt",
     "_winapi", "_warnings", "_locale"]
)  # fmt: skip
"""Modules of C functions that touch the world outside, also when code of the standard library calls them."""

_HARMLESS = frozenset(
    [
        "posix.fspath",
        "nt.fspath",
        "_warnings._filters_mutated",
        "sys.getsizeof",
        "sys.intern",
        "_thread.__enter__",
        "_thread.__exit__",
    ]
)
"""Functions of such modules, and of others, that do not."""

_LETS_GO = frozenset(["release", "close", "__exit__"])
"""What code does on its way out, after a refusal too: what it holds must not stay held."""

_NOT_PURE = frozenset(
    ["fromfile", "load", "save", "tofile", "dump", "setflags", "now", "utcnow", "today", "fromtimestamp",
     "astimezone", "timestamp"]
)  # fmt: skip
"""Functions and methods of NumPy and of ``datetime`` that do."""

_ENVIRONMENT = frozenset(
    method.__code__ for method in vars(type(os.environ)).values() if isinstance(method, types.FunctionType)
)
_SEED = random.Random.seed.__code__


DRAWN_BEFORE = "draw the numbers before the scan and give them to it with xs"
DONE_BEFORE = "do that before or after the scan"
CARRIED = "carry what changes in the state"
"""What to write instead."""


class Watch:
    """A block in which what a cell calls is looked at.

    Args:
        closure: what the cell can read.
        tracing: the trace, which is refused.

    Attributes:
        unread: the name of a function that ran and had not been read.

    Raises:
        TraceError: another profiler is at work that cannot be put aside.
    """

    def __init__(self, closure: Closure, tracing: Tracing) -> None:
        self._closure, self._tracing = closure, tracing
        self._other: Any = sys.getprofile()
        if self._other is not None and not callable(self._other) and not hasattr(self._other, "disable"):
            raise TraceError("a profiler is at work, so that the calls of the cell cannot be seen")
        self.unread: str | None = None
        self._trusted: types.FrameType | None = None
        """A call that is nothing of the cell's: all that it does is left alone."""
        self._seeded: dict[int, random.Random] = {}
        """Generators that the cell made by itself, from a number."""

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function, and look at what it calls."""
        other = self._other

        def watched() -> Any:
            if other is not None and not callable(other):
                other.disable()
            sys.setprofile(self._event)
            return function(*args)

        def put_back() -> None:
            sys.setprofile(other if callable(other) else None)
            if other is not None and not callable(other):
                other.enable()

        return with_cleanup(put_back, watched)

    def _event(self, frame: types.FrameType, event: str, argument: Any) -> None:
        if self._trusted is not None:
            if event == "return" and frame is self._trusted:
                self._trusted = None
            return
        code, origin = frame.f_code, _whose(frame)
        if event == "call":
            if code in effects:
                self._tracing.refuse(
                    f"the cell {effects[code]}, in {code.co_name}()",
                    DRAWN_BEFORE if "random" in effects[code] else DONE_BEFORE,
                )
            if code in _ENVIRONMENT and _on_behalf_of(frame) == "user":
                self._tracing.refuse("the cell reads or writes environment variables", DONE_BEFORE)
            if (
                code is _SEED
                and frame.f_locals["a"] is not None
                and id(frame.f_locals["self"]) not in self._closure.held
            ):
                self._seeded[id(frame.f_locals["self"])] = frame.f_locals["self"]
            if origin == "import" or code is calling_line.__code__:
                self._trusted = frame
            elif origin == "user" and code not in self._closure.codes:
                if frame.f_back is None or _whose(frame.f_back) != "ours":
                    self.unread = self.unread or code.co_name
                    self._tracing.refuse(
                        f"the cell runs {code.co_name}(), which it reaches in a way that cannot be followed"
                    )
                self._trusted = frame  # an array module's
        # what ours do to the world outside says so, in effects
        elif event == "c_call" and _on_behalf_of(frame) == "user":
            self._check(argument, origin)

    def _check(self, function: Any, origin: str) -> None:
        if self._tracing.refusal is not None and function.__name__ in _LETS_GO:
            return
        if (
            id(getattr(function, "__self__", None)) in self._seeded
            or f"{_module(function)}.{function.__name__}" in _HARMLESS
        ):
            return
        if (
            function.__name__ == "pop"
            and type(function.__self__) is set
            and id(function.__self__) in self._closure.held
        ):
            # which one is next could not be put back
            self._tracing.refuse("the cell changes what it reads, by set.pop()", CARRIED)
        if origin == "library":
            if _module(function) in _OUTSIDE:
                self._tracing.refuse(f"the cell calls {_called(function)}", _instead(function))
        elif not _computes(function):
            self._tracing.refuse(
                f"the cell calls {_called(function)}, which is not known to do the same at each step",
                _instead(function),
            )


def _instead(function: Any) -> str:
    """What to write instead of a call."""
    return DRAWN_BEFORE if "random" in _called(function).lower() else DONE_BEFORE


def _on_behalf_of(frame: types.FrameType) -> str:
    """Whose code called the library that a frame is in."""
    caller: types.FrameType | None = frame
    while caller is not None and _whose(caller) == "library":
        caller = caller.f_back
    return "user" if caller is None else _whose(caller)


def _whose(frame: types.FrameType) -> str:
    """As :func:`_origin`. What the standard library wrote for a named tuple knows no file, and only makes a
    tuple; the import machinery is known by its code, since its modules may be given a file."""
    if frame.f_code.co_filename.startswith("<frozen importlib"):
        return "import"
    if frame.f_globals.get("__name__", "").startswith("namedtuple_") and "__file__" not in frame.f_globals:
        return "library"
    return _origin(file_of(frame))


@functools.lru_cache(maxsize=4096)
def _origin(file: str) -> str:
    """Whose code a file is: "ours", a "library" that is trusted but for the world outside, or the
    "user"'s."""
    if within(file, PACKAGE):
        return "ours"
    return "user" if is_user(file) else "library"


def _computes(function: Any) -> bool:
    """Whether a function of C does nothing but compute."""
    module, name = _module(function), function.__name__
    if module == "builtins":
        return name not in _REFUSED_BUILTINS
    if function.__name__ in _NOT_PURE and module.partition(".")[0] in ("numpy", "datetime"):
        return False
    if getattr(function, "__self__", None) is not None and not isinstance(
        function.__self__, types.ModuleType
    ):
        return module.partition(".")[0] in _METHODS_COMPUTE
    return module.partition(".")[0] == "numpy" or module in _COMPUTES


_METHODS_COMPUTE = frozenset(
    ["collections", "numpy", "re", "functools", "types", "_contextvars", "datetime", "_hashlib", "_blake2",
     "decimal"]
)  # fmt: skip


def _module(function: Any) -> str:
    """The module of a C function; of a method that of the type that it is written for."""
    bound = getattr(function, "__self__", None)
    if bound is None or isinstance(bound, types.ModuleType):
        return getattr(function, "__module__", None) or "builtins"
    kind, name = bound if isinstance(bound, type) else type(bound), function.__name__
    return next((base for base in kind.__mro__ if isinstance(vars(base).get(name), _OF_C)), kind).__module__


_OF_C = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.BuiltinFunctionType,
    staticmethod,
)


def _called(function: Any) -> str:
    """``random.Random.random()``, as a reader knows it."""
    module = _module(function)
    name = getattr(function, "__qualname__", function.__name__)
    return (
        f"{name}()"
        if module == "builtins"
        else f"{module if module == '__main__' else module.lstrip('_')}.{name}()"
    )
