"""What a choice leaves out sends nothing back, whatever it holds: the same gradients as if it had not been
computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

pytestmark = pytest.mark.numpy_only

ROWS, WIDTH = 6, 3
GOOD = np.array([True, False, True, True, False, True])
PLACES = np.flatnonzero(GOOD)

CHOICES: dict[str, Callable[[Any], Any]] = {
    "mask": lambda y: y[GOOD],
    "mask of a tensor": lambda y: y[tg.tensor(GOOD)],
    "mask of elements": lambda y: y[np.repeat(GOOD[:, None], y.shape[1], 1)],
    "places": lambda y: y[PLACES],
    "take": lambda y: tg.take(y, PLACES, 0),
    "take_along_axis": lambda y: tg.take_along_axis(y, np.repeat(PLACES[:, None], y.shape[1], 1), 0),
    "slices": lambda y: tg.concatenate([y[:1], y[2:4], y[-1:]]),
    "numbers": lambda y: tg.stack([y[i] for i in PLACES.tolist()]),
    "split": lambda y: tg.concatenate([part for i, part in enumerate(tg.split(y, ROWS)) if GOOD[i]]),
    "unstack": lambda y: tg.stack([row for i, row in enumerate(y) if GOOD[i]]),
    "delete": lambda y: tg.delete(y, np.flatnonzero(~GOOD), 0),
    "where": lambda y: tg.where(GOOD[:, None], y, 0.0),
    "where of NaN": lambda y: tg.where(tg.isnan(y), 0.0, y),
    "nansum": lambda y: tg.nansum(y, 0),
    "nan_to_num": lambda y: tg.nan_to_num(y),
    "turned and chosen": lambda y: tg.transpose(y)[:, GOOD],
}
"""Each keeps the same rows of what it gets; what is left out of a sum is as good as 0."""

BY_VALUE = ("where of NaN", "nansum", "nan_to_num")
"""These leave out what is NaN."""

NETWORKS: dict[str, Callable[[Any, Any], Any]] = {
    "product": lambda x, W: x @ W,
    "composition": lambda x, W: tg.tanh(x @ W),
    "weighting": lambda x, W: (x @ W) * (x @ W + 1),
    "division": lambda x, W: 1 / (1 + tg.exp(x @ W)),
    "reduction": lambda x, W: tg.softmax(x @ W),
    "norm": lambda x, W: x @ W / tg.linalg.norm(x @ W, axis=1, keepdims=True),
    "einsum": lambda x, W: tg.einsum("bi,ij->bj", x, W),
    "einsum of three": lambda x, W: tg.einsum("bi,ij,bi->bj", x, W, x),
    "checkpoint": lambda x, W: tg.checkpoint(lambda W: tg.sigmoid(x @ W))(W),
    "layers": lambda x, W: tg.relu(tg.tanh(x @ W) @ tg.transpose(W)) @ W,
}


def _gradient(f: Callable[[Any], Any], W: np.ndarray) -> tuple[Any, np.ndarray]:
    leaf = tg.tensor(W, requires_grad=True)
    y = f(leaf)
    loss = tg.sum(y * y) + tg.sum(y)
    loss.backward()
    return loss.item(), leaf.grad.numpy()


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=["nan", "inf"])
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("network", NETWORKS)
def test_rows_that_are_not_chosen(network: str, choice: str, bad: float, rng: np.random.Generator) -> None:
    x, W = rng.normal(size=(ROWS, WIDTH)), rng.normal(size=(WIDTH, 2))
    spoilt = np.where(GOOD[:, None], x, np.nan if choice in BY_VALUE else bad)
    with np.errstate(all="ignore"):
        value, found = _gradient(lambda W: CHOICES[choice](NETWORKS[network](spoilt, W)), W)
        if choice == "nansum":
            expected = _gradient(lambda W: tg.sum(NETWORKS[network](x[GOOD], W), 0), W)
        else:
            expected = _gradient(lambda W: NETWORKS[network](x[GOOD], W), W)
    assert np.isfinite(found).all()
    assert value == pytest.approx(expected[0])
    np.testing.assert_allclose(found, expected[1], rtol=1e-11, atol=1e-12)


@pytest.mark.both_backends
def test_a_loss_that_a_mask_chooses(backend: str) -> None:
    W = tg.tensor(np.ones((1, 2)), requires_grad=True)
    x, y = tg.tensor(np.array([[2.0]])), tg.tensor(np.array([[np.nan, 0.0]]))

    def loss(W: Any) -> Any:
        return tg.sum(tg.mse_loss(x @ W, y, reduction="none")[~tg.isnan(y)])

    loss(W).backward()
    assert W.grad.tolist() == [[0.0, 8.0]]
    assert tg.grad(loss)(W.detach()).tolist() == [[0.0, 8.0]]
    assert tg.hessian(loss)(W.detach()).numpy().reshape(2, 2).tolist() == [[0.0, 0.0], [0.0, 8.0]]
    (recorded,) = tg.gradients(loss(W), [W], create_graph=True)
    assert recorded.tolist() == [[0.0, 8.0]]
    assert tg.gradients(tg.sum(recorded), W).tolist() == [[0.0, 8.0]]


@pytest.mark.parametrize("compiled", [True, False])
def test_samples_of_a_sequence(compiled: bool, rng: np.random.Generator) -> None:
    """A compiled scan is looked into, so that it gives what the loop gives."""
    layer = nn.LSTM(3, 4, compiled=compiled, dtype="float64")
    x = rng.normal(size=(5, 4, 3))
    spoilt, good = x.copy(), [0, 2, 3]
    spoilt[2:, 1] = np.nan

    def gradients(x: np.ndarray, chosen: Any) -> list[np.ndarray]:
        layer.zero_grad()
        ys, (h, _) = layer(tg.tensor(x))
        (tg.sum(ys[:, chosen] ** 2) + tg.sum(h[0][chosen])).backward()
        return [p.grad.numpy() for p in layer.parameters()]

    for found, expected in zip(gradients(spoilt, good), gradients(x[:, good], slice(None)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
    for found, expected in zip(
        gradients(spoilt, np.arange(4) != 1), gradients(x[:, good], slice(None)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rows", [50, 5000], ids=["operations", "kernel"])
def test_losses_of_classes(rows: int, rng: np.random.Generator) -> None:
    z, target, V = rng.normal(size=(rows, 5)), rng.integers(0, 5, rows), rng.normal(size=(5, 5))
    good = rng.random(rows) < 0.8
    spoilt = np.where(good[:, None], z, np.nan)

    def gradient(z: np.ndarray, target: np.ndarray, chosen: Any) -> np.ndarray:
        W = tg.tensor(V, requires_grad=True)
        tg.sum(tg.cross_entropy(z @ W, target, reduction="none")[chosen]).backward()
        return W.grad.numpy()

    with np.errstate(all="ignore"):
        np.testing.assert_allclose(
            gradient(spoilt, target, good), gradient(z[good], target[good], ...), rtol=1e-10
        )


# -- what stays NaN ------------------------------------------------------------------------------------------


def test_a_nan_that_counts_goes_on() -> None:
    x, y, mask = np.array([[2.0, 1.0]]), np.array([[np.nan], [0.0]]), np.array([[0.0], [1.0]])
    for loss in (
        lambda W: tg.sum((W * x.T - y) ** 2 * mask),  # a product with 0 is no choice
        lambda W: tg.sum(((W * x.T - y) ** 2 * mask)[:1]),
        lambda W: tg.sum(tg.relu(W) * y),
        lambda W: tg.sum((W * y)[:1]),
        lambda W: tg.max(W * y),
    ):
        W = tg.tensor(np.ones((1, 1)), requires_grad=True)
        with np.errstate(all="ignore"):
            loss(W).backward()
        assert np.isnan(W.grad.numpy()).any()


def test_a_slope_that_is_infinite_at_a_chosen_place_is_not_hidden() -> None:
    """exp(log(x)) at 0: the residual of the logarithm is 0 and its slope infinite, but nothing was left out
    there."""
    x = tg.tensor(np.array([0.0, 2.0]), requires_grad=True)
    with np.errstate(all="ignore"):
        tg.sum(tg.exp(tg.log(x))).backward()
    assert np.isnan(x.grad.numpy()[0])
    x.grad = None
    with np.errstate(all="ignore"):
        tg.sum(tg.sqrt(x)[:1] + x[:1]).backward()
    assert x.grad.tolist() == [np.inf, 0.0]


def test_other_entries_are_not_spared() -> None:
    """Only what lies behind the choice: √a · 0 stays NaN beside a slice of something else."""
    a, b = tg.tensor(np.zeros(1), requires_grad=True), tg.tensor(np.array([1.0, -1.0]), requires_grad=True)
    with np.errstate(all="ignore"):
        (tg.sum(tg.sqrt(a) * 0.0) + tg.sum(tg.log(b)[:1])).backward()
    assert np.isnan(a.grad.numpy()).all()
    assert b.grad.tolist() == [1.0, 0.0]
