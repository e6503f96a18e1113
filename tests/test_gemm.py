"""Products in machine code against NumPy: every remainder of rows, columns and depth, both precisions, all layouts, several threads."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_rnn.backends import gemm, llvm

pytestmark = [pytest.mark.one_backend, pytest.mark.skipif(not llvm.available(), reason="llvmlite is not installed")]

SIZES = [(512, 128, 32), (333, 65, 47), (1000, 1, 300), (7, 300, 400), (129, 33, 257), (1, 640, 640)]


def layouts(array):
    """The same matrix by rows, by columns, and with gaps."""
    wide = np.zeros((array.shape[0], 2 * array.shape[1]), array.dtype)
    wide[:, ::2] = array
    return [array, np.ascontiguousarray(array.T).T, wide[:, ::2]]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products(size, dtype, threads, rng, monkeypatch):
    monkeypatch.setattr(gemm, "threads", lambda: threads)
    monkeypatch.setattr(gemm, "_PAYS", 0)
    rows, columns, inner = size
    a, b = rng.standard_normal((rows, inner)).astype(dtype), rng.standard_normal((inner, columns)).astype(dtype)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    for left in layouts(a):
        for right in layouts(b):
            found = gemm.matmul(left, right)
            assert found.dtype == dtype
            np.testing.assert_allclose(found, expected, rtol=0, atol=(2e-5 if dtype == "float32" else 1e-13) * np.sqrt(inner) * 4)


def test_other_products_are_numpys(rng):
    stack = rng.standard_normal((4, 80, 80))
    np.testing.assert_array_equal(gemm.matmul(stack, stack), stack @ stack)
    with pytest.raises(ValueError, match="mismatch"):
        gemm.matmul(rng.standard_normal((100, 70)), rng.standard_normal((60, 100)))


@pytest.mark.parametrize("transposed", [False, True])
def test_panels_hold_the_matrix(transposed, rng):
    matrix = rng.standard_normal((5, 70))
    source = matrix.T if transposed else matrix
    panels = gemm.packed(matrix, 16, transposed)
    joined = panels.transpose(1, 0, 2).reshape(source.shape[0], -1)
    np.testing.assert_array_equal(joined[:, : source.shape[1]], source)
    assert not joined[:, source.shape[1] :].any()
