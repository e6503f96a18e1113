"""Checkpoints: whole or not there, never code."""

import errno
import importlib
import os
import pickle
import stat

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import atomic

ARRAYS = {
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "double": np.linspace(0, 1, 5),
    "half": np.ones((2, 1), np.float16),
    "number": np.array(3, np.int64),
    "truth": np.array([True, False]),
    "nothing": np.zeros((0, 4), np.float32),
    "columns": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "every other": np.arange(10)[::2],
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


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
    assert {name: x.tolist() for name, x in tg.load(path).items()} == {"leaf": [1.0, 2.0], "result": [2.0, 4.0], "list": [2.0, 1.0]}
    layer, values = tg.nn.Linear(2, 1), {"weight": tg.stack([W * 3]), "bias": [W[0]]}
    layer.load_state_dict(values)
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([[3.0, 6.0]], [1.0])
    optimiser = tg.optim.Adam(layer.parameters())
    tg.sum(layer(W)).backward()
    optimiser.step()
    state = optimiser.state_dict()
    optimiser.load_state_dict(state | {"buffers": {key: tg.tensor(x) * W.sum() for key, x in state["buffers"].items()}})
    uneven = [[1.0], [2.0, 3.0]]
    for wrong in (
        lambda: layer.load_state_dict(values | {"weight": uneven}),
        lambda: optimiser.load_state_dict(state | {"buffers": dict.fromkeys(state["buffers"], uneven)}),
    ):
        with pytest.raises(tg.CheckpointError, match="one shape"):
            wrong()


@pytest.mark.parametrize("path", [None, 3, "", "a\0b", "\ud800", b"a", [], "x" * 5000, ".", "no/such/file"], ids=str)
def test_what_cannot_be_loaded(path):
    with pytest.raises(tg.TinygradRNNError, match=r"path|no such file|folder|character"):
        tg.load(path)


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


@pytest.mark.parametrize("source", [3, [np.ones(2)], {1: np.ones(2)}, {"a": "text"}, {"a": np.ones(2, complex)}, {"a": object()}])
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


def test_dtypes_numpy_lacks(path):
    header = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x00\x00")
    with pytest.raises(tg.CheckpointError, match="float32"):
        tg.load(path)


def test_without_the_package(path, monkeypatch):
    real = importlib.import_module
    missing = lambda name, *rest: (_ for _ in ()).throw(ImportError(name)) if name.startswith("safetensors") else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib, "import_module", missing)
    for use in (lambda: tg.save(path, ARRAYS), lambda: tg.load(path)):
        with pytest.raises(tg.CheckpointError, match=r"pip install 'tinygrad_rnn\[train\]'"):
            use()


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that is full after a few bytes."""

    def half_written(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.Path, "write_bytes", half_written)


def test_a_full_disk_leaves_nothing_behind(path, full_disk):
    with pytest.raises(tg.CheckpointError, match="No space left on device; nothing was left behind"):
        tg.save(path, ARRAYS)
    assert not list(path.parent.iterdir())


def test_a_full_disk_leaves_the_old_file(path, request):
    tg.save(path, ARRAYS)
    before = path.read_bytes()
    request.getfixturevalue("full_disk")
    with pytest.raises(tg.CheckpointError, match="is unchanged"):
        tg.save(path, {"a": np.ones(3)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failing_later_leaves_the_old_file(call, path, monkeypatch):
    tg.save(path, ARRAYS)
    before = path.read_bytes()
    monkeypatch.setattr(os, call, lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(tg.CheckpointError, match="Input/output error"):
        tg.save(path, {"a": np.ones(3)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_interruption_leaves_the_old_file(path):
    tg.save(path, ARRAYS)
    before = path.read_bytes()

    def interrupted():
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_places_that_are_no_files(tmp_path):
    with pytest.raises(tg.CheckpointError, match="make the folder"):
        tg.save(tmp_path / "none" / "a.safetensors", ARRAYS)
    with pytest.raises(tg.CheckpointError, match="is no file"):
        tg.save(tmp_path, ARRAYS)
    with pytest.raises(tg.CheckpointError, match="cannot write"):
        tg.save(tmp_path / f"{300 * 'a'}.safetensors", ARRAYS)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_device_is_not_replaced_by_a_file():
    with pytest.raises(tg.CheckpointError, match="is no file"):
        tg.save("/dev/full", ARRAYS)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_new_file_has_the_usual_permissions(path, tmp_path):
    tg.save(path, ARRAYS)
    usual = tmp_path / "usual"
    usual.write_bytes(b"")
    assert path.stat().st_mode == usual.stat().st_mode
