"""Losses: class numbers, whole numbers, weights, probabilities."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg

OF_CLASSES = {
    "cross_entropy": lambda z, target: tg.cross_entropy(z, target, reduction="none"),
    "cross_entropy in the middle": lambda z, target: tg.cross_entropy(
        z.T[None], target[None], axis=1, reduction="none"
    )[0],
    "cross_entropy with ignore_index": lambda z, target: tg.cross_entropy(
        z, target, reduction="none", ignore_index=99
    ),
    "nll_loss": lambda z, target: tg.nll_loss(tg.log_softmax(z), target, reduction="none"),
}


@pytest.mark.both_backends
@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("number", [-1, -3, -100, 3, 2**40])
def test_a_number_that_is_no_class_is_no_class(name, number, backend):
    """It neither counts from the end, as an index would, nor is it taken for another."""
    z = tg.tensor(np.zeros((4, 3)), requires_grad=True)
    target = tg.tensor([0, 1, number, 2])
    if backend == "numpy":
        with pytest.raises(
            tg.IndexRangeError, match=rf"{name.split()[0]}: the class number {number} .*ignore_index="
        ):
            OF_CLASSES[name](z, target)
    else:  # a device would have to be waited for: the loss says it
        assert np.isnan(OF_CLASSES[name](z, target).numpy()).tolist() == [False, False, True, False]


@pytest.mark.both_backends
def test_ignored_targets_may_have_any_number():
    z, expected = tg.tensor(np.log([[0.5, 0.25, 0.25]] * 3), requires_grad=True), -np.log([0.5, 0.25])
    for number in (-100, -1, 3, 1):
        z.grad = None
        loss = tg.cross_entropy(z, [0, 2, number], ignore_index=number)
        loss.backward()
        np.testing.assert_allclose(loss.item(), expected.mean(), rtol=1e-12)
        assert z.grad.numpy()[2].tolist() == [0, 0, 0]


@pytest.mark.peer
def test_ignored_targets_equal_torch(rng):
    torch = pytest.importorskip("torch")
    z, target = rng.normal(size=(7, 5)), np.array([0, -100, 4, 2, -100, 1, 3])
    ours, theirs = tg.tensor(z, requires_grad=True), torch.tensor(z, requires_grad=True)
    loss = tg.cross_entropy(ours, tg.tensor(target), ignore_index=-100)
    expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(target))
    loss.backward()
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-12)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-12)


@pytest.mark.both_backends
@pytest.mark.parametrize("index", [-1, 3])
def test_one_hot_of_what_is_no_class(index, backend):
    with pytest.raises(
        tg.IndexRangeError, match=rf"one_hot: the index {index} at \[1\] lies outside of 0 … 2"
    ):
        tg.one_hot([0, index], 3)
    with pytest.raises(tg.DtypeError, match="whole"):
        tg.one_hot([0.0, 1.0], 3)
    assert tg.one_hot(np.array([True, False]), 2).numpy().tolist() == [[0, 1], [1, 0]]


@pytest.mark.both_backends
def test_indices_count_from_the_end_where_they_are_no_classes():
    x = tg.tensor([[1.0, 2.0, 3.0]])
    assert tg.take(x, [-1, 0], 1).numpy().tolist() == [[3, 1]]
    assert tg.take_along_axis(x, [[-3]], 1).numpy().tolist() == [[1]]


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_probabilities_of_a_wider_dtype_give_a_loss_of_that_dtype(reduction):
    z, p = tg.tensor(np.zeros((2, 3), np.float32)), tg.tensor(np.full((2, 3), 1 / 3))
    loss = tg.cross_entropy(z, p, reduction=reduction)
    assert loss.dtype == np.float64
    np.testing.assert_allclose(loss.numpy(), np.log(3), rtol=1e-7)


OF_PAIRS = {
    "l1_loss": lambda a, b: np.abs(a - b),
    "mse_loss": lambda a, b: (a - b) ** 2,
    "huber_loss": lambda a, b: np.where(np.abs(a - b) <= 1, 0.5 * (a - b) ** 2, np.abs(a - b) - 0.5),
}


@pytest.mark.parametrize("second", ["uint8", "int8", "int64", "bool", "float32", "float64"])
@pytest.mark.parametrize("first", ["uint8", "int8", "int64", "bool", "float32", "float64"])
@pytest.mark.parametrize("name", OF_PAIRS)
def test_losses_of_whole_numbers_do_not_wrap_around(name, first, second):
    a, b = np.array([1, 0, 120, 1]).astype(first), np.array([3, 1, 100, 0]).astype(second)
    found = getattr(tg, name)(tg.tensor(a), tg.tensor(b), reduction="none")
    assert found.dtype.kind == "f"
    np.testing.assert_allclose(found.numpy(), OF_PAIRS[name](a.astype(float), b.astype(float)))


def test_the_negative_of_an_unsigned_logarithm():
    assert tg.nll_loss(tg.tensor([[3, 0]], "uint8"), tg.tensor([0])).item() == -3


def test_weights_without_a_sum_have_no_mean():
    for weights, axis in (([1.0, -1.0], None), ([[0.0, 0.0], [1.0, 1.0]], 1), ([0, 0], 0)):
        x = np.ones(np.shape(weights))
        with pytest.raises(ZeroDivisionError):
            np.average(x, axis, weights)
        if tg.zeros(1).backend == "numpy":
            with pytest.raises(tg.ArgumentError, match="average: the weights add up to 0"):
                tg.average(tg.tensor(x), axis, weights)
        else:  # a device would have to be waited for
            assert not np.isfinite(tg.average(tg.tensor(x), axis, weights).numpy()).all()


def test_weights_of_positives_do_not_stretch_a_loss():
    z, y = tg.zeros((2, 3)), tg.ones((2, 3))
    for fits in (2.0, tg.ones(3), tg.ones((2, 1)), tg.ones((2, 3)), tg.tensor([2], "uint8")):
        assert tg.bce_with_logits(z, y, "none", pos_weight=fits).shape == (2, 3)
    for larger in (tg.ones((4, 2, 3)), tg.ones((1, 2, 3)), tg.ones(2)):
        with pytest.raises(tg.ShapeError, match="bce_with_logits: pos_weight"):
            tg.bce_with_logits(z, y, "none", pos_weight=larger)
    with pytest.raises(tg.ShapeError, match="bce_with_logits: pos_weight"):
        tg.bce_with_logits(tg.zeros((2, 1)), tg.ones((2, 1)), pos_weight=tg.ones(3))
    found = tg.bce_with_logits(z, y, "none", pos_weight=tg.tensor([0], "uint8"))  # 0 − 1 would be 255
    np.testing.assert_array_equal(found.numpy(), np.zeros((2, 3)))


def test_no_class_is_left_out_of_probabilities():
    with pytest.raises(tg.ArgumentError, match="ignore_index"):
        tg.cross_entropy(tg.zeros((2, 3)), tg.ones((2, 3)), ignore_index=0)
    with pytest.raises(tg.ArgumentError, match="ignore_index"):
        tg.cross_entropy(tg.zeros((2, 3), "float16"), tg.ones((2, 3), "float16"), ignore_index=-100)


def weighted_by_hand(z, target, weight, reduction, smoothing=0.0, ignored=None):
    """Σᵢ over samples of −Σ_c w_c q_c log p_c, q the target with its share spread; the mean by the sum of the
    targets' weights."""
    logs = z - np.log(np.exp(z).sum(-1, keepdims=True))
    own = np.array([weight[k] if k != ignored else 0.0 for k in target])
    losses = np.zeros(len(target))
    for i, k in enumerate(target):
        if k != ignored:
            losses[i] = -(1 - smoothing) * weight[k] * logs[i, k] - smoothing * (weight * logs[i]).mean()
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / own.sum()}[reduction]


@pytest.mark.both_backends
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("ignored", [None, -100, 1])
@pytest.mark.parametrize("rows", [5, 3000], ids=["few", "by a kernel"])
def test_weights_of_classes(rng, reduction, smoothing, ignored, rows):
    z, target, weight = rng.normal(size=(rows, 4)), rng.integers(0, 4, rows), np.array([1.0, 2.0, 0.0, 0.5])
    target[:4] = 0, 1, 3, 1
    if ignored is not None:
        target[1] = ignored
    loss = tg.cross_entropy(
        tg.tensor(z),
        tg.tensor(target),
        reduction=reduction,
        ignore_index=ignored,
        label_smoothing=smoothing,
        weight=tg.tensor(weight),
    )
    expected = weighted_by_hand(z, target, weight, reduction, smoothing, ignored)
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12, atol=1e-12)
    if not smoothing and ignored is None:
        logs = tg.log_softmax(tg.tensor(z))
        loss = tg.nll_loss(logs, tg.tensor(target), reduction=reduction, weight=tg.tensor(weight))
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_residuals_of_weighted_losses(rng):
    """Of the scores and of the weights, on the last axis and in the middle."""
    z, weight = tg.tensor(rng.normal(size=(5, 4))), tg.tensor(np.array([1.0, 2.0, 0.3, 0.5]))
    target = tg.tensor([0, 3, 1, 1, 2])
    for smoothing in (0.0, 0.2):
        tg.check_gradients(
            lambda z, w, smoothing=smoothing: tg.cross_entropy(
                z, target, ignore_index=1, label_smoothing=smoothing, weight=w
            ),
            z,
            weight,
        )
    middle = tg.cross_entropy(z.T[None], target[None], axis=1, reduction="none", weight=weight)
    along = tg.cross_entropy(z, target, reduction="none", weight=weight)
    np.testing.assert_allclose(middle[0].numpy(), along.numpy(), rtol=1e-14)


def test_weights_inside_a_compiled_scan(rng):
    z, target, weight = rng.normal(size=(6, 3, 4)), rng.integers(0, 4, (6, 3)), np.array([1.0, 2.0, 0.3, 0.5])

    def cell(x, total):
        scores, classes = x
        total = total + tg.cross_entropy(scores, classes, reduction="sum", weight=weight)
        return total, total

    scores = tg.tensor(z, requires_grad=True)
    _, total = tg.scan(cell, (scores, tg.tensor(target)), tg.zeros((), "float64"), compiled=True)
    total.backward()
    again = tg.tensor(z, requires_grad=True)
    tg.cross_entropy(again, tg.tensor(target), reduction="sum", weight=weight).backward()
    expected = weighted_by_hand(z.reshape(-1, 4), target.reshape(-1), weight, "sum")
    np.testing.assert_allclose(total.item(), expected, rtol=1e-12)
    np.testing.assert_allclose(scores.grad.numpy(), again.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_weights_that_fit_no_classes():
    z, target = tg.zeros((2, 3)), tg.tensor([0, 1])
    for weight in ([1.0, 2.0], [[1.0, 2.0, 3.0]], 1.0):
        with pytest.raises(tg.ShapeError, match=r"cross_entropy: weight has shape .*3 classes need"):
            tg.cross_entropy(z, target, weight=weight)
        with pytest.raises(tg.ShapeError, match="nll_loss: weight"):
            tg.nll_loss(z, target, weight=weight)
    assert tg.cross_entropy(z, target, weight=np.ones(3)).dtype == np.float32  # as the scores
    assert tg.nll_loss(tg.zeros((2, 3), "float16"), target, weight=[1, 2, 3]).dtype == np.float16
