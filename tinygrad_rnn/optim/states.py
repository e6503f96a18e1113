"""What a state dict of an optimiser is read by: each part is as the optimiser goes on with it, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import arguments
from ..errors import ArgumentError, CheckpointError, DtypeError, ShapeError
from ..tape import host_values
from ..tensor import Tensor
from .parameters import wide


def part(name: str, state: Any, which: str) -> Mapping[str, Any]:
    """A dict inside a state dict."""
    if not isinstance(state, Mapping) or not isinstance(state.get(which), Mapping):
        raise CheckpointError(f"{name}: the state dict is not one of this optimiser: it has no {which}")
    held: Mapping[str, Any] = state[which]
    return held


def grouped(groups: Any, places: list[list[int]]) -> list[dict[str, Any]]:
    """The options of the groups of a state dict.

    Args:
        places: the numbers of the parameters of each group here.

    Raises:
        ArgumentError: they are not groups of the same parameters as here.
    """
    found = [
        dict(arguments.mapping(f"groups[{i}]", group))
        for i, group in enumerate(arguments.several("groups", groups))
    ]
    theirs = [list(arguments.several("params", group.pop("params", None))) for group in found]
    if theirs != places:
        raise ArgumentError(
            f"its groups have {[len(part) for part in theirs]} parameters, those here "
            f"{[len(part) for part in places]}"
        )
    return found


def buffer_of(name: str, parameter: Tensor, key: str, value: Any) -> Any:
    """A buffer of a state dict where and as the step wants it."""
    try:
        array = host_values(value)
    except (DtypeError, ShapeError) as error:
        raise CheckpointError(f"{name}: the buffer {key!r} holds no numbers: {error}") from error
    if array.shape != parameter.shape:
        raise CheckpointError(
            f"{name}: the buffer {key!r} has shape {array.shape}, its parameter {parameter.shape}"
        )
    return wide(
        parameter._backend.from_host(
            array.astype(parameter.dtype if parameter.dtype.itemsize >= 4 else "float32")
        )
    )
