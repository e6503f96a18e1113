"""Milliseconds of forward and backward through the built-in layers; on a device beside PyTorch's, where that
sees the device too."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy

import tinygrad_rnn as tg

from .layers import seeded
from .report import Facts, Item

SIZES = [(32, 16, 32, 32), (500, 1, 16, 64), (100, 32, 64, 128), (100, 64, 256, 512)]
"""Steps, batch, inputs, hidden units: those of ``python -m benchmarks sequence``."""


def items(backend: str, quick: bool) -> Iterator[Item]:
    for size in SIZES[:1] if quick else SIZES:
        for kind in ("LSTM", "GRU", "RNN"):
            yield f"{kind} T, B, I, H = {', '.join(map(str, size))}", partial(_measured, kind, size, backend)


def _measured(kind: str, size: tuple[int, ...], backend: str) -> Facts:
    """The shortest time, since whatever else the machine does only adds to it."""
    facts = {"milliseconds": _shortest(_ours(kind, size, backend))}
    theirs = _theirs(kind, size) if backend == "cupy" else None
    return facts if theirs is None else {**facts, "torch_milliseconds": _shortest(theirs)}


def _shortest(run: Callable[[], object], seconds: float = 0.7, most: int = 50) -> float:
    run()  # compiles
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or (time.perf_counter() < end and len(times) < most):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return round(1e3 * min(times), 4)


def _data(size: tuple[int, ...]) -> numpy.ndarray:
    return numpy.random.default_rng(0).standard_normal(size[:3]).astype("float32")


def _ours(kind: str, size: tuple[int, ...], backend: str) -> Callable[[], object]:
    with seeded(), tg.use_backend(backend):
        layer = getattr(tg.nn, kind)(*size[2:])
        x = tg.tensor(_data(size), requires_grad=True)

    def run() -> float:
        layer.zero_grad()
        x.grad = None
        y, _ = layer(x)
        tg.sum(y * y).backward()
        assert x.grad is not None
        return float(x.grad[0, 0, 0].item())  # made last: the device has finished

    return run


def _theirs(kind: str, size: tuple[int, ...]) -> Callable[[], object] | None:
    """The same layer in PyTorch, on the device; None where there is no PyTorch that sees one."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    layer = getattr(torch.nn, kind)(*size[2:]).cuda()
    x = torch.tensor(_data(size), device="cuda", requires_grad=True)

    def run() -> float:
        layer.zero_grad()
        x.grad = None
        y, _ = layer(x)
        (y * y).sum().backward()
        torch.cuda.synchronize()
        return float(x.grad[0, 0, 0])

    return run
