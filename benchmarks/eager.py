"""The eager tape: a peephole cell written by hand, forward and backward, beside PyTorch eager and HIPS
autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from . import timing

T, B, H = 32, 16, 32


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {"W": (H, 4 * H), "U": (H, 4 * H), "b": (4 * H,), "p_i": (H,), "p_f": (H,), "p_o": (H,)}
    return {name: (0.2 * random.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def peephole(
    lib: Any, split: Callable[[Any], Any], p: dict[str, Any], x: Any, h: Any, c: Any
) -> tuple[Any, Any]:
    i, f, g, o = split(x @ p["W"] + h @ p["U"] + p["b"])
    i, f = lib.sigmoid(i + p["p_i"] * c), lib.sigmoid(f + p["p_f"] * c)
    c = f * c + i * lib.tanh(g)
    h = lib.sigmoid(o + p["p_o"] * c) * lib.tanh(c)
    return h, c


def contestants() -> dict[str, Callable[[], tuple[float, dict[str, np.ndarray]]]]:
    """Each runs one forward and backward pass and returns the loss and the gradients."""
    start = weights()
    xs = np.random.default_rng(1).standard_normal((T, B, H)).astype(np.float32)
    found: dict[str, Callable[[], Any]] = {"tinygrad_rnn": ours(start, xs)}
    for name, make in (("torch", torch_eager), ("autograd", hips_autograd)):
        try:
            found[name] = make(start, xs)
        except ImportError:
            print(f"{name} is not installed: left out")
    return found


def ours(start: dict[str, np.ndarray], xs: np.ndarray) -> Callable[[], Any]:
    p = {name: tg.tensor(w, requires_grad=True) for name, w in start.items()}
    steps = [tg.tensor(x) for x in xs]
    zero = tg.tensor(np.zeros((B, H), np.float32))

    def run() -> Any:
        h, c, loss = zero, zero, 0.0
        for x in steps:
            h, c = peephole(tg, lambda z: tg.split(z, 4, axis=-1), p, x, h, c)
            loss = loss + tg.sum(h * h)
        for w in p.values():
            w.grad = None
        loss.backward()
        return loss, {name: w.grad for name, w in p.items()}

    return run


def torch_eager(start: dict[str, np.ndarray], xs: np.ndarray) -> Callable[[], Any]:
    import torch

    p = {name: torch.tensor(w, requires_grad=True) for name, w in start.items()}
    steps = [torch.tensor(x) for x in xs]
    zero = torch.zeros(B, H)

    def run() -> Any:
        h, c, loss = zero, zero, 0.0
        for x in steps:
            h, c = peephole(torch, lambda z: z.chunk(4, -1), p, x, h, c)
            loss = loss + (h * h).sum()
        for w in p.values():
            w.grad = None
        loss.backward()
        return loss, {name: w.grad for name, w in p.items()}

    return run


def hips_autograd(start: dict[str, np.ndarray], xs: np.ndarray) -> Callable[[], Any]:
    import autograd
    import autograd.numpy as anp

    class lib:
        tanh = staticmethod(anp.tanh)

        @staticmethod
        def sigmoid(z: Any) -> Any:
            return 0.5 * (anp.tanh(0.5 * z) + 1)

    def loss_of(p: dict[str, Any]) -> Any:
        h = c = anp.zeros((B, H), np.float32)
        loss = 0.0
        for x in xs:
            h, c = peephole(lib, lambda z: [z[:, k * H : (k + 1) * H] for k in range(4)], p, x, h, c)
            loss = loss + anp.sum(h * h)
        return loss

    both = autograd.value_and_grad(loss_of)
    return lambda: both(start)


def main() -> None:
    runs = contestants()
    losses = {name: run()[0].item() for name, run in runs.items()}
    reference = losses["tinygrad_rnn"]
    for name, loss in losses.items():
        assert abs(loss - reference) <= 1e-4 * abs(reference), (
            f"{name} computes another loss: {loss} against {reference}"
        )
    found = timing.medians(runs)
    print(f"eager peephole cell, T={T} B={B} I=H={H} float32, forward + backward\n{timing.machine()}")
    for name, milliseconds in found.items():
        print(f"{name:<14}{milliseconds:8.2f} ms   ours / theirs {found['tinygrad_rnn'] / milliseconds:5.2f}")


if __name__ == "__main__":
    main()
