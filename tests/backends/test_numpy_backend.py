"""What the backends do in a way of their own is what NumPy's functions do."""

from __future__ import annotations

import itertools
from typing import Any

import numpy
import pytest

from tinygrad_rnn import backends


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (1, 1), (7, 5), (3, 2000), (5000,)])
def test_a_nan_is_seen_among_infinities_and_large_numbers(backend: str, shape: tuple[int, ...], dtype: str) -> None:
    plain, extreme, spoilt = (numpy.full(shape, 2.0, dtype) for _ in range(3))
    extreme.reshape(-1)[:3] = [numpy.inf, -numpy.inf, numpy.finfo(dtype).max][: extreme.size]
    spoilt.reshape(-1)[-1:] = numpy.nan
    here = backends.get(backend)
    with here.quiet():
        for arrays in ([], [plain], [plain, extreme], [plain, extreme, spoilt], [spoilt.T]):
            expected = any(numpy.isnan(x).any() for x in arrays)
            assert here.any_nan([here.from_host(x) for x in arrays]) == expected


ONE = [numpy.array(2.0), numpy.float32(3), numpy.array([4])[::-1], numpy.array([[5]]), numpy.array(True)]


@pytest.mark.one_backend
@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 3), (4, 1, 3)])
@pytest.mark.parametrize("x", [*ONE, numpy.arange(3)[::-1]], ids=repr)
def test_what_is_spread_is_read_only_and_knows_whose_memory_it_is(x: Any, shape: tuple[int, ...]) -> None:
    spread = backends.get("numpy").broadcast_to
    try:
        expected = numpy.broadcast_to(x, shape)
    except ValueError:
        with pytest.raises(ValueError, match=r"shape|dimensions"):
            spread(x, shape)
        return
    y = spread(x, shape)
    numpy.testing.assert_array_equal(y, expected, strict=True)
    assert not y.flags.writeable
    assert numpy.may_share_memory(y, x) == numpy.may_share_memory(expected, x)
    if isinstance(x, numpy.ndarray):
        assert y.base is (x if x.base is None else x.base)


ORDERS = {
    "whole": lambda x: x,
    "turned": lambda x: numpy.asfortranarray(x),
    "with gaps": lambda x: numpy.repeat(x, 2, 1)[:, ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "read-only": lambda x: numpy.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("orders", list(itertools.product(ORDERS, repeat=2)), ids=" and ".join)
def test_large_products_do_not_depend_on_how_they_lie_or_on_what_is_beside_a_row(orders: tuple[str, str], dtype: str) -> None:
    a, b = (numpy.random.default_rng(i).standard_normal(shape).astype(dtype) for i, shape in enumerate([(301, 177), (177, 103)]))
    matmul, (first, second) = backends.get("numpy").matmul, (ORDERS[order] for order in orders)
    y = matmul(first(a), second(b))
    exact = a.astype(numpy.longdouble) @ b.astype(numpy.longdouble)
    assert (y.dtype, y.flags.c_contiguous, y.flags.owndata) == (dtype, True, True)
    assert numpy.abs(y - exact).max() < 177 * numpy.finfo(dtype).eps * numpy.abs(exact).max()
    numpy.testing.assert_array_equal(y, matmul(a, b))
    numpy.testing.assert_array_equal(y[:250], matmul(a[:250], b))


@pytest.mark.one_backend
def test_large_products_of_other_arrays_are_numpys() -> None:
    matmul, random = backends.get("numpy").matmul, numpy.random.default_rng(0)
    a, b = random.integers(-9, 9, (200, 150)), random.integers(-9, 9, (150, 160))
    for x, y in ((a, b), (a, b / 7), (a.astype("float32"), b / 7), (a / 3 + 1j, b / 7), (a / 3, b[None] / 7)):
        product = matmul(x, y)
        assert product.dtype == numpy.matmul(x, y).dtype
        numpy.testing.assert_allclose(product, numpy.matmul(x, y), rtol=1e-12)
    spoilt = numpy.where(a == 3, numpy.nan, a / 2)
    numpy.testing.assert_array_equal(numpy.isnan(matmul(spoilt, b / 7)), numpy.isnan(spoilt @ (b / 7)))
    with pytest.raises(ValueError, match="mismatch"):
        matmul(a / 3, b[1:] / 7)
