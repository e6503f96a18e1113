"""A lower learning rate where the loss does not fall any more."""

from __future__ import annotations

import json
import math

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import optim


def made(rates=(1.0,), **options):
    sgd = optim.SGD([{"params": [tg.nn.Parameter(1.0)], "lr": rate} for rate in rates])
    return optim.PlateauLR(sgd, **options)


def rates(schedule, losses):
    found = []
    for loss in losses:
        schedule.step(loss)
        found.append(schedule.optimizer.groups[0].lr)
    return found


@pytest.mark.parametrize(
    ("options", "losses", "expected"),
    [
        ({"patience": 1}, [5, 5, 5, 5, 5], [1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 0}, [5, 4, 4, 3, 3], [1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 0, "mode": "max"}, [3, 4, 4, 3, 5], [1, 1, 0.5, 0.25, 0.25]),
        ({"patience": 0, "threshold": 0.25}, [8, 6.5, 6, 5, 4], [1, 0.5, 0.25, 0.25, 0.125]),
        (
            {"patience": 0, "threshold": 2, "threshold_mode": "abs"},
            [8, 6, 5, 3, 2],
            [1, 0.5, 0.5, 0.25, 0.25],
        ),
        ({"patience": 0, "cooldown": 2}, [5, 5, 5, 5, 5, 5], [1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 0, "min_lr": 0.4}, [5, 5, 5, 5], [1, 0.5, 0.4, 0.4]),
        ({"patience": 0, "eps": 0.3}, [5, 5, 5, 5], [1, 0.5, 0.5, 0.5]),
    ],
    ids=str,
)
def test_by_hand(options, losses, expected):
    assert rates(made(factor=0.5, **options), losses) == expected


def test_each_group_falls_from_its_own_rate_to_its_own_least():
    schedule = made((1.0, 0.5), factor=0.5, patience=0, min_lr=[0.3, 0.25])
    for expected in ([1.0, 0.5], [0.5, 0.25], [0.3, 0.25], [0.3, 0.25]):
        schedule.step(tg.tensor(1.0))
        assert [group.lr for group in schedule.optimizer.groups] == expected
    schedule.optimizer.lr = 8.0
    schedule.step(2.0)
    assert schedule.optimizer.lr == 4.0


def test_a_state_goes_on_bit_for_bit():
    losses = [5.0, 4.0, 4.5, 4.2, 4.1, 4.0, 3.0, 3.5, 3.1, 3.2, 3.3, 2.9, 3.0, 3.0]
    for stop in range(len(losses)):
        schedule, twin = (made((0.7, 0.3), factor=0.3, patience=1, cooldown=1) for _ in range(2))
        rates(schedule, losses[:stop])
        twin.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
        assert rates(twin, losses[stop:]) == rates(schedule, losses[stop:])
        assert twin.state_dict() == schedule.state_dict()


def test_what_is_refused_changes_nothing():
    schedule = made(patience=0)
    rates(schedule, [1.0, 1.0])
    before = schedule.state_dict()
    for loss in (math.nan, math.inf, "x", None, tg.tensor([1.0])):
        with pytest.raises(tg.ArgumentError, match="loss must be"):
            schedule.step(loss)
    for change in (
        {"lrs": [0.1, 0.2]},
        {"lrs": [-1.0]},
        {"best": math.nan},
        {"bad": -1},
        {"cooling": 0.5},
        {"more": 1},
    ):
        with pytest.raises(tg.CheckpointError, match="PlateauLR"):
            schedule.load_state_dict(before | change)
    assert schedule.state_dict() == before
    for options in ({"factor": 1.0}, {"mode": "least"}, {"min_lr": [0.1, 0.2]}, {"patience": -1}):
        with pytest.raises(tg.ArgumentError, match=next(iter(options))):
            made(**options)
