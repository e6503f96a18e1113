"""What is kept, who keeps it, and what is said of it."""

from __future__ import annotations

import contextlib
import os
import warnings

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.backends.native import code_cache

NAME, OTHER = "ab" * 32, "cd" * 32


CODE = bytes(range(50))


STRANGER = 54321


as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can act as another user; the same check is tried without root above",
)


@contextlib.contextmanager
def acting_as_stranger():
    """A block in which the process is another user's, really."""
    os.setresuid(STRANGER, STRANGER, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def is_made_anew():
    """What is there is not executed, and a new entry takes its place."""
    assert code_cache.load(NAME) is None
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE


@contextlib.contextmanager
def one_warning(reason):
    """A block in which there is one warning: it says the folder, the reason and what to do."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    assert [warning.category for warning in told] == [tg.CacheWarning]
    for part in (code_cache._path(), reason, "set TINYGRAD_RNN_CACHE to a folder that is yours"):
        assert part in str(told[0].message)


def is_not_used(reason):
    """The folder is neither read nor written, and that is said."""
    with one_warning(reason):
        assert code_cache.load(NAME) is None
        code_cache.keep(OTHER, CODE)
        assert code_cache.load(OTHER) is None
