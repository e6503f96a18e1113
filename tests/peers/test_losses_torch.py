"""Losses, and activations that JAX names otherwise, against PyTorch: value, gradient and Hessian-vector
product in float64."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
F = torch.nn.functional

_random = np.random.default_rng(3)
LOGITS, OTHER = _random.normal(size=(5, 4)) * 2, _random.normal(size=(5, 4))
CLASSES, SHARES = np.array([0, 3, 1, 1, 2]), _random.dirichlet(np.ones(4), 5)
SCENES, SCENE_CLASSES = _random.normal(size=(2, 3, 4)), _random.integers(0, 3, (2, 4))
ON_OFF = (_random.uniform(size=(5, 4)) > 0.5).astype(float)
WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0])


def ours(x):
    return tg.tensor(x)


def theirs(x):
    return torch.from_numpy(x)


CASES = {
    **{f"{name} {reduction}": (LOGITS, lambda x, f=f, r=reduction: f(tg, x, r), lambda x, g=g,
    r=reduction: g(x, r))
       for reduction in ("mean", "sum", "none")
       for name, f, g in [
           ("mse", lambda n, x, r: n.mse_loss(x, ours(OTHER), r), lambda x,
           r: F.mse_loss(x, theirs(OTHER), reduction=r)),
           ("l1", lambda n, x, r: n.l1_loss(x, ours(OTHER), r), lambda x,
           r: F.l1_loss(x, theirs(OTHER), reduction=r)),
           ("huber", lambda n, x, r: n.huber_loss(x, ours(OTHER), 0.7, r),
            lambda x, r: F.huber_loss(x, theirs(OTHER), delta=0.7, reduction=r)),
           ("bce", lambda n, x, r: n.bce_with_logits(x, ours(ON_OFF), r),
            lambda x, r: F.binary_cross_entropy_with_logits(x, theirs(ON_OFF), reduction=r)),
           ("bce weighted", lambda n, x, r: n.bce_with_logits(x, ours(ON_OFF), r, ours(WEIGHTS)),
            lambda x, r: F.binary_cross_entropy_with_logits(x, theirs(ON_OFF), reduction=r,
            pos_weight=theirs(WEIGHTS))),
           ("cross entropy", lambda n, x, r: n.cross_entropy(x, ours(CLASSES), reduction=r),
            lambda x, r: F.cross_entropy(x, theirs(CLASSES), reduction=r)),
           ("cross entropy of shares", lambda n, x, r: n.cross_entropy(x, ours(SHARES), reduction=r),
            lambda x, r: F.cross_entropy(x, theirs(SHARES), reduction=r)),
           ("cross entropy smoothed", lambda n, x,
           r: n.cross_entropy(x, ours(CLASSES), reduction=r, label_smoothing=0.1),
            lambda x, r: F.cross_entropy(x, theirs(CLASSES), reduction=r, label_smoothing=0.1)),
           ("cross entropy of smoothed shares", lambda n, x,
           r: n.cross_entropy(x, ours(SHARES), reduction=r, label_smoothing=0.1),
            lambda x, r: F.cross_entropy(x, theirs(SHARES), reduction=r, label_smoothing=0.1)),
           ("cross entropy ignoring", lambda n, x,
           r: n.cross_entropy(x, ours(CLASSES), reduction=r, ignore_index=1),
            lambda x, r: F.cross_entropy(x, theirs(CLASSES), reduction=r, ignore_index=1)),
           ("cross entropy ignoring and smoothed",
            lambda n, x, r: n.cross_entropy(x, ours(CLASSES), reduction=r, ignore_index=1,
            label_smoothing=0.2),
            lambda x, r: F.cross_entropy(x, theirs(CLASSES), reduction=r, ignore_index=1,
            label_smoothing=0.2)),
           *[
               (f"cross entropy weighted {options}",
                lambda n, x, r, options=options: n.cross_entropy(x, ours(CLASSES), reduction=r,
                weight=ours(WEIGHTS), **options),
                lambda x, r, options=options: F.cross_entropy(x, theirs(CLASSES), reduction=r,
                weight=theirs(WEIGHTS), **options))
               for options in [{}, {"label_smoothing": 0.2}, {"ignore_index": 1},
               {"ignore_index": 1, "label_smoothing": 0.2}]
           ],
           ("cross entropy of weighted shares", lambda n, x,
           r: n.cross_entropy(x, ours(SHARES), reduction=r, label_smoothing=0.1, weight=ours(WEIGHTS)),
            lambda x, r: F.cross_entropy(x, theirs(SHARES), reduction=r, label_smoothing=0.1,
            weight=theirs(WEIGHTS))),
           ("nll weighted", lambda n, x,
           r: n.nll_loss(n.log_softmax(x), ours(CLASSES), reduction=r, weight=ours(WEIGHTS)),
            lambda x, r: F.nll_loss(F.log_softmax(x, -1), theirs(CLASSES), theirs(WEIGHTS), reduction=r)),
           ("nll", lambda n, x, r: n.nll_loss(n.log_softmax(x), ours(CLASSES), reduction=r),
            lambda x, r: F.nll_loss(F.log_softmax(x, -1), theirs(CLASSES), reduction=r)),
       ]},
    "cross entropy along an axis, weighted": (
        SCENES, lambda x: tg.cross_entropy(x, ours(SCENE_CLASSES), axis=1, weight=ours(WEIGHTS[:3])),
        lambda x: F.cross_entropy(x, theirs(SCENE_CLASSES), theirs(WEIGHTS[:3]))),
    "cross entropy along an axis": (SCENES, lambda x: tg.cross_entropy(x, ours(SCENE_CLASSES), axis=1),
                                    lambda x: F.cross_entropy(x, theirs(SCENE_CLASSES))),
    "hardtanh": (LOGITS, lambda x: tg.hardtanh(x, -2, 0.5), lambda x: F.hardtanh(x, -2, 0.5)),
    "leaky_relu": (LOGITS, tg.leaky_relu, F.leaky_relu),
    "elu": (LOGITS, lambda x: tg.elu(x, 1.5), lambda x: F.elu(x, 1.5)),
    "gelu": (LOGITS, tg.gelu, F.gelu),
}  # fmt: skip


@pytest.mark.parametrize("label", CASES)
def test_value_gradient_and_hvp_are_pytorchs(label):
    x, f, g = CASES[label]
    v = np.random.default_rng(1).normal(size=x.shape)
    leaf = torch.tensor(x, requires_grad=True)
    y = g(leaf)
    weights = np.random.default_rng(2).normal(size=tuple(y.shape))
    (slope,) = torch.autograd.grad((y * torch.from_numpy(np.asarray(weights))).sum(), leaf, create_graph=True)
    curved = (
        torch.autograd.grad((slope * torch.from_numpy(v)).sum(), leaf)[0].numpy(force=True)
        if slope.requires_grad
        else 0 * x
    )

    def loss(z):
        return (f(z) * ours(np.asarray(weights))).sum()

    np.testing.assert_allclose(f(ours(x)).numpy(), y.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(tg.grad(loss)(ours(x)).numpy(), slope.detach().numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tg.hvp(loss, ours(x), ours(v)).numpy(), curved, rtol=1e-9, atol=1e-12)
