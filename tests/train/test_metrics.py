"""Metrics beside scikit-learn's and straight NumPy, over batches of any sizes."""

from __future__ import annotations

import math

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
    [
        train.Accuracy(),
        train.F1(),
        train.Precision(),
        train.Recall(),
        train.Perplexity(),
        train.TopK(),
        train.AreaUnderCurve(),
        train.MeanAbsoluteError(),
        train.RootMeanSquaredError(),
        train.R2(),
    ],
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
        (train.RootMeanSquaredError(), np.zeros((3, 1)), np.zeros(3)),
        (train.R2(), np.zeros((3, 1)), np.zeros(3)),
        (train.TopK(2), np.zeros((3, 2)), np.zeros(4, int)),
        (train.TopK(3), np.zeros((3, 2)), np.zeros(3, int)),
        (train.TopK(1), np.zeros((3, 2)), np.array([0, 1, 2])),
        (train.AreaUnderCurve(), np.zeros((3, 3)), np.zeros(3, int)),
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


# -- two classes, one logit ----------------------------------------------------------------------------------

KINDS = [float, "float32", int, bool, "uint8"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(40,), (40, 1), (20, 2)])
@pytest.mark.parametrize("wider", [False, True])
def test_a_logit_for_each_decision(rng, kind, shape, wider):
    logits, targets = rng.normal(size=shape), rng.integers(0, 2, shape)
    logits[3] = 0.0  # which is not above 0
    found, truth = (logits > 0).ravel(), targets.ravel()
    outputs = logits[..., None] if wider else logits
    told_of = {
        "accuracy": (train.Accuracy(), sklearn.accuracy_score),
        "f1": (train.F1("binary"), sklearn.f1_score),
        "precision": (train.Precision("binary"), sklearn.precision_score),
        "recall": (train.Recall("binary"), sklearn.recall_score),
        "table": (train.ConfusionMatrix(), sklearn.confusion_matrix),
    }
    for metric, oracle in told_of.values():
        np.testing.assert_allclose(
            told(metric, outputs, targets.astype(kind)), oracle(truth, found), rtol=1e-12
        )
    area = told(train.AreaUnderCurve(), outputs, targets.astype(kind))
    assert area == pytest.approx(sklearn.roc_auc_score(truth, logits.ravel()), rel=1e-12)


def test_decisions_that_do_not_count(rng):
    logits, targets = rng.normal(size=(6, 4)), rng.integers(-1, 2, (6, 4))
    kept = targets >= 0
    for kind in (int, float):
        given = targets.astype(kind)
        assert told(train.Accuracy(), logits, given, (2,)) == ((logits > 0) == targets)[kept].mean()
        assert told(train.AreaUnderCurve(), logits, given, (2,)) == pytest.approx(
            sklearn.roc_auc_score(targets[kept], logits[kept]), rel=1e-12
        )
    lengths = np.array([6, 1, 3, 2])
    live = np.arange(6)[:, None] < lengths
    truth = (targets > 0).astype(float)
    accuracy = train.Accuracy()
    accuracy.update(logits[..., None], (truth, lengths))
    assert accuracy.value() == ((logits > 0) == truth)[live].mean()


def test_a_table_of_decisions_has_two_classes():
    matrix = train.ConfusionMatrix()
    matrix.update([-1.0, -2.0], [0.0, 0.0])
    assert matrix.value().tolist() == [[2, 0], [0, 0]]
    with pytest.raises(tg.ShapeError, match="ConfusionMatrix: there are classes beyond the 1"):
        train.ConfusionMatrix(1).update([-1.0], [0.0])


@pytest.mark.parametrize("targets", [[0.0, 0.5], [0, 2], [0.0, np.nan], [np.inf, 1.0]])
@pytest.mark.parametrize("metric", [train.Accuracy, train.F1, train.Precision, train.AreaUnderCurve])
def test_targets_of_logits_are_0_or_1(metric, targets):
    metric = metric()
    with pytest.raises(tg.DataError, match=rf"^{type(metric).__name__}: .*must be 0 or 1"):
        metric.update([0.5, 0.5], targets)
    assert np.isnan(metric.value())


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_precision_and_recall_of_classes(rng, average):
    """With a class that is never predicted, and one that never occurs."""
    targets, found = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    found[found == 2] = 0
    targets[targets == 1] = 3
    for metric, oracle in (
        (train.Precision, sklearn.precision_score),
        (train.Recall, sklearn.recall_score),
        (train.F1, sklearn.f1_score),
    ):
        expected = oracle(targets, found, average=average, zero_division=0)
        assert told(metric(average), found, targets) == pytest.approx(expected, rel=1e-12)
        assert told(metric(average, classes=9), found, targets) == pytest.approx(expected, rel=1e-12)


# -- scores --------------------------------------------------------------------------------------------------


def test_area_under_curve_with_ties(rng):
    for levels in (2, 3, 7, 1000):
        scores, targets = rng.integers(0, levels, 50) / 4, rng.integers(0, 2, 50)
        expected = sklearn.roc_auc_score(targets, scores)
        assert told(train.AreaUnderCurve(), scores, targets) == pytest.approx(expected, rel=1e-12)
        pairs = np.stack([rng.normal(size=50), np.zeros(50)], 1)
        pairs[:, 1] = pairs[:, 0] + scores
        assert told(train.AreaUnderCurve(), np.round(pairs * 4), targets) == pytest.approx(
            sklearn.roc_auc_score(targets, np.diff(np.round(pairs * 4))[:, 0]), rel=1e-12
        )


def test_area_under_curve_is_that_of_all_pairs(rng):
    scores, targets = rng.integers(0, 9, 40).astype(float), rng.integers(0, 2, 40)
    wins = [(a > b) + 0.5 * (a == b) for a in scores[targets == 1] for b in scores[targets == 0]]
    assert told(train.AreaUnderCurve(), scores, targets) == pytest.approx(np.mean(wins), rel=1e-12)
    one_class = train.AreaUnderCurve()
    one_class.update(scores, np.ones(40, int))
    assert math.isnan(one_class.value())


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_top_k(rng, k):
    scores, targets = rng.normal(size=(30, 5)), rng.integers(0, 5, 30)
    expected = np.mean([t in np.argsort(-row)[:k] for row, t in zip(scores, targets, strict=True)])
    assert told(train.TopK(k), scores, targets) == pytest.approx(expected, rel=1e-12)
    if k < 5:
        assert expected == pytest.approx(sklearn.top_k_accuracy_score(targets, scores, k=k))
    targets[::3] = -1
    expected = np.mean([t in np.argsort(-row)[:k] for row, t in zip(scores, targets, strict=True) if t >= 0])
    assert told(train.TopK(k), scores, targets) == pytest.approx(expected, rel=1e-12)


def test_top_k_of_equal_scores_is_what_chance_gives():
    metric = train.TopK(2)
    metric.update(np.zeros((3, 8)), [0, 4, 7])
    assert metric.value() == 0.25
    metric.reset()
    metric.update([[3.0, 1.0, 1.0, 0.0]] * 3, [0, 2, 3])
    assert metric.value() == pytest.approx((1 + 0.5 + 0) / 3)


def test_scores_that_have_no_rank_are_refused():
    for metric, outputs in (
        (train.AreaUnderCurve(), [np.nan, 1.0]),
        (train.TopK(1), [[np.nan, 1.0], [0.0, 1.0]]),
    ):
        with pytest.raises(tg.DataError, match=rf"^{type(metric).__name__}: outputs hold NaN"):
            metric.update(outputs, [0, 1])


# -- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_squares(rng, offset):
    t = rng.normal(size=(30, 3)) + offset
    y = t + rng.normal(size=(30, 3)) / 2
    assert told(train.RootMeanSquaredError(), y, t) == pytest.approx(
        sklearn.root_mean_squared_error(t.ravel(), y.ravel()), rel=1e-12
    )
    assert told(train.R2(), y, t) == pytest.approx(sklearn.r2_score(t.ravel(), y.ravel()), rel=1e-9)
    assert told(train.R2(features=True), y, t) == pytest.approx(sklearn.r2_score(t, y), rel=1e-9)


def test_squares_with_gaps_and_padding(rng):
    t, y = rng.normal(size=(7, 4, 2)), rng.normal(size=(7, 4, 2))
    t[2, 1, 0] = np.nan
    lengths = np.array([7, 3, 0, 5])
    live = (np.arange(7)[:, None] < lengths)[..., None] & ~np.isnan(t)
    rmse, r2, apart = train.RootMeanSquaredError(), train.R2(), train.R2(features=True)
    for metric in (rmse, r2, apart):
        for steps in (slice(0, 2), slice(2, 4)):
            metric.update(y[:, steps], (t[:, steps], lengths[steps]))
    assert rmse.value() == pytest.approx(np.sqrt(np.mean((y - t)[live] ** 2)), rel=1e-12)
    assert r2.value() == pytest.approx(sklearn.r2_score(t[live], y[live]), rel=1e-12)
    by_feature = [sklearn.r2_score(t[..., k][live[..., k]], y[..., k][live[..., k]]) for k in (0, 1)]
    assert apart.value() == pytest.approx(np.mean(by_feature), rel=1e-12)


def test_r2_of_what_never_changes_is_not_known():
    metric = train.R2()
    metric.update([1.0, 2.0], [3.0, 3.0])
    assert math.isnan(metric.value())
    features = train.R2(features=True)
    features.update(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(tg.ShapeError, match="R2: targets have 2 features, and had 3 before"):
        features.update(np.zeros((2, 2)), np.ones((2, 2)))


# -- several outputs, and what training goes by --------------------------------------------------------------


class OfTags(train.Accuracy):
    def update(self, outputs, targets):
        super().update(outputs["tags"], targets["tags"])


def test_one_of_several_outputs():
    outputs = {"tags": [[0.0, 1.0], [1.0, 0.0]], "other": [[1.0]]}
    targets = {"tags": [1, 1], "other": [1.0]}
    metric = OfTags()
    metric.update(outputs, targets)
    assert metric.value() == 0.5
    for name in ("Accuracy", "AreaUnderCurve", "Perplexity", "R2"):
        with pytest.raises(tg.ArgumentError, match=f"^{name}: .* here is a dict: write a class of {name}"):
            getattr(train, name)().update(outputs, targets)


class Own(train.Metric):
    def reset(self):
        self.right = 0

    def update(self, outputs, targets):
        self.right += int((outputs.argmax(-1) == targets).sum())

    def value(self):
        return self.right


def test_nothing_says_whether_more_of_ones_own_is_better():
    batches = [(np.eye(3, dtype="float32"), np.arange(3))]
    options = {"epochs": 1, "validation": batches, "progress": False, "monitor": "own"}

    def fit(metric):
        return train.fit(tg.nn.Linear(3, 3), tg.cross_entropy, batches, metrics={"own": metric}, **options)

    for silent in (Own(), lambda outputs, targets: 1.0):
        with pytest.raises(tg.ArgumentError, match="nothing says whether a greater own is better"):
            fit(silent)
    own = Own()
    own.greater_is_better = True
    assert len(fit(own)) == 1
    better = {
        name: getattr(train, name).greater_is_better
        for name in train.__all__
        if hasattr(getattr(train, name), "update")
    }
    assert better == {
        "Metric": None,
        **dict.fromkeys(["Accuracy", "F1", "Precision", "Recall", "ConfusionMatrix"], True),
        **dict.fromkeys(["AreaUnderCurve", "TopK", "R2"], True),
        **dict.fromkeys(["Perplexity", "MeanAbsoluteError", "RootMeanSquaredError"], False),
    }
