"""Predictions: those of the model batch by batch, joined by hand."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.train import predict


def plain(model, x):
    with tg.no_grad():
        return model(x).numpy()


class Tagger(tg.nn.Module):
    """A class at each step; nested outputs."""

    def __init__(self, batch_first=False):
        tg.random.seed(1)
        self.rnn = tg.nn.GRU(2, 3, batch_first=batch_first, dtype="float64")
        self.drop = tg.nn.Dropout(0.5)

    def __call__(self, padded):
        x, lengths = padded
        ys, last = self.rnn(x, lengths=lengths)
        return {"each": self.drop(ys), "last": (last[0],)}


def test_all_samples_in_their_order(rng):
    x, y = rng.normal(size=(11, 3)), rng.integers(0, 2, 11)
    model = tg.nn.Sequential(tg.nn.Linear(3, 2, dtype="float64"), tg.nn.Dropout(0.5))
    expected = x @ model.state_dict()["0.weight"].numpy().T + model.state_dict()["0.bias"].numpy()
    data = tg.data.batches((x, y), 4, shuffle=False)
    next(iter(data))
    for batches in (data, list(tg.data.batches((x, y), 4, shuffle=False)), iter([(x, y)])):
        found = predict(model, batches)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert data.position == 1


@pytest.mark.parametrize("training", [True, False])
def test_modes_and_random_numbers_are_as_before(rng, training):
    model = tg.nn.Sequential(tg.nn.Linear(3, 2), tg.nn.Dropout(0.5))
    model.train(training)
    dropout = next(m for m in model.modules() if isinstance(m, tg.nn.Dropout))
    dropout.train(not training)
    before = tg.random.get_state()
    x = rng.normal(size=(4, 3)).astype("float32")
    first, second = (predict(model, [(x, None)]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (model.training, dropout.training, tg.random.get_state()) == (training, not training, before)
    broken = [(x, None), (x[:, :2], None)]
    with pytest.raises(tg.ShapeError):
        predict(model, broken)
    assert (model.training, dropout.training) == (training, not training)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_of_one_length(rng, batch_first):
    """Nested outputs, with samples along axes of their own."""
    series = [rng.normal(size=(6, 2)) for _ in range(7)]
    axis = 0 if batch_first else 1
    model = Tagger(batch_first).eval()
    data = tg.data.batches((series,), 3, shuffle=False, batch_first=batch_first)
    axes = {"each": axis, "last": (0,)}
    found = predict(model, data, targets=False, batch_axis=axes)
    whole = model(tg.data.pad_sequences(series, batch_first=batch_first))
    np.testing.assert_allclose(found["each"], whole["each"].numpy(), rtol=1e-12)
    np.testing.assert_allclose(found["last"][0], whole["last"][0].numpy(), rtol=1e-12)
    assert type(found["last"]) is tuple


def test_batches_of_other_lengths_are_a_list(rng):
    series = [rng.normal(size=(n, 2)) for n in (3, 2, 5, 4, 1)]
    model = Tagger().eval()
    found = predict(
        model,
        tg.data.batches((series,), 2, shuffle=False),
        targets=False,
        batch_axis={"each": 1, "last": (0,)},
    )
    assert [part.shape for part in found["each"]] == [(3, 2, 3), (5, 2, 3), (1, 1, 3)]
    assert found["last"][0].shape == (5, 3)
    for i, one in enumerate(series):
        alone = plain(lambda x: model.rnn(x)[0], one[:, None])
        np.testing.assert_allclose(found["each"][i // 2][: len(one), i % 2], alone[:, 0], rtol=1e-12)


def test_a_state_that_is_carried_gives_the_whole_stream(rng):
    stream = rng.normal(size=(21, 3))
    layer = tg.nn.GRU(3, 4, dtype="float64")
    windows = tg.data.windows(stream, 4, 2)
    assert len(windows) == 3
    found = predict(layer, windows, carry=True)
    whole = plain(lambda x: layer(x)[0], np.stack([stream[:10], stream[10:20]], 1))
    np.testing.assert_allclose(found, whole, rtol=1e-10)
    turned = predict(
        lambda x, state: (lambda y, s: (tg.moveaxis(y, 0, 1), s))(*layer(x, state)),
        windows,
        carry=True,
        batch_axis=0,
    )
    np.testing.assert_allclose(turned, whole.swapaxes(0, 1), rtol=1e-10)


def test_what_a_batch_is_without_targets(rng):
    x, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    for batch in (x, (x,), [x]):
        expected = x[None] if isinstance(batch, list) else x
        found = predict(tg.tensor, [batch], targets=False, batch_axis=0)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(predict(lambda a, b: tg.tensor(a) + b, [(x, y)], targets=False), x + y)
    np.testing.assert_allclose(predict(lambda a: tg.tensor(a) + 1, [(x, y)]), x + 1)
    np.testing.assert_allclose(predict(lambda a: tg.tensor(a) + 1, iter([x, x]), targets=False)[4:], x + 1)


REFUSED = {
    "shuffled": (lambda x: tg.data.batches((x, x), 2), {}, tg.ArgumentError, "another order.*shuffle=False"),
    "sorted": (
        lambda x: tg.data.bucket(([[1.0], [2.0, 3.0], [4.0]], [0, 1, 2]), 2, shuffle=False),
        {},
        tg.ArgumentError,
        "another order",
    ),
    "nothing": (lambda x: iter([]), {}, tg.DataError, "there are no batches"),
    "no batches": (lambda x: [], {}, tg.DataError, "predict: data: there are no batches"),
    "an array": (lambda x: x, {}, tg.ArgumentError, "predict: data"),
    "no tuple": (lambda x: [x], {}, tg.DataError, "a batch is a tuple"),
    "either axis": (lambda x: [(x, x)], {}, tg.ArgumentError, r"shape \(4, 4, 3\): say .*batch_axis=1"),
    "an axis of features": (lambda x: [(x, x)], {"batch_axis": 2}, tg.ArgumentError, "predict: batch_axis"),
    "another nesting": (lambda x: [(x, x)], {"batch_axis": (0, 1)}, tg.ArgumentError, "batch_axis .*nested"),
    "no axis": (lambda x: [(x[0, 0, 0], x)], {}, tg.ShapeError, "samples along axis 0"),
    "one axis": (lambda x: [(x[0, 0], x)], {"batch_axis": 1}, tg.ShapeError, "samples along axis 1"),
    "other features": (
        lambda x: [(x, x), (x[..., :2], x)],
        {"batch_axis": 1},
        tg.ShapeError,
        r"do not fit each other.*\(4, 4, 3\), \(4, 4, 2\)",
    ),
    "the other axis": (
        lambda x: tg.data.batches((x[:3], x[:3]), 2, shuffle=False),
        {"batch_axis": 1},
        tg.ShapeError,
        "4 samples along axis 1, and the batch has 2",
    ),
    "the other axis of a pair": (
        lambda x: [((x[:3], np.array([1, 2, 3, 1])), x)],
        {"batch_axis": 0},
        tg.ShapeError,
        "3 samples along axis 0, and the batch has 4",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_joined_is_refused(case, rng):
    make, options, error, said = REFUSED[case]
    with pytest.raises(error, match=said):
        predict(
            lambda x: tg.tensor(x[0] if isinstance(x, tuple) else x),
            make(rng.normal(size=(4, 4, 3))),
            **options,
        )


def test_outputs_nested_in_turn(rng):
    x = rng.normal(size=(4, 2))
    answers = iter([tg.tensor(x), (tg.tensor(x), tg.tensor(x))])
    with pytest.raises(tg.ShapeError, match="nested in another way"):
        predict(lambda _: next(answers), [(x, x), (x, x)])
    with pytest.raises(tg.ArgumentError, match="with carry=True the model must return a pair"):
        predict(lambda a, state: tg.tensor(a), [(x, x)], carry=True)
