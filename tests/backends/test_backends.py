"""Devices: choosing one, moving between them, and what goes wrong with words that help."""

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


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy is current; the stand-in can be chosen."""
    strict_cupy.install(monkeypatch)


@pytest.mark.both_backends
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


@pytest.mark.both_backends
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


@pytest.mark.numpy_only
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


@pytest.mark.numpy_only
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


@pytest.mark.numpy_only
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


@pytest.mark.numpy_only
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


@pytest.mark.numpy_only
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


@pytest.mark.numpy_only
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


@pytest.mark.both_backends
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


@pytest.mark.both_backends
def test_tensor_copies_what_it_is_given() -> None:
    host = numpy.array([1.0, 2.0])
    x = tg.tensor(host)
    y = tg.tensor(x.data)
    z = tg.tensor(x)
    host[0] = x.data[1] = 9.0
    assert (x.tolist(), y.tolist(), z.tolist()) == ([1.0, 9.0], [1.0, 2.0], [1.0, 2.0])


@pytest.mark.both_backends
def test_copies_of_a_tensor_know_the_same_backend() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    twin = copy.deepcopy(x)
    assert (x + twin).tolist() == [2.0, 4.0]
    assert copy.deepcopy(backends.current()) is backends.current()
    assert pickle.loads(pickle.dumps(backends.current())) is backends.current()
