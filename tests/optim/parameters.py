"""Every method with its options, and parameters to step."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg

OPTIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.3}),
    ("RMSProp", {}),
    ("RMSProp", {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
    ("RMSProp", {"momentum": 0.9, "centered": True}),
]


all_options = pytest.mark.parametrize(("name", "options"), OPTIONS)


SHAPES = [(3, 2), (4,), ()]


def parameters(rng, dtype="float64"):
    return [tg.nn.Parameter(rng.normal(size=shape), dtype) for shape in SHAPES]


def set_grads(ps, grads):
    for p, g in zip(ps, grads, strict=True):
        p.grad = None if g is None else tg.tensor(g, p.dtype)


def random_grads(rng, step):
    """One residual is missing now and then."""
    return [None if i == step % 5 else rng.normal(size=shape) for i, shape in enumerate(SHAPES)]
