"""The folder: not used where somebody else could write into it, and that is said once."""

from __future__ import annotations

import os
import stat
import threading

import platformdirs.macos
import platformdirs.unix
import pytest

from tests.backends.native.code_cache.entries import (
    CODE,
    NAME,
    OTHER,
    STRANGER,
    acting_as_stranger,
    as_root,
    is_made_anew,
    is_not_used,
    one_warning,
)
from tinygrad_rnn.backends.native import code_cache


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode")
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_into(entry, mode):
    entry.parent.chmod(mode)
    is_not_used(f"others may write into it (its mode is {mode:o}; chmod 700 would close it)")
    # it may be shared on purpose: nobody's mode is changed
    assert stat.S_IMODE(entry.parent.stat().st_mode) == mode
    entry.parent.chmod(0o700)
    assert code_cache.load(NAME) == CODE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode")
def test_a_folder_that_others_may_read(entry):
    entry.parent.chmod(0o755)
    assert code_cache.load(NAME) == CODE


def test_a_folder_of_another_user(entry, monkeypatch):
    """As that user sees it, so it needs no root."""
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER, raising=False)
    is_not_used(f"it belongs to user {entry.stat().st_uid}, and this is user {STRANGER}")


@as_root
@pytest.mark.parametrize("by_link", [False, True], ids=["itself", "behind a link"])
def test_a_folder_planted_by_another_user(tmp_path, folder, by_link):
    """What he planted is whole, and named rightly. Before, it was executed."""
    place = tmp_path / "theirs" if by_link else folder
    place.mkdir()
    os.chown(place, STRANGER, -1)
    with acting_as_stranger(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_RNN_CACHE", str(place))
        code_cache.keep(NAME, CODE)
        assert code_cache.load(NAME) == CODE
    if by_link:
        folder.symlink_to(place)
    is_not_used(f"it belongs to user {STRANGER}, and this is user 0")


@as_root
def test_a_folder_of_root_is_another_users_too(entry):
    entry.parent.chmod(0o755)
    with acting_as_stranger():
        is_not_used(f"it belongs to user 0, and this is user {STRANGER}")


@as_root
def test_a_folder_that_can_only_be_read(folder):
    """What is in it is taken; that nothing can be added is said once."""
    folder.mkdir()
    os.chown(folder, STRANGER, -1)
    with acting_as_stranger():
        code_cache.keep(NAME, CODE)
        folder.chmod(0o500)
        assert code_cache.load(NAME) == CODE
        with one_warning("Permission denied"):
            for _ in range(3):
                code_cache.keep(OTHER, CODE)
        assert code_cache.load(NAME) == CODE


@as_root
def test_an_entry_that_its_owner_may_not_read(folder):
    folder.mkdir()
    os.chown(folder, STRANGER, -1)
    with acting_as_stranger():
        code_cache.keep(NAME, CODE)
        (folder / f"{NAME}.o").chmod(0)
        is_made_anew()


@as_root
@pytest.mark.parametrize(
    "home", [None, "/", "/nowhere/at/all", ""], ids=["none", "root's", "not there", "empty"]
)
@pytest.mark.usefixtures("folder")
def test_a_user_without_a_name_or_a_home(tmp_path, monkeypatch, home):
    """As in containers that run under any number."""
    for name in ("TINYGRAD_RNN_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    (tmp_path / "here").mkdir()
    (tmp_path / "here").chmod(0o777)
    monkeypatch.chdir(tmp_path / "here")
    with acting_as_stranger():
        is_not_used("Permission denied" if home else "no home folder")
    assert not list((tmp_path / "here").iterdir())


def test_a_file_in_the_place_of_the_folder(folder):
    folder.write_text("")
    is_not_used(str(folder))
    assert folder.read_text() == ""


def test_a_file_on_the_way_to_the_folder(folder, monkeypatch):
    folder.write_text("")
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(folder / "inside"))
    is_not_used(str(folder / "inside"))


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_in_the_place_of_the_folder(folder):
    os.mkfifo(folder)
    is_not_used(str(folder))


def test_a_name_that_is_too_long(folder, monkeypatch):
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(folder / ("x" * 5000)))
    is_not_used("too long")


def test_a_link_to_a_folder_of_ones_own(folder, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "disk")
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk(folder):
    """The nearest that a test can have: no file may be longer than 10 bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with one_warning("File too large"):
            for _ in range(3):
                code_cache.keep(NAME, CODE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(folder.iterdir())
    is_made_anew()


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home folder; nothing else says where caches are."""
    for name in ("TINYGRAD_RNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.skipif(os.name == "nt", reason="homes of POSIX")
@pytest.mark.parametrize(
    ("system", "path"),
    [
        (platformdirs.unix.Unix, ".cache/tinygrad_rnn"),
        (platformdirs.macos.MacOS, "Library/Caches/tinygrad_rnn"),
    ],
    ids=["Linux", "macOS"],
)
def test_where_the_folder_is(system, path, home, monkeypatch):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    assert code_cache._path() == str(home / path)


def test_where_the_folder_is_by_what_is_said(home, monkeypatch, tmp_path):
    default = code_cache._path()
    for chosen, path in (
        ("", default),
        (str(tmp_path / "mine"), str(tmp_path / "mine")),
        ("~/mine", str(home / "mine")),
        ("mine", "mine"),
    ):
        monkeypatch.setenv("TINYGRAD_RNN_CACHE", chosen)
        assert code_cache._path() == path
    monkeypatch.chdir(tmp_path)
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE
    assert (tmp_path / "mine").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no XDG folders")
def test_a_folder_of_caches_that_is_said(home, monkeypatch, tmp_path):
    default = code_cache._path()
    for caches, path in (
        ("", default),
        ("relative", default),
        (str(tmp_path), str(tmp_path / "tinygrad_rnn")),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", caches)
        assert code_cache._path() == path


def test_the_folder_is_exchanged_after_the_check(entry, tmp_path):
    """Files are those of the folder that was checked, not of the path."""
    with code_cache._opened() as folder:
        entry.parent.rename(tmp_path / "aside")
        entry.parent.mkdir(0o777)
        entry.write_bytes(b"planted")
        assert code_cache._code(folder, NAME) == CODE
        code_cache._write(folder, f"{OTHER}.o", code_cache._seal(OTHER, CODE) + CODE)
    assert {path.name for path in (tmp_path / "aside").iterdir()} == {f"{NAME}.o", f"{OTHER}.o"}


def test_one_warning_in_a_process(folder):
    folder.write_text("")
    with one_warning(str(folder)):
        threads = [threading.Thread(target=code_cache.keep, args=(NAME, CODE)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_without_owners_and_modes(folder, monkeypatch):
    """As on Windows: the digest is checked, and nothing breaks."""
    monkeypatch.delattr(os, "geteuid", raising=False)
    monkeypatch.setattr(code_cache, "_FOLDERS_OPEN", False)
    code_cache.keep(NAME, CODE)
    (folder / f"{OTHER}.o").write_bytes((folder / f"{NAME}.o").read_bytes())
    assert code_cache.load(NAME) == CODE
    assert code_cache.load(OTHER) is None
