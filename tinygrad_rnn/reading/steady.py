"""What nobody changes while a program runs: the code of Python, of NumPy and of this library, known by its
file and not by its name.

A module's name and the ``__module__`` of a class say what somebody wrote there: a file ``calendar.py`` beside
a script is the user's, and so is a class that ``types.new_class`` made.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
import types
from typing import Any

from ..user_code import is_user

LIBRARY = __package__.partition(".")[0]
MODULE = f"{LIBRARY}.nn.module"
_BACKENDS = tuple(os.path.join("site-packages", name, "") for name in ("cupy", "llvmlite"))
_WITHOUT_FILE = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter)
_HEAP_TYPE = 1 << 9
"""The flag of a class that was made while Python runs."""


def top(module: str | None) -> str:
    return (module or "").partition(".")[0]


@functools.lru_cache(maxsize=4096)
def steady_file(file: str) -> bool:
    return not is_user(file) or any(folder in file for folder in _BACKENDS)


@functools.lru_cache(maxsize=512)
def steady_module(module: Any) -> bool:
    spec = vars(module).get("__spec__") if isinstance(module, types.ModuleType) else None
    if spec is None:
        return False
    if spec.origin in ("built-in", "frozen"):
        return spec.loader in _WITHOUT_FILE
    places = list(spec.submodule_search_locations or ()) if spec.origin is None else [spec.origin]
    return bool(places) and all(
        steady_file(os.path.join(place, "")) if spec.origin is None else steady_file(place)
        for place in places
    )


def steady_function(function: types.FunctionType) -> bool:
    return steady_file(function.__code__.co_filename)


def can_be_patched(kind: type) -> bool:
    """Whether attributes of a class can be set."""
    return bool(kind.__flags__ & _HEAP_TYPE)


@functools.lru_cache(maxsize=4096)
def steady_class(kind: Any) -> bool:
    """Whether a class stands in such a module under its name, or is part of Python."""
    if not can_be_patched(kind):
        return True
    place: Any = sys.modules.get(kind.__module__)
    if place is None or not steady_module(place):
        return False
    for name in kind.__qualname__.split("."):
        place = vars(place).get(name)
        if not hasattr(place, "__dict__"):
            return False
    return place is kind
