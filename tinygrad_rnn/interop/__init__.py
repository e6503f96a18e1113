"""Exchange with files and with other frameworks. What needs packages of its own is imported when it is asked
for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import safetensors

if TYPE_CHECKING:
    from . import onnx as onnx

__all__ = ["onnx", "safetensors"]

_ON_DEMAND = ("onnx",)


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'tinygrad_rnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
