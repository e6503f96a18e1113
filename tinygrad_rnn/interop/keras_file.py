"""Keras' files, .keras and .h5, read by h5py alone: no Keras, no TensorFlow, no code of the file.

.keras        a zip archive: config.json says which layers there are, model.weights.h5 has their arrays
.weights.h5   these arrays on their own: layers/lstm/cell/vars/0, …
.h5, .hdf5    of Keras 1 and 2, and what ``model.save("x.h5")`` still writes: a group for each layer, whose
              attribute weight_names lists its arrays in order
"""

from __future__ import annotations

import importlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from .. import arguments
from ..errors import CheckpointError
from .archive import Archive, content_of, damaged
from .budget import Budget, opened_size
from .options import OPTIONS

_HDF5 = b"\x89HDF\r\n\x1a\n"
_DEPTH = 32
_VISIT = 4096
"""Bytes of the budget for each look at a group or an array, which take a tenth of that in a file."""
_BROKEN = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, OverflowError)
"""What h5py raises for files that are damaged, and what follows from values of other kinds than expected."""


class KerasLayer(NamedTuple):
    """A layer in a file.

    Attributes:
        name: as Keras has it; of a layer inside another model "model/layer".
        kind: its class, in lower case: "lstm", "bidirectional", "dense"; "" if the file does not say.
        arrays: in the order of ``get_weights()``.
        variables: what the file calls them.
        options: what else the file says of it.
    """

    name: str
    kind: str
    arrays: list[numpy.ndarray]
    variables: list[str]
    options: Mapping[str, Any]


def load(path: str | Path) -> dict[str, list[numpy.ndarray]]:
    """The weights of a Keras file, .keras or .h5: for the name of each layer that has some its arrays, in the
    order of ``get_weights()``, as :func:`load_weights` takes them.

    Only h5py is needed. Nothing of the file is run.

    >>> tg.interop.keras.save("model.keras", {"memory": tg.nn.GRU(2, 3)})
    >>> [array.shape for array in tg.interop.keras.load("model.keras")["memory"]]
    [(2, 9), (3, 9), (2, 9)]

    Raises:
        CheckpointError: h5py is missing; or the file is missing, damaged, of another kind, or leads to other
            files.
    """
    return {layer.name: layer.arrays for layer in read(arguments.path("load: path", path))[0]}


def read(path: str) -> tuple[list[KerasLayer], dict[str, str]]:
    """The layers of a file that have weights, in the file's order, and what a writer of this library says
    beside them.

    Raises:
        CheckpointError: as :func:`load`.
    """
    h5py = h5py_package()
    budget = Budget(path, opened_size(path))
    content = content_of(path)
    config: Any = None
    if content[:4] == b"PK\3\4":
        archive = Archive(path, "Keras", content, budget)
        if "model.weights.h5" not in archive.names:
            raise CheckpointError(f"{path} is a zip archive, and none of Keras': it has no model.weights.h5")
        config = archive.read("config.json")
        content = archive.read("model.weights.h5")
    if content[:8] != _HDF5:
        raise damaged(path, "Keras", "it is neither .keras nor HDF5")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            words = {key: str(file.attrs[key]) for key in (OPTIONS,) if key in file.attrs}
            config = file.attrs.get("model_config") if config is None else config
            version = _text(file.attrs.get("keras_version", "3"))
            kinds = _kinds(json.loads(config), _NAMED_OTHERWISE[version < "3"]) if config is not None else {}
            layers = _in_order(list(_Reader(path, budget, h5py, kinds).layers(file)), kinds)
    except CheckpointError:
        raise
    except RecursionError as error:
        raise damaged(path, "Keras", "its parts hold themselves") from error
    except _BROKEN as error:
        raise damaged(path, "Keras", error) from error
    names = [layer.name for layer in layers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise CheckpointError(f"{path} holds several layers with the name {twice[0]!r}")
    return layers, words


def h5py_package() -> Any:
    """Raises:
    CheckpointError: h5py is not installed.
    """
    try:
        return importlib.import_module("h5py")
    except ImportError as missing:
        raise CheckpointError(
            "Keras' files need the package h5py: pip install 'tinygrad_rnn[interop]'"
        ) from missing


def snake(name: str) -> str:
    """A class's name as Keras has it in its files: "LayerNormalization" is "layer_normalization"."""
    apart = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", apart).lower()


_LEAKY = {"leaky_relu": {"function": "leaky_relu", "alpha": 0.2}}
_NAMED_OTHERWISE: dict[bool, dict[str, Any]] = {
    False: _LEAKY,
    True: {**_LEAKY, "hard_sigmoid": {"function": "hard_sigmoid", "alpha": 0.2, "beta": 0.5}},
}
"""Activations whose names mean another function here, by whether the file is from before Keras 3."""


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _kinds(config: Any, otherwise: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """For the name of each layer its class and its options, from the structure of a model.

    Args:
        otherwise: what the names of some activations stand for.
    """
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += reversed(part)
        elif isinstance(part, dict):
            for key in ("activation", "recurrent_activation"):
                if isinstance(part.get(key), str):
                    part[key] = otherwise.get(part[key], part[key])
            options = part.get("config")
            if isinstance(options, dict) and isinstance(part.get("class_name"), str) and "name" in options:
                found[str(options["name"])] = (snake(part["class_name"]), options)
            waiting += [inner for inner in part.values() if isinstance(inner, (dict, list))]
    return found


def _in_order(layers: list[KerasLayer], kinds: Mapping[str, Any]) -> list[KerasLayer]:
    """In the order of the model's structure: groups of a file are sorted by name."""
    places = {name: i for i, name in enumerate(kinds)}
    return sorted(layers, key=lambda layer: places.get(layer.name.rpartition("/")[2], len(places)))


class _Reader:
    """Walks through a file."""

    def __init__(
        self, path: str, budget: Budget, h5py: Any, kinds: Mapping[str, tuple[str, Mapping[str, Any]]]
    ) -> None:
        self.path, self.budget, self.h5py, self.kinds = path, budget, h5py, kinds

    def layers(self, file: Any) -> Iterator[KerasLayer]:
        root = self._child(file, "model_weights") if "model_weights" in file else file
        if _words(root, "layer_names") is not None:
            yield from self._old(root)
        else:
            yield from self._new(root, "", 0)

    def _old(self, root: Any) -> Iterator[KerasLayer]:
        for name in _words(root, "layer_names") or ():
            group = self._child(root, name)
            names = _words(group, "weight_names") or ()
            arrays = [self._array(self._child(group, place)) for place in names]
            variables = [place.rpartition("/")[2].partition(":")[0] for place in names]
            both = "/forward" in "".join(names) and "/backward" in "".join(names)
            guess = "bidirectional" if both else _BY_VARIABLES.get(tuple(variables), "")
            kind, options = self.kinds.get(name, (guess, {}))
            if arrays:
                yield KerasLayer(name, kind, arrays, variables, options)

    def _new(self, group: Any, name: str, depth: int) -> Iterator[KerasLayer]:
        """The layers of a group: itself if it has variables, otherwise those inside it."""
        self._require_depth(depth)
        inside = [key for key in group if key not in _SKIPPED and not key.startswith("seed_generator")]
        if "vars" in inside or "cell" in inside or "forward_layer" in inside:
            kind, options = self.kinds.get(name.rpartition("/")[2], (_counted(group.name), {}))
            arrays = self._variables(group, options, depth)
            if arrays:
                yield KerasLayer(name, kind, arrays, [str(i) for i in range(len(arrays))], options)
        for key in inside:
            if key in ("vars", "cell", "forward_layer", "backward_layer"):
                continue
            child = self._child(group, key)
            if not isinstance(child, self.h5py.Group):
                raise damaged(self.path, "Keras", f"{child.name} is no group")
            named = name if key == "layers" else self._joined(name, child, key)
            yield from self._new(child, named, depth + 1)

    def _joined(self, name: str, group: Any, key: str) -> str:
        own = key
        if "vars" in group:
            own = str(self._child(group, "vars").attrs.get("name", key))
        return f"{name}/{own}" if name else own

    def _variables(self, group: Any, options: Mapping[str, Any], depth: int) -> list[numpy.ndarray]:
        """The arrays of a layer, in the order in which Keras lists them."""
        self._require_depth(depth)
        found = []
        if "vars" in group:
            variables = self._child(group, "vars")
            found += [self._array(self._child(variables, key)) for key in sorted(variables, key=int)]
        for key in ("forward_layer", "backward_layer", "cell"):
            if key in group:
                found += self._variables(self._child(group, key), options, depth + 1)
        if "cells" in group:
            cells = self._child(group, "cells")
            for key in self._in_order(cells, options):
                found += self._variables(self._child(cells, key), options, depth + 1)
        return found

    def _in_order(self, cells: Any, options: Mapping[str, Any]) -> list[str]:
        """The groups of cells that stand one above the other: "gru_cell", "gru_cell_1", "lstm_cell"."""
        said = options.get("cell", {}).get("config", {}).get("cells")
        if said is None and len({_counted(key) for key in cells}) > 1:
            raise CheckpointError(
                f"{self.path} holds {cells.name}, cells of several kinds one above the other, and does not "
                "say in which order: read the .keras file of this model"
            )
        kinds = [_counted(key) for key in cells] if said is None else [snake(c["class_name"]) for c in said]
        counts = [kinds[:i].count(kind) for i, kind in enumerate(kinds)]
        return [f"{kind}_{count}" if count else kind for kind, count in zip(kinds, counts, strict=True)]

    def _child(self, group: Any, place: str) -> Any:
        """What lies under a name, in this file itself."""
        for key in place.split("/"):
            link = group.get(key, getlink=True)
            if link is None:
                raise damaged(self.path, "Keras", f"{group.name} has no {key!r}")
            if not isinstance(link, self.h5py.HardLink):
                raise CheckpointError(
                    f"{self.path} leads to another place with {group.name}/{key}: not followed"
                )
            group = group[key]
            # one group may stand in many places, and so be visited more often than any file has groups
            inside = len(group) if isinstance(group, self.h5py.Group) else 0
            self.budget.take(_VISIT + 32 * inside, "groups in groups")
        return group

    def _array(self, dataset: Any) -> numpy.ndarray:
        if not isinstance(dataset, self.h5py.Dataset) or dataset.dtype.kind not in "biuf":
            raise damaged(self.path, "Keras", f"{dataset.name} is no array of numbers")
        if dataset.external or dataset.is_virtual:
            raise CheckpointError(f"{self.path} leads to another file with {dataset.name}: not followed")
        self.budget.take(dataset.size * dataset.dtype.itemsize, dataset.name)
        return numpy.asarray(dataset[()]).astype(dataset.dtype.newbyteorder("="))

    def _require_depth(self, depth: int) -> None:
        if depth > _DEPTH:
            raise damaged(self.path, "Keras", "its parts hold themselves")


_SKIPPED = ("optimizer", "optimizer_weights", "metrics", "compile_metrics", "top_level_model_weights")
"""What stands beside the layers."""


_BY_VARIABLES = {
    ("embeddings",): "embedding",
    ("kernel",): "dense",
    ("kernel", "bias"): "dense",
    ("gamma", "beta"): "layer_normalization",
    ("kernel", "recurrent_kernel"): "recurrent",
    ("kernel", "recurrent_kernel", "bias"): "recurrent",
}
"""What a layer is, by the names of its arrays."""


def _counted(name: str) -> str:
    """The class of a group that is called after it: "lstm" of "layers/lstm_1"."""
    return re.sub(r"_\d+$", "", name.rpartition("/")[2])


def _words(group: Any, name: str) -> list[str] | None:
    """A list of words among a group's attributes, which long lists are spread over; None if there is none."""
    attributes = group.attrs
    if name in attributes:
        parts = [attributes[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in attributes:
            parts.append(attributes[f"{name}{len(parts)}"])
        if not parts:
            return None
    return [word.decode() if isinstance(word, bytes) else str(word) for part in parts for word in part]
