"""Random recurrent programs: what a user may build of cells, layers and states, the same for any way to run
it."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy

import tinygrad_rnn as tg
from tinygrad_rnn import tree

T, B, IN, H = 5, 2, 3, 3
Pair = namedtuple("Pair", "slow fast")


class Program:
    """Draws parts from a seed; ``compiled`` is how its scans run.

    Attributes:
        parts: what was chosen, for the reader of a failure.
    """

    def __init__(self, seed: int, compiled: bool | str) -> None:
        self.random, self.compiled = numpy.random.default_rng(seed), compiled
        self.parts: list[str] = []
        tg.random.seed(seed)

    def array(self, *shape: int) -> numpy.ndarray:
        return self.random.standard_normal(shape) * 0.6

    def weight(self, *shape: int) -> Any:
        return tg.tensor(self.array(*shape), requires_grad=True)

    def choice(self, *names: str) -> str:
        name = names[self.random.integers(len(names))]
        self.parts.append(name)
        return name

    def chance(self, name: str, share: float = 0.5) -> bool:
        happens = bool(self.random.random() < share)
        if happens:
            self.parts.append(name)
        return happens

    # -- cells and states ------------------------------------------------------------------------------------

    def cell(self, width: int) -> tuple[Any, Any]:
        """A cell of the user's own for inputs of a width, and its state before the first step."""
        W, U, V = self.weight(width, H), self.weight(H, H), self.weight(H, H)
        kind = self.choice("plain", "readout", "unpacked", "named", "keyed", "nested", "waiting", "leaky")

        def plain(x: Any, h: Any) -> Any:
            h = tg.tanh(x @ W + h @ U)
            return h, h

        def readout(x: Any, h: Any) -> Any:
            a = x @ W + h @ U
            h = tg.sigmoid(a)
            return tg.tanh(h @ V) + 0.1 * a, h

        def unpacked(x: Any, state: Any) -> Any:
            h_prev, c_prev = state
            f = tg.sigmoid(x @ W + h_prev @ U)
            c = f * c_prev + (1 - f) * tg.tanh(h_prev @ V)
            h = f * tg.tanh(c)
            return h, (h, c)

        def named(x: Any, state: Any) -> Any:
            slow = 0.9 * state.slow + 0.1 * state.fast
            fast = tg.tanh(x @ W + slow @ U)
            return slow + fast, Pair(slow, fast)

        def keyed(x: Any, state: Any) -> Any:
            new = tg.tanh(x @ W + state["m"] @ U)
            return new, {"m": new, "n": state["n"] * 0.5 + new}

        def nested(x: Any, state: Any) -> Any:
            h, (c, m) = state
            h = tg.tanh(x @ W + h @ U + m)
            return h, (h, (c * 0.5 + h, tg.maximum(m * 0.5, c @ V)))

        def waiting(x: Any, state: Any) -> Any:
            h, before = state
            new = tg.tanh(h @ U + before @ V + x @ W)
            return new, (new, h)

        def leaky(x: Any, h: Any) -> Any:
            h_new = h * 0.7 + x @ W
            return tg.relu(h_new), h_new

        cells = {f.__name__: f for f in (plain, readout, unpacked, named, keyed, nested, waiting, leaky)}
        first = self.first
        states: dict[str, Any] = {
            "unpacked": lambda: (first(), first()), "named": lambda: Pair(first(), first()),
            "keyed": lambda: {"m": first(), "n": first()},
            "nested": lambda: (first(), (first(), first())), "waiting": lambda: (first(), first()),
        }  # fmt: skip
        return cells[kind], states.get(kind, first)()

    def first(self) -> Any:
        """A tensor of the state before the first step."""
        kind = self.choice("zeros", "learned", "copied", "computed", "given")
        if kind == "zeros":
            return tg.tensor(numpy.zeros((B, H)))
        if kind == "given":
            return tg.tensor(self.array(B, H))
        if kind == "learned":
            return self.weight(B, H)
        if kind == "copied":
            return tg.broadcast_to(self.weight(H), (B, H))
        return tg.tanh(tg.tensor(self.array(B, H)) @ self.weight(H, H))

    # -- runs over time --------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"compiled": self.compiled}
        if self.chance("reverse", 0.2):
            options["reverse"] = True
        if self.chance("lengths", 0.2):
            options["lengths"] = [T, 3]
        elif self.chance("mask", 0.15):
            options["mask"] = self.random.random((T, B)) < 0.7
        # the loop would record checkpoints
        if self.chance("in segments", 0.3) and self.compiled is not False:
            options["checkpoint"] = 2
        return options

    def run(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        """One way over the sequence: outputs (T, B, …), and a tensor of the last state."""
        width = x.shape[-1]
        kind = self.choice("scan", "scan", "layer", "recurrent", "nested scan")
        if kind == "layer":
            name = self.choice("RNN", "GRU", "LSTM", "PeepholeLSTM")
            more = {"num_layers": 2} if self.chance("two layers", 0.3) else {}
            more |= {"bidirectional": True} if self.chance("two directions", 0.3) else {}
            layer = getattr(tg.nn, name)(width, H, dtype=tg.float64, compiled=self.compiled, **more)
            y, last = layer(x)
            return y, (last[0] if isinstance(last, tuple) else last)[-1]
        cell, first = self.cell(width)
        if kind == "recurrent":
            y, last = tg.nn.Recurrent(cell, compiled=self.compiled)(x, first)
        elif kind == "nested scan":
            W = self.weight(H, H)

            def inner(x: Any, h: Any) -> Any:
                h = tg.tanh(x + h @ W)
                return h, h

            def outer(x: Any, state: Any) -> Any:
                y, state = cell(x, state)
                ys, _ = tg.scan(inner, tg.stack([y, 0.5 * y, y]), y, compiled=self.compiled)
                return ys[-1], state

            y, last = tg.scan(outer, x, first, compiled=False)
        else:
            y, last = tg.scan(cell, x, first, **self.options())
        return y, tree.leaves(last)[0]

    def loss(self) -> Any:
        """The whole program."""
        x = tg.tensor(self.array(T, B, IN), requires_grad=self.chance("an input that learns", 0.3))
        if self.chance("embedded", 0.3):
            x = tg.tanh(tg.nn.Linear(IN, 2, dtype=tg.float64)(x))
        y, last = self.run(x)
        how = self.choice("alone", "stacked", "attention", "state only", "carried", "shared")
        if how == "stacked":
            y, last = self.run(y)
        elif how == "attention":
            memory, U = y @ self.weight(y.shape[-1], H), self.weight(H, H)

            def attends(x: Any, h: Any) -> Any:
                weights = tg.softmax(tg.sum(memory * h, axis=-1), axis=0)
                h = tg.tanh(tg.sum(tg.expand_dims(weights, -1) * memory, axis=0) + h @ U + x)
                return h, h

            y, last = tg.scan(attends, tg.tensor(self.array(T, B, H)), last, compiled=self.compiled)
        elif how == "state only":
            V = self.weight(H, H)

            def decodes(x: Any, h: Any) -> Any:
                h = tg.tanh(x + h @ V)
                return h, h

            y, last = tg.scan(decodes, tg.tensor(self.array(T, B, H)), last, compiled=self.compiled)
        elif how in ("carried", "shared"):
            W, U = self.weight(H, H), self.weight(H, H)

            def cell(x: Any, h: Any) -> Any:
                h = tg.tanh(x @ W + h @ U)
                return h, h

            a = tg.tensor(self.array(T, B, H))
            first, h = tg.scan(cell, a, last, compiled=self.compiled)
            second, last = tg.scan(
                cell, first if how == "shared" else a, h if how == "carried" else last, compiled=self.compiled
            )
            y = first + second
        return self.read(y, last)

    def read(self, y: Any, last: Any) -> Any:
        kind = self.choice("every step", "last step", "some steps", "last state", "two losses")
        if kind == "every step":
            return tg.mean(y * y)
        if kind == "last step":
            return tg.sum(y[-1] @ self.weight(y.shape[-1], 1))
        if kind == "some steps":
            return tg.sum(y[1:4:2] ** 2)
        if kind == "last state":
            return tg.sum(last * last)
        return [tg.sum(y * y), tg.sum(last)]
