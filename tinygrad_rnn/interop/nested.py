"""States of several things as one file holds them: their tensors by name, and the rest as text.

{"model": layer, "step": 7}
  tensors    model.weight_hh, …
  text       {"model": {"weight_hh": {"$tensor": "model.weight_hh"}, …}, "step": 7}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .. import arguments, backends
from ..errors import CheckpointError
from ..tape import Node

_TENSOR = "$tensor"


def has_state(thing: Any) -> bool:
    """Whether something gives its state: a module, an optimiser, a schedule, batches."""
    return callable(getattr(thing, "state_dict", None)) and not isinstance(thing, type)


def flattened(source: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The tensors of a nested state by their dotted names, and the rest as JSON; no text for a dict in which
    nothing is nested.

    Raises:
        CheckpointError: something is neither a tensor nor a number, a word, a list or a dict of them; two
            tensors have one name.
    """
    if not any(isinstance(value, Mapping) or has_state(value) for value in source.values()):
        return dict(source), None
    return apart(source)


def apart(source: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The same, and always with the text."""
    tensors: dict[str, Any] = {}
    tree = _written(source, "", tensors)
    return tensors, json.dumps(tree, allow_nan=True)


def nested(text: str, tensors: Mapping[str, Any]) -> Any:
    """What :func:`flattened` made two of.

    Raises:
        CheckpointError: they do not belong together.
    """
    try:
        return _read(json.loads(text), tensors)
    except (ValueError, KeyError, RecursionError, TypeError) as error:
        raise CheckpointError(
            f"the file's state does not fit its tensors ({error}): it is damaged"
        ) from error


def _is_tensor(value: Any) -> bool:
    return (
        isinstance(value, Node)
        or (hasattr(value, "dtype") and hasattr(value, "shape"))
        or (backends.owner(value) is not None)
    )


def _written(value: Any, path: str, tensors: dict[str, Any]) -> Any:
    if _is_tensor(value):
        if path in tensors:
            raise CheckpointError(f"save: two tensors are called {path!r}: choose other keys")
        tensors[path] = value
        return {_TENSOR: path}
    value = value.state_dict() if has_state(value) else value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value) or set(value) == {_TENSOR}:
            raise CheckpointError(
                f"save: the keys of {path or 'source'} must be words, and not {_TENSOR!r} alone"
            )
        inside = f"{path}." if path else ""
        return {key: _written(part, f"{inside}{key}", tensors) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(part, f"{path}.{i}", tensors) for i, part in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise CheckpointError(
        f"save: {path!r} is no tensor, number, word, list or dict, and has no state_dict: "
        f"{arguments.shown(value)}"
    )


def _read(value: Any, tensors: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return tensors[value[_TENSOR]]
        return {key: _read(part, tensors) for key, part in value.items()}
    return [_read(part, tensors) for part in value] if isinstance(value, list) else value
