"""Parameters by their names: what each is, whichever function has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tests.arguments.face import World, sum_of_squares

X = np.arange(6.0).reshape(2, 3) / 4 + 0.25


@dataclass(frozen=True)
class Argument:
    """A parameter's kind, and how its usual value is made."""

    kind: str
    make: Callable[[World], Any]


def is_a(kind: str, value: Any) -> Argument:
    return Argument(
        kind, value if callable(value) and getattr(value, "__name__", "") == "<lambda>" else lambda w: value
    )


def is_tensor(array: Any) -> Argument:
    return Argument("tensor", lambda w: tg.tensor(array))


def cell(x: Any, h: Any) -> Any:
    h = tg.tanh(x + h)
    return h, h


EVERYWHERE: dict[str, Argument] = {
    **{
        name: is_tensor(X)
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
    **{name: is_a("axis", 0) for name in ["axis1", "source"]},
    **{name: is_a("axis", 1) for name in ["axis2", "destination"]},
    "axis": is_a("axes", 0),
    "axes": is_a("order of axes", (1, 0)),
    "keepdims": is_a("flag", False),
    "dtype": is_a("dtype", "float64"),
    "shape": is_a("shape", (2, 3)),
    "sizes": is_a("lengths beside a shape", []),
    "indices": is_a("places", [1, 0]),
    "index": is_a("index", 0),
    "ddof": is_a("real", 0),
    "decimals": is_a("decimals", 1),
    "k": is_a("whole", 0),
    "n": is_a("from 0", 2),
    "offset": is_a("whole", 0),
    "arrays": is_a("tensors", lambda w: [tg.tensor(X), tg.tensor(X)]),
    "f": is_a("function", lambda w: sum_of_squares),
    "function": is_a("function", lambda w: sum_of_squares),
    "argnums": is_a("argnums", 0),
    "create_graph": is_a("flag", False),
    "requires_grad": is_a("flag", False),
    "wanted": is_a("flag", True),
    "backend": is_a("backend", "numpy"),
    "name": is_a("text", "W"),
    "path": is_a("path", lambda w: str(w.folder / "file.svg")),
    "reduction": is_a("choice", "mean"),
    "seed": is_a("seed", 0),
    # layers
    **{
        name: is_a("size", 3)
        for name in [
            "in_features",
            "out_features",
            "input_size",
            "hidden_size",
            "num_embeddings",
            "embedding_dim",
        ]
    },
    "num_layers": is_a("count", 2),
    "proj_size": is_a("size", 2),
    **{
        name: is_a("flag", False)
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
            "states_only",
            "direct",
            "stateful",
            "variational",
        ]
    },
    "dropout": is_a("probability", 0.5),
    "p": is_a("probability", 0.5),
    "shared_axes": is_a("places", ()),
    "recurrent_dropout": is_a("probability", 0.5),
    "zoneout": is_a("probability or several", 0.1),
    "merge": is_a("choice", "concat"),
    "cell_clip": is_a("bound", 1.0),
    "proj_clip": is_a("bound", 1.0),
    "nonlinearity": is_a("choice", "tanh"),
    "reset": is_a("choice", "after"),
    "masked_output": is_a("choice", "zero"),
    "compiled": is_a("word, True or False", False),
    "checkpoint": is_a("steps", 2),
    "cell": is_a("instance", lambda w: cell),
    "normalized_shape": is_a("shape", 3),
    "eps": is_a("rate", 1e-5),
    "state": is_a("tensor", lambda w: tg.zeros((2, 3))),
    "lengths": is_a("lengths", [3, 2]),
    "mask": is_a("mask", lambda w: np.ones((3, 2), bool)),
    # optimisers
    "parameters": is_a("parameters", lambda w: w.parameters),
    **{
        name: is_a("rate", 0.1)
        for name in [
            "lr",
            "weight_decay",
            "momentum",
            "dampening",
            "gamma",
            "least",
            "bound",
            "std",
            "lr_decay",
            "initial_accumulator_value",
        ]
    },
    "betas": is_a("decays", (0.9, 0.99)),
    "alpha": is_a("decay", 0.9),
    "max_norm": is_a("bound", 1.0),
    "clip_value": is_a("bound", 1.0),
    "optimizer": is_a("optimizer", lambda w: w.optimizer),
    "step_size": is_a("steps", 2),
    "steps": is_a("steps", 2),
    "then": is_a("schedule", None),
    "schedules": is_a("schedules", lambda w: [w.schedule, w.schedule]),
    "milestones": is_a("milestones", [2]),
    "gain": is_a("real", 1.0),
}
