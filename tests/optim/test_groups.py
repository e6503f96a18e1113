"""Groups of parameters with options of their own."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.parameters import OPTIONS, parameters, random_grads, set_grads
from tinygrad_rnn import optim
from tinygrad_rnn.optim import machine_code


def grouped(ps, **options):
    """Of a method: three parameters in two groups, the second with an lr of its own."""
    return [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.3, **options}]


@pytest.mark.both_backends
@pytest.mark.parametrize(("name", "options"), OPTIONS)
@pytest.mark.parametrize("many", [1 << 60, 1], ids=["arrays", "machine code"])
def test_each_group_goes_as_an_optimiser_of_its_own(monkeypatch, rng, name, options, many):
    """To the last bit, also where options are changed between steps."""
    monkeypatch.setattr(machine_code, "LOOP_MIN_ELEMENTS", many)
    make = getattr(optim, name)
    ours = parameters(rng)
    twins = [tg.nn.Parameter(p) for p in ours]
    together = make(grouped(ours, weight_decay=0.2), **options)
    alone = [make(twins[:1], **options), make(twins[1:], **{**options, "lr": 0.3, "weight_decay": 0.2})]
    for step in range(10):
        grads = random_grads(rng, step)
        set_grads(ours, grads)
        set_grads(twins, grads)
        if step == 4:
            together.groups[0].weight_decay = alone[0].weight_decay = 0.01
        if step == 7:
            together.lr = alone[0].lr = alone[1].lr = 0.02
        for optimizer in (together, *alone):
            optimizer.step()
        for p, q in zip(ours, twins, strict=True):
            assert np.array_equal(p.numpy(), q.numpy())


def test_sgd_with_groups_by_hand():
    """p ← p − lr · (g + decay · p) with each group's own numbers."""
    w, b, late = (tg.nn.Parameter(np.full(2, 2.0)) for _ in range(3))
    sgd = optim.SGD([{"params": w, "weight_decay": 0.5}, {"params": (b,), "lr": 0.25}], lr=0.5)
    for p in (w, b, late):
        p.grad = tg.ones(2, "float64")
    sgd.step()
    assert (w.numpy() == 2 - 0.5 * (1 + 0.5 * 2)).all()
    assert (b.numpy() == 2 - 0.25).all()
    sgd.groups[1].lr = 0.125
    sgd.add_group({"params": [late], "weight_decay": 0.0})
    before = w.numpy().copy(), b.numpy().copy()
    sgd.step()
    assert (w.numpy() == before[0] - 0.5 * (1 + 0.5 * before[0])).all()
    assert (b.numpy() == before[1] - 0.125).all()
    assert (late.numpy() == 2 - 0.5).all()
    assert [len(group.params) for group in sgd.groups] == [1, 1, 1]
    assert len(sgd.parameters) == 3


def test_what_a_group_does_not_say_is_the_optimisers():
    ps = [tg.nn.Parameter([1.0]) for _ in range(3)]
    adam = optim.Adam([{"params": ps[:1], "betas": [0.5, 0.6]}, {"params": ps[1:2]}], lr=0.1, eps=1e-3)
    assert [(g.lr, g.betas, g.eps) for g in adam.groups] == [
        (0.1, (0.5, 0.6), 1e-3),
        (0.1, (0.9, 0.999), 1e-3),
    ]
    adam.groups[0].lr = 0.7
    adam.eps = 1e-4
    adam.add_group({"params": ps[2:]})
    assert [(g.lr, g.eps) for g in adam.groups] == [(0.7, 1e-4), (0.1, 1e-4), (0.1, 1e-4)]
    assert repr(adam.groups[2]).startswith("Group(1 params, lr=0.1, betas=")


def test_an_option_that_differs_is_not_read_as_one():
    a, b = (tg.nn.Parameter([1.0]) for _ in range(2))
    sgd = optim.SGD([{"params": [a], "lr": 0.1}, {"params": [b]}], lr=0.2)
    assert sgd.momentum == 0
    with pytest.raises(tg.ArgumentError, match=r"lr differs between the groups: read optimizer\.groups\[i\]"):
        _ = sgd.lr
    sgd.lr = 0.5
    assert (sgd.lr, [group.lr for group in sgd.groups]) == (0.5, [0.5, 0.5])
    with pytest.raises(AttributeError, match="rate"):
        _ = sgd.rate
    with pytest.raises(AttributeError, match="'rate': it has params, lr, momentum"):
        _ = sgd.groups[0].rate


def test_wrong_groups_are_refused_whole(rng):
    a, b = (tg.nn.Parameter([1.0]) for _ in range(2))
    for given, said in [
        ([{"params": [a]}, {"params": [b, a]}], "one of them stands in two groups"),
        ([{"params": [a], "rate": 0.1}], "unknown option 'rate': there are lr, momentum"),
        ([{"params": []}], r'parameters\[0\]\["params"\] is empty'),
        ([{"params": [a]}, {"lr": 0.1}], r"parameters\[1\] has no tensors"),
        ([{"params": [a]}, b], r"parameters\[1\] must be a group: a dict"),
        ([a, {"params": [b]}], r"parameters\[0\] must be a group: a dict"),
        ({"params": [a]}, "write a list of groups"),
        ([{"params": tg.nn.Linear(2, 3)}], r"write its \.parameters\(\)"),
        ([{"params": [1.0]}], r'\["params"\]\[0\] must be a tensor'),
        ([{"params": [a * 2]}], "leaf tensors"),
        ([{"params": [a], "lr": -1.0}], "lr must be at least 0"),
        ([{"params": [a], "nesterov": True}], "nesterov needs a momentum"),
    ]:
        with pytest.raises(tg.ArgumentError, match=said):
            optim.SGD(given)
        if isinstance(given, list) and len(given) == 1:
            sgd = optim.SGD([b])
            before = sgd.state_dict()
            with pytest.raises(tg.ArgumentError):
                sgd.add_group(given[0])
            assert sgd.state_dict() == before
    sgd = optim.SGD([{"params": [a], "momentum": 0.9, "nesterov": True}, {"params": [b]}])
    for change in (
        lambda: setattr(sgd, "nesterov", True),  # the second group has no momentum
        lambda: setattr(sgd.groups[1], "nesterov", True),
        lambda: setattr(sgd.groups[0], "momentum", 0.0),
        lambda: setattr(sgd.groups[0], "rate", 0.0),
        lambda: setattr(sgd.groups[0], "params", ()),
    ):
        before = sgd.state_dict()
        with pytest.raises(tg.ArgumentError):
            change()
        assert sgd.state_dict() == before
    with pytest.warns(tg.ArgumentWarning, match="stands twice"):
        sgd.add_group({"params": [late := tg.nn.Parameter([1.0]), late]})


def test_a_state_has_its_groups_or_is_refused(rng):
    def made(groups):
        return optim.Adam(groups, lr=0.1)

    ps = parameters(rng)
    adam = made(grouped(ps))
    set_grads(ps, random_grads(rng, 4))
    adam.step()
    adam.groups[0].eps = 1e-3
    state = adam.state_dict()
    assert [group["params"] for group in state["groups"]] == [[0], [1, 2]]
    twins = [tg.nn.Parameter(p) for p in ps]
    twin = made(grouped(twins))
    twin.load_state_dict(state)
    assert [(g.lr, g.eps) for g in twin.groups] == [(0.1, 1e-3), (0.3, 1e-8)]
    grads = random_grads(rng, 2)
    for tensors, optimizer in ((ps, adam), (twins, twin)):
        set_grads(tensors, grads)
        optimizer.step()
    for p, q in zip(ps, twins, strict=True):
        assert np.array_equal(p.numpy(), q.numpy())
    for other in (made(twins), made([{"params": twins[:2]}, {"params": twins[2:]}])):
        before = other.state_dict()
        with pytest.raises(tg.CheckpointError, match=r"its groups have \[1, 2\] parameters, those here \["):
            other.load_state_dict(state)
        assert other.state_dict() == before
    for group, said in [
        ({"lr": 0.1}, "params"),
        ({**state["groups"][1], "rate": 1.0}, "unknown option 'rate'"),
        ({name: x for name, x in state["groups"][1].items() if name != "eps"}, "lacks the options eps"),
        ({**state["groups"][1], "amsgrad": True}, "lacks the buffers"),
        (3, r"groups\[1\] must be a dict"),
    ]:
        with pytest.raises(tg.CheckpointError, match=said):
            twin.load_state_dict({**state, "groups": [state["groups"][0], group]})
    with pytest.raises(tg.CheckpointError, match="groups must be"):
        twin.load_state_dict({**state, "groups": 3})


def test_a_state_from_before_there_were_groups_is_one_groups(rng):
    ps = parameters(rng)
    adam = optim.Adam(ps, lr=0.1, eps=1e-4)
    set_grads(ps, random_grads(rng, 4))
    adam.step()
    old = {part: held for part, held in adam.state_dict().items() if part != "groups"}
    twin = optim.Adam(ps, lr=0.5)
    twin.load_state_dict(old)
    assert (twin.lr, twin.eps) == (0.1, 1e-4)
    with pytest.raises(tg.CheckpointError, match="its groups have"):
        optim.Adam(grouped(ps)).load_state_dict(old)


@pytest.mark.machine_code
def test_groups_with_equal_options_share_a_loop(monkeypatch):
    """Rates are numbers of a loop, so even groups that differ only in these share the code."""
    monkeypatch.setattr(machine_code, "LOOP_MIN_ELEMENTS", 1)
    machine_code.loops.clear()
    runs, step = [], optim.SGD._step
    monkeypatch.setattr(
        optim.SGD, "_step", lambda self, members, *rest: [runs.append(members), step(self, members, *rest)]
    )
    ps = [tg.nn.Parameter(np.ones(100)) for _ in range(4)]
    sgd = optim.SGD(
        [
            {"params": ps[:1]},
            {"params": ps[1:2], "lr": 0.5},
            {"params": ps[2:3]},
            {"params": ps[3:], "lr": 0.5},
        ],
        lr=0.1,
    )
    for p in ps:
        p.grad = tg.ones(100, "float64")
    sgd.step()
    assert runs == [[0, 2], [1, 3]]
    assert len(machine_code.loops) == 1
    assert [p.numpy()[0] for p in ps] == [0.9, 0.5, 0.9, 0.5]


def test_a_copied_optimiser_has_groups_of_its_own():
    w = tg.nn.Parameter([1.0])
    sgd = optim.SGD([{"params": [w], "lr": 0.25}])
    twin = copy.deepcopy(sgd)
    twin.groups[0].lr = 0.5
    twin.parameters[0].grad = tg.tensor([1.0])
    twin.step()
    assert (sgd.lr, w.item(), twin.parameters[0].item()) == (0.25, 1.0, 0.5)
