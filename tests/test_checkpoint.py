"""Checkpoints: whole or not there, never code."""

import errno
import importlib
import json
import os
import pickle
import re
import stat
import tempfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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


@settings(deadline=None)  # a busy machine takes longer
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
    monkeypatch.setattr(
        os, call, lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(errno.EIO)))
    )
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


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_neither_replaced_nor_waited_for(pipe):
    with pytest.raises(tg.CheckpointError, match="is no file"):
        tg.save(pipe, ARRAYS)
    (pipe.parent / "link").symlink_to(pipe)
    with pytest.raises(tg.CheckpointError, match="is no file"):
        tg.save(pipe.parent / "link", ARRAYS)
    with pytest.raises(tg.CheckpointError, match="is no file"):
        tg.load(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(pipe.parent)) == ["link", "pipe"]


@pytest.mark.parametrize("name", ["new", "old", "link"])
def test_the_kernels_folders_hold_no_files(name, tmp_path, monkeypatch):
    """Also where a name there leads on to a file, as that of the standard output does."""
    kernels, old = tmp_path / "kernels", tmp_path / "file"
    kernels.mkdir()
    old.write_bytes(b"before")
    (kernels / "old").write_bytes(b"before")
    (kernels / "link").symlink_to(old)
    (tmp_path / "other").symlink_to(kernels / name)
    monkeypatch.setattr(atomic, "_KERNELS", re.compile(re.escape(str(kernels))))
    for path in (kernels / name, tmp_path / "other"):
        with pytest.raises(tg.CheckpointError, match="holds no files"):
            tg.save(path, ARRAYS)
    assert sorted(os.listdir(kernels)) == ["link", "old"]
    assert old.read_bytes() == (kernels / "old").read_bytes() == b"before"


@pytest.mark.parametrize(("folder", "is_one"), [
    ("/dev", True), ("/proc", True), ("/proc/1/fd", True), ("/sys/class", True), ("/dev/fd", True),
    ("/dev/shm", False), ("/home/dev", False), ("/process", False), ("/", False),
])  # fmt: skip
def test_which_folders_are_the_kernels(folder, is_one):
    assert bool(atomic._KERNELS.fullmatch(folder)) is is_one


WRITERS = {
    "checkpoint": ("a.safetensors", lambda path: tg.save(path, ARRAYS)),
    "picture": (
        "a.dot",
        lambda path: tg.draw(tg.sum(tg.ones(2) * tg.tensor([1.0], requires_grad=True))).save(path),
    ),
    "a block": ("a.txt", lambda path: _written_in_a_block(path)),
}


def _written_in_a_block(path):
    with atomic.replacing(path) as temporary:
        # nobody else reads what is half written
        assert stat.S_IMODE(temporary.stat().st_mode) & 0o077 == 0 or not path.exists()
        temporary.write_bytes(b"content")


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("ways", [["target"], ["links/target"], ["links/between", "target"]], ids=str)
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(writer, ways, exists, tmp_path, monkeypatch):
    """By relative and by absolute links, over several links, and to where nothing is yet."""
    name, write = WRITERS[writer]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links").mkdir()
    target = tmp_path / "links" / "target" if len(ways) == 1 and "/" in ways[0] else tmp_path / "target"
    links = [tmp_path / name, tmp_path / "links" / "between"][: len(ways)]
    links[0].symlink_to(ways[0])
    if len(ways) == 2:
        links[1].symlink_to(target)
    if exists:
        target.write_bytes(b"before")
    write(links[0])
    assert all(link.is_symlink() for link in links)
    assert target.is_file()
    assert not target.is_symlink()
    assert target.read_bytes() not in (b"", b"before")
    assert {path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()} == {target}


def test_links_in_a_ring(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(tg.CheckpointError, match="ring"):
        tg.save(tmp_path / "a", ARRAYS)
    assert (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_a_file_keeps_its_permissions(writer, mode, tmp_path):
    name, write = WRITERS[writer]
    path = tmp_path / name
    path.write_bytes(b"before")
    path.chmod(mode)
    write(path)
    assert path.read_bytes() != b"before"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(path):
    tg.save(path, ARRAYS)
    os.chown(path, 1234, 2345)
    tg.save(path, {"a": np.ones(3)})
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_a_new_file_has_the_usual_permissions(path, tmp_path):
    tg.save(path, ARRAYS)
    usual = tmp_path / "usual"
    usual.write_bytes(b"")
    assert path.stat().st_mode == usual.stat().st_mode
