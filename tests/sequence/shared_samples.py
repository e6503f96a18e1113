"""Threads that share the samples however little there is to do, in memory that holds what it held before: so
that nobody reads what he has not written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.backends.native import memory, thresholds
from tinygrad_rnn.sequence import blocks, nested


def begin(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARALLEL_FORWARD_MIN_WORK", "PARALLEL_BACKWARD_MIN_WORK"):
        monkeypatch.setattr(thresholds, name, -1)
    for room in (nested, blocks):
        monkeypatch.setattr(room, "aligned", _used)
    tg.clear_caches()


def _used(shape: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, int]:
    array, begin = memory.aligned(shape, dtype)
    array.fill(77)
    return array, begin
