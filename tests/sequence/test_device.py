"""Kernels of the CuPy backend: the generated CUDA C is compiled as C and run by the stand-in, and must equal
the eager loop."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests import strict_cupy
from tests.covering import seeds, some
from tests.sequence.compare import compiled_scan, eager, results, running, same
from tests.sequence.random_programs import difference
from tinygrad_rnn import backends, tree
from tinygrad_rnn.selfcheck.cells import BUILT_IN, FORMULAS, WRITTEN, Maker, T

pytestmark = [pytest.mark.parametrize("backend", ["cupy"], indirect=True)]

NAMED = {make.__name__: make for make in (*BUILT_IN, *WRITTEN)}


def named(*names):
    return pytest.mark.parametrize("make", [NAMED[name] for name in names], ids=lambda make: make.__name__)


def compare(make, dtype="float64", batch=3, width=5, steps=T, **options):
    """Assert that a cell runs in kernels, and equals the eager loop."""
    cell, parameters, xs, state = make(Maker(dtype, batch, width, steps=steps))
    wanted = [
        *parameters,
        *(x for x in [*tree.leaves(xs), *tree.leaves(state)] if x.requires_grad and x.is_leaf),
    ]
    expected = results(lambda: eager(cell, xs, state, **options), wanted)
    reasons = []
    with running("native", reasons):
        found = results(lambda: compiled_scan(cell, xs, state, **options), wanted)
        with tg.no_grad():
            ys, last = compiled_scan(cell, xs, state, **options)
    assert not reasons
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    same(found, expected, tolerance)
    for leaf, (value, *_) in zip((*tree.leaves(ys), *tree.leaves(last)), expected[0], strict=True):
        np.testing.assert_allclose(leaf.numpy(), value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("make", some(NAMED.values(), 3), ids=lambda make: make.__name__)
def test_values_and_gradients(make):
    compare(make)


@named("rnn_relu_without_bias", "lstm", "peephole", "gru_after", "layer_norm", "clockwork")
@pytest.mark.parametrize("masked_output", ["zero", "previous"])
@pytest.mark.parametrize("reverse", [False, True])
def test_lengths_masks_and_direction(make, masked_output, reverse):
    live = np.arange(T)[:, None] < [4, 1, 3]
    live[1, 2] = False
    compare(make, live=live, masked_output=masked_output, reverse=reverse)
    compare(make, reverse=reverse)


@named("rnn_tanh", "lstm_clipped", "gru_before", "peephole", "layer_norm", "choices")
@pytest.mark.parametrize(
    ("dtype", "batch", "width"),
    [("float32", 3, 5), ("float64", 1, 5), ("float64", 4, 2), ("float64", 2, 300)],
)
def test_sizes_and_precision(make, dtype, batch, width):
    compare(make, dtype, batch, width)


def test_more_samples_than_blocks(monkeypatch):
    monkeypatch.setattr("tinygrad_rnn.sequence.kernels.MOST_BLOCKS", 2)
    for make in (NAMED["lstm"], NAMED["layer_norm"], NAMED["gru_after"]):
        tg.clear_caches()
        compare(make, batch=5)


@named("lstm", "gru_after", "clockwork", "no_products")
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps(make, steps):
    compare(make, steps=steps)
    compare(make, steps=steps, reverse=True, live=np.arange(steps)[:, None] < [steps, 1, 0])


@pytest.mark.parametrize("make", FORMULAS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_formulas(make, dtype):
    compare(make, dtype)


@named(
    "rnn_tanh",
    "lstm",
    "peephole",
    "separate_matrices",
    "layer_norm",
    "gru_after",
    "gru_before",
    "no_products",
)
@pytest.mark.parametrize("masked", [False, True])
def test_launches_do_not_grow_with_the_steps(make, masked, device):
    """The loop over time is in the kernel; and the host waits for nothing."""

    def launches(steps):
        cell, _, xs, state = make(Maker("float32", 3, 6, steps=steps))
        device.reset()
        ys, _ = compiled_scan(
            cell, xs, state, live=np.arange(steps)[:, None] < [steps, 1, 2] if masked else None
        )
        sum(tg.sum(y * y) for y in tree.leaves(ys)).backward()
        return device.launches, device.synchronisations

    launches(3), launches(7)  # what is laid out and constant is made at the first call
    short, long = launches(3), launches(7)
    assert short == long
    assert long[1] == 0


def test_samples_that_meet_are_left_to_one_block(device):
    """A mean over the batch."""

    def cell(x, h):
        h = tg.tanh(h + x - tg.mean(x + h, axis=0))
        return h, h

    x, h = (
        tg.tensor(np.random.default_rng(i).normal(size=shape), requires_grad=True)
        for i, shape in enumerate([(4, 3, 5), (3, 5)])
    )
    expected = results(lambda: eager(cell, x, h), [x, h])
    same(results(lambda: compiled_scan(cell, x, h), [x, h]), expected, 1e-12)
    assert "1 blocks" in tg.explain(cell)


@pytest.mark.parametrize("first", seeds(300, daily=2, step=5))
def test_random_programs(first):
    """What a cell may be made of beside the gates of the named ones: axes, joins, reductions, indices, in any
    order."""
    for number in range(first, first + 5):
        assert not difference(number), number


@pytest.mark.parametrize(
    "index",
    [
        [2, 0, 2],
        (slice(None), np.array([1, 1, 0])),
        (np.array([[1], [2]]), np.array([0, 3])),
        (..., np.array([True, False, True, True])),
    ],
    ids=["rows", "columns", "both", "mask"],
)
def test_indices_of_arrays(index):
    """They are on the device, and a kernel has a table of the places that they name."""

    def cell(x, h):
        taken = h[index]
        h = tg.tanh(x + h + tg.sum(taken * taken))
        return taken, h

    x, h = (
        tg.tensor(np.random.default_rng(i).normal(size=shape), requires_grad=True)
        for i, shape in enumerate([(4, 3, 4), (3, 4)])
    )
    expected = results(lambda: eager(cell, x, h), [x, h])
    reasons = []
    with running("native", reasons):
        same(results(lambda: compiled_scan(cell, x, h), [x, h]), expected, 1e-12)
    assert not reasons


def test_what_has_no_kernel_is_called():
    def cell(x, h):
        h = tg.sort(x + h, axis=1)
        return h, h

    x, h = tg.ones((4, 3, 5), "float64"), tg.zeros((3, 5), "float64")
    reasons = []
    with running("native", reasons):
        ys, _ = compiled_scan(cell, x, h)
    assert len(reasons) == 1
    np.testing.assert_allclose(ys.numpy(), eager(cell, x, h)[0].numpy(), rtol=1e-12)


# -- the device's own compiler -------------------------------------------------------------------------------


class Nvrtc:
    """NVIDIA's compiler, from its wheel. The files of the package say where the library is: the folders
    differ between CUDA 12 and 13."""

    def __init__(self):
        for package in ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                files = importlib.metadata.files(package)
                self.library = ctypes.CDLL(
                    str(next(f.locate() for f in files if re.fullmatch(r"libnvrtc\.so\.\d+", f.name)))
                )
                return
        pytest.skip("NVIDIA's compiler is not installed (the extra 'test' brings it on Linux)")

    def compile(self, text, *options):
        """The exit status and what the compiler says."""
        program, size = ctypes.c_void_p(), ctypes.c_size_t()
        assert (
            self.library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None)
            == 0
        )
        given = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
        status = self.library.nvrtcCompileProgram(program, len(options), given)
        self.library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.library.nvrtcGetProgramLog(program, log)
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return status, log.value.decode()


def together(texts):
    """Several kernels as one program, which takes half the time: each in a namespace, where two may have one
    name if C cannot see it."""
    inside = [text.replace('extern "C" ', "") for text in texts]
    return "\n".join(f"namespace program{i} {{\n{text}}}" for i, text in enumerate(inside))


@pytest.mark.slow
# Hopper and Ampere
@pytest.mark.parametrize(("first", "dtype", "generation"), [(0, "float32", "sm_90"), (1, "float64", "sm_80")])
def test_kernels_are_cuda(first, dtype, generation, monkeypatch):
    """The device's own compiler takes the kernels of all cells, half of them in each dtype, without a word;
    it needs no device."""
    nvrtc = Nvrtc()
    # only the texts are wanted
    monkeypatch.setattr(strict_cupy.RawKernel, "__call__", lambda *arguments: None)
    for make in (*NAMED.values(), *FORMULAS)[first::2]:
        cell, _, xs, state = make(Maker(dtype, 3, 5))
        ys, _ = compiled_scan(cell, xs, state, live=np.ones((T, 3), bool))
        sum(tg.sum(y) for y in tree.leaves(ys)).backward()
    texts = list(dict.fromkeys(text for text, _ in backends.current()._kernels.keys()))  # noqa: SIM118
    assert all("__syncthreads" in text for text in texts)
    options = f"--gpu-architecture={generation}", "-std=c++17", "-ftz=true"  # as CuPy's
    assert nvrtc.compile(texts[0], *options) == (0, "")
    for i in range(0, len(texts), 16):
        several = together(texts[i : i + 16])
        assert nvrtc.compile(several, *options) == (0, ""), several
    assert nvrtc.compile(several.replace("long long steps", "long long columns", 1), *options)[0] != 0
