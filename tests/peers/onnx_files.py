"""ONNX models of a few nodes, and what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import tree


def model_of(
    nodes: Sequence[Any],
    inputs: Mapping[str, Any],
    outputs: Sequence[str],
    weights: Mapping[str, np.ndarray] | None = None,
    opset: int = 18,
) -> Any:
    """A model; its inputs are like the given arrays, and free in every axis."""
    import onnx
    from onnx import helper, numpy_helper

    def kind(array: np.ndarray) -> int:
        return helper.np_dtype_to_tensor_dtype(array.dtype)

    graph = helper.make_graph(
        list(nodes),
        "graph",
        [
            helper.make_tensor_value_info(n, kind(a), [f"{n}{i}" for i in range(a.ndim)])
            for n, a in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    domains = {node.domain for node in nodes} - {""}
    versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def written(path: Any, model: Any) -> str:
    """Where a model is, after it was written."""
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return str(path)


def runtime(path: str, *inputs: Any) -> list[np.ndarray]:
    """The outputs of a file by onnxruntime, from inputs in the order of the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    arrays = [np.asarray(x) for x in tree.leaves(tuple(inputs))]
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def apart(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """The largest difference, relative where numbers are larger than 1; shapes and dtypes are equal."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        a, b = (x if isinstance(x, np.ndarray) else x.numpy() if hasattr(x, "numpy") else x for x in (a, b))
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if a.dtype.kind == "b":
            assert (a == b).all()
        elif a.size:
            worst = max(worst, float((abs(a - b) / np.maximum(1, abs(b))).max()))
    return worst
