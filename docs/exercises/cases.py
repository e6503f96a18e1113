"""Exercises 1 to 4: composition, addition, weighting, and a tape of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_rnn as tg

from .exercise import Arrays, Drawn, Exercise, Mistake, drawn

# -- 1 --------------------------------------------------------------------------------


def _compose(rng: np.random.Generator) -> Drawn:
    g = rng.normal(size=4)

    def forward(x: Any) -> Arrays:
        s = tg.sigmoid(x)
        y = tg.tanh(s)
        return {"s": s, "y": y, "loss": tg.sum(y * g)}

    return drawn(forward, {"x": rng.normal(size=4)}, lambda v: (g, v["x"]))


COMPOSITION = Exercise(
    "composition, y = tanh(σ(x))",
    "1_composition.py",
    ("s", "x"),
    _compose,
    (
        Mistake("it passed tanh unchanged: multiply by the slope", lambda v, d: {"s": d["y"]}),
        Mistake("it passed the sigmoid unchanged: multiply by the slope", lambda v, d: {"x": d["s"]}),
        Mistake(
            "the slope of tanh were 1 − s²: it is 1 − y², written with the output",
            lambda v, d: {"s": d["y"] * (1 - v["s"] ** 2)},
        ),
        Mistake(
            "the slope of the sigmoid were x (1 − x): it is s (1 − s), written with the output",
            lambda v, d: {"x": d["s"] * v["x"] * (1 - v["x"])},
        ),
        Mistake(
            "the residual that comes to the sigmoid were g: it is the residual of s, tanh's slope is in it",
            lambda v, d: {"x": d["y"] * v["s"] * (1 - v["s"])},
        ),
    ),
)

# -- 2 --------------------------------------------------------------------------------


def _add(rng: np.random.Generator) -> Drawn:
    g = rng.normal(size=(5, 2))

    def forward(x: Any, b: Any) -> Arrays:
        left, right = tg.split(x, 2, axis=-1)
        y = left + right + b
        return {"left": left, "right": right, "y": y, "loss": tg.sum(y * g)}

    leaves = {"x": rng.normal(size=(5, 4)), "b": rng.normal(size=2)}
    return drawn(forward, leaves, lambda v: (g, v["x"], v["b"]))


ADDITION = Exercise(
    "addition, y = left half of x + right half of x + b",
    "2_addition.py",
    ("b", "x"),
    _add,
    (
        Mistake("only the first row had used b", lambda v, d: {"b": d["y"][0]}),
        Mistake(
            "the residual were averaged over the rows: copies are added up",
            lambda v, d: {"b": d["y"].mean(axis=0)},
        ),
        Mistake(
            "the two halves shared the residual: each of them gets all of it",
            lambda v, d: {name: d[name] / 2 for name in ("x", "left", "right")},
        ),
        Mistake(
            "only the left half had been used",
            lambda v, d: {"x": np.concatenate([d["y"], 0 * d["y"]], axis=-1)},
        ),
    ),
)

# -- 3 --------------------------------------------------------------------------------


def _weight(rng: np.random.Generator) -> Drawn:
    g = rng.normal(size=(4, 3))

    def forward(x: Any, W: Any, s: Any) -> Arrays:
        a = x @ W
        y = a * s
        return {"a": a, "y": y, "loss": tg.sum(y * g)}

    leaves = {"x": rng.normal(size=(4, 3)), "W": rng.normal(size=(3, 3)), "s": rng.normal(size=3)}
    return drawn(forward, leaves, lambda v: (g, v["x"], v["W"], v["s"]))


WEIGHTING = Exercise(
    "weighting, y = (x @ W) * s",
    "3_weighting.py",
    ("s", "W", "x"),
    _weight,
    (
        Mistake(
            "each side were weighted by itself: the other side weights it",
            lambda v, d: {"a": d["y"] * v["a"], "s": np.sum(d["y"] * v["s"], axis=0)},
        ),
        Mistake(
            "the residual of x @ W were g: s has weighted it by then",
            lambda v, d: {"a": d["y"], "W": v["x"].T @ d["y"], "x": d["y"] @ v["W"].T},
        ),
        Mistake("W were not transposed", lambda v, d: {"x": d["a"] @ v["W"]}),
    ),
)

# -- 4 --------------------------------------------------------------------------------

OPERATIONS = {"tanh": tg.tanh, "add": tg.add, "multiply": tg.multiply}


def _record(rng: np.random.Generator) -> Drawn:
    """A random program: each operation takes the last value, so that all lead to the loss."""
    tape = [("multiply", "a", ("x", "w"))]
    operations = rng.permutation(["tanh", "add", "add", "multiply", "multiply"])
    for name, operation in zip("bcdef", operations, strict=True):
        last, earlier = tape[-1][1], str(rng.choice(["x", "w", *(entry[1] for entry in tape)]))
        tape.append((str(operation), name, (last,) if operation == "tanh" else (last, earlier)))

    def forward(**leaves: Any) -> Arrays:
        values = dict(leaves)
        for operation, result, operands in tape:
            values[result] = OPERATIONS[operation](*(values[name] for name in operands))
        return {result: values[result] for _, result, _ in tape}

    leaves = {name: np.array(rng.normal()) for name in "xw"}
    case = drawn(forward, leaves, lambda v: (tape, {name: float(value) for name, value in v.items()}))
    return Drawn(case.arguments, case.values | {"tape": tape}, case.residuals)


def _back(values: Arrays, overwrites: bool = False, own_side: bool = False) -> Arrays:
    """Goes back along a tape with a mistake in it."""
    tape = values["tape"]
    residuals = {tape[-1][1]: 1.0}
    for operation, result, operands in reversed(tape):
        g = residuals.get(result, 0.0)
        sides = operands if own_side else operands[::-1]
        for name, side in zip(operands, sides, strict=True):
            slope = 1 - values[result] ** 2 if operation == "tanh" else 1.0
            part = g * (values[side] if operation == "multiply" else slope)
            residuals[name] = part if overwrites else residuals.get(name, 0.0) + part
    return residuals


TAPE = Exercise(
    "a tape, entry by entry",
    "4_tape.py",
    (),
    _record,
    (
        Mistake(
            "what arrives last took the place of what was there: residuals of a value used twice are added",
            lambda v, d: _back(v, overwrites=True),
        ),
        Mistake(
            "each side of a multiplication were weighted by itself: the other side weights it",
            lambda v, d: _back(v, own_side=True),
        ),
    ),
)
