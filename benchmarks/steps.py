"""One step at a time: T = 1, one sequence, nothing recorded, as generators, control loops and streams run.
Microseconds.

The stepper and the ordinary call beside PyTorch's layer and ONNX Runtime's session of one operator.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from . import timing

WIDTHS = (32, 128, 256, 512)
GATES = {"LSTM": 4, "GRU": 3}
Run = Callable[[], object]


def ours(kind: str, width: int) -> dict[str, Run]:
    """The stepper, that of a cell by hand, and the ordinary call."""
    layer, x = getattr(tg.nn, kind)(width, width), tg.tensor(_numbers(1, width))
    stepper = layer.stepper()
    _, state = layer(tg.expand_dims(x, 0))
    W, U, b = (
        tg.tensor(_numbers(*shape)) for shape in ((width, 4 * width), (width, 4 * width), (4 * width,))
    )

    def cell(x: Any, state: Any) -> Any:
        h, c = state
        i, f, g, o = tg.split(x @ W + h @ U + b, 4, axis=1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(c)
        return h, (h, c)

    by_hand = tg.nn.Recurrent(cell).stepper((tg.zeros((1, width)), tg.zeros((1, width))))

    def call() -> object:
        with tg.no_grad():
            return layer(tg.expand_dims(x, 0), state)

    return {"stepper": lambda: stepper(x), "by hand": lambda: by_hand(x), "call": call}


def torch_layer(kind: str, width: int) -> Run:
    import torch

    layer, x = getattr(torch.nn, kind)(width, width), torch.tensor(_numbers(1, 1, width))
    _, state = layer(x)

    def run() -> object:
        with torch.no_grad():
            return layer(x, state)

    return run


def onnx_session(kind: str, width: int) -> Run | None:
    """None where ONNX Runtime is not installed."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None:
        return None
    import onnx
    import onnxruntime

    gates, states = GATES[kind], ["h0", "c0"] if kind == "LSTM" else ["h0"]
    weights = {"W": (1, gates * width, width), "R": (1, gates * width, width), "B": (1, 2 * gates * width)}
    initial = [onnx.numpy_helper.from_array(_numbers(*shape), name) for name, shape in weights.items()]
    ends = ["h1", "c1"][: len(states)]
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = onnx.helper.make_node(
        kind, ["x", "W", "R", "B", "", *states], ["", *ends], hidden_size=width, **extra
    )
    places = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, width])
        for name in ("x", *states, *ends)
    }
    graph = onnx.helper.make_graph(
        [node], "step", [places[n] for n in ("x", *states)], [places[n] for n in ends], initial
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {name: _numbers(1, 1, width) for name in ("x", *states)}
    return lambda: session.run(None, given)


def _numbers(*shape: int) -> np.ndarray:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * 0.1).astype(np.float32)


def main() -> None:
    print(f"one step of one sequence, float32, microseconds\n{timing.machine()}")
    print(
        f"{'':14}{'stepper':>9}{'by hand':>9}{'call':>9}{'torch':>9}{'ONNX Runtime':>14}   stepper / ONNX "
        "(0.6), call / torch (1)"
    )
    for kind in GATES:
        for width in WIDTHS:
            runs = ours(kind, width) | {"torch": torch_layer(kind, width)}
            session = onnx_session(kind, width)
            found = timing.medians(runs | ({} if session is None else {"onnx": session}), seconds=0.5)
            times = "".join(f"{1e3 * found[name]:9.1f}" for name in ("stepper", "by hand", "call", "torch"))
            onnx = (
                f"{1e3 * found['onnx']:14.1f}   {found['stepper'] / found['onnx']:.2f}"
                if "onnx" in found
                else f"{'-':>14}   -"
            )
            print(f"  {kind:<6}{width:<6}{times}{onnx}, {found['call'] / found['torch']:.2f}", flush=True)
