"""Writes Keras' files as Keras 3 reads them, by h5py alone."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from .. import atomic
from ..errors import CheckpointError
from .keras_file import KerasLayer, h5py_package, snake

ENDINGS = (".keras", ".weights.h5", ".h5", ".hdf5")

CLASSES = ("SimpleRNN", "LSTM", "GRU", "Bidirectional", "Dense", "Embedding", "LayerNormalization")
_FLAT = ("dense", "embedding", "layer_normalization")
"""Layers that have their arrays themselves, and not in a cell."""


def write(path: str, layers: Sequence[KerasLayer], words: Mapping[str, str]) -> None:
    """Write layers: a Sequential model of them as .keras, its weights as .weights.h5, or the older .h5 with a
    group for each, which ``model.load_weights`` takes.

    Args:
        words: what stands beside them, for readers that know it.

    Raises:
        CheckpointError: the ending is none of Keras', h5py is missing, or the file cannot be written.
    """
    h5py = h5py_package()
    names = [layer.name for layer in layers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise CheckpointError(f"save: two layers would be called {twice[0]!r}: rename one")
    if sum(map(len, words.values())) > _WORDS:
        raise CheckpointError(f"save: {path} cannot hold the options of so many layers: write .safetensors")
    if not path.endswith(ENDINGS):
        raise CheckpointError(f"save: the ending of {path} must be one of {', '.join(ENDINGS)}")
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        if path.endswith((".keras", ".weights.h5")):
            _new(file, layers)
        else:
            _old(file, layers)
        file.attrs.update(words)
    if not path.endswith(".keras"):
        atomic.write(path, content.getvalue())
        return
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as parts:
        for name, part in {
            "metadata.json": json.dumps({"keras_version": _VERSION}).encode(),
            "config.json": json.dumps(_config(layers)).encode(),
            "model.weights.h5": content.getvalue(),
        }.items():
            # a time of its own would make each file another one
            parts.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), part)
    atomic.write(path, archive.getvalue())


_WORDS = 60_000
"""Bytes of the attributes that a group of HDF5 can have."""

_VERSION = "3.15.1"
"""Of Keras, whose way of writing this is."""


def _directions(layer: KerasLayer) -> list[list[numpy.ndarray]]:
    if layer.kind != "bidirectional":
        return [layer.arrays]
    half = len(layer.arrays) // 2
    return [layer.arrays[:half], layer.arrays[half:]]


def _new(file: Any, layers: Sequence[KerasLayer]) -> None:
    """layers/lstm/cell/vars/0: groups have the names of classes; a layer's name is an attribute."""
    seen: Counter[str] = Counter()
    file.create_group("vars").attrs["name"] = "sequential"
    for layer in layers:
        count = seen[layer.kind]
        seen[layer.kind] += 1
        group = file.create_group(f"layers/{layer.kind}{f'_{count}' if count else ''}")
        group.create_group("vars").attrs["name"] = layer.name
        if layer.kind in _FLAT:
            places = ["vars"]
        elif layer.kind == "bidirectional":
            places = ["forward_layer/cell/vars", "backward_layer/cell/vars"]
        else:
            places = ["cell/vars"]
        for place, arrays in zip(places, _directions(layer), strict=True):
            variables = group.require_group(place)
            for i, array in enumerate(arrays):
                variables[str(i)] = array


def _old(file: Any, layers: Sequence[KerasLayer]) -> None:
    """A group for each layer, with the names of its arrays as an attribute."""
    file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
    file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", _VERSION.encode()
    for layer in layers:
        group = file.create_group(layer.name)
        names = [f"{layer.name}/{variable}:0".encode() for variable in layer.variables]
        for name, array in zip(names, layer.arrays, strict=True):
            group[name] = array
        group.attrs["weight_names"] = names


def _config(layers: Sequence[KerasLayer]) -> dict[str, Any]:
    """A Sequential model of the layers."""
    return _object(
        "Sequential", {"name": "sequential", "layers": [_layer(layer) for layer in layers]}, "keras"
    )


def _layer(layer: KerasLayer) -> dict[str, Any]:
    options, dtype = dict(layer.options), {"dtype": str(layer.arrays[0].dtype)}
    if "layer" in options:  # the one that Bidirectional runs both ways
        inner = dict(options["layer"])
        options["layer"] = _object(inner.pop("class_name"), {**inner, **dtype})
    shape = [None, None] if layer.kind == "embedding" else [None, None, layer.arrays[0].shape[0]]
    built = {"build_config": {"input_shape": shape}}
    return {**_object(_CLASS[layer.kind], {"name": layer.name, **dtype, **options}), **built}


_CLASS = {snake(name): name for name in CLASSES}


def _object(name: str, config: dict[str, Any], module: str = "keras.layers") -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}
