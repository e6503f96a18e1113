"""Where a gradient dies: ``tg.flow(loss)`` follows the residual back through every operation and every time
step.

``track`` is what a backward pass says of one chain of time steps, ``paths`` and ``jacobian`` look closer,
``health`` finds dead and saturated units and the origin of NaN, ``anomaly`` stops at it, ``report`` puts it
into words and ``charts`` into figures. ``remembering`` asks of every prediction how much it depends on each
input: ``input_gradients`` and ``step_values`` are the numbers, ``memory_page`` the page.
"""

from __future__ import annotations

import contextlib
import sys

from .. import arguments, tree
from ..cleanup import no_collection
from ..errors import FlowError, TapeError
from ..ops import Nest
from ..reading.followed import Followed, ones
from ..reading.lines import Lines
from ..reading.recording import Recording
from ..tape import Node
from .anomaly import detect_anomaly
from .remembering import Memory, memory
from .report import Report
from .track import Track


def flow(
    loss: Nest,
    start: Nest | str | None = None,
    *,
    states_only: bool = False,
    of: Nest | str | None = None,
    aside: bool | None = None,
) -> Report:
    """Diagnose the residuals of a backward pass: how large, how much each operation changes them, how many
    steps back they reach.

    A loss that is a sum over time steps sends a fresh residual into every step, which would hide that an old
    one has died. So by default the operations outside of time steps are measured as the loss has it, and in
    each layer and direction only that residual is followed which comes into the last step that the loss
    reaches.

    >>> def half(x, h):
    ...     return 0.5 * h + x, 0.5 * h + x
    >>> ys, last = tg.scan(half, tg.ones((30, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
    >>> print(tg.flow(tg.sum(last)).verdict())
    vanishing: 1 % of the residual reaches 6 of 29 steps back (×0.5 a step)

    Args:
        loss: a tensor, or several nested in any way; each element begins with a residual of 1. Scans that ran
            compiled and checkpoints are run again, recorded, as they ran.
        start: what to follow instead: "all", the residuals exactly as the loss has them; or tensors that were
            made on the way to the loss.
        states_only: measure only residuals of states, not those that leave them for parameters and inputs:
            about twice as fast.
        of, aside: deprecated names: ``start``, and ``states_only`` the other way round.

    Raises:
        FlowError: loss or start is not a tensor, or start was not made on the way to loss.
        TapeError: nothing was recorded, it was released, or a checkpoint cannot be run again as it ran: what
            it reads has changed.
    """
    start = arguments.renamed("flow", "of=", "start=", of, start)
    if aside is not None:
        aside = arguments.flag("flow: aside", aside)
        states_only = arguments.renamed("flow", "aside=False", "states_only=True", not aside, states_only)
    states_only, losses = arguments.flag("flow: states_only", states_only), tree.leaves(loss)
    starts = [] if start is None or isinstance(start, str) else tree.leaves(start)
    if not losses or not all(isinstance(y, Node) for y in losses):
        raise FlowError(f"flow: loss must be a tensor or several tensors, got {type(loss).__name__}")
    words = isinstance(start, str)
    if start is not None and not (
        start == "all" if words else starts and all(isinstance(y, Node) for y in starts)
    ):
        raise FlowError(
            f"flow: start is 'all' or tensors on the tape of the loss, not {arguments.shown(start)}"
        )
    if all(y.entry is None for y in losses):
        raise TapeError(
            "flow: nothing was recorded that leads here: use a tensor with requires_grad=True, and no "
            "no_grad around it"
        )
    with no_collection(), losses[0]._backend.quiet():
        finite = all(bool(y._backend.all(y._backend.isfinite(y._data))) for y in losses)
        with contextlib.nullcontext() if finite else Lines():
            recording = Recording(losses, starts, sys._getframe(1))
        if not recording.holds_starts():
            raise FlowError("flow: start= must name tensors on the tape of the loss")
        seeds = ones(recording.starts or recording.results)
        return Report(
            recording,
            Followed(
                recording.tape,
                recording.chains,
                seeds,
                alone=start is None,
                towards=() if states_only else None,
            ),
        )


__all__ = ["Memory", "Report", "Track", "detect_anomaly", "flow", "memory"]
