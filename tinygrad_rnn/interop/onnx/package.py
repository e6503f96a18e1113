"""The package ``onnx``, which knows the format: it reads and writes files and says what is valid. It runs
nothing."""

from __future__ import annotations

import importlib
from typing import Any

from ...errors import CheckpointError


def onnx_package(part: str = "") -> Any:
    """The package, or a part of it.

    Raises:
        CheckpointError: it is not installed.
    """
    try:
        return importlib.import_module(f"onnx{part}")
    except ImportError as missing:
        raise CheckpointError(
            "ONNX files need the package onnx: pip install 'tinygrad_rnn[onnx]'"
        ) from missing
