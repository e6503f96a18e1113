"""What decides what a layer computes, and stands in none of its weights: the options that are not the usual
ones. Files have them as a text beside the weights, JSON by the names of layers:

    {"memory": {"reset": "before", "activation": "relu"}, "words": {"kind": "Embedding"}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy

from .. import nn
from ..errors import CheckpointError
from ..nn.cell import Cell
from ..nn.wording import CELL_OPTIONS, LAYER_OPTIONS, SCAN_OPTIONS

OPTIONS = "tinygrad_rnn.options"
"""What the text is called in a file."""

Options = dict[str, dict[str, Any]]

_OF_LAYER = {name: LAYER_OPTIONS[name] for name in ("batch_first", "merge", "outputs", "stateful", "zoneout")}
_OF_RUN = {name: SCAN_OPTIONS[name] for name in ("reverse", "masked_output")}
"""What a file says beside CELL_OPTIONS: what decides the numbers of an evaluation."""

EPS = 1e-5
"""What layer norm has where nobody says another one."""

_LAYERS = (nn.RNN, nn.LSTM, nn.PeepholeLSTM, nn.GRU)
_CELLS = (nn.RNNCell, nn.LSTMCell, nn.PeepholeLSTMCell, nn.GRUCell)
_KINDS = (nn.Recurrent, Cell, nn.Linear, nn.Embedding, nn.LayerNorm)


def of(source: Any, prefix: str = "") -> Options:
    """Those of the layers in a module, or in dicts and lists that hold modules."""
    if isinstance(source, nn.Module):
        found = {}
        for name, module in source.named_modules():
            if options := _of_module(module):
                found[f"{prefix}{name}".rstrip(".")] = options
        return found
    if isinstance(source, (list, tuple)):
        source = dict(enumerate(source))
    found = {}
    for name, part in source.items() if isinstance(source, Mapping) else ():
        found |= of(part, f"{prefix}{name}.")
    return found


def text(options: Options) -> dict[str, str]:
    """What a file holds of them: nothing where all are usual."""
    return {OPTIONS: json.dumps(options)} if options else {}


def read(metadata: Mapping[str, str]) -> Options:
    """
    Raises:
        CheckpointError: the text is damaged.
    """
    try:
        options = json.loads(metadata.get(OPTIONS, "{}"))
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict) or not all(isinstance(given, dict) for given in options.values()):
        raise CheckpointError(f"the metadata {OPTIONS!r} of this file are damaged")
    return options


def part(options: Options, name: str) -> Options:
    """Those of one of several things in a file."""
    inside = f"{name}."
    return {key[len(inside) :]: given for key, given in options.items() if f"{key}.".startswith(inside)}


def unusual(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a cell that are not the usual ones."""
    found = {
        key: _written(given[key]) for key, value in CELL_OPTIONS.items() if given.get(key, value) != value
    }
    if found.get("output_activation") == _written(given.get("activation", "tanh")):
        del found["output_activation"]
    return found


def shown(options: Mapping[str, Any]) -> str:
    """As they are given to a layer."""
    return ", ".join(f"{name}={_as_code(value)}" for name, value in options.items())


def _as_code(value: Any) -> str:
    if isinstance(value, dict) and "function" in value:
        numbers = [str(value[key]) for key in ("alpha", "beta") if value.get(key) is not None]
        return f"nn.activations.{value['function']}({', '.join(numbers)})"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _of_module(module: Any) -> dict[str, Any]:
    if type(module) in _CELLS:
        return unusual(vars(module))
    if type(module) in _LAYERS:
        run = next(iter(module.parts().values()))
        found = unusual(vars(run.cell))
        found |= {
            key: getattr(module, key) for key, value in _OF_LAYER.items() if getattr(module, key) != value
        }
        return found | {key: run.options[key] for key, value in _OF_RUN.items() if run.options[key] != value}
    if type(module) is nn.LayerNorm:
        return {} if module.eps == EPS else {"eps": module.eps}
    if type(module) is nn.Linear:
        return {"kind": "Linear"} if module.bias is None else {}
    return {"kind": type(module).__name__} if isinstance(module, _KINDS) else {}


def _written(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, nn.activations.Activation):
        return {"function": value.name, "alpha": value.alpha, "beta": value.beta}
    if isinstance(value, Mapping):
        return {key: _written(each) for key, each in value.items()}
    return {"function": getattr(value, "__name__", type(value).__name__)} if callable(value) else value


def _given(value: Any) -> Any:
    """
    Raises:
        CheckpointError: it is a function that is none of the library's.
    """
    if not isinstance(value, dict):
        return value
    if "function" not in value:
        return {key: _given(each) for key, each in value.items()}
    name, alpha, beta = value["function"], value.get("alpha"), value.get("beta")
    if name not in ("affine", "elu", "hard_sigmoid", "leaky_relu", "scaled_tanh", "thresholded_relu"):
        raise CheckpointError(f"the activation {name!r} is a function of its own")
    make = getattr(nn.activations, name)
    return make(alpha) if beta is None else make(alpha, beta)


# -- layers from weights and options -------------------------------------------------------------------------


def layer_of(name: str, values: Mapping[str, numpy.ndarray], options: Mapping[str, Any]) -> nn.Module | None:
    """The layer that has these parameters and options; None where there is none, or more than one.

    Raises:
        TinygradRNNError: the parameters or the options are those of no layer.
    """
    ranks = {key: array.ndim for key, array in values.items()}
    dtype = next(iter(values.values())).dtype
    options = dict(options)
    kind = options.pop("kind", "")
    module: nn.Module
    if dtype.kind != "f":
        return None
    if any(key.startswith(("weight_hh", "weight_ih")) for key in values):
        module = _recurrent(values, dtype, kind, options)
    elif ranks.get("weight") == 1 and ranks.keys() <= {"weight", "bias"} and kind in ("", "LayerNorm"):
        eps = options.pop("eps", EPS)
        module = nn.LayerNorm(values["weight"].shape, eps, dtype, bias="bias" in values)
    elif ranks == {"weight": 2, "bias": 1} or (ranks == {"weight": 2} and kind == "Linear"):
        rows, columns = values["weight"].shape
        module = nn.Linear(columns, rows, bias="bias" in values, dtype=dtype)
    elif ranks == {"weight": 2} and (kind == "Embedding" or (not kind and "emb" in name.lower())):
        rows, columns = values["weight"].shape
        module = nn.Embedding(rows, columns, dtype)
    else:
        return None
    if kind not in ("", *(each.__name__ for each in type(module).__mro__[:1])):
        raise CheckpointError(f"a layer of the kind {kind!r}")
    if not isinstance(module, (nn.Recurrent, Cell)) and options:
        raise CheckpointError(f"with {shown(options)}")
    module.load_state_dict(values)
    return module


def _recurrent(
    values: Mapping[str, numpy.ndarray], dtype: Any, kind: str, options: Mapping[str, Any]
) -> nn.Module:
    """A recurrent layer, or a cell, for parameters of PyTorch's names."""
    layered = "weight_hh_l0" in values
    weights = [values.get(f"weight_{way}{'_l0' if layered else ''}") for way in ("ih", "hh", "hr")]
    if weights[0] is None or weights[1] is None or weights[0].ndim != 2 or weights[1].ndim != 2:
        raise CheckpointError("a recurrent layer without weight_ih or weight_hh")
    hidden = (weights[1] if weights[2] is None else weights[2].T).shape[-1 if weights[2] is None else 0]
    gates = weights[1].shape[0] // max(hidden, 1)
    letters = "".join(g for g in "ifo" if f"p_{g}{'_l0' if layered else ''}" in values)
    kinds = {1: "RNN", 3: "GRU", 4: "PeepholeLSTM" if letters else "LSTM"}
    if gates not in kinds or kind not in ("", own := kinds[gates] + ("" if layered else "Cell")):
        raise CheckpointError(f"a recurrent layer with {gates} gates, {kind or 'of an unknown kind'}")
    allowed = {*CELL_OPTIONS, *(_OF_LAYER if layered else ()), *(_OF_RUN if layered else ())}
    if unknown := options.keys() - allowed:
        raise CheckpointError(f"with {shown({name: options[name] for name in sorted(unknown)})}")
    given: dict[str, Any] = {name: _given(value) for name, value in options.items()}
    given |= {"bias": any(key.startswith("bias") for key in values), "dtype": dtype}
    given |= {"biases": 2 if any(key.startswith("bias_hh") for key in values) else 1}
    given |= {"proj_size": weights[2].shape[0]} if weights[2] is not None else {}
    given |= {"peepholes": letters} if letters else {}
    if layered:
        numbers = {int(found[1]) for key in values if (found := re.search(r"_l(\d{1,6})(_|$)", key))}
        if numbers != set(range(len(numbers))):
            raise CheckpointError(f"a recurrent layer with the layers {sorted(numbers)}")
        given["num_layers"] = len(numbers)
        given["bidirectional"] = any(key.endswith("_reverse") for key in values)
    made: nn.Module = getattr(nn, own)(weights[0].shape[1], hidden, **given)
    return made
