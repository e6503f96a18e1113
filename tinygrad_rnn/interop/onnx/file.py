"""From a file to a message of the format that is whole, valid, and holds nothing that is not supported.

Nothing of the file is run, and no file is read but itself and those beside it that it names.
"""

from __future__ import annotations

import importlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ... import arguments
from ...errors import CheckpointError
from .operators import operators
from .package import onnx_package

OLDEST = 7
"""The first version of ONNX's operators whose meaning is that of the table: broadcasting is NumPy's."""


def read(path: Any) -> Any:
    """A model's message, with all its arrays in it.

    Raises:
        CheckpointError: there is no such file, it is none of ONNX, cut short or not valid, it needs an
            operator that is not supported, or it claims arrays outside of its folder.
    """
    path = arguments.path("load: path", path)
    onnx = onnx_package()
    content = _content(path)
    try:
        model = onnx.load_model_from_string(content)
    except importlib.import_module("google.protobuf.message").DecodeError as error:
        raise CheckpointError(
            f"{path} is no ONNX file ({error}), or it was cut short: take another copy"
        ) from error
    if not model.HasField("graph") or not model.opset_import:
        raise CheckpointError(f"{path} is no ONNX file: it holds no graph")
    if model.functions:
        model = onnx_package(".inliner").inline_local_functions(model)
    _refuse_operators(path, model)
    _bring_in(path, [t for t in _tensors(model.graph) if t.data_location == onnx.TensorProto.EXTERNAL])
    _check(path, onnx, model)
    return model


def opset_of(model: Any) -> int:
    """The version of ONNX's own operators that a model was written for."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def label(node: Any) -> str:
    """What errors call a node."""
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    return f"node {node.name or next(iter(node.output), '')!r} ({domain}{node.op_type})"


def graphs_in(node: Any) -> Iterator[Any]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _content(path: str) -> bytes:
    if not os.path.isfile(path):  # a pipe would be waited for
        kind = "it is a folder" if os.path.isdir(path) else "it is no file" if os.path.exists(path) else ""
        raise CheckpointError(f"cannot read {path}: {kind or 'there is no such file'}")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def _check(path: str, onnx: Any, model: Any) -> None:
    """What the package finds wrong; but values of no shape are let through, as runtimes do.

    Raises:
        CheckpointError: the model is not valid.
    """
    graphs = [model.graph, *(inner for node in _nodes(model.graph) for inner in graphs_in(node))]
    open_ended = [
        value
        for graph in graphs
        for value in (*graph.input, *graph.output)
        if value.type.WhichOneof("value") in (None, "tensor_type")
        and not value.type.tensor_type.HasField("shape")
    ]
    kinds = [value.type.SerializeToString() for value in open_ended]
    try:
        for value in open_ended:
            value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
            value.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise CheckpointError(f"{path} is no valid ONNX model: {error}") from error
    finally:
        for value, kind in zip(open_ended, kinds, strict=True):
            value.type.ParseFromString(kind)


def _nodes(graph: Any) -> Iterator[Any]:
    """Of a graph and of those inside it."""
    for node in graph.node:
        yield node
        for inner in graphs_in(node):
            yield from _nodes(inner)


def _refuse_operators(path: str, model: Any) -> None:
    """
    Raises:
        CheckpointError: the table lacks an operator; names all of them, and a node of each.
    """
    found: dict[str, str] = {}
    count: Counter[str] = Counter()
    for node in _nodes(model.graph):
        own = node.domain in ("", "ai.onnx")
        if not own or node.op_type not in operators:
            name = label(node)
            kind = name[name.rindex("(") + 1 : -1]
            found.setdefault(kind, name)
            count[kind] += 1
    if found:
        named = [
            text + (f" and {count[kind] - 1} more" if count[kind] > 1 else "") for kind, text in found.items()
        ]
        raise CheckpointError(f"{path} needs operators that are not supported: {', '.join(named)}")
    opset = opset_of(model)
    if opset < OLDEST:
        raise CheckpointError(
            f"{path} was written for version {opset} of ONNX's operators, and {OLDEST} is the oldest that is "
            f"supported: convert it with onnx.version_converter.convert_version(model, {OLDEST + 6})"
        )


# -- arrays that lie in files of their own -------------------------------------------------------------------


def _tensors(graph: Any) -> Iterator[Any]:
    """All arrays of a graph and of those inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for inner in graphs_in(node):
            yield from _tensors(inner)


def _bring_in(path: str, tensors: Sequence[Any]) -> None:
    """Read arrays that lie in files beside the model's.

    Raises:
        CheckpointError: one lies elsewhere, or the file does not hold it; or together they claim more bytes
            than there are, so that a small file could fill the memory. Nothing was read then.
    """
    found = [_place_of(path, tensor) for tensor in tensors]
    claimed = sum(length for _, _, length in found)
    there = sum(os.path.getsize(place) for place in {place for place, _, _ in found})
    if claimed > there:
        raise CheckpointError(
            f"{path}: its arrays claim {claimed} bytes of the files beside it, which hold {there}: several "
            "arrays lie at one place, which is not supported; write the model with each array once"
        )
    for tensor, (place, offset, length) in zip(tensors, found, strict=True):
        with open(place, "rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.data_location = 0
        del tensor.external_data[:]


def _place_of(path: str, tensor: Any) -> tuple[str, int, int]:
    """Of an array that lies in a file beside the model's: the file, and which bytes, from where and how many.

    Raises:
        CheckpointError: it lies elsewhere, or the file does not hold it.
    """
    said = {entry.key: entry.value for entry in tensor.external_data}
    location, what = said.get("location", ""), f"{path}: the array {tensor.name!r}"
    folder = os.path.realpath(os.path.dirname(path) or ".")
    absolute = os.path.isabs(location) or location[:1] in ("/", "\\") or location[1:2] == ":"
    parts = location.replace("\\", "/").split("/")
    strange = not location or "\0" in location or absolute or ".." in parts
    place = folder if strange else os.path.realpath(os.path.join(folder, location))
    if strange or _outside(place, folder):
        raise CheckpointError(
            f"{what} claims to lie at {location!r}: only files in the model's own folder are read"
        )
    if not os.path.isfile(place):
        raise CheckpointError(f"{what} should lie in {location!r}, which is not there: copy it along")
    size = math.prod(tensor.dims) * _bytes_of(what, tensor.data_type)
    try:
        offset, length = int(said.get("offset", 0)), int(said.get("length", size))
    except ValueError as error:
        raise CheckpointError(f"{what}: {error}: it is damaged") from error
    if (
        offset < 0
        or min(tensor.dims, default=0) < 0
        or length != size
        or offset + length > os.path.getsize(place)
    ):
        raise CheckpointError(
            f"{what} of {size} bytes should be the {length} bytes from {offset} on of {location!r}, which "
            f"has {os.path.getsize(place)}: one of the files was cut short, or belongs to another model"
        )
    return place, offset, length


def _outside(place: str, folder: str) -> bool:
    try:
        return os.path.commonpath([place, folder]) != folder
    except ValueError:  # on another drive
        return True


def _bytes_of(what: str, kind: int) -> int:
    try:
        return int(onnx_package(".helper").tensor_dtype_to_np_dtype(kind).itemsize)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{what} has a type that no file beside it can hold") from error
