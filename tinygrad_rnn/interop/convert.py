"""Weights from one kind of file to another: ``tinygrad-rnn convert IN OUT``.

A file is read as tensors by name, under PyTorch's names and in its layouts, and written from them. Keras'
files have other names and layouts: its layers become layers of this library on the way.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from .. import arguments, nn
from ..errors import CheckpointError, TinygradRNNError
from ..tape import host_values
from ..tensor import tensor
from . import keras_file, keras_layers, keras_writer, onnx, onnx_state, options, safetensors, torch_file
from .keras_file import KerasLayer
from .nested import nested
from .onnx_state import put
from .safetensors import STATE, Checkpoint


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        read: the tensors of a file by name, and lines that say what else it tells.
        write: a file from such tensors; lines that say what the file does not.
    """

    read: Callable[[str], tuple[Checkpoint, list[str]]]
    write: Callable[[str, Checkpoint], list[str]]


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
        found = Checkpoint(inside, options.text(options.part(options.read(found.metadata), part)))
    lines += writer.write(target, found)
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


def _write_safetensors(path: str, found: Checkpoint) -> list[str]:
    safetensors.save(path, dict(found), found.metadata)
    return []


def _write_torch(path: str, found: Checkpoint) -> list[str]:
    """Raises:
    CheckpointError: PyTorch has no layer like one of them.
    """
    own, lines = {}, []
    for name, given in options.read(found.metadata).items():
        has = {"kind", "eps", "batch_first", "outputs"}
        if f"{name}.weight_hh_l0".lstrip(".") not in found or _is_plain_rnn(name, given, found):
            has.add("activation")
        if lacking := {option: value for option, value in given.items() if option not in has}:
            own[name] = lacking
        if more := {option: value for option, value in given.items() if option != "kind"}:
            lines.append(
                f"{name or 'the layer'}: PyTorch's files hold weights alone; it has {options.shown(more)}"
            )
    if own:
        raise CheckpointError(
            f"PyTorch has no layers with the options {json.dumps(own)}, and its files cannot say them: write "
            ".safetensors"
        )
    state = nested(found.metadata[STATE], found) if STATE in found.metadata else dict(found)
    torch_file.write(path, state, _words(found))
    return lines


def _is_plain_rnn(name: str, given: Mapping[str, Any], found: Checkpoint) -> bool:
    """Whether a layer is an RNN with relu, which PyTorch has."""
    rows, columns = found[f"{name}.weight_hh_l0".lstrip(".")].shape
    return given.get("activation") == "relu" and bool(rows == columns)


def _words(found: Checkpoint) -> dict[str, str]:
    return {key: word for key, word in found.metadata.items() if key == options.OPTIONS}


# -- Keras ---------------------------------------------------------------------------------------------------


_UNNAMED = "unnamed"
"""In Keras' files, the name of a layer that has none: ``weight_ih_l0`` instead of ``memory.weight_ih_l0``."""


def _read_keras(path: str) -> tuple[Checkpoint, list[str]]:
    """Raises:
    CheckpointError: two arrays would have one name.
    """
    layers, words = keras_file.read(path)
    made: dict[str, Any] = {}
    for layer in layers:
        put(path, made, {layer.name.replace("/", "."): (layer, keras_layers.made(layer))})
    said = {name: keras_layers.said(*pair) for name, pair in made.items()}
    stated = options.read(words)
    state: dict[str, Any] = {}
    found: options.Options = {}
    lines = []
    for name, (layer, module) in made.items():
        own, k = _place(name, made, said)
        told = []
        if module is None:
            values = dict(zip(layer.variables, layer.arrays, strict=True))
            told.append("no layer here is like it: its arrays are as Keras has them")
        else:
            state_dict = module.state_dict().items()
            values = {re.sub("_l0", f"_l{k}", key, count=1): host_values(value) for key, value in state_dict}
        own = "" if own == _UNNAMED else own
        given = dict(said[name])
        if isinstance(module, nn.Embedding) or (isinstance(module, nn.Linear) and module.bias is None):
            given = {"kind": type(module).__name__, **given}
        if module is not None and (
            given := {**given, **stated.get(own, {})} if own in stated or given else {}
        ):
            found[own] = given
        if more := {key: value for key, value in given.items() if key != "kind"}:
            why = "reset_after=False: " if more.get("reset") == "before" else ""
            told.append(f"{why}make the layer with {options.shown(more)}")
        kind = [type(module).__name__] if module is not None else [layer.kind] if layer.kind else []
        lines.append(f"{name}: {'; '.join([*kind, *told])}")
        prefix = f"{own}." if own else ""
        put(path, state, {f"{prefix}{key}": tensor(value) for key, value in values.items()})
    return Checkpoint(state, options.text(found)), lines


def _place(name: str, made: Mapping[str, Any], said: Mapping[str, dict[str, Any]]) -> tuple[str, int]:
    """The layer that one is a part of, and its number there: of NAME_l0, NAME_l1, … above each other."""
    own, found, k = name.rpartition("_l")
    parts = {part.rpartition("_l")[2]: part for part in made if part.rpartition("_l")[0] == own}
    numbers = [str(i) for i in range(len(parts))]
    if not found or own in made or len(parts) < 2 or parts.keys() != set(numbers):
        return name, 0
    kinds = {type(made[part][1]) for part in parts.values()}
    # all of them but the last give all outputs to the next one
    given = [{"outputs": "all", **said[parts[number]]} for number in numbers]
    alike = all(one == {**given[-1], "outputs": "all"} for one in given[:-1])
    if not alike or len(kinds) != 1 or not kinds <= {nn.RNN, nn.LSTM, nn.GRU}:
        return name, 0
    return own, int(k)


def _layers(found: Checkpoint) -> Iterator[tuple[str, dict[str, Any], dict[str, numpy.ndarray]]]:
    """The name, the options and the arrays of each layer.

    Raises:
        CheckpointError: there are options of layers that have no arrays of their own.
    """
    given, groups = options.read(found.metadata), _groups(found)
    if others := sorted(given.keys() - groups.keys()):
        raise CheckpointError(
            f"{others[0] or 'the whole'} is a layer with {options.shown(given[others[0]])}, which no layer "
            "of this format is: write .safetensors"
        )
    for name, values in groups.items():
        yield name, dict(given.get(name, {})), values


def _write_keras(path: str, found: Checkpoint) -> list[str]:
    """Raises:
    CheckpointError: the file holds what Keras' layers lack: all of it is named.
    """
    if STATE in found.metadata:
        raise CheckpointError("this file holds several things: say which one to write, with --part NAME")
    layers, problems, words = [], [], options.read(found.metadata)
    for name, given, values in _layers(found):
        plain = {key: value for key, value in given.items() if key != "activation"}
        dense = values.keys() <= {"weight", "bias"} and "weight" in values and values["weight"].ndim == 2
        try:
            module = options.layer_of(name, values, plain if dense else given)
            if module is not None:
                described = keras_layers.described(name or _UNNAMED, module)
                if dense and "activation" in given:
                    said = {**described[0].options, "activation": given["activation"]}
                    described = [described[0]._replace(options=said)]
                layers += described
                if isinstance(module, nn.LayerNorm):  # without a word it is 1e-3 in Keras
                    words[name] = {**given, "eps": module.eps}
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
    keras_writer.write(path, layers, options.text(words))
    if len(layers) > 1 and path.endswith(".keras"):
        return [f"{path}: a Sequential model of these layers alone: weights do not say what is between them"]
    return []


def _groups(found: Mapping[str, Any]) -> dict[str, dict[str, numpy.ndarray]]:
    """The arrays of each layer, by the layer's name."""
    groups: dict[str, dict[str, numpy.ndarray]] = {}
    for full, value in found.items():
        prefix, dot, name = full.rpartition(".")
        groups.setdefault(prefix if dot else "", {})[name] = host_values(value)
    return groups


# -- ONNX ----------------------------------------------------------------------------------------------------


def _read_onnx(path: str) -> tuple[Checkpoint, list[str]]:
    arrays, found, lines = onnx_state.state(path)
    return Checkpoint({name: tensor(array) for name, array in arrays.items()}, options.text(found)), lines


def _write_onnx(path: str, found: Checkpoint) -> list[str]:
    """Raises:
    CheckpointError: there is more than one layer, and no file of weights says how they are connected.
    """
    layers = [(name, options.layer_of(name, values, given)) for name, given, values in _layers(found)]
    if STATE in found.metadata or len(layers) != 1 or layers[0][1] is None:
        names = ", ".join(name for name, _ in layers)
        raise CheckpointError(
            f"{path} would be a model, and these weights ({names}) do not say how it computes: "
            "build it, load them, and call interop.onnx.export(model, path); of one layer they do"
        )
    onnx.export(layers[0][1], path)
    return []


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
