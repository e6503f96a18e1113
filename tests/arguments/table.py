"""For each parameter of the public face its kind, and a value with which the call works.

Both are looked up by the name of the parameter: under the label of the function first, then for all
functions. A parameter that is in neither table has no kind, and a test fails.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tests.arguments.everywhere import EVERYWHERE, Argument, X, cell, is_a, is_tensor
from tests.arguments.face import World, sum_of_squares
from tinygrad_rnn import data, optim
from tinygrad_rnn.train import model

SQUARE = np.array([[2.0, 1.0], [0.5, 3.0]])


_FLOAT_DTYPE = is_a("float dtype", "float64")


_CLASSES = is_a("class numbers", lambda w: tg.tensor([0, 2]))


_SQUARE = is_tensor(SQUARE)


_VECTOR = is_tensor(np.array([1.0, 2.0, 3.0]))


_ONE_AXIS = {"axis": is_a("axis", 0)}


_ONE_AXIS_OR_NONE = {"axis": is_a("axis or None", 0)}


_CELL_CALL = {
    "x": is_a("tensor", lambda w: tg.zeros((2, 3))),
    "state": is_a("tensor", lambda w: tg.zeros((2, 4))),
}


_PAIR_CALL = {**_CELL_CALL, "state": is_a("pair", lambda w: (tg.zeros((2, 4)), tg.zeros((2, 4))))}


_OF_CLASSES = [
    "Accuracy",
    "F1",
    "Precision",
    "Recall",
    "ConfusionMatrix",
    "Perplexity",
    "TopK",
    "AreaUnderCurve",
]


_SCORED = {"outputs": is_a("scores", SQUARE), "targets": is_a("classes", [0, 1])}


def _fitted_batches(w: World) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.ones((2, 3, 3), np.float32), np.zeros((2, 3, 4), np.float32))]


def _outputs_and_targets(y: Any, targets: Any) -> tg.Tensor:
    """A loss for outputs with and without a state."""
    return tg.mse_loss(y[0] if isinstance(y, tuple) else y, targets)


_FITTED = {
    "model": is_a("module", lambda w: w.lstm),
    "loss": is_a("loss", lambda w: _outputs_and_targets),
    "data": Argument("batches", _fitted_batches),
    "metrics": is_a("metrics", None),
    "carry": is_a("flag", False),
}


_BATCHES = {
    "size": is_a("count", 2),
    "shuffle": is_a("flag", True),
    "drop_last": is_a("flag", False),
    "pool": is_a("count", 2),
    "value": is_a("any number", 0),
    "padding": is_a("padding", None),
}


OWN: dict[str, dict[str, Argument]] = {
    # functions of tensors
    **{f"tg.{name}": _ONE_AXIS for name in ["diff", "unstack"]},
    "tg.stack": {"axis": is_a("place of an axis", 0)},
    **{
        f"tg.{name}": _ONE_AXIS_OR_NONE
        for name in ["argmax", "argmin", "argsort", "concat", "cumprod", "cumsum", "sort"]
    },
    **{f"Tensor.{name}": _ONE_AXIS_OR_NONE for name in ["argmax", "argmin", "argsort", "cumsum"]},
    **{
        f"tg.{name}": {"x": is_tensor(X - 0.5)}
        for name in ["acos", "asin", "atanh", "arccos", "arcsin", "arctanh"]
    },
    **{f"tg.{name}": {"x": is_tensor(X + 1.0)} for name in ["acosh", "arccosh"]},
    **{
        f"tg.{name}": {"x1": is_tensor(X > 1), "x2": is_tensor(X < 1)}
        for name in ["logical_and", "logical_or", "logical_xor"]
    },
    **{f"tg.{name}": {"b": is_tensor(X.T)} for name in ["dot", "vdot"]},
    "tg.broadcast_arrays": {"arrays": is_a("tensor", lambda w: (tg.tensor(X), tg.tensor(X[:1])))},
    **{f"Tensor.{name}": {"other": is_tensor(X > 1)} for name in ["__and__", "__or__", "__xor__"]},
    "tg.arange": {"args": is_a("finite", (0, 5, 2)), "dtype": is_a("dtype", "float32")},
    "tg.append": {"values": is_tensor(X), **_ONE_AXIS_OR_NONE},
    "tg.average": {"weights": is_tensor(X), "axis": is_a("axes", 0)},
    "tg.bce_with_logits": {"pos_weight": is_tensor(np.array(2.0)), "target": is_tensor(np.ones((2, 3)))},
    "tg.check_gradients": {
        "f": is_a("function", lambda w: sum_of_squares),
        "inputs": is_a("leaves", lambda w: (tg.tensor(X),)),
        "order": is_a("1 or 2", 1),
        "step": is_a("positive", 1e-6),
        "rtol": is_a("rate", 1e-5),
        "atol": is_a("rate", 1e-7),
    },
    "tg.clear_caches": {"disk": is_a("flag", False)},
    "tg.clip": {
        "a_min": is_tensor(0.5),
        "a_max": is_tensor(1.0),
        "min": is_a("tensor", None),
        "max": is_a("tensor", None),
    },
    "Tensor.clip": {"min": is_tensor(0.5), "max": is_tensor(1.0)},
    "tg.cross": {"axis": is_a("axis", -1)},
    "tg.convolve": {"a": _VECTOR, "v": _VECTOR, "mode": is_a("choice", "same")},
    "tg.cross_entropy": {
        "target": is_a("classes or probabilities", lambda w: tg.tensor([0, 2])),
        "axis": is_a("axis", -1),
        "ignore_index": is_a("whole", 1),
        "label_smoothing": is_a("probability", 0.1),
        "weight": _VECTOR,
    },
    "tg.nll_loss": {
        "weight": _VECTOR,
        "target": _CLASSES,
        "axis": is_a("axis", -1),
        "log_probabilities": is_tensor(-X),
    },
    "tg.delete": {"indices": is_a("deleted", 1), **_ONE_AXIS_OR_NONE},
    "tg.diff": {"n": is_a("from 0", 1), **_ONE_AXIS},
    "tg.draw": {
        "out": is_a("recorded", lambda w: w.loss),
        "view": is_a("choice", "ops"),
        "gains": is_a("flag", None),
        "values": is_a("flag", False),
        "max_nodes": is_a("steps", 150),
        "start": is_a("recorded", None),
        "residuals": is_a("residual of a loss", None),
        "of": is_a("recorded", None),
        "title": is_a("text", "title"),
        "width": is_a("steps", 1200),
    },
    "tg.flow": {
        "loss": is_a("recorded", lambda w: w.loss),
        "start": is_a("recorded or all", "all"),
        "of": is_a("recorded or all", None),
        "aside": is_a("flag", None),
    },
    "tg.memory": {
        "model": is_a("function", lambda w: w.lstm),
        "inputs": is_tensor(np.ones((4, 3), np.float32)),
        "score": is_a("function or None", lambda w: lambda outputs, steps: outputs[:, 0]),
        "tokens": is_a("tokens or None", None),
    },
    "tg.einsum": {
        "subscripts": is_a("subscripts", "ij,ij->i"),
        "operands": is_a("tensor", lambda w: (tg.tensor(X), tg.tensor(X))),
        "optimize": is_a("word, True or False", True),
    },
    "tg.elu": {"alpha": is_tensor(1.0)},
    "tg.explain": {
        "cell": is_a("instance", lambda w: cell),
        "xs": is_a("leaves", lambda w: tg.zeros((3, 2, 3))),
        "state": is_a("leaves", lambda w: tg.zeros((2, 3))),
    },
    "tg.eye": {"n": is_a("size", 3), "m": is_a("size", 2)},
    "tg.identity": {"n": is_a("size", 3)},
    "tg.expand_dims": {"axis": is_a("axes", 0)},
    "tg.from_dlpack": {"x": is_a("array to share", X), "copy": is_a("flag", None)},
    "tg.full": {"fill_value": is_tensor(2.0)},
    "tg.full_like": {"fill_value": is_tensor(2.0)},
    "tg.gradients": {
        "outputs": is_a("recorded", lambda w: w.loss),
        "inputs": is_a("inputs", lambda w: w.x),
        "grad_outputs": is_a("leaves", lambda w: tg.tensor(1.0)),
    },
    "tg.hardtanh": {"low": is_a("bound of clip", -1.0), "high": is_a("bound of clip", 1.0)},
    "tg.hessian": {"argnums": is_a("from 0", 0)},
    "tg.jacobian": {"argnums": is_a("from 0", 0)},
    "tg.huber_loss": {"delta": is_a("positive", 1.0)},
    "tg.hvp": {"v": is_tensor(X), "x": is_a("leaves", lambda w: tg.tensor(X))},
    "tg.jvp": {"v": is_a("leaves", lambda w: tg.tensor(X)), "x": is_a("leaves", lambda w: tg.tensor(X))},
    "tg.interp": {"xp": _VECTOR, "fp": _VECTOR},
    "tg.isclose": {"rtol": is_tensor(1e-5), "atol": is_tensor(1e-8)},
    "tg.allclose": {"rtol": is_tensor(1e-5), "atol": is_tensor(1e-8)},
    "tg.leaky_relu": {"negative_slope": is_tensor(0.01)},
    "tg.linspace": {
        "start": is_tensor(0.0),
        "stop": is_tensor(1.0),
        "num": is_a("size", 3),
        "endpoint": is_a("flag", True),
    },
    "interop.onnx.load": {"path": is_a("path", lambda w: w.exported())},
    "interop.onnx.export": {
        "model": is_a("instance", lambda w: w.layer),
        "path": is_a("path", lambda w: str(w.folder / "layer.onnx")),
        "example": is_a("tensor", lambda w: (tg.zeros((2, 3)),)),
        "axes": is_a("metadata", lambda w: {"x": {0: "batch"}}),
        "outputs": is_a("choice", lambda w: ["scores"]),
    },
    "tg.load": {"path": is_a("path", lambda w: w.saved())},
    "tg.save": {
        "path": is_a("path", lambda w: str(w.folder / "weights.safetensors")),
        "source": is_a("source", lambda w: w.layer),
        "metadata": is_a("metadata", lambda w: {"a": "b"}),
    },
    "interop.c.dequantised": {"weight": is_tensor(X)},
    "interop.c.export": {
        "model": is_a("instance", lambda w: w.lstm),
        "path": is_a("path", lambda w: str(w.folder / "model.c")),
        "x": is_a("tensor", lambda w: tg.zeros((2, 3))),
        "state": is_a("tensor", lambda w: (tg.zeros((1, 2, 4)), tg.zeros((1, 2, 4)))),
        "weights": is_a("choice", "int8"),
        "name": is_a("identifier", "model"),
        "vocabulary": is_a("vocabulary", None),
    },
    "interop.convert.convert": {
        "source": is_a("path", lambda w: w.saved()),
        "target": is_a("path", lambda w: str(w.folder / "weights.pt")),
        "part": is_a("text or None", None),
    },
    "interop.keras.load": {"path": is_a("path", lambda w: w.saved_by_keras())},
    "interop.keras.save": {
        "path": is_a("path", lambda w: str(w.folder / "weights.keras")),
        "layers": is_a("layers by name", lambda w: {"head": w.layer}),
    },
    "interop.keras.load_weights": {
        "layer": is_a("module", lambda w: w.layer),
        "weights": is_a("weights of Keras", lambda w: tg.interop.keras.weights(w.layer)),
    },
    "interop.keras.weights": {"layer": is_a("module", lambda w: w.lstm), "of": is_a("choice", "value")},
    "interop.tensorflow.load_weights": {
        "layer": is_a("module", lambda w: w.lstm),
        "weights": is_a("weights of TensorFlow", lambda w: tg.interop.tensorflow.weights(w.lstm)),
        "forget_bias": is_a("real", 1.0),
    },
    "interop.tensorflow.weights": {
        "layer": is_a("module", lambda w: w.lstm),
        "of": is_a("choice", "value"),
        "forget_bias": is_a("real", 1.0),
    },
    "interop.torch.from_module": {"module": is_a("module of PyTorch", lambda w: w.foreign_module())},
    "interop.torch.load": {"path": is_a("path", lambda w: w.saved_by_torch())},
    "interop.torch.save": {
        "path": is_a("path", lambda w: str(w.folder / "weights.pt")),
        "source": is_a("source", lambda w: w.layer),
    },
    "tg.matmul": {"x2": is_tensor(X.T)},
    "tg.meshgrid": {
        "vectors": is_a("tensor", lambda w: (tg.tensor(X[0]), tg.tensor(X[1]))),
        "indexing": is_a("choice", "xy"),
    },
    "tg.moveaxis": {"source": is_a("order of axes", 0), "destination": is_a("order of axes", 1)},
    "tg.nan_to_num": {"nan": is_tensor(0.0)},
    "tg.norm": {"ord": is_a("order of a norm", 1), "axis": is_a("axes", 1)},
    "tg.one_hot": {"indices": is_a("class numbers", lambda w: tg.tensor([0, 2])), "classes": is_a("size", 3)},
    "tg.pad": {
        "pad_width": is_a("widths", 1),
        "mode": is_a("choice", "constant"),
        "constant_values": is_tensor(1.0),
    },
    "tg.percentile": {"q": is_a("percent", 50)},
    "tg.quantile": {"q": is_a("share or shares", 0.5)},
    "tg.repeat": {"repeats": is_a("repeats", 2), **_ONE_AXIS_OR_NONE},
    "tg.reshape": {"shape": is_a("shape", (3, -1))},
    "Tensor.reshape": {"shape": is_a("shape", (3, -1))},
    "tg.roll": {"shift": is_a("places", 1), "axis": is_a("axes", 0)},
    "tg.rot90": {"axes": is_a("order of axes", (0, 1)), "k": is_a("whole", 1)},
    "tg.scan": {
        "xs": is_a("leaves", lambda w: tg.zeros((3, 2, 3))),
        "state": is_a("leaves", lambda w: tg.zeros((2, 3))),
    },
    "tg.set_memory_budget": {"most": is_a("from 0 or None", None)},
    "tg.searchsorted": {"a": _VECTOR, "v": is_tensor(X), "side": is_a("choice", "left")},
    "tg.select": {
        "conditions": is_a("tensors", lambda w: [tg.tensor(X > 1)]),
        "choices": is_a("tensors", lambda w: [tg.tensor(X)]),
        "default": is_tensor(0.0),
    },
    "tg.set_backend": {"name": is_a("backend", "numpy")},
    "tg.use_backend": {"name": is_a("backend", "numpy")},
    "tg.set_default_dtype": {"dtype": is_a("float dtype", "float32")},
    **{
        f"tg.{name}": {"indices_or_sections": is_a("sections", 1), "axis": is_a("axis", 0)}
        for name in ["split", "array_split", "hsplit", "vsplit"]
    },
    "tg.squeeze": {"x": is_tensor(X[:1])},
    "tg.take": {"indices": is_a("indices", [1, 0]), "axis": is_a("axis", 0)},
    "Tensor.take": {"indices": is_a("indices", [1, 0]), "axis": is_a("axis", 0)},
    "tg.take_along_axis": {"indices": is_a("indices", np.array([[1, 0, 1]])), **_ONE_AXIS_OR_NONE},
    "tg.tensordot": {"axes": is_a("paired axes", 2)},
    "tg.tile": {"reps": is_a("shape", (2, 1))},
    "tg.trapezoid": {
        "y": is_tensor(X),
        "x": is_a("tensor", None),
        "dx": is_tensor(0.5),
        "axis": is_a("axis", -1),
    },
    "tg.array": {"data": is_tensor(X), "backend": is_a("backend", "numpy")},
    "tg.vjp": {
        "f": is_a("function", lambda w: sum_of_squares),
        "xs": is_a("leaves", lambda w: (tg.tensor(X),)),
    },
    "tg.where": {"condition": is_tensor(X > 1), "x": is_tensor(X), "y": is_tensor(-X)},
    "linalg.det": {"a": _SQUARE},
    "linalg.inv": {"a": _SQUARE},
    "linalg.matrix_power": {"a": _SQUARE, "n": is_a("whole", 2)},
    "linalg.solve": {"a": _SQUARE, "b": is_tensor(np.ones((2, 2)))},
    # methods of tensors
    "Tensor.__matmul__": {"other": is_tensor(X.T)},
    "Tensor.__rmatmul__": {"other": is_tensor(X.T)},
    "Tensor.__pow__": {"exponent": is_tensor(2.0)},
    "Tensor.__rpow__": {"base": is_tensor(2.0)},
    "Tensor.backward": {"grad": is_tensor(X), "create_graph": is_a("flag", False)},
    "Tensor.squeeze": {"axis": is_a("axes", ())},
    "Tensor.transpose": {"axes": is_a("order of axes", (1, 0))},
    "Tape.of": {"outputs": is_a("results", lambda w: (w.loss,)), "since": is_a("whole", -1)},
    # random and first values
    "random.seed": {"value": is_a("seed", 0)},
    "random.set_state": {"state": is_a("random state", lambda w: tg.random.get_state())},
    "init.forget_gate_bias": {"value": is_a("real", 1.0)},
    "init.glorot_normal": {"gain": is_a("rate", 1.0)},
    "init.glorot_uniform": {"gain": is_a("rate", 1.0)},
    # activations
    "activations.get": {"activation": is_a("instance", "tanh")},
    **{
        f"activations.{name}": {"alpha": is_a("real", 0.5), "beta": is_a("real", 0.5)}
        for name in ["affine", "elu", "hard_sigmoid", "leaky_relu", "scaled_tanh", "thresholded_relu"]
    },
    "gate_orders.reorder": {
        "values": is_tensor(np.arange(8.0).reshape(4, 2)),
        "before": is_a("choice", "ifgo"),
        "after": is_a("choice", "iofg"),
        "axis": is_a("axis", 0),
    },
    # layers
    **{
        f"nn.{name}": {"dtype": _FLOAT_DTYPE}
        for name in [
            "GRU",
            "GRUCell",
            "LSTM",
            "LSTMCell",
            "LayerNormGRUCell",
            "LayerNormLSTMCell",
            "LayerNormRNNCell",
            "Linear",
            "MGU",
            "MGUCell",
            "RNN",
            "RNNCell",
        ]
    },
    "nn.LayerNorm": {"elementwise_affine": is_a("flag", True), "dtype": _FLOAT_DTYPE},
    "nn.Recurrent": {"input_size": is_a("size or None", None), "outputs": is_a("choice", "last")},
    "nn.Embedding": {"padding_idx": is_a("step", 0), "dtype": _FLOAT_DTYPE},
    "nn.PeepholeLSTM": {"dtype": _FLOAT_DTYPE},
    "nn.PeepholeLSTMCell": {"dtype": _FLOAT_DTYPE},
    "nn.Parameter": {"data": is_tensor(X), "dtype": _FLOAT_DTYPE},
    "nn.Shape": {"axes": is_a("size", lambda w: (4, 4))},
    "nn.Sequential": {"layers": is_a("instance", lambda w: (w.layer,))},
    "nn.detach": {"state": is_a("state", lambda w: (tg.zeros(2), tg.zeros(2)))},
    "Linear.__call__": {"x": is_a("tensor", lambda w: tg.zeros((2, 3)))},
    "Linear.astype": {"dtype": is_a("float dtype", "float32")},
    "Linear.named_parameters": {"remove_duplicate": is_a("flag", True)},
    "Linear.load_state_dict": {
        "values": is_a("state dict", lambda w: w.layer.state_dict()),
        "strict": is_a("flag", True),
    },
    "Linear.train": {"mode": is_a("flag", True)},
    "Linear.requires_grad_": {"requires_grad": is_a("flag", True)},
    "Embedding.__call__": {"x": is_a("class numbers", lambda w: tg.tensor([1, 2]))},
    "LayerNorm.__call__": {"x": is_tensor(X)},
    "Sequential.__call__": {"x": is_a("tensor", lambda w: tg.zeros((2, 3)))},
    "RNNCell.__call__": _CELL_CALL,
    "GRUCell.__call__": _CELL_CALL,
    "LSTMCell.__call__": _PAIR_CALL,
    "PeepholeLSTMCell.__call__": _PAIR_CALL,
    "MGUCell.__call__": _CELL_CALL,
    **{
        f"{kind}.step_dropped": {**_CELL_CALL, "mask": is_tensor(np.ones((2, 4), np.float32))}
        for kind in ["RNNCell"]
    },
    "Recurrent.reset_state": {"state": is_a("leaves", lambda w: tg.zeros((2, 4)))},
    "Recurrent.__call__": {
        "x": is_a("leaves", lambda w: tg.zeros((3, 2, 3))),
        "state": is_a("leaves", lambda w: tg.zeros((2, 4))),
    },
    "Recurrent.stepper": {"state": is_a("leaves", lambda w: tg.zeros((2, 4)))},
    "Recurrent.explain": {
        "x": is_a("leaves", lambda w: tg.zeros((3, 2, 3))),
        "state": is_a("leaves", lambda w: tg.zeros((2, 4))),
    },
    "RNN.explain": {
        "x": is_a("tensor", lambda w: tg.zeros((3, 2, 3))),
        "state": is_a("tensor", lambda w: tg.zeros((1, 2, 4))),
    },
    "RNN.stepper": {"state": is_a("tensor", lambda w: tg.zeros((1, 2, 4)))},
    "RNN.__call__": {
        "x": is_a("tensor", lambda w: tg.zeros((3, 2, 3))),
        "state": is_a("tensor", lambda w: tg.zeros((1, 2, 4))),
    },
    # optimisers
    "SGD.add_group": {
        "group": is_a("group", lambda w: {"params": [tg.zeros(2).requires_grad_()], "lr": 0.5})
    },
    "SGD.load_state_dict": {
        "state": is_a("state of an optimiser", lambda w: optim.SGD(w.parameters, momentum=0.9).state_dict())
    },
    "StepLR.load_state_dict": {"state": is_a("state of a schedule", lambda w: w.schedule.state_dict())},
    "PlateauLR.load_state_dict": {
        "state": is_a("state of a schedule", lambda w: optim.PlateauLR(w.optimizer).state_dict())
    },
    "PlateauLR.step": {"loss": is_a("real", 1.0)},
    "optim.LambdaLR": {"lr_lambda": is_a("function", lambda w: lambda n: 0.5**n)},
    "optim.OneCycleLR": {
        "max_lr": is_a("rate", 0.1),
        "total_steps": is_a("count", 5),
        "pct_start": is_a("probability", 0.3),
        "anneal_strategy": is_a("choice", "cos"),
        "cycle_momentum": is_a("flag", True),
        "base_momentum": is_a("decay", 0.85),
        "max_momentum": is_a("decay", 0.95),
        "div_factor": is_a("positive", 25.0),
        "final_div_factor": is_a("positive", 1e4),
        "three_phase": is_a("flag", False),
    },
    "optim.PlateauLR": {
        "mode": is_a("choice", "min"),
        "factor": is_a("decay", 0.1),
        "patience": is_a("from 0", 10),
        "threshold": is_a("rate", 1e-4),
        "threshold_mode": is_a("choice", "rel"),
        "cooldown": is_a("from 0", 0),
        "min_lr": is_a("rate", 0.0),
    },
    "optim.WarmupLR": {"steps": is_a("size", 2)},
    "optim.clip_grad_norm": {"parameters": is_a("parameters or tensor", lambda w: w.parameters)},
    "optim.clip_grad_value": {"parameters": is_a("parameters or tensor", lambda w: w.parameters)},
    # pictures and diagnosis
    "Picture.save": {"path": is_a("path", lambda w: str(w.folder / "picture.dot"))},
    "Memory.save": {"path": is_a("path", lambda w: str(w.folder / "memory.html"))},
    "Report.save": {"path": is_a("path", lambda w: str(w.folder / "flow.csv"))},
    "Report.to_csv": {
        "path": is_a("path", lambda w: str(w.folder / "flow.csv")),
        "rows": is_a("choice", "steps"),
    },
    "Report.spectrum": {
        "steps": is_a("later steps", -1),
        "chain": is_a("text", None),
        "sample": is_a("sample", 0),
    },
    "Report.ways": {"step": is_a("step or None", -1), "chain": is_a("text", None)},
    "Report.track": {"name": is_a("text", None)},
    "Report.worst": {"count": is_a("from 0", 2)},
    "tg.table": {
        "out": is_a("recorded", lambda w: w.loss),
        "units": is_a("units", (0, 1)),
        "digits": is_a("steps", 4),
    },
    "TapeTable.equations": {"shapes": is_a("flag", False)},
    "Track.jacobians": {"of": is_a("text", None)},
    "Track.jacobian_norms": {"of": is_a("text", None), "exact": is_a("flag", None)},
    "Track.paths": {"step": is_a("step", -1), "limit": is_a("steps", 10)},
    "Track.step_jacobian": {"step": is_a("later step", -1), "sample": is_a("sample", 0)},
    "Track.step_of": {"step": is_a("step", -1)},
    "Track.sent": {"step": is_a("step", -1)},
    # data
    **{
        f"data.{name}": {
            "length": is_a("count", 24),
            "batch": is_a("count", 2),
            "dtype": _FLOAT_DTYPE,
            "delay": is_a("count", 3),
            "symbols": is_a("count", 2),
            "alphabet": is_a("count", 4),
            "relevant": is_a("count", 2),
            "outputs": is_a("choice", "all"),
            "least": is_a("count", 3),
            "spread": is_a("size", 2),
            "task": is_a("choice", "generate"),
        }
        for name in ["adding_problem", "copying_memory", "parity", "spike_timing", "temporal_order"]
    },
    "data.batches": {"data": is_a("samples", lambda w: (X, [[1.0], [2.0, 3.0]])), **_BATCHES},
    "data.bucket": {"data": is_a("samples with lengths", lambda w: [[1.0], [2.0, 3.0]]), **_BATCHES},
    "data.missing": {
        "x": is_a("series", X),
        "times": is_a("times", lambda w: [0.0, 1.5]),
        "fill": is_a("choice", "forward"),
    },
    "data.pad_sequences": {
        "sequences": is_a("sequences", lambda w: [[1.0], [2.0, 3.0]]),
        "value": is_a("any number", 0),
        "padding": is_a("padding", None),
        "length": is_a("size", 3),
        "side": is_a("choice", "end"),
    },
    "data.split": {
        "data": is_a("samples", lambda w: (X, [[1.0], [2.0, 3.0]])),
        "shares": is_a("shares of all", 0.5),
    },
    "data.sliding": {
        "series": is_a("series", lambda w: np.arange(9.0)),
        "length": is_a("count", 2),
        "horizon": is_a("count", 2),
        "stride": is_a("count", 2),
        "targets": is_a("series", None),
    },
    "data.windows": {
        "stream": is_a("series", lambda w: np.arange(9.0)),
        "length": is_a("count", 2),
        "batch": is_a("count", 2),
    },
    "Batches.load_state_dict": {"state": is_a("place in a pass", lambda w: w.batches.state_dict())},
    "Standard.fit": {"x": is_a("series", X)},
    "Standard.transform": {"x": is_a("series", X)},
    "Standard.inverse": {"x": is_a("series", X)},
    "Standard.load_state_dict": {"state": is_a("state of a scaler", lambda w: w.scaler.state_dict())},
    "data.MinMax": {"low": is_a("real", -1.0), "high": is_a("real", 200.0)},
    "data.Vocabulary": {"tokens": is_a("text or words", "abc"), "unknown": is_a("text", None)},
    "Vocabulary.encode": {"text": is_a("text", "abc")},
    "Vocabulary.of": {
        "text": is_a("text or words", "abc"),
        "unknown": is_a("text", None),
        "least": is_a("steps", 1),
    },
    "Vocabulary.decode": {"numbers": is_a("numbers of a vocabulary", lambda w: np.array([0, 1]))},
    "Vocabulary.from_json": {"text": is_a("written vocabulary", lambda w: data.Vocabulary("ab").to_json())},
    # training
    "train.Config": {
        "cell": is_a("choice", "gru"),
        **{
            name: is_a("count", 2)
            for name in ["hidden", "layers", "embed", "batch", "length", "steps", "every"]
        },
        "dropout": is_a("decay", 0.1),
        "lr": is_a("positive", 0.1),
        "clip": is_a("positive", 1.0),
        "patience": is_a("size", 2),
        "held_out": is_a("share or path", "0.2"),
        "optimizer": is_a("choice", "sgd"),
        "schedule": is_a("choice", "onecycle"),
        "weight_decay": is_a("rate", 0.1),
        "seed": is_a("from 0", 0),
        "words": is_a("flag", False),
        "text": is_a("path", None),
    },
    "train.read_text": {"path": is_a("path or None", lambda w: w.written())},
    "train.Corpus.of": {
        "held_out": is_a("share or text", 0.2),
        "text": is_a("text of a corpus", "the cell remembers; " * 20),
        "words": is_a("flag", False),
        "readers": is_a("count", 2),
        "length": is_a("count", 3),
    },
    "train.LanguageModel": {
        "tokens": is_a("count", 4),
        "cell": is_a("cell or its name", "gru"),
        "embed": is_a("count", 2),
        "hidden": is_a("count", 2),
        "layers": is_a("count", 2),
        "dropout": is_a("decay", 0.1),
    },
    "train.Run.new": {
        "config": is_a("config", lambda w: w.config()),
        "path": is_a("path", lambda w: str(w.folder / "run")),
        "cell": is_a("nothing", None),
    },
    "train.Run.resume": {
        "path": is_a("path", lambda w: w.begun()),
        "changes": is_a("settings", lambda w: {}),
        "cell": is_a("nothing", None),
    },
    **{f"{name}.update": _SCORED for name in _OF_CLASSES},
    **{
        f"{name}.update": {"outputs": is_a("scores", SQUARE), "targets": is_a("scores", SQUARE)}
        for name in ["MeanAbsoluteError", "RootMeanSquaredError", "R2"]
    },
    "train.GateHistograms": {
        "inputs": is_a("tensor", lambda w: (np.ones((3, 2, 3)),)),
        "every": is_a("count", 1),
        "bins": is_a("from 2", 10),
    },
    "train.TopK": {"k": is_a("count", 1)},
    "train.R2": {"features": is_a("flag", False)},
    **{f"train.{name}": {"classes": is_a("count", None)} for name in ["Accuracy", "ConfusionMatrix"]},
    **{
        f"train.{name}": {"average": is_a("choice", "micro"), "classes": is_a("count", None)}
        for name in ["F1", "Precision", "Recall"]
    },
    "train.fit": {
        **_FITTED,
        "epochs": is_a("steps", 1),
        "steps": is_a("steps", 1),
        "optimizer": is_a("optimizer or None", lambda w: optim.SGD(w.lstm.parameters())),
        "schedule": is_a("schedule", None),
        "clip": is_a("positive", 1.0),
        "accumulate": is_a("count", 1),
        "average": is_a("decay", 0.5),
        "validation": Argument("batches", _fitted_batches),
        "every": is_a("steps", 1),
        "monitor": is_a("choice", "loss"),
        "patience": is_a("steps", 2),
        "folder": is_a("path", None),
        "resume": is_a("word, True or False", False),
        "log": is_a("function", lambda w: tg.train.History.to_csv),
        "metadata": is_a("words by name", None),
        "callbacks": is_a("callbacks", ()),
        "tensorboard": is_a("flag", False),
        "progress": is_a("flag", False),
    },
    "tg.summary": {
        "model": is_a("module", lambda w: w.layer),
        "inputs": is_a("summed up", lambda w: ((4, 3),)),
        "dtype": is_a("dtype", None),
    },
    "train.dashboard": {"training": is_a("trainings", lambda w: tg.train.History([{"loss": 1.0}]))},
    "train.load_run": {
        "folder": is_a("path", lambda w: w.trained()),
        "model": is_a("no module", None),
        "cell": is_a("function or None", None),
    },
    "train.predict": {
        "model": is_a("instance", lambda w: w.lstm),
        "data": Argument("batches", _fitted_batches),
        "targets": is_a("flag", True),
        "carry": is_a("flag", False),
        "batch_axis": is_a("place of samples", 1),
    },
    "train.evaluate": {**_FITTED, "model": is_a("instance", lambda w: w.lstm)},
    "train.sample": {
        "model": is_a("model", lambda w: model.LanguageModel(3, "gru", 2, 2)),
        "vocabulary": is_a("vocabulary", lambda w: data.Vocabulary("abc")),
        "length": is_a("size", 2),
        "temperature": is_a("rate", 0.5),
        "prompt": is_a("text", "ab"),
        "top_k": is_a("count", None),
        "stop": is_a("text", ""),
        "words": is_a("flag", False),
    },
    # what functions return
    **{
        label: {"xs": is_a("leaves", lambda w: (tg.tensor(X),))}
        for label in ["grad()", "value_and_grad()", "jacobian()", "hessian()", "checkpoint()"]
    },
    "vjp()": {"g": is_a("leaves", lambda w: tg.tensor(X))},
}


def argument(label: str, parameter: str) -> Argument:
    """What a parameter is.

    Raises:
        LookupError: it is in no table.
    """
    found = OWN.get(label, {}).get(parameter) or EVERYWHERE.get(parameter)
    if found is None:
        raise LookupError(
            f"{label}: say of which kind the argument {parameter!r} is: in tests/arguments/table.py"
        )
    return found
