"""What a training step asks of a device, and what the device computes in another way."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests import strict_cupy
from tinygrad_rnn import backends
from tinygrad_rnn.backends.native import compiler


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy is current; the stand-in can be chosen."""
    strict_cupy.install(monkeypatch)


@pytest.mark.both_backends
def test_solve_broadcasts_stacks_and_a_singular_matrix_is_an_error(rng: numpy.random.Generator) -> None:
    a, b = rng.normal(size=(4, 1, 3, 3)), rng.normal(size=(2, 3, 2))
    numpy.testing.assert_allclose(
        tg.linalg.solve(tg.tensor(a), tg.tensor(b)).numpy(), numpy.linalg.solve(a, b), rtol=1e-12
    )
    vector = rng.normal(size=3)
    numpy.testing.assert_allclose(
        tg.linalg.solve(tg.tensor(a), tg.tensor(vector)).numpy(), numpy.linalg.solve(a, vector), rtol=1e-12
    )
    with pytest.raises(tg.LinearAlgebraError, match="solve"):
        tg.linalg.solve(tg.zeros((2, 2)), tg.ones((2, 1)))


@pytest.mark.both_backends
def test_where_takes_a_plain_condition() -> None:
    assert tg.where(True, tg.tensor([1.0]), 2.0).tolist() == [1.0]
    assert tg.where(False, tg.tensor([1.0]), 2.0).tolist() == [2.0]
    assert tg.where([True, False], tg.tensor([1.0, 1.0]), 2.0).tolist() == [1.0, 2.0]


@pytest.mark.usefixtures("two_devices")
def test_plain_condition_goes_where_the_tensors_are() -> None:
    x = tg.tensor([1.0, 2.0], backend="cupy")
    assert tg.where(True, x, 0.0).backend == "cupy"
    assert tg.where([True, False], x, 0.0).tolist() == [1.0, 0.0]


@pytest.mark.numpy_only
@pytest.mark.usefixtures("two_devices")
def test_grad_lives_where_its_tensor_does() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(tg.BackendError, match=r"'cupy'.*'numpy'"):
        x.grad = tg.tensor([1.0, 2.0], backend="cupy")
    assert x.grad is None


@pytest.mark.both_backends
def test_unknown_function_is_named() -> None:
    with pytest.raises(AttributeError, match=r"backend '\w+' has no function 'fft'"):
        backends.current().fft


def _lstm_step(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> tuple[Any, Any]:
    i, f, g, o = tg.split(x @ w + h @ u + b, 4, axis=-1)
    c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
    return tg.sigmoid(o) * tg.tanh(c), c


@pytest.mark.usefixtures("two_devices")
def test_forward_and_backward_never_wait_for_the_device(
    rng: numpy.random.Generator, device: strict_cupy.Counts
) -> None:
    with tg.use_backend("cupy"):
        w, u, b = (
            tg.tensor(rng.normal(size=shape), requires_grad=True) for shape in ((4, 24), (6, 24), (24,))
        )
        xs = tg.tensor(rng.normal(size=(5, 3, 4)))
        h = c = tg.zeros((3, 6), dtype="float64")
        first = {}
        for step in (1, 2):
            device.reset()
            with tg.no_grad():
                state = (h, c)
                for x in xs[:step]:
                    state = _lstm_step(x, *state, w, u, b)
            first[step] = device.launches
        device.reset()
        for x in xs:
            h, c = _lstm_step(x, h, c, w, u, b)
        loss = (
            tg.mse_loss(h, tg.zeros_like(h))
            + tg.sum(tg.maximum(c, 0.0))
            + tg.sum(tg.logsumexp(h, axis=-1))
            + tg.linalg.norm(c)
        )
        loss.backward()
        tg.grad(lambda w: tg.sum(tg.softmax(w) * tg.where(w > 0, w, 0)))(w)
        tg.gradients(
            tg.sum(_lstm_step(xs[0], h.detach(), c.detach(), w, u, b)[0] ** 2), [w, u], create_graph=True
        )
    assert device.synchronisations == 0
    # 2 products, 2 sums, 3 sigmoids of 4 kernels (−x, exp, + 1, 1/x), 2 tanh, 3 products, 1 sum
    assert first[2] - first[1] == 22


@pytest.mark.usefixtures("two_devices")
def test_number_of_launches_is_linear_in_time(
    rng: numpy.random.Generator, device: strict_cupy.Counts
) -> None:
    counted = []
    with tg.use_backend("cupy"):
        for length in (4, 8, 12):
            w, u, b = (
                tg.tensor(rng.normal(size=shape), requires_grad=True) for shape in ((4, 24), (6, 24), (24,))
            )
            xs = tg.tensor(rng.normal(size=(length, 3, 4)))
            h = c = tg.zeros((3, 6), dtype="float64")
            device.reset()
            for x in xs:
                h, c = _lstm_step(x, h, c, w, u, b)
            tg.sum(h * h).backward()
            counted.append(device.launches)
    assert counted[2] - counted[1] == counted[1] - counted[0] == 4 * (22 + 30)


@pytest.mark.parametrize("shape", [(130, 140), (140, 129), (20000, 1), (3, 4), (3, 4, 5), (), (0, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bool"])
def test_copies_of_transposes(shape: tuple[int, ...], dtype: str, rng: numpy.random.Generator) -> None:
    x = rng.normal(size=shape[::-1]).astype(dtype).T if shape else numpy.array(2.0, dtype)
    y = backends.get("numpy").copy(x)
    assert y.flags.c_contiguous
    assert not numpy.shares_memory(x, y)
    numpy.testing.assert_array_equal(x, y)


@pytest.mark.both_backends
@pytest.mark.parametrize("machine_code", [True, False])
@pytest.mark.parametrize("shape", [(3000,), (60, 50)])
def test_residuals_of_rows_that_are_taken_many_times_add_up(
    shape: tuple[int, ...], machine_code: bool, rng: numpy.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not machine_code:
        monkeypatch.setattr(compiler, "available", lambda: False)
    numbers, g = rng.integers(-7, 7, shape), rng.normal(size=(*shape, 4))
    table = tg.tensor(rng.normal(size=(7, 4)), requires_grad=True)
    tg.take(table, numbers, axis=0).backward(tg.tensor(g))
    expected = [g[numbers % 7 == row].sum(0) for row in range(7)]
    numpy.testing.assert_allclose(table.grad.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.both_backends
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_quotients_are_rounded_down_as_numpys(dtype):
    """CuPy's own are ⌊a / b⌋ and a − ⌊a / b⌋ · b, where a / b may be rounded up, or infinite."""
    numbers = [0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 0.3, 0.7, 7.0, -7.5, 1e30, numpy.inf, -numpy.inf, numpy.nan]
    a = numpy.array(numbers if dtype != "int64" else range(-9, 9)).astype(dtype)[:, None]
    b = a.T if dtype != "int64" else a[a != 0]
    np = backends.current()
    with numpy.errstate(all="ignore"):
        for name in ("mod", "floor_divide", "fmod"):
            found = np.to_host(getattr(np, name)(np.from_host(a), np.from_host(b)))
            expected = getattr(numpy, name)(a, b)
            numpy.testing.assert_array_equal(found, expected)
            known = ~numpy.isnan(expected)
            numpy.testing.assert_array_equal(numpy.signbit(found[known]), numpy.signbit(expected[known]))


@pytest.mark.both_backends
@pytest.mark.parametrize("exponent", [-1, [0, -1]])
def test_whole_numbers_have_no_negative_powers(exponent):
    """CuPy's own are 0."""
    with pytest.raises(tg.ArgumentError, match="negative integer powers"):
        tg.tensor([1, 2]) ** (exponent if isinstance(exponent, int) else tg.tensor(exponent))
    assert (tg.tensor([2, 4]) ** -1.0).numpy().tolist() == [0.5, 0.25]
    assert (tg.tensor([2, 4]) ** tg.tensor([1, 0])).numpy().tolist() == [2, 1]
