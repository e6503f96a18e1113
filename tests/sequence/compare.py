"""A compiled scan beside the eager loop: the same values and the same gradients, by machine code and by
interpretation."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tree
from tinygrad_rnn.backends.native import compiler
from tinygrad_rnn.sequence import compiled, plans
from tinygrad_rnn.sequence.eager import eager_scan
from tinygrad_rnn.sequence.options import ScanOptions

NATIVE = compiler.available()
_chosen = plans.engine_of


def kinds(backend):
    """The runs that there are on a backend."""
    return ("native", "interpreted") if backend == "numpy" and NATIVE else ("interpreted",)


@contextlib.contextmanager
def running(kind, reasons=None):
    """A block in which plans run in this way; why a plan is not native is added to ``reasons``."""

    def choose(plan, backend):
        if kind == "interpreted":
            return "the test asks for it"
        found = _chosen(plan, backend)
        if isinstance(found, str) and reasons is not None:
            reasons.append(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "engine_of", choose)
        yield


def compiled_scan(cell, xs, state, live=None, reverse=False, masked_output="zero"):
    return compiled.compiled_scan(cell, xs, state, ScanOptions(reverse, live, masked_output))


def eager(cell, xs, state, live=None, reverse=False, masked_output="zero"):
    return eager_scan(cell, xs, state, ScanOptions(reverse, live, masked_output))


def results(scan, wanted, which="both"):
    """Values of a scan, and the gradients of one loss of its outputs and last states; ``scan`` returns (ys,
    last)."""
    for leaf in wanted:
        leaf.grad = None
    ys, last = scan()
    random = np.random.default_rng(1)
    values = [*tree.leaves(ys), *tree.leaves(last)]
    chosen = {"both": values, "ys": list(tree.leaves(ys)), "last": list(tree.leaves(last))}[which]
    loss = 0
    for leaf in chosen:
        if leaf.dtype.kind == "f":
            weights = tg.tensor(random.normal(size=leaf.shape), leaf.dtype, backend=leaf.backend)
            loss = loss + tg.sum(weights * (leaf + leaf**2))
    if isinstance(loss, tg.Tensor) and loss.requires_grad:
        loss.backward()
    gradients = [None if leaf.grad is None else leaf.grad.numpy().copy() for leaf in wanted]
    return (
        [(leaf.numpy().copy(), leaf.dtype, leaf.shape, leaf.requires_grad) for leaf in values],
        gradients,
        tree.structure(ys),
        tree.structure(last),
    )


def same(found, expected, tolerance):
    """Whether two of ``results`` agree, also in which gradients are None."""
    assert found[2:] == expected[2:]
    for (a, *kind), (b, *other) in zip(found[0], expected[0], strict=True):
        assert kind == other
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    for a, b in zip(found[1], expected[1], strict=True):
        if a is None or b is None:
            assert a is b
            continue
        assert a.dtype == b.dtype
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max(initial=0)))
        )


def compare(backend, cell, wanted, xs, state, must_be_native=True, which="both", **options):
    """Assert that every run of the compiled scan equals the eager loop."""
    tolerance = (
        1e-5 if any(leaf.dtype == np.float32 for leaf in (*tree.leaves(xs), *tree.leaves(state))) else 1e-12
    )
    expected = results(lambda: eager(cell, xs, state, **options), wanted, which)
    for kind in kinds(backend):
        reasons = []
        with running(kind, reasons):
            found = results(lambda: compiled_scan(cell, xs, state, **options), wanted, which)
        assert not (must_be_native and reasons), reasons
        same(found, expected, tolerance)
    return expected
