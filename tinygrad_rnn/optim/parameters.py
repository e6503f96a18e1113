"""What an optimiser or a clipping is for: tensors, and their residuals."""

from __future__ import annotations

from typing import Any

from .. import arguments
from ..errors import ArgumentError
from ..tensor import Tensor


def tensors_of(what: str, parameters: Any) -> list[Tensor]:
    """The tensors that an optimiser or a clipping is for; ``what`` is what to call them.

    Raises:
        ArgumentError: they are none; says what to write for a module and for a single tensor.
    """
    if isinstance(parameters, Tensor):
        raise ArgumentError(f"{what} is a single tensor: write [tensor]")
    if hasattr(parameters, "parameters"):
        raise ArgumentError(
            f"{what} must be tensors, not a module, {type(parameters).__name__}: write its .parameters()"
        )
    expected = "a list of tensors, such as module.parameters()"
    tensors = parameters if type(parameters) is list else list(arguments.several(what, parameters, expected))
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise arguments.refused(f"{what}[{i}]", "a tensor, as in module.parameters()", tensor)
    return tensors


def wide(array: Any) -> Any:
    """An array of float32 at least."""
    return array if array.dtype.itemsize >= 4 else array.astype("float32")
