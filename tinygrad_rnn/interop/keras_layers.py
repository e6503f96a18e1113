"""Layers of this library as Keras' files have them, and made from such files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import arguments, nn
from ..errors import ArgumentError, CheckpointError
from . import options as layer_options
from .keras_file import KerasLayer
from .keras_weights import load_weights, weights
from .keras_writer import write
from .layouts import places_of

_RECURRENT = {nn.RNN: "SimpleRNN", nn.LSTM: "LSTM", nn.GRU: "GRU"}
_ALIKE = (
    "tanh",
    "relu",
    "sigmoid",
    "hard_sigmoid",
    "softsign",
    "softplus",
    "linear",
    "elu",
    "selu",
    "silu",
    "gelu",
    "relu6",
    "mish",
    "hard_silu",
    "hard_tanh",
    "log_sigmoid",
)
"""Activations with the same name and the same numbers there."""

_MERGES = {"concat": "concat", "sum": "sum", "mean": "ave", "mul": "mul"}

_OWN = ("gate_clip", "cell_clip", "output_activation")
"""What Keras' cells lack."""


def save(path: str | Path, layers: Mapping[str, nn.Module]) -> None:
    """Write the weights of layers as a file that Keras 3 reads, by h5py alone.

    The ending says which: .keras is a Sequential model of the layers, in their order; .weights.h5 has its
    weights; .h5 is the older file, a group for each layer, which ``model.load_weights`` takes for any model
    with such layers. The file appears whole or not at all.

    >>> tg.interop.keras.save("model.keras", {"memory": tg.nn.LSTM(2, 3), "head": tg.nn.Linear(3, 1)})
    >>> list(tg.interop.keras.load("model.keras"))
    ['memory', 'head']

    Args:
        layers: RNN, LSTM, GRU, Linear, Embedding, LayerNorm by their names in Keras; of several layers one
            above the other each becomes one, NAME_l0, NAME_l1, …

    Raises:
        CheckpointError: h5py is missing, the ending is none of these, or the file cannot be written.
        ArgumentError: Keras has no such layer, or one without an option that it has.
    """
    path = arguments.path("save: path", path)
    given = arguments.mapping("save: layers", layers)
    found = []
    for name, layer in given.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise arguments.refused("save: the name of a layer", "a word without a /", name)
        found += described(name, layer)
    write(path, found, layer_options.text(layer_options.of(dict(given))))


def described(name: str, layer: Any) -> list[KerasLayer]:
    """A layer as Keras has it, or those that it has one above the other, called NAME_l0, NAME_l1, …

    Raises:
        ArgumentError: Keras has no such layer.
    """
    cells = [place.module for place in places_of("save", layer)]
    arrays = weights(layer)
    kind = _RECURRENT.get(type(layer), "")
    if isinstance(layer, nn.Linear):
        return [_flat(name, "dense", ["kernel", "bias"], arrays, {"units": layer.weight.shape[0]})]
    if isinstance(layer, nn.Embedding):
        rows, columns = layer.weight.shape
        options = {"input_dim": rows, "output_dim": columns}
        return [_flat(name, "embedding", ["embeddings"], arrays, options)]
    if isinstance(layer, nn.LayerNorm) and len(arrays[0].shape if arrays else ()) == 1:
        names = ["gamma", "beta"]
        return [
            _flat(
                name, "layer_normalization", names, arrays, {"epsilon": layer.eps, "center": len(arrays) == 2}
            )
        ]
    if not kind:
        raise ArgumentError(f"save: Keras has no layer like {name!r}, {type(layer).__name__}")
    found, count = [], len(arrays) // len(cells)
    names = ["kernel", "recurrent_kernel", "bias"][:count]
    for k, runs in enumerate(layer.layers):
        own = name if layer.num_layers == 1 else f"{name}_l{k}"
        mine, arrays = arrays[: count * len(runs)], arrays[count * len(runs) :]
        if layer.stateful:
            raise ArgumentError(f"save: {name!r} is stateful, which no weights are: stateful=False")
        options = _options(name, kind, runs[0])
        options["return_sequences"] = layer.outputs == "all" or k < layer.num_layers - 1
        if layer.bidirectional:
            variables = [f"{way}/{variable}" for way in ("forward", "backward") for variable in names]
            inner = {"class_name": kind, "name": f"forward_{kind.lower()}", **options}
            outer = {"layer": inner, "merge_mode": _MERGES[layer.merge]}
            found.append(KerasLayer(own, "bidirectional", mine, variables, outer))
        else:
            lower = {"SimpleRNN": "simple_rnn"}.get(kind, kind.lower())
            found.append(KerasLayer(own, lower, mine, names, options))
    return found


def _flat(name: str, kind: str, names: list[str], arrays: list[Any], options: dict[str, Any]) -> KerasLayer:
    if kind == "dense":
        options["use_bias"] = len(arrays) == 2
    return KerasLayer(name, kind, arrays, names[: len(arrays)], options)


def _options(name: str, kind: str, run: nn.Recurrent[Any, Any]) -> dict[str, Any]:
    """Raises:
    ArgumentError: Keras lacks one of them.
    """
    cell = run.cell
    own = [option for option in _OWN if getattr(cell, option, None) is not None]
    own += ["reverse"] if run.options["reverse"] and run.outputs == "all" else []
    own += ["zoneout"] if run.zoneout else []
    options: dict[str, Any] = {"units": cell.hidden_size, "use_bias": cell.bias_ih is not None}
    given = {"activation": cell.activation}
    if kind != "SimpleRNN":
        given["recurrent_activation"] = getattr(cell, "recurrent_activation", "sigmoid")
    own += [option for option, value in given.items() if value not in _ALIKE]
    if own:
        raise ArgumentError(f"save: Keras has no layer like {name!r}, whose {own[0]} it lacks")
    if run.options["reverse"]:  # of what Keras computes from the end it returns the steps in that order
        options["go_backwards"] = True
    if kind == "GRU":
        options["reset_after"] = cell.reset == "after"
    return {**options, **given}


# -- from a file ---------------------------------------------------------------------------------------------


def made(layer: KerasLayer) -> nn.Module | None:
    """A layer with the weights of one in a file, or None if there is none like it here.

    Raises:
        CheckpointError: its arrays do not fit its class.
    """
    arrays = layer.arrays
    try:
        module = _empty(layer)
        if module is not None:
            load_weights(module, arrays)
    except (IndexError, ValueError, ZeroDivisionError) as error:
        shapes = [array.shape for array in arrays]
        raise CheckpointError(f"the layer {layer.name!r} has arrays of shapes {shapes}: {error}") from error
    return module


def _empty(layer: KerasLayer) -> nn.Module | None:
    arrays, dtype = layer.arrays, layer.arrays[0].dtype
    if dtype.kind != "f":
        return None
    if layer.kind == "dense" and arrays[0].ndim == 2:
        inputs, outputs = arrays[0].shape
        return nn.Linear(inputs, outputs, bias=len(arrays) == 2, dtype=dtype)
    if layer.kind == "embedding":
        rows, columns = arrays[0].shape
        return nn.Embedding(rows, columns, dtype)
    if layer.kind == "layer_normalization" and layer.options.get("scale", True):
        eps = float(layer.options.get("epsilon", 1e-3))
        return nn.LayerNorm(arrays[0].shape, eps, dtype, bias=len(arrays) == 2)
    both = layer.kind == "bidirectional"
    mine = arrays[: len(arrays) // 2] if both else arrays
    if layer.kind not in _KINDS or len(mine) not in (2, 3) or mine[0].ndim != 2 or mine[1].ndim != 2:
        return None
    kernel, recurrent, *bias = mine
    inputs, hidden, gates = kernel.shape[0], recurrent.shape[0], kernel.shape[1] // recurrent.shape[0]
    options: dict[str, Any] = {"bias": bool(bias), "bidirectional": both, "dtype": dtype}
    if gates not in (1, 3, 4):
        return None
    if gates == 3:
        after = bias[0].size == 6 * hidden if bias else layer.options.get("reset_after", True)
        return nn.GRU(inputs, hidden, reset="after" if after else "before", **options)
    return (nn.RNN if gates == 1 else nn.LSTM)(inputs, hidden, **options)


_KINDS = ("simple_rnn", "lstm", "gru", "bidirectional", "recurrent", "cu_dnnlstm", "cu_dnngru", "rnn")


def said(layer: KerasLayer, module: nn.Module | None) -> dict[str, Any]:
    """The options of a layer that are not the usual ones, as layers here are given them; what these lack is
    among them under Keras' name."""
    options = dict(layer.options)
    found: dict[str, Any] = {}
    inner = _config(options.get("layer"))
    if layer.kind == "bidirectional":
        behind = _config(options.get("backward_layer"))
        unlike = {
            key: value
            for key, value in behind.items()
            if key in (*_USUAL, "return_sequences")
            and value != (not inner.get(key) if key == "go_backwards" else inner.get(key))
        }
        found |= {"backward_layer": unlike} if unlike else {}
        merge = options.get("merge_mode", "concat")
        if merge != "concat":
            found["merge" if merge in _OURS else "merge_mode"] = _OURS.get(merge, merge)
    options |= inner
    options |= _config(options.get("cell"))
    if isinstance(module, (nn.Linear, nn.Embedding)):
        usual = options.get("activation", "linear") == "linear"
        return {} if usual else {"activation": options["activation"]}
    if isinstance(module, nn.LayerNorm):
        return {} if module.eps == layer_options.EPS else {"eps": module.eps}
    found |= {
        name: options[name] for name, value in _USUAL.items() if options.get(name, value) not in (value, None)
    }
    if not options.get("return_sequences", True):
        found["outputs"] = "last"
        if layer.kind != "bidirectional" and found.pop("go_backwards", False):
            found["reverse"] = True  # of one output there is no order
    if options.get("stateful"):
        found["stateful"] = True
    if isinstance(module, nn.GRU) and next(iter(module.parts().values())).cell.reset == "before":
        found["reset"] = "before"
    return found


_USUAL: dict[str, Any] = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
_OURS = {theirs: ours for ours, theirs in _MERGES.items()}


def _config(described: Any) -> dict[str, Any]:
    """The options of a layer inside another one."""
    config = described.get("config") if isinstance(described, Mapping) else None
    return dict(config) if isinstance(config, Mapping) else {}
