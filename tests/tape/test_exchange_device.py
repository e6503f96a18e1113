"""Arrays of other libraries that lie on a device: they stay there, on the stand-in for CuPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.strict_cupy import ndarray as DeviceArray
from tests.tape.foreign import Foreign

VALUES = np.array([[1.0, 2.0], [3.0, 4.0]])

on_device = pytest.mark.parametrize("backend", ["cupy"], indirect=True)


@on_device
@pytest.mark.parametrize(
    "way",
    [
        tg.tensor,
        tg.asarray,
        tg.from_dlpack,
        lambda x: tg.exp(tg.log(x)),
        lambda x: tg.ones((2, 2), "float64") * x,
        lambda x: tg.concatenate([tg.zeros((2, 2), "float64"), x])[2:],
        lambda x: tg.scan(lambda x, h: (h, h * 1), tg.ones((3, 2, 2)), x, compiled=False)[1],
    ],
)
def test_arrays_of_a_device_stay_on_it(device: Any, way: Callable[[Any], Any]) -> None:
    array = tg.tensor(VALUES).data
    assert isinstance(array, DeviceArray)
    device.reset()
    y = way(Foreign(array))
    assert device.synchronisations == 0
    assert y.backend == "cupy"
    np.testing.assert_allclose(y.numpy(), VALUES)


@on_device
def test_a_layer_takes_an_array_of_a_device(device: Any) -> None:
    layer, x = tg.nn.LSTM(2, 3, dtype="float64"), tg.tensor(VALUES)
    expected = layer(x)[0].numpy()
    np.testing.assert_array_equal(layer(Foreign(x.data))[0].numpy(), expected)


@on_device
def test_devices_do_not_mix_unasked() -> None:
    array = Foreign(tg.tensor(VALUES).data)
    assert tg.from_dlpack(VALUES).backend == "numpy"
    with tg.use_backend("numpy"):
        assert tg.from_dlpack(array).backend == "cupy"
        assert tg.asarray(array).backend == "cupy"
        assert tg.tensor(array).backend == "numpy"  # a copy, where tensors are made
        with pytest.raises(tg.BackendError):
            tg.tensor(VALUES) + array
    x = tg.tensor(VALUES)
    np.testing.assert_array_equal(np.from_dlpack(HostReader(x)), VALUES)
    with pytest.raises(tg.ExportError, match="copy=False"):
        x.__dlpack__(dl_device=(1, 0), copy=False)


class HostReader(Foreign):
    """Asks for a copy on the host."""

    def __dlpack__(self, **words: Any) -> Any:
        return self.array.__dlpack__(max_version=(1, 0), dl_device=(1, 0))

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0
