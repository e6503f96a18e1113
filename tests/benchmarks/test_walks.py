"""What is counted on the way from a public call to the arrays."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from benchmarks import walks

pytestmark = pytest.mark.numpy_only


@pytest.fixture(autouse=True)
def nobody_holds_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each operation looks whether it is one of those."""
    monkeypatch.setattr("tinygrad_rnn.tape.record.exposed", {})


def test_the_way_of_a_tanh() -> None:
    x = tg.tensor(np.ones(3), requires_grad=True)
    way = walks.outline(lambda: tg.tanh(x)).splitlines()
    assert [line.split(":")[0] for line in way] == [
        "ops/operands.py", "  tape/record.py", "    tape/entry.py", "    tape/entry.py",
    ]  # fmt: skip
    walk = walks.walked(lambda: tg.tanh(x))
    assert (walk.calls, walk.functions, walk.stays, walk.rooms, walk.climbs, walk.returns) == (
        4,
        4,
        2,
        2,
        0,
        0,
    )


def test_a_room_that_is_left_and_entered_again_is_a_return() -> None:
    x = tg.tensor(np.ones(3), requires_grad=True)
    walk = walks.walked(lambda: (tg.tanh(x), tg.tanh(x)))
    assert (walk.calls, walk.functions, walk.stays, walk.rooms, walk.returns) == (8, 4, 4, 2, 2)


def test_a_tape_that_calls_a_scan_climbs() -> None:
    walk = walks.walked(walks.ways()["scan, backward"])
    assert walk.climbs == 1


def test_every_room_of_a_way_has_a_floor() -> None:
    floors = walks.floors()
    for way in walks.ways().values():
        assert {walks.room_of(code) for _, code in walks.calls_of(way)} <= floors.keys()
