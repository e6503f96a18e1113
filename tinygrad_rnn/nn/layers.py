"""Layers without memory."""

from __future__ import annotations

import math
from typing import Any

from .. import derived, ops, random
from ..errors import DtypeError, ShapeError
from ..tape import lift
from ..tensor import Tensor, tensor
from . import init
from .module import Module, Parameter


def require(what: str, x: Any, size: int, dtype: Any) -> None:
    """Check the last axis and the dtype of an input.

    Raises:
        ShapeError, DtypeError: it is not (…, size) of that dtype.
    """
    if x.ndim == 0 or x.shape[-1] != size:
        raise ShapeError(f"{what} has shape {x.shape}: expected (…, {size})")
    if x.dtype != dtype:
        advice = "convert one of them with .astype(dtype)" if x.dtype.kind == "f" else "use an Embedding or one_hot for class numbers"
        raise DtypeError(f"{what} has dtype {x.dtype}, the parameters have {dtype}: {advice}")


class Linear(Module):
    """y = x Wᵀ + b, with PyTorch's parameters: weight (out, in), bias (out,), both evenly from ∓1/√in.

    x is (…, in), y (…, out).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: Any = None) -> None:
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = Parameter(init.uniform((out_features, in_features), bound, dtype))
        self.bias = Parameter(init.uniform((out_features,), bound, dtype)) if bias else None

    def __call__(self, x: Any) -> Tensor:
        x = lift(x, self.weight._backend)
        require("Linear: the input", x, self.weight.shape[1], self.weight.dtype)
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Embedding(Module):
    """Row number x of the weight (num_embeddings, embedding_dim), which is standard normal at first.

    x is whole numbers (…), y (…, embedding_dim).

    Raises:
        DtypeError: x is not whole numbers.
        IndexRangeError: there is no such row.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, dtype: Any = None) -> None:
        self.weight = Parameter(init.normal((num_embeddings, embedding_dim), dtype=dtype))

    def __call__(self, x: Any) -> Tensor:
        return ops.take(self.weight, x, 0)


class LayerNorm(Module):
    """(x − mean) / √(variance + eps) · weight + bias over the last axes (Ba, Kiros & Hinton 2016).

    Args:
        normalized_shape: the lengths of those axes; a number for one axis.
    """

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5, dtype: Any = None) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.weight = Parameter(init.zeros(shape, dtype) + 1)
        self.bias = Parameter(init.zeros(shape, dtype))
        self.eps = eps

    def __call__(self, x: Any) -> Tensor:
        x, shape = lift(x, self.weight._backend), self.weight.shape
        if x.shape[x.ndim - len(shape) :] != shape:
            raise ShapeError(f"LayerNorm: the input has shape {x.shape}: expected the last axes {shape}")
        axes = tuple(range(-len(shape), 0))
        centred = x - derived.mean(x, axes, keepdims=True)
        variance = derived.mean(centred * centred, axes, keepdims=True)
        return centred * ops.reciprocal(ops.sqrt(variance + self.eps)) * self.weight + self.bias


class Dropout(Module):
    """In training, 0 with probability p, and what is left divided by 1 − p; otherwise x itself (Srivastava et al. 2014)."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ShapeError(f"Dropout: p is a probability, not {p}")
        self.p = p

    def __call__(self, x: Any) -> Tensor:
        x = ops.as_tensor(x)
        if not self.training or self.p == 0:
            return x
        kept = random.generator().random(x.shape) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return x * tensor(kept * scale, x.dtype, backend=x.backend)


class Sequential(Module):
    """Modules or functions one after the other."""

    def __init__(self, *layers: Any) -> None:
        self.layers = layers

    def _members(self) -> Any:
        """Named by number alone, as in PyTorch."""
        return [(str(i), layer) for i, layer in enumerate(self.layers)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x
