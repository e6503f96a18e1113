"""Value, vjp, jvp and Hessian-vector product of every function against JAX in float64: one line for each."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = [pytest.mark.peer, pytest.mark.one_backend]
jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jnp = jax.numpy
jsp = jax.scipy.special

_random = np.random.default_rng(5)


def real(*shape, low=-2.0, high=2.0):
    return _random.uniform(low, high, shape)


A, B, C = real(3, 4), real(3, 4), real(2, 3, 4)
SMALL, POSITIVE, ABOVE = real(3, 4, low=-0.9, high=0.9), real(3, 4, low=0.2, high=2), real(3, 4, low=1.2, high=3)
V, W, ROW, COLUMN, NUMBER = real(4), real(4), real(1, 4), real(3, 1), real()
SQUARE, SQUARES = real(3, 3) + 3 * np.eye(3), real(2, 3, 3) + 3 * np.eye(3)
TIES = np.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, 5.0, 2.0, 5.0]])
ZEROS = np.array([[2.0, 0.0, 3.0, 4.0], [0.0, 1.0, 0.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
INDEX, MASK = np.array([2, 0, 2]), np.array([True, False, True])
ALONG = np.array([[3, 0], [1, 1], [0, 2]])
CHOICE = A > 0

# name: operands, and the other arguments if JAX has the function under the same name
SAME = {
    **{name: [(A,)] for name in ["exp", "exp2", "expm1", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "arcsinh", "square", "abs"]},
    **{name: [(POSITIVE,)] for name in ["log", "log2", "log10", "log1p", "sqrt", "cbrt", "reciprocal"]},
    **{name: [(SMALL,)] for name in ["arcsin", "arccos", "arctanh", "negative", "positive"]},
    "arccosh": [(ABOVE,)],
    **{name: [(A, B), (C, COLUMN), (ROW, NUMBER)] for name in ["add", "subtract", "multiply", "arctan2", "hypot", "logaddexp", "maximum", "minimum"]},
    "divide": [(A, POSITIVE), (C, V + 4), (NUMBER, ABOVE)],
    "mod": [(A, POSITIVE)],
    "power": [(POSITIVE, A), (POSITIVE, V), (ABOVE, NUMBER)],
    "matmul": [(A, V), (V, A.T), (V, W), (A, B.T), (C, A.T), (C, V), (V, C.swapaxes(1, 2)), (real(5, 1, 2, 3), real(4, 3, 2)), (A, C.swapaxes(1, 2))],
    "dot": [(A, V), (V, W), (A, B.T), (NUMBER, A), (C, A.T), (C, C.swapaxes(1, 2))],
    "inner": [(A, B), (V, W), (C, A), (NUMBER, A)],
    "outer": [(V, W), (A, V)],
    "vdot": [(A, B)],
    "kron": [(A, SQUARE), (V, W), (V, A)],
    "ravel": [(C,)],
    "trace": [(SQUARE,), (C,)],
    "fliplr": [(A,)],
    "flipud": [(A,)],
    "atleast_1d": [(NUMBER,)],
    "atleast_2d": [(V,)],
    "diag": [(V,), (A,)],
    "linalg.inv": [(SQUARE,), (SQUARES,)],
    "linalg.det": [(SQUARE,), (SQUARES,)],
    "linalg.solve": [(SQUARE, A), (SQUARE, real(3)), (SQUARES, SQUARE), (SQUARES, real(2, 3, 1))],
}  # fmt: skip

# label: (operands, ours, theirs); theirs is ours with the other namespace where only one function is given
WITH_ARGUMENTS = {
    **{f"{name} {axis} {keep}": ((C,), lambda np, x, name=name, axis=axis, keep=keep: getattr(np, name)(x, axis=axis, keepdims=keep))
       for name in ["sum", "mean", "var", "std", "prod", "max", "min", "ptp"] for axis in [None, 0, -1, (0, 2), (1,)] for keep in [False, True]},
    **{f"{name} ddof": ((C,), lambda np, x, name=name: getattr(np, name)(x, axis=1, ddof=1)) for name in ["var", "std"]},
    "prod with zeros": ((ZEROS,), lambda np, x: np.prod(x, axis=1)),
    "prod all with zeros": ((ZEROS[2:],), lambda np, x: np.prod(x)),
    "cumsum": ((C,), lambda np, x: np.cumsum(x, axis=1)),
    "cumsum flat": ((C,), lambda np, x: np.cumsum(x)),
    "cumprod": ((C,), lambda np, x: np.cumprod(x, axis=1)),
    "cumprod flat": ((A,), lambda np, x: np.cumprod(x)),
    "diff": ((C,), lambda np, x: np.diff(x, axis=1)),
    "diff twice": ((C,), lambda np, x: np.diff(x, n=2)),
    "sort": ((C,), lambda np, x: np.sort(x, axis=1)),
    "sort flat": ((C,), lambda np, x: np.sort(x, axis=None)),
    "max of ties": ((TIES,), lambda np, x: np.max(x, axis=1)),
    "min of ties": ((TIES,), lambda np, x: np.min(x, axis=1)),
    "maximum of ties": ((TIES, TIES * 1), lambda np, x, y: np.maximum(x, y)),
    "minimum of ties": ((TIES, np.zeros((3, 4))), lambda np, x, y: np.minimum(x, y)),
    "clip": ((A,), lambda np, x: np.clip(x, -0.5, 0.7)),
    "clip below": ((A,), lambda np, x: np.clip(x, 0.1, None)),
    "where": ((A, B), lambda np, x, y: np.where(CHOICE, x, y)),
    "where row": ((V, NUMBER), lambda np, x, y: np.where(CHOICE, x, y)),
    "power number": ((POSITIVE,), lambda np, x: np.power(x, 2.5)),
    "power 3": ((A,), lambda np, x: np.power(x, 3)),
    "power of number": ((A,), lambda np, x: np.power(2.5, x)),
    "operators": ((A, POSITIVE), lambda np, x, y: (x * 2 - 3 / y) ** 2 + x / y - (-x) * y**-1 + 2.0**x + x % y),
    "reshape": ((C,), lambda np, x: np.reshape(x, (4, -1))),
    "transpose": ((C,), lambda np, x: np.transpose(x, (1, 2, 0))),
    "transpose all": ((C,), lambda np, x: np.transpose(x)),
    "swapaxes": ((C,), lambda np, x: np.swapaxes(x, 0, -1)),
    "moveaxis": ((C,), lambda np, x: np.moveaxis(x, 0, -1)),
    "moveaxis two": ((C,), lambda np, x: np.moveaxis(x, (0, 1), (2, 0))),
    "squeeze": ((COLUMN,), lambda np, x: np.squeeze(x)),
    "expand_dims": ((A,), lambda np, x: np.expand_dims(x, (0, -1))),
    "broadcast_to": ((COLUMN,), lambda np, x: np.broadcast_to(x, (2, 3, 4))),
    "flip": ((C,), lambda np, x: np.flip(x, (0, 2))),
    "flip all": ((C,), lambda np, x: np.flip(x)),
    "roll": ((C,), lambda np, x: np.roll(x, 2, 1)),
    "roll flat": ((C,), lambda np, x: np.roll(x, 5)),
    "roll two": ((C,), lambda np, x: np.roll(x, (1, -1), (0, 2))),
    "tile": ((A,), lambda np, x: np.tile(x, (2, 1, 3))),
    "repeat": ((A,), lambda np, x: np.repeat(x, 3, axis=1)),
    "repeat each": ((A,), lambda np, x: np.repeat(x, np.array([1, 0, 2]) if np is jnp else [1, 0, 2], axis=0)),
    "repeat flat": ((A,), lambda np, x: np.repeat(x, 2)),
    **{f"pad {mode}": ((A,), lambda np, x, mode=mode: np.pad(x, ((1, 2), (0, 3)), mode=mode)) for mode in ["constant", "edge", "reflect", "symmetric", "wrap"]},
    "pad with 2": ((A,), lambda np, x: np.pad(x, 1, constant_values=2.0)),
    "tril": ((C,), lambda np, x: np.tril(x, -1)),
    "triu": ((C,), lambda np, x: np.triu(x, 1)),
    "diag k": ((V,), lambda np, x: np.diag(x, -2)),
    "diagonal": ((C,), lambda np, x: np.diagonal(x, 1, 0, 2)),
    "trace offset": ((C,), lambda np, x: np.trace(x, -1, 1, 2)),
    "concatenate": ((A, ROW, B), lambda np, x, y, z: np.concatenate([x, y, z], axis=0)),
    "concatenate flat": ((A, V), lambda np, x, y: np.concatenate([x, y], axis=None)),
    "stack": ((A, B), lambda np, x, y: np.stack([x, y], axis=-1)),
    "vstack": ((A, V), lambda np, x, y: np.vstack([x, y])),
    "hstack": ((A, COLUMN), lambda np, x, y: np.hstack([x, y])),
    "split": ((A,), lambda np, x: [part * (i + 1.5) for i, part in enumerate(np.split(x, 2, axis=1))]),
    "split at": ((A,), lambda np, x: [part**2 for part in np.split(x, [1, 3], axis=1)]),
    "array_split": ((A,), lambda np, x: [part**2 for part in np.array_split(x, 3, axis=1)]),
    "take": ((A,), lambda np, x: np.take(x, INDEX, axis=1)),
    "take flat": ((A,), lambda np, x: np.take(x, INDEX)),
    "take_along_axis": ((A,), lambda np, x: np.take_along_axis(x, ALONG if np is jnp else tg.tensor(ALONG), axis=1)),
    "tensordot": ((C, A.T), lambda np, x, y: np.tensordot(x, y, 1)),
    "tensordot axes": ((C, A), lambda np, x, y: np.tensordot(x, y, ([1, 2], [0, 1]))),
    "tensordot 0": ((V, A), lambda np, x, y: np.tensordot(x, y, 0)),
    "average": ((C, V + 4), lambda np, x, w: np.average(x, axis=2, weights=w)),
    **{f"einsum {s}": (xs, lambda np, *xs, s=s: np.einsum(s, *xs)) for s, xs in {
        "ij,kj->ik": (A, B), "ij->ji": (A,), "ij->": (A,), "ij->j": (A,), "ii->i": (SQUARE,), "ii": (SQUARE,), "ij,ij": (A, B),
        "bij,jk": (C, A.T), "...ij,...j->...i": (C, V), "i...,i...->...": (C, C * 2), "ij,jk,kl->il": (A, B.T, A), "i,i,i->i": (V, W, V + 1),
        "ij,j,i->": (A, V, real(3)), "ii,i": (SQUARE, real(3)), "ba,bc": (A, B), "i,j->ji": (V, W), "ijk,lj->il": (C, SQUARE), "...->...": (C,),
        "bii->b": (SQUARES,), "...i,i": (C, V), "i,ij,j": (real(3), A, V)}.items()},
    **{f"getitem {i}": ((A,), lambda np, x, key=key: x[key]) for i, key in enumerate([
        0, -1, slice(1, None), slice(None, None, -1), slice(None, None, 2), (slice(None), 1), (..., 0), None, (0, None, slice(1, 3)), INDEX,
        (slice(None), INDEX), (INDEX, INDEX), MASK, (MASK, slice(None, None, -2)), (INDEX[:, None], np.array([1, 1])), (..., INDEX), (None, INDEX, None),
        (1, INDEX), (INDEX, 1), (slice(2), INDEX), np.array([[0, 1], [1, 2]]), slice(2, 2), ()])},
    **{f"norm {order} {axis} {keep}": ((x,), lambda np, x, o=order, a=axis, k=keep: np.linalg.norm(x, o, a, k)) for order, axis, keep, x in [
        (None, None, False, A), (None, None, True, C), (2, 1, False, A), (1, 0, True, A), (3, 1, False, A), (np.inf, 1, False, A), (-np.inf, 0, False, A),
        ("fro", None, False, A), ("fro", (0, 2), True, C), (1, None, False, A), (np.inf, (0, 1), False, C), (-1, (2, 0), False, C), (-np.inf, None, True, A), (0.5, 1, False, POSITIVE), (-2, 1, False, POSITIVE), (None, 1, False, C), (None, (0, 1), False, C)]},
    "nan_to_num": ((A,), lambda np, x: np.nan_to_num(x)),
    "where guards": ((ZEROS,), lambda np, x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0)),
}  # fmt: skip

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
    "logsumexp axis": ((C,), lambda x: tg.logsumexp(x, (0, 2), True), lambda x: jsp.logsumexp(x, (0, 2), keepdims=True)),
}  # fmt: skip


def _cases():
    for name, lines in SAME.items():
        for i, xs in enumerate(lines):
            yield pytest.param(xs, _named(tg, name), _named(jnp, name), id=f"{name} {i}")
    for label, (xs, f) in WITH_ARGUMENTS.items():
        yield pytest.param(xs, _in(tg, f), _in(jnp, f), id=label)
    for label, (xs, ours, theirs) in OTHERWISE_NAMED.items():
        yield pytest.param(xs, ours, theirs, id=label)


def _named(namespace, name):
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def _in(namespace, f):
    return lambda *xs: f(namespace, *xs)


def _close(ours, theirs):
    for a, b in zip(tg.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
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
        return sum((part * w).sum() for part, w in zip(tg.tree.leaves(ours(*values)), residual, strict=True))

    def their_loss(*values):
        return sum((part * w).sum() for part, w in zip(jax.tree.leaves(theirs(*values)), us, strict=True))

    places = tuple(range(len(xs)))
    _close(tg.hvp(our_loss, tensors, tangents), jax.jvp(jax.grad(their_loss, places), tuple(xs), tuple(vs))[1])
