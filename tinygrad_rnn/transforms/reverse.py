"""Residuals of recorded results, as ``backward`` finds them, without touching any ``.grad``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import arguments, ops, tree
from ..errors import ShapeError, TapeError
from ..ops import Nest
from ..tape import Node, key_of, pull_back, recording, seed
from ..tensor import Tensor
from .signatures import A


def gradients(outputs: Nest, inputs: A, grad_outputs: Nest | None = None, create_graph: bool = False) -> A:
    """The residuals of outputs at inputs; no ``.grad`` is touched.

    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> tg.gradients(x * x, x)
    tensor(6., dtype=float32)

    Args:
        outputs: a tensor or a list of them.
        inputs: a tensor or nested tensors, leaves or results on the way.
        grad_outputs: the residuals to start from; 1 for single numbers.
        create_graph: record the pass, so that the result can be differentiated again.

    Returns:
        Residuals nested as the inputs; zeros where an input is not used.

    Raises:
        TapeError, ShapeError: as :meth:`Tensor.backward`.
    """
    results, create_graph = tree.leaves(outputs), arguments.flag("gradients: create_graph", create_graph)
    for y in results:
        if not isinstance(y, Node):
            raise arguments.refused("gradients: outputs", "tensors", y)
    starts = [None] * len(results) if grad_outputs is None else tree.leaves(grad_outputs)
    if len(starts) != len(results):
        raise ShapeError(f"gradients: {len(starts)} residuals for {len(results)} outputs")
    wanted = tree.leaves(inputs)
    for x in wanted:
        if not isinstance(x, Node) or not x.requires_grad:
            raise TapeError(
                f"gradients: inputs must be tensors with requires_grad=True, not {arguments.shown(x)}"
            )
    seeds = [(y, seed(y, g, create_graph)) for y, g in zip(results, starts, strict=True)]
    return tree.unflatten(inputs, pulled(seeds, wanted, create_graph))


def pulled(
    seeds: Sequence[tuple[Any, Any]], wanted: Sequence[Any], create_graph: bool, linear: bool = False
) -> list[Tensor]:
    """The residuals that come to the wanted tensors from seeds, pairs of a tensor and its residual."""
    with recording():
        residuals, caught = pull_back(seeds, ops if create_graph else None, wanted, linear=linear)
    found: list[Any] = []
    for x in wanted:
        residual = caught.get(key_of(x))
        if residual is None:
            residual = residuals.at(x)
        if residual is None:
            residual = ops.zeros_like(x)
        if not isinstance(residual, Node):
            residual = Tensor(x._backend.asarray(residual).copy(), x._backend)
        found.append(residual)
    return found


__all__ = ["gradients"]
