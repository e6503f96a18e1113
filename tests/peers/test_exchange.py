"""Arrays of PyTorch and JAX, coming in and going out: shared or copied as said, right or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp = jax.numpy

VALUES = np.array([[1.0, -2.0, 0.5], [3.0, 4.0, -1.0]], "float32")
WEIGHT = np.array([0.5, -1.0, 2.0], "float32")


def layer() -> tg.nn.LSTM:
    tg.random.seed(3)
    return tg.nn.LSTM(3, 4)


WAYS: dict[str, Callable[[Any], tg.Tensor]] = {
    "tensor": tg.tensor,
    "asarray": tg.asarray,
    "from_dlpack": tg.from_dlpack,
    "function": tg.tanh,
    "operand": lambda x: tg.tensor(WEIGHT) * x,
    "left operand": lambda x: tg.tensor(WEIGHT).T @ tg.transpose(x),
    "concatenate": lambda x: tg.concatenate([x, tg.tensor(VALUES)]),
    "layer": lambda x: layer()(x)[0],
    "linear": lambda x: tg.sum(tg.nn.Linear(3, 1).weight) * 0 + x,
    "scan": lambda x: tg.scan(lambda x, h: (h, h + x), x, np.zeros(3, "float32"))[0],
    "loss": lambda x: tg.mse_loss(x, VALUES * 2),
}
every_way = pytest.mark.parametrize("way", WAYS)


def in_torch(kind: str) -> Any:
    whole = torch.from_numpy(np.repeat(np.repeat(VALUES, 2, 0), 2, 1).copy())
    return {
        "plain": lambda: torch.from_numpy(VALUES.copy()),
        "gaps": lambda: whole[::2, ::2],
        "transpose": lambda: torch.from_numpy(VALUES.T.copy()).T,
        "expanded": lambda: torch.from_numpy(VALUES[:1].copy()).expand(2, 3),
        "offset": lambda: torch.from_numpy(np.concatenate([VALUES, VALUES]))[2:],
        "detached": lambda: torch.from_numpy(VALUES.copy()).requires_grad_().detach(),
        "inference": lambda: torch.inference_mode()(lambda: torch.from_numpy(VALUES.copy()) * 1)(),
    }[kind]()


@every_way
@pytest.mark.parametrize(
    "kind", ["plain", "gaps", "transpose", "expanded", "offset", "detached", "inference"]
)
def test_tensors_of_torch_are_arrays(way: str, kind: str) -> None:
    x = in_torch(kind)
    np.testing.assert_array_equal(WAYS[way](x).numpy(), WAYS[way](x.numpy().copy()).numpy())


@every_way
@pytest.mark.parametrize("make", [lambda x: x, lambda x: x.T.copy().T, lambda x: x[::-1][::-1]])
def test_arrays_of_jax_are_arrays(way: str, make: Callable[[Any], Any]) -> None:
    x = make(jnp.asarray(VALUES))
    np.testing.assert_array_equal(WAYS[way](x).numpy(), WAYS[way](VALUES.copy()).numpy())


@every_way
@pytest.mark.parametrize("like", ["torch", "jax"])
def test_gradients_beside_them_are_those_beside_numpys(way: str, like: str) -> None:
    w = tg.tensor(1.5, requires_grad=True)
    found = []
    for x in (VALUES, torch.from_numpy(VALUES) if like == "torch" else jnp.asarray(VALUES)):
        w.grad = None
        tg.sum(WAYS[way](x) * w).backward()
        found.append(w.grad.item())
    assert found[0] == found[1]


DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 3), (2, 0, 4)])
def test_dtypes_and_shapes_both_ways(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.array(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2, dtype)
    theirs = torch.from_numpy(array.copy())
    x = tg.from_dlpack(theirs)
    assert (x.dtype, x.shape) == (array.dtype, shape)
    np.testing.assert_array_equal(x.numpy(), array)
    back = torch.from_dlpack(x)
    assert back.dtype == theirs.dtype
    assert tuple(back.shape) == shape
    if array.size:
        assert back.data_ptr() == theirs.data_ptr()
    np.testing.assert_array_equal(np.from_dlpack(x), array)
    if dtype not in ("float64", "int64"):
        np.testing.assert_array_equal(jnp.from_dlpack(x), array)
        np.testing.assert_array_equal(tg.from_dlpack(jnp.from_dlpack(x)).numpy(), array)


VIEWS: dict[str, Callable[[tg.Tensor], tg.Tensor]] = {
    "whole": lambda x: x,
    "transpose": lambda x: x.T,
    "column": lambda x: x[:, 1],
    "every second": lambda x: x[:, ::2],
    "backwards": lambda x: tg.flip(x, 1),
    "broadcast": lambda x: tg.broadcast_to(x, (4, 2, 3)),
    "number": lambda x: x[0, 1],
    "nothing": lambda x: x[:0],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("library", [torch, jnp, np])
def test_views_go_out_right(view: str, library: Any) -> None:
    x = tg.tensor(VALUES)
    y = VIEWS[view](x)
    got = library.from_dlpack(y)
    np.testing.assert_array_equal(np.asarray(got), y.numpy())
    if library is torch and view in ("backwards", "broadcast"):
        got[...] = 7.0  # a copy, or others would change with it
        np.testing.assert_array_equal(x.numpy(), VALUES)


@pytest.mark.parametrize("made", [lambda x: x, lambda x: x * 2])
def test_what_requires_grad_is_not_handed_out(made: Callable[[Any], Any]) -> None:
    x = made(tg.tensor(VALUES, requires_grad=True))
    for take in (torch.from_dlpack, jnp.from_dlpack, np.from_dlpack):
        with pytest.raises(tg.ExportError, match=r"detach\(\)"):
            take(x)
        np.testing.assert_array_equal(np.asarray(take(x.detach())), x.numpy())


REFUSED: dict[str, Callable[[], Any]] = {
    "grad": lambda: torch.ones(2, requires_grad=True),
    "result": lambda: torch.ones(2, requires_grad=True) * 2,
    "bfloat16": lambda: torch.ones(2, dtype=torch.bfloat16),
    "float8": lambda: torch.ones(2).to(torch.float8_e4m3fn),
    "complex": lambda: torch.ones(2, dtype=torch.complex64),
    "conjugate": lambda: torch.ones(2, dtype=torch.complex64).conj(),
    "negative": lambda: torch.tensor([1 + 2j, 3 - 1j]).conj().imag,
    "zeros": lambda: torch._efficientzerotensor(2),
    "sparse": lambda: torch.eye(2).to_sparse(),
    "sparse rows": lambda: torch.eye(2).to_sparse_csr(),
    "meta": lambda: torch.empty(2, device="meta"),
    "bfloat16 of jax": lambda: jnp.ones(2, jnp.bfloat16),
    "complex of jax": lambda: jnp.ones(2, jnp.complex64),
    "key of jax": lambda: jax.random.key(0),
    "deleted of jax": lambda: _deleted(),
}
_SAYS = {
    "grad": r"\.detach\(\)",
    "result": r"\.detach\(\)",
    "bfloat16": "(?i)bfloat16",
    "negative": "resolve_neg",
    "complex": "complex64",
    "conjugate": "complex|conjugate",
    "bfloat16 of jax": "bfloat16",
}


def _deleted() -> Any:
    x = jnp.ones(2)
    x.delete()
    return x


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("way", ["tensor", "asarray", "from_dlpack", "function", "operand"])
def test_what_cannot_be_taken_is_refused_by_name(kind: str, way: str) -> None:
    x = REFUSED[kind]()
    with pytest.raises(
        (tg.DtypeError, tg.BackendError, tg.ArgumentError),
        match=_SAYS.get(kind, "tensor of|__dlpack__|neither on"),
    ):
        WAYS[way](x)


# -- whose memory it is --------------------------------------------------------------------------------------


def test_from_dlpack_shares_and_tensor_copies() -> None:
    theirs = torch.from_numpy(VALUES.copy())
    x, mine = tg.from_dlpack(theirs), tg.tensor(theirs)
    theirs[0, 0] = 9.0
    assert x[0, 0].item() == 9
    assert mine[0, 0].item() == 1
    x.data[0, 1] = 8.0
    assert theirs[0, 1].item() == 8


def test_what_jax_has_is_shared_since_nobody_writes_into_it() -> None:
    theirs = jnp.asarray(VALUES)
    for x in (tg.asarray(theirs), tg.from_dlpack(theirs)):
        assert np.shares_memory(x.numpy(), np.asarray(theirs))
        with pytest.raises(ValueError, match="read-only"):
            x.data[0, 0] = 7.0
    back = torch.from_dlpack(tg.asarray(theirs))
    back[...] = 7.0  # a copy: PyTorch does not know of what is read-only
    np.testing.assert_array_equal(np.asarray(theirs), VALUES)
    given = jax.jit(lambda x: x + 1, donate_argnums=0)(theirs)
    np.testing.assert_array_equal(x.numpy(), VALUES)  # though JAX may use the memory again
    np.testing.assert_array_equal(given, VALUES + 1)


@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize("out", [False, True])
def test_a_write_of_torch_is_noticed_by_the_tape(compiled: Any, out: bool) -> None:
    if out:
        x = tg.tensor(VALUES)
        theirs = torch.from_dlpack(x)
    else:
        theirs = torch.from_numpy(VALUES.copy())
        x = tg.from_dlpack(theirs)

    def run(w: tg.Tensor, x: tg.Tensor) -> tg.Tensor:
        zeros = np.zeros(3, "float32")
        return tg.sum(tg.scan(lambda x, h: (h, tg.tanh(h * w + x)), x, zeros, compiled=compiled)[1])

    w = tg.tensor(WEIGHT, requires_grad=True)
    loss = run(w, x)
    theirs.mul_(2)
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()
    assert w.grad is None
    theirs.div_(2)
    loss.backward()
    plain = tg.tensor(WEIGHT, requires_grad=True)
    run(plain, tg.tensor(VALUES)).backward()
    np.testing.assert_array_equal(w.grad.numpy(), plain.grad.numpy())


@every_way
def test_a_write_after_a_call_that_copies_changes_nothing(way: str) -> None:
    if way == "from_dlpack":
        return
    w = tg.tensor(1.5, requires_grad=True)
    theirs = torch.from_numpy(VALUES.copy())
    loss = tg.sum(tg.tanh(WAYS[way](theirs) * w))
    theirs.fill_(100.0)
    loss.backward()
    found, w.grad = w.grad.item(), None
    tg.sum(tg.tanh(WAYS[way](VALUES.copy()) * w)).backward()
    assert found == w.grad.item()


def test_what_torch_makes_of_a_tensor() -> None:
    """It asks for the memory here, too: ``as_tensor`` shares it, ``tensor`` copies."""
    x, w = tg.tensor(VALUES), tg.tensor(1.5, requires_grad=True)
    for make, shares in ((torch.as_tensor, True), (torch.asarray, True), (torch.tensor, False)):
        theirs = make(x)
        np.testing.assert_array_equal(theirs.numpy(), VALUES)
        assert np.shares_memory(theirs.numpy(), x.numpy()) == shares
        with pytest.raises(tg.ExportError, match=r"detach\(\)"):
            make(tg.tensor(VALUES, requires_grad=True))
    loss = tg.sum(tg.exp(x * w))
    torch.as_tensor(x)[0, 0] = 9.0
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("library", [torch, jnp])
def test_indices_classes_lengths_and_masks(library: Any) -> None:
    """Of each library what NumPy's give, also where a tensor stands on the right of its operator."""
    chance = np.random.default_rng(0)
    x, scores = chance.normal(size=(4, 2, 3)), tg.tensor(chance.normal(size=(2, 3)), requires_grad=True)
    places, sign = np.array([1, 0]), np.array([[True, False, True], [False, True, True]])
    rnn, embedding = layer().astype("float64"), tg.nn.Embedding(3, 2)

    def told(make: Callable[[Any], Any]) -> list[Any]:
        whole, mask, left = make(places), make(sign), make(VALUES)
        found = [
            scores[whole], tg.take(scores, whole, 0), scores[mask], tg.where(mask, scores, 0.0),
            tg.one_hot(whole, 3), tg.cross_entropy(scores, whole), embedding(whole), left * scores,
            left + scores, left @ scores.T, left - scores, scores - left, rnn(x, lengths=whole + 2)[0],
            tg.stack([left, scores.astype("float32")]), tg.tensor([left, left]), tg.nn.Parameter(left),
        ]  # fmt: skip
        assert all(isinstance(y, tg.Tensor) for y in found)
        assert found[7].requires_grad
        return [y.numpy() for y in found]

    make = torch.from_numpy if library is torch else jnp.asarray
    for ours, theirs in zip(told(np.asarray), told(make), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_training_step_of_torch_on_shared_weights_is_seen() -> None:
    theirs = torch.nn.Linear(3, 1, bias=False)
    w = tg.from_dlpack(theirs.weight.detach())
    theirs(torch.from_numpy(VALUES)).sum().backward()
    torch.optim.SGD(theirs.parameters(), lr=0.1).step()
    np.testing.assert_array_equal(w.numpy(), theirs.weight.detach().numpy())
