"""Calls with any values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tinygrad_rnn as tg


@pytest.fixture(autouse=True)
def _budget_as_before() -> Iterator[None]:
    """A call that sets the memory budget is a call like others."""
    yield
    tg.set_memory_budget(None)
