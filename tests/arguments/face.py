"""The public face: every function, method and constructor that users call, under a label. A new one is there
by itself."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, nn, optim, tree
from tinygrad_rnn.data.streams import Windows
from tinygrad_rnn.diagnosis import Memory
from tinygrad_rnn.diagnosis.report import Report
from tinygrad_rnn.diagnosis.track import Track
from tinygrad_rnn.graph import Picture
from tinygrad_rnn.paper import TapeTable
from tinygrad_rnn.train import config, model, run, sampling
from tinygrad_rnn.train import data as texts

Maker = Callable[["World"], Any]


class World:
    """What calls are made with, new for each call: whatever a call can change is here, and ``seen`` tells it
    all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tg.random.seed(0)
        self.layer = nn.Linear(3, 2)
        self.parameters = self.layer.parameters()
        self.optimizer = optim.Adam(self.parameters, lr=0.1)
        for _ in range(2):
            for parameter in self.parameters:
                parameter.grad = tg.ones(parameter.shape)
            self.optimizer.step()
        self.schedule = optim.StepLR(self.optimizer, 2)
        self.x = tg.tensor(np.arange(6.0).reshape(2, 3) + 0.5, requires_grad=True)
        self.lstm = nn.LSTM(3, 4)
        self.batches = data.batches(np.arange(6), 2)
        self.windows = data.windows(np.arange(9.0), 2, 2)
        self.scaler = data.Standard().fit(np.arange(6.0).reshape(2, 3))
        self.tensors = [*self.parameters, *self.lstm.parameters(), self.x]

    @functools.cached_property
    def loss(self) -> tg.Tensor:
        return tg.sum(tg.tanh(self.x) ** 2)

    def written(self) -> str:
        path = self.folder / "text.txt"
        path.write_text("the cell remembers, the gate forgets; " * 20, encoding="utf-8")
        return str(path)

    def saved(self) -> str:
        path = str(self.folder / "saved.safetensors")
        tg.save(path, self.layer)
        return path

    def saved_by_torch(self) -> str:
        """A file as PyTorch writes it."""
        path = str(self.folder / "saved.pt")
        tg.interop.torch.save(path, self.layer)
        return path

    def saved_by_keras(self) -> str:
        """A file as Keras reads it."""
        path = str(self.folder / "saved.keras")
        tg.interop.keras.save(path, {"head": self.layer})
        return path

    def foreign_module(self) -> Any:
        """What stands for a module of PyTorch's, which need not be installed."""
        tanh = type("Tanh", (), {"__module__": "torch.nn.modules.activation", "training": True})
        return tanh()

    def exported(self) -> str:
        path = self.folder / "model.onnx"
        if not path.exists():
            tg.interop.onnx.export(self.layer, path)
        return str(path)

    def config(self) -> config.Config:
        return config.Config(hidden=3, embed=2, batch=2, length=5, steps=2, text=self.written())

    def begun(self) -> str:
        """A run before its first step."""
        path = self.folder / "begun"
        if not path.exists():
            run.Run.new(self.config(), str(path))
        return str(path)

    def trained(self) -> str:
        """A run after its last step."""
        path = self.folder / "trained"
        if not path.exists():
            run.Run.new(self.config(), str(path)).train(lambda step: None, lambda: False)
        return str(path)

    def seen(self) -> dict[str, Any]:
        """All that a call which is refused must leave as it was."""
        optimizer = self.optimizer
        return {
            "tensors": [tensor._data.tobytes() for tensor in self.tensors],
            "residuals": [
                None if tensor.grad is None else tensor.grad._data.tobytes() for tensor in self.tensors
            ],
            "buffers": [array.tobytes() for buffers in optimizer._buffers for array in buffers.values()],
            "options": [optimizer._options, *[group.options() for group in optimizer.groups]],
            "steps": list(optimizer._steps),
            "schedule": self.schedule.state_dict(),
            "places": [self.batches.state_dict(), self.windows.state_dict()],
            "scale": [array.tobytes() for array in self.scaler.state_dict().values()],
            "training": [module.training for module in (self.layer, self.lstm)],
            "random": tg.random.get_state(),
            "default dtype": tg.default_dtype,
            "memory budget": tg.memory_budget(),
            "backend": (tg.backends.current().name, tg.backends._process_backend is None),
            "recording": tg.tape.thread.recording,
            "files": {
                name: Path(place, name).read_bytes()
                for place, _, names in os.walk(self.folder)
                for name in names
            },
        }


# -- what there is -------------------------------------------------------------------------------------------

MODULES = {
    "tg": tg,
    "linalg": tg.linalg,
    "random": tg.random,
    "init": nn.init,
    "activations": nn.activations,
    "gate_orders": nn.gate_orders,
    "nn": nn,
    "optim": optim,
    "data": data,
    "train": tg.train,
    "interop.c": tg.interop.c,
    "interop.convert": tg.interop.convert,
    "interop.keras": tg.interop.keras,
    "interop.tensorflow": tg.interop.tensorflow,
    "interop.torch": tg.interop.torch,
}
if importlib.util.find_spec("onnx") is not None:
    MODULES["interop.onnx"] = tg.interop.onnx
TRAIN = [
    config.Config,
    texts.read_text,
    texts.Corpus.of,
    model.LanguageModel,
    run.Run.new,
    run.Run.resume,
    sampling.sample,
]

INSTANCES: dict[type, Maker] = {
    tg.Tensor: lambda w: w.x,
    tg.Tape: lambda w: tg.Tape.of(w.loss),
    tg.no_grad: lambda w: tg.no_grad(),
    nn.Linear: lambda w: w.layer,
    nn.Embedding: lambda w: nn.Embedding(4, 2),
    nn.LayerNorm: lambda w: nn.LayerNorm(3, dtype="float64"),
    nn.Dropout: lambda w: nn.Dropout(0.5),
    nn.Sequential: lambda w: nn.Sequential(w.layer),
    nn.RNNCell: lambda w: nn.RNNCell(3, 4),
    nn.LSTMCell: lambda w: nn.LSTMCell(3, 4),
    nn.PeepholeLSTMCell: lambda w: nn.PeepholeLSTMCell(3, 4),
    nn.GRUCell: lambda w: nn.GRUCell(3, 4),
    nn.MGUCell: lambda w: nn.MGUCell(3, 4),
    nn.LayerNormRNNCell: lambda w: nn.LayerNormRNNCell(3, 4),
    nn.LayerNormLSTMCell: lambda w: nn.LayerNormLSTMCell(3, 4),
    nn.LayerNormGRUCell: lambda w: nn.LayerNormGRUCell(3, 4),
    nn.Recurrent: lambda w: nn.Recurrent(nn.GRUCell(3, 4), stateful=True),
    nn.RNN: lambda w: nn.RNN(3, 4),
    nn.LSTM: lambda w: w.lstm,
    nn.PeepholeLSTM: lambda w: nn.PeepholeLSTM(3, 4),
    nn.GRU: lambda w: nn.GRU(3, 4),
    nn.MGU: lambda w: nn.MGU(3, 4),
    optim.SGD: lambda w: optim.SGD(w.parameters, momentum=0.9),
    optim.Adam: lambda w: w.optimizer,
    optim.AdamW: lambda w: optim.AdamW(w.parameters),
    optim.Adagrad: lambda w: optim.Adagrad(w.parameters),
    optim.RMSProp: lambda w: optim.RMSProp(w.parameters),
    optim.StepLR: lambda w: w.schedule,
    optim.CosineLR: lambda w: optim.CosineLR(w.optimizer, 5),
    optim.WarmupLR: lambda w: optim.WarmupLR(w.optimizer, 5),
    optim.ExponentialLR: lambda w: optim.ExponentialLR(w.optimizer, 0.5),
    optim.LambdaLR: lambda w: optim.LambdaLR(w.optimizer, lambda n: 1 / (1 + n)),
    optim.OneCycleLR: lambda w: optim.OneCycleLR(w.optimizer, 0.1, 5),
    optim.PlateauLR: lambda w: optim.PlateauLR(w.optimizer),
    Picture: lambda w: _picture(),
    TapeTable: lambda w: tg.table(w.loss),
    Report: lambda w: _report(),
    Track: lambda w: _report().track(),
    Memory: lambda w: _memory(),
    data.Vocabulary: lambda w: data.Vocabulary("abc"),
    tg.train.Accuracy: lambda w: tg.train.Accuracy(),
    tg.train.F1: lambda w: tg.train.F1(),
    tg.train.ConfusionMatrix: lambda w: tg.train.ConfusionMatrix(),
    tg.train.MeanAbsoluteError: lambda w: tg.train.MeanAbsoluteError(),
    tg.train.Perplexity: lambda w: tg.train.Perplexity(),
    type(data.batches(np.arange(3), 2)): lambda w: w.batches,
    Windows: lambda w: w.windows,
    data.Standard: lambda w: w.scaler,
    data.MinMax: lambda w: data.MinMax().fit(np.arange(6.0).reshape(2, 3)),
}
"""The classes whose methods are called, each on what is made like this."""


@functools.cache
def _recorded() -> tg.Tensor:
    tg.random.seed(0)
    x = tg.tensor(np.linspace(-1, 1, 24).reshape(4, 2, 3).astype(np.float32))
    return tg.sum(nn.RNN(3, 4)(x)[0][-1] ** 2)


@functools.cache
def _picture() -> Picture:
    return tg.draw(_recorded(), view="steps")


@functools.cache
def _report() -> Report:
    return tg.flow(_recorded())


@functools.cache
def _memory() -> Memory:
    return tg.memory(lambda x: tg.cumsum(x, axis=0), np.ones((4, 1), np.float32))


MADE: dict[str, Maker] = {
    "grad()": lambda w: tg.grad(sum_of_squares),
    "value_and_grad()": lambda w: tg.value_and_grad(sum_of_squares),
    "vjp()": lambda w: tg.vjp(tg.tanh, w.x)[1],
    "jacobian()": lambda w: tg.jacobian(sum_of_squares),
    "hessian()": lambda w: tg.hessian(sum_of_squares),
    "checkpoint()": lambda w: tg.checkpoint(sum_of_squares),
}
"""Functions that functions return."""

INTERNAL = {
    "tg.Tensor": "results are made by it in inner loops; users make tensors with tg.tensor",
    "tg.Tape": "made by Tape.of",
    "Tape.count": "of collections.abc.Sequence",
    "Tape.index": "of collections.abc.Sequence",
    "tg.TapeTable": "made by table",
    "TapeTable.count": "of collections.abc.Sequence",
    "TapeTable.index": "of collections.abc.Sequence",
    "random.States": "what a program that is run again is given back",
    "detect_anomaly.recorded": "called by the tape",
    "detect_anomaly.pulled": "called by the tape",
    "interop.onnx.Model": "made by load",
    "optim.Group": "made by optimisers",
    "optim.Optimizer": "a base: it has no method of its own",
    "optim.Schedule": "a base: it has no factor of its own",
    "train.Metric": "a base: it counts nothing",
    "train.Training": "made by fit",
    "train.History": "made by fit",
    "train.LoadedRun": "made by load_run",
    "interop.c.Sizes": "made by export",
}
"""What has a public name and is not called by users, and why."""

OPERATORS = [
    "__add__",
    "__radd__",
    "__sub__",
    "__rsub__",
    "__mul__",
    "__rmul__",
    "__truediv__",
    "__rtruediv__",
    "__pow__",
    "__rpow__",
    "__floordiv__",
    "__rfloordiv__",
    "__mod__",
    "__rmod__",
    "__matmul__",
    "__rmatmul__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__and__",
    "__or__",
    "__xor__",
    "__getitem__",
]
OF_BOOLEANS = ["__and__", "__or__", "__xor__"]


def sum_of_squares(*xs: Any) -> Any:
    """Of all tensors in nested arguments."""
    return sum((tg.sum(tg.multiply(x, x)) for x in tree.leaves(xs)), tg.zeros(()))


def _ours(thing: Any) -> bool:
    return callable(thing) and (getattr(thing, "__module__", None) or "").startswith("tinygrad_rnn")


def _methods(kind: type) -> Iterator[str]:
    for name in dir(kind):
        ours = any(name in vars(base) and base.__module__.startswith("tinygrad_rnn") for base in kind.__mro__)
        wanted = not name.startswith("_") or name == "__call__" or (kind is tg.Tensor and name in OPERATORS)
        method = inspect.getattr_static(kind, name)
        if ours and wanted and isinstance(method, (types.FunctionType, classmethod, staticmethod)):
            yield name


def _public() -> Iterator[tuple[str, Any, Maker]]:
    """Labels, what is called, and how it is got in a world."""
    for room, module in MODULES.items():
        for name in dir(module):
            thing = getattr(module, name)
            brought = room in ("random", "init") and getattr(thing, "__module__", "") != module.__name__
            if name.startswith("_") or brought or not _ours(thing):
                continue
            if not (isinstance(thing, type) and issubclass(thing, BaseException)):
                yield f"{room}.{name}", thing, lambda w, thing=thing: thing
    for kind, make in INSTANCES.items():
        for name in _methods(kind):
            thing = inspect.getattr_static(kind, name)
            on = (lambda w: w.x > 1) if kind is tg.Tensor and name in OF_BOOLEANS else make
            yield f"{kind.__name__}.{name}", thing, lambda w, make=on, name=name: getattr(make(w), name)
    for thing in TRAIN:
        yield f"train.{thing.__qualname__}", thing, lambda w, thing=thing: thing
    for label, make in MADE.items():
        yield label, make, make


def _once() -> Iterator[tuple[str, Maker]]:
    """Each function under its first name."""
    seen: set[int] = set()
    for label, thing, make in _public():
        if id(thing) not in seen and label not in INTERNAL:
            seen.add(id(thing))
            yield label, make


PUBLIC: dict[str, Maker] = dict(_once())


def signature(label: str, world: World) -> dict[str, inspect.Parameter]:
    """The parameters of a public function by name, without ``**options``, whose names are others'."""
    parameters = inspect.signature(PUBLIC[label](world)).parameters
    return {name: p for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD and name != "self"}
