"""No block outlives its interruption, wherever that comes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interrupter import BY_INSTRUCTIONS, PACKAGE, Interrupter, state
from tinygrad_rnn import backends, nn, tape
from tinygrad_rnn.cleanup import no_collection
from tinygrad_rnn.sequence import program

pytestmark = pytest.mark.numpy_only

BLOCKS = (
    PACKAGE,
    contextlib.__file__,
    str(Path(np.__file__).parent / "_core" / "_ufunc_config.py"),
    __file__,
)
"""Where instructions are counted: the library, and what it makes blocks of."""


def nested() -> None:
    with tg.no_grad(), tape.recording(), tape.scope("step", 0):
        with tg.no_grad():
            pass
        with program.tracing():
            pass


@tg.no_grad()
def decorated() -> None:
    with tape.recording():
        pass


def again() -> None:
    block = tg.no_grad()
    with block:
        with tape.recording(), block:
            pass
        with block:
            pass


def observed() -> None:
    with tg.detect_anomaly():
        tg.exp(tg.tensor([1.0], requires_grad=True))
        with tg.detect_anomaly():
            pass


def other_backend() -> None:
    with tg.use_backend("numpy"), tg.use_backend("numpy"):
        pass


def quiet() -> None:
    with backends.get("numpy").quiet():
        tg.sigmoid(tg.tensor([1.0]))
    backends.get("numpy").quietly(np.exp, 1.0)


def collecting() -> None:
    with no_collection():
        pass


tg.random.seed(0)


LOSS = tg.checkpoint(lambda x: x * float(tg.random.generator().random()))(
    tg.tensor([1.0], requires_grad=True)
)


def checkpointed() -> None:
    LOSS.backward()  # draws again what it drew before, and puts it back


LAYERS = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def modules() -> None:
    with tg.no_grad():
        LAYERS(tg.zeros((1, 2)))


PROGRAMS = [nested, decorated, again, observed, other_backend, quiet, collecting, checkpointed, modules]


@BY_INSTRUCTIONS
@pytest.mark.parametrize("around", [contextlib.nullcontext, tg.no_grad], ids=["outside", "in a block"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_no_block_outlives_its_interruption(program, around):
    interrupter = Interrupter(BLOCKS, most=1)
    program()
    with around():
        before, places = state(), interrupter.places(program)
        assert len(places) > 20
        for place in places:
            assert interrupter.run(program, place)
            assert state() == before, place
