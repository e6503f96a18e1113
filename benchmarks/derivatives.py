"""Derivatives of derivatives through a scan: forward mode, forward over reverse and a gradient penalty beside
the same in jitted JAX."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from . import timing

T, B, H = 100, 32, 64
LIMITS = {"gradient": 1.0, "jvp": 1.2, "hvp": 1.5}
Run = Callable[[], object]


def _numbers(*shape: int) -> np.ndarray:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * 0.1).astype(np.float32)


X, ZERO = _numbers(T, B, H), np.zeros((B, H), np.float32)
WEIGHTS = [_numbers(H, H), _numbers(H, H) * 0.9, _numbers(H)]
DIRECTIONS = [_numbers(*w.shape) for w in WEIGHTS]


def ours() -> dict[str, Run]:
    xs, state = tg.tensor(X), tg.tensor(ZERO)

    def loss(W: Any, U: Any, b: Any) -> Any:
        def cell(x: Any, h: Any) -> Any:
            h = tg.tanh(x @ W + h @ U + b)
            return h, h

        return tg.sum(tg.scan(cell, xs, state)[0] ** 2)

    weights, directions = tuple(map(tg.tensor, WEIGHTS)), tuple(map(tg.tensor, DIRECTIONS))
    gradient = tg.grad(loss, (0, 1, 2))

    def penalty() -> object:
        """The gradient of |∂loss/∂weights|²: reverse over reverse."""
        return tg.grad(
            lambda *w: sum((tg.sum(g * g) for g in tg.grad(loss, (0, 1, 2))(*w)), tg.zeros(())), (0, 1, 2)
        )(*weights)

    return {
        "gradient": lambda: gradient(*weights),
        "jvp": lambda: tg.jvp(loss, weights, directions),
        "hvp": lambda: tg.hvp(loss, weights, directions),
        "penalty": penalty,
    }


def theirs() -> dict[str, Run]:
    import jax
    import jax.numpy as jnp

    def loss(weights: Any) -> Any:
        W, U, b = weights

        def step(h: Any, x: Any) -> Any:
            h = jnp.tanh(x @ W + h @ U + b)
            return h, h

        return (jax.lax.scan(step, ZERO, X)[1] ** 2).sum()

    def penalty(weights: Any) -> Any:
        return sum((g * g).sum() for g in jax.grad(loss)(weights))

    weights, directions = [*map(jnp.asarray, WEIGHTS)], [*map(jnp.asarray, DIRECTIONS)]
    functions: dict[str, Any] = {
        "gradient": lambda w, v: jax.grad(loss)(w),
        "jvp": lambda w, v: jax.jvp(loss, (w,), (v,)),
        "hvp": lambda w, v: jax.jvp(jax.grad(loss), (w,), (v,))[1],
        "penalty": lambda w, v: jax.grad(penalty)(w),
    }
    jitted = {name: jax.jit(f) for name, f in functions.items()}
    return {name: lambda f=f: jax.block_until_ready(f(weights, directions)) for name, f in jitted.items()}


def main() -> None:
    if importlib.util.find_spec("jax") is None:
        print("derivatives: JAX is not installed: pip install -e '.[bench]'")
        return
    print(
        f"derivatives through a tanh cell, T {T}, B {B}, H {H}, float32, milliseconds: ours / jitted JAX\n"
        f"{timing.machine()}"
    )
    mine, jitted = ours(), theirs()
    times = {}
    for name, run in mine.items():
        found = timing.medians({"ours": run, "theirs": jitted[name]})
        ratio, limit, times[name] = found["ours"] / found["theirs"], LIMITS.get(name, 1.5), found["ours"]
        print(
            f"  {name:<10}{found['ours']:8.2f} / {found['theirs']:.2f} = {ratio:.2f}  "
            f"({limit}{'' if ratio <= limit else ', missed'})"
        )
    second = times["hvp"] / times["gradient"]
    print(f"  hvp / gradient {second:.1f}  (4{'' if second <= 4 else ', missed'})")
    print(
        f"the last state of {H} units by the inputs of one sequence, T {T}, milliseconds: its Jacobian / "
        "the gradient of its sum"
    )
    for name in ("RNN", "LSTM", "GRU"):
        found = timing.medians(
            dict(zip(("jacobian", "gradient"), of_the_last_state(getattr(tg.nn, name)(H, H)), strict=True))
        )
        ratio = found["jacobian"] / found["gradient"]
        print(
            f"  {name:<10}{found['jacobian']:8.2f} / {found['gradient']:.2f} = {ratio:.1f}  "
            f"(8{'' if ratio <= 8 else ', missed'})"
        )


def of_the_last_state(layer: Any) -> tuple[Run, Run]:
    """The residuals of all its elements, and of their sum."""
    x = tg.tensor(X[:, :1])

    def last(x: Any) -> Any:
        return layer(x)[0][-1, 0]

    matrix, gradient = tg.jacobian(last), tg.grad(lambda x: tg.sum(last(x)))
    return lambda: matrix(x), lambda: gradient(x)
