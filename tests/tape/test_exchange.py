"""Memory that is shared with other libraries: what is the same memory and what a copy, and that no write on
either side gives a wrong gradient without a word.

The other library is NumPy here, and the stand-in for CuPy; ``tests/peers`` has PyTorch and JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.tape.foreign import Foreign
from tests.tape.leaves import grad_of, leaf

VALUES = np.array([[1.0, 2.0], [3.0, 4.0]])


host_only = pytest.mark.numpy_only


# -- taken in ------------------------------------------------------------------------------------------------


@host_only
@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint64", "bool"]
)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0, 3), (2, 0), (2, 3, 4)])
@pytest.mark.parametrize("kind", [np.asarray, Foreign])
def test_memory_is_shared(dtype: str, shape: tuple[int, ...], kind: Any) -> None:
    array = np.array(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2, dtype)
    x = tg.from_dlpack(kind(array))
    assert x.backend == "numpy"
    assert x.shape == shape
    assert x.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(x.numpy(), array)
    array[...] = 1
    np.testing.assert_array_equal(x.numpy(), array)
    if array.size:
        x.data[...] = 0
        assert not array.any()


@host_only
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[:, ::2],
        lambda a: a[::-1],
        lambda a: a[1, 1:],
        lambda a: np.broadcast_to(a[0], (3, 4)),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, Foreign])
def test_strides_are_read_as_they_are(view: Any, kind: Any) -> None:
    whole = np.arange(12.0).reshape(3, 4)
    array = view(whole)
    if kind is Foreign and not array.flags.writeable and np.lib.NumpyVersion(np.__version__) < "2.1.0":
        return
    x = tg.from_dlpack(kind(array))
    whole += 1
    np.testing.assert_array_equal(x.numpy(), array)
    np.testing.assert_allclose(tg.sum(x * x).item(), (array * array).sum())


@host_only
def test_what_nobody_may_write_into_stays_so() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    x = tg.from_dlpack(array)
    assert np.shares_memory(x.numpy(), array)
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 1.0
    x.requires_grad_()
    optimizer = tg.optim.SGD([x], lr=0.5)
    tg.sum(x * x).backward()
    optimizer.step()  # gives it a new array
    assert x.tolist() == [0, 0, 0]
    assert array.tolist() == [0, 1, 2]


@host_only
def test_copies_where_they_are_asked_for() -> None:
    array = VALUES.copy()
    mine = tg.from_dlpack(array, copy=True)
    array[0, 0] = 9.0
    assert mine.tolist() == VALUES.tolist()
    swapped = VALUES.astype(">f8")
    assert tg.from_dlpack(swapped).tolist() == VALUES.tolist()
    with pytest.raises(tg.DtypeError, match="order of bytes: copy it"):
        tg.from_dlpack(swapped, copy=False)
    assert np.shares_memory(tg.from_dlpack(VALUES, copy=False).numpy(), VALUES)


@host_only
def test_tensors_are_shared_with_each_other() -> None:
    x = tg.tensor(VALUES)
    y = tg.from_dlpack(x)
    x.data[0, 0] = 9.0
    assert y.tolist()[0] == [9, 2]
    with pytest.raises(tg.ExportError, match="detach"):
        tg.from_dlpack(tg.tensor(VALUES, requires_grad=True))


@host_only
@pytest.mark.parametrize(
    ("x", "error", "complaint"),
    [
        (3, tg.ArgumentError, "x must be an array with __dlpack__"),
        ([1.0], tg.ArgumentError, "x must be an array with __dlpack__"),
        (np.ndarray, tg.ArgumentError, "x must be an array with __dlpack__"),
        (np.array([1j]), tg.DtypeError, "complex128"),
        (Foreign(np.array([1j])), tg.DtypeError, "complex128"),
        (np.array(["a"]), tg.DtypeError, "x: cannot make a tensor of"),
        (np.array([None]), tg.DtypeError, "x: cannot make a tensor of"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), tg.DtypeError, r"masked array: write \.filled"),
        (Foreign(VALUES, (8, 0)), tg.BackendError, r"\(DLPack's number: 8\)"),
        (Foreign(VALUES, (2, 0)), tg.BackendError, r"on a CUDA device: copy it to the host, as with \.cpu"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(x: Any, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        tg.from_dlpack(x)


@host_only
@pytest.mark.parametrize(
    "way", [tg.tensor, tg.asarray, tg.exp, lambda x: tg.ones(2) + x, lambda x: tg.stack([tg.ones(2), x])]
)
def test_without_cupy_an_array_of_a_device_is_refused(
    way: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(tg.BackendError, match=r"CUDA device.* \.cpu\(\)"):
        way(Foreign(np.ones(2), (2, 0)))


@host_only
def test_signs_and_conjugates_that_were_put_off_are_refused() -> None:
    class Lazy(Foreign):
        def is_neg(self) -> bool:
            return True

    for way in (tg.from_dlpack,):
        with pytest.raises(tg.DtypeError, match=r"\.resolve_neg\(\)"):
            way(Lazy(VALUES))


# -- handed out ----------------------------------------------------------------------------------------------


@pytest.mark.both_backends
def test_memory_is_handed_out(backend: str) -> None:
    x = tg.tensor(VALUES)
    y = tg.from_dlpack(Foreign(x))
    assert y.backend == x.backend == backend
    assert x.__dlpack_device__() == ((1, 0) if backend == "numpy" else (2, 0))
    y.data[0, 0] = 9.0
    assert x.tolist() == [[9, 2], [3, 4]]


@host_only
@pytest.mark.parametrize("version", [None, (1, 0), (2, 0)])
@pytest.mark.parametrize(
    ("make", "own"),
    [
        (lambda x: x, True),
        (lambda x: x.T, True),
        (lambda x: x[1], True),
        (lambda x: tg.transpose(tg.reshape(x, (1, 2, 2)), (2, 0, 1)), True),
        (lambda x: x[:, 1], "versioned"),
        (lambda x: tg.flip(x), False),
        (lambda x: tg.broadcast_to(x, (3, 2, 2)), False),
        (lambda x: tg.tensor(np.zeros((0, 3))), None),
        (lambda x: x[0, 0], None),
    ],
)
def test_what_others_misread_is_copied(version: Any, make: Callable[[Any], Any], own: Any) -> None:
    """PyTorch ends the process where a step is below 0, and writes into what is read-only; JAX refuses
    gaps."""
    x = tg.tensor(VALUES)
    y = make(x)

    class Reader:
        def __dlpack__(self, **words: Any) -> Any:
            return y.__dlpack__(max_version=version)

        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0

    got: np.ndarray = np.from_dlpack(Reader())
    np.testing.assert_array_equal(got, y.numpy())
    assert all(step >= 0 for step in got.strides)
    shares = np.shares_memory(got, x.numpy())
    if own is not None:
        assert shares == (own is True or (own == "versioned" and version is not None))
    if own is False:
        with pytest.raises(tg.ExportError, match="leave out copy=False"):
            y.__dlpack__(max_version=version, copy=False)
    mine: np.ndarray = (
        np.from_dlpack(Foreign(y), copy=True)
        if np.lib.NumpyVersion(np.__version__) >= "2.1.0"
        else got.copy()
    )
    assert not np.shares_memory(mine, x.numpy())


@pytest.mark.both_backends
def test_a_tensor_on_the_tape_is_not_handed_out() -> None:
    for x in (leaf([1.0]), leaf([1.0]) * 2):
        for error in (tg.ExportError, tg.TapeError, BufferError):
            with pytest.raises(error, match=r"detach\(\)"):
                x.__dlpack__()
        with tg.no_grad(), pytest.raises(BufferError, match=r"detach\(\)"):
            x.__dlpack__()
        assert tg.from_dlpack(Foreign(x.detach())).tolist() == x.tolist()


@pytest.mark.parametrize("look", [lambda h: h.__dlpack__(), lambda h: tg.from_dlpack(Foreign(h, (1, 0)))])
def test_a_cell_that_is_compiled_shares_nothing(look: Callable[[Any], Any]) -> None:
    def cell(x: Any, h: Any) -> Any:
        look(h.detach())
        return x, h + x

    with pytest.raises(tg.TraceError):
        tg.scan(cell, tg.zeros((3, 2)), tg.zeros(2), compiled=True)


@host_only
def test_numbers_that_dlpack_does_not_know_and_other_devices() -> None:
    with pytest.raises(tg.ExportError, match=r"'numpy' backend: move it with \.to\(name\)"):
        tg.ones(2).__dlpack__(dl_device=(2, 0))
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(tg.ExportError, match=str(np.dtype(np.longdouble))):
            tg.tensor(np.ones(2, np.longdouble)).__dlpack__()


# -- the tape watches what is shared -------------------------------------------------------------------------


@pytest.mark.both_backends
@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize(
    "view", [lambda x: x, lambda x: x[1:], lambda x: x.T, lambda x: x.detach().reshape(4)]
)
def test_a_write_of_the_other_side_is_noticed(
    compiled: Any, view: Callable[[Any], Any], backend: str
) -> None:
    theirs = tg.tensor(VALUES).data
    x = tg.from_dlpack(Foreign(theirs))
    w = leaf(2.0)
    used = view(x)
    loss = tg.sum(tg.scan(lambda x, h: (h, tg.tanh(h * w + x)), used, used[0], compiled=compiled)[1])
    theirs[1, 1] = 50.0
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()
    assert w.grad is None
    theirs[1, 1] = 4.0  # as it was
    loss.backward()
    assert w.grad is not None


@pytest.mark.both_backends
@pytest.mark.parametrize("early", [False, True])
def test_a_write_into_what_was_handed_out_is_noticed(early: bool) -> None:
    x, w = tg.tensor(VALUES), leaf(2.0)
    theirs = tg.from_dlpack(Foreign(x)).data if early else None
    loss = tg.sum(tg.exp(x * w))
    theirs = tg.from_dlpack(Foreign(x)).data if theirs is None else theirs
    theirs[0, 0] = 7.0
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()
    assert w.grad is None


@pytest.mark.both_backends
@pytest.mark.parametrize("kind", [lambda x: x.data, lambda x: Foreign(x.data), lambda x: Foreign(x.detach())])
@pytest.mark.parametrize("given", [lambda x: x, lambda x: x[1:]])
def test_memory_of_a_tensor_that_was_recorded_before(kind: Callable[[Any], Any], given: Any) -> None:
    x, w = tg.tensor(VALUES), leaf(2.0)
    loss = tg.sum(tg.exp(x * w))
    y = tg.from_dlpack(kind(given(x)))
    other = tg.sum(y * w)
    y.data[...] = 7.0
    for recorded in (loss, other):
        with pytest.raises(tg.TapeError, match="changed in place"):
            recorded.backward()
    assert w.grad is None


@host_only
def test_a_view_of_what_was_recorded_before() -> None:
    x, w = tg.tensor(VALUES), leaf(2.0)
    loss = tg.sum(tg.exp(x * w))
    y = tg.from_dlpack(x.numpy())  # read-only
    (tg.sum(y * w) + loss).backward()
    assert w.grad is not None


@pytest.mark.both_backends
def test_the_next_batch_may_come_in_the_same_memory() -> None:
    theirs = tg.tensor(VALUES).data
    x, w = tg.from_dlpack(Foreign(theirs)), leaf(2.0)
    for k in range(3):
        theirs[0, 0] = float(k)
        w.grad = None
        tg.sum(x * w).backward()
        assert grad_of(w) == 9 + k


@pytest.mark.both_backends
def test_a_leaf_in_shared_memory_is_trained() -> None:
    theirs = tg.tensor(VALUES).data
    x = tg.from_dlpack(theirs).requires_grad_()
    tg.sum(x * x).backward()
    assert grad_of(x).tolist() == (2 * VALUES).tolist()
    tg.optim.SGD([x], lr=0.25).step()
    np.testing.assert_allclose(x.numpy(), VALUES / 2)
    assert tg.tensor(theirs).tolist() == VALUES.tolist()


@host_only
def test_arrays_as_operands_are_copied() -> None:
    theirs, w = VALUES.copy(), leaf(2.0)
    loss = tg.sum(tg.exp(w * Numbers(theirs)))
    expected = tg.sum(tg.exp(w * VALUES))
    theirs[...] = 7.0
    loss.backward()
    first = grad_of(w).copy()
    w.grad = None
    expected.backward()
    np.testing.assert_array_equal(first, grad_of(w))


class Numbers(Foreign):
    """As PyTorch's tensors on the host: NumPy makes a view of them."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.array, dtype)
