"""Schedules of the learning rate."""

from __future__ import annotations

import json

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import optim


def rates(schedule, n):
    seen = []
    for _ in range(n):
        seen.append(schedule.optimizer.lr)
        schedule.step()
    return seen


def test_schedules():
    def optimizer():
        return optim.SGD([tg.nn.Parameter(1.0)], lr=2.0)

    assert rates(optim.StepLR(optimizer(), 2, 0.5), 5) == [2, 2, 1, 1, 0.5]
    assert rates(optim.CosineLR(optimizer(), 2, least=0.5), 4) == pytest.approx([2, 1.5, 1, 1])
    assert rates(optim.WarmupLR(optimizer(), 4), 6) == [0.5, 1, 1.5, 2, 2, 2]
    sgd = optimizer()
    assert rates(optim.WarmupLR(sgd, 2, then=optim.StepLR(sgd, 1, 0.5)), 5) == [1, 2, 2, 1, 0.5]


def test_schedule_state():
    sgd, other = (optim.SGD([tg.nn.Parameter(1.0)], lr=2.0) for _ in range(2))
    schedule, twin = optim.CosineLR(sgd, 10), optim.CosineLR(other, 10)
    rates(schedule, 4)
    twin.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    assert other.lr == sgd.lr
    assert rates(twin, 3) == rates(schedule, 3)
    with pytest.raises(tg.CheckpointError):
        twin.load_state_dict({"lr": 1})


class Halved(optim.Schedule):
    """Its first factor is not 1."""

    def factor(self, n):
        return 0.5 / (n + 1)


SCHEDULES = {
    "StepLR": lambda o: optim.StepLR(o, 2, 0.3),
    "ExponentialLR": lambda o: optim.ExponentialLR(o, 0.7),
    "LambdaLR": lambda o: optim.LambdaLR(o, lambda n: 1 / (2 + n)),
    "OneCycleLR": lambda o: optim.OneCycleLR(o, 0.7, 8, cycle_momentum=False),
    "SequentialLR": lambda o: optim.SequentialLR(
        o, [optim.StepLR(o, 1, 0.5), optim.CosineLR(o, 4), optim.ExponentialLR(o, 0.9)], [2, 5]
    ),
    "ChainedLR": lambda o: optim.ChainedLR(o, [optim.WarmupLR(o, 3), optim.ExponentialLR(o, 0.9)]),
    "CosineLR": lambda o: optim.CosineLR(o, 5, 0.1),
    "WarmupLR": lambda o: optim.WarmupLR(o, 3),
    "WarmupLR then": lambda o: optim.WarmupLR(o, 2, then=Halved(o)),
    "Halved": Halved,
}


def test_all_schedules_are_tried():
    assert {name for name in dir(optim) if name.endswith("LR")} - {"PlateauLR"} <= SCHEDULES.keys()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_after_the_warm_up_a_schedule_goes_as_it_would_alone(name, steps):
    def optimizer():
        return optim.SGD([tg.nn.Parameter(1.0)], lr=0.7)

    alone, o = rates(SCHEDULES[name](optimizer()), 8), optimizer()
    found = rates(optim.WarmupLR(o, steps, then=SCHEDULES[name](o)), steps + 8)
    assert found == pytest.approx([0.7 * (n + 1) / steps for n in range(steps)] + alone)


def test_a_warm_up_to_a_schedule_of_another_optimiser_has_its_own_rate():
    first, second = (optim.SGD([tg.nn.Parameter(1.0)], lr=lr) for lr in (0.1, 2.0))
    assert rates(optim.WarmupLR(second, 2, then=optim.StepLR(first, 1, 0.5)), 4) == [1.0, 2.0, 2.0, 1.0]


def test_a_schedule_that_leaves_the_numbers_stops_where_it_is():
    class Rising(optim.Schedule):
        def factor(self, n):
            return 1.0 - n

    optimizer = optim.SGD([tg.nn.Parameter(1.0)], lr=2.0)
    schedule = Rising(optimizer)
    schedule.step()
    with pytest.raises(tg.ArgumentError, match=r"factor\(2\) must be at least 0, not -1"):
        schedule.step()
    assert (schedule.count, optimizer.lr) == (1, 0.0)
    growing = optim.StepLR(optim.SGD([tg.nn.Parameter(1.0)], lr=1.0), 1, 10.0)
    for _ in range(308):
        growing.step()
    with pytest.raises(tg.ArgumentError, match="finite"):
        growing.step()
    assert growing.optimizer.lr == 1e308


def with_groups(*rates):
    return optim.SGD([{"params": [tg.nn.Parameter(1.0)], "lr": rate} for rate in rates])


def test_each_group_goes_from_its_own_first_rate():
    sgd = with_groups(1.0, 0.5)
    schedule = optim.LambdaLR(sgd, [lambda n: 1 / (1 + n), lambda n: 0.5**n])
    assert schedule.base_lrs == (1.0, 0.5)
    seen = []
    for _ in range(3):
        schedule.step()
        seen.append([group.lr for group in sgd.groups])
    assert seen == [[1 / 2, 0.25], [1 / 3, 0.125], [1 / 4, 0.0625]]
    with pytest.raises(tg.ArgumentError, match="differs between the groups"):
        schedule.factor(3)
    assert schedule.factor(0) == 1
    optim.CosineLR(sgd, 4)
    assert [group.lr for group in sgd.groups] == [1.0, 0.5]  # the first rates of the schedule before
    sgd.lr = 0.25
    assert optim.StepLR(sgd, 1).base_lrs == (0.25, 0.25)


def test_a_schedule_made_after_another_begins_where_that_began():
    """As PyTorch's initial_lr; a rate that was set since is a new beginning."""
    sgd = with_groups(2.0)
    for _ in range(3):
        optim.WarmupLR(sgd, 4)
    assert sgd.lr == 0.5
    assert optim.StepLR(sgd, 5).base_lrs == (2.0,)
    sgd.groups[0].lr = 0.7
    assert optim.StepLR(sgd, 5).base_lrs == (0.7,)


def test_joined_schedules_by_hand():
    sgd = with_groups(2.0, 1.0)
    joined = optim.SequentialLR(
        sgd, [optim.WarmupLR(sgd, 2), optim.StepLR(sgd, 1, 0.1), optim.ExponentialLR(sgd, 0.5)], [2, 4]
    )
    factors = [0.5, 1.0, 1.0, 0.1, 1.0, 0.5, 0.25]
    assert [joined.factor(n) for n in range(7)] == factors
    for factor in factors:
        assert [group.lr for group in sgd.groups] == [2 * factor, factor]
        joined.step()
    chained = optim.ChainedLR(sgd, [optim.StepLR(sgd, 2, 0.5), optim.WarmupLR(sgd, 4), joined])
    for n in range(8):
        factor = 0.5 ** (n // 2) * min((n + 1) / 4, 1) * joined.factor(n)
        assert [group.lr for group in sgd.groups] == pytest.approx([2 * factor, factor], rel=1e-15)
        chained.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_state_goes_on_bit_for_bit(name):
    first, second = with_groups(0.7, 0.7), with_groups(5.0, 3.0)
    schedule = SCHEDULES[name](first)
    for _ in range(3):
        schedule.step()
    twin = SCHEDULES[name](second)
    twin.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    for _ in range(4):
        assert [group.lr for group in first.groups] == [group.lr for group in second.groups]
        schedule.step()
        twin.step()


def test_wrong_schedules_are_refused():
    sgd, other = with_groups(1.0), with_groups(1.0)
    step, two = optim.StepLR(sgd, 2), with_groups(1.0, 1.0)
    for call, said in [
        (lambda: optim.StepLR(2.0, 2), "an optimiser with an lr"),
        (lambda: optim.SequentialLR(sgd, [step, step], []), "2 schedules need 1 milestones, not 0"),
        (lambda: optim.SequentialLR(sgd, [step] * 3, [3, 2]), "milestones must rise"),
        (lambda: optim.SequentialLR(sgd, [step], [-1]), r"milestones\[0\] must be at least 0"),
        (lambda: optim.SequentialLR(sgd, [optim.StepLR(other, 2)], []), "of another optimiser"),
        (lambda: optim.ChainedLR(sgd, [step, optim.PlateauLR(sgd)]), "another schedule"),
        (lambda: optim.ChainedLR(sgd, []), "schedules is empty"),
        (
            lambda: optim.ChainedLR(sgd, [step, optim.OneCycleLR(sgd, 3.0, 5, cycle_momentum=False)]),
            r"begins from other rates, \(3.0,\)",
        ),
        (lambda: optim.ChainedLR(sgd, [optim.OneCycleLR(sgd, 1.0, 5)]), "cycle_momentum=False"),
        (lambda: optim.WarmupLR(sgd, 2, then=optim.StepLR(two, 2)), "an optimiser with other groups"),
        (lambda: optim.LambdaLR(sgd, [len, len]), "one for each of 1 groups, not 2"),
        (lambda: optim.LambdaLR(sgd, 0.5), "lr_lambda must be"),
        (lambda: optim.LambdaLR(sgd, lambda n: -1.0), r"factor\(0\) must be at least 0"),
    ]:
        with pytest.raises(tg.ArgumentError, match=said):
            call()


def test_a_group_that_comes_later_asks_for_a_new_schedule():
    sgd = with_groups(1.0)
    schedule = optim.StepLR(sgd, 2)
    plateau = optim.PlateauLR(sgd, patience=0)
    plateau.step(1.0)
    sgd.add_group({"params": [tg.nn.Parameter(1.0)]})
    with pytest.raises(tg.ArgumentError, match="2 groups, the schedule 1: make it after the last"):
        schedule.step()
    with pytest.raises(tg.ArgumentError, match="2 groups, the schedule 1: make it after the last"):
        plateau.step(1.0)
    assert (schedule.count, plateau.bad) == (0, 0)
    assert [group.lr for group in sgd.groups] == [1.0, 1e-3]


def test_a_state_from_before_there_were_groups():
    sgd = with_groups(1.0)
    schedule = optim.StepLR(sgd, 1, 0.5)
    schedule.load_state_dict({"base_lr": 3.0, "count": 2})
    assert (sgd.lr, schedule.base_lrs) == (0.75, (3.0,))
    for state in ({"base_lrs": [1.0, 2.0], "count": 2}, {"base_lrs": 1.0, "count": 2}, {"base_lrs": [1.0]}):
        with pytest.raises(tg.CheckpointError):
            schedule.load_state_dict(state)
    assert sgd.lr == 0.75


def test_what_they_look_like():
    w = tg.zeros(3).requires_grad_()
    adam = optim.Adam([{"params": [w], "lr": 0.5}, {"params": [tg.zeros(2).requires_grad_()]}], lr=0.1)
    assert repr(adam).splitlines()[1].startswith("  3 numbers, lr=0.5, betas=(0.9, 0.999)")
    assert repr(optim.SGD([w], lr=0.5)).startswith("SGD(3 numbers, lr=0.5, momentum=0.0")
    schedule = optim.ExponentialLR(adam, 0.5)
    schedule.step()
    assert repr(schedule) == "ExponentialLR(after 1 steps, lr 0.25, 0.05)"
    assert repr(optim.PlateauLR(adam)) == "PlateauLR(patience 10, lr 0.25, 0.05)"
