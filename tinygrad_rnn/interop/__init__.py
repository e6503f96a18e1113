"""Exchange with files and with other frameworks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import safetensors

if TYPE_CHECKING:
    from . import c as c

_ON_DEMAND = ("c",)
"""Rooms that are imported when they are first asked for."""

__all__ = ["c", "safetensors"]


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
