"""Plans of loop nests."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tests.sequence import shared_samples
from tinygrad_rnn.sequence import plans


@pytest.fixture
def nests(monkeypatch):
    """Samples are shared among threads however little there is to do; the plans that are made are listed."""
    made, build = [], plans._built

    def noted(plan, backend):
        made.append(build(plan, backend))
        return made[-1]

    monkeypatch.setattr(plans, "_built", noted)
    shared_samples.begin(monkeypatch)
    yield made
    tg.clear_caches()
