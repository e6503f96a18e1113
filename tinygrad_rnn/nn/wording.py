"""The options of recurrent layers with their usual values, and what a layer is made of, in a line."""

from __future__ import annotations

from typing import Any

LAYER_OPTIONS: dict[str, Any] = {
    "num_layers": 1,
    "bidirectional": False,
    "merge": "concat",
    "batch_first": False,
    "outputs": "all",
    "recurrent_dropout": 0.0,
    "zoneout": 0.0,
    "stateful": False,
}
SCAN_OPTIONS: dict[str, Any] = {
    "reverse": False,
    "masked_output": "zero",
    "compiled": "auto",
    "checkpoint": None,
}
CELL_OPTIONS: dict[str, Any] = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "output_activation": None,
    "gate_clip": None,
    "cell_clip": None,
    "proj_clip": None,
    "coupled": False,
    "reset": "after",
}
"""Options by their usual values, which are not said."""


def options_of(layer: Any) -> list[str]:
    """The options of a recurrent layer that are not the usual ones, as they are written in a call."""
    first = layer.layers[0][0] if "layers" in vars(layer) else layer
    said = _unusual(layer, LAYER_OPTIONS)
    dropout = vars(layer).get("dropout")
    if dropout is not None and dropout.p:
        said.append(f"dropout={dropout.p}")
        said += ["variational=True"] if dropout.shared_axes else []
    said += [f"{name}={first.options[name]!r}" for name, usual in SCAN_OPTIONS.items()
             if first.options[name] != usual]  # fmt: skip
    return said


def options_of_cell(cell: Any) -> list[str]:
    """The same of one of the library's cells."""
    sizes = [str(cell.input_size), str(cell.hidden_size)]
    projected = [f"proj_size={cell.output_size}"] if getattr(cell, "weight_hr", None) is not None else []
    return sizes + projected + _unusual(cell, CELL_OPTIONS)


def _unusual(thing: Any, usual: dict[str, Any]) -> list[str]:
    found = {name: getattr(thing, name) for name in usual if name in vars(thing)}
    return [
        f"{name}={getattr(value, '__name__', None) or repr(value)}"
        for name, value in found.items()
        if value != usual[name]
    ]
