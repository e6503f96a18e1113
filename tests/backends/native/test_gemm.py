"""Products in machine code against NumPy: every remainder of rows, columns and depth, both precisions, all
layouts, several threads."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_rnn.backends.native import products, thresholds

pytestmark = pytest.mark.machine_code

SIZES = [
    (512, 128, 32),
    (333, 65, 47),
    (1000, 1, 300),
    (7, 300, 400),
    (129, 33, 257),
    (1, 640, 640),
    (49, 300, 600),
]
"""Rows, columns and the inner length: on both sides of whole tiles, panels and blocks."""


def product(a, b):
    with products.GatheredProducts() as gathered:
        return gathered.matmul(a, b)


def layouts(array):
    """The same matrix by rows, by columns, and with gaps."""
    wide = np.zeros((array.shape[0], 2 * array.shape[1]), array.dtype)
    wide[:, ::2] = array
    return [array, np.ascontiguousarray(array.T).T, wide[:, ::2]]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products(size, dtype, threads, rng, monkeypatch):
    monkeypatch.setattr(products, "threads", lambda: threads)
    monkeypatch.setattr(thresholds, "PARALLEL_PRODUCT_MIN_WORK", 0)
    rows, columns, inner = size
    a, b = (
        rng.standard_normal((rows, inner)).astype(dtype),
        rng.standard_normal((inner, columns)).astype(dtype),
    )
    expected = a.astype(np.float64) @ b.astype(np.float64)
    for left in layouts(a):
        for right in layouts(b):
            found = product(left, right)
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found, expected, rtol=0, atol=(2e-5 if dtype == "float32" else 1e-13) * np.sqrt(inner) * 4
            )


def test_other_products_are_numpys(rng):
    stack = rng.standard_normal((4, 80, 80))
    np.testing.assert_array_equal(product(stack, stack), stack @ stack)
    with pytest.raises(ValueError, match="mismatch"):
        product(rng.standard_normal((100, 70)), rng.standard_normal((60, 100)))


def test_nothing_is_written_beside_the_result(rng):
    """A total in the middle of an array, whose last tiles and panels are not whole."""
    room = np.zeros((3, 13, 35))
    gathered = products.GatheredProducts()
    gathered.over_rows(rng.standard_normal((9, 13)), rng.standard_normal((9, 35)), room[1], 1)
    gathered.run()
    assert room[1].all()
    assert not room[::2].any()


def whole_and_in_two(gathered, product, a, b, cut, order):
    """The product over all steps, which has the same bits where they are cut in two."""
    whole, total = product(a, b, None, order), None
    for part in (slice(0, cut), slice(cut, len(a)))[::order]:
        total = product(a[part], b[part], total, order) if len(a[part]) else total
        gathered.run()
    np.testing.assert_array_equal(total, whole)
    return whole


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 3, 5), (9, 1, 40), (9, 40, 1), (530, 70, 100)])
def test_rows_may_be_cut_anywhere(rng, shape, dtype):
    """Products over all steps come out the same to the last bit for some steps at a time, from the first or
    from the last."""
    (k, m, n), cut = shape, shape[0] // 3
    a, b, w = (rng.standard_normal(s).astype(dtype) for s in ((k, m), (k, n), (m, n)))
    gathered = products.GatheredProducts()
    for order in (1, -1):
        whole = whole_and_in_two(gathered, gathered.over_rows, a, b, cut, order)
        np.testing.assert_allclose(
            whole,
            a.T @ b,
            rtol=1e-4 if dtype is np.float32 else 1e-12,
            atol=1e-4 if dtype is np.float32 else 1e-12,
        )
    whole, parts = gathered.rowwise(a, w), [gathered.rowwise(a[:cut], w), gathered.rowwise(a[cut:], w)]
    gathered.run()
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (7, 3, 5, 2), (53, 4, 33, 20), (100, 9, 6, 64)])
def test_products_of_each_sample(rng, shape, dtype):
    """Of arrays that are parts of others, too, and with equal bits wherever the steps are cut."""
    (k, count, m, n), cut = shape, shape[0] // 3
    a, b = (
        rng.standard_normal((k, count, m)).astype(dtype),
        rng.standard_normal((k, 2 * count, n)).astype(dtype)[:, ::2],
    )
    gathered = products.GatheredProducts()
    for order in (1, -1):
        whole = whole_and_in_two(gathered, gathered.of_each, a, b, cut, order)
        np.testing.assert_allclose(
            whole, np.einsum("tni,tnj->nij", a, b), rtol=0, atol=1e-4 if dtype is np.float32 else 1e-12
        )


def test_a_promised_product_is_made_before_it_is_read(rng):
    a, b, c = (rng.standard_normal((90, 90)) for _ in range(3))
    gathered = products.GatheredProducts()
    found = gathered.total(
        [gathered.matmul(gathered.rowwise(a, b).T, c), gathered.over_rows(gathered.rowwise(b, c), a, None, 1)]
    )
    gathered.run()
    np.testing.assert_allclose(found, (a @ b).T @ c + (b @ c).T @ a, rtol=1e-10, atol=1e-10)
