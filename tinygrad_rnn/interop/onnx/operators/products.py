"""Operators that weigh and add up: products of matrices, convolutions."""

from __future__ import annotations

import math
from typing import Any

import numpy

from .... import ops
from ....tensor import Tensor
from .table import Node, operator, words


@operator("MatMul")
def _matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return ops.matmul(a, b)


@operator("Gemm", "alpha beta transA transB")
def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """alpha · a b + beta · c."""
    a = ops.transpose(a) if node.get("transA", 0) else a
    b = ops.transpose(b) if node.get("transB", 0) else b
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    y = ops.matmul(a, b)
    y = y if alpha == 1 else alpha * y
    if c is None or beta == 0:
        return y
    return y + (c if beta == 1 else beta * c)


@operator("Einsum", "equation")
def _einsum(node: Node, *xs: Tensor) -> Tensor:
    return ops.einsum(words(node.get("equation")), *xs)


def _check_convolution(node: Node) -> None:
    if words(node.get("auto_pad", "NOTSET")) not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        node.refuse(f"auto_pad {words(node.get('auto_pad'))!r} is not supported")


@operator("Conv", "auto_pad dilations group kernel_shape pads strides", check=_check_convolution)
def _convolution(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (N, C, …) and weight (M, C / group, …) → (N, M, …), over any number of axes.

    The windows of x stand in rows, and one product weighs them.
    """
    kernel, spatial, group = weight.shape[2:], x.ndim - 2, node.get("group", 1)
    strides = node.get("strides", [1] * spatial)
    dilations = node.get("dilations", [1] * spatial)
    pairs = _padding(node, x.shape[2:], kernel, strides, dilations)
    if any(map(any, pairs)):
        x = ops.pad(x, [(0, 0), (0, 0), *pairs])
    lengths = []
    for i, (k, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        axis, n = 2 + 2 * i, x.shape[2 + 2 * i]
        places = (n - dilation * (k - 1) - 1) // stride + 1
        lengths.append(places)
        windows = stride * numpy.arange(places)[:, None] + dilation * numpy.arange(k)
        x = ops.take(x, windows, axis)  # one axis becomes two: the place of a window, and that inside it
    samples, channels = x.shape[0], x.shape[1] // group
    x = ops.reshape(x, (samples, group, channels, *x.shape[2:]))
    outer, inner = [3 + 2 * i for i in range(spatial)], [4 + 2 * i for i in range(spatial)]
    rows = ops.reshape(
        ops.transpose(x, (1, 0, *outer, 2, *inner)),
        (group, samples * math.prod(lengths), channels * math.prod(kernel)),
    )
    weights = ops.reshape(weight, (group, weight.shape[0] // group, -1))
    y = ops.matmul(rows, ops.transpose(weights, (0, 2, 1)))
    y = ops.reshape(y, (group, samples, *lengths, weight.shape[0] // group))
    y = ops.transpose(y, (1, 0, 2 + spatial, *range(2, 2 + spatial)))
    y = ops.reshape(y, (samples, weight.shape[0], *lengths))
    return y if bias is None else y + ops.reshape(bias, (-1,) + (1,) * spatial)


def _padding(node: Node, lengths: Any, kernel: Any, strides: Any, dilations: Any) -> list[tuple[int, int]]:
    """Zeros before and after each axis."""
    mode, pads = words(node.get("auto_pad", "NOTSET")), node.get("pads")
    if not mode.startswith("SAME"):
        count = len(kernel)
        pads = [0] * (2 * count) if pads is None or mode == "VALID" else pads
        return list(zip(pads[:count], pads[count:], strict=True))
    pairs = []
    for n, k, stride, dilation in zip(lengths, kernel, strides, dilations, strict=True):
        whole = max(0, (-(-n // stride) - 1) * stride + dilation * (k - 1) + 1 - n)
        small, large = whole // 2, whole - whole // 2
        pairs.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return pairs
