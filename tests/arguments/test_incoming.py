"""Arrays that come in: of other classes and other libraries, masked, with their bytes in another order, of
dtypes that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = [
    pytest.mark.numpy_only,
    pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning"),
]

VALUES = np.array([[1.0, 2.0], [3.0, 4.0]])


def parameter() -> tg.Tensor:
    return tg.nn.Parameter(np.ones((2, 2)), "float64")


def assigned(array: Any) -> tg.Tensor:
    p = parameter()
    p.data = array
    return p


def loaded(array: Any) -> tg.Tensor:
    layer = tg.nn.Linear(2, 2, bias=False, dtype="float64")
    layer.load_state_dict({"weight": array})
    return layer.weight


def scanned(array: Any) -> tg.Tensor:
    """An array as the state."""
    return tg.scan(lambda x, h: (h, h * 1), np.ones((3, 2, 2)), array, compiled=False)[1]


WAYS: dict[str, Callable[[Any], tg.Tensor]] = {
    "tensor": tg.tensor,
    "tensor of a dtype": lambda array: tg.tensor(array, dtype="float64"),
    "tensor of a list": lambda array: tg.tensor([array])[0],
    "Parameter": tg.nn.Parameter,
    "asarray": tg.asarray,
    "operand": lambda array: tg.tensor(VALUES) * array / VALUES,
    "operand in a list": lambda array: (tg.tensor(VALUES) * [array] / VALUES)[0],
    "function": lambda array: tg.exp(tg.log(array)),
    "concatenate": lambda array: tg.concatenate([tg.tensor(VALUES), array])[2:],
    "full": lambda array: tg.full((2, 2), array),
    "data": assigned,
    "load_state_dict": loaded,
    "state": scanned,
    "sequence": lambda array: tg.scan(lambda x, h: (x, h), [array, array], np.zeros(2))[0][0],
}
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
@pytest.mark.parametrize("kind", ["matrix", "unmasked", "memmap", "big-endian", "columns", "read-only"])
def test_every_array_of_numbers_is_one_like_any_other(way: str, kind: str, tmp_path: Any) -> None:
    made = {
        "matrix": lambda: np.matrix(VALUES),
        "unmasked": lambda: np.ma.masked_array(VALUES.copy()),
        "memmap": lambda: np.memmap(tmp_path / "x", np.float64, "w+", shape=(2, 2)),
        "big-endian": lambda: VALUES.astype(">f8"),
        "columns": lambda: np.asfortranarray(VALUES),
        "read-only": lambda: VALUES.copy(),
    }
    array = made[kind]()
    if kind == "read-only":
        array.flags.writeable = False
    else:
        array[:] = VALUES
    y = WAYS[way](array)
    assert type(y.data) is tg.tensor(VALUES)._backend.array_type
    assert y.dtype == np.float64
    assert y.dtype.isnative
    np.testing.assert_allclose(y.numpy(), VALUES, rtol=1e-15)


@every_way
@pytest.mark.parametrize("nested", [False, True])
def test_masked_numbers_are_refused(way: str, nested: bool) -> None:
    rows = [np.ma.masked_array(row, [False, True]) for row in VALUES]
    with pytest.raises(tg.TinygradRNNError, match=r"masked array: write \.filled\("):
        WAYS[way](rows if nested else np.ma.masked_array(VALUES, [[False, False], [True, False]]))


@pytest.mark.parametrize("kind", [">f8", ">f4", ">f2", ">i4", ">u8"])
@pytest.mark.parametrize(
    "make",
    [
        lambda kind: tg.tensor([1, 2], kind),
        lambda kind: tg.zeros(2, kind),
        lambda kind: tg.zeros(2).astype(kind),
    ],
)
def test_a_dtype_means_this_machines_order_of_bytes(kind: str, make: Callable[[str], tg.Tensor]) -> None:
    dtype = make(kind).dtype
    assert dtype == np.dtype(kind).type
    assert dtype.isnative


@pytest.mark.parametrize("kind", [">f8", ">f4", ">f2"])
@pytest.mark.parametrize("compiled", ["auto", False])
def test_a_scan_over_bytes_in_another_order(kind: str, compiled: Any) -> None:
    x, state = np.full((3, 2, 2), 0.5, kind), np.ones((2, 2), kind)
    y = tg.scan(lambda x, h: (h, h * x), x, state, compiled=compiled)[1]
    assert y.dtype == np.dtype(kind).type
    np.testing.assert_array_equal(y.numpy(), np.full((2, 2), 0.125))


def test_an_array_that_is_assigned_is_shared_and_watched() -> None:
    """Also one of a subclass, whose memory is taken and whose class is not."""
    for array in (VALUES.copy(), np.matrix(VALUES)):
        p = parameter()
        p.data = array
        loss = tg.sum(p * p)
        array[0, 0] = 7.0
        assert p.numpy()[0, 0] == 7
        with pytest.raises(tg.TapeError, match="changed"):
            loss.backward()


@pytest.mark.peer
@pytest.mark.parametrize("way", [*WAYS])
def test_a_tensor_of_torch_with_a_history_is_refused(way: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(tg.TinygradRNNError, match=r"with \.detach\(\)"):
        WAYS[way](torch.ones(2, 2, dtype=torch.float64, requires_grad=True))
    y = WAYS[way](torch.tensor(VALUES, requires_grad=True).detach())
    np.testing.assert_allclose(y.numpy(), VALUES, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("other", ["float32", "float64", "float16", "int64", "uint8", "bool"])
def test_a_residual_has_the_dtype_of_its_tensor(dtype: str, other: str) -> None:
    p = tg.nn.Parameter([1.0, 2.0], dtype)
    p.grad = tg.tensor([1, 1], other)
    assert p.grad.dtype == dtype
    assert p.grad.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_dropout_is_of_floats(dtype: str) -> None:
    """What it divides by 1 − p would be cut to whole numbers."""
    layer, x = tg.nn.Dropout(0.3), tg.ones((4, 4), dtype)
    with pytest.raises(tg.DtypeError, match=rf"Dropout: the input has dtype {dtype}: .*astype\('float32'\)"):
        layer(x)
    assert layer.eval()(x) is x
    assert tg.nn.Dropout(0.0)(x) is x


@pytest.mark.parametrize("name", ["RNN", "LSTM", "PeepholeLSTM", "GRU"])
def test_an_argument_that_is_not_there_is_refused_by_the_class_that_was_called(name: str) -> None:
    with pytest.raises(tg.ArgumentError, match=f"^{name}: there is no argument 'num_layer'"):
        getattr(tg.nn, name)(3, 4, num_layer=2)
    bad = {"compiled": "yes", "checkpoint": 0, "masked_output": "none", "merge": "max", "outputs": "first"}
    for option, value in {**bad, "zoneout": 2.0, "recurrent_dropout": "x", "gate_clip": -1.0}.items():
        with pytest.raises(tg.ArgumentError, match=rf"^{name}(Cell)?: {option}"):
            getattr(tg.nn, name)(3, 4, **{option: value})


def test_a_layer_hands_its_options_on() -> None:
    layer = tg.nn.LSTM(3, 4, bidirectional=True, masked_output="previous", compiled=False, checkpoint=5)
    forwards, backwards = layer.layers[0]
    assert forwards.options == {
        "reverse": False,
        "masked_output": "previous",
        "compiled": False,
        "checkpoint": 5,
    }
    assert backwards.options == {**forwards.options, "reverse": True}
