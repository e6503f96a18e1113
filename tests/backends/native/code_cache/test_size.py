"""How much is kept, by how many processes at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tests.backends.native.code_cache.entries import (
    CODE,
    NAME,
    OTHER,
)
from tinygrad_rnn.backends.native import code_cache


def _age(folder, name, seconds):
    moment = time.time() - seconds
    os.utime(folder / name, (moment, moment))


def _kept(folder, names):
    return [name for name in names if (folder / f"{name}.o").exists()]


@pytest.mark.parametrize(
    "bound", [("MOST_ENTRIES", 4), ("MOST_BYTES", 4 * len(code_cache._seal(NAME, CODE) + CODE))]
)
def test_the_least_recently_used_go_first(folder, monkeypatch, bound):
    monkeypatch.setattr(code_cache, *bound)
    names = [f"{i:064x}" for i in range(7)]
    for i, name in enumerate(names[:4]):
        code_cache.keep(name, CODE)
        _age(folder, f"{name}.o", 1000 - i)
    assert code_cache.load(names[0]) == CODE  # used now
    for name in names[4:6]:
        code_cache.keep(name, CODE)
    assert _kept(folder, names) == [names[0], names[3], names[4], names[5]]
    for name in (names[6], names[6]):  # replaced, not added
        code_cache.keep(name, CODE)
    assert _kept(folder, names) == [names[0], names[4], names[5], names[6]]


def test_files_of_others_are_left_alone(folder, monkeypatch):
    monkeypatch.setattr(code_cache, "MOST_ENTRIES", 1)
    folder.mkdir(mode=0o700)
    theirs = ["notes.txt", "module.o", f"{NAME}.o.bak", f".{NAME}", f"x{NAME}.o", f"{NAME.upper()}.o"]
    for name in theirs:
        (folder / name).write_text("")
        _age(folder, name, 1e6)
    code_cache.keep(NAME, CODE)
    code_cache.keep(OTHER, CODE)
    assert {path.name for path in folder.iterdir()} == {*theirs, f"{OTHER}.o"}


_SCRIPT = """
import sys
from tinygrad_rnn.backends.native import code_cache
code_cache.MOST_ENTRIES = int(sys.argv[1])
names = [f"{i:064x}" for i in range(40)]
print("begun", flush=True)
for round in range(int(sys.argv[2])):
    for i, name in enumerate(names):
        code = name.encode() * (1000 + i)
        assert code_cache.load(name) in (None, code)
        code_cache.keep(name, code)
"""


def _process(folder, *arguments):
    environment = os.environ | {
        "TINYGRAD_RNN_CACHE": str(folder),
        "PYTHONPATH": str(Path(tg.__file__).parents[1]),
    }
    command = [sys.executable, "-W", "error", "-c", _SCRIPT, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_processes_at_once(folder):
    """They read, replace and remove the same entries; each finds its own or nothing."""
    running = [_process(folder, 15, 6) for _ in range(3)]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    entries = list(folder.iterdir())
    assert 10 <= len(entries) <= 15
    assert all(
        code_cache.load(path.stem) == path.stem.encode() * (1000 + int(path.stem, 16)) for path in entries
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_process_that_is_killed_while_it_writes(folder):
    for moment in (0.01, 0.02, 0.03, 0.05, 0.07, 0.1):
        process = _process(folder, 100, 100000)
        assert process.stdout.readline() == "begun\n"
        time.sleep(moment)
        process.kill()
        process.communicate(timeout=60)
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert entries
    assert all(code_cache.load(path.stem) is not None for path in entries)


def test_what_a_killed_process_left_is_removed_in_the_end(folder):
    code_cache.keep(NAME, CODE)
    left, writing = (folder / f".{OTHER}.o.{digits}" for digits in ("0123abcd", "89abcdef"))
    for path in (left, writing):
        path.write_bytes(b"half")
    _age(folder, left.name, 2 * code_cache._ABANDONED)
    code_cache.keep(NAME, CODE)
    assert not left.exists()
    assert writing.exists()
