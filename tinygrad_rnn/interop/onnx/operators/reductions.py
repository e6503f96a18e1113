"""Operators that make one number of many, and those that set numbers in relation to the others of an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from .... import ops
from ....derived import reductions
from ....ops import axis_of
from ....tensor import Tensor
from .table import Node, add, ints, operator


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Over axes: an attribute, or since opset 18 (ReduceSum: 13) an input."""

    def run(node: Node, x: Tensor, axes: numpy.ndarray | None = None) -> Tensor:
        given = node.get("axes", axes)
        over = None if given is None or len(given) == 0 else ints(given)
        if over is None and node.get("noop_with_empty_axes", 0):
            over = ()
        return function(x, axis=over, keepdims=bool(node.get("keepdims", 1)))

    return run


def _sum_of(before: Callable[..., Any], after: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A sum of a function of the elements, and a function of that."""

    def reduced(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
        y = ops.sum(before(x), axis=axis, keepdims=keepdims)
        return y if after is None else after(y)

    return reduced


def _squared(x: Tensor) -> Tensor:
    return x * x


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceSum": ops.sum,
    "ReduceMean": reductions.mean,
    "ReduceMax": ops.max,
    "ReduceMin": ops.min,
    "ReduceProd": reductions.prod,
    "ReduceLogSumExp": reductions.logsumexp,
    "ReduceL1": _sum_of(ops.abs),
    "ReduceL2": _sum_of(_squared, ops.sqrt),
    "ReduceSumSquare": _sum_of(_squared),
    "ReduceLogSum": _sum_of(lambda x: x, ops.log),
}

for _name, _function in _REDUCTIONS.items():
    add(_name, _reduction(_function), "axes keepdims noop_with_empty_axes", host=(1,))


def _position(function: Callable[..., Any]) -> Callable[..., Any]:
    """The first place of an extremum, or the last one."""

    def run(node: Node, x: Tensor) -> Tensor:
        axis, keepdims = axis_of(x, node.get("axis", 0)), bool(node.get("keepdims", 1))
        if node.get("select_last_index", 0):
            return x.shape[axis] - 1 - function(ops.flip(x, axis), axis, keepdims)
        return function(x, axis, keepdims)

    return run


for _name, _function in {"ArgMax": ops.argmax, "ArgMin": ops.argmin}.items():
    add(_name, _position(_function), "axis keepdims select_last_index")


def _over_an_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    """Before opset 13 all axes from ``axis`` (by default 1) on are taken as one."""

    def run(node: Node, x: Tensor) -> Tensor:
        if node.opset >= 13:
            return function(x, node.get("axis", -1))
        first = axis_of(x, node.get("axis", 1))
        return function(x, tuple(range(first, x.ndim)))

    return run


add("Softmax", _over_an_axis(reductions.softmax), "axis")
add("LogSoftmax", _over_an_axis(reductions.log_softmax), "axis")


@operator("CumSum", "exclusive reverse", host=(1,))
def _cumulated(node: Node, x: Tensor, axis: numpy.ndarray) -> Tensor:
    (over,) = ints(axis)
    backwards = bool(node.get("reverse", 0))
    x = ops.flip(x, over) if backwards else x
    y = ops.astype(ops.cumsum(x, over), x.dtype)
    y = y - x if node.get("exclusive", 0) else y
    return ops.flip(y, over) if backwards else y


def _check_layer_norm(node: Node) -> None:
    if node.get("stash_type", 1) != 1:
        node.refuse(f"stash_type {node.get('stash_type')} is not supported")


@operator("LayerNormalization", "axis epsilon stash_type", outputs=3, check=_check_layer_norm)
def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    """Over the axes from ``axis`` on; halves are computed in float32, as ``stash_type`` says by default."""
    wide = ops.astype(x, numpy.float32) if x.dtype == numpy.float16 else x
    axes = tuple(range(axis_of(x, node.get("axis", -1)), x.ndim))
    mean = reductions.mean(wide, axes, keepdims=True)
    centred = wide - mean
    variance = reductions.mean(centred * centred, axes, keepdims=True)
    inverse = ops.reciprocal(ops.sqrt(variance + node.get("epsilon", 1e-5)))
    y = ops.astype(centred * inverse, x.dtype) * scale
    return (y if bias is None else y + bias), mean, inverse


def _check_batch_norm(node: Node) -> None:
    if node.get("training_mode", 0) or node.get("spatial", 1) != 1:
        node.refuse("training_mode, and spatial=0, are not supported: export the model for inference")


@operator("BatchNormalization", "epsilon momentum spatial training_mode", check=_check_batch_norm)
def _batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """As a network is used: with the mean and the variance that the file has."""
    channels = (-1,) + (1,) * (x.ndim - 2)
    slope = scale * ops.reciprocal(ops.sqrt(variance + node.get("epsilon", 1e-5)))
    return (x - ops.reshape(mean, channels)) * ops.reshape(slope, channels) + ops.reshape(bias, channels)
