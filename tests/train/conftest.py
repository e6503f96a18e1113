"""A text and settings that are small enough to train on in a blink."""

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.train.config import Config

SENTENCE = "the cell remembers, the gate forgets; "


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(SENTENCE * 30, encoding="utf-8")
    return path


@pytest.fixture
def config(text):
    """Two layers with dropout, so that a run depends on its chance."""
    return Config(
        hidden=6,
        layers=2,
        embed=4,
        dropout=0.2,
        batch=3,
        length=5,
        steps=12,
        every=5,
        text=str(text),
        backend=tg.tensor(0).backend,
    )
