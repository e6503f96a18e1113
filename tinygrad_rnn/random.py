"""The one source of chance: initial weights, dropout, shuffling. On the host for every backend, so a seed means the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy

from .effects import effect

_generator: numpy.random.Generator | None = None


@effect("sets the random numbers")
def seed(value: int) -> None:
    """Start again from a number."""
    global _generator
    _generator = numpy.random.default_rng(value)


@effect("draws random numbers")
def generator() -> numpy.random.Generator:
    """The generator in use."""
    global _generator
    if _generator is None:  # not before it is asked for: numpy.random takes as long to import as a fifth of this library
        _generator = numpy.random.default_rng()
    return _generator


def get_state() -> dict[str, Any]:
    """Where the generator stands, as plain numbers and strings (JSON can hold them)."""
    return dict(generator().bit_generator.state)


@effect("sets the random numbers")
def set_state(state: dict[str, Any]) -> None:
    """Go back to where the generator stood."""
    generator().bit_generator.state = state
