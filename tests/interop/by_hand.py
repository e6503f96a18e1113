"""Networks as straight loops in NumPy, in float64, from their equations: layers from their parameters, and
ten cells as users write them, each beside its loop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _clip(x, bound):
    return x if bound is None else np.clip(x, -bound, bound)


def rnn_step(w, x, state, function=np.tanh):
    h = function(
        x @ w["weight_ih"].T + w.get("bias_ih", 0) + state[0] @ w["weight_hh"].T + w.get("bias_hh", 0)
    )
    return h, (h,)


def hard_sigmoid(x, alpha=1 / 6):
    return np.clip(alpha * x + 0.5, 0, 1)


def softsign(x):
    return x / (1 + np.abs(x))


def lstm_step(
    w, x, state, cell_clip=None, proj_clip=None, gate=sigmoid, candidate=np.tanh, out=np.tanh, coupled=False,
    gate_clip=None,
):  # fmt: skip
    h, c = state
    a = x @ w["weight_ih"].T + w.get("bias_ih", 0) + h @ w["weight_hh"].T + w.get("bias_hh", 0)
    i, f, g, o = np.split(a, 4, axis=-1)
    i, f = (gate(_clip(a + w.get(p, 0) * c, gate_clip)) for a, p in ((i, "p_i"), (f, "p_f")))
    c = _clip((1 - i if coupled else f) * c + i * candidate(_clip(g, gate_clip)), cell_clip)
    h = gate(_clip(o + w.get("p_o", 0) * c, gate_clip)) * out(c)
    if "weight_hr" in w:
        h = _clip(h @ w["weight_hr"].T, proj_clip)
    return h, (h, c)


def gru_step(w, x, state, reset="after", gate=sigmoid, candidate=np.tanh):
    (h,) = state
    xr, xz, xn = np.split(x @ w["weight_ih"].T + w.get("bias_ih", 0), 3, axis=-1)
    ur, uz, un = np.split(w["weight_hh"], 3)
    br, bz, bn = np.split(w["bias_hh"], 3) if "bias_hh" in w else (0, 0, 0)
    r, z = gate(xr + h @ ur.T + br), gate(xz + h @ uz.T + bz)
    n = candidate(xn + (r * (h @ un.T + bn) if reset == "after" else (r * h) @ un.T + bn))
    h = (1 - z) * n + z * h
    return h, (h,)


def layers(step: Callable[..., Any], weights: dict[str, np.ndarray], xs: np.ndarray) -> np.ndarray:
    """A stack's outputs, from its parameters under PyTorch's names."""
    count = 1 + max(int(name.rpartition("_l")[2]) for name in weights)
    for k in range(count):
        w = {
            name.removesuffix(f"_l{k}"): value.astype(np.float64)
            for name, value in weights.items()
            if name.endswith(f"_l{k}")
        }
        batch, hidden = (
            xs.shape[1],
            w["weight_hh"].shape[0] // {lstm_step: 4, gru_step: 3}.get(getattr(step, "func", step), 1),
        )
        h = np.zeros((batch, w["weight_hh"].shape[1]))
        state = (h, np.zeros((batch, hidden))) if getattr(step, "func", step) is lstm_step else (h,)
        ys = []
        for x in xs.astype(np.float64):
            y, state = step(w, x, state)
            ys.append(y)
        xs = np.stack(ys)
    return xs


LAYERS: dict[str, tuple[Callable[[int, int], Any], Callable[..., Any]]] = {
    "rnn": (nn.RNN, rnn_step),
    "rnn relu": (
        functools.partial(nn.RNN, nonlinearity="relu", bias=False),
        functools.partial(rnn_step, function=lambda x: np.maximum(x, 0)),
    ),
    "rnn, 2 layers": (functools.partial(nn.RNN, num_layers=2), rnn_step),
    "lstm": (nn.LSTM, lstm_step),
    "lstm without bias": (functools.partial(nn.LSTM, bias=False), lstm_step),
    "lstm, 2 layers, projected": (functools.partial(nn.LSTM, num_layers=2, proj_size=2), lstm_step),
    "lstm clipped": (
        functools.partial(nn.LSTM, proj_size=3, cell_clip=0.3, proj_clip=0.05),
        functools.partial(lstm_step, cell_clip=0.3, proj_clip=0.05),
    ),
    "peephole": (nn.PeepholeLSTM, lstm_step),
    "peephole, 2 layers, projected, clipped": (
        functools.partial(nn.PeepholeLSTM, num_layers=2, proj_size=4, cell_clip=0.2),
        functools.partial(lstm_step, cell_clip=0.2),
    ),
    "lstm with other functions": (
        functools.partial(
            nn.LSTM,
            activation="softsign",
            recurrent_activation="hard_sigmoid",
            output_activation="relu",
            gate_clip=0.4,
        ),
        functools.partial(
            lstm_step,
            gate=hard_sigmoid,
            candidate=softsign,
            out=lambda x: np.maximum(x, 0),
            gate_clip=0.4,
        ),
    ),
    "lstm, coupled, 2 layers": (
        functools.partial(nn.LSTM, num_layers=2, coupled=True, biases=1),
        functools.partial(lstm_step, coupled=True),
    ),
    "peephole at one gate": (functools.partial(nn.PeepholeLSTM, peepholes="o"), lstm_step),
    "gru with other functions": (
        functools.partial(
            nn.GRU, activation="softsign", recurrent_activation=nn.activations.hard_sigmoid(0.2)
        ),
        functools.partial(gru_step, gate=functools.partial(hard_sigmoid, alpha=0.2), candidate=softsign),
    ),
    "gru": (nn.GRU, gru_step),
    "gru without bias": (functools.partial(nn.GRU, bias=False), gru_step),
    "gru, 2 layers": (functools.partial(nn.GRU, num_layers=2), gru_step),
    "gru, reset before": (
        functools.partial(nn.GRU, reset="before"),
        functools.partial(gru_step, reset="before"),
    ),
    "gru, 2 layers, reset before, no bias": (
        functools.partial(nn.GRU, num_layers=2, reset="before", bias=False),
        functools.partial(gru_step, reset="before"),
    ),
}
"""By name: how a layer is made, and its step."""


# -- cells of users ------------------------------------------------------------------------------------------


class Example(NamedTuple):
    """A cell, and the same as a step in NumPy, which takes and returns arrays.

    Attributes:
        weights: by name; both read them.
        cell: from the weights as tensors, ``(x, state) -> (y, state)``.
        step: from the weights in float64, likewise.
        x: the shape of an input, or for whole numbers what they are below, and the shape.
        state: the shapes of the state, nested.
    """

    weights: dict[str, tuple[int, ...]]
    cell: Callable[[dict[str, tg.Tensor]], Callable[..., Any]]
    step: Callable[[dict[str, np.ndarray]], Callable[..., Any]]
    x: Any
    state: Any


def _layer_norm(w):
    def cell(x, h):
        a = x @ w["W"] + h @ w["U"]
        a = a - tg.mean(a, axis=-1, keepdims=True)
        h = tg.tanh(w["g"] * a / tg.sqrt(tg.mean(a * a, axis=-1, keepdims=True) + 1e-5) + w["b"])
        return h, h

    return cell


def _layer_norm_by_hand(w):
    def step(x, h):
        a = x @ w["W"] + h @ w["U"]
        a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)
        h = np.tanh(w["g"] * a + w["b"])
        return h, h

    return step


def _attention(w):
    def cell(x, h):
        scores = tg.softmax((h @ w["Q"]) @ w["K"].T / 2.0, axis=-1)
        h = tg.tanh(x @ w["W"] + scores @ w["V"] + 0.5 * h)
        return (h, scores), h

    return cell


def _attention_by_hand(w):
    def step(x, h):
        scores = softmax(h @ w["Q"] @ w["K"].T / 2)
        h = np.tanh(x @ w["W"] + scores @ w["V"] + 0.5 * h)
        return (h, scores), h

    return step


def _matrix_memory(w):
    def cell(x, memory):
        q, k, v = tg.split(x @ w["W"], 3, axis=-1)
        k = tg.softmax(k, axis=-1)
        memory = 0.9 * memory + tg.einsum("bi,bj->bij", v, k)
        return tg.einsum("bij,bj->bi", memory, q), memory

    return cell


def _matrix_memory_by_hand(w):
    def step(x, memory):
        q, k, v = np.split(x @ w["W"], 3, axis=-1)
        k = softmax(k)
        memory = 0.9 * memory + v[:, :, None] * k[:, None, :]
        return (memory * q[:, None, :]).sum(-1), memory

    return step


def _tokens(w):
    def cell(number, h):
        h = tg.tanh(tg.take(w["E"], number, axis=0) + h @ w["U"])
        return h @ w["E"].T, h

    return cell


def _tokens_by_hand(w):
    def step(number, h):
        h = np.tanh(w["E"][number] + h @ w["U"])
        return h @ w["E"].T, h

    return step


def _pointer(w):
    """Reads a table at a place that its state chose."""

    def cell(x, state):
        h, place = state
        h = tg.tanh(x @ w["W"] + h @ w["U"] + tg.take(w["E"], place, axis=0))
        place = tg.argmax(h @ w["C"], axis=-1)
        return (h, place), (h, place)

    return cell


def _pointer_by_hand(w):
    def step(x, state):
        h, place = state
        h = np.tanh(x @ w["W"] + h @ w["U"] + w["E"][place])
        place = (h @ w["C"]).argmax(-1)
        return (h, place), (h, place)

    return step


def _minimal_gated(w):
    def cell(x, h):
        f = tg.sigmoid(x @ w["Wf"] + h @ w["Uf"] - 1.0)
        h = (1 - f) * h + f * tg.tanh(x @ w["W"] + (f * h) @ w["U"])
        return h, h

    return cell


def _minimal_gated_by_hand(w):
    def step(x, h):
        f = sigmoid(x @ w["Wf"] + h @ w["Uf"] - 1)
        h = (1 - f) * h + f * np.tanh(x @ w["W"] + (f * h) @ w["U"])
        return h, h

    return step


def _window(w):
    """A convolution over the last four inputs, which the state keeps."""

    def cell(x, past):
        past = tg.concatenate([past[:, 1:], tg.expand_dims(x, 1)], 1)
        return tg.relu(tg.einsum("bti,tio->bo", past, w["K"]) + w["b"]), past

    return cell


def _window_by_hand(w):
    def step(x, past):
        past = np.concatenate([past[:, 1:], x[:, None]], 1)
        return np.maximum(sum(past[:, t] @ w["K"][t] for t in range(4)) + w["b"], 0), past

    return step


def _counter(w):
    """Every third step one half of it stands still (Koutník et al. 2014)."""

    def cell(x, state):
        h, count = state
        new = tg.sin(x @ w["W"] + h @ w["U"])
        slow = tg.where(tg.equal(count % 3, 0), new, h)
        h = tg.concatenate([new[:, :3], slow[:, 3:]], -1)
        return tg.logsumexp(h, axis=-1), (h, count + 1)

    return cell


def _counter_by_hand(w):
    def step(x, state):
        h, count = state
        new = np.sin(x @ w["W"] + h @ w["U"])
        h = np.concatenate([new[:, :3], (new if count % 3 == 0 else h)[:, 3:]], -1)
        return np.log(np.exp(h).sum(-1)), (h, count + 1)

    return step


def _complex(w):
    """A diagonal linear recurrence in complex numbers, by their parts (Orvieto et al. 2023)."""

    def cell(x, state):
        a, b = state
        size = tg.exp(-tg.exp(w["nu"]))
        re, im = size * tg.cos(w["theta"]), size * tg.sin(w["theta"])
        a, b = re * a - im * b + x @ w["Br"], re * b + im * a + x @ w["Bi"]
        return tg.gelu(a @ w["C"] - b @ w["D"]), (a, b)

    return cell


def _complex_by_hand(w):
    from math import erf  # in no array module

    def step(x, state):
        z = (state[0] + 1j * state[1]) * np.exp(-np.exp(w["nu"]) + 1j * w["theta"])
        z = z + x @ (w["Br"] + 1j * w["Bi"])
        y = (z * 1.0).real @ w["C"] - z.imag @ w["D"]
        return y * (1 + np.vectorize(erf)(y / np.sqrt(2))) / 2, (z.real, z.imag)

    return step


def _several(w):
    """Two inputs and a state under names; running sums and extrema of them."""

    def cell(x, state):
        a, b = x["left"], x["right"]
        top = tg.maximum(state["top"], tg.max(a, axis=-1, keepdims=True))
        total = tg.cumsum(a * b, axis=-1) + 0.5 * state["total"]
        return {"sum": tg.softplus(total @ w["W"]), "top": top}, {"top": top, "total": total}

    return cell


def _several_by_hand(w):
    def step(x, state):
        a, b = x["left"], x["right"]
        top = np.maximum(state["top"], a.max(-1, keepdims=True))
        total = np.cumsum(a * b, -1) + 0.5 * state["total"]
        return {"sum": np.log1p(np.exp(total @ w["W"])), "top": top}, {"top": top, "total": total}

    return step


CELLS: dict[str, Example] = {
    "layer norm": Example(
        {"W": (3, 20), "U": (20, 20), "g": (20,), "b": (20,)}, _layer_norm, _layer_norm_by_hand, (3,), (20,)
    ),
    "attention over a memory": Example(
        {"W": (3, 5), "Q": (5, 4), "K": (7, 4), "V": (7, 5)}, _attention, _attention_by_hand, (3,), (5,)
    ),
    "a matrix as state": Example({"W": (3, 12)}, _matrix_memory, _matrix_memory_by_hand, (3,), (4, 4)),
    "token numbers": Example({"E": (11, 6), "U": (6, 6)}, _tokens, _tokens_by_hand, 11, (6,)),
    "a table at a place of the state": Example(
        {"W": (3, 5), "U": (5, 5), "E": (9, 5), "C": (5, 9)}, _pointer, _pointer_by_hand, (3,), ((5,), int)
    ),
    "minimal gated": Example(
        {"W": (3, 17), "U": (17, 17), "Wf": (3, 17), "Uf": (17, 17)},
        _minimal_gated,
        _minimal_gated_by_hand,
        (3,),
        (17,),
    ),
    "a window of inputs": Example({"K": (4, 3, 5), "b": (5,)}, _window, _window_by_hand, (3,), (4, 3)),
    "a counter": Example({"W": (3, 6), "U": (6, 6)}, _counter, _counter_by_hand, (3,), ((6,), None)),
    "complex numbers": Example(
        {"nu": (5,), "theta": (5,), "Br": (3, 5), "Bi": (3, 5), "C": (5, 4), "D": (5, 4)},
        _complex,
        _complex_by_hand,
        (3,),
        ((5,), (5,)),
    ),
    "several inputs": Example(
        {"W": (6, 3)}, _several, _several_by_hand, {"left": (6,), "right": (6,)}, {"top": (1,), "total": (6,)}
    ),
}
