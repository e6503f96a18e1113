"""Values that somebody might give for an argument, and for each kind of argument those that it must refuse.

``POOL`` has every value under a label, as a function that makes it anew. A kind says which labels of the pool
it may take; what it does then is compared with NumPy where NumPy has the function. All others must be refused
by an error of the library that names the argument.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinygrad_rnn as tg


def _inside_itself() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


POOL: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "NumPy's True": lambda: np.True_,
    "0": lambda: 0,
    "1": lambda: 1,
    "2": lambda: 2,
    "-1": lambda: -1,
    "-7": lambda: -7,
    "NumPy's 1": lambda: np.int64(1),
    "0-d 1": lambda: np.array(1),
    "0-d tensor 1": lambda: tg.tensor(1),
    "0-d tensor 0.5": lambda: tg.tensor(0.5),
    "recorded 0.5": lambda: tg.tensor(0.5, requires_grad=True) * 1,
    "100": lambda: 100,
    "2**62": lambda: 2**62,
    "2**70": lambda: 2**70,
    "-2**70": lambda: -(2**70),
    "10**400": lambda: 10**400,
    "0.0": lambda: 0.0,
    "-0.0": lambda: -0.0,
    "0.5": lambda: 0.5,
    "2.5": lambda: 2.5,
    "-0.5": lambda: -0.5,
    "NumPy's 0.5": lambda: np.float32(0.5),
    "NaN": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: -float("inf"),
    "complex": lambda: 1j,
    "fraction": lambda: fractions.Fraction(1, 2),
    "decimal": lambda: decimal.Decimal("0.5"),
    "word": lambda: "x",
    "empty word": lambda: "",
    "number as a word": lambda: "3",
    "long word": lambda: "x" * 100_000,
    "NUL": lambda: "a\0b",
    "half a character": lambda: "\ud800",
    "bytes": lambda: b"x",
    "empty list": list,
    "empty tuple": lambda: (),
    "list of whole numbers": lambda: [1, 0],
    "list of floats": lambda: [0.5, 1.5],
    "list of words": lambda: ["x", "y"],
    "list of None": lambda: [None, None],
    "pair of 0 and 0": lambda: (0, 0),
    "uneven list": lambda: [[1.0], [2.0, 3.0]],
    "list in itself": _inside_itself,
    "deep list": lambda: _deep(100),
    "dict": lambda: {"x": 1},
    "empty dict": dict,
    "set": lambda: {1, 2},
    "generator": lambda: (i for i in range(2)),
    "range": lambda: range(2),
    "slice": lambda: slice(None),
    "Ellipsis": lambda: ...,
    "object": object,
    "function": lambda: lambda *args: None,
    "class": lambda: int,
    "layer's class": lambda: tg.nn.GRU,
    "layer": lambda: tg.nn.Linear(3, 2),
    "file": lambda: io.StringIO("x"),
    "date": lambda: datetime.date(2020, 1, 1),
    "array of 6": lambda: np.arange(6.0).reshape(2, 3),
    "array of whole numbers": lambda: np.array([0, 1]),
    "array of bools": lambda: np.array([True, False]),
    "array of no elements": lambda: np.zeros((0, 3)),
    "array of 4 axes": lambda: np.ones((1, 1, 1, 1)),
    "array of NaN": lambda: np.full((2, 3), np.nan),
    "array of complex": lambda: np.ones(2, complex),
    "array of words": lambda: np.array(["x", "y"]),
    "array of objects": lambda: np.array([object(), None]),
    "array of dates": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "array of records": lambda: np.zeros(2, [("a", int), ("b", float)]),
    "tensor": lambda: tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    "recorded tensor": lambda: tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True) * 2,
    "half tensor": lambda: tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float16"),
    "list of tensors": lambda: [tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])],
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of argument.

    Attributes:
        takes: the labels of values that it may take; all others it must refuse.
        own: values to refuse that are hostile to this kind only.
        names: words that an error may call the argument by, beside its own name.
    """

    takes: frozenset[str] = frozenset()
    own: dict[str, Callable[[], Any]] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def wrong(self) -> dict[str, Callable[[], Any]]:
        return {label: make for label, make in POOL.items() if label not in self.takes} | self.own

    def odd(self) -> dict[str, Callable[[], Any]]:
        return {label: POOL[label] for label in sorted(self.takes)}


def _kind(takes: str = "", own: dict[str, Any] | None = None, names: str = "") -> Kind:
    labels = frozenset(label for label in takes.split("|") if label)
    assert labels <= POOL.keys(), labels - POOL.keys()
    return Kind(labels, own or {}, tuple(names.split("|")) if names else ())


NOTHING = "empty list|empty tuple"
TRUTH = "True|False|NumPy's True"
POSITIVE = "1|2|NumPy's 1|0-d 1|0-d tensor 1|100"
SIZE = f"0|{POSITIVE}"
LARGE = "2**62|2**70|10**400"
WHOLE = f"{SIZE}|{LARGE}|-1|-7|-2**70"
SHARE = "0|1|NumPy's 1|0-d 1|0-d tensor 1|0-d tensor 0.5|0.0|-0.0|0.5|NumPy's 0.5|fraction"
RATE = f"{SHARE}|2|100|2.5|2**62|2**70"
REAL = f"{RATE}|-1|-7|-2**70|-0.5"
NUMBER = f"{REAL}|{TRUTH}|10**400|NaN|inf|-inf|recorded 0.5"
AXIS = "0|1|NumPy's 1|0-d 1|0-d tensor 1|-1"
WHOLE_LIST = f"list of whole numbers|array of whole numbers|pair of 0 and 0|range|generator|{NOTHING}"
TENSOR = "tensor|recorded tensor|half tensor|list of tensors|0-d tensor 1|0-d tensor 0.5|recorded 0.5"
ARRAY = (
    "array of 6|array of whole numbers|array of bools|array of no elements|array of 4 axes|array of "
    "NaN|tensor|recorded tensor|half tensor|"
    f"list of whole numbers|list of floats|pair of 0 and 0|range|list of tensors|{NOTHING}"
)
SHARES = (
    f"{SHARE}|{TRUTH}|{NOTHING}|recorded 0.5|list of whole numbers|pair of 0 and 0|range|array of whole "
    "numbers|array of bools|"
    "array of no elements|array of 4 axes"
)
WORD = "word|empty word|number as a word|long word|NUL|half a character"
FUNCTION = "function|class|layer's class|layer"
NO_TENSOR = "cannot make a tensor of"
NESTED = "list, tuple or dict"

KINDS: dict[str, Kind] = {
    # numbers
    "whole": _kind(WHOLE),
    "size": _kind(SIZE),
    "count": _kind(POSITIVE),
    "steps": _kind(f"{POSITIVE}|{LARGE}"),
    "from 2": _kind("2|100"),
    "from 0": _kind(f"{SIZE}|{LARGE}"),
    "from 0 or None": _kind(f"{SIZE}|{LARGE}|None"),
    "real": _kind(REAL),
    "rate": _kind(RATE),
    "positive": _kind(f"{POSITIVE}|0-d tensor 0.5|0.5|NumPy's 0.5|fraction|2.5|2**62|2**70"),
    "bound": _kind(f"{RATE}|inf|10**400"),
    "probability": _kind(SHARE),
    "probability or several": _kind(f"{SHARE}|list of whole numbers|pair of 0 and 0"),
    "size or None": _kind(f"None|{SIZE}", names="cell"),
    "decay": _kind("0|0-d tensor 0.5|0.0|-0.0|0.5|NumPy's 0.5|fraction"),
    "decays": _kind(
        "pair of 0 and 0",
        {
            "one": lambda: (0.9,),
            "three": lambda: (0.9, 0.9, 0.9),
            "1": lambda: (0.9, 1.0),
            "NaN too": lambda: (0.9, float("nan")),
        },
    ),
    "share or shares": _kind(SHARES),
    "percent": _kind(f"{SHARES}|{RATE}|{ARRAY}"),
    "order of a norm": _kind(f"{REAL}|inf|-inf|10**400|None"),
    "seed": _kind(f"None|{SIZE}|{LARGE}|{NOTHING}|list of whole numbers|pair of 0 and 0"),
    # words and choices
    "flag": _kind(f"{TRUTH}|0|1|NumPy's 1|0-d 1|0-d tensor 1"),
    "choice": _kind(),
    "word, True or False": _kind("True|False"),
    "text": _kind(WORD),
    "text of a corpus": _kind("long word"),
    "identifier": _kind("word"),
    "subscripts": _kind(),
    "share or path": _kind("word|number as a word|long word|0.5"),
    "path": _kind("word|number as a word|long word"),
    "path or None": _kind("None|word|number as a word|long word"),
    "backend": _kind(names="backend"),
    "dtype": _kind("class", names="dtype"),
    "lengths beside a shape": _kind(names="shape"),
    "float dtype": _kind(
        "", {"int": lambda: int, "int8": lambda: "int8", "bool": lambda: bool}, names="dtype"
    ),
    # places
    "axis": _kind(AXIS, names="axis|axes"),
    "place of an axis": _kind(f"{AXIS}|2", names="axis"),
    "axis or None": _kind(f"{AXIS}|None", names="axis|axes"),
    "axes": _kind(f"{AXIS}|2|None|{WHOLE_LIST}", names="axis|axes"),
    "order of axes": _kind(f"{AXIS}|{WHOLE_LIST}", names="axis|axes"),
    "shape": _kind(f"{SIZE}|-1|{WHOLE_LIST}", names="shape"),
    "places": _kind(f"{WHOLE}|{WHOLE_LIST}"),
    "argnums": _kind(f"{SIZE}|{LARGE}|{WHOLE_LIST}"),
    "index": _kind(f"{WHOLE}|{ARRAY}|{TRUTH}|None|slice|Ellipsis|deep list", names="getitem"),
    # arrays
    "tensor": _kind(f"{NUMBER}|{ARRAY}", names=f"{NESTED}|{NO_TENSOR}"),
    "tensors": _kind(f"{ARRAY}|{TENSOR}|generator|deep list|uneven list", names=NO_TENSOR),
    "leaves": _kind(
        f"{NUMBER}|{ARRAY}|dict|empty dict|deep list|uneven list|list in itself",
        names=f"{NO_TENSOR}|{NESTED}|residuals|only float tensors",
    ),
    "array to share": _kind(
        f"{TENSOR}|array of 6|array of whole numbers|array of bools|array of no elements|array of 4 axes|"
        "array of NaN|0-d 1",
        names=f"leave the tape|{NO_TENSOR}",
    ),
    "finite": _kind(REAL),
    "numbers of a vocabulary": _kind(
        f"{WHOLE}|{WHOLE_LIST}|array of no elements", names=f"number|{NO_TENSOR}"
    ),
    "indices": _kind(f"{WHOLE}|{WHOLE_LIST}|array of no elements", names=f"the index|{NO_TENSOR}"),
    "class numbers": _kind(
        f"{WHOLE}|{WHOLE_LIST}|array of no elements|{TRUTH}|array of bools",
        names=f"number|the index|{NO_TENSOR}",
    ),
    "classes or probabilities": _kind(
        f"{WHOLE}|{WHOLE_LIST}|array of no elements|array of 6|array of NaN|tensor|recorded tensor|half "
        "tensor",
        names=f"class numbers|probabilities|{NO_TENSOR}",
    ),
    "deleted": _kind(
        f"{WHOLE}|{WHOLE_LIST}|slice|array of bools|{TRUTH}|array of no elements", names=NO_TENSOR
    ),
    "repeats": _kind(f"{SIZE}|{WHOLE_LIST}|{TRUTH}|array of bools", names=NO_TENSOR),
    "widths": _kind(f"{SIZE}|{WHOLE_LIST}", names=NO_TENSOR),
    "bound of clip": _kind(f"{NUMBER}|{ARRAY}|None", names=f"{NO_TENSOR}|clip"),
    "sections": _kind(f"{POSITIVE}|{WHOLE_LIST}", names="split"),
    "paired axes": _kind(f"{SIZE}|{WHOLE_LIST}", names="axis|axes"),
    "decimals": _kind(f"{SIZE}|-1|-7"),
    "lengths": _kind(WHOLE_LIST, names=NO_TENSOR),
    "mask": _kind("array of bools", names=NO_TENSOR),
    # data
    "any number": _kind(f"{REAL}|10**400|NaN|inf|-inf"),
    "padding": _kind(
        f"{REAL}|10**400|NaN|inf|-inf|None|list of whole numbers|list of floats|pair of 0 and 0|range|"
        "list of None|array of whole numbers"
    ),
    "series": _kind(
        f"{ARRAY}|{NUMBER}|uneven list",
        {"words in a list": lambda: [["x"]], "series and a number": lambda: [[1.0], 2.0]},
        names=NO_TENSOR,
    ),
    "times": _kind(f"{ARRAY}|None", {"fall": lambda: [1.0, 0.5], "NaN": lambda: [0.0, np.nan]}, NO_TENSOR),
    "sequences": _kind(
        "uneven list|array of 6|array of 4 axes|array of no elements|array of NaN|tensor|recorded tensor|"
        "half tensor|list of tensors",
        {
            "other features": lambda: [np.ones((2, 3)), np.ones((2, 4))],
            "other kind": lambda: [[1.0], [1]],
            "a number": lambda: [[1.0], 1.0],
            "NaN inside": lambda: [[1.0], [np.nan]],
        },
    ),
    "samples": _kind(
        f"{ARRAY}|dict|uneven list|deep list|list in itself",
        {
            "other count": lambda: ([1, 2], [1, 2, 3]),
            "other features": lambda: [np.ones((2, 3)), np.ones((2, 4))],
            "no samples": lambda: {"x": np.ones((0, 3))},
        },
    ),
    "samples with lengths": _kind("uneven list|list of tensors", {"array": lambda: np.ones((3, 2))}),
    "shares of all": _kind(
        "0-d tensor 0.5|0.5|NumPy's 0.5|fraction|1|NumPy's 1|0-d 1|0-d tensor 1",
        {"too much": lambda: (0.5, 0.6), "other sizes": lambda: (1, 2), "none": lambda: (0.01, 0.99)},
    ),
    "text or words": _kind(
        f"{WORD}|list of words|{NOTHING}|array of words|array of no elements|file",
        {"twice": lambda: [1, "a"]},
    ),
    "tokens or None": _kind("None"),
    "written vocabulary": _kind("", {"others": lambda: '{"tokens": [1], "unknown": null}'}),
    "place in a pass": _kind(
        "",
        {
            "beyond": lambda: {**tg.data.batches(np.arange(6), 2).state_dict(), "position": 3},
            "other data": lambda: tg.data.batches(np.arange(7), 2).state_dict(),
            "no seed": lambda: {**tg.data.batches(np.arange(6), 2).state_dict(), "seed": None},
        },
    ),
    "state of a scaler": _kind(
        "empty dict",
        {
            "shapes": lambda: {"shift": np.ones(2), "scale": np.ones(3)},
            "scale 0": lambda: {"shift": np.ones(2), "scale": np.zeros(2)},
            "words": lambda: {"shift": "x", "scale": np.ones(2)},
        },
    ),
    # states, parameters
    "pair": _kind(),
    "state": _kind(f"{TENSOR}|{NOTHING}|empty dict|deep list"),
    "parameters": _kind("list of tensors"),
    "parameters or tensor": _kind(f"{TENSOR}|{NOTHING}|array of no elements"),
    "group": _kind(
        own={
            "no tensors": lambda: {"lr": 0.1},
            "empty": lambda: {"params": []},
            "of numbers": lambda: {"params": [1.0]},
            "of results": lambda: {"params": [tg.ones(2).requires_grad_() * 2]},
            "unknown option": lambda: {"params": [tg.ones(2).requires_grad_()], "rate": 0.1},
            "option that is no word": lambda: {"params": [tg.ones(2).requires_grad_()], 1: 0.1},
            "bad option": lambda: {"params": [tg.ones(2).requires_grad_()], "lr": -1.0},
        },
        names="option|parameters|lr",
    ),
    "optimizer": _kind(),
    "schedule": _kind("None"),
    "schedules": _kind(
        own={
            "of another optimiser": lambda: [
                tg.optim.StepLR(tg.optim.SGD([tg.ones(2).requires_grad_()]), 1) for _ in range(2)
            ]
        }
    ),
    "milestones": _kind(f"{SIZE}|{LARGE}|{WHOLE_LIST}"),
    "state dict": _kind("", names="values"),
    "state of an optimiser": _kind("", names="state dict"),
    "state of a schedule": _kind("", names="state dict"),
    "random state": _kind(),
    "source": _kind("layer|empty dict|dict", names="save"),
    "module of PyTorch": _kind(),
    "text or None": _kind(f"{WORD}|None"),
    "layers by name": _kind("empty dict"),
    "weights of Keras": _kind(),
    "weights of TensorFlow": _kind(),
    "metadata": _kind("empty dict|None"),
    # what was recorded
    "recorded": _kind("recorded 0.5|recorded tensor", names=f"recorded|{NESTED}"),
    "recorded or all": _kind("recorded 0.5|recorded tensor", names=f"recorded|{NESTED}"),
    "residual of a loss": _kind(
        f"{NUMBER}|0-d tensor 0.5|0-d tensor 1|fraction|dict", names=f"{NESTED}|{NO_TENSOR}"
    ),
    "results": _kind("recorded 0.5|recorded tensor|tensor|half tensor|0-d tensor 1|0-d tensor 0.5"),
    "inputs": _kind("recorded 0.5|recorded tensor|empty list|empty tuple|empty dict|deep list", names=NESTED),
    "units": _kind(f"{WHOLE}|{WHOLE_LIST}|empty dict"),
    "step": _kind("0|1|2|-1|NumPy's 1|0-d 1|0-d tensor 1"),
    "step or None": _kind("0|1|2|-1|NumPy's 1|0-d 1|0-d tensor 1|None"),
    "later step": _kind("1|2|-1|NumPy's 1|0-d 1|0-d tensor 1", names="step"),
    "later steps": _kind("1|2|-1|NumPy's 1|0-d 1|0-d tensor 1|None", names="step"),
    "sample": _kind("0|1|NumPy's 1|0-d 1|0-d tensor 1"),
    "1 or 2": _kind("1|2|NumPy's 1|0-d 1|0-d tensor 1"),
    # training
    "config": _kind(),
    "model": _kind(),
    "vocabulary": _kind(),
    "settings": _kind("empty dict"),
    "share or text": _kind("0.5|NumPy's 0.5|fraction|0-d tensor 0.5", names="held out|characters|never seen"),
    "summed up": _kind(f"{ARRAY}|{TENSOR}", names="inputs|Linear"),
    "module": _kind("layer"),
    "nothing": _kind("None", names="cell"),
    "cell or its name": _kind("function|layer", names="cell|cannot make a layer"),
    "function or None": _kind(f"{FUNCTION}|None"),
    "words by name": _kind("None|empty dict"),
    "no module": _kind("None", names="model"),
    "loss": _kind("function|layer", names="loss"),
    "batches": _kind(names="batch|data|validation"),
    "metrics": _kind("None|empty dict"),
    "place of samples": _kind("None|0|1|NumPy's 1|0-d 1|0-d tensor 1", names=f"batch_axis|{NESTED}"),
    "callbacks": _kind(f"{NOTHING}|array of no elements"),
    "optimizer or None": _kind("None"),
    "scores": _kind(f"{ARRAY}", names=f"outputs|targets|{NO_TENSOR}"),
    "classes": _kind(f"{WHOLE_LIST}|array of bools", names=f"outputs|targets|{NO_TENSOR}"),
    "trainings": _kind(names="training|cannot read"),
    # functions
    "function": _kind(FUNCTION),
    "instance": _kind("function|layer"),
}
