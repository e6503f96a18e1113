"""Random cells, each from a number: what they compute, which parts they only choose by or leave unused, and
how they are run.

``python -m tests.sequence.random_cells 10000`` compares so many of them with the loop and prints what differs
(``5000 10000``: those of a range); the suite compares some.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import tree

STEPS, BATCH, WIDTHS = 4, 3, (1, 2, 5)

UNARY = {
    "tanh": tg.tanh,
    "sigmoid": tg.sigmoid,
    "relu": tg.relu,
    "abs": tg.abs,
    "negative": tg.negative,
    "exp": lambda a: tg.exp(tg.clip(a, None, 1.0)),
    "sqrt": lambda a: tg.sqrt(a * a + 0.5),
    "reciprocal": lambda a: 1 / (a * a + 0.5),
    "clip": lambda a: tg.clip(a, -0.6, 0.7),
    "raise_to": lambda a: (a * a + 0.5) ** -1.5,
    "softplus": tg.softplus,
    "log": lambda a: tg.log(a * a + 0.5),
    "sin": tg.sin,
    "erf": tg.erf,
    "sign": tg.sign,
    "floor": tg.floor,
    "round": tg.rint,
    "stop": tg.stop_gradient,
    "detach": lambda a: a.detach(),
    "greater": lambda a: (a > 0.1).astype("float64"),
    "swapped": lambda a: tg.concatenate(tg.split(a, [1], axis=1)[::-1], axis=1),
    "centred": lambda a: a - tg.mean(a, axis=1, keepdims=True),
    "scaled": lambda a: a / tg.sqrt(tg.sum(a * a, axis=1, keepdims=True) + 0.5),
    "first": lambda a: a[:, :1] * a,
    "half": lambda a: 0.5 * a,
    "largest": lambda a: a - tg.max(a, axis=1, keepdims=True),
    "nothing": lambda a: a * 0,
}
BINARY = {
    "add": tg.add,
    "subtract": tg.subtract,
    "multiply": tg.multiply,
    "maximum": tg.maximum,
    "minimum": tg.minimum,
    "chosen": lambda a, b: tg.where(a > b, a * 0.5, b),
    "chosen by one": lambda a, b: tg.where(a > 0, tg.tanh(b), b),
    "chosen by signs": lambda a, b: b * (tg.sign(a) > 0),
    "chosen by isfinite": lambda a, b: tg.where(tg.isfinite(a), b, 0.0),
    "divide": lambda a, b: a / (b * b + 1),
    "gated": lambda a, b: tg.sigmoid(a) * b,
    "kept out": lambda a, b: unrecorded(a) * b,
}


def unrecorded(a):
    with tg.no_grad():
        return tg.tanh(a * 2)


@dataclasses.dataclass
class Case:
    """A cell and how it is run: all from one number."""

    cell: Any
    leaves: list[Any]
    x: Any
    state: Any
    options: dict[str, Any]
    lines: list[str]

    def describe(self):
        return "\n".join([*self.lines, str(self.options)])


class Maker:
    def __init__(self, number):
        self.rng = np.random.default_rng([number, 7])
        self.parameters = []
        self.steps = []  # (what to do with the list of values so far, in words)

    def one_of(self, things):
        return things[self.rng.integers(len(things))]

    def tensor(self, *shape, grad=0.8):
        return tg.tensor(self.rng.normal(size=shape) * 0.7, requires_grad=bool(self.rng.random() < grad))

    def parameter(self, *shape):
        self.parameters.append(self.tensor(*shape, grad=0.9))
        return self.parameters[-1]


def make(number):
    """The case of a number."""
    m = Maker(number)
    inputs = [2] if m.rng.random() < 0.7 else [2, 5]
    states = [m.one_of(WIDTHS) for _ in range(m.rng.integers(1, 4))]
    widths = [*inputs, *states]
    program = []

    def emit(width, text, function):
        widths.append(width)
        program.append((text, function))

    for _ in range(m.rng.integers(2, 9)):
        _add(m, widths, emit)
    ends = [int(m.rng.integers(len(widths))) for _ in range(m.rng.integers(1, 3))]
    news = [_new_state(m, widths, len(inputs) + i, n) for i, n in enumerate(states)]

    def cell(x, state):
        values = [*tree.leaves(x), *tree.leaves(state)]
        for _, function in program:
            values.append(function(values))
        ys = [values[end] for end in ends]
        return ys[0] if len(ys) == 1 else {"a": ys[0], "b": ys[1]}, tuple(new(values) for new in news)

    xs = [m.tensor(STEPS, BATCH, n, grad=0.6) for n in inputs]
    firsts = tuple(m.tensor(BATCH, n, grad=0.6) for n in states)
    options = {"reverse": bool(m.rng.random() < 0.4)}
    how = m.one_of(["all", "all", "lengths", "mask", "previous"])
    if how == "lengths":
        options["lengths"] = m.rng.integers(0, STEPS + 1, BATCH)
    elif how != "all":
        options["mask"] = m.rng.random((STEPS, BATCH)) < 0.6
        options["masked_output"] = "previous" if how == "previous" else "zero"
    if m.rng.random() < 0.25:
        options["checkpoint"] = int(m.rng.integers(1, STEPS + 1))
    lines = [
        f"inputs {inputs}, states {states}, outputs {ends}",
        *(f"{i + len(inputs) + len(states)}: {t}" for i, (t, _) in enumerate(program)),
    ]
    leaves = [x for x in (*m.parameters, *xs, *firsts) if x.requires_grad]
    return Case(cell, leaves, xs[0] if len(xs) == 1 else xs, firsts, options, lines)


def _add(m, widths, emit):
    """One more value, from those before."""
    kinds = [
        "unary",
        "unary",
        "unary",
        "binary",
        "binary",
        "matmul",
        "matmul",
        "bias",
        "slice",
        "join",
        "columns",
        "parts",
        "constant",
    ]
    kind, a = m.one_of(kinds), int(m.rng.integers(len(widths)))
    n = widths[a]
    if kind == "unary":
        name = m.one_of(sorted(UNARY))
        f = UNARY[name]  # not looked up in the cell: whoever compiles it would read all of them
        emit(n, f"{name}({a})", lambda v: f(v[a]))
    elif kind == "binary":
        name, b = m.one_of(sorted(BINARY)), m.one_of([i for i, width in enumerate(widths) if width == n])
        f = BINARY[name]
        emit(n, f"{name}({a}, {b})", lambda v: f(v[a], v[b]))
    elif kind == "matmul":
        width = m.one_of(WIDTHS)
        w = m.parameter(n, width)
        emit(width, f"{a} @ w", lambda v: v[a] @ w)
    elif kind == "bias":
        b = m.parameter(*m.one_of([(n,), (1, n), ()]))
        way = m.one_of(["+", "×", "exp"])
        emit(
            n,
            f"{a} {way} b{b.shape}",
            lambda v: v[a] + b if way == "+" else v[a] * (tg.exp(b) if way == "exp" else b),
        )
    elif kind == "slice":
        start = int(m.rng.integers(n))
        stop = int(m.rng.integers(start + 1, n + 1))
        emit(stop - start, f"{a}[:, {start}:{stop}]", lambda v: v[a][:, start:stop])
    elif kind == "join":
        b = int(m.rng.integers(len(widths)))
        if n + widths[b] <= 8:
            emit(n + widths[b], f"concatenate({a}, {b})", lambda v: tg.concatenate([v[a], v[b]], axis=1))
    elif kind == "columns":
        name = m.one_of(["sum", "mean", "max"])
        emit(1, f"{name}({a})", lambda v: getattr(tg, name)(v[a], axis=1, keepdims=True))
    elif kind == "constant":
        c = m.rng.normal(size=m.one_of([(n,), (BATCH, n), (1, n)]))
        emit(n, f"{a} * array{c.shape}", lambda v: v[a] * c)
    elif n > 1:  # a split of which one part is used, and another only chooses or is left
        cut, use = int(m.rng.integers(1, n)), m.one_of(["left", "chooses"])
        first = bool(m.rng.random() < 0.5)
        width = cut if first else n - cut

        def parts(v):
            one, other = tg.split(v[a], [cut], axis=1) if first else tg.split(v[a], [cut], axis=1)[::-1]
            return one if use == "left" else tg.where(other[:, :1] > 0, tg.tanh(one), one * 0.5)

        emit(width, f"split({a}, {cut}): one part, the other {use}", parts)


def _new_state(m, widths, own, n):
    """What becomes of a state: itself, a value of its width, or a product of any."""
    way = m.one_of(["kept", "value", "value", "product", "product", "product", "jump"])
    end = m.one_of([i for i, width in enumerate(widths) if width == n])
    if way == "kept":
        return lambda v: v[own]
    if way == "value":
        return lambda v: v[end]
    if way == "jump":
        return lambda v: tg.sign(v[end])
    a = int(m.rng.integers(len(widths)))
    w = m.parameter(widths[a], n)
    return lambda v: tg.tanh(v[a] @ w)


# -- comparing -----------------------------------------------------------------------------------------------


def outcome(case, how, threads=1):
    """Values with whether they require a gradient, and gradients of a loss, by as many threads at once."""
    ys, last = tg.scan(case.cell, case.x, case.state, compiled=how, **case.options)
    values = [*tree.leaves(ys), *tree.leaves(last)]
    rng = np.random.default_rng(5)
    loss = tg.sum(tg.stack([tg.sum((y + y * y) * rng.normal(size=y.shape)) for y in values]))
    told = [(y.numpy(), y.dtype, y.shape, y.requires_grad) for y in values]
    if not loss.requires_grad or not case.leaves:
        return told, [None] * threads
    gradients: list[Any] = [None] * threads

    def differentiate(i):
        gradients[i] = [g.numpy() for g in tg.gradients(loss, case.leaves)]

    workers = [threading.Thread(target=differentiate, args=(i,)) for i in range(threads - 1)]
    for worker in workers:
        worker.start()
    differentiate(threads - 1)
    for worker in workers:
        worker.join()
    return told, gradients


def difference(number, tolerance=1e-9):
    """What is unlike the loop in a case, in words; "" if nothing is."""
    case = make(number)
    with np.errstate(all="ignore"):
        (expected, (wanted,)), (found, gradients) = outcome(case, False), outcome(case, "auto", threads=2)
    for i, ((a, *kind), (b, *other)) in enumerate(zip(found, expected, strict=True)):
        if kind != other:
            return f"value {i} is {kind}, should be {other}"
        if not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            return f"value {i}: {a} should be {b}"
    for ours in gradients:
        if (ours is None) != (wanted is None):
            return f"gradients {ours}, should be {wanted}"
        for i, (a, b) in enumerate(zip(ours or [], wanted or [], strict=True)):
            if not np.allclose(
                a,
                b,
                rtol=tolerance,
                atol=tolerance * max(1.0, float(np.abs(b).max(initial=0))),
                equal_nan=True,
            ):
                return f"gradient {i}: {a} should be {b}"
    return ""


def main(numbers):
    compiled = wrong = 0
    for number in numbers:
        try:
            said = difference(number)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            wrong += 1
            print(f"-- {number}: {said}\n{make(number).describe()}", flush=True)
        case = make(number)
        tg.scan(case.cell, case.x, case.state, **case.options)
        compiled += "step by step" not in tg.explain(case.cell)
    print(f"{len(numbers)} cells, {compiled} compiled, {wrong} unlike the loop")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(range(*map(int, sys.argv[1:])))))
