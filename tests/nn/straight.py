"""Cells, layers and their noise in straight NumPy, sample by sample and step by step: what the options of
recurrent layers mean.

Noise is drawn from NumPy's own generator, in the order that the layers promise: between layers first, then
for each direction what h is multiplied by, then which tensors of the state stay as they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# -- activations ---------------------------------------------------------------------------------------------

SELU = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def elu(a, alpha=1.0):
    return np.where(a > 0, a, alpha * (np.exp(np.minimum(a, 0)) - 1))


ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda a: np.clip(a / 6 + 0.5, 0, 1),
    "softsign": lambda a: a / (1 + abs(a)),
    "softplus": lambda a: np.log(1 + np.exp(a)),
    "linear": lambda a: a,
    "elu": elu,
    "selu": lambda a: SELU[1] * elu(a, SELU[0]),
    "silu": lambda a: a * sigmoid(a),
    "gelu": lambda a: a * (1 + np.vectorize(math.erf, otypes=[float])(a / math.sqrt(2))) / 2,
    "leaky_relu": lambda a: np.where(a > 0, a, 0.01 * a),
}
MORE_ACTIVATIONS = {
    "relu6": lambda a: np.clip(a, 0, 6),
    "mish": lambda a: a * np.tanh(np.log(1 + np.exp(a))),
    "exponential": np.exp,
    "hard_silu": lambda a: a * np.clip(a / 6 + 0.5, 0, 1),
    "hard_tanh": lambda a: np.clip(a, -1, 1),
    "log_sigmoid": lambda a: -np.log(1 + np.exp(-a)),
    "swish": lambda a: a * sigmoid(a),
    "hard_swish": lambda a: a * np.clip(a / 6 + 0.5, 0, 1),
    "celu": elu,
}
"""Not in the grid of all pairs: exponential grows beyond all numbers in a recurrence."""
MADE = {
    "affine": lambda a, alpha, beta: alpha * a + beta,
    "hard_sigmoid": lambda a, alpha, beta: np.clip(alpha * a + beta, 0, 1),
    "leaky_relu": lambda a, alpha: np.where(a > 0, a, alpha * a),
    "thresholded_relu": lambda a, alpha: np.where(a > alpha, a, 0),
    "scaled_tanh": lambda a, alpha, beta: alpha * np.tanh(beta * a),
    "elu": elu,
}


def activation(how):
    """Of a name, or of (name, alpha, beta)."""
    return ACTIVATIONS[how] if isinstance(how, str) else lambda a: MADE[how[0]](a, *how[1:])


# -- cells ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A cell's options; ``step`` is one step of one sample."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)

    def gate(self, letter, a):
        how = self.options.get("recurrent_activation", "sigmoid")
        how = how.get(letter, "sigmoid") if isinstance(how, dict) else how
        return activation(how)(self.clipped(a, "gate_clip"))

    def candidate(self, a):
        return activation(self.options.get("activation", "tanh"))(self.clipped(a, "gate_clip"))

    def clipped(self, a, name):
        bound = self.options.get(name)
        return a if bound is None else np.clip(a, -bound, bound)

    def step(self, p, x, state, keep=1.0):
        """y and the new state; ``keep`` is what the recurrent weights see of h."""
        return getattr(self, self.kind)(p, x, *state, keep)

    def rnn(self, p, x, h, keep):
        h = self.candidate(linear(p, x, h * keep))
        return h, [h]

    def ln_rnn(self, p, x, h, keep):
        h = self.candidate(norm(p, "norm", linear(p, x, h * keep)))
        return h, [h]

    def lstm(self, p, x, h, c, keep):
        return self.lstm_of(p, linear(p, x, h * keep), c, lambda c: c)

    def peephole(self, p, x, h, c, keep):
        return self.lstm(p, x, h, c, keep)

    def ln_lstm(self, p, x, h, c, keep):
        a = norm(p, "norm_ih", p["weight_ih"] @ x) + norm(p, "norm_hh", p["weight_hh"] @ (h * keep))
        return self.lstm_of(p, a, c, lambda c: norm(p, "norm_c", c))

    def lstm_of(self, p, a, c, shown):
        i, f, g, o = np.split(a, 4)
        i = self.gate("i", i + p.get("p_i", 0) * c)
        f = 1 - i if self.options.get("coupled") else self.gate("f", f + p.get("p_f", 0) * c)
        c = self.clipped(f * c + i * self.candidate(g), "cell_clip")
        out = self.options.get("output_activation") or self.options.get("activation", "tanh")
        h = self.gate("o", o + p.get("p_o", 0) * c) * activation(out)(shown(c))
        if "weight_hr" in p:
            h = self.clipped(p["weight_hr"] @ h, "proj_clip")
        return h, [h, c]

    def gru(self, p, x, h, keep):
        wx, uh = parts(p, "weight_ih", "bias_ih", x, 3), parts(p, "weight_hh", "bias_hh", h * keep, 3)
        r, z = self.gate("r", wx[0] + uh[0]), self.gate("z", wx[1] + uh[1])
        return self.mixed(wx[2] + r * uh[2], z, h)

    def gru_before(self, p, x, h, keep):
        wx, uh = parts(p, "weight_ih", "bias_ih", x, 3), parts(p, "weight_hh", "bias_hh", h * keep, 3)
        r, z = self.gate("r", wx[0] + uh[0]), self.gate("z", wx[1] + uh[1])
        return self.mixed(wx[2] + parts(p, "weight_hh", "bias_hh", r * h * keep, 3)[2], z, h)

    def ln_gru(self, p, x, h, keep):
        n = len(h)
        wx, uh = p["weight_ih"] @ x, p["weight_hh"] @ (h * keep)
        r, z = np.split(norm(p, "norm_ih", wx[: 2 * n]) + norm(p, "norm_hh", uh[: 2 * n]), 2)
        r, z = self.gate("r", r), self.gate("z", z)
        return self.mixed(norm(p, "norm_in", wx[2 * n :]) + r * norm(p, "norm_hn", uh[2 * n :]), z, h)

    def mixed(self, n, z, h):
        h = (1 - z) * self.candidate(n) + z * h
        return h, [h]

    def mgu(self, p, x, h, keep):
        wx, uh = parts(p, "weight_ih", "bias_ih", x, 2), parts(p, "weight_hh", "bias_hh", h * keep, 2)
        f = self.gate("f", wx[0] + uh[0])
        n = self.candidate(wx[1] + parts(p, "weight_hh", "bias_hh", f * h * keep, 2)[1])
        h = (1 - f) * h + f * n
        return h, [h]

    def user(self, p, x, h, c, keep):
        """A user's cell sees nothing but h · keep, and returns an output that is no part of its state."""
        h = h * keep
        c = 0.5 * c + np.tanh(x @ p["W"] + h @ p["U"] + p["b"])
        h = c * sigmoid(h)
        return 2 * h - c, [h, c]

    def user_h(self, p, x, h, c, keep):
        """The same with h as its output."""
        _, (h, c) = self.user(p, x, h, c, keep)
        return h, [h, c]


def linear(p, x, h):
    return p["weight_ih"] @ x + p["weight_hh"] @ h + p.get("bias_ih", 0) + p.get("bias_hh", 0)


def parts(p, weight, bias, x, count):
    return np.split(p[weight] @ x + p.get(bias, 0), count)


def norm(p, name, a, eps=1e-5):
    a = (a - a.mean()) / np.sqrt(a.var() + eps)
    return a * p[f"{name}.weight"] + p[f"{name}.bias"]


# -- layers --------------------------------------------------------------------------------------------------


@dataclass
class Layer:
    """A stack of cells.

    Attributes:
        directions: for each direction whether it runs from the end.
        zoneout: for each tensor of a state.
    """

    cell: Cell
    directions: tuple[bool, ...] = (False,)
    merge: str = "concat"
    masked_output: str = "zero"
    outputs: str = "all"
    dropout: float = 0.0
    variational: bool = False
    recurrent_dropout: float = 0.0
    zoneout: tuple[float, ...] = (0.0, 0.0)
    training: bool = True

    def run(self, parameters, x, states, live, seed):
        """Outputs (T, B, …) or (B, …), and the state of each cell after it.

        Args:
            parameters: of each cell, by name.
            x: (T, B, D).
            states: of each cell, a list of (B, n).
            live: (T, B).
            seed: of the noise.
        """
        chance, after = np.random.default_rng(seed), []
        count = len(self.directions)
        for k in range(len(parameters) // count):
            if k and self.training and self.dropout:
                shape = (1, *x.shape[1:]) if self.variational else x.shape
                x = x * (chance.random(shape) >= self.dropout) / (1 - self.dropout)
            sides = []
            for i, backwards in enumerate(self.directions):
                p, state = parameters[k * count + i], states[k * count + i]
                y, ends, final = self.direction(p, x, state, live, backwards, chance)
                sides.append(ends if k == len(parameters) // count - 1 and self.outputs == "last" else y)
                after.append(final)
            x = self.merged(sides)
        return x, after

    def merged(self, sides):
        return {
            "concat": lambda: np.concatenate(sides, -1),
            "sum": lambda: sum(sides),
            "mean": lambda: sum(sides) / len(sides),
            "mul": lambda: math.prod(sides),
        }[self.merge]()

    def direction(self, p, x, state, live, backwards, chance):
        steps, batch = live.shape
        zoned = any(self.zoneout[: len(state)])
        keep, stays = np.ones(state[0].shape), [np.zeros((steps, *leaf.shape), bool) for leaf in state]
        if self.training and self.recurrent_dropout:
            keep = (chance.random(keep.shape) >= self.recurrent_dropout) / (1 - self.recurrent_dropout)
        if self.training and zoned:
            for i, leaf in enumerate(state):
                if self.zoneout[i]:
                    stays[i] = chance.random((steps, *leaf.shape)) < self.zoneout[i]
        rows = [self.sample(p, x[:, b], [s[b] for s in state], live[:, b], backwards, keep[b],
                            [m[:, b] for m in stays]) for b in range(batch)]  # fmt: skip
        ys = np.stack([row[0] for row in rows], 1)
        ends = np.stack([row[1] for row in rows])
        return ys, ends, [np.stack([row[2][i] for row in rows]) for i in range(len(state))]

    def sample(self, p, x, state, live, backwards, keep, stays):
        order = range(len(x))[::-1] if backwards else range(len(x))
        width = len(self.cell.step(p, x[0], state)[0])
        ys, before, last = np.zeros((len(x), width)), np.zeros(width), np.zeros(width)
        for t in order:
            if live[t]:
                y, new = self.cell.step(p, x[t], state, keep)
                is_state = y is new[0]
                for i, z in enumerate(self.zoneout[: len(new)]):
                    if self.training:
                        new[i] = np.where(stays[i][t], state[i], new[i])
                    else:
                        new[i] = z * state[i] + (1 - z) * new[i]
                before = last = new[0] if is_state else y
                state, ys[t] = new, before
            else:
                ys[t] = before if self.masked_output == "previous" else 0
        return ys, last, state
