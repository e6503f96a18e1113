"""Exchange with files and with other frameworks: a room for each, imported when it is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import c, convert, keras, onnx, safetensors, tensorflow, torch

__all__ = ["c", "convert", "keras", "onnx", "safetensors", "tensorflow", "torch"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return importlib.import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return __all__
