"""Pictures of what was recorded: ``tg.draw(out)``.

``network`` reads the tape, ``gains`` measures residuals, a view writes the DOT text, ``picture`` turns it into an image.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .. import tree
from ..errors import DrawError, TapeError
from ..tape import Node, Tape, unfolded
from .gains import Gains, gain_label
from .names import Names
from .network import Network
from .ops_view import OpsView, symbol_of
from .picture import Picture

_VIEWS = {"ops": OpsView}


def draw(
    out: Any,
    view: str = "ops",
    gains: bool = False,
    order: bool = False,
    max_nodes: int = 150,
    of: Any = None,
    title: str | None = None,
) -> Picture:
    """Draw how results were made and how residuals go back: every operation by its chain-rule case.

    Tensors are called by their ``.name``. A state whose name begins alike before and after a step (``c[t−1]`` and ``c[t]``) is drawn as a
    straight path; operations recorded in time steps stand in a box for each step.

    Args:
        out: a tensor, or several of them nested as a cell returns them.
        view: "ops", single operations.
        gains: run a backward pass of its own and write on each edge how much larger or smaller the residual becomes.
        order: number the operations in the order of the backward pass.
        max_nodes: refuse to draw more than a reader can take in.
        of: with ``gains``, the results whose residual is followed, from 1 for every element; by default the last loss (a single number)
            in ``out``, or everything in ``out`` if there is none.
        title: the first line of the picture.

    Raises:
        DrawError: no tensors, an unknown view, too many nodes, or ``of`` is not part of the picture.
        TapeError: nothing was recorded, or it was released.
    """
    outputs = list(tree.leaves(out))
    if not outputs or not all(isinstance(y, Node) for y in outputs):
        raise DrawError(f"draw: out must be a tensor or several tensors, got {type(out).__name__}")
    if view not in _VIEWS:
        raise DrawError(f"draw: there is no view {view!r}; the views are {', '.join(map(repr, _VIEWS))}")
    followed = [] if of is None else list(tree.leaves(of))
    if not all(isinstance(y, Node) for y in followed):
        raise DrawError("draw: of= must name tensors that were made on the way to out")
    opened = unfolded([*outputs, *followed])
    outputs, followed = opened[: len(outputs)], opened[len(outputs) :]
    tape = Tape.of(*outputs)
    if not tape:
        raise TapeError("draw: nothing was recorded that leads here: use a tensor with requires_grad=True, and no no_grad around it")
    _limit(len(tape), "operations", max_nodes)
    network = Network(tape, outputs, Names(tape, sys._getframe(1).f_locals))
    _limit(len(network.vertices), "nodes", max_nodes)
    measured = Gains(_followed(network, outputs, followed)) if gains else None
    drawn = _VIEWS[view](network, _title(measured.of if measured else outputs) if title is None else title, measured, order)
    return Picture(drawn.dot(), _summary(network, measured), drawn.scene())


def _limit(count: int, what: str, max_nodes: int) -> None:
    if count > max_nodes:
        raise DrawError(f"draw: {count} {what} are more than max_nodes={max_nodes}: draw a single step or fewer steps, or raise max_nodes")


def _followed(network: Network, outputs: list[Any], chosen: list[Any]) -> list[Any]:
    if not chosen:
        losses = [y for y in outputs if y._data.size == 1]
        return losses[-1:] or outputs
    if not all(network.has(y) for y in chosen):
        raise DrawError("draw: of= must name tensors that were made on the way to out")
    return chosen


def _counts(network: Network) -> str:
    cases = Counter(entry.row.case for entry in network.tape)
    named = ", ".join(f"{cases[case]} {case}" for case in ("composition", "addition", "weighting") if cases[case])
    return f"{len(network.tape)} operations ({named})"


def _title(outputs: Sequence[Any]) -> str:
    names = ", ".join(dict.fromkeys(y.name for y in outputs if y.name))
    return f"How residuals go back from {names or 'the result'}"


def _summary(network: Network, measured: Gains | None) -> str:
    steps = len(network.steps)
    text = f"graph of {_counts(network)}" + (f", {steps} steps" if steps else "")
    bending = [entry for entry in network.tape if entry.row.case != "addition"]
    parts = {} if measured is None else measured.parts
    gains = [(parts[entry.index, i].gain, entry) for entry in bending for i in range(len(entry.inputs)) if (entry.index, i) in parts]
    finite = [found for found in gains if math.isfinite(found[0])]
    if not finite:
        return text
    least, entry = min(finite, key=lambda found: found[0])
    name = next(iter(network.names_of(entry)), "")
    return f"{text}; smallest gain {gain_label(least)} at {f'{name} = ' if name else ''}{symbol_of(entry)}"


__all__ = ["Picture", "draw"]
