"""What a function holds, as the walker of modules needs it: a cell that is a plain function has its
parameters there.

    def make_cell(W):                          W    closed over
        def cell(x, h, U=tg.nn.Parameter(…)):  U    a default
            h = tg.tanh(x @ W + h @ U + b)     b    a global that the code names
            return h, h

and so for what ``functools.partial`` and a bound method hold, for the attributes of an object that can be
called, and for the functions that all of these name in turn.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator
from typing import Any

from ..reading.steady import steady_class, steady_function
from ..reading.stores import MISSING, content_of


def held_by(function: Any) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of what a callable can read; those that can be called themselves are followed
    by what they can read."""
    seen: set[int] = set()
    todo = [("", function)]
    for path, each in todo:
        if id(each) in seen:
            continue
        seen.add(id(each))
        for name, value in _variables(each):
            yield f"{path}{name}", value
            if callable(value):
                todo.append((f"{path}{name}.", value))


def _variables(function: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(function, types.MethodType):
        yield "self", function.__self__
        yield from ((f"self.{name}", value) for name, value in _attributes(function.__self__))
        yield from _variables(function.__func__)
    elif isinstance(function, functools.partial):
        yield "func", function.func
        names = function.func.__code__.co_varnames if isinstance(function.func, types.FunctionType) else ()
        yield from ((names[i] if i < len(names) else str(i), value) for i, value in enumerate(function.args))
        yield from function.keywords.items()
    elif isinstance(function, types.FunctionType):
        yield from _of_function(function)
    elif callable(function):
        yield from _attributes(function)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Those of a plain object; a module's are found by the walker of modules."""
    kind: Any = type(thing)
    if not isinstance(thing, type) and not hasattr(thing, "named_parameters") and not steady_class(kind):
        yield from getattr(thing, "__dict__", {}).items()


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    if steady_function(function):
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if content_of(cell) is not MISSING:
            yield name, content_of(cell)
    defaults = function.__defaults__ or ()
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    yield from zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    yield from (
        (name, function.__globals__[name])
        for name in _globals(function.__code__)
        if name in function.__globals__
    )


@functools.lru_cache(maxsize=1024)
def _globals(code: types.CodeType) -> tuple[str, ...]:
    """The globals that code reads, with that of the functions inside it."""
    names = {
        step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(_globals(constant))
    return tuple(sorted(names))
