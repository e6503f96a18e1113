"""Exercises 5, 6 and 9: a leaky RNN over all its steps, the Jacobian of its states, and a derivative of a
derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_rnn as tg

from .exercise import Arrays, Drawn, Exercise, Mistake, drawn

STEPS, SAMPLES, HIDDEN = 5, 4, 3

# -- 5 --------------------------------------------------------------------------------


def _unrolled(rng: np.random.Generator) -> Drawn:
    x, target = rng.normal(size=(2, STEPS, SAMPLES, 1))
    k = float(rng.uniform(0.2, 0.8))

    def forward(h0: Any, W: Any, U: Any, b: Any, V: Any) -> Arrays:
        sums, news, states = [], [], [h0]
        for t in range(STEPS):
            sums.append(x[t] @ W + states[-1] @ U + b)
            news.append(tg.tanh(sums[-1]))
            states.append((1 - k) * states[-1] + k * news[-1])
        losses = [tg.sum((h @ V - target[t]) ** 2) for t, h in enumerate(states[1:])]
        return {"a": sums, "s": news, "h": states, "loss": sum(losses[1:], losses[0])}

    shapes = {"h0": (SAMPLES, HIDDEN), "W": (1, HIDDEN), "U": (HIDDEN, HIDDEN), "b": HIDDEN, "V": (HIDDEN, 1)}
    leaves = {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()}
    case = drawn(forward, leaves, lambda v: (x, target, k, *(v[name] for name in ("h", "W", "U", "b", "V"))))
    return Drawn(case.arguments, case.values | {"x": x, "target": target, "k": k}, case.residuals)


def _injected(v: Arrays) -> Any:
    """What the loss of each step sends into its state; nothing into the first, which has no loss."""
    own = 2 * (v["h"][1:] @ v["V"] - v["target"]) @ v["V"].T
    return np.concatenate([np.zeros((1, SAMPLES, HIDDEN)), own])


def _states(v: Arrays, **wrong: Any) -> Arrays:
    """The residuals of all states; what ``wrong`` names is put in the place of what is right."""
    step = {
        "own": _injected(v),
        "slopes": v["k"] * (1 - v["s"] ** 2),
        "weight": v["U"].T,
        "kept": 1 - v["k"],
    } | wrong
    dh = step["own"]
    for t in reversed(range(STEPS)):
        dh[t] += step["kept"] * dh[t + 1] + dh[t + 1] * step["slopes"][t] @ step["weight"]
    return {"h": dh}


def _last_alone(v: Arrays) -> Any:
    dh = _injected(v)
    dh[:-1] = 0
    return dh


RNN = Exercise(
    "a leaky RNN through time, h[t + 1] = (1 − k) h[t] + k tanh(…)",
    "5_rnn.py",
    ("h", "V", "b", "U", "W"),
    _unrolled,
    (
        Mistake(
            "each state got the residual of its own loss alone: add what the next step hands back",
            lambda v, d: {"h": _injected(v)},
        ),
        Mistake("only the loss of the last step counted", lambda v, d: _states(v, own=_last_alone(v))),
        Mistake("only tanh had used h[t]: (1 − k) h[t] did, too", lambda v, d: _states(v, kept=0)),
        Mistake("tanh had not used h[t]: h[t] @ U did", lambda v, d: _states(v, slopes=0 * v["s"])),
        Mistake("k had not weighted tanh", lambda v, d: _states(v, slopes=1 - v["s"] ** 2)),
        Mistake(
            "tanh's slope were 1 − h[t + 1]²: here the state is not what tanh returned",
            lambda v, d: _states(v, slopes=v["k"] * (1 - v["h"][1:] ** 2)),
        ),
        Mistake("U were not transposed", lambda v, d: _states(v, weight=v["U"])),
        Mistake(
            "each step wrote over the one after it: what the steps send to a parameter is added",
            lambda v, d: {
                "V": v["h"][1].T @ (2 * (v["h"][1] @ v["V"] - v["target"][0])),
                "U": v["h"][0].T @ d["a"][0],
                "W": v["x"][0].T @ d["a"][0],
                "b": d["a"][0].sum(axis=0),
            },
        ),
        Mistake(
            "U were weighted by the state that comes out of the step: h[t] goes in, h[t + 1] comes out",
            lambda v, d: {"U": np.einsum("tni,tnj->ij", v["h"][1:], d["a"])},
        ),
    ),
)

# -- 6 --------------------------------------------------------------------------------


def _jacobian(rng: np.random.Generator) -> Drawn:
    x, U = rng.normal(size=(STEPS, HIDDEN)), rng.normal(0, 0.7, (HIDDEN, HIDDEN))
    states = [tg.tensor(rng.normal(size=HIDDEN))]

    def last(h: Any) -> Any:
        for t in range(STEPS):
            h = tg.tanh(x[t] + h @ U)
            states.append(h)
        return h

    J = tg.jacobian(last)(states[0]).numpy()
    h = np.stack([state.numpy() for state in states[: STEPS + 1]])
    return Drawn((h, U), {"h": h, "U": U}, {"J": J})


def _product(v: Arrays, slopes: Any, backwards: bool = False) -> Arrays:
    factors = [np.diag(slope) @ v["U"].T for slope in slopes]
    J = np.eye(HIDDEN)
    for factor in factors[::-1] if backwards else factors:
        J = factor @ J
    return {"J": J}


JACOBIAN = Exercise(
    "the Jacobian of the last state by the first, J[i, j] = ∂h[T][i] / ∂h[0][j]",
    "6_jacobian.py",
    ("J",),
    _jacobian,
    (
        Mistake(
            "the factors stood in the wrong order: the last step's is the leftmost",
            lambda v, d: _product(v, 1 - v["h"][1:] ** 2, backwards=True),
        ),
        Mistake(
            "the slope of step t were 1 − h[t]²: it is 1 − h[t + 1]², written with the output",
            lambda v, d: _product(v, 1 - v["h"][:-1] ** 2),
        ),
        Mistake("tanh had no slope", lambda v, d: _product(v, np.ones((STEPS, HIDDEN)))),
    ),
)

# -- 9 --------------------------------------------------------------------------------


def _penalty(rng: np.random.Generator) -> Drawn:
    def forward(w: Any, x: Any) -> Arrays:
        s = tg.gradients(tg.sum(tg.tanh(w * x)), x, create_graph=True)
        return {"s": s, "penalty": tg.sum(s**2)}

    leaves = {"w": rng.normal(size=4), "x": rng.normal(size=4)}
    return drawn(forward, leaves, lambda v: (v["w"], v["x"]))


def _slope(v: Arrays) -> Any:
    return 1 - np.tanh(v["w"] * v["x"]) ** 2


SECOND = Exercise(
    "the gradient of a gradient, penalty = Σ s² with s = ∂ tanh(w x) / ∂x",
    "9_second.py",
    ("s", "x", "w"),
    _penalty,
    (
        Mistake(
            "the slope 1 − y² were a constant: it depends on w, too",
            lambda v, d: {"w": d["s"] * _slope(v)},
        ),
        Mistake(
            "w reached s by the slope alone: s is w times the slope, and w stands there itself",
            lambda v, d: {"w": d["x"] * v["x"] / v["w"]},
        ),
        Mistake("s did not depend on x: by its slope it does", lambda v, d: {"x": 0 * v["x"]}),
    ),
)
