"""Files are whole or not there, whatever stands in their place."""

from __future__ import annotations

import errno
import os
import re
import stat

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interop.arrays import ARRAYS
from tinygrad_rnn import atomic


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


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
