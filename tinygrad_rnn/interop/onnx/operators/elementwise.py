"""Operators on single elements, and what they are where they have attributes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy

from .... import ops
from ....derived import elementwise, shapes
from ....tensor import Tensor
from .table import Node, add, operator, words


def _without_node(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors as an operator that has no attributes."""
    return lambda node, *xs: function(*xs)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Add": ops.add, "Sub": ops.subtract, "Mul": ops.multiply, "Neg": ops.negative, "Abs": ops.abs,
    "Reciprocal": ops.reciprocal, "Sqrt": ops.sqrt, "Exp": ops.exp, "Log": ops.log, "Erf": ops.erf,
    "Sin": ops.sin, "Cos": ops.cos, "Tan": ops.tan, "Sinh": ops.sinh, "Cosh": ops.cosh, "Tanh": ops.tanh,
    "Asin": ops.arcsin, "Acos": ops.arccos, "Atan": ops.arctan,
    "Asinh": ops.arcsinh, "Acosh": ops.arccosh, "Atanh": ops.arctanh,
    "Sigmoid": ops.sigmoid, "Relu": ops.relu, "Softplus": ops.softplus, "Softsign": elementwise.softsign,
    "Floor": ops.floor, "Ceil": ops.ceil, "Round": ops.rint, "Sign": ops.sign,
    "Equal": ops.equal, "Less": ops.less, "LessOrEqual": ops.less_equal,
    "Greater": ops.greater, "GreaterOrEqual": ops.greater_equal,
    "And": ops.logical_and, "Or": ops.logical_or, "Xor": ops.logical_xor, "Not": ops.logical_not,
    "IsNaN": ops.isnan, "Where": ops.where, "Identity": elementwise.positive,
}  # fmt: skip

for _name, _function in _FUNCTIONS.items():
    add(_name, _without_node(_function))

for _name, _function in {"Sum": ops.add, "Max": ops.maximum, "Min": ops.minimum}.items():
    add(_name, _without_node(lambda *xs, each=_function: functools.reduce(each, xs)))


@operator("Mean")
def _mean(node: Node, *xs: Tensor) -> Tensor:
    return functools.reduce(ops.add, xs) / len(xs)


@operator("Div")
def _divide(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Of whole numbers towards 0, as in C."""
    if a.dtype.kind == "f":
        return ops.divide(a, b)
    if a.dtype.kind == "u":
        return ops.floor_divide(a, b)
    return ops.sign(a) * ops.sign(b) * ops.floor_divide(ops.abs(a), ops.abs(b))


@operator("Mod", "fmod")
def _remainder(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return ops.fmod(a, b) if node.get("fmod", 0) else ops.mod(a, b)


@operator("Pow", plain=(1,))
def _power(node: Node, x: Tensor, exponent: Any) -> Tensor:
    """The dtype is that of x. With an exponent of the file x may be negative, or 0."""
    if isinstance(exponent, numpy.ndarray) and exponent.size == 1 and x.dtype.kind == "f":
        y = ops.raise_to(x, float(exponent.reshape(())))
        return ops.reshape(y, (1,) * (exponent.ndim - y.ndim) + y.shape) if exponent.ndim > y.ndim else y
    return ops.astype(ops.power(x, exponent), x.dtype)


@operator("Clip", "min max", plain=(1, 2))
def _clip(node: Node, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    """Until opset 11 the bounds are attributes."""
    low, high = node.get("min", low), node.get("max", high)
    if isinstance(low, Tensor) or isinstance(high, Tensor):  # min(max(x, low), high)
        x = x if low is None else ops.maximum(x, low)
        return x if high is None else ops.minimum(x, high)
    low, high = (None if bound is None else numpy.asarray(bound).item() for bound in (low, high))
    if low is not None and high is not None and low > high:
        return ops.full_like(x, high)
    return x if low is None and high is None else ops.clip(x, low, high)


# -- activations ---------------------------------------------------------------------------------------------


@operator("LeakyRelu", "alpha")
def _leaky_relu(node: Node, x: Tensor) -> Tensor:
    return elementwise.leaky_relu(x, node.get("alpha", 0.01))


@operator("PRelu")
def _parametric_relu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return ops.where(x < 0, slope * x, x)


@operator("ThresholdedRelu", "alpha")
def _thresholded_relu(node: Node, x: Tensor) -> Tensor:
    return ops.where(x > node.get("alpha", 1.0), x, 0)


@operator("Elu", "alpha")
def _elu(node: Node, x: Tensor) -> Tensor:
    return elementwise.elu(x, node.get("alpha", 1.0))


@operator("Selu", "alpha gamma")
def _selu(node: Node, x: Tensor) -> Tensor:
    alpha, gamma = node.get("alpha", 1.6732632423543772), node.get("gamma", 1.0507009873554805)
    return gamma * elementwise.elu(x, alpha)


@operator("Celu", "alpha")
def _celu(node: Node, x: Tensor) -> Tensor:
    alpha = node.get("alpha", 1.0)
    return ops.where(x > 0, x, alpha * ops.expm1(ops.minimum(x, 0) / alpha))


@operator("HardSigmoid", "alpha beta")
def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    return ops.clip(node.get("alpha", 0.2) * x + node.get("beta", 0.5), 0, 1)


@operator("HardSwish")
def _hard_swish(node: Node, x: Tensor) -> Tensor:
    return x * elementwise.hard_sigmoid(x)


@operator("Swish", "alpha")
def _swish(node: Node, x: Tensor) -> Tensor:
    return x * ops.sigmoid(node.get("alpha", 1.0) * x)


@operator("Mish")
def _mish(node: Node, x: Tensor) -> Tensor:
    return x * ops.tanh(ops.softplus(x))


def _check_gelu(node: Node) -> None:
    if words(node.get("approximate", "none")) not in ("none", "tanh"):
        node.refuse(f"approximate {words(node.get('approximate'))!r} is not supported")


@operator("Gelu", "approximate", check=_check_gelu)
def _gelu(node: Node, x: Tensor) -> Tensor:
    if words(node.get("approximate", "none")) == "none":
        return elementwise.gelu(x)
    return 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


@operator("Dropout", "ratio seed", plain=(1, 2), outputs=2)
def _dropout(node: Node, x: Tensor, ratio: Any = None, training: Any = None) -> Any:
    """As a network is used: x itself. One that a file trains is refused where it is met."""
    if training is not None and bool(numpy.asarray(training)):
        node.refuse("training_mode is true: export the model for inference")
    return x, ops.equal(shapes.stop_gradient(x), shapes.stop_gradient(x)) if node.wants(1) else None
