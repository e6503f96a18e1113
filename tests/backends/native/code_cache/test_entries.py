"""Entries: nothing is executed that this user did not write whole under that very name."""

from __future__ import annotations

import os
import stat

import pytest

import tinygrad_rnn as tg
from tests.backends.native.code_cache.entries import (
    CODE,
    NAME,
    OTHER,
    STRANGER,
    as_root,
    is_made_anew,
    one_warning,
)
from tinygrad_rnn.backends.native import code_cache


@pytest.mark.parametrize("by_path", [False, True], ids=["by descriptor", "by path"])
def test_what_is_kept_is_taken(folder, monkeypatch, by_path):
    monkeypatch.setattr(code_cache, "_FOLDERS_OPEN", not by_path)
    assert code_cache.load(NAME) is None
    for name, code in ((NAME, CODE), (OTHER, b""), (NAME, CODE * 2)):
        code_cache.keep(name, code)
        assert code_cache.load(name) == code
    assert sorted(path.name for path in folder.iterdir()) == [f"{NAME}.o", f"{OTHER}.o"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode")
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_folder_and_entries_are_closed_to_others(folder, umask):
    before = os.umask(umask)
    try:
        code_cache.keep(NAME, CODE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / f"{NAME}.o").stat().st_mode) == 0o600
    assert code_cache.load(NAME) == CODE


def test_any_changed_bit(entry):
    content = entry.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            entry.write_bytes(changed)
            assert code_cache.load(NAME) is None, (place, bit)
    is_made_anew()


def test_any_truncation_and_anything_appended(entry):
    content = entry.read_bytes()
    for length in range(len(content)):
        entry.write_bytes(content[:length])
        assert code_cache.load(NAME) is None, length
    for more in (b"\0", b"\n", content):
        entry.write_bytes(content + more)
        assert code_cache.load(NAME) is None
    is_made_anew()


def test_any_two_names_exchanged(folder):
    names = [f"{i:064x}" for i in range(5)]
    for i, name in enumerate(names):
        code_cache.keep(name, CODE[i:])
    intact = {name: (folder / f"{name}.o").read_bytes() for name in names}
    for name in names:
        for other in names:
            (folder / f"{name}.o").write_bytes(intact[other])
            assert code_cache.load(name) == (CODE[names.index(name) :] if other == name else None)
        (folder / f"{name}.o").write_bytes(intact[name])


def _planted(path, make):
    path.unlink()
    make(path)


ENTRIES = {
    "empty": lambda path: path.write_bytes(b""),
    "of the format before": lambda path: path.write_bytes(b"tgr1" + b"\0" * 4 + CODE),
    "foreign": lambda path: path.write_bytes(b"\x7fELF" * 1000),
    "a link to an intact one": lambda path: (path.rename(path.with_name("aside")), path.symlink_to("aside")),
    "a link to nothing": lambda path: _planted(path, lambda path: path.symlink_to("nothing")),
    "a link to itself": lambda path: _planted(path, lambda path: path.symlink_to(path)),
    "a pipe": lambda path: _planted(path, os.mkfifo),
    "open to the group": lambda path: path.chmod(0o620),
    "open to all": lambda path: path.chmod(0o602),
    "larger than the whole cache": lambda path: os.truncate(path, code_cache.MOST_BYTES + 1),
}


@pytest.mark.skipif(os.name == "nt", reason="modes, links and pipes of POSIX")
@pytest.mark.parametrize("make", ENTRIES.values(), ids=ENTRIES)
def test_hostile_entries(entry, make):
    make(entry)
    is_made_anew()
    assert stat.S_ISREG(entry.lstat().st_mode)


@as_root
def test_an_entry_of_another_user(entry):
    os.chown(entry, STRANGER, -1)
    is_made_anew()
    assert entry.stat().st_uid == 0


@as_root
def test_a_device_in_the_place_of_an_entry(entry):
    entry.unlink()
    try:
        os.mknod(entry, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container lets not even root make devices")
    is_made_anew()


def test_a_folder_in_the_place_of_an_entry_is_left_and_told(entry):
    entry.unlink()
    entry.mkdir()
    assert code_cache.load(NAME) is None
    with pytest.warns(tg.CacheWarning, match=NAME):
        code_cache.keep(NAME, CODE)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_entries_that_vanish_while_they_are_looked_through(entry, monkeypatch):
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: [*listed(place), f"{OTHER}.o", f".{OTHER}.o.{'0' * 8}"])
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE


def test_an_entry_that_another_process_reads_is_not_replaced(entry, monkeypatch):
    """As on Windows: it is the same code, and no matter. Where there is none, something else is wrong."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    code_cache.keep(NAME, CODE)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]
    entry.write_bytes(b"half")
    with one_warning("Access is denied"):
        code_cache.keep(NAME, CODE)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]
