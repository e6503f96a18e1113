"""Steps by machine code: NumPy's bits."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.parameters import all_options, set_grads
from tinygrad_rnn import optim
from tinygrad_rnn.backends.native import threads, thresholds
from tinygrad_rnn.optim import machine_code


def stepped(name, options, dtype, seed):
    """Parameters of several sizes and the optimiser's buffers after some steps, with a residual missing now
    and then."""
    rng = np.random.default_rng(seed)
    ps = [tg.nn.Parameter(rng.normal(size=shape), dtype) for shape in ((5, 7), (3,), (), (40, 30), (0, 2))]
    optimizer = getattr(optim, name)(ps, **options)
    for step in range(6):
        set_grads(ps, [None if i == step % 7 else rng.normal(size=p.shape) for i, p in enumerate(ps)])
        optimizer.lr *= 0.9
        optimizer.step()
    return [p.numpy() for p in ps], {
        key: buffer.numpy() for key, buffer in optimizer.state_dict()["buffers"].items()
    }


@pytest.mark.machine_code
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@all_options
def test_machine_code_gives_the_same_bits_as_numpy(monkeypatch, name, options, dtype, count):
    monkeypatch.setattr(threads, "threads", lambda: count)
    monkeypatch.setattr(thresholds, "PARALLEL_MIN_ELEMENTS", 0)
    machine_code.loops.clear()
    found = []
    for many in (1 << 60, 1):
        monkeypatch.setattr(machine_code, "LOOP_MIN_ELEMENTS", many)
        found.append(stepped(name, options, dtype, seed=4))
    assert all(not isinstance(loop, str) for loop in machine_code.loops.values())
    assert len(machine_code.loops) >= 1
    (ours, buffers), (theirs, other_buffers) = found
    assert buffers.keys() == other_buffers.keys()
    for a, b in zip([*ours, *buffers.values()], [*theirs, *other_buffers.values()], strict=True):
        np.testing.assert_array_equal(a, b)
