"""Sequences of random length, for Hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**40)


@st.composite
def sequences(draw: st.DrawFn, least: int = 1) -> list[np.ndarray]:
    """Arrays (Tᵢ, F) or (Tᵢ,), some of them without a step."""
    lengths = draw(st.lists(st.integers(0, 7), min_size=least, max_size=12))
    features = draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    dtype = draw(st.sampled_from(["float32", "float64", "int64", "bool"]))
    chance = np.random.default_rng(draw(SEEDS))
    return [(chance.normal(size=(length, *features)) * 9).astype(dtype) for length in lengths]
