"""Padding beside PyTorch and Keras, batches in order beside PyTorch's loader."""

from __future__ import annotations

import os

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
os.environ["KERAS_BACKEND"] = "torch"  # before its first import

_random = np.random.default_rng(5)
SERIES = [_random.normal(size=(n, 3)).astype(np.float32) for n in (4, 1, 7, 3)]
CLASSES = [_random.integers(0, 9, n) for n in (4, 1, 7, 3)]


@pytest.mark.parametrize("samples", [SERIES, CLASSES])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("side", "theirs"), [("end", "right"), ("start", "left")])
def test_padding_is_that_of_torch(samples, batch_first, side, theirs):
    x, _ = tg.data.pad_sequences(samples, -1, batch_first=batch_first, side=side)
    expected = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(sample) for sample in samples], batch_first, -1.0, theirs
    ).numpy()
    np.testing.assert_array_equal(x, expected)
    assert x.dtype == expected.dtype


@pytest.mark.parametrize("length", [None, 9])
@pytest.mark.parametrize(("side", "theirs"), [("end", "post"), ("start", "pre")])
def test_padding_is_that_of_keras(length, side, theirs):
    keras = pytest.importorskip("keras")
    x, _ = tg.data.pad_sequences(SERIES, 2, length, batch_first=True, side=side)
    expected = keras.utils.pad_sequences(SERIES, maxlen=length, dtype="float32", padding=theirs, value=2.0)
    np.testing.assert_array_equal(x, expected)


def test_padded_layers_are_packed_ones_of_torch():
    ours, theirs = tg.nn.GRU(3, 5), torch.nn.GRU(3, 5)
    theirs.load_state_dict({name: torch.from_numpy(p.numpy().copy()) for name, p in ours.named_parameters()})
    x, lengths = tg.data.pad_sequences(SERIES)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(x), torch.from_numpy(lengths), enforce_sorted=False
    )
    np.testing.assert_allclose(
        ours(x, lengths=lengths)[1].numpy(), theirs(packed)[1].detach().numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_in_order_are_those_of_torch(drop_last):
    x, y = np.arange(22.0).reshape(11, 2), np.arange(11)
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    expected = list(torch.utils.data.DataLoader(dataset, 4, drop_last=drop_last))
    found = list(tg.data.batches((x, y), 4, shuffle=False, drop_last=drop_last))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b.numpy())
