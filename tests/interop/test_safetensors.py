"""Checkpoints: what comes back, what is refused, and never code."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.interop.arrays import ARRAYS
from tests.interop.fixtures import FOLDER


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


@pytest.mark.both_backends
def test_arrays_come_back_with_dtype_shape_and_order(path):
    tg.save(path, {name: tg.tensor(array) for name, array in ARRAYS.items()})
    found = tg.load(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_numpy_arrays_and_metadata(path):
    tg.save(path, {"a": ARRAYS["columns"]}, metadata={"step": "3", "text": "é\n"})
    found = tg.load(path)
    assert found.metadata == {"step": "3", "text": "é\n"}
    np.testing.assert_array_equal(found["a"].numpy(), ARRAYS["columns"])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"source": tg.nn.GRU}, tg.CheckpointError, "source must be a module or a dict"),
        ({"source": {1: np.ones(1)}}, tg.CheckpointError, "source must be a module or a dict"),
        ({"source": {"a": [[1], [2, 3]]}}, tg.CheckpointError, "'a' is no tensor or array"),
        ({"source": {"a": object()}}, tg.CheckpointError, "'a' is no tensor or array"),
        ({"source": {"\ud800": np.ones(1)}}, tg.CheckpointError, "half a character"),
        ({"metadata": {"a": "\ud800"}}, tg.CheckpointError, "half a character"),
        ({"metadata": {"a": 1}}, tg.CheckpointError, "strings by name"),
        ({"metadata": "ab"}, tg.ArgumentError, "metadata must be a dict"),
        ({"path": None}, tg.ArgumentError, "path must be a path"),
        ({"path": ""}, tg.ArgumentError, "path must be a path"),
        ({"path": "a\0b"}, tg.ArgumentError, "NUL"),
        ({"path": b"a"}, tg.ArgumentError, "path must be a path"),
        ({"path": "."}, tg.CheckpointError, "is no file"),
        ({"path": "no/such/folder/a"}, tg.CheckpointError, "make the folder"),
        ({"path": "x" * 5000}, tg.CheckpointError, "cannot write"),
    ],
)
def test_what_cannot_be_saved_leaves_nothing(change, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        tg.save(**({"path": "a.safetensors", "source": {"a": np.ones(2)}, "metadata": None} | change))
    assert list(tmp_path.iterdir()) == []


def test_who_saves_or_loads_asks_for_values(path):
    """Also for those of parameters and of results on the tape."""
    W = tg.tensor([1.0, 2.0], requires_grad=True)
    tg.save(path, {"leaf": W, "result": W * 2, "list": [W[1], W[0]]})
    assert {name: x.tolist() for name, x in tg.load(path).items()} == {
        "leaf": [1.0, 2.0],
        "result": [2.0, 4.0],
        "list": [2.0, 1.0],
    }
    layer, values = tg.nn.Linear(2, 1), {"weight": tg.stack([W * 3]), "bias": [W[0]]}
    layer.load_state_dict(values)
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([[3.0, 6.0]], [1.0])
    optimiser = tg.optim.Adam(layer.parameters())
    tg.sum(layer(W)).backward()
    optimiser.step()
    state = optimiser.state_dict()
    optimiser.load_state_dict(
        state | {"buffers": {key: tg.tensor(x) * W.sum() for key, x in state["buffers"].items()}}
    )
    uneven = [[1.0], [2.0, 3.0]]
    for wrong in (
        lambda: layer.load_state_dict(values | {"weight": uneven}),
        lambda: optimiser.load_state_dict(state | {"buffers": dict.fromkeys(state["buffers"], uneven)}),
    ):
        with pytest.raises(tg.CheckpointError, match="one shape"):
            wrong()


@pytest.mark.parametrize(
    "path", [None, 3, "", "a\0b", "\ud800", b"a", [], "x" * 5000, ".", "no/such/file"], ids=str
)
def test_what_cannot_be_loaded(path):
    with pytest.raises(tg.TinygradRNNError, match=r"path|no such file|folder|character"):
        tg.load(path)


@pytest.mark.both_backends
def test_a_module_goes_and_comes_back(path):
    first, second = tg.nn.LSTM(3, 4), tg.nn.LSTM(3, 4)
    tg.save(path, first)
    second.load_state_dict(tg.load(path))
    for name, parameter in first.named_parameters():
        np.testing.assert_array_equal(parameter.numpy(), second.state_dict()[name].numpy())


def test_other_programs_can_read_it(path):
    safetensors = pytest.importorskip("safetensors.numpy")
    tg.save(path, ARRAYS)
    found = safetensors.load_file(path)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    "source", [3, [np.ones(2)], {1: np.ones(2)}, {"a": "text"}, {"a": np.ones(2, complex)}, {"a": object()}]
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(source, path):
    with pytest.raises(tg.CheckpointError, match="save:"):
        tg.save(path, source)
    assert not list(path.parent.iterdir())


def test_metadata_must_be_strings(path):
    with pytest.raises(tg.CheckpointError, match="strings"):
        tg.save(path, ARRAYS, metadata={"step": 3})


@pytest.mark.parametrize("kept", [0, 4, 20, -1])
def test_a_file_that_was_cut_short(kept, path):
    tg.save(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(tg.CheckpointError, match="not a whole safetensors file"):
        tg.load(path)


def test_a_foreign_file_and_a_pickle_are_refused_and_not_run(path, monkeypatch):
    monkeypatch.setattr(pickle, "load", lambda *_: pytest.fail("unpickled"))
    for content in (pickle.dumps(ARRAYS), b"PK\x03\x04" * 100, b"hello " * 100, b"{}"):
        path.write_bytes(content)
        with pytest.raises(tg.CheckpointError, match="another program"):
            tg.load(path)


def test_a_missing_file_and_a_folder(path):
    with pytest.raises(tg.CheckpointError, match="no such file"):
        tg.load(path)
    with pytest.raises(tg.CheckpointError, match="is a folder"):
        tg.load(path.parent)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("BF16", 8),
        ("F8_E4M3", 4),
        ("F8_E5M2", 4),
        ("F8_E8M0", 4),
        ("F4", 2),
        ("F6_E2M3", 3),
        ("C64", 32),
        ("X", 4),
    ],
)
def test_dtypes_that_tensors_lack(dtype, size, path):
    header = json.dumps({"a": {"dtype": dtype, "shape": [4], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(tg.CheckpointError, match="save it again"):
        tg.load(path)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["__metadata__", "format", "dtype"]
)


NUMBERS = st.sampled_from([*"?bBhHiIlLqQefdg", ">f8", ">i2", "c8", "S3", "U2", "O", "M8[s]"]).map(
    lambda kind: np.ones(2, kind)
)


@given(st.dictionaries(TEXTS, NUMBERS, max_size=3), st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3))
@example({}, None)
@example({}, {})
@example({"a": np.ones(2, np.longdouble)}, None)
@example({"__metadata__": np.ones(1), "w": np.ones(2)}, {"a": "b"})
def test_what_is_written_is_read(arrays, words):
    """Or it is refused before anything is written, by a word of ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.safetensors")
        try:
            tg.save(path, arrays, words)
        except tg.CheckpointError as error:
            assert re.search("'__metadata__'|dtype", str(error))  # noqa: PT017
            assert os.listdir(folder) == []
            return
        found = tg.load(path)
    assert found.metadata == (words or {})
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_a_module_without_parameters_goes_and_comes_back(path):
    tg.save(path, tg.nn.Dropout(), {})
    tg.nn.Dropout().load_state_dict(tg.load(path))
    assert tg.load(path) == {}


def test_more_words_than_a_reader_takes(path):
    tg.save(path, {}, {"a": "x" * 99_999_000})
    assert len(tg.load(path).metadata["a"]) == 99_999_000
    path.unlink()
    with pytest.raises(tg.CheckpointError, match=r"cannot hold this.*shorter"):
        tg.save(path, {}, {"a": "x" * 100_000_000})
    assert not list(path.parent.iterdir())


def test_without_the_package(path, monkeypatch):
    real = importlib.import_module

    def missing(name, *rest):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    for use in (lambda: tg.save(path, ARRAYS), lambda: tg.load(path)):
        with pytest.raises(tg.CheckpointError, match=r"pip install 'tinygrad_rnn\[train\]'"):
            use()


def test_the_old_name_of_the_module_is_taken_for_one_more_release(monkeypatch):
    monkeypatch.delitem(sys.modules, "tinygrad_rnn.interop.checkpoint", raising=False)
    with pytest.warns(DeprecationWarning, match="is called tinygrad_rnn.interop.safetensors now"):
        old = importlib.import_module("tinygrad_rnn.interop.checkpoint")
    assert (old.save, old.load) == (tg.save, tg.load)


# -- files that say what is not so ---------------------------------------------------------------------------


def file_of(header, data=b"", length=None):
    """A safetensors file with a header that nobody checked."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


LYING = {
    "a header longer than the file": file_of(b"{}", length=10**6),
    "a header longer than any memory": file_of(b"{}", length=2**63),
    "a header of more than 100 MB": file_of(b"{" + b" " * 100_000_001 + b"}"),
    "offsets that overlap": file_of({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)),
    "the same offsets": file_of({"a": entry(0, 8, [2]), "b": entry(0, 8, [2])}, bytes(8)),
    "offsets with a gap": file_of({"a": entry(0, 8, [2]), "b": entry(12, 20, [2])}, bytes(20)),
    "offsets the wrong way round": file_of({"a": entry(8, 0, [2])}, bytes(8)),
    "offsets below 0": file_of({"a": entry(-8, 0, [2])}, bytes(8)),
    "offsets beyond the end": file_of({"a": entry(0, 16, [4])}, bytes(8)),
    "offsets that overflow": file_of({"a": entry(0, 2**64, [2**62])}, bytes(8)),
    "bytes that no tensor has": file_of({"a": entry(0, 8, [2])}, bytes(12)),
    "a shape of another size": file_of({"a": entry(0, 8, [3])}, bytes(8)),
    "a shape below 0": file_of({"a": entry(0, 8, [-2])}, bytes(8)),
    "a shape that overflows": file_of({"a": entry(0, 8, [2**33, 2**33])}, bytes(8)),
    "a dtype of another size": file_of({"a": entry(0, 8, [2], "F64")}, bytes(8)),
    "no offsets": file_of({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "a list as header": file_of([1, 2]),
    "words that are none": file_of({"__metadata__": {"a": 1}}),
    "deep lists": file_of(b"[" * 100_000),
    "half a character": file_of(b'{"\xff": {}}'),
}


@pytest.mark.parametrize("name", LYING)
def test_a_file_that_lies_about_itself(name, path):
    path.write_bytes(LYING[name])
    layer = tg.nn.Linear(2, 1)
    before = layer.weight.tolist()
    with pytest.raises(tg.CheckpointError, match="not a whole safetensors file"):
        layer.load_state_dict(tg.load(path))
    assert layer.weight.tolist() == before


def test_files_of_other_frameworks_are_named(path):
    for name, said in (("nested-zip-2.pt", "torch"), ("nested-old-2.pt", "torch"), ("keras3.h5", "keras")):
        path.write_bytes((FOLDER / name).read_bytes())
        with pytest.raises(tg.CheckpointError, match=rf"interop\.{said}\.load"):
            tg.load(path)


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [1] * 100])
def test_shapes_that_no_array_has(shape, tmp_path):
    """Their sizes agree with the offsets, and still NumPy has no such array."""
    size = 4 * int(0 not in shape)
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * size)
    with pytest.raises(tg.CheckpointError, match="not a whole safetensors file"):
        tg.load(tmp_path / "a.safetensors")
