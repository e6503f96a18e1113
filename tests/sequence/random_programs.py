"""Random cells over all rows that are written as loops: any rank, any dtype, any routing; each from a number.

``python -m tests.sequence.random_programs 1000`` compares so many of them with the loop and prints what
differs.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tests.sequence.random_operations import KINDS, MOST, Maker, broadcast
from tinygrad_rnn import tree

STEPS = 3


def make(number: int) -> tuple[Maker, Any, Any, Any, dict[str, Any]]:
    """The case of a number: (its maker, cell, xs, state, options)."""
    m = Maker(number)
    x, states = m.shape(), [m.shape() for _ in range(m.whole(1, 3))]
    xs, firsts = m.tensor((STEPS, *x)), tuple(m.tensor(s) for s in states)
    weights = [m.tensor(m.shape()) for _ in range(m.whole(0, 2))]
    with tg.no_grad():
        values = [xs[0], *firsts, *weights]
        program = []
        for _ in range(m.whole(3, 10)):
            name, operands, function = m.one_of(KINDS)(m, values)
            made = function(*operands)
            if made.size > MOST:
                continue
            places = [next(i for i, v in enumerate(values) if v is x) for x in operands]
            m.lines.append(f"{len(values)}: {name} of {places} -> {made.dtype}{made.shape}")
            program.append((places, function))
            values.append(made)
        homes = [
            m.one_of([i for i, v in enumerate(values) if broadcast(v, first) and v.size <= first.size])
            for first in firsts
        ]
    out = [int(m.rng.integers(len(values))) for _ in range(2)]

    def cell(x: Any, state: Any) -> Any:
        values = [x, *state, *weights]
        for places, function in program:
            values.append(function(*(values[i] for i in places)))
        news = []
        for old, home in zip(state, homes, strict=True):
            v = values[home].astype(old.dtype)
            rest = tuple(n for n in old.shape)
            v = (
                tg.broadcast_to(v, np.broadcast_shapes(v.shape, rest))
                if np.broadcast_shapes(v.shape, rest) == rest
                else old
            )
            news.append(tg.tanh(v) + old * 0.5)
        return [values[i] for i in out], tuple(news)

    m.lines.insert(
        0,
        f"x {x}, states {states}, weights {[w.shape for w in weights]}, outputs {out}, news {homes}, "
        f"{m.dtype}",
    )
    return m, cell, xs, firsts, {"reverse": bool(m.rng.random() < 0.3)}


def outcome(number: int, compiled: Any) -> Any:
    """Values, gradients of a loss of them, and how it ran."""
    m, cell, xs, state, options = make(number)
    values = tree.leaves(tg.scan(cell, xs, state, compiled=compiled, **options))
    rng = np.random.default_rng(5)
    terms = [
        tg.sum((y + y * y) * tg.tensor(rng.normal(size=y.shape), y.dtype))
        for y in values
        if y.dtype.kind == "f"
    ]
    loss = terms[0]
    for term in terms[1:]:
        loss = loss + term
    told = [(y.numpy(), y.dtype, y.shape, y.requires_grad) for y in values]
    if loss.requires_grad:
        loss.backward()
    return (
        told,
        [None if x.grad is None else x.grad.numpy() for x in m.leaves],
        tg.explain(cell).splitlines()[0],
    )


def difference(number: int) -> str:
    """What is unlike the loop in a case, in words; "" if nothing is."""
    with np.errstate(all="ignore"):
        (expected, wanted, _), (found, gradients, _) = outcome(number, False), outcome(number, "auto")
    tolerance = 1e-9 if make(number)[0].dtype == "float64" else 3e-4
    for i, ((a, *kind), (b, *other)) in enumerate(zip(found, expected, strict=True)):
        if kind != other:
            return f"value {i} is {kind}, should be {other}"
        if not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            return f"value {i}: {a} should be {b}"
    for i, (a, b) in enumerate(zip(gradients, wanted, strict=True)):
        if (a is None) != (b is None):
            return f"gradient {i} is {a}, should be {b}"
        if a is not None and not np.allclose(
            a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max(initial=0))), equal_nan=True
        ):
            return f"gradient {i}: {a} should be {b}"
    return ""


def main(first: int, last: int) -> int:
    wrong, ways = 0, dict[str, int]()
    for number in range(first, last):
        try:
            said = difference(number)
            how = outcome(number, "auto")[2].partition(":")[2]
            ways[how] = ways.get(how, 0) + 1
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            wrong += 1
            print(f"-- {number}: {said}\n" + "\n".join(make(number)[0].lines), flush=True)
    print(f"{last - first} cells, {wrong} unlike the loop; {ways}")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(*(map(int, sys.argv[1:]) if len(sys.argv) > 2 else (0, int(sys.argv[1]))))))
