"""A scan in every way that there is, beside each sample alone without its padding."""

from __future__ import annotations

import contextlib

import numpy as np

import tinygrad_rnn as tg
from tests.sequence.compare import kinds, running
from tinygrad_rnn import nn, tree

T, B, I, H = 6, 4, 3, 4  # noqa: E741


LENGTHS = [6, 2, 0, 4]


BAD = {"nan": np.nan, "inf": np.inf, "minus inf": -np.inf, "huge": 1e300, "zero": 0.0, "minus one": -1.0}


class Cell(nn.Module):
    """h′ = tanh(f(x) W + h U + b)."""

    def __init__(self, f, dtype="float64"):
        random = np.random.default_rng(3)
        self.f, self.state_size = f, H
        self.W, self.U, self.b = (
            nn.Parameter(random.normal(0, 0.5, shape), dtype) for shape in ((I, H), (H, H), (H,))
        )

    def __call__(self, x, h):
        h = tg.tanh(self.f(x) @ self.W + h @ self.U + self.b)
        return h, h


FUNCTIONS = {
    "plain": lambda x: x,
    "log": tg.log,
    "root": tg.sqrt,
    "reciprocal": tg.reciprocal,
    "normed": lambda x: x / tg.linalg.norm(x, axis=-1, keepdims=True),
    "softmax of logs": lambda x: tg.softmax(tg.log(x) ** 2),
    "power": lambda x: x**0.3,
}


WAYS = ("native", "interpreted", "loop", "checkpoint", "checkpointed loop")


def run(way, cell, xs, state, **options):
    """A scan in one of the ways that there are."""
    if way in ("loop", "checkpointed loop"):
        return tg.scan(
            cell, xs, state, compiled=False, checkpoint=2 if way == "checkpointed loop" else None, **options
        )
    with running(way) if way in ("native", "interpreted") else contextlib.nullcontext():
        # no kernel holds those
        how = True if way == "native" and tree.leaves(xs)[0].dtype != np.float16 else "auto"
        found = tg.scan(
            cell, xs, state, compiled=how, checkpoint=2 if way == "checkpoint" else None, **options
        )
        assert "step by step" not in tg.explain(cell)
        return found


def ways(backend):
    return [way for way in WAYS if way not in ("native", "interpreted") or way in kinds(backend)]


def gradients(wanted, ys, last):
    """The gradients of a loss to which everything that comes out belongs."""
    for leaf in wanted:
        leaf.grad = None
    loss = sum(tg.sum(y * y) + tg.sum(y) for y in (*tree.leaves(ys), *tree.leaves(last)))
    loss.backward()
    return [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy().copy() for leaf in wanted]


def alone(cell, xs, state, live, wanted, reverse=False):
    """Outputs, last states and gradients sample by sample, each cut to the steps that count."""
    outputs, lasts, losses = [], [], []
    for b in range(live.shape[1]):
        steps = np.flatnonzero(live[:, b])
        first = tree.map_leaves(lambda leaf, b=b: leaf[b : b + 1], state)
        inputs = tree.map_leaves(lambda leaf, b=b, steps=steps: leaf[steps, b : b + 1], xs)
        ys, last = (
            tg.scan(cell, inputs, first, compiled=False, reverse=reverse) if len(steps) else (None, first)
        )
        outputs.append((steps, ys))
        lasts.append(last)
        losses += (tree.leaves(ys) if len(steps) else []) + tree.leaves(last)
    for leaf in wanted:
        leaf.grad = None
    sum(tg.sum(y * y) + tg.sum(y) for y in losses).backward()
    return (
        outputs,
        lasts,
        [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy().copy() for leaf in wanted],
    )


def check(backend, cell, xs, state, live, wanted, spoilt, rtol=1e-10, **options):
    """``xs`` is as it should be; ``spoilt`` holds something else where nothing counts."""
    outputs, lasts, expected = alone(cell, xs, state, live, wanted, options.get("reverse", False))
    for way in ways(backend):
        ys, last = run(way, cell, spoilt, state, **options)
        for b, (steps, sample) in enumerate(outputs):
            for y, z in zip(tree.leaves(last), tree.leaves(lasts[b]), strict=True):
                np.testing.assert_allclose(y.numpy()[b], z.numpy()[0], rtol=rtol)
            for y, z in zip(
                tree.leaves(ys), tree.leaves(sample) if len(steps) else (), strict=len(steps) > 0
            ):
                np.testing.assert_allclose(y.numpy()[steps, b], z.numpy()[:, 0], rtol=rtol)
                rest = np.setdiff1d(np.arange(len(live)), steps)
                assert not y.numpy()[rest, b].any()
        found = gradients(wanted, ys, last)
        for a, e in zip(found, expected, strict=True):
            assert np.isfinite(a).all(), way
            np.testing.assert_allclose(
                a, e, rtol=rtol, atol=rtol * max(1.0, np.abs(e).max(initial=0)), err_msg=way
            )


def spoil(x, live, bad):
    """An array with something else where nothing counts."""
    return np.where(live.reshape(live.shape + (1,) * (x.ndim - 2)), x, bad).astype(x.dtype)


def lengths_mask():
    return np.arange(T)[:, None] < np.array(LENGTHS)


def holes(rng):
    """A mask with gaps, at the beginning too."""
    live = rng.random((T, B)) < 0.5
    live[0, :2], live[-1, 2], live[:, 3] = False, False, [False, True, False, False, True, False]
    return live
