"""Exercises 7 and 8: one step of an LSTM, of one with peepholes, and of a GRU."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_rnn as tg

from .exercise import Arrays, Drawn, Exercise, Mistake, drawn

SAMPLES, HIDDEN = 4, 3
GATES = "ifgo"

# -- 7 and 8a --------------------------------------------------------------------------------


def _lstm_step(rng: np.random.Generator, peepholes: bool) -> Drawn:
    """From the sums of the gates on: how they come about is exercise 5."""
    dh, dc = rng.normal(size=(2, SAMPLES, HIDDEN))

    def forward(c_prev: Any, a: Any, p_i: Any = 0.0, p_f: Any = 0.0, p_o: Any = 0.0) -> Arrays:
        i, f, g, o = tg.split(a, 4, axis=-1)
        i, f, g = tg.sigmoid(i + p_i * c_prev), tg.sigmoid(f + p_f * c_prev), tg.tanh(g)
        c = f * c_prev + i * g
        o = tg.sigmoid(o + p_o * c)
        loss = tg.sum(dh * (o * tg.tanh(c))) + tg.sum(dc * c)  # as if dh and dc came from later steps
        return {"i": i, "f": f, "g": g, "c": c, "o": o, "loss": loss}

    names = ("p_i", "p_f", "p_o") if peepholes else ()
    leaves = {"c_prev": rng.normal(size=(SAMPLES, HIDDEN)), "a": rng.normal(size=(SAMPLES, 4 * HIDDEN))}
    leaves |= {name: rng.normal(size=HIDDEN) for name in names}
    given = ("c_prev", *GATES, "c", *names)
    case = drawn(forward, leaves, lambda v: (dh, dc, *(v[name] for name in given)))
    return Drawn(case.arguments, case.values | {"dh": dh, "dc": dc}, case.residuals)


def _through_h(v: Arrays) -> Any:
    """What comes to the new cell state by way of h = o tanh(c)."""
    return v["dh"] * v["o"] * (1 - np.tanh(v["c"]) ** 2)


def _sums(v: Arrays, d: Arrays, slope_of_g: Any) -> Any:
    slopes = {name: v[name] * (1 - v[name]) for name in "ifo"} | {"g": slope_of_g}
    return np.concatenate([d[name] * slopes[name] for name in GATES], axis=-1)


OF_A_CELL_STATE = (
    Mistake("h had not used c: o tanh(c) sends a residual to c, too", lambda v, d: {"c": v["dc"]}),
    Mistake("only h had used c: the next step sends dc to it, too", lambda v, d: {"c": _through_h(v)}),
    Mistake("tanh(c) had no slope", lambda v, d: {"c": v["dc"] + v["dh"] * v["o"]}),
    Mistake("it passed f unchanged: the forget gate weights it", lambda v, d: {"c_prev": d["c"]}),
    Mistake("c_prev were weighted by the input gate", lambda v, d: {"c_prev": d["c"] * v["i"]}),
    Mistake("each side of f * c_prev were weighted by itself", lambda v, d: {"f": d["c"] * v["f"]}),
    Mistake("g were a gate, with a sigmoid's slope", lambda v, d: {"a": _sums(v, d, v["g"] * (1 - v["g"]))}),
    Mistake(
        "the gates had no slopes: a is what goes into σ and tanh",
        lambda v, d: {"a": np.concatenate([d[name] for name in GATES], axis=-1)},
    ),
)

LSTM = Exercise(
    "one step of an LSTM, c = f * c_prev + i * g and h = o * tanh(c)",
    "7_lstm.py",
    ("c", "a", "c_prev"),
    lambda rng: _lstm_step(rng, peepholes=False),
    OF_A_CELL_STATE,
)


def _without_peepholes(v: Arrays, d: Arrays) -> Arrays:
    return {"c": v["dc"] + _through_h(v), "c_prev": d["c"] * v["f"]}


def _seen(v: Arrays, d: Arrays, gate: str, cell_state: str) -> Any:
    """The residual of a gate's peephole, if it sees the cell state of that name."""
    return np.sum(d[gate] * v[gate] * (1 - v[gate]) * v[cell_state], axis=0)


PEEPHOLE = Exercise(
    "one step of an LSTM with peepholes",
    "8a_peephole.py",
    ("c", "p_o", "p_f", "p_i", "a", "c_prev"),
    lambda rng: _lstm_step(rng, peepholes=True),
    (
        Mistake("there were no peepholes: the gates send to the cell state they see", _without_peepholes),
        Mistake(
            "the output gate saw c_prev: it sees the new c", lambda v, d: {"p_o": _seen(v, d, "o", "c_prev")}
        ),
        Mistake(
            "the gates i and f saw the new c: they see c_prev",
            lambda v, d: {"p_i": _seen(v, d, "i", "c"), "p_f": _seen(v, d, "f", "c")},
        ),
        *OF_A_CELL_STATE,
    ),
)

# -- 8b --------------------------------------------------------------------------------


def _gru_step(rng: np.random.Generator) -> Drawn:
    dh = rng.normal(size=(SAMPLES, HIDDEN))
    x = rng.normal(size=(SAMPLES, 3 * HIDDEN))  # what the input adds to the sums of r, z and n

    def forward(h_prev: Any, U: Any) -> Arrays:
        p = h_prev @ U
        (xr, xz, xn), (pr, pz, pn) = tg.split(x, 3, axis=-1), tg.split(p, 3, axis=-1)
        r, z = tg.sigmoid(xr + pr), tg.sigmoid(xz + pz)
        n = tg.tanh(xn + r * pn)
        h = (1 - z) * n + z * h_prev
        return {"p": p, "r": r, "n": n, "z": z, "h": h, "loss": tg.sum(dh * h)}

    leaves = {"h_prev": rng.normal(size=(SAMPLES, HIDDEN)), "U": rng.normal(0, 0.7, (HIDDEN, 3 * HIDDEN))}
    return drawn(forward, leaves, lambda v: (dh, *(v[name] for name in ("h_prev", "U", "p", "r", "z", "n"))))


GRU = Exercise(
    "one step of a GRU, h = (1 − z) * n + z * h_prev",
    "8b_gru.py",
    ("z", "n", "p", "U", "h_prev"),
    _gru_step,
    (
        Mistake(
            "z had weighted h_prev alone: it weights n by 1 − z, too",
            lambda v, d: {"z": d["h"] * v["h_prev"]},
        ),
        Mistake("z and 1 − z had changed places", lambda v, d: {"n": d["h"] * v["z"]}),
        Mistake(
            "the reset gate had not weighted h_prev @ U",
            lambda v, d: {"p": _gru_sums(v, d, d["n"] * (1 - v["n"] ** 2))},
        ),
        Mistake(
            "only z * h_prev had used h_prev: the product with U did, too",
            lambda v, d: {"h_prev": d["h"] * v["z"]},
        ),
        Mistake(
            "only the product with U had used h_prev: z * h_prev did, too",
            lambda v, d: {"h_prev": d["p"] @ v["U"].T},
        ),
    ),
)


def _gru_sums(v: Arrays, d: Arrays, of_n: Any) -> Any:
    """The residual of p, with ``of_n`` in its last third."""
    return np.concatenate([d["r"] * v["r"] * (1 - v["r"]), d["z"] * v["z"] * (1 - v["z"]), of_n], axis=-1)
