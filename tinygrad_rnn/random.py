"""The one source of random numbers: initial weights, dropout, shuffling. On the host for every backend: a
seed means the same on each.

A program that is run a second time must draw the same numbers again, whichever generator of the process it
draws them from: ``States``.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from . import arguments
from .cleanup import with_cleanup
from .effects import effect
from .errors import ArgumentError

_generator: numpy.random.Generator | None = None


@effect("sets the random numbers")
def seed(value: int | Sequence[int] | None) -> None:
    """Start again from a whole number, or from several; from None, where nobody knows.

    >>> tg.random.seed(0)
    >>> a = tg.random.generator().random()
    >>> tg.random.seed(0)
    >>> a == tg.random.generator().random()
    True
    """
    global _generator
    _generator = numpy.random.default_rng(arguments.seed("random.seed: value", value))


@effect("draws random numbers")
def generator() -> numpy.random.Generator:
    """The generator in use.

    >>> tg.tensor(tg.random.generator().normal(size=(2, 3))).shape
    (2, 3)
    """
    global _generator
    # not before it is asked for: numpy.random takes as long to import as a fifth of this library
    if _generator is None:
        _generator = numpy.random.default_rng()
    return _generator


def get_state() -> dict[str, object]:
    """Where the generator stands, as plain numbers and strings (JSON can hold them).

    >>> tg.random.get_state()["bit_generator"]
    'PCG64'
    """
    return dict(generator().bit_generator.state)


@effect("sets the random numbers")
def set_state(state: Mapping[str, object]) -> None:
    """Go back to where the generator stood.

    >>> state = tg.random.get_state()
    >>> a = tg.random.generator().random()
    >>> tg.random.set_state(state)
    >>> a == tg.random.generator().random()
    True

    Raises:
        ArgumentError: the state is none that :func:`get_state` gave.
    """
    kind = type(generator().bit_generator)
    try:
        kind(0).state = state  # on another generator first: a state that is half a state changes nothing
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ArgumentError(
            f"random.set_state: state must be what get_state gave, not {arguments.shown(state)}"
        ) from error
    generator().bit_generator.state = state


class States:
    """Where the generators of the process stand: this one, ``random`` of Python and ``np.random``."""

    def __init__(self) -> None:
        self._ours = None if _generator is None else _generator.bit_generator.state
        self._pythons = random.getstate()
        module = sys.modules.get("numpy.random")  # nobody can have drawn from what was not imported
        self._numpys = None if module is None else module.get_state(legacy=False)

    def restore(self) -> None:
        """Put all of them back; it may be done again."""
        if self._ours is not None:
            generator().bit_generator.state = self._ours
        random.setstate(self._pythons)
        if self._numpys is not None:
            sys.modules["numpy.random"].set_state(self._numpys)

    def during(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function from where they stood; afterwards they are where they are now."""

        def again() -> Any:
            self.restore()
            return function(*args)

        return with_cleanup(States().restore, again)


__all__ = ["generator", "get_state", "seed", "set_state"]


def __dir__() -> list[str]:
    return __all__
