"""Devices: choosing one, moving between them, what goes wrong with words that help, and what a training step
asks of a device."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests import strict_cupy
from tinygrad_rnn import backends
from tinygrad_rnn.backends import cupy_backend
from tinygrad_rnn.backends.native import compiler

both = pytest.mark.one_backend  # these choose their backends themselves


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy is current; the stand-in can be chosen."""
    strict_cupy.install(monkeypatch)


# -- choosing ------------------------------------------------------------------------------------------------


def test_new_tensors_are_made_on_the_current_backend(backend: str) -> None:
    made = [
        tg.tensor(1.0),
        tg.zeros((2,)),
        tg.ones(2),
        tg.eye(2),
        tg.arange(3),
        tg.linspace(0, 1, 3),
        tg.full((2,), 7.0),
    ]
    made += [tg.exp([1.0, 2.0]), tg.zeros_like(tg.ones(2)), tg.stack([[1.0], [2.0]])]
    assert {x.backend for x in made} == {backend}
    assert type(tg.tensor([1.0]).data) is backends.current().array_type


def test_results_of_every_kind_stay_on_the_device(backend: str, rng: numpy.random.Generator) -> None:
    x = tg.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    for y in (
        x.sum(),
        x[0, 0],
        x.max(),
        x.mean(axis=0),
        x > 0,
        tg.argmax(x),
        tg.sigmoid(x[0, 0]),
        x[0, 0] * 2 + 1,
        tg.relu(x.sum()),
    ):
        assert y.backend == backend
        assert type(y.data) is backends.current().array_type
    (x * x).sum().backward()
    assert x.grad is not None
    assert type(x.grad.data) is backends.current().array_type


@both
@pytest.mark.usefixtures("two_devices")
def test_set_backend_is_for_the_process_and_use_backend_for_a_block_of_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "_process_backend", None)
    assert tg.available_backends() == ("numpy", "cupy")
    seen: dict[str, str] = {}

    def look(key: str) -> None:
        thread = threading.Thread(target=lambda: seen.__setitem__(key, tg.tensor(1.0).backend))
        thread.start()
        thread.join()

    with tg.use_backend("cupy"):
        assert tg.tensor(1.0).backend == "cupy"
        look("beside the block")
        with tg.use_backend("numpy"):
            assert tg.tensor(1.0).backend == "numpy"
        assert tg.tensor(1.0).backend == "cupy"
    assert tg.tensor(1.0).backend == "numpy"
    with pytest.raises(KeyError), tg.use_backend("cupy"):
        raise KeyError
    assert tg.tensor(1.0).backend == "numpy"
    tg.set_backend("cupy")
    look("after set_backend")
    with tg.use_backend("numpy"):
        assert tg.tensor(1.0).backend == "numpy"
    assert seen == {"beside the block": "numpy", "after set_backend": "cupy"}
    assert tg.tensor(1.0, backend="numpy").backend == "numpy"


@both
@pytest.mark.usefixtures("two_devices")
def test_environment_chooses_until_the_program_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_process_backend", None)
    monkeypatch.setenv("TINYGRAD_RNN_BACKEND", "cupy")
    assert tg.tensor(1.0).backend == "cupy"
    tg.set_backend("numpy")
    assert tg.tensor(1.0).backend == "numpy"
    monkeypatch.setattr(backends, "_process_backend", None)
    monkeypatch.setenv("TINYGRAD_RNN_BACKEND", "tpu")
    with pytest.raises(tg.BackendError, match=r"'tpu'.*'numpy', 'cupy'"):
        tg.tensor(1.0)
    monkeypatch.setenv("TINYGRAD_RNN_BACKEND", "")
    assert tg.tensor(1.0).backend == "numpy"


# -- what goes wrong -----------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "ask", [tg.set_backend, lambda name: tg.tensor(1.0, backend=name), lambda name: tg.tensor(1.0).to(name)]
)
def test_unknown_backend(ask: Any) -> None:
    with pytest.raises(tg.BackendError, match=r"unknown backend 'tpu': choose one of 'numpy', 'cupy'"):
        ask("tpu")
    assert tg.tensor(1.0).backend == "numpy"


def _with(room: str, **answers: Any) -> dict[str, ModuleType]:
    made = strict_cupy.modules()
    vars(made[room]).update(answers)
    return made


def _no_driver() -> int:
    raise RuntimeError(
        "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
    )


def _no_compiler() -> tuple[int, int]:
    raise RuntimeError('Failure finding "libnvrtc.so"')


@both
@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({"cupy": None}, r"needs the package CuPy"),
        (
            _with("cupy.cuda.runtime", getDeviceCount=_no_driver),
            r"needs a CUDA driver and a device: cudaErrorInsufficientDriver",
        ),
        (_with("cupy.cuda.runtime", getDeviceCount=lambda: 0), r"found no CUDA device"),
        (
            _with("cupy.cuda.nvrtc", getVersion=_no_compiler),
            r"needs NVIDIA's compiler of kernels, NVRTC, .*libnvrtc\.so",
        ),
    ],
    ids=["no package", "no driver", "no device", "no compiler"],
)
def test_missing_device_says_what_is_missing_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, modules: Any, said: str
) -> None:
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(tg.BackendError, match=said) as caught:
        tg.set_backend("cupy")
    for advice in (
        "pip install 'tinygrad_rnn[gpu]'",
        "pip install 'tinygrad_rnn[gpu-cuda12]'",
        "nvidia-smi",
        "'numpy' backend",
    ):
        assert advice in str(caught.value)
    assert "overwrite each other" not in str(caught.value)
    assert tg.available_backends() == ("numpy",)
    assert tg.tensor(1.0).backend == "numpy"


@both
def test_two_packages_of_cupy_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, version in (("cupy_cuda12x", "13.6.0"), ("cupy_cuda13x", "14.2.0")):
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        (tmp_path / f"{name}-{version}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cupy_backend.packages() == {"cupy-cuda12x": "13.6.0", "cupy-cuda13x": "14.2.0"}
    with pytest.raises(
        tg.BackendError,
        match="The packages cupy-cuda12x and cupy-cuda13x overwrite each other: uninstall them",
    ):
        tg.set_backend("cupy")


@both
@pytest.mark.usefixtures("two_devices")
def test_operands_of_two_backends(device: strict_cupy.Counts) -> None:
    here, there = tg.tensor([1.0, 2.0]), tg.tensor([1.0, 2.0], backend="cupy")
    for mix in (
        lambda: here + there,
        lambda: there @ here,
        lambda: tg.where(there > 0, here, 0.0),
        lambda: tg.concatenate([here, there]),
        lambda: tg.einsum("i,i->", here, there),
        lambda: tg.take(there, tg.tensor([0])),
    ):
        with pytest.raises(
            tg.BackendError, match=r"different backends.*'numpy'.*'cupy'|different backends.*'cupy'.*'numpy'"
        ):
            mix()
    assert device.synchronisations == 0
    assert (here + there.to("numpy")).tolist() == [2.0, 4.0]


@both
@pytest.mark.usefixtures("two_devices")
def test_host_array_with_a_device_tensor(device: strict_cupy.Counts) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, backend="cupy")
    host = numpy.ones(2, numpy.float32)
    for mix in (
        lambda: x + host,
        lambda: host + x,
        lambda: host * x,
        lambda: tg.maximum(x, host),
        lambda: tg.where(x > 0, x, host),
    ):
        with pytest.raises(tg.BackendError, match="another device"):
            mix()
    for mix in (lambda: tg.tensor(host) + x.data, lambda: x.data + tg.tensor(host)):
        with pytest.raises((tg.BackendError, TypeError)):
            mix()
    assert tg.add(x, [1.0, 2.0]).tolist() == [2.0, 4.0]
    assert x[numpy.array([1, 1])].tolist() == [2.0, 2.0]
    assert tg.take(x, numpy.array([1, 1])).tolist() == [2.0, 2.0]
    assert (x.data * x).tolist() == [1.0, 4.0]


@both
def test_host_array_is_refused_also_where_numpy_was_never_chosen() -> None:
    program = """
import sys, numpy
from tests import strict_cupy
sys.modules.update(strict_cupy.modules())
import tinygrad_rnn as tg
try:
    tg.tensor([1.0]) + numpy.ones(1)
except tg.BackendError as error:
    print(error)
"""
    environment = os.environ | {"TINYGRAD_RNN_BACKEND": "cupy", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "another device" in done.stdout


# -- moving --------------------------------------------------------------------------------------------------


@both
@pytest.mark.usefixtures("two_devices")
def test_to_moves_a_copy_off_the_tape() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="weight")
    y = (x * 2).to("cupy")
    assert (y.backend, y.dtype, y.is_leaf) == ("cupy", numpy.float32, True)
    z = x.to("cupy")
    assert (z.name, z.requires_grad, z.is_leaf) == ("weight", True, True)
    assert x.to("numpy") is x
    back = z.to("numpy")
    back.data[0, 0] = 9.0
    assert x.tolist() == z.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    twin = tg.tensor(z, backend="numpy")
    assert twin.tolist() == x.tolist()
    assert tg.tensor(x, backend="cupy", dtype="float64").dtype == numpy.float64


def test_numpy_gives_values_that_cannot_be_written_through(backend: str) -> None:
    x = tg.tensor([1.0, 2.0])
    values = x.numpy()
    assert type(values) is numpy.ndarray
    if backend == "numpy":
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 5.0
    else:
        values[0] = 5.0
    assert x.tolist() == [1.0, 2.0]
    assert numpy.asarray(x).tolist() == [1.0, 2.0]
    assert float(x[0]) == 1.0
    assert int(x[1]) == 2
    assert bool(x[0] == 1)


def test_tensor_copies_what_it_is_given() -> None:
    host = numpy.array([1.0, 2.0])
    x = tg.tensor(host)
    y = tg.tensor(x.data)
    z = tg.tensor(x)
    host[0] = x.data[1] = 9.0
    assert (x.tolist(), y.tolist(), z.tolist()) == ([1.0, 9.0], [1.0, 2.0], [1.0, 2.0])


def test_copies_of_a_tensor_know_the_same_backend() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    twin = copy.deepcopy(x)
    assert (x + twin).tolist() == [2.0, 4.0]
    assert copy.deepcopy(backends.current()) is backends.current()
    assert pickle.loads(pickle.dumps(backends.current())) is backends.current()


# -- what a backend adds to an array module ------------------------------------------------------------------


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


def test_where_takes_a_plain_condition() -> None:
    assert tg.where(True, tg.tensor([1.0]), 2.0).tolist() == [1.0]
    assert tg.where(False, tg.tensor([1.0]), 2.0).tolist() == [2.0]
    assert tg.where([True, False], tg.tensor([1.0, 1.0]), 2.0).tolist() == [1.0, 2.0]


@both
@pytest.mark.usefixtures("two_devices")
def test_plain_condition_goes_where_the_tensors_are() -> None:
    x = tg.tensor([1.0, 2.0], backend="cupy")
    assert tg.where(True, x, 0.0).backend == "cupy"
    assert tg.where([True, False], x, 0.0).tolist() == [1.0, 0.0]


@both
@pytest.mark.usefixtures("two_devices")
def test_grad_lives_where_its_tensor_does() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(tg.BackendError, match=r"'cupy'.*'numpy'"):
        x.grad = tg.tensor([1.0, 2.0], backend="cupy")
    assert x.grad is None


def test_unknown_function_is_named() -> None:
    with pytest.raises(AttributeError, match=r"backend '\w+' has no function 'fft'"):
        backends.current().fft


# -- what a device is asked to do ----------------------------------------------------------------------------


def _lstm_step(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> tuple[Any, Any]:
    i, f, g, o = tg.split(x @ w + h @ u + b, 4, axis=-1)
    c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
    return tg.sigmoid(o) * tg.tanh(c), c


@both
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


@both
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


@pytest.mark.one_backend
@pytest.mark.parametrize("shape", [(130, 140), (140, 129), (20000, 1), (3, 4), (3, 4, 5), (), (0, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bool"])
def test_copies_of_transposes(shape: tuple[int, ...], dtype: str, rng: numpy.random.Generator) -> None:
    x = rng.normal(size=shape[::-1]).astype(dtype).T if shape else numpy.array(2.0, dtype)
    y = backends.get("numpy").copy(x)
    assert y.flags.c_contiguous
    assert not numpy.shares_memory(x, y)
    numpy.testing.assert_array_equal(x, y)


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


@pytest.mark.parametrize("exponent", [-1, [0, -1]])
def test_whole_numbers_have_no_negative_powers(exponent):
    """CuPy's own are 0."""
    with pytest.raises(tg.ArgumentError, match="negative integer powers"):
        tg.tensor([1, 2]) ** (exponent if isinstance(exponent, int) else tg.tensor(exponent))
    assert (tg.tensor([2, 4]) ** -1.0).numpy().tolist() == [0.5, 0.25]
    assert (tg.tensor([2, 4]) ** tg.tensor([1, 0])).numpy().tolist() == [2, 1]
