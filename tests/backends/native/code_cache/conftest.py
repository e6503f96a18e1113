"""A folder for machine code, and an entry in it."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest

from tests.backends.native.code_cache.entries import (
    CODE,
    NAME,
)
from tinygrad_rnn.backends.native import code_cache


@pytest.fixture
def tmp_path():
    """A folder for the test that other users may go through, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the cache, which is not there yet; no warning has been said."""
    path = tmp_path / "cache"
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(path))
    monkeypatch.setattr(code_cache, "_warned", threading.Lock())
    return path


@pytest.fixture
def entry(folder):
    """An intact entry."""
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE
    return folder / f"{NAME}.o"
