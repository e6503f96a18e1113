"""Weights from one kind of file to another: ``tinygrad-rnn convert IN OUT``.

A file is read as tensors by name, under PyTorch's names and in its layouts, and written from them. Keras'
files have other names and layouts: its layers become layers of this library on the way.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from .. import arguments, nn
from ..errors import CheckpointError, TinygradRNNError
from ..tape import host_values
from ..tensor import tensor
from . import keras_file, keras_layers, keras_writer, onnx, onnx_state, safetensors, torch_file
from .keras_file import KerasLayer
from .nested import nested
from .safetensors import STATE, Checkpoint


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        read: the tensors of a file by name, and lines that say what else it tells.
        write: a file from such tensors.
    """

    read: Callable[[str], tuple[Checkpoint, list[str]]]
    write: Callable[[str, Checkpoint], None]


OPTIONS = "tinygrad_rnn.options"
"""The name, in the words beside tensors, of what decides what the tensors mean: JSON, by layer."""


def convert(source: str | Path, target: str | Path, part: str | None = None) -> list[str]:
    """Write the weights of one file as another one; the endings are the formats: .safetensors, .pt and .pth
    of PyTorch, .keras, .h5 and .hdf5 of Keras, .onnx. ``tinygrad-rnn convert`` does this.

    >>> tg.save("model.safetensors", {"memory": tg.nn.LSTM(2, 3)})
    >>> tg.interop.convert.convert("model.safetensors", "model.keras", part="memory")
    ['model.keras: 4 tensors, 84 numbers']

    Args:
        source: the file to read.
        target: the file to write.
        part: what to take of a file that holds several things, such as a model beside its optimiser.

    Returns:
        Lines that say what was written, and what the source says beside its weights.

    Raises:
        CheckpointError: an ending is none of the known ones, the source cannot be read, or the target cannot
            hold what it has. Nothing was written then.
    """
    source, target = arguments.path("convert: source", source), arguments.path("convert: target", target)
    part = arguments.optional(arguments.text, "convert: part", part)
    reader, writer = format_of(source), format_of(target)
    found, lines = reader.read(source)
    if part is not None:
        inside = found.part(part)
        if not isinstance(inside, dict) or not all(hasattr(value, "shape") for value in inside.values()):
            raise CheckpointError(f"the part {part!r} of {source} is no dict of tensors by name")
        found = Checkpoint(inside, {})
    writer.write(target, found)
    sizes = [value.size for value in found.values()]
    return [*lines, f"{target}: {len(sizes)} tensors, {sum(sizes):,} numbers"]


def format_of(path: str) -> Format:
    """Raises:
    CheckpointError: the ending is none that is known.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in FORMATS:
        raise CheckpointError(f"{path}: the ending must be one of {', '.join(FORMATS)}")
    return FORMATS[ending]


# -- safetensors and PyTorch ---------------------------------------------------------------------------------


def _write_safetensors(path: str, found: Checkpoint) -> None:
    safetensors.save(path, dict(found), found.metadata)


def _write_torch(path: str, found: Checkpoint) -> None:
    own = {name: given for name, given in _options(found).items() if "reset" in given}
    if own:
        raise CheckpointError(
            f"PyTorch has no layers with the options {json.dumps(own)}, and its files cannot say them: write "
            ".safetensors"
        )
    state = nested(found.metadata[STATE], found) if STATE in found.metadata else dict(found)
    torch_file.save(path, state)


def _options(found: Checkpoint) -> dict[str, dict[str, str]]:
    """What the words beside the tensors say of each layer."""
    try:
        options = json.loads(found.metadata.get(OPTIONS, "{}"))
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict) or not all(isinstance(given, dict) for given in options.values()):
        raise CheckpointError(f"the metadata {OPTIONS!r} of this file are damaged")
    return options


# -- Keras ---------------------------------------------------------------------------------------------------


_UNNAMED = "unnamed"
"""What a layer is called in Keras' files whose parameters have no name before theirs."""


def _read_keras(path: str) -> tuple[Checkpoint, list[str]]:
    layers = {layer.name.replace("/", "."): layer for layer in keras_file.read(path)}
    made = {name: keras_layers.made(layer) for name, layer in layers.items()}
    state: dict[str, Any] = {}
    options: dict[str, dict[str, str]] = {}
    lines = []
    for name, layer in layers.items():
        module, told = made[name], keras_layers.notes(layer)
        own, k = _place(name, made)
        if module is None:
            values = dict(zip(layer.variables, layer.arrays, strict=True))
            told.append("no layer here is like it: its arrays are as Keras has them")
        else:
            state_dict = module.state_dict().items()
            values = {re.sub("_l0", f"_l{k}", key, count=1): host_values(value) for key, value in state_dict}
        if isinstance(module, nn.Embedding) or (isinstance(module, nn.Linear) and module.bias is None):
            options[own] = {"kind": type(module).__name__}
        if isinstance(module, nn.GRU) and module.layers[0][0].cell.reset == "before":
            options[own] = {"reset": "before"}
            told.append('reset_after=False: make the layer with reset="before"')
        kind = [type(module).__name__] if module is not None else [layer.kind] if layer.kind else []
        lines.append(f"{name}: {'; '.join([*kind, *told])}")
        prefix = "" if own == _UNNAMED else f"{own}."
        state |= {f"{prefix}{key}": tensor(value) for key, value in values.items()}
    return Checkpoint(state, {OPTIONS: json.dumps(options)} if options else {}), lines


def _place(name: str, made: Mapping[str, Any]) -> tuple[str, int]:
    """The layer that one is a part of, and its number there: of NAME_l0, NAME_l1, … above each other."""
    own, found, k = name.rpartition("_l")
    parts = [part for part in made if part.rpartition("_l")[0] == own]
    numbers = {part: part.rpartition("_l")[2] for part in parts}
    if not found or own in made or sorted(numbers.values()) != [str(i) for i in range(len(parts))]:
        return name, 0
    kinds = {type(made[part]) for part in parts}
    alike = len(parts) > 1 and len(kinds) == 1 and kinds <= {nn.RNN, nn.LSTM, nn.GRU}
    return (own, int(k)) if alike else (name, 0)


def _write_keras(path: str, found: Checkpoint) -> None:
    """Raises:
    CheckpointError: the file holds what Keras' layers lack: all of it is named.
    """
    if STATE in found.metadata:
        raise CheckpointError("this file holds several things: say which one to write, with --part NAME")
    options = _options(found)
    layers, problems = [], []
    for name, values in _groups(found).items():
        try:
            module = _module(name, values, options.get(name, {}))
            if module is not None:
                layers += keras_layers.described(name or _UNNAMED, module)
            elif path.endswith((".keras", ".weights.h5")):
                alone = [array.ndim for array in values.values()] == [2]
                why = "Embedding or Linear? an Embedding has emb in its name" if alone else ", ".join(values)
                problems.append(f"{name or 'the file'} ({why})")
            else:
                layers.append(KerasLayer(name or _UNNAMED, "", list(values.values()), list(values), {}))
        except TinygradRNNError as error:
            problems.append(f"{name or 'the file'} ({error})")
    if problems:
        raise CheckpointError(f"{path} cannot hold {'; '.join(problems)}: Keras has no layers like these")
    keras_writer.write(path, layers)


def _groups(found: Mapping[str, Any]) -> dict[str, dict[str, numpy.ndarray]]:
    """The arrays of each layer, by the layer's name."""
    groups: dict[str, dict[str, numpy.ndarray]] = {}
    for full, value in found.items():
        prefix, dot, name = full.rpartition(".")
        groups.setdefault(prefix if dot else "", {})[name] = host_values(value)
    return groups


def _module(name: str, values: Mapping[str, numpy.ndarray], options: Mapping[str, str]) -> nn.Module | None:
    """The layer that has these parameters; None where there is none, or more than one."""
    ranks = {key: array.ndim for key, array in values.items()}
    first = next(iter(values.values()))
    dtype = first.dtype
    module: nn.Module
    if dtype.kind != "f":
        return None
    if any(key.startswith(("weight_hh", "weight_ih")) for key in values):
        module = _recurrent(values, dtype, options)
    elif ranks == {"weight": 2, "bias": 1}:
        rows, columns = values["weight"].shape
        module = nn.Linear(columns, rows, dtype=dtype)
    elif ranks == {"weight": 1, "bias": 1}:
        module = nn.LayerNorm(values["weight"].shape, dtype=dtype)
    elif ranks == {"weight": 2} and options.get("kind") == "Linear":
        rows, columns = values["weight"].shape
        module = nn.Linear(columns, rows, bias=False, dtype=dtype)
    elif ranks == {"weight": 2} and ("kind" in options or "emb" in name.lower()):
        rows, columns = values["weight"].shape
        module = nn.Embedding(rows, columns, dtype)
    else:
        return None
    module.load_state_dict(values)
    return module


def _recurrent(values: Mapping[str, numpy.ndarray], dtype: Any, options: Mapping[str, str]) -> nn.Module:
    """A recurrent layer, or a cell, for parameters of PyTorch's names."""
    layered = "weight_hh_l0" in values
    weights = [values.get(f"weight_{way}{'_l0' if layered else ''}") for way in ("ih", "hh", "hr")]
    if weights[0] is None or weights[1] is None or weights[0].ndim != 2 or weights[1].ndim != 2:
        raise CheckpointError("a recurrent layer without weight_ih or weight_hh")
    hidden = (weights[1] if weights[2] is None else weights[2].T).shape[-1 if weights[2] is None else 0]
    gates = weights[1].shape[0] // max(hidden, 1)
    peephole = any(key.startswith("p_") for key in values)
    kinds = {1: "RNN", 3: "GRU", 4: "PeepholeLSTM" if peephole else "LSTM"}
    if gates not in kinds:
        raise CheckpointError(f"a recurrent layer with {gates} gates")
    given: dict[str, Any] = {"bias": any(key.startswith("bias") for key in values), "dtype": dtype}
    given |= {"proj_size": weights[2].shape[0]} if weights[2] is not None else {}
    given |= {"reset": options["reset"]} if gates == 3 and "reset" in options else {}
    if layered:
        given["num_layers"] = 1 + max(
            int(found[1]) for key in values if (found := re.search(r"_l(\d+)", key))
        )
        given["bidirectional"] = any(key.endswith("_reverse") for key in values)
    return getattr(nn, kinds[gates] + ("" if layered else "Cell"))(weights[0].shape[1], hidden, **given)


# -- ONNX ----------------------------------------------------------------------------------------------------


def _read_onnx(path: str) -> tuple[Checkpoint, list[str]]:
    arrays, options, lines = onnx_state.state(path)
    words = {OPTIONS: json.dumps(options)} if options else {}
    return Checkpoint({name: tensor(array) for name, array in arrays.items()}, words), lines


def _write_onnx(path: str, found: Checkpoint) -> None:
    """Raises:
    CheckpointError: there is more than one layer, and no file of weights says how they are connected.
    """
    groups = _groups(found)
    options = _options(found)
    layers = [_module(name, values, options.get(name, {})) for name, values in groups.items()]
    if STATE in found.metadata or len(layers) != 1 or layers[0] is None:
        raise CheckpointError(
            f"{path} would be a model, and these weights ({', '.join(groups)}) do not say how it computes: "
            "build it, load them, and call interop.onnx.export(model, path); of one layer they do"
        )
    onnx.export(layers[0], path)


FORMATS: dict[str, Format] = {
    ".safetensors": Format(lambda path: (safetensors.load(path), []), _write_safetensors),
    **dict.fromkeys((".pt", ".pth"), Format(lambda path: (torch_file.load(path), []), _write_torch)),
    **dict.fromkeys((".keras", ".h5", ".hdf5"), Format(_read_keras, _write_keras)),
    ".onnx": Format(_read_onnx, _write_onnx),
}
"""By ending. A further format is one more line here."""

__all__ = ["convert"]


def __dir__() -> list[str]:
    return __all__
