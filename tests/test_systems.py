"""What only some systems have has its other way on others: it is taken away here, and all goes on."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.backends import numpy_backend
from tinygrad_rnn.backends.native import memory
from tinygrad_rnn.selfcheck import machine

PROGRAM = """
import ctypes, ctypes.util, os, pathlib, signal, subprocess, sys, tempfile
import llvmlite.binding, numpy, platformdirs.unix, safetensors.numpy, threadpoolctl

for name in '''fork register_at_fork geteuid getuid chown sched_getaffinity sysconf sysconf_names mkfifo
               O_NOFOLLOW O_NONBLOCK O_DIRECTORY'''.split():
    if hasattr(os, name):
        delattr(os, name)
os.supports_dir_fd = set()
opened, library = os.open, ctypes.CDLL.__init__

def open_as_windows(path, flags, mode=0o777, *, dir_fd=None):
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied")
    return opened(path, flags, mode)

def load_as_windows(self, name, *arguments, **options):
    if name is None:
        raise TypeError("expected str, bytes or os.PathLike object, not NoneType")
    library(self, name, *arguments, **options)

threadpoolctl.ThreadpoolController()  # it looks as its own system does
os.open, ctypes.CDLL.__init__ = open_as_windows, load_as_windows
sys.modules["resource"] = sys.modules["fcntl"] = None

import tinygrad_rnn as tg

tg.random.seed(0)
layer = tg.nn.LSTM(8, 32, compiled=True)
optimizer = tg.optim.Adam(layer.parameters(), lr=0.01)
x = tg.tensor(numpy.random.default_rng(0).normal(size=(20, 16, 8)), "float32")
losses = []
for _ in range(5):
    optimizer.zero_grad()
    loss = tg.mean((layer(x)[0] - 0.5) ** 2)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses == sorted(losses, reverse=True), losses
print(layer.explain().splitlines()[0])
tg.save("layer.safetensors", layer)
other = tg.nn.LSTM(8, 32)
other.load_state_dict(tg.load("layer.safetensors"))
assert (other(x)[0].numpy() == layer(x)[0].numpy()).all()
folder = pathlib.Path(os.environ["TINYGRAD_RNN_CACHE"])
print(len(list(folder.iterdir())) > 0)
tg.clear_caches(disk=True)
print(len(list(folder.iterdir())))
"""
"""Training, with what POSIX has taken from Python: folders that can be opened, owners, forks, the C library
under no name. Libraries have been loaded before, as they look for the system they were made for."""


@pytest.mark.machine_code
def test_training_without_what_only_posix_has(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ
        | {"TINYGRAD_RNN_CACHE": str(tmp_path / "code"), "PYTHONPATH": str(Path(tg.__file__).parents[1])},
    )
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["LSTMCell: machine code", "True", "0"],
    ), done.stderr


@pytest.mark.parametrize(
    "error", [TypeError("no name"), AttributeError("mallopt"), OSError("no library")], ids=type
)
def test_a_c_library_that_keeps_no_memory(error, monkeypatch):
    """Windows' has no name, and macOS' no ``mallopt``."""
    asked = []

    def library(name):
        asked.append(name)
        raise error

    monkeypatch.setattr(ctypes, "CDLL", library)
    memory.keep_memory.__wrapped__()
    assert asked == [None]


def test_a_c_library_is_told_to_keep_memory(monkeypatch):
    told = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace(mallopt=told.__setitem__))
    memory.keep_memory.__wrapped__()
    assert told == {-3: 32 << 20, -1: 256 << 20}  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of <malloc.h>


def test_a_machine_that_does_not_say_how_much_memory_it_has(monkeypatch):
    monkeypatch.delattr(os, "sysconf_names", raising=False)
    assert numpy_backend._memory.__wrapped__() <= 8 << 30


@pytest.mark.parametrize(
    ("system", "told"),
    [
        ("linux", {"memory_at_most": 5 << 10}),
        ("darwin", {"memory_at_most": 5}),
        ("win32", {}),
    ],
)
def test_the_most_memory_that_a_process_took(system, told, monkeypatch):
    """In bytes: Linux counts it in KiB, macOS in bytes, and Windows has no ``resource``."""
    usage = types.SimpleNamespace(ru_maxrss=5)
    resource = types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage)
    monkeypatch.setitem(sys.modules, "resource", None if system == "win32" else resource)
    monkeypatch.setattr(sys, "platform", system)
    assert machine.memory("numpy") == told
