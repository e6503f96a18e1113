"""Where a gradient dies: ``tg.flow(loss)`` follows the residual back through every operation and every time step.

``track`` is what a backward pass says of one chain of time steps, ``paths`` and ``jacobian`` look closer, ``health`` finds dead and
saturated units and the origin of NaN, ``anomaly`` stops at it, ``report`` puts it into words and ``charts`` into figures.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from .. import tree
from ..errors import FlowError, TapeError
from ..reading.followed import Crossed, Pass, Sizes
from ..reading.names import Names
from ..reading.steps import Chain, find_chains, stem
from ..reading.words import plain
from ..tape import Node, Tape, key_of, no_collection, unfolded
from .anomaly import Places, detect_anomaly
from .report import Report
from .track import Track


def flow(loss: Any, of: Any = None, aside: bool = True) -> Report:
    """Diagnose the residuals of a backward pass: how large, how much each operation changes them, how many steps back they reach.

    A loss that is a sum over time steps sends a fresh residual into every step, which would hide that an old one has died. So by default
    the operations outside of time steps are measured as the loss has it, and in each layer and direction only that residual is followed
    which comes into the last step that the loss reaches.

    Args:
        loss: a tensor, or several nested in any way; each element begins with a residual of 1. Scans that ran compiled and checkpoints
            are run again, recorded.
        of: what to follow instead: "all", the residuals exactly as the loss has them; or tensors that were made on the way to the loss.
        aside: look also at what goes aside, to parameters and inputs; without it a look at the states takes about half the time.

    Raises:
        FlowError: loss or of is not a tensor, or of was not made on the way to loss.
        TapeError: nothing was recorded, or it was released.
    """
    losses = tree.leaves(loss)
    chosen = [] if of is None or isinstance(of, str) else tree.leaves(of)
    if not losses or not all(isinstance(y, Node) for y in losses):
        raise FlowError(f"flow: loss must be a tensor or several tensors, got {type(loss).__name__}")
    if (isinstance(of, str) and of != "all") or not all(isinstance(y, Node) for y in chosen):
        raise FlowError(f"flow: of is 'all' or tensors that were made on the way to the loss, not {of!r}")
    if all(y.entry is None for y in losses):
        raise TapeError("flow: nothing was recorded that leads here: use a tensor with requires_grad=True, and no no_grad around it")
    with no_collection(), losses[0]._backend.quiet():
        finite = all(bool(y._backend.all(y._backend.isfinite(y._data))) for y in losses)
        with contextlib.nullcontext() if finite else Places():
            opened = unfolded([*losses, *chosen])
        return _measured(opened[: len(losses)], opened[len(losses) :], of is None, aside)


def _measured(losses: list[Node], chosen: list[Node], alone: bool, aside: bool) -> Report:
    tape = Tape.of(*losses)
    name_of = _names(tape)
    chains = find_chains(tape, name_of)
    known = {entry.index for entry in tape} if chosen else set()
    if not all(y.entry is not None and y.entry.index in known for y in chosen):
        raise FlowError("flow: of= must name tensors that were made on the way to the loss")
    later = {e.index for chain in chains if alone and chain.alone for inside in chain.entries for e in inside}
    seeds = [(y, y._backend.ones_like(y._data)) for y in chosen or losses if y.entry is not None]
    whole = Pass(Tape([entry for entry in tape if entry.index not in later]), chains, seeds, aside)
    tracks = []
    for chain, crossed in zip(chains, whole.crossed, strict=True):
        reached = _reached(chain, crossed)
        last = max(reached, default=None)
        run = whole
        if alone and last is not None and (len(reached) > 1 or chain.entries[0][0].index in later):
            entering = [(chain.nodes[key], r) for key, r in crossed.readout.items() if chain.step_of(key) == last]
            run = Pass(Tape(_up_to(chain, last)), [chain], entering, aside)
        tracks.append(Track(chain, crossed if run is whole else run.crossed[0], last, run))
    return Report(tape, whole, tracks, name_of)


def _names(tape: Tape) -> Callable[[Node], str]:
    """What the user's code calls a tensor; a state by what the step calls it that takes it, if the one that made it does not say."""

    @functools.cache
    def read() -> tuple[Names, dict[Any, str]]:
        names = Names(tape)
        calls = dict.fromkeys(names.call_of(entry) for entry in tape)
        return names, {key_of(state.before): state.name for call in calls if call is not None for state in names.states(call)}

    def name_of(x: Node) -> str:
        names, taken = read()
        return plain(stem(names.of(x) or taken.get(key_of(x), "")), limit=60)

    return name_of


def _reached(chain: Chain, crossed: Crossed) -> set[int]:
    """The steps that something other than 0 comes into from outside."""
    sizes = Sizes()
    for key, residual in crossed.readout.items():
        sizes.add(residual, chain.nodes[key]._backend)
    steps = (chain.step_of(key) for key, norm in zip(crossed.readout, sizes.read(), strict=True) if norm != 0)
    return {step for step in steps if step is not None}


def _up_to(chain: Chain, step: int) -> list[Any]:
    entries = {e.index: e for inside in chain.entries[: step + 1] for e in inside}
    return [entries[index] for index in sorted(entries)]


__all__ = ["Report", "Track", "detect_anomaly", "flow"]
