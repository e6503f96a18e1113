"""Where a gradient dies: ``tg.flow(loss)`` follows the residual back through every operation and every time step.

``chains`` finds the time steps, ``measure`` runs the backward pass, ``track`` is what it says of one chain, ``paths`` and ``jacobian`` look
closer, ``health`` finds dead and saturated units and the origin of NaN, ``report`` puts it into words and ``charts`` into figures.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import types
from collections.abc import Iterator
from typing import Any

from .. import tree
from ..errors import FlowError, TapeError
from ..tape import Node, Tape, unfolded
from .chains import Chain, find_chains
from .measure import Pass
from .report import Report
from .track import Track


def flow(loss: Any, of: Any = None) -> Report:
    """Diagnose the residuals of a backward pass: how large, how much each operation changes them, how many steps back they reach.

    A loss that is a sum over time steps sends a fresh residual into every step, which would hide that an old one has died. So by default
    the operations outside of time steps are measured as the loss has it, and in each layer and direction only that residual is followed
    which comes into the last step that the loss reaches.

    Args:
        loss: a tensor, or several nested in any way; each element begins with a residual of 1. Scans that ran compiled and checkpoints
            are run again, recorded.
        of: what to follow instead: "all", the residuals exactly as the loss has them; or tensors that were made on the way to the loss.

    Raises:
        FlowError: loss or of is not a tensor, or of was not made on the way to loss.
        TapeError: nothing was recorded, or it was released.
    """
    losses = list(tree.leaves(loss))
    chosen = [] if of is None or isinstance(of, str) else list(tree.leaves(of))
    if not losses or not all(isinstance(y, Node) for y in losses):
        raise FlowError(f"flow: loss must be a tensor or several tensors, got {type(loss).__name__}")
    if (isinstance(of, str) and of != "all") or not all(isinstance(y, Node) for y in chosen):
        raise FlowError(f"flow: of is 'all' or tensors that were made on the way to the loss, not {of!r}")
    if not Tape.of(*losses):
        raise TapeError("flow: nothing was recorded that leads here: use a tensor with requires_grad=True, and no no_grad around it")
    with _no_collection(), losses[0]._backend.quiet():
        opened = unfolded([*losses, *chosen])
        tape = Tape.of(*opened[: len(losses)])
        return _measured(tape, opened[: len(losses)], opened[len(losses) :], of is None)


def _measured(tape: Tape, losses: list[Node], chosen: list[Node], alone: bool) -> Report:
    chains = find_chains(tape)
    known = {entry.index for entry in tape}
    if not all(y.entry is not None and y.entry.index in known for y in chosen):
        raise FlowError("flow: of= must name tensors that were made on the way to the loss")
    whole = Pass(tape, chains, [(y, y._backend.ones_like(y._data)) for y in chosen or losses if y.entry is not None])
    tracks = []
    for chain, crossed in zip(chains, whole.crossed, strict=True):
        last = _last_reached(chain, crossed.readout)
        entering = {key: r for key, r in crossed.readout.items() if last is not None and (not alone or chain.step_of(key) == last)}
        own = None
        if len(entering) < sum(_is_reached(chain, key, r) for key, r in crossed.readout.items()):
            own = Pass(Tape(_up_to(chain, last)), [chain], [(chain.nodes[key], r) for key, r in entering.items()])
        tracks.append(Track(chain, crossed if own is None else own.crossed[0], last, own))
    return Report(tape, losses, whole, tracks)


def _last_reached(chain: Chain, readout: dict[Any, Any]) -> int | None:
    """The last step that something other than 0 comes into from outside."""
    steps = sorted({step for key in readout if (step := chain.step_of(key)) is not None}, reverse=True)
    return next((step for step in steps if any(_is_reached(chain, k, r) for k, r in readout.items() if chain.step_of(k) == step)), None)


def _is_reached(chain: Chain, key: Any, residual: Any) -> bool:
    return bool(chain.nodes[key]._backend.any(residual != 0))


def _up_to(chain: Chain, step: int | None) -> list[Any]:
    entries = {e.index: e for inside in chain.entries[: (-1 if step is None else step) + 1] for e in inside}
    return [entries[index] for index in sorted(entries)]


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Hundreds of thousands of objects are made and none of them is garbage: looking for some would take longer than all else."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Callable(types.ModuleType):
    """``tg.flow`` is this module as soon as it is imported, and the function before: so the module can be called like the function."""

    __call__ = staticmethod(flow)


sys.modules[__name__].__class__ = _Callable

__all__ = ["Report", "Track", "flow"]
