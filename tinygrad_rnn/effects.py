"""Functions of the library that change something that stays, or draw random numbers.

A cell that calls one of them does not do the same at each step, so it cannot be compiled. To mark a function
costs it nothing.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

effects: dict[types.CodeType, str] = {}
"""What a function does, by its code."""


def effect(what: str) -> Callable[[F], F]:
    """Mark a function: ``@effect("draws random numbers")``."""

    def mark(function: F) -> F:
        effects[function.__code__] = what
        return function

    return mark
