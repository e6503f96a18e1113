"""What each method makes of a residual."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.parameters import SHAPES, all_options, parameters, random_grads, set_grads
from tinygrad_rnn import optim


@pytest.mark.peer
@all_options
def test_twenty_steps_equal_torch(rng, name, options):
    torch = pytest.importorskip("torch")
    ours = parameters(rng)
    theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in ours]
    optimizer = getattr(optim, name)(ours, **options)
    their_optimizer = getattr(torch.optim, {"RMSProp": "RMSprop"}.get(name, name))(theirs, **options)
    for step in range(20):
        grads = random_grads(rng, step)
        set_grads(ours, grads)
        for p, g in zip(theirs, grads, strict=True):
            p.grad = None if g is None else torch.tensor(g)
        optimizer.step()
        their_optimizer.step()
        for p, q in zip(ours, theirs, strict=True):
            assert abs(p.numpy() - q.detach().numpy()).max() < 1e-12


def test_nesterovs_rule_holds_for_changes_and_states(rng):
    ps = parameters(rng)
    plain, nesterov = optim.SGD(ps), optim.SGD(ps, momentum=0.9, nesterov=True)
    for optimizer, option, value in (
        (plain, "nesterov", True),
        (nesterov, "momentum", 0.0),
        (nesterov, "dampening", 0.1),
    ):
        before = optimizer.state_dict()["options"]
        with pytest.raises(tg.ArgumentError, match="nesterov needs a momentum"):
            setattr(optimizer, option, value)
        with pytest.raises(tg.CheckpointError, match="nesterov needs a momentum"):
            optimizer.load_state_dict({**optimizer.state_dict(), "options": {**before, option: value}})
        assert optimizer.state_dict()["options"] == before
    plain.load_state_dict(nesterov.state_dict())
    assert (plain.momentum, plain.nesterov) == (0.9, True)


@pytest.mark.both_backends
@all_options
def test_dtype_stays_and_parameters_without_residuals_too(rng, name, options):
    ps = parameters(rng, "float32")
    optimizer = getattr(optim, name)(ps, **options)
    optimizer.lr = np.float64(0.1)
    before = [p.numpy().copy() for p in ps]
    set_grads(ps, [np.ones((3, 2)), None, 1.0])
    optimizer.step()
    assert [(p.dtype, p.shape) for p in ps] == [(np.float32, shape) for shape in SHAPES]
    assert [np.array_equal(p.numpy(), b) for p, b in zip(ps, before, strict=True)] == [False, True, False]
    optimizer.zero_grad()
    assert all(p.grad is None for p in ps)


def test_a_step_leaves_a_live_tape_right():
    """The first-order pass reads what was recorded; passes that would read the parameter itself are
    refused."""
    w = tg.nn.Parameter([2.0, 3.0])
    optimizer = optim.SGD([w], lr=0.1)
    loss, kept = tg.sum(w**3), tg.sum(tg.checkpoint(lambda x: tg.tanh(x * w))(tg.tensor([1.0, 2.0])))
    loss.backward()
    first = w.grad.numpy().copy()
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    assert np.array_equal(w.grad.numpy(), first)
    with pytest.raises(tg.TapeError, match="optimiser's step"):
        loss.backward(create_graph=True)
    with pytest.raises(tg.TapeError, match="optimiser's step"):
        kept.backward()


@pytest.mark.both_backends
@all_options
def test_float16_stays_where_no_residual_arrives(name, options):
    """The usual eps is 0 in float16, and 0 / 0 was NaN."""
    layer = tg.nn.Embedding(4, 2, dtype="float16")
    before = layer.weight.numpy().copy()
    optimizer = getattr(optim, name)(layer.parameters(), **{**options, "weight_decay": 0.0})
    for _ in range(3):
        layer.zero_grad()
        tg.sum(layer(tg.tensor([1, 2]))).backward()
        optimizer.step()
    assert layer.weight.dtype == np.float16
    moved = (layer.weight.numpy() != before).any(axis=1)
    assert moved.tolist() == [False, True, True, False]
    assert np.isfinite(layer.weight.numpy()).all()


@pytest.mark.peer
@all_options
def test_float16_is_a_float32_step_that_is_rounded(rng, name, options):
    """As a step of PyTorch's in float32 from the rounded parameter, for twenty steps."""
    torch = pytest.importorskip("torch")
    values = rng.normal(size=(3, 4)).astype(np.float16)
    p, q = tg.nn.Parameter(values), torch.tensor(values.astype(np.float32), requires_grad=True)
    ours = getattr(optim, name)([p], **options)
    theirs = getattr(torch.optim, {"RMSProp": "RMSprop"}.get(name, name))([q], **options)
    for _ in range(20):
        g = (rng.normal(size=(3, 4)) * 10.0 ** rng.integers(-6, 2, (3, 4))).astype(np.float16)
        p.grad, q.grad = tg.tensor(g), torch.tensor(g.astype(np.float32))
        ours.step()
        theirs.step()
        with torch.no_grad():
            q.copy_(q.half().float())
        np.testing.assert_allclose(p.numpy().astype(float), q.detach().numpy(), rtol=2**-10, atol=2**-24)


@pytest.mark.parametrize("size", [3, 10_000])
def test_a_parameter_that_is_given_twice_is_stepped_twice(size):
    """Each time from where the time before left it: p ← (1 − lr · decay) p, as the residual is 0."""
    p = tg.tensor(np.ones(size), requires_grad=True)
    with pytest.warns(tg.ArgumentWarning, match="stands twice"):
        optimizer = optim.SGD([p, p], lr=0.1, weight_decay=1.0)
    for n in (1, 2, 3):
        p.grad = tg.tensor(np.zeros(size))
        optimizer.step()
        np.testing.assert_allclose(p.numpy(), 0.9 ** (2 * n), rtol=1e-14)
