"""What the backends do in a way of their own is what NumPy's functions do."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

from tinygrad_rnn import backends


@pytest.mark.both_backends
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (1, 1), (7, 5), (3, 2000), (5000,)])
def test_a_nan_is_seen_among_infinities_and_large_numbers(
    backend: str, shape: tuple[int, ...], dtype: str
) -> None:
    plain, extreme, spoilt = (numpy.full(shape, 2.0, dtype) for _ in range(3))
    extreme.reshape(-1)[:3] = [numpy.inf, -numpy.inf, numpy.finfo(dtype).max][: extreme.size]
    spoilt.reshape(-1)[-1:] = numpy.nan
    here = backends.get(backend)
    with here.quiet():
        for arrays in ([], [plain], [plain, extreme], [plain, extreme, spoilt], [spoilt.T]):
            expected = any(numpy.isnan(x).any() for x in arrays)
            assert here.any_nan([here.from_host(x) for x in arrays]) == expected


ONE = [numpy.array(2.0), numpy.float32(3), numpy.array([4])[::-1], numpy.array([[5]]), numpy.array(True)]


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
