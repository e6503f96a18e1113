"""Metrics beside scikit-learn's and straight NumPy, over batches of any sizes."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import train

sklearn = pytest.importorskip("sklearn.metrics")


def told(metric, outputs, targets, cuts=(1, 4, 9)):
    """What a metric says after some batches."""
    metric.reset()
    for y, t in zip(np.split(outputs, cuts), np.split(targets, cuts), strict=True):
        metric.update(y, t)
    return metric.value()


def test_classes(rng):
    scores, targets = rng.normal(size=(30, 4)), rng.integers(0, 4, 30)
    found = scores.argmax(-1)
    for outputs in (scores, found):
        assert told(train.Accuracy(), outputs, targets) == pytest.approx(
            sklearn.accuracy_score(targets, found)
        )
        for average in ("macro", "micro"):
            assert told(train.F1(average), outputs, targets) == pytest.approx(
                sklearn.f1_score(targets, found, average=average)
            )
        np.testing.assert_array_equal(
            told(train.ConfusionMatrix(4), outputs, targets), sklearn.confusion_matrix(targets, found)
        )
    assert told(train.F1("binary"), found % 2, targets % 2) == pytest.approx(
        sklearn.f1_score(targets % 2, found % 2)
    )


def test_padding_does_not_count(rng):
    scores, targets = rng.normal(size=(12, 5, 3)), rng.integers(-1, 3, (12, 5))
    kept = targets >= 0
    assert told(train.Accuracy(), scores, targets) == pytest.approx(
        (scores.argmax(-1) == targets)[kept].mean()
    )
    expected = sklearn.log_loss(targets[kept], _softmax(scores[kept]), labels=[0, 1, 2])
    assert told(train.Perplexity(), scores, targets) == pytest.approx(np.exp(expected), rel=1e-12)


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_a_class_that_nobody_has_does_not_count(rng):
    """scikit-learn takes the classes that occur."""
    targets, found = np.array([0, 2, 2, 0]), np.array([0, 2, 0, 0])
    assert told(train.F1(classes=5), found, targets, (2,)) == pytest.approx(
        sklearn.f1_score(targets, found, average="macro")
    )


def test_numbers(rng):
    y, t = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    t[3, 1] = np.nan
    kept = ~np.isnan(t)
    assert told(train.MeanAbsoluteError(), y, t) == pytest.approx(np.abs(y - t)[kept].mean(), rel=1e-12)


@pytest.mark.measured
@pytest.mark.parametrize(
    "metric",
    [train.Accuracy(), train.F1(), train.Perplexity(), train.MeanAbsoluteError()],
    ids=lambda metric: type(metric).__name__,
)
def test_of_nothing_nothing_is_known(metric):
    metric.reset()
    assert np.isnan(metric.value())


@pytest.mark.measured
@pytest.mark.parametrize(
    ("metric", "outputs", "targets"),
    [
        (train.Accuracy(), np.zeros((3, 2)), np.zeros(4, int)),
        (train.Accuracy(), np.zeros((3, 2)), np.zeros(3)),
        (train.Accuracy(classes=2), np.array([0, 2]), np.array([0, 1])),
        (train.Perplexity(), np.zeros((3, 2)), np.zeros(4, int)),
        (train.Perplexity(), np.zeros((3, 2)), np.array([0, 1, 2])),
        (train.MeanAbsoluteError(), np.zeros(3), np.zeros(4)),
    ],
)
def test_what_does_not_belong_together(metric, outputs, targets):
    with pytest.raises((tg.ShapeError, tg.DtypeError), match=type(metric).__name__):
        metric.update(outputs, targets)


def test_a_base_has_nothing():
    metric = train.Metric()
    for call in (metric.reset, metric.value, lambda: metric.update([1], [1])):
        with pytest.raises(NotImplementedError):
            call()
