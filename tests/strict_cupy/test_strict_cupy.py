"""The stand-in for CuPy is as strict as it says, and has nothing that CuPy has not."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import operator
import weakref
from typing import Any

import numpy
import pytest

from tests import strict_cupy
from tinygrad_rnn.backends.base import ARRAY_FUNCTIONS, LINALG_FUNCTIONS


@pytest.fixture
def cp() -> Any:
    return strict_cupy.modules()["cupy"]


def test_stand_in_has_all_that_the_library_takes() -> None:
    known = {*strict_cupy.UFUNCS, *strict_cupy.SIGNATURES}
    assert set(ARRAY_FUNCTIONS) <= known
    assert {f"linalg.{name}" for name in LINALG_FUNCTIONS} <= known


def test_array_is_no_numpy_array_and_does_not_become_one_unasked(cp: Any) -> None:
    x = cp.array([1.0, 2.0])
    assert not isinstance(x, numpy.ndarray)
    for conversion in (numpy.asarray, numpy.array, numpy.sum):
        with pytest.raises(TypeError):
            conversion(x)
    with pytest.raises(TypeError):
        range(3)[cp.array(1)]  # no __index__


def test_host_arrays_are_refused_as_operands(cp: Any) -> None:
    x, host = cp.ones((2,)), numpy.ones(2)
    calls = [
        lambda: x + host,
        lambda: host + x,
        lambda: x == host,
        lambda: cp.maximum(x, host),
        lambda: cp.concatenate([x, host]),
        lambda: cp.sum(host),
        lambda: cp.where(x > 0, host, 0),
        lambda: cp.add.at(x, numpy.array([0]), 1.0),
        lambda: x[numpy.array([0])],
        lambda: x.__setitem__(0, numpy.ones(1)),
        lambda: x.__iadd__(host),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy\.ndarray'>"):
            call()


def test_numbers_stay_on_the_device(cp: Any) -> None:
    x = cp.array([[1.0, 2.0], [3.0, 4.0]])
    for number in (x.sum(), x[0, 1], cp.max(x), x[0][0] + 1, cp.sum(x, axis=None), x.copy()[1, 1] ** 2):
        assert isinstance(number, strict_cupy.ndarray)
        assert number.shape == ()
    assert float(x.sum()) == 10.0
    assert int(x[1, 0]) == 3
    assert bool(x[0, 0] == 1)


def test_launches_and_synchronisations_are_counted(cp: Any, device: strict_cupy.Counts) -> None:
    x = cp.ones((2, 3))
    device.reset()
    y = x.T.reshape(2, 3)[0]  # the transposed view has to be copied to be reshaped
    assert (device.launches, device.synchronisations) == (1, 0)
    y += 1
    cp.add.at(y, cp.array([0, 0]), 1.0)
    cp.exp(y, out=y)
    assert (device.launches, device.synchronisations) == (4, 0)
    for look in (
        float,
        int,
        bool,
        repr,
        cp.asnumpy,
        lambda a: a.item(),
        lambda a: a.get(),
        lambda a: a.tolist(),
    ):
        device.reset()
        look(y[0])
        assert (device.launches, device.synchronisations) == (0, 1)
    device.reset()
    y[y > 0]
    assert device.synchronisations == 1  # how many there are is on the device


def test_views_name_their_owner_and_can_be_referred_to_weakly(cp: Any) -> None:
    x = cp.zeros((2, 3))
    assert x.base is None
    assert x[0].base is x
    assert x.T[1:][0].base is x
    assert cp.broadcast_to(x[0], (4, 3)).base is x
    assert (x + 1).base is None
    assert weakref.ref(x)() is x


def test_whole_number_arrays_wrap_around_and_singular_matrices_pass_unless_asked(cp: Any) -> None:
    x = cp.array([1.0, 2.0, 3.0])
    assert x[cp.array([3, -1])].tolist() == [1.0, 3.0]
    assert cp.take(x, cp.array([4])).tolist() == [2.0]
    with pytest.raises(IndexError):
        x[3]
    singular = cp.zeros((2, 2))
    assert not numpy.isfinite(cp.asnumpy(cp.linalg.solve(singular, cp.ones((2, 1))))).any()
    with pytest.raises(ValueError, match="shape"):
        cp.linalg.solve(cp.ones((3, 2, 2)), cp.ones((2, 1)))


def test_parameters_are_checked(cp: Any) -> None:
    with pytest.raises(TypeError, match=r"cupy\.argsort"):
        cp.argsort(cp.ones(2), order=None)
    with pytest.raises(TypeError, match="wrong number"):
        cp.add(cp.ones(2))
    with pytest.raises(AttributeError):
        cp.unstack
    with pytest.raises(AttributeError):
        cp.where(True, 1, 2)  # the condition has to be an array


# -- kernels -------------------------------------------------------------------------------------------------

_ROW_SUMS = """
extern "C" __global__ void row_sums(const float* x, float* y, long long n, double factor) {
  __shared__ float part[64];
  part[threadIdx.x] = 0;
  for (int j = threadIdx.x; j < n; j += blockDim.x) part[threadIdx.x] += x[blockIdx.x * n + j];
  __syncthreads();
  float total = 0;
  for (int i = 0; i < blockDim.x; i++) total += part[blockDim.x - 1 - i];
  if (threadIdx.x == 0) y[blockIdx.x] = factor * total;
}
"""


def test_kernels_really_run(cp: Any, device: strict_cupy.Counts) -> None:
    x, y = cp.array(numpy.arange(300, dtype="float32").reshape(3, 100)), cp.zeros((3,), "float32")
    kernel = cp.RawKernel(_ROW_SUMS, "row_sums")
    device.reset()
    kernel((3,), (64,), (x, y, 100, 0.5))
    assert (device.launches, device.synchronisations) == (1, 0)
    assert cp.asnumpy(y).tolist() == [2475.0, 7475.0, 12475.0]


def test_kernels_are_held_to_what_a_device_takes(cp: Any) -> None:
    x = cp.zeros((4,), "float32")
    kernel = cp.RawKernel(_ROW_SUMS, "row_sums")
    for grid, block in (((1, 65536), (32,)), ((1,), (1025,)), ((0,), (32,))):
        with pytest.raises(ValueError, match="CUDA_ERROR_INVALID_VALUE"):
            kernel(grid, block, (x, x, 4, 1.0))
    with pytest.raises(TypeError, match="Unsupported type"):
        kernel((1,), (64,), (numpy.zeros(4, "float32"), x, 4, 1.0))
    with pytest.raises(AssertionError, match="too few arguments"):
        kernel((1,), (64,), (x, x, 4))
    text = 'extern "C" __global__ void half(float* x) { if (threadIdx.x < 2) __syncthreads(); x[0] = 1; }'
    with pytest.raises(AssertionError, match="a barrier that not all threads of a block reach"):
        cp.RawKernel(text, "half")((1,), (32,), (x,))
    with pytest.raises(RuntimeError, match="CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"):
        kernel((1,), (512,), (x, x, 4, 1.0))
    for threads, taken in ((64, True), (32, False)):
        bounded = cp.RawKernel(_ROW_SUMS.replace("void", f"void __launch_bounds__({threads})"), "row_sums")
        with contextlib.nullcontext() if taken else pytest.raises(RuntimeError, match="64, 1, 1"):
            bounded((1,), (64,), (x, x, 4, 1.0))


def test_products_into_an_array_are_held_to_what_blas_takes(cp: Any, device: strict_cupy.Counts) -> None:
    a, b, wide = cp.ones((2, 3)), cp.ones((4, 3)), cp.zeros((2, 8))
    device.reset()
    y = cp.matmul(a, b.T, out=cp.zeros((2, 4)))
    assert device.launches == 2  # the zeros, and the product
    device.reset()
    cp.matmul(wide[:, :4], b, out=a)
    assert device.launches == 2  # an operand with gaps is copied
    with pytest.raises(ValueError, match="C-contiguous"):
        cp.matmul(a, b.T, out=wide[:, :4])
    with pytest.raises(ValueError, match="dtype"):
        cp.matmul(a, b.T, out=y.astype("float32"))


def signature_of(function: Any) -> inspect.Signature:
    """Of a function in Python; a compiled one of CuPy's has it as the first line of its documentation."""
    if inspect.isbuiltin(function):
        return strict_cupy.signature(function.__doc__.splitlines()[0].partition("(")[2].removesuffix(")"))
    return inspect.signature(function)


@pytest.mark.cupy
def test_against_the_real_cupy() -> None:
    """The package can be imported without a driver, so this needs no device."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    for name in strict_cupy.UFUNCS:
        assert isinstance(getattr(cupy, name), cupy.ufunc), name
        assert getattr(cupy, name).nin == strict_cupy.modules()["cupy"].__dict__[name].nin, name
    for name, text in strict_cupy.SIGNATURES.items():
        room, _, last = f"cupy.{name}".rpartition(".")
        real = signature_of(getattr(importlib.import_module(room), last)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in real] == [
            (p.name, p.kind, p.default) for p in strict_cupy.signature(text).parameters.values()
        ], name
    public = {name for name in vars(strict_cupy.ndarray) if not name.startswith("_") or name.endswith("__")}
    assert public - {"__module__", "__weakref__"} <= {
        *dir(cupy.ndarray),
        "__annotations__",
        "__firstlineno__",
        "__static_attributes__",
    }
    assert cupy.ndarray.__weakrefoffset__ > 0
    assert not hasattr(cupy, "unstack")
    assert not hasattr(cupy.ndarray, "__index__")
    assert callable(cupy.add.at)
    switches = dict.fromkeys(["translate_cucomplex", "enable_cooperative_groups"], False)
    assert callable(cupy.RawKernel("text", "name", (), "nvrtc", **switches))
    for room, answers in strict_cupy.ANSWERS.items():
        assert all(
            callable(operator.attrgetter(f"{room.removeprefix('cupy.')}.{name}")(cupy)) for name in answers
        ), room
    assert callable(cupy.get_default_memory_pool().total_bytes)
    assert type(cupy.__version__) is str
    assert isinstance(importlib.import_module("cupyx.scipy.special").erf, cupy.ufunc)
    assert callable(importlib.import_module("cupyx").errstate)
