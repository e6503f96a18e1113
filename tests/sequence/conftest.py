"""Plans of loop nests."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tests.sequence import shared_samples
from tinygrad_rnn.sequence import compiled


@pytest.fixture
def nests(monkeypatch):
    """Samples are shared among threads however little there is to do; the plans that are made are listed."""
    plans, build = [], compiled._built

    def noted(plan, backend):
        plans.append(build(plan, backend))
        return plans[-1]

    monkeypatch.setattr(compiled, "_built", noted)
    shared_samples.begin(monkeypatch)
    yield plans
    tg.clear_caches()
