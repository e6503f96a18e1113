"""The sequence compiler beside PyTorch's fused layers, PyTorch eager and a jitted JAX scan: same weights,
losses compared before timing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from . import eager, timing

SIZES = [(32, 16, 32, 32), (100, 32, 64, 128), (100, 64, 256, 512), (500, 1, 16, 64)]
LIMITS = {
    "LSTM": (0.6, 1.0, 0.95, 0.4),
    "GRU": (0.2, 0.5, 0.95, 0.05),
    "RNN": (0.35, 0.45, 0.95, 0.08),
    "user": (0.12, 0.16, 0.15, 0.02),
    "JAX": (0.6, 0.5, 0.75, 0.6),
}
Run = Callable[[], float]


def layer_pass(layer: Any, x: Any) -> Run:
    """One forward and backward pass of Σ y² through a layer of ours."""

    def run() -> Any:
        layer.zero_grad()
        x.grad = None
        y, _ = layer(x)
        loss = tg.sum(y * y)
        loss.backward()
        return loss

    return run


def layer_pair(kind: str, size: tuple[int, ...], dtype: str = "float32", **options: Any) -> tuple[Run, Run]:
    """Ours and PyTorch's layer of the same weights and options: one forward and backward pass of Σ y², to x,
    weights and biases."""
    import torch

    steps, batch, inputs, hidden = size
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(inputs, hidden, **options).to(getattr(torch, dtype))
    ours = getattr(tg.nn, kind)(inputs, hidden, dtype=dtype, **options)
    ours.load_state_dict(theirs.state_dict())
    shape = (batch, steps, inputs) if options.get("batch_first") else (steps, batch, inputs)
    data = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x, x_theirs = tg.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)

    def run_theirs() -> Any:
        theirs.zero_grad()
        x_theirs.grad = None
        y, _ = theirs(x_theirs)
        loss = (y * y).sum()
        loss.backward()
        return loss

    return layer_pass(ours, x), run_theirs


def user_cells(size: tuple[int, ...]) -> tuple[Run, Run, Run]:
    """A peephole cell written by hand: through ``scan`` here, eagerly in PyTorch; and the built-in one."""
    import torch

    steps, batch, inputs, hidden = size
    random = np.random.default_rng(0)
    shapes = {"W": (inputs, 4 * hidden), "U": (hidden, 4 * hidden), "b": (4 * hidden,)} | dict.fromkeys(
        ("p_i", "p_f", "p_o"), (hidden,)
    )
    start = {k: (random.standard_normal(s) / np.sqrt(hidden)).astype(np.float32) for k, s in shapes.items()}
    data = random.standard_normal((steps, batch, inputs)).astype(np.float32)
    p = {k: tg.tensor(w, requires_grad=True) for k, w in start.items()}
    q = {k: torch.tensor(w, requires_grad=True) for k, w in start.items()}
    x, x_theirs = tg.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    zero, zero_theirs = tg.zeros((batch, hidden)), torch.zeros(batch, hidden)

    def cell(x: Any, state: Any) -> Any:
        h, c = eager.peephole(tg, lambda z: tg.split(z, 4, axis=-1), p, x, *state)
        return h, (h, c)

    def run_ours() -> Any:
        for w in (*p.values(), x):
            w.grad = None
        y, _ = tg.scan(cell, x, (zero, zero))
        loss = tg.sum(y * y)
        loss.backward()
        return loss

    def run_theirs() -> Any:
        for w in (*q.values(), x_theirs):
            w.grad = None
        h = c = zero_theirs
        ys = []
        for x_t in x_theirs.unbind():
            h, c = eager.peephole(torch, lambda z: z.chunk(4, -1), q, x_t, h, c)
            ys.append(h)
        y = torch.stack(ys)
        loss = (y * y).sum()
        loss.backward()
        return loss

    return run_ours, run_theirs, layer_pass(tg.nn.PeepholeLSTM(inputs, hidden), x)


def jax_lstm(size: tuple[int, ...]) -> Run:
    """A jitted ``lax.scan`` of an LSTM with PyTorch's weights."""
    import jax
    import jax.numpy as jnp
    import torch

    steps, batch, inputs, hidden = size
    torch.manual_seed(0)
    weights = [jnp.asarray(w.detach().numpy()) for w in torch.nn.LSTM(inputs, hidden).parameters()]
    data = jnp.asarray(np.random.default_rng(0).standard_normal((steps, batch, inputs)).astype(np.float32))

    def loss_of(w: Any, x: Any) -> Any:
        def step(state: Any, x_t: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(x_t @ w[0].T + h @ w[1].T + w[2] + w[3], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((batch, hidden), jnp.float32)
        _, y = jax.lax.scan(step, (zero, zero), x)
        return (y * y).sum()

    both = jax.jit(jax.value_and_grad(loss_of, argnums=(0, 1)))

    def run() -> Any:
        loss, gradients = both(weights, data)
        jax.block_until_ready(gradients)
        return loss

    return run


def measure(size: tuple[int, ...], seconds: float) -> dict[str, tuple[float, float]]:
    """For each comparison our time and theirs, in milliseconds."""
    runs: dict[str, Run] = {}
    for kind in ("LSTM", "GRU", "RNN"):
        runs[kind], runs[f"torch {kind}"] = layer_pair(kind, size)
    runs["user"], runs["torch user"], runs["peephole"] = user_cells(size)
    runs["JAX"] = jax_lstm(size)
    for one, other in (
        ("LSTM", "torch LSTM"),
        ("GRU", "torch GRU"),
        ("RNN", "torch RNN"),
        ("user", "torch user"),
        ("LSTM", "JAX"),
    ):
        a, b = _number(runs[one]()), _number(runs[other]())
        assert abs(a - b) <= 1e-3 * abs(b), f"{one} and {other} compute different losses: {a}, {b}"
    found = timing.medians(runs, seconds)
    return {
        "LSTM": (found["LSTM"], found["torch LSTM"]),
        "GRU": (found["GRU"], found["torch GRU"]),
        "RNN": (found["RNN"], found["torch RNN"]),
        "user": (found["user"], found["torch user"]),
        "JAX": (found["LSTM"], found["JAX"]),
        "user / built-in": (found["user"], found["peephole"]),
        "user / LSTM": (found["user"], found["LSTM"]),
    }


def _number(loss: Any) -> float:
    return float(loss.detach()) if hasattr(loss, "detach") else float(loss)


def main(seconds: float = 1.0) -> None:
    print(f"forward + backward, float32, milliseconds: ours / theirs = ratio (limit)\n{timing.machine()}")
    for i, size in enumerate(SIZES):
        print(f"T, B, I, H = {size}")
        for name, (ours, theirs) in measure(size, seconds).items():
            limit = LIMITS[name][i] if name in LIMITS else 1.1 if name == "user / built-in" else 1.15
            print(
                f"  {name:<16}{ours:9.2f} /{theirs:9.2f} = {ours / theirs:5.2f}  "
                f"({limit}{'' if ours <= limit * theirs else ', missed'})"
            )


if __name__ == "__main__":
    main()
