"""Calls out of Python that a cell makes while it is traced, seen before they happen.

Python tells a profile function of each function of C that is about to be called. Allowed are ours, NumPy's, and those that only compute;
any other (a clock, a file, a random number, a print) would not happen at each step of a compiled scan, so the trace is refused by name.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

from ..cleanup import with_cleanup
from ..effects import effects
from ..errors import TraceError
from ..reading.closure import Closure
from ..tape import Tracing
from ..user_code import PACKAGE, calling_line, is_user, within

_REFUSED_BUILTINS = frozenset(
    ["open", "input", "print", "breakpoint", "exec", "eval", "compile", "globals", "help", "exit", "quit", "id"]
)  # fmt: skip
_COMPUTES = frozenset(
    ["math", "cmath", "_operator", "_functools", "itertools", "_collections", "_abc", "_struct", "_bisect", "_json", "_statistics",
     "_decimal", "_weakref", "_typing", "_contextvars", "_string", "unicodedata", "_sre", "_heapq"]
)  # fmt: skip
"""Modules of C functions that only compute; those that change an argument are known by the name, for any of them."""

_CHANGES = frozenset(
    ["append", "appendleft", "extend", "extendleft", "insert", "pop", "popleft", "popitem", "remove", "discard", "add", "clear", "update",
     "setdefault", "sort", "reverse", "rotate", "move_to_end", "difference_update", "intersection_update", "symmetric_difference_update",
     "setitem", "delitem", "iadd", "iconcat", "heappush", "heappop", "heapify", "heapreplace", "heappushpop", "insort", "insort_left",
     "insort_right"]
)  # fmt: skip
"""Methods and functions that change a container."""

_OUTSIDE = frozenset(
    ["time", "posix", "nt", "_io", "io", "_socket", "_random", "signal", "_posixsubprocess", "select", "mmap", "fcntl", "syslog", "_ssl",
     "_sqlite3", "_ctypes", "readline", "_curses", "winreg", "msvcrt", "_winapi", "_warnings"]
)  # fmt: skip
"""Modules of C functions that touch the world outside, also when code of the standard library calls them."""


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
        self.unread: str | None = None
        self._trusted: types.FrameType | None = None
        """A call that is nothing of the cell's: all that it does is left alone."""

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function, and look at what it calls.

        Raises:
            TraceError: another profiler is at work that cannot be put aside.
        """
        other: Any = sys.getprofile()
        if other is not None and not callable(other) and not hasattr(other, "disable"):
            raise TraceError("a profiler is at work, so that the calls of the cell cannot be seen")

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
        code, origin = frame.f_code, _origin(frame.f_code.co_filename)
        if event == "call":
            if code in effects:
                self._tracing.refuse(f"the cell {effects[code]}, in {code.co_name}()")
            if origin == "import" or code is calling_line.__code__:
                self._trusted = frame
            elif origin == "user" and code not in self._closure.codes:
                if frame.f_back is None or _origin(frame.f_back.f_code.co_filename) != "ours":
                    self.unread = self.unread or code.co_name
                    self._tracing.refuse(f"the cell runs {code.co_name}(), which it reaches in a way that cannot be followed")
                self._trusted = frame  # an array module's
        elif event == "c_call" and origin != "ours":
            self._check(argument, origin)

    def _check(self, function: Any, origin: str) -> None:
        if origin == "library":
            if _module(function) in _OUTSIDE:
                self._tracing.refuse(f"the cell calls {_called(function)}")
        elif id(getattr(function, "__self__", None)) in self._closure.containers and function.__name__ in _CHANGES:
            self._tracing.refuse(f"the cell changes what it reads, by {_called(function)}")
        elif not _computes(function):
            self._tracing.refuse(f"the cell calls {_called(function)}, which is not known to do the same at each step")


@functools.lru_cache(maxsize=4096)
def _origin(file: str) -> str:
    """Whose code a file is: "ours", a "library" that is trusted but for the world outside, the "import" machinery, or the "user"'s."""
    if file.startswith("<frozen importlib"):
        return "import"
    if within(file, PACKAGE):
        return "ours"
    return "user" if is_user(file) else "library"


def _computes(function: Any) -> bool:
    """Whether a function of C does nothing but compute."""
    module, name = _module(function), function.__name__
    if module == "builtins":
        return name not in _REFUSED_BUILTINS
    if getattr(function, "__self__", None) is not None and not isinstance(function.__self__, types.ModuleType):
        return module.partition(".")[0] in ("collections", "numpy", "re", "functools", "types", "_contextvars")
    if module.partition(".")[0] == "numpy":
        return name not in ("fromfile", "load", "save")
    return module in _COMPUTES and name not in _CHANGES


def _module(function: Any) -> str:
    """The module of a C function; of a method that of the type that it is written for."""
    bound = getattr(function, "__self__", None)
    if bound is None or isinstance(bound, types.ModuleType):
        return getattr(function, "__module__", None) or "builtins"
    kind, name = bound if isinstance(bound, type) else type(bound), function.__name__
    return next((base for base in kind.__mro__ if name in vars(base)), kind).__module__


def _called(function: Any) -> str:
    """``random.Random.random()``, as a reader knows it."""
    module = _module(function)
    name = getattr(function, "__qualname__", function.__name__)
    return f"{name}()" if module == "builtins" else f"{module.lstrip('_')}.{name}()"
