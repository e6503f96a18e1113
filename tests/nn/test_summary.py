"""A model as a table."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn


class Tagger(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(50, 8)
        self.rnn = nn.LSTM(8, 16, num_layers=2, bidirectional=True, dropout=0.5)
        self.drop = nn.Dropout(0.5)
        self.head = {"tags": nn.Linear(32, 5)}

    def __call__(self, x):
        return self.head["tags"](self.drop(self.rnn(self.embedding(x))[0]))


def test_a_model_as_a_tree():
    found = tg.summary(Tagger(), np.zeros((7, 2), "int64"))
    lstm = sum(2 * 4 * 16 * (n + 16 + 2) for n in (8, 32))
    assert [(row.name, row.kind, row.shapes, row.parameters) for row in found] == [
        ("", "Tagger", ((7, 2, 5),), 400 + lstm + 165),
        ("embedding", "Embedding", ((7, 2, 8),), 400),
        ("rnn", "LSTM", ((7, 2, 32), (4, 2, 16), (4, 2, 16)), lstm),
        ("rnn.dropout", "Dropout", ((7, 2, 32),), 0),
        ("drop", "Dropout", ((7, 2, 32),), 0),
        ("head.tags", "Linear", ((7, 2, 5),), 165),
    ]
    assert (found.parameters, found.bytes) == (400 + lstm + 165, 4 * (400 + lstm + 165))
    assert str(found).splitlines()[-1] == f"{found.parameters:,} parameters; {found.bytes:,} bytes"
    assert "    dropout" in str(found)


def test_shapes_stand_for_zeros_of_the_parameters():
    model = nn.Sequential(nn.Linear(3, 4, dtype="float64"), nn.Linear(4, 2, dtype="float64"))
    assert [row.shapes for row in tg.summary(model, (5, 3))] == [((5, 2),), ((5, 4),), ((5, 2),)]
    assert [row.shapes for row in tg.summary(model)] == [(), (), ()]
    assert tg.summary(Tagger(), (7, 2), dtype="int64")[0].shapes == ((7, 2, 5),)


def test_shapes_inside_of_what_a_model_takes():
    class Reader(nn.Module):
        def __init__(self):
            self.rnn = nn.GRU(3, 4)

        def __call__(self, sequences):
            x, lengths = sequences
            return self.rnn(x, lengths=lengths)[1]

    found = tg.summary(Reader(), ((6, 2, 3), np.array([6, 2])))
    assert [row.shapes for row in found][:2] == [((1, 2, 4),), ((6, 2, 4), (1, 2, 4))]


def test_what_is_shared_counts_once_and_what_is_frozen_by_itself():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    first, second = (dict(model.named_modules())[name] for name in "01")
    second.weight = first.weight
    first.bias.requires_grad_(False)
    found = tg.summary(model)
    assert (found.parameters, found.frozen) == (9 + 3, 3)
    assert "12 parameters, 3 more do not learn" in str(found)


def test_nothing_is_changed(rng):
    model, x = Tagger(), np.zeros((7, 2), "int64")
    model.drop.eval()
    before = tg.random.get_state(), model.training, model.drop.training
    values = [p.numpy().copy() for p in model.parameters()]
    tg.summary(model, x)
    assert (tg.random.get_state(), model.training, model.drop.training) == before
    for p, value in zip(model.parameters(), values, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
        assert p.grad is None


def test_a_model_that_fails_is_as_before():
    model = Tagger()
    with pytest.raises(tg.TinygradRNNError):
        tg.summary(model, (7, 2))
    assert model.training
    assert nn.module._noted.get() is None


def test_zeros_of_a_float_for_class_numbers_are_told():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    with pytest.raises(tg.DtypeError, match=r'whole number.*zeros of float32.*dtype="int64", or an array'):
        tg.summary(model, (32, 12))
    assert tg.summary(model, (32, 12), dtype="int64")[0].shapes == ((32, 12, 2),)
    for given in ({"dtype": "float32"}, {}):
        x = (32, 12) if given else np.zeros((32, 12), "float32")
        with pytest.raises(tg.DtypeError) as told:
            tg.summary(model, x, **given)
        assert "int64" not in str(told.value)

    class OfPairs(nn.Module):
        def __call__(self, pair):
            return model(pair[0])

    with pytest.raises(tg.DtypeError) as told:
        tg.summary(OfPairs(), (np.zeros((2, 3), "float32"), [2, 3, 1]))
    assert "int64" not in str(told.value)
