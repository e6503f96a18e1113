"""Layers without memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, overload

from .. import arguments, ops, random
from ..arguments import DTypeLike
from ..derived.reductions import layer_norm
from ..errors import ArgumentError, DtypeError, IndexRangeError, ShapeError
from ..ops import ArrayLike
from ..sequence import Output
from ..tape import lift
from ..tensor import Tensor, tensor
from . import init
from .module import Module
from .parameter import Parameter


def not_a_pair(name: str, x: Any) -> Any:
    """The input of a layer that takes one tensor.

    Raises:
        ArgumentError: it is the pair that a recurrent layer returns.
    """
    if isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], Tensor):
        raise ArgumentError(
            f"{name}: x is a pair, as recurrent layers return: write y, state = layer(x), and pass y"
        )
    return x


def not_packed(name: str, x: Any) -> Any:
    """The input of a recurrent layer.

    Raises:
        ArgumentError: it is a packed sequence of PyTorch's.
    """
    if isinstance(x, tuple) and hasattr(x, "batch_sizes"):
        raise ArgumentError(
            f"{name}: x is a packed sequence: nothing is packed here; give the padded tensor, as it was "
            "before it was packed, and the lengths: layer(x, lengths=…)"
        )
    return x


def require(what: str, x: Any, size: int, dtype: Any) -> None:
    """Check the last axis and the dtype of an input.

    Raises:
        ShapeError, DtypeError: it is not (…, size) of that dtype.
    """
    if x.ndim == 0 or x.shape[-1] != size:
        raise ShapeError(f"{what} has shape {x.shape}: expected (…, {size})")
    if x.dtype != dtype:
        advice = (
            "convert one of them with .astype(dtype)"
            if x.dtype.kind == "f"
            else "use an Embedding or one_hot for class numbers"
        )
        raise DtypeError(f"{what} has dtype {x.dtype}, the parameters have {dtype}: {advice}")


class Linear(Module):
    """y = x Wᵀ + b, with PyTorch's parameters: weight (out, in), bias (out,), both evenly from ∓1/√in.

    x is (…, in), y (…, out).

    >>> layer = tg.nn.Linear(2, 3)
    >>> layer(tg.zeros((5, 2))).shape
    (5, 3)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike | None = None
    ) -> None:
        in_features = arguments.size("Linear: in_features", in_features)
        out_features = arguments.size("Linear: out_features", out_features)
        bias = arguments.flag("Linear: bias", bias)
        dtype = arguments.optional(arguments.float_dtype, "Linear: dtype", dtype)
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight: Parameter = Parameter(init.uniform((out_features, in_features), bound, dtype))
        self.bias: Parameter | None = Parameter(init.uniform((out_features,), bound, dtype)) if bias else None

    def __call__(self, x: ArrayLike) -> Tensor:
        x = lift(not_a_pair("Linear", x), self.weight._backend)
        require("Linear: the input", x, self.weight.shape[1], self.weight.dtype)
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Embedding(Module):
    """Row number x of the weight (num_embeddings, embedding_dim), which is standard normal at first.

    x (…) holds integers, y is (…, embedding_dim).

    >>> tg.nn.Embedding(10, 4)([1, 5]).shape
    (2, 4)

    Args:
        num_embeddings: how many rows.
        embedding_dim: their length.
        dtype: of the weight; the default dtype if None.
        padding_idx: a row, which may be counted from the end, that is 0 at first and gets no residual.

    Raises:
        DtypeError: x holds no integers.
        IndexRangeError: there is no such row; rows do not count from the end. On a device, where nobody
            looks, y is NaN there.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        dtype: DTypeLike | None = None,
        padding_idx: int | None = None,
    ) -> None:
        rows = arguments.size("Embedding: num_embeddings", num_embeddings)
        columns = arguments.size("Embedding: embedding_dim", embedding_dim)
        dtype = arguments.optional(arguments.float_dtype, "Embedding: dtype", dtype)
        padding = arguments.optional(arguments.whole, "Embedding: padding_idx", padding_idx)
        if padding is not None and not -rows <= padding < rows:
            raise IndexRangeError(
                f"Embedding: padding_idx {arguments.shown(padding)} lies outside of {rows} rows"
            )
        self.padding_idx: int | None = padding if padding is None or padding >= 0 else rows + padding
        self.weight: Parameter = Parameter(init.normal((rows, columns), dtype=dtype))
        if self.padding_idx is not None:
            self.weight._data[self.padding_idx] = 0

    def __call__(self, x: ArrayLike) -> Tensor:
        advice = "; a padding needs a row of its own: padding_idx="
        return ops.lookup("Embedding", self.weight, not_a_pair("Embedding", x), advice, self.padding_idx)


class LayerNorm(Module):
    """(x − mean) / √(variance + eps) · weight + bias over the last axes (Ba, Kiros & Hinton 2016).

    >>> tg.nn.LayerNorm(2, eps=0.0)([1.0, 3.0]).tolist()
    [-1.0, 1.0]

    Args:
        normalized_shape: the lengths of those axes; a number for one axis.
        elementwise_affine: whether there is a weight and a bias; both are None otherwise.
        bias: whether there is a bias beside the weight.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        dtype: DTypeLike | None = None,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        shape = arguments.shape("LayerNorm: normalized_shape", normalized_shape)
        if not shape:
            raise ShapeError("LayerNorm: normalized_shape must have at least one length")
        dtype = arguments.optional(arguments.float_dtype, "LayerNorm: dtype", dtype)
        affine = arguments.flag("LayerNorm: elementwise_affine", elementwise_affine)
        bias = arguments.flag("LayerNorm: bias", bias)
        self.eps: float = arguments.rate("LayerNorm: eps", eps)
        self.shape: tuple[int, ...] = shape
        self.weight: Parameter | None = Parameter(init.zeros(shape, dtype) + 1) if affine else None
        self.bias: Parameter | None = Parameter(init.zeros(shape, dtype)) if affine and bias else None

    def __call__(self, x: ArrayLike) -> Tensor:
        x = not_a_pair("LayerNorm", x)
        x = ops.as_tensor(x) if self.weight is None else lift(x, self.weight._backend)
        if x.shape[x.ndim - len(self.shape) :] != self.shape:
            raise ShapeError(f"LayerNorm: the input has shape {x.shape}: expected the last axes {self.shape}")
        return layer_norm(x, self.weight, self.bias, len(self.shape), self.eps)


class Dropout(Module):
    """In training, 0 with probability p, and what is left divided by 1 − p; otherwise x itself (Srivastava et
    al. 2014).

    >>> tg.nn.Dropout(0.5).eval()([1.0, 2.0])
    tensor([1., 2.], dtype=float32)

    Args:
        p: the probability.
        shared_axes: along these axes all elements share their fate: 0 for one choice at all steps of a
            sequence (T, B, …), as variational dropout has it (Gal & Ghahramani 2016).

    Raises:
        DtypeError: x is to be divided, and no float.
        ShapeError: x has no such axis.
    """

    def __init__(self, p: float = 0.5, shared_axes: int | tuple[int, ...] = ()) -> None:
        self.p: float = arguments.probability("Dropout: p", p)
        self.shared_axes: tuple[int, ...] = arguments.wholes("Dropout: shared_axes", shared_axes)

    def _options(self) -> list[str]:
        shared = [f"shared_axes={self.shared_axes}"] if self.shared_axes else []
        return [*([f"p={self.p}"] if self.p != 0.5 or shared else []), *shared]

    def __call__(self, x: ArrayLike) -> Tensor:
        x = ops.as_tensor(not_a_pair("Dropout", x))
        if not self.training or self.p == 0:
            return x
        if x.dtype.kind != "f":
            raise DtypeError(f"Dropout: the input has dtype {x.dtype}: convert it with .astype('float32')")
        shape = list(x.shape)
        for axis in self.shared_axes:
            if not -x.ndim <= axis < x.ndim:
                raise ShapeError(f"Dropout: the input of shape {x.shape} has no axis {axis} to share")
            shape[axis] = 1
        kept = random.generator().random(shape) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return x * tensor(kept * scale, x.dtype, backend=x.backend)


class Sequential(Module, Generic[Output]):
    """Modules or functions one after the other; their numbers, or the names in a dict, name the parameters.

    >>> net = tg.nn.Sequential(tg.nn.Linear(2, 3), tg.tanh)
    >>> net(tg.zeros((5, 2))).shape
    (5, 3)
    >>> list(tg.nn.Sequential({"head": tg.nn.Linear(2, 3)}).state_dict())
    ['head.weight', 'head.bias']
    """

    @overload
    def __init__(self: Sequential[Tensor], *layers: Callable[[Any], Tensor]) -> None: ...
    @overload
    def __init__(self: Sequential[Any], *layers: Callable[[Any], Any]) -> None: ...
    @overload
    def __init__(self: Sequential[Any], layers: Mapping[str, Callable[[Any], Any]], /) -> None: ...
    def __init__(self, *layers: Any) -> None:
        name = type(self).__name__
        named = (
            dict(layers[0])
            if len(layers) == 1 and isinstance(layers[0], Mapping)
            else dict(enumerate(layers))
        )
        for key in named:
            if type(key) not in (str, int) or "." in str(key):
                raise arguments.refused(f"{name}: layers: a name", "a word without a dot", key)
        self.names: tuple[str, ...] = tuple([str(key) for key in named])
        self.layers: tuple[Any, ...] = tuple(
            [
                arguments.function(f"{name}: layers[{key!r}]", layer, instance=True)
                for key, layer in named.items()
            ]
        )

    def _members(self) -> Iterator[tuple[str, Any]]:
        """The layers by their names alone, as in PyTorch, and what a subclass has beside them."""
        for name, value in vars(self).items():
            yield from (zip(self.names, value, strict=True) if name == "layers" else ((name, value),))

    def _parts(self) -> list[str]:
        return [
            f"{name}: {layer if isinstance(layer, Module) else getattr(layer, '__name__', repr(layer))}"
            for name, layer in zip(self.names, self.layers, strict=True)
        ]

    def __call__(self, x: Any) -> Output:
        for layer in self.layers:
            x = layer(x)
        return x
