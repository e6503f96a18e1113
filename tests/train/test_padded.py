"""Targets that are a pair of padded ones and lengths: beside straight NumPy, sequence by sequence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import train

CLASSES = 4
layouts = pytest.mark.parametrize("batch_first", [False, True])


def made(rng: np.random.Generator, counts: Any, batch_first: bool, padding: Any = 0) -> tuple[Any, Any, Any]:
    """Sequences of classes, a score for each class at each step, and both padded; the scores of what is
    padding are as good as any."""
    classes = [rng.integers(0, CLASSES, n) for n in counts]
    targets = tg.data.pad_sequences(classes, batch_first=batch_first, padding=padding)
    scores = rng.normal(size=(*targets[0].shape, CLASSES))
    return classes, scores, targets


def alone(scores: np.ndarray, counts: Any, batch_first: bool) -> list[np.ndarray]:
    """The scores of each sequence (Tᵢ, CLASSES)."""
    return [scores[i, :n] if batch_first else scores[:n, i] for i, n in enumerate(counts)]


BATCHES = [(5, 1, 3), (2, 2), (4, 0, 4, 1), (3, 3, 3)]
"""Lengths: also as many sequences as steps, and all of one length."""


@layouts
@pytest.mark.parametrize("padding", [0, -1, 3])
def test_metrics_of_classes(batch_first: bool, padding: int, rng: np.random.Generator) -> None:
    table, logs = np.zeros((CLASSES, CLASSES), int), []
    options = {"batch_first": batch_first}
    metrics: dict[str, Any] = {
        "accuracy": train.Accuracy(**options),
        "macro": train.F1(**options),
        "micro": train.F1("micro", **options),
        "table": train.ConfusionMatrix(CLASSES, **options),
        "perplexity": train.Perplexity(**options),
    }
    predicted = train.Accuracy(**options)
    for counts in BATCHES:
        classes, scores, targets = made(rng, counts, batch_first, padding)
        for metric in metrics.values():
            metric.update(scores, targets)
        predicted.update(scores.argmax(-1), list(targets))
        for truth, rows in zip(classes, alone(scores, counts, batch_first), strict=True):
            for c, row in zip(truth, rows, strict=True):
                table[c, row.argmax()] += 1
                logs.append(math.log(sum(math.exp(s) for s in row)) - row[c])
    found = {name: metric.value() for name, metric in metrics.items()}
    right, either = np.diag(table), table.sum(0) + table.sum(1)
    np.testing.assert_array_equal(found["table"], table)
    assert found["accuracy"] == predicted.value() == right.sum() / table.sum()
    assert found["macro"] == pytest.approx(np.mean(2 * right / either), rel=1e-12)
    assert found["micro"] == pytest.approx(2 * right.sum() / either.sum(), rel=1e-12)
    assert found["perplexity"] == pytest.approx(math.exp(np.mean(logs)), rel=1e-12)


@layouts
@pytest.mark.parametrize("features", [(), (2,)])
@pytest.mark.parametrize("padding", [0.0, math.nan, math.inf])
def test_errors_of_numbers(
    batch_first: bool, features: tuple[int, ...], padding: float, rng: np.random.Generator
) -> None:
    metric, errors = train.MeanAbsoluteError(batch_first=batch_first), []
    for counts in BATCHES:
        series = [rng.normal(size=(n, *features)) for n in counts]
        targets, lengths = tg.data.pad_sequences(series, padding, batch_first=batch_first)
        outputs = np.where(np.isfinite(targets), targets, 0) + rng.normal(size=targets.shape)
        metric.update(outputs, (targets, lengths))
        for truth, y in zip(series, alone(outputs, counts, batch_first), strict=True):
            errors += abs(truth - y).ravel().tolist()
    assert metric.value() == pytest.approx(np.mean(errors), rel=1e-12)


def test_lists_and_tensors_are_as_good() -> None:
    outputs, padded, lengths = [[1, 2], [0, 1], [3, 3]], [[1, 1], [0, 0], [3, 2]], [3, 1]
    for kind in (lambda x: x, np.array, tg.tensor):
        accuracy = train.Accuracy()
        accuracy.update(kind(outputs), (kind(padded), kind(lengths)))
        assert accuracy.value() == 0.75


def test_nothing_within_the_lengths() -> None:
    accuracy = train.Accuracy()
    accuracy.update(np.zeros((3, 2, 4)), (np.zeros((3, 2), int), np.zeros(2, int)))
    assert math.isnan(accuracy.value())


@pytest.mark.parametrize(
    ("outputs", "targets", "error", "complaint"),
    [
        (
            (5, 3, 4),
            ((5, 3), [5, 1]),
            tg.ShapeError,
            r"\(T, B, …\), without batch_first.* 3 numbers from 0 to 5",
        ),
        ((5, 3, 4), ((5, 3), [5, 1, 6]), tg.ShapeError, r"from 0 to 5, not \[5, 1, 6\]"),
        ((5, 3, 4), ((5, 3), [5, 1, -1]), tg.ShapeError, "from 0 to 5"),
        ((5, 3, 4), ((5, 3), [5.0, 1.0, 2.0]), tg.DtypeError, "lengths of targets are whole numbers"),
        ((4, 3, 4), ((5, 3), [5, 1, 2]), tg.ShapeError, "must begin with the same two axes"),
        ((3, 5, 4), ((3, 5), [5, 1, 2]), tg.ShapeError, "without batch_first"),
        ((5, 3, 4, 2), ((5, 3), [5, 1, 2]), tg.ShapeError, "outputs must be"),
    ],
)
def test_what_does_not_fit_is_named(outputs: Any, targets: Any, error: Any, complaint: str) -> None:
    for metric in (train.Accuracy(), train.Perplexity()):
        name = type(metric).__name__
        with pytest.raises(error, match=rf"^{name}: .*{complaint}"):
            metric.update(np.zeros(outputs), (np.zeros(targets[0], int), np.array(targets[1])))
        assert math.isnan(metric.value())


# -- fit and evaluate ----------------------------------------------------------------------------------------


class Model(tg.nn.Module):
    def __init__(self, batch_first: bool) -> None:
        tg.random.seed(5)
        self.rnn = tg.nn.GRU(2, 3, batch_first=batch_first, dtype="float64")
        self.readout = tg.nn.Linear(3, CLASSES, dtype="float64")

    def __call__(self, padded: Any) -> tg.Tensor:
        x, lengths = padded
        return self.readout(self.rnn(x, lengths=lengths)[0])


def batches(rng: np.random.Generator, batch_first: bool, count: int = 11) -> Any:
    series = [rng.normal(size=(n, 2)) for n in rng.integers(1, 9, count)]
    classes = [rng.integers(0, CLASSES, len(one)) for one in series]
    data = tg.data.bucket((series, classes), 3, batch_first=batch_first, padding=(0, -1))
    return series, classes, data


def loss(outputs: Any, targets: Any) -> tg.Tensor:
    """The mean over all that is no padding."""
    return tg.cross_entropy(outputs, targets[0], ignore_index=-1)


@layouts
def test_a_batch_counts_by_what_is_no_padding(batch_first: bool, rng: np.random.Generator) -> None:
    series, classes, data = batches(rng, batch_first)
    model = Model(batch_first)
    costs, hits = [], []
    for x, truth in zip(series, classes, strict=True):
        scores = (
            model.readout(model.rnn(tg.tensor(x[None] if batch_first else x[:, None]))[0])
            .numpy()
            .reshape(-1, CLASSES)
        )
        costs += (np.log(np.exp(scores).sum(-1)) - scores[np.arange(len(x)), truth]).tolist()
        hits += (scores.argmax(-1) == truth).tolist()

    def share(outputs: Any, targets: Any) -> Any:
        padded, lengths = targets
        steps = np.arange(padded.shape[batch_first])
        live = steps < lengths[:, None] if batch_first else steps[:, None] < lengths
        return (outputs.argmax(-1) == padded)[live].mean()

    metrics: dict[str, Any] = {"a": train.Accuracy(batch_first=batch_first), "share": share}
    found = train.evaluate(model, loss, data, metrics, batch_first=batch_first)
    assert found["loss"] == pytest.approx(np.mean(costs), rel=1e-12)
    assert found["a"] == np.mean(hits)
    assert found["share"] == pytest.approx(np.mean(hits), rel=1e-12)
    sgd = tg.optim.SGD(model.parameters(), lr=0.0)
    history = train.fit(
        model, loss, data, epochs=1, optimizer=sgd, validation=data, metrics=metrics, progress=False,
        batch_first=batch_first,
    )  # fmt: skip
    row = history.rows[-1]
    assert row["loss"] == pytest.approx(np.mean(costs), rel=1e-12)
    assert row["validation_loss"] == pytest.approx(np.mean(costs), rel=1e-12)
    assert row["share"] == pytest.approx(np.mean(hits), rel=1e-12)


@pytest.mark.parametrize(
    ("targets", "weight"),
    [
        ((np.zeros((3, 2)), np.array([3, 1])), 4),
        ((np.zeros((3, 2, 3)), np.array([3, 1])), 12),
        ((np.zeros((3, 2)), [3, 1]), 4),
        ([np.zeros((3, 2)), np.array([3, 1])], 4),
        ((np.zeros((5, 2)), np.array([3, 1])), 10),  # as well the classes of two samples
        ((np.zeros((3, 2)), np.array([3, 0])), 6),
        ((np.array([[1, -1], [-1, 2], [0, 0]]), np.array([2, 3])), 3),  # classes below 0 within the lengths
        ((np.zeros((5, 2)), np.array([3, 6])), 10),  # no lengths: further targets
        ((np.zeros((5, 2)), np.array([3, 1, 2])), 10),
        ((np.zeros((5, 2)), np.array([0.5, 1.0])), 10),
        ((np.zeros((5, 2)), np.zeros((5, 2))), 10),
        ((np.zeros(5), np.array([3, 1])), 5),
        (({"a": np.zeros((5, 2))}, np.array([3, 1])), 10),
        ((np.zeros((5, 2)), np.array([3, 1]), np.zeros(2)), 10),
        ([1, 0], 2),
    ],
)
def test_which_pairs_are_padded_targets(targets: Any, weight: int) -> None:
    """Two batches of losses 0 and 1: their mean tells the weight beside one of 10."""
    second = np.zeros(10)
    values = iter([0.0, 1.0])
    found = train.evaluate(
        lambda x: x, lambda y, t: tg.tensor(next(values)), [(np.ones(1), targets), (np.ones(1), second)]
    )
    assert found["loss"] == pytest.approx(10 / (10 + weight))
