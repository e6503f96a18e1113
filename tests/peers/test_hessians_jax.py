"""Second derivatives of recurrent layers beside JAX's, of the same equations, in float64: Hessian-vector
products by both orders of the modes, with respect to the input and to all weights."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

pytestmark = pytest.mark.peer
jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jnp, lax, sigmoid = jax.numpy, jax.lax, jax.nn.sigmoid

T, B, D, H = 5, 2, 3, 4


def gates(w, x, h):
    return x @ w["weight_ih_l0"].T + w["bias_ih_l0"], h @ w["weight_hh_l0"].T + w["bias_hh_l0"]


def rnn(w, x, state):
    a, b = gates(w, x, state[0])
    return (jnp.tanh(a + b),)


def lstm(w, x, state):
    h, c = state
    a, b = gates(w, x, h)
    i, f, g, o = jnp.split(a + b, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
    return sigmoid(o) * jnp.tanh(c), c


def peephole(w, x, state):
    h, c = state
    a, b = gates(w, x, h)
    i, f, g, o = jnp.split(a + b, 4, -1)
    c = sigmoid(f + w["p_f_l0"] * c) * c + sigmoid(i + w["p_i_l0"] * c) * jnp.tanh(g)
    return sigmoid(o + w["p_o_l0"] * c) * jnp.tanh(c), c


def gru(w, x, state):
    (h,) = state
    (ra, za, na), (rb, zb, nb) = (jnp.split(part, 3, -1) for part in gates(w, x, h))
    r, z = sigmoid(ra + rb), sigmoid(za + zb)
    return ((1 - z) * jnp.tanh(na + r * nb) + z * h,)


KINDS = {
    "RNN": (nn.RNN, rnn),
    "LSTM": (nn.LSTM, lstm),
    "PeepholeLSTM": (nn.PeepholeLSTM, peephole),
    "GRU": (nn.GRU, gru),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_hessians_of_layers_are_jaxs(kind, reverse, rng):
    make, step = KINDS[kind]
    layer = make(D, H, dtype="float64", reverse=reverse)
    names = [name for name, _ in layer.named_parameters()]
    if kind == "PeepholeLSTM":
        for name in names:
            if name.startswith("p_"):
                getattr(layer, name).data = rng.normal(size=H)
    arrays = [rng.normal(size=(T, B, D)), *(p.numpy() for p in layer.parameters())]
    along = [rng.normal(size=a.shape) for a in arrays]
    states = 2 if "LSTM" in kind else 1

    def theirs(x, *weights):
        w = dict(zip(names, weights, strict=True))
        zeros = (jnp.zeros((B, H)),) * states

        def each(state, x):
            state = step(w, x, state)
            return state, state[0]

        last, y = lax.scan(each, zeros, x, reverse=reverse)
        return jnp.sum(jnp.sin(y) * y) + sum(jnp.sum(s**3) for s in last)

    def ours(x, *weights):
        for name, weight in zip(names, weights, strict=True):
            setattr(layer, name, weight)
        y, last = layer(x)
        last = last if isinstance(last, tuple) else (last,)
        return tg.sum(tg.sin(y) * y) + sum((tg.sum(s**3) for s in last), 0.0)

    places = tuple(range(len(arrays)))
    expected = jax.jvp(jax.grad(theirs, places), tuple(arrays), tuple(along))[1]
    tensors, vs = [tuple(tg.tensor(a) for a in each) for each in (arrays, along)]
    reverse_over_forward = tg.grad(lambda *xs: tg.jvp(ours, xs, vs)[1], argnums=places)(*tensors)
    for found in (tg.hvp(ours, tensors, vs), reverse_over_forward):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-9, atol=1e-10)
