"""Keras' lists and files: what it wrote comes in by h5py alone, and a damaged or foreign file is told."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.interop.fixtures import FOLDER
from tests.interop.fixtures.keras_files import FILES, PATH
from tinygrad_rnn import nn
from tinygrad_rnn.interop import keras

with np.load(PATH) as _file:
    ARRAYS = dict(_file)
LAYERS = ["words", "norm", "both", "simple", "after", "before", "a_last_one", "head"]
files = pytest.mark.parametrize("name", FILES)


def weights_of(version, layer):
    """What Keras' layer listed."""
    found = []
    while f"{version}/{layer}/{len(found)}" in ARRAYS:
        found.append(ARRAYS[f"{version}/{layer}/{len(found)}"])
    return found


@files
def test_every_kind_of_file(name):
    found = keras.load(FOLDER / name)
    assert set(found) == set(LAYERS)
    if name in ("keras3.keras", "keras3.h5", "keras2.h5", "keras2-weights.h5"):  # these say the order
        assert list(found) == LAYERS
    for layer, arrays in found.items():
        expected = weights_of(name[:6], layer)
        assert len(arrays) == len(expected)
        for mine, theirs in zip(arrays, expected, strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_array_equal(mine, theirs)


def rebuilt():
    return {
        "words": nn.Embedding(11, 5),
        "norm": nn.LayerNorm(5, eps=1e-3),
        "both": nn.LSTM(5, 4, bidirectional=True, batch_first=True),
        "simple": nn.RNN(8, 4, bias=False, batch_first=True),
        "after": nn.GRU(4, 3, batch_first=True),
        "before": nn.GRU(3, 3, reset="before", batch_first=True),
        "a_last_one": nn.LSTM(3, 4, batch_first=True),
        "head": nn.Linear(4, 2),
    }


@files
def test_the_model_computes_what_keras_computed_and_trains_on(name):
    layers, found = rebuilt(), keras.load(FOLDER / name)
    for key, layer in layers.items():
        keras.load_weights(layer, found[key])
    model = nn.Sequential(layers)

    def outputs():
        x = tg.tensor(ARRAYS["tokens"])
        for key, layer in layers.items():
            x = layer(x)
            x = x[0] if isinstance(x, tuple) else x
            x = x[:, -1] if key == "a_last_one" else x
        return x

    y = outputs()
    np.testing.assert_allclose(y.numpy(), ARRAYS[name[:6]], rtol=1e-5, atol=2e-6)
    adam = tg.optim.Adam(model.parameters(), lr=0.01)
    first = last = None
    for _ in range(10):
        loss = tg.mse_loss(outputs(), tg.ones((2, 2)))
        adam.zero_grad()
        loss.backward()
        adam.step()
        first, last = first or loss.item(), loss.item()
    assert last < first


@pytest.mark.parametrize(("kind", "make"), [("LSTM", nn.LSTM), ("GRU", nn.GRU)])
def test_cudnns_layers_of_old(kind, make):
    """Keras 2 turned their arrays into those of LSTM and GRU like this."""
    layer = make(3, 4, dtype="float64")
    keras.load_weights(layer, [ARRAYS[f"cudnn/{kind}/{i}"] for i in range(3)])
    for i, array in enumerate(keras.weights(layer)):
        np.testing.assert_allclose(array, ARRAYS[f"plain/{kind}/{i}"], rtol=0, atol=1e-15)


# -- lists ---------------------------------------------------------------------------------------------------

MADE = {
    "RNN": lambda: nn.RNN(3, 4, dtype="float64"),
    "LSTM, two layers": lambda: nn.LSTM(3, 4, 2, dtype="float64"),
    "LSTM, both": lambda: nn.LSTM(3, 4, bidirectional=True, dtype="float64"),
    "LSTM, one bias": lambda: nn.LSTM(3, 4, biases=1, dtype="float64"),
    "LSTM, no bias": lambda: nn.LSTM(3, 4, bias=False, dtype="float64"),
    "GRU": lambda: nn.GRU(3, 4, 2, bidirectional=True, dtype="float64"),
    "GRU before": lambda: nn.GRU(3, 4, reset="before", dtype="float64"),
    "GRU before, one bias": lambda: nn.GRU(3, 4, reset="before", biases=1, dtype="float64"),
    "cell": lambda: nn.GRUCell(3, 4, dtype="float64"),
    "Recurrent": lambda: nn.Recurrent(nn.LSTMCell(3, 4, dtype="float64")),
    "Recurrent, several": lambda: nn.Recurrent(
        lambda n: nn.LSTMCell(n, 4, dtype="float64"), input_size=3, num_layers=2, bidirectional=True
    ),
    "Sequential": lambda: nn.Sequential(
        nn.Embedding(5, 3, dtype="float64"),
        nn.LayerNorm(3, dtype="float64"),
        tg.tanh,
        nn.Dropout(0.1),
        nn.Linear(3, 2, bias=False, dtype="float64"),
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_lists_go_and_come_back(name, rng):
    layer, other = MADE[name](), MADE[name]()
    arrays = [rng.normal(size=array.shape) for array in keras.weights(layer)]
    keras.load_weights(layer, arrays)
    for mine, array in zip(keras.weights(layer), arrays, strict=True):
        np.testing.assert_array_equal(mine, array)
    keras.load_weights(other, keras.weights(layer))
    for a, b in zip(layer.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_all_that_does_not_fit_is_named_and_nothing_loaded():
    layer = nn.LSTM(3, 4, bidirectional=True)
    before = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    good = keras.weights(layer)
    for change, said in (
        (good[:4], ["missing: l0_reverse.recurrent_kernel", "missing: l0_reverse.bias"]),
        ([*good, np.ones(3)], ["unexpected: array 6 of shape (3,)"]),
        (
            [good[0].T, *good[1:5], np.ones((2, 16))],
            ["l0.kernel: shape (16, 3)", "l0_reverse.bias: shape (2, 16)", "expected (16,) or (32,)"],
        ),
        ([*good[:5], "word"], ["l0_reverse.bias: "]),
        ([], ["missing: l0.kernel"]),
    ):
        with pytest.raises(tg.CheckpointError, match="nothing was loaded") as error:
            keras.load_weights(layer, change)
        assert all(part in str(error.value) for part in said)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_the_two_gru_of_keras_are_not_mixed_up():
    for mine, theirs in (("after", "before"), ("before", "after")):
        with pytest.raises(tg.CheckpointError, match=r"bias: shape \((2, )?12,?\) does not fit"):
            keras.load_weights(nn.GRU(3, 4, reset=mine), keras.weights(nn.GRU(3, 4, reset=theirs)))


def closing_over(cell):
    return lambda x, h: cell(x, h)


REFUSED = {
    "PeepholeLSTM": lambda: nn.PeepholeLSTM(3, 4),
    "proj_size": lambda: nn.LSTM(3, 4, proj_size=2),
    "coupled": lambda: nn.LSTM(3, 4, coupled=True),
    "two biases": lambda: nn.GRU(3, 4, biases=1),
    "layer of this library": lambda: "LSTM",
    "in a function": lambda: nn.Recurrent(closing_over(nn.GRUCell(3, 4))),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_keras_lacks(said):
    for call in (lambda: keras.weights(REFUSED[said]()), lambda: keras.load_weights(REFUSED[said](), [])):
        with pytest.raises(tg.ArgumentError, match=said if said != "two biases" else "has two biases"):
            call()


def test_no_gradient_yet():
    with pytest.raises(tg.TapeError, match="no gradient yet of weight_ih_l0"):
        keras.weights(nn.GRU(3, 4), of="grad")
    with pytest.raises(tg.ArgumentError, match="of must be 'value' or 'grad'"):
        keras.weights(nn.GRU(3, 4), of="gradient")


# -- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5", ".hdf5"])
def test_what_is_written_is_read(ending, tmp_path):
    path = tmp_path / f"model{ending}"
    layers = {
        "words": nn.Embedding(5, 3),
        "a": nn.LSTM(3, 4, 2, bidirectional=True),
        "b": nn.GRU(8, 4, bias=False),
        "head": nn.Linear(4, 2, dtype="float64"),
    }
    keras.save(path, layers)
    found = keras.load(path)
    assert set(found) == {"words", "a_l0", "a_l1", "b", "head"}
    expected = {"words": layers["words"], "b": layers["b"], "head": layers["head"]}
    for name, layer in expected.items():
        for mine, array in zip(found[name], keras.weights(layer), strict=True):
            assert mine.dtype == array.dtype
            np.testing.assert_array_equal(mine, array)
    for mine, array in zip([*found["a_l0"], *found["a_l1"]], keras.weights(layers["a"]), strict=True):
        np.testing.assert_array_equal(mine, array)


@pytest.mark.parametrize(
    ("layers", "name", "said"),
    [
        ({"a": nn.LSTM(2, 3)}, "model.txt", "the ending of"),
        ({"a/b": nn.LSTM(2, 3)}, "model.keras", "a word without a /"),
        ({1: nn.LSTM(2, 3)}, "model.keras", "a word without a /"),
        ({"a": nn.LSTM(2, 3, cell_clip=1.0)}, "model.keras", "'a', whose cell_clip it lacks"),
        ({"a": nn.LSTM(2, 3, activation=tg.exp)}, "model.keras", "whose activation it lacks"),
        ({"a": nn.LSTM(2, 3, reverse=True)}, "model.keras", "whose reverse it lacks"),
        ({"a": nn.GRU(2, 3, zoneout=0.1)}, "model.keras", "whose zoneout it lacks"),
        ({"a": nn.PeepholeLSTM(2, 3)}, "model.keras", "PeepholeLSTM"),
        ({"a": nn.Dropout()}, "model.keras", "Dropout"),
        ({"a": 3}, "model.keras", "layer of this library"),
        ([], "model.keras", "must be a dict"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(layers, name, said, tmp_path):
    with pytest.raises(tg.TinygradRNNError, match=said):
        keras.save(tmp_path / name, layers)
    assert not list(tmp_path.iterdir())


@files
def test_a_file_that_was_cut_short(name, tmp_path):
    content, path = (FOLDER / name).read_bytes(), tmp_path / "a.keras"
    for kept in range(0, len(content), 1499):
        path.write_bytes(content[:kept])
        with pytest.raises(tg.CheckpointError, match="not a whole Keras file"):
            keras.load(path)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.floats(0, 0.999), st.binary(min_size=1, max_size=4))
def test_a_file_with_other_bytes_is_read_or_refused(tmp_path_factory, name, place, other):
    content = bytearray((FOLDER / name).read_bytes())
    start = int(place * len(content))
    content[start : start + len(other)] = other
    path = tmp_path_factory.getbasetemp() / "other.h5"
    path.write_bytes(content)
    try:
        keras.load(path)
    except tg.CheckpointError as error:
        assert re.search("other.h5", str(error))  # noqa: PT017


def packed(**parts):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return content.getvalue()


def h5(fill):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def outside(folder):
    """A file beside the one that is read, whose content must not come in."""
    path = str(folder / "secret.h5")
    with h5py.File(path, "w") as file:
        file["a/cell/vars/0"] = np.ones(3)
    (folder / "secret.raw").write_bytes(np.ones(3).tobytes())
    return path


def external(file, folder):
    file["layers/a"] = h5py.ExternalLink(outside(folder), "/a")


def soft(file, folder):
    file["layers/b/cell/vars/0"] = np.ones(3)
    file["layers/a"] = h5py.SoftLink("/layers/b")


def raw(file, folder):
    outside(folder)
    group = file.create_group("layers/a/vars")
    group.create_dataset("0", (3,), "f8", external=[(str(folder / "secret.raw"), 0, 24)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(outside(folder), "a/cell/vars/0", (3,))
    file.create_group("layers/a/vars").create_virtual_dataset("0", layout)


def ring(file, folder):
    group = file.create_group("layers/a")
    group["b"] = group


def words(file, folder):
    file["layers/a/vars/0"] = "text"


def number(file, folder):
    file["layers/a"] = np.ones(3)


def not_counted(file, folder):
    file["layers/a/vars/first"] = np.ones(3)


def missing(file, folder):
    file.attrs["layer_names"] = [b"a"]
    file.create_group("a").attrs["weight_names"] = [b"a/kernel:0"]


def huge(file, folder):
    file.create_group("layers/a/vars").create_dataset("0", (10**12,), "f4", chunks=(1000,))


def twice(file, folder):
    """Each group holds the next one twice: 2²⁸ ways lead to the last one."""
    group = file.create_group("layers/a")
    for _ in range(28):
        inner = group.create_group("b")
        group["c"] = inner
        group = inner


def twice_in_cells(file, folder):
    group = file.create_group("layers/a/cell")
    for _ in range(28):
        inner = group.create_group("forward_layer")
        group["backward_layer"] = inner
        group = inner


FOREIGN = {
    twice: "groups in groups",
    twice_in_cells: "groups in groups",
    external: "leads to another place",
    soft: "leads to another place",
    raw: "leads to another file",
    virtual: "leads to another file",
    ring: "hold themselves",
    words: "no array of numbers",
    number: "is no group",
    not_counted: "not a whole Keras file",
    missing: "has no 'a'",
    huge: "claims to hold 4,000,000,000,000 bytes",
}


@pytest.mark.parametrize("fill", FOREIGN, ids=lambda fill: fill.__name__)
def test_files_that_lead_elsewhere_or_are_no_weights(fill, tmp_path):
    content = h5(lambda file: fill(file, tmp_path))
    for path, parts in (
        ("a.h5", content),
        ("a.keras", packed(**{"model.weights.h5": content, "config.json": "{}"})),
    ):
        (tmp_path / path).write_bytes(parts)
        with pytest.raises(tg.CheckpointError, match=FOREIGN[fill]):
            keras.load(tmp_path / path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (packed(**{"model.weights.h5": bytes(200_000_000), "config.json": "{}"}), "claims to hold"),
        (packed(**{"model.weights.h5": b"", "config.json": b" " * 200_000_000}), "claims to hold"),
        (packed(**{"model.weights.h5": b"no HDF5", "config.json": "{}"}), "neither .keras nor HDF5"),
        (packed(**{"model.weights.h5": h5(lambda f: None)}), "not a whole Keras file"),
        (packed(**{"model.weights.h5": h5(lambda f: None), "config.json": "[" * 5000}), "not a whole Keras"),
        (packed(**{"data.pkl": b""}), "none of Keras'"),
        (b"hello " * 100, "neither .keras nor HDF5"),
        (b"", "neither .keras nor HDF5"),
    ],
    ids=range(8),
)
def test_other_archives_and_small_files_that_would_fill_the_memory(content, said, tmp_path):
    path = tmp_path / "a.keras"
    path.write_bytes(content)
    with pytest.raises(tg.CheckpointError, match=said):
        keras.load(path)


def test_code_in_the_structure_is_not_run(tmp_path):
    harm = tmp_path / "harm"
    code = {
        "class_name": "Lambda",
        "config": {"name": "x", "function": f"__import__('os').mkdir({str(harm)!r})"},
    }
    path = tmp_path / "a.keras"
    content = (FOLDER / "keras3.weights.h5").read_bytes()
    path.write_bytes(packed(**{"model.weights.h5": content, "config.json": json.dumps(code)}))
    assert set(keras.load(path)) == set(LAYERS)
    assert not os.path.exists(harm)


def test_what_is_not_there(tmp_path):
    for path, said in ((tmp_path / "a.keras", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(tg.CheckpointError, match=said):
            keras.load(path)


def test_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    for use in (lambda: keras.load(FOLDER / FILES[0]), lambda: keras.save(tmp_path / "a.h5", {})):
        with pytest.raises(tg.CheckpointError, match=r"pip install 'tinygrad_rnn\[interop\]'"):
            use()


def test_biases_of_the_other_reset_say_how_the_layer_is_made():
    matrices = [np.zeros((4, 18)), np.zeros((6, 18))]
    with pytest.raises(tg.CheckpointError, match='reset="before"'):
        tg.interop.keras.load_weights(nn.GRU(4, 6), [*matrices, np.zeros(18)])
    with pytest.raises(tg.CheckpointError, match='reset="after"'):
        tg.interop.keras.load_weights(nn.GRU(4, 6, reset="before"), [*matrices, np.zeros((2, 18))])
    with pytest.raises(tg.CheckpointError) as caught:
        tg.interop.keras.load_weights(nn.GRU(4, 6), [*matrices, np.zeros(17)])
    assert "reset" not in str(caught.value)
