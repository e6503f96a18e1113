"""What is refused, and by which words."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import linalg


def test_a_vectors_product_needs_equal_lengths():
    with pytest.raises(tg.ShapeError, match="vecdot"):
        tg.vdot(tg.ones(1), tg.ones(3))


def test_a_third_operand_is_no_place_for_the_result():
    x = tg.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="positional"):
        tg.less(x, x, x)
    assert x.numpy().tolist() == [1, 2]


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: x + tg.tensor([1.0, 2.0]), tg.ShapeError, r"add\(float32\[2, 3\], float32\[2\]\)"),
        (lambda x: x @ x, tg.ShapeError, "matmul"),
        (lambda x: x @ tg.tensor(1.0), tg.ShapeError, "matmul.*use \\*"),
        (lambda x: tg.sum(x, 2), tg.IndexRangeError, "axis"),
        (lambda x: tg.sum(x, (0, 0)), tg.ShapeError, "axis|axes"),
        (lambda x: tg.sum(x, 0.5), tg.ArgumentError, "axis"),
        (lambda x: x[5], tg.IndexRangeError, "getitem"),
        (lambda x: tg.take(x, [3], 1), tg.IndexRangeError, "take"),
        (lambda x: tg.take(x, [0.5]), tg.DtypeError, "whole"),
        (lambda x: tg.reshape(x, (4, -1)), tg.ShapeError, "reshape"),
        (lambda x: tg.reshape(x, (4, 2)), tg.ShapeError, "reshape"),
        (lambda x: tg.split(x, 2, 1), tg.ShapeError, "split"),
        (lambda x: tg.squeeze(x, 0), tg.ShapeError, "squeeze"),
        (lambda x: tg.concatenate([x, x[0]]), tg.ShapeError, "concatenate"),
        (lambda x: tg.stack([]), tg.ShapeError, "nothing"),
        (lambda x: tg.einsum("ij,jk", x, x), tg.ShapeError, "einsum"),
        (lambda x: tg.einsum("ijk", x), tg.ShapeError, "einsum"),
        (lambda x: tg.einsum("ij->k", x), tg.ShapeError, "einsum"),
        (lambda x: tg.pad(x, -1), tg.ShapeError, "negative"),
        (lambda x: tg.pad(x, 1, mode="linear"), tg.ArgumentError, "mode"),
        (lambda x: linalg.norm(x, "nuc"), tg.ArgumentError, "singular"),
        (lambda x: linalg.inv(x), tg.ShapeError, "square"),
        (lambda x: linalg.solve(x, x), tg.ShapeError, "square"),
        (lambda x: linalg.inv(tg.zeros((2, 2), dtype="float64")), tg.LinearAlgebraError, "invertible"),
        (lambda x: tg.mse_loss(x, x[0]), tg.ShapeError, "mse_loss"),
        (lambda x: tg.mse_loss(x, x, "max"), tg.ArgumentError, "reduction"),
        (lambda x: tg.cross_entropy(x, tg.tensor([0, 1, 2])), tg.ShapeError, "cross_entropy"),
        (lambda x: tg.cross_entropy(x, tg.tensor([0, 3])), tg.IndexRangeError, "3"),
        (lambda x: x.astype("complex64"), tg.DtypeError, "complex"),
        (lambda x: tg.exp("a"), tg.DtypeError, "dtype|str"),
        (lambda x: tg.quantile(x, 2.0), tg.ArgumentError, "between"),
        (lambda x: tg.cross(x.T, x.T), tg.ShapeError, "three"),
        (lambda x: tg.zeros((2, -3)), tg.ShapeError, "negative"),
        (lambda x: tg.zeros(2**62), tg.ShapeError, "memory"),
        (
            lambda x: tg.zeros((2, 2.5)),
            tg.ArgumentError,
            r"zeros: shape\[1\] must be a whole number, not 2.5",
        ),
        (lambda x: tg.sum(x, True), tg.ArgumentError, "axis must be a whole number, not True"),
        (lambda x: tg.sum(x, keepdims="yes"), tg.ArgumentError, "keepdims must be True or False, not 'yes'"),
        (lambda x: tg.where(x > 1, x, None), tg.DtypeError, "where: y: cannot make a tensor of None"),
        (lambda x: tg.maximum(x, "a"), tg.DtypeError, "x2: cannot make a tensor of 'a'"),
        (lambda x: tg.softmax("a"), tg.DtypeError, "^softmax: x: cannot make a tensor of 'a'"),
        (lambda x: tg.linalg.norm("a"), tg.DtypeError, "^norm: x: cannot make a tensor of 'a'"),
        (lambda x: tg.tensor(np.array(["a", "b", "c"])), tg.DtypeError, "cannot make a tensor of"),
        (lambda x: tg.tensor(np.ones(3, complex)), tg.DtypeError, "complex128"),
        (lambda x: tg.tensor([1, 2]) ** -1, tg.ArgumentError, "negative integer powers"),
        (lambda x: tg.tensor([1], "uint8") + 300, tg.DtypeError, "300 out of bounds"),
        (lambda x: tg.clip(x, 0, min=1), tg.ArgumentError, "clip"),
        (lambda x: tg.repeat(x, [1, 2], axis=1), tg.ArgumentError, "repeats"),
        (lambda x: tg.array_split(x, 0), tg.ArgumentError, "at least 1"),
        (lambda x: tg.diff(x, -1), tg.ArgumentError, "diff: n"),
        (lambda x: tg.expand_dims(x, (0, 0)), tg.ShapeError, "twice"),
        (lambda x: x.to(None), tg.BackendError, "unknown backend None"),
        (lambda x: x.astype("nonsense"), tg.DtypeError, "astype: dtype"),
        (lambda x: x.requires_grad_("yes"), tg.ArgumentError, "wanted must be True or False, not 'yes'"),
        (lambda x: tg.tensor([1.0], requires_grad="yes"), tg.ArgumentError, "requires_grad"),
    ],
)
def test_misuse_is_named(call, error, text, backend):
    if backend == "cupy" and text == "3":
        return  # a tensor on a device would have to be waited for
    with pytest.raises(error, match=text):
        call(tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
