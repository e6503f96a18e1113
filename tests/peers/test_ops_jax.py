"""Value, vjp, jvp and Hessian-vector product of every function against JAX in float64."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.derived.calls import CALLS, A, C
from tinygrad_rnn import tree

pytestmark = pytest.mark.peer
jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jnp = jax.numpy
jsp = jax.scipy.special

nn = jax.nn
OTHERWISE_NAMED = {
    "sigmoid": ((A,), tg.sigmoid, nn.sigmoid),
    "softplus": ((A,), tg.softplus, nn.softplus),
    "relu": ((A,), tg.relu, nn.relu),
    "erf": ((A,), tg.erf, jsp.erf),
    "log_sigmoid": ((A,), tg.log_sigmoid, nn.log_sigmoid),
    "silu": ((A,), tg.silu, nn.silu),
    "gelu": ((A,), tg.gelu, lambda x: nn.gelu(x, approximate=False)),
    "leaky_relu": ((A,), lambda x: tg.leaky_relu(x, 0.2), lambda x: nn.leaky_relu(x, 0.2)),
    "elu": ((A,), lambda x: tg.elu(x, 1.3), lambda x: nn.elu(x, 1.3)),
    "hardtanh": ((A,), tg.hardtanh, nn.hard_tanh),
    "hard_sigmoid": ((A,), tg.hard_sigmoid, nn.hard_sigmoid),
    "softsign": ((A,), tg.softsign, nn.soft_sign),
    "softmax": ((C,), tg.softmax, nn.softmax),
    "softmax 1": ((C,), lambda x: tg.softmax(x, 1), lambda x: nn.softmax(x, 1)),
    "softmax two axes": ((C,), lambda x: tg.softmax(x, (0, 2)), lambda x: nn.softmax(x, (0, 2))),
    "log_softmax": ((C,), lambda x: tg.log_softmax(x, 1), lambda x: nn.log_softmax(x, 1)),
    "logsumexp": ((C,), tg.logsumexp, jsp.logsumexp),
    "logsumexp axis": ((C,), lambda x: tg.logsumexp(x, (0, 2), True),
    lambda x: jsp.logsumexp(x, (0, 2), keepdims=True)),
}  # fmt: skip


def _cases():
    for label, (xs, f) in CALLS.items():
        if label.startswith("std ()"):  # JAX has NaN where we have 0
            continue
        yield pytest.param(xs, lambda *xs, f=f: f(tg, *xs), lambda *xs, f=f: f(jnp, *xs), id=label)
    for label, (xs, ours, theirs) in OTHERWISE_NAMED.items():
        yield pytest.param(xs, ours, theirs, id=label)


def _close(ours, theirs):
    for a, b in zip(tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("xs", "ours", "theirs"), list(_cases()))
def test_value_vjp_jvp_and_hvp_are_jaxs(xs, ours, theirs):
    random = np.random.default_rng(0)
    vs = [random.standard_normal(x.shape) for x in xs]
    expected, pull = jax.vjp(theirs, *xs)
    us = [random.standard_normal(np.shape(y)) for y in jax.tree.leaves(expected)]
    u = list(us) if isinstance(expected, (list, tuple)) else us[0]
    tensors, tangents = tuple(tg.tensor(x) for x in xs), tuple(tg.tensor(v) for v in vs)
    residual = [tg.tensor(part) for part in us]

    y, our_pull = tg.vjp(ours, *tensors)
    _close(y, expected)
    _close(our_pull(residual), pull(u if isinstance(expected, (list, tuple)) else jnp.asarray(u)))
    _close(tg.jvp(ours, tensors, tangents)[1], jax.jvp(theirs, tuple(xs), tuple(vs))[1])

    def our_loss(*values):
        return sum((part * w).sum() for part, w in zip(tree.leaves(ours(*values)), residual, strict=True))

    def their_loss(*values):
        return sum((part * w).sum() for part, w in zip(jax.tree.leaves(theirs(*values)), us, strict=True))

    places = tuple(range(len(xs)))
    _close(
        tg.hvp(our_loss, tensors, tangents), jax.jvp(jax.grad(their_loss, places), tuple(xs), tuple(vs))[1]
    )
