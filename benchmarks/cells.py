"""Cells that are no rows of a batch, and cells with one thing changed: beside the tanh cell, and beside JAX's
jitted scan.

Milliseconds of forward + backward in float32. The first table compares with the plain cell h = tanh(x W + h U
+ b) of the same sizes, the second with the same equations in JAX, and one of them with loops by hand,
compiled by numba.
"""

from __future__ import annotations

import importlib.util
import types
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import tree

from .timing import machine, medians

T, B, H = 100, 32, 128

Run = Callable[[], object]


def _random(*shape: int) -> np.ndarray:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * 0.1).astype(np.float32)


def _parameter(*shape: int) -> Any:
    return tg.tensor(_random(*shape), requires_grad=True)


def _training(cell: Any, xs: Any, state: Any, parameters: list[Any]) -> Run:
    """A forward and a backward pass."""

    def run() -> None:
        ys, _ = tg.scan(cell, xs, state, compiled=True)
        tg.sum(ys * ys).backward()
        for p in parameters:
            p.grad = None

    return run


# -- one thing changed ---------------------------------------------------------------------------------------

BENT: dict[str, tuple[float, Callable[[Any], Any]]] = {
    **{
        name: (2.0, getattr(tg, name))
        for name in ("sigmoid", "softplus", "sin", "erf", "gelu", "arctan", "arcsinh", "cbrt")
    },
    "softmax": (2.0, lambda a: tg.softmax(a, axis=1)),
    "logsumexp": (2.0, lambda a: 0.1 * (a - tg.logsumexp(a, axis=1, keepdims=True))),
    "norm": (2.0, lambda a: a / tg.norm(a, axis=1, keepdims=True)),
    "std": (2.0, lambda a: a / (tg.std(a, axis=1, keepdims=True) + 1e-3)),
}
"""In the place of tanh, and how many times as long it may take."""

SPELLED: dict[str, Callable[[Any, Any], Any]] = {
    "einsum bi,io->bo": lambda a, W: tg.einsum("bi,io->bo", a, W),
    "einsum io,bi->bo": lambda a, W: tg.einsum("io,bi->bo", W, a),
    "tensordot": lambda a, W: tg.tensordot(a, W, axes=1),
    "columns": lambda a, W: (W.T @ a.T).T,
}
"""In the place of @; each may take 1.1 times as long."""


def changed() -> None:
    """The first table."""
    W, U, b = _parameter(H, H), _parameter(H, H), _parameter(H)
    parameters = [W, U, b]
    xs, state = tg.tensor(_random(T, B, H)), tg.zeros((B, H))

    def like(bend: Callable[[Any], Any] = tg.tanh, product: Callable[[Any, Any], Any] = tg.matmul) -> Run:
        def cell(x: Any, h: Any) -> Any:
            h = bend(product(x, W) + product(h, U) + b)
            return h, h

        return _training(cell, xs, state, parameters)

    table = _parameter(50, H)
    ids = tg.tensor(np.random.default_rng(0).integers(0, 50, (T, B)))

    def inside(k: Any, h: Any) -> Any:
        h = tg.tanh(tg.take(table, k, axis=0) @ W + h @ U + b)
        return h, h

    def plain(x: Any, h: Any) -> Any:
        h = tg.tanh(x @ W + h @ U + b)
        return h, h

    def before() -> None:
        ys, _ = tg.scan(plain, tg.take(table, ids, axis=0), state, compiled=True)
        tg.sum(ys * ys).backward()
        for p in (*parameters, table):
            p.grad = None

    print(f"\ncells: one thing changed, T {T}, B {B}, H {H}; ours / the tanh cell")
    pairs: dict[str, tuple[float, Run, Run]] = {
        name: (bar, like(f), like()) for name, (bar, f) in BENT.items()
    }
    pairs |= {name: (1.1, like(product=f), like()) for name, f in SPELLED.items()}
    pairs["ids inside / embedded before"] = 1.5, _training(inside, ids, state, [*parameters, table]), before
    one = tg.tensor(_random(T, H))
    rows = _training(plain, tg.tensor(_random(T, 1, H)), tg.zeros((1, H)), parameters)
    pairs["(H,) / (1, H)"] = 1.2, _training(plain, one, tg.zeros(H), parameters), rows
    gains, decays = tg.tensor(_random(T, 1024)), tg.tensor(_random(T, 1024, 1))
    pairs["(B,) / (B, 1), B 1024"] = (
        1.2,
        _training(_leaky, gains, _parameter(1024), []),
        _training(_leaky, decays, _parameter(1024, 1), []),
    )
    for name, (bar, ours, theirs) in pairs.items():
        _compared(name, bar, ours, theirs)


def _leaky(x: Any, h: Any) -> Any:
    h = 0.9 * h + tg.tanh(x * h)
    return h, h


# -- beside JAX ----------------------------------------------------------------------------------------------


def _gla(np: Any, x: Any, S: Any, p: Any) -> Any:
    k, v, q, a = x
    S = S * a[:, :, None] + k[:, :, None] * v[:, None, :]
    return np.einsum("bn,bnd->bd", q, S), S


def _delta_net(np: Any, x: Any, S: Any, p: Any) -> Any:
    k, v, q, beta = x
    S = S + (beta * k)[:, :, None] * (v - np.einsum("bn,bnd->bd", k, S))[:, None, :]
    return np.einsum("bn,bnd->bd", q, S), S


def _s6(np: Any, x: Any, h: Any, p: Any) -> Any:
    u, dt, b, c = x
    h = np.exp(dt[:, :, None] * p[0]) * h + (dt * u)[:, :, None] * b[:, None, :]
    return np.sum(h * c[:, None, :], -1), h


def _s4d(np: Any, x: Any, h: Any, p: Any) -> Any:
    A, b, c = p
    h = A * h + x[0][:, :, None] * b
    return np.sum(h * c, -1), h


def _min_gru(np: Any, x: Any, h: Any, p: Any) -> Any:
    z = _sigmoid(np, x[0] @ p[0])
    h = h + z * (x[0] @ p[1] - h)
    return h, h


def _sru(np: Any, x: Any, c: Any, p: Any) -> Any:
    W, F, R, f, r = p
    f, r = _sigmoid(np, x[0] @ F + f), _sigmoid(np, x[0] @ R + r)
    c = f * c + (1 - f) * (x[0] @ W)
    return r * np.tanh(c) + (1 - r) * x[0], c


def _sigmoid(np: Any, a: Any) -> Any:
    return 0.5 * np.tanh(0.5 * a) + 0.5


def _hmm(np: Any, x: Any, a: Any, p: Any) -> Any:
    a = np.logsumexp(a[:, :, None] + p[0][None], axis=1) + x[0]
    return a, a


def _hmm_by_hand(np: Any, x: Any, a: Any, p: Any) -> Any:
    z = a[:, :, None] + p[0][None]
    m = np.max(z, axis=1, keepdims=True)
    a = (m + np.log(np.sum(np.exp(z - m), axis=1, keepdims=True)))[:, 0] + x[0]
    return a, a


def _mlstm(np: Any, x: Any, s: Any, p: Any) -> Any:
    k, v, q, i, f = x
    C, n = s
    C = f[:, :, None] * C + i[:, :, None] * (v[:, :, None] * k[:, None, :])
    n = f * n + i * k
    h = np.einsum("bij,bj->bi", C, q) / np.maximum(np.abs(np.sum(n * q, axis=1, keepdims=True)), 1.0)
    return h, [C, n]


def _attention(np: Any, x: Any, h: Any, p: Any) -> Any:
    W, U, M, V = p
    e = np.einsum("bd,bld->bl", h @ V, M)
    e = np.exp(e - np.max(e, axis=1, keepdims=True))
    c = np.einsum("bl,bld->bd", e / np.sum(e, axis=1, keepdims=True), M)
    h = np.tanh(x[0] @ W + c @ U)
    return h, h


def _gates(*shape: int) -> np.ndarray:
    return 1 / (1 + np.exp(-10 * _random(*shape)))


LITERATURE: dict[str, tuple[float, Callable[..., Any], list[np.ndarray], Any, list[np.ndarray]]] = {
    "gated linear attention": (
        1.0,
        _gla,
        [_random(T, B, 32)] * 3 + [_gates(T, B, 32)],
        _random(B, 32, 32) * 0,
        [],
    ),
    "DeltaNet": (1.0, _delta_net, [_random(T, B, 32)] * 3 + [_gates(T, B, 1)], _random(B, 32, 32) * 0, []),
    "S6": (
        1.0,
        _s6,
        [_random(T, B, 64), _gates(T, B, 64), *[_random(T, B, 16)] * 2],
        _random(B, 64, 16) * 0,
        [-abs(_random(64, 16))],
    ),
    "S4D": (1.0, _s4d, [_random(T, B, 64)], _random(B, 64, 16) * 0, [_gates(64, 16), *[_random(64, 16)] * 2]),
    "minGRU": (1.0, _min_gru, [_random(T, B, H)], _random(B, H) * 0, [_random(H, H)] * 2),
    "SRU": (1.0, _sru, [_random(T, B, H)], _random(B, H) * 0, [*[_random(H, H)] * 3, *[_random(H)] * 2]),
    "HMM by logsumexp": (0.3, _hmm, [_random(T, B, 32)], _random(B, 32) * 0, [_random(32, 32)]),
    "HMM, logsumexp written out": (
        0.3,
        _hmm_by_hand,
        [_random(T, B, 32)],
        _random(B, 32) * 0,
        [_random(32, 32)],
    ),
    "mLSTM": (
        1.0,
        _mlstm,
        [*[_random(T, B, 32)] * 3, *[_gates(T, B, 1)] * 2],
        [_random(B, 32, 32) * 0, _random(B, 32) * 0],
        [],
    ),
    "attention decoder": (
        1.0,
        _attention,
        [_random(T, B, 32)],
        _random(B, 64) * 0,
        [_random(32, 64), _random(64, 64), _random(B, 20, 64), _random(64, 64)],
    ),
}
"""The ratio to reach, the cell, xs, the state before the first step, and weights."""


def _ours(cell: Any, xs: list[Any], state: Any, parameters: list[Any]) -> Run:
    return _training(lambda x, s: cell(tg, x, s, parameters), xs, state, [*xs, *parameters])


def _theirs(cell: Any, xs: Any, state: Any, weights: Any) -> Run:
    import jax
    import jax.numpy as jnp

    names = types.SimpleNamespace(**vars(jnp), logsumexp=jax.nn.logsumexp)

    def loss(weights: Any, xs: Any, state: Any) -> Any:
        _, ys = jax.lax.scan(lambda s, x: cell(names, x, s, weights)[::-1], state, xs)
        return jnp.sum(ys**2)

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    given = jax.tree_util.tree_map(lambda x: jnp.asarray(x, jnp.float32), (weights, xs, state))
    return lambda: jax.block_until_ready(gradient(*given))


def _ours_of(name: str) -> Run:
    _, cell, xs, state, weights = LITERATURE[name]
    ours = [tg.tensor(x, np.float32, requires_grad=True) for x in xs]
    parameters = [tg.tensor(w, requires_grad=True) for w in weights]
    return _ours(cell, ours, tree.map_leaves(lambda leaf: tg.tensor(leaf, np.float32), state), parameters)


def literature() -> None:
    """The second table."""
    if importlib.util.find_spec("jax") is None:
        print("\ncells: JAX is not installed: pip install -e '.[bench]'")
        return
    print("\ncells: of the literature; ours / jitted JAX")
    for name, (bar, cell, *given) in LITERATURE.items():
        _compared(name, bar, _ours_of(name), _theirs(cell, *given))


def by_hand() -> None:
    """The third table."""
    if importlib.util.find_spec("numba") is None:
        print("\ncells: numba is not installed: pip install -e '.[bench]'")
        return
    from .s6_by_numba import gradients

    _, _, xs, state, weights = LITERATURE["S6"]
    arrays = [np.asarray(x, np.float32) for x in (*xs, state, *weights)]
    print("\ncells: beside loops by hand, compiled by numba, on all cores")
    _compared("S6", 1.3, _ours_of("S6"), lambda: gradients(arrays[:4], *arrays[4:]))


def _compared(name: str, bar: float, ours: Run, theirs: Run) -> None:
    found = medians({"ours": ours, "theirs": theirs})
    ratio = found["ours"] / found["theirs"]
    print(
        f"  {name:32}{found['ours']:8.2f} / {found['theirs']:.2f} = {ratio:.2f}, at most "
        f"{bar:g}{'' if ratio <= bar else '  MISSED'}"
    )


def main() -> None:
    print(machine())
    changed()
    literature()
    by_hand()
