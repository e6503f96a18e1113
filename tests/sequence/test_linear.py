"""Cells that are linear in their state, and those that only look so."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.numpy_only

W = tg.tensor(np.random.default_rng(0).normal(size=(4, 4)), "float32")
LINEAR = {
    "a sum": lambda x, h: h + x,
    "a gate of the input": lambda x, h: tg.sigmoid(x) * h + (1 - tg.sigmoid(x)) * tg.tanh(x),
    "a product": lambda x, h: h @ W + x,
    "another spelling": lambda x, h: tg.einsum("bi,oi->bo", h, W),
    "a choice by the input": lambda x, h: tg.where(x > 0, h, x),
    "routed": lambda x, h: tg.roll(h, 1, axis=1) * 0.5 + tg.concatenate([h[:, 2:], x[:, :2]], axis=1),
    "a matrix of the input": lambda x, h: tg.einsum("bi,bj,bj->bi", x, x, h),
    "divided by the input": lambda x, h: h / (1 + x * x),
}
BENT = {
    "tanh": lambda x, h: tg.tanh(h),
    "its square": lambda x, h: h * h,
    "a gate of the state": lambda x, h: tg.sigmoid(h) * x,
    "a maximum": lambda x, h: tg.maximum(x, h),
    "clipped": lambda x, h: tg.clip(h, -1, 1),
    "a choice by the state": lambda x, h: tg.where(h > 0, h, x),
    "sorted": lambda x, h: tg.sort(h, axis=1),
    "divided by the state": lambda x, h: x / (1 + h),
    "the largest": lambda x, h: h - tg.max(h, axis=1, keepdims=True),
    "not its own": lambda x, h: tg.tanh(x),
    "a maximum with whole numbers": lambda x, h: tg.maximum(
        h, tg.tensor(np.ones((3, 4), int)).astype("int32")
    ).astype("float32"),
}


@pytest.mark.parametrize("name", [*LINEAR, *BENT])
def test_linear_in_the_state(name):
    new = LINEAR.get(name) or BENT[name]

    def cell(x, h):
        h = new(x, h)
        return h, h

    tg.scan(cell, tg.ones((2, 3, 4)), tg.zeros((3, 4)), compiled="auto")
    assert ("linear in its state" in tg.explain(cell)) == (name in LINEAR)
