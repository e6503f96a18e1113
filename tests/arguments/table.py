"""For each parameter of the public face its kind, and a value with which the call works.

Both are looked up by the name of the parameter: under the label of the function first, then for all
functions. A parameter that is in neither table has no kind, and a test fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tests.arguments.face import World, sum_of_squares
from tinygrad_rnn import optim
from tinygrad_rnn.train import data, model

X = np.arange(6.0).reshape(2, 3) / 4 + 0.25
SQUARE = np.array([[2.0, 1.0], [0.5, 3.0]])


@dataclass(frozen=True)
class Argument:
    """A parameter's kind, and how its usual value is made."""

    kind: str
    make: Callable[[World], Any]


def _is(kind: str, value: Any) -> Argument:
    return Argument(
        kind, value if callable(value) and getattr(value, "__name__", "") == "<lambda>" else lambda w: value
    )


def _tensor(array: Any) -> Argument:
    return Argument("tensor", lambda w: tg.tensor(array))


def _cell(x: Any, h: Any) -> Any:
    h = tg.tanh(x + h)
    return h, h


CORPUS = data.Corpus.of("the cell remembers, the gate forgets; " * 20, 2, 5)

EVERYWHERE: dict[str, Argument] = {
    **{
        name: _tensor(X)
        for name in [
            "x",
            "x1",
            "x2",
            "a",
            "b",
            "v",
            "y",
            "prediction",
            "target",
            "logits",
            "other",
            "data",
            "values",
            "weights",
            "outputs",
            "fp",
        ]
    },
    **{name: _is("axis", 0) for name in ["axis1", "source"]},
    **{name: _is("axis", 1) for name in ["axis2", "destination"]},
    "axis": _is("axes", 0),
    "axes": _is("order of axes", (1, 0)),
    "keepdims": _is("flag", False),
    "dtype": _is("dtype", "float64"),
    "shape": _is("shape", (2, 3)),
    "sizes": _is("lengths beside a shape", []),
    "indices": _is("places", [1, 0]),
    "index": _is("index", 0),
    "ddof": _is("real", 0),
    "decimals": _is("decimals", 1),
    "k": _is("whole", 0),
    "n": _is("from 0", 2),
    "offset": _is("whole", 0),
    "arrays": _is("tensors", lambda w: [tg.tensor(X), tg.tensor(X)]),
    "f": _is("function", lambda w: sum_of_squares),
    "function": _is("function", lambda w: sum_of_squares),
    "argnums": _is("argnums", 0),
    "create_graph": _is("flag", False),
    "requires_grad": _is("flag", False),
    "wanted": _is("flag", True),
    "backend": _is("backend", "numpy"),
    "name": _is("text", "W"),
    "path": _is("path", lambda w: str(w.folder / "file.svg")),
    "reduction": _is("choice", "mean"),
    "seed": _is("seed", 0),
    # layers
    **{
        name: _is("size", 3)
        for name in [
            "in_features",
            "out_features",
            "input_size",
            "hidden_size",
            "num_embeddings",
            "embedding_dim",
        ]
    },
    "num_layers": _is("count", 2),
    "proj_size": _is("size", 2),
    **{
        name: _is("flag", False)
        for name in [
            "bias",
            "batch_first",
            "bidirectional",
            "reverse",
            "nesterov",
            "amsgrad",
            "centered",
            "strict",
            "order",
            "aside",
            "direct",
        ]
    },
    "dropout": _is("probability", 0.5),
    "p": _is("probability", 0.5),
    "cell_clip": _is("bound", 1.0),
    "proj_clip": _is("bound", 1.0),
    "nonlinearity": _is("choice", "tanh"),
    "reset": _is("choice", "after"),
    "masked_output": _is("choice", "zero"),
    "compiled": _is("word, True or False", False),
    "checkpoint": _is("steps", 2),
    "cell": _is("instance", lambda w: _cell),
    "normalized_shape": _is("shape", 3),
    "eps": _is("rate", 1e-5),
    "state": _is("tensor", lambda w: tg.zeros((2, 3))),
    "lengths": _is("lengths", [3, 2]),
    "mask": _is("mask", lambda w: np.ones((3, 2), bool)),
    # optimisers
    "parameters": _is("parameters", lambda w: w.parameters),
    **{
        name: _is("rate", 0.1)
        for name in ["lr", "weight_decay", "momentum", "dampening", "gamma", "least", "bound", "std"]
    },
    "betas": _is("decays", (0.9, 0.99)),
    "alpha": _is("decay", 0.9),
    "max_norm": _is("bound", 1.0),
    "clip_value": _is("bound", 1.0),
    "optimizer": _is("optimizer", lambda w: w.optimizer),
    "step_size": _is("steps", 2),
    "steps": _is("steps", 2),
    "then": _is("schedule", None),
    "gain": _is("real", 1.0),
}

_FLOAT_DTYPE = _is("float dtype", "float64")
_CLASSES = _is("class numbers", lambda w: tg.tensor([0, 2]))
_SQUARE = _tensor(SQUARE)
_VECTOR = _tensor(np.array([1.0, 2.0, 3.0]))
_ONE_AXIS = {"axis": _is("axis", 0)}
_ONE_AXIS_OR_NONE = {"axis": _is("axis or None", 0)}
_CELL_CALL = {
    "x": _is("tensor", lambda w: tg.zeros((2, 3))),
    "state": _is("tensor", lambda w: tg.zeros((2, 4))),
}
_PAIR_CALL = {**_CELL_CALL, "state": _is("pair", lambda w: (tg.zeros((2, 4)), tg.zeros((2, 4))))}


OWN: dict[str, dict[str, Argument]] = {
    # functions of tensors
    **{f"tg.{name}": _ONE_AXIS for name in ["diff", "unstack"]},
    "tg.stack": {"axis": _is("place of an axis", 0)},
    **{
        f"tg.{name}": _ONE_AXIS_OR_NONE
        for name in ["argmax", "argmin", "argsort", "concat", "cumprod", "cumsum", "sort"]
    },
    **{f"Tensor.{name}": _ONE_AXIS_OR_NONE for name in ["argmax", "argmin", "argsort", "cumsum"]},
    **{
        f"tg.{name}": {"x": _tensor(X - 0.5)}
        for name in ["acos", "asin", "atanh", "arccos", "arcsin", "arctanh"]
    },
    **{f"tg.{name}": {"x": _tensor(X + 1.0)} for name in ["acosh", "arccosh"]},
    **{
        f"tg.{name}": {"x1": _tensor(X > 1), "x2": _tensor(X < 1)}
        for name in ["logical_and", "logical_or", "logical_xor"]
    },
    **{f"tg.{name}": {"b": _tensor(X.T)} for name in ["dot", "vdot"]},
    "tg.broadcast_arrays": {"arrays": _is("tensor", lambda w: (tg.tensor(X), tg.tensor(X[:1])))},
    **{f"Tensor.{name}": {"other": _tensor(X > 1)} for name in ["__and__", "__or__", "__xor__"]},
    "tg.arange": {"args": _is("finite", (0, 5, 2)), "dtype": _is("dtype", "float32")},
    "tg.append": {"values": _tensor(X), **_ONE_AXIS_OR_NONE},
    "tg.average": {"weights": _tensor(X), "axis": _is("axes", 0)},
    "tg.bce_with_logits": {"pos_weight": _tensor(np.array(2.0)), "target": _tensor(np.ones((2, 3)))},
    "tg.check_gradients": {
        "f": _is("function", lambda w: sum_of_squares),
        "inputs": _is("leaves", lambda w: (tg.tensor(X),)),
        "order": _is("1 or 2", 1),
        "step": _is("positive", 1e-6),
        "rtol": _is("rate", 1e-5),
        "atol": _is("rate", 1e-7),
    },
    "tg.clear_caches": {"disk": _is("flag", False)},
    "tg.clip": {
        "a_min": _tensor(0.5),
        "a_max": _tensor(1.0),
        "min": _is("tensor", None),
        "max": _is("tensor", None),
    },
    "Tensor.clip": {"min": _tensor(0.5), "max": _tensor(1.0)},
    "tg.cross": {"axis": _is("axis", -1)},
    "tg.convolve": {"a": _VECTOR, "v": _VECTOR, "mode": _is("choice", "same")},
    "tg.cross_entropy": {
        "target": _is("classes or probabilities", lambda w: tg.tensor([0, 2])),
        "axis": _is("axis", -1),
        "ignore_index": _is("whole", 1),
        "label_smoothing": _is("probability", 0.1),
    },
    "tg.nll_loss": {"target": _CLASSES, "axis": _is("axis", -1), "log_probabilities": _tensor(-X)},
    "tg.delete": {"indices": _is("deleted", 1), **_ONE_AXIS_OR_NONE},
    "tg.diff": {"n": _is("from 0", 1), **_ONE_AXIS},
    "tg.draw": {
        "out": _is("recorded", lambda w: w.loss),
        "view": _is("choice", "ops"),
        "gains": _is("flag", None),
        "values": _is("flag", False),
        "max_nodes": _is("steps", 150),
        "of": _is("recorded", None),
        "title": _is("text", "title"),
    },
    "tg.flow": {"loss": _is("recorded", lambda w: w.loss), "of": _is("recorded or all", "all")},
    "tg.einsum": {
        "subscripts": _is("subscripts", "ij,ij->i"),
        "operands": _is("tensor", lambda w: (tg.tensor(X), tg.tensor(X))),
        "optimize": _is("word, True or False", True),
    },
    "tg.elu": {"alpha": _tensor(1.0)},
    "tg.explain": {
        "cell": _is("instance", lambda w: _cell),
        "xs": _is("leaves", lambda w: tg.zeros((3, 2, 3))),
        "state": _is("leaves", lambda w: tg.zeros((2, 3))),
    },
    "tg.eye": {"n": _is("size", 3), "m": _is("size", 2)},
    "tg.identity": {"n": _is("size", 3)},
    "tg.expand_dims": {"axis": _is("axes", 0)},
    "tg.full": {"fill_value": _tensor(2.0)},
    "tg.full_like": {"fill_value": _tensor(2.0)},
    "tg.gradients": {
        "outputs": _is("recorded", lambda w: w.loss),
        "inputs": _is("inputs", lambda w: w.x),
        "grad_outputs": _is("leaves", lambda w: tg.tensor(1.0)),
    },
    "tg.hardtanh": {"low": _is("bound of clip", -1.0), "high": _is("bound of clip", 1.0)},
    "tg.hessian": {"argnums": _is("from 0", 0)},
    "tg.jacobian": {"argnums": _is("from 0", 0)},
    "tg.huber_loss": {"delta": _is("positive", 1.0)},
    "tg.hvp": {"v": _tensor(X), "x": _is("leaves", lambda w: tg.tensor(X))},
    "tg.jvp": {"v": _is("leaves", lambda w: tg.tensor(X)), "x": _is("leaves", lambda w: tg.tensor(X))},
    "tg.interp": {"xp": _VECTOR, "fp": _VECTOR},
    "tg.isclose": {"rtol": _tensor(1e-5), "atol": _tensor(1e-8)},
    "tg.allclose": {"rtol": _tensor(1e-5), "atol": _tensor(1e-8)},
    "tg.leaky_relu": {"negative_slope": _tensor(0.01)},
    "tg.linspace": {
        "start": _tensor(0.0),
        "stop": _tensor(1.0),
        "num": _is("size", 3),
        "endpoint": _is("flag", True),
    },
    "tg.load": {"path": _is("path", lambda w: w.saved())},
    "tg.save": {
        "path": _is("path", lambda w: str(w.folder / "weights.safetensors")),
        "source": _is("source", lambda w: w.layer),
        "metadata": _is("metadata", lambda w: {"a": "b"}),
    },
    "tg.matmul": {"x2": _tensor(X.T)},
    "tg.meshgrid": {
        "vectors": _is("tensor", lambda w: (tg.tensor(X[0]), tg.tensor(X[1]))),
        "indexing": _is("choice", "xy"),
    },
    "tg.moveaxis": {"source": _is("order of axes", 0), "destination": _is("order of axes", 1)},
    "tg.nan_to_num": {"nan": _tensor(0.0)},
    "tg.norm": {"ord": _is("order of a norm", 1), "axis": _is("axes", 1)},
    "tg.one_hot": {"indices": _is("class numbers", lambda w: tg.tensor([0, 2])), "classes": _is("size", 3)},
    "tg.pad": {
        "pad_width": _is("widths", 1),
        "mode": _is("choice", "constant"),
        "constant_values": _tensor(1.0),
    },
    "tg.percentile": {"q": _is("percent", 50)},
    "tg.quantile": {"q": _is("share or shares", 0.5)},
    "tg.repeat": {"repeats": _is("repeats", 2), **_ONE_AXIS_OR_NONE},
    "tg.reshape": {"shape": _is("shape", (3, -1))},
    "Tensor.reshape": {"shape": _is("shape", (3, -1))},
    "tg.roll": {"shift": _is("places", 1), "axis": _is("axes", 0)},
    "tg.rot90": {"axes": _is("order of axes", (0, 1)), "k": _is("whole", 1)},
    "tg.scan": {
        "xs": _is("leaves", lambda w: tg.zeros((3, 2, 3))),
        "state": _is("leaves", lambda w: tg.zeros((2, 3))),
    },
    "tg.set_memory_budget": {"most": _is("from 0 or None", None)},
    "tg.searchsorted": {"a": _VECTOR, "v": _tensor(X), "side": _is("choice", "left")},
    "tg.select": {
        "conditions": _is("tensors", lambda w: [tg.tensor(X > 1)]),
        "choices": _is("tensors", lambda w: [tg.tensor(X)]),
        "default": _tensor(0.0),
    },
    "tg.set_backend": {"name": _is("backend", "numpy")},
    "tg.use_backend": {"name": _is("backend", "numpy")},
    "tg.set_default_dtype": {"dtype": _is("float dtype", "float32")},
    **{
        f"tg.{name}": {"indices_or_sections": _is("sections", 1), "axis": _is("axis", 0)}
        for name in ["split", "array_split", "hsplit", "vsplit"]
    },
    "tg.squeeze": {"x": _tensor(X[:1])},
    "tg.take": {"indices": _is("indices", [1, 0]), "axis": _is("axis", 0)},
    "Tensor.take": {"indices": _is("indices", [1, 0]), "axis": _is("axis", 0)},
    "tg.take_along_axis": {"indices": _is("indices", np.array([[1, 0, 1]])), **_ONE_AXIS_OR_NONE},
    "tg.tensordot": {"axes": _is("paired axes", 2)},
    "tg.tile": {"reps": _is("shape", (2, 1))},
    "tg.trapezoid": {"y": _tensor(X), "x": _is("tensor", None), "dx": _tensor(0.5), "axis": _is("axis", -1)},
    "tg.array": {"data": _tensor(X), "backend": _is("backend", "numpy")},
    "tg.vjp": {
        "f": _is("function", lambda w: sum_of_squares),
        "xs": _is("leaves", lambda w: (tg.tensor(X),)),
    },
    "tg.where": {"condition": _tensor(X > 1), "x": _tensor(X), "y": _tensor(-X)},
    "linalg.det": {"a": _SQUARE},
    "linalg.inv": {"a": _SQUARE},
    "linalg.matrix_power": {"a": _SQUARE, "n": _is("whole", 2)},
    "linalg.solve": {"a": _SQUARE, "b": _tensor(np.ones((2, 2)))},
    # methods of tensors
    "Tensor.__matmul__": {"other": _tensor(X.T)},
    "Tensor.__rmatmul__": {"other": _tensor(X.T)},
    "Tensor.__pow__": {"exponent": _tensor(2.0)},
    "Tensor.__rpow__": {"base": _tensor(2.0)},
    "Tensor.backward": {"grad": _tensor(X), "create_graph": _is("flag", False)},
    "Tensor.squeeze": {"axis": _is("axes", ())},
    "Tensor.transpose": {"axes": _is("order of axes", (1, 0))},
    "Tape.of": {"outputs": _is("results", lambda w: (w.loss,)), "since": _is("whole", -1)},
    # random and first values
    "random.seed": {"value": _is("seed", 0)},
    "random.set_state": {"state": _is("random state", lambda w: tg.random.get_state())},
    "init.forget_gate_bias": {"value": _is("real", 1.0)},
    "init.glorot_normal": {"gain": _is("rate", 1.0)},
    "init.glorot_uniform": {"gain": _is("rate", 1.0)},
    # layers
    **{
        f"nn.{name}": {"dtype": _FLOAT_DTYPE}
        for name in [
            "Embedding",
            "LayerNorm",
            "GRU",
            "GRUCell",
            "LSTM",
            "LSTMCell",
            "Linear",
            "RNN",
            "RNNCell",
        ]
    },
    "nn.PeepholeLSTM": {"dtype": _FLOAT_DTYPE},
    "nn.PeepholeLSTMCell": {"dtype": _FLOAT_DTYPE},
    "nn.Parameter": {"data": _tensor(X), "dtype": _FLOAT_DTYPE},
    "nn.Shape": {"axes": _is("size", lambda w: (4, 4))},
    "nn.Sequential": {"layers": _is("instance", lambda w: (w.layer,))},
    "nn.detach": {"state": _is("state", lambda w: (tg.zeros(2), tg.zeros(2)))},
    "Linear.__call__": {"x": _is("tensor", lambda w: tg.zeros((2, 3)))},
    "Linear.astype": {"dtype": _is("float dtype", "float32")},
    "Linear.load_state_dict": {
        "values": _is("state dict", lambda w: w.layer.state_dict()),
        "strict": _is("flag", True),
    },
    "Linear.train": {"mode": _is("flag", True)},
    "Embedding.__call__": {"x": _is("class numbers", lambda w: tg.tensor([1, 2]))},
    "LayerNorm.__call__": {"x": _tensor(X)},
    "Sequential.__call__": {"x": _is("tensor", lambda w: tg.zeros((2, 3)))},
    "RNNCell.__call__": _CELL_CALL,
    "GRUCell.__call__": _CELL_CALL,
    "LSTMCell.__call__": _PAIR_CALL,
    "PeepholeLSTMCell.__call__": _PAIR_CALL,
    "Recurrent.__call__": {
        "x": _is("leaves", lambda w: tg.zeros((3, 2, 3))),
        "state": _is("leaves", lambda w: tg.zeros((2, 4))),
    },
    "Recurrent.stepper": {"state": _is("leaves", lambda w: tg.zeros((2, 4)))},
    "RNN.stepper": {"state": _is("tensor", lambda w: tg.zeros((1, 2, 4)))},
    "RNN.__call__": {
        "x": _is("tensor", lambda w: tg.zeros((3, 2, 3))),
        "state": _is("tensor", lambda w: tg.zeros((1, 2, 4))),
    },
    # optimisers
    "SGD.load_state_dict": {
        "state": _is("state of an optimiser", lambda w: optim.SGD(w.parameters, momentum=0.9).state_dict())
    },
    "StepLR.load_state_dict": {"state": _is("state of a schedule", lambda w: w.schedule.state_dict())},
    "optim.WarmupLR": {"steps": _is("size", 2)},
    "optim.clip_grad_norm": {"parameters": _is("parameters or tensor", lambda w: w.parameters)},
    "optim.clip_grad_value": {"parameters": _is("parameters or tensor", lambda w: w.parameters)},
    # pictures and diagnosis
    "Picture.save": {"path": _is("path", lambda w: str(w.folder / "picture.dot"))},
    "Report.save": {"path": _is("path", lambda w: str(w.folder / "flow.csv"))},
    "Report.to_csv": {
        "path": _is("path", lambda w: str(w.folder / "flow.csv")),
        "rows": _is("choice", "steps"),
    },
    "Report.track": {"name": _is("text", None)},
    "Report.worst": {"count": _is("from 0", 2)},
    "Track.jacobians": {"of": _is("text", None)},
    "Track.jacobian_norms": {"of": _is("text", None), "exact": _is("flag", None)},
    "Track.paths": {"step": _is("step", -1), "limit": _is("steps", 10)},
    "Track.sent": {"step": _is("step", -1)},
    # training
    "Vocabulary.encode": {"text": _is("text", "abc")},
    "Vocabulary.of": {"text": _is("text", "abc")},
    "Vocabulary.decode": {"numbers": _is("numbers of a vocabulary", lambda w: np.array([0, 1]))},
    "train.Vocabulary": {"characters": _is("text", "abc")},
    "train.Config": {
        "cell": _is("choice", "gru"),
        **{
            name: _is("count", 2)
            for name in ["hidden", "layers", "embed", "batch", "length", "steps", "every"]
        },
        "dropout": _is("decay", 0.1),
        "lr": _is("positive", 0.1),
        "clip": _is("positive", 1.0),
        "seed": _is("from 0", 0),
        "text": _is("path", None),
    },
    "train.read_text": {"path": _is("path or None", lambda w: w.written())},
    "train.Corpus.of": {
        "text": _is("text of a corpus", "the cell remembers; " * 20),
        "readers": _is("count", 2),
        "length": _is("count", 3),
    },
    "train.Trainer": {"config": _is("config", lambda w: w.config()), "corpus": _is("corpus", CORPUS)},
    "train.CharacterModel": {
        "characters": _is("count", 4),
        "cell": _is("choice", "gru"),
        "embed": _is("count", 2),
        "hidden": _is("count", 2),
        "layers": _is("count", 2),
        "dropout": _is("decay", 0.1),
    },
    "train.Run.new": {
        "config": _is("config", lambda w: w.config()),
        "path": _is("path", lambda w: str(w.folder / "run")),
    },
    "train.Run.resume": {"path": _is("path", lambda w: w.begun()), "changes": _is("settings", lambda w: {})},
    "train.sample": {
        "model": _is("model", lambda w: model.CharacterModel(3, "gru", 2, 2)),
        "vocabulary": _is("vocabulary", lambda w: data.Vocabulary("abc")),
        "length": _is("size", 2),
        "temperature": _is("rate", 0.5),
        "prompt": _is("text", "ab"),
    },
    # what functions return
    **{
        label: {"xs": _is("leaves", lambda w: (tg.tensor(X),))}
        for label in ["grad()", "value_and_grad()", "jacobian()", "hessian()", "checkpoint()"]
    },
    "vjp()": {"g": _is("leaves", lambda w: tg.tensor(X))},
}


def argument(label: str, parameter: str) -> Argument:
    """What a parameter is.

    Raises:
        KeyError: it is in no table.
    """
    return OWN.get(label, {}).get(parameter) or EVERYWHERE[parameter]
