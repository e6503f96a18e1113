"""What a run's folder shows when the run is done: how it went, the backprop graph, the flow of residuals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import atomic, nn, tree
from ..backends import get
from ..derived.losses import cross_entropy
from ..diagnosis.charts import rendered
from ..errors import DrawError
from ..graph import Picture, draw
from ..nn.modes import evaluating
from ..tape import no_grad
from ..tensor import Tensor
from ..transforms import gradients
from .dashboard import dashboard

if TYPE_CHECKING:
    from .run import Run

WARM = 200
"""How many tokens are read before a window, so that its state is none of a network that has read nothing."""

_STATES = {"rnn": ["h"], "lstm": ["h", "c"], "peephole": ["h", "c"], "gru": ["h"]}


def drawn(run: Run) -> list[str]:
    """Draw all of them.

    Returns:
        What could not be drawn and why: a run does not fail for want of a picture.
    """
    return [note for picture in (course, graph, residuals) if (note := _tried(picture, run))]


def _tried(picture: Callable[[Run], None], run: Run) -> str | None:
    try:
        picture(run)
    except DrawError as error:
        return str(error)
    return None


def course(run: Run) -> None:
    """What its log tells, over the updates, in ``dashboard.png``."""
    atomic.write(run.path / "dashboard.png", rendered(dashboard(run.path), "png"))


def graph(run: Run) -> None:
    """One character's way to its loss, and what comes back to it from later ones, in ``graph.svg``."""
    backprop(run, 1).save(run.path / "graph.svg")


def residuals(run: Run) -> None:
    """Where in a window the residual of its last character is still felt, in ``flow.png``."""
    if run.config.length > 1:
        run.flow().save(run.path / "flow.png")


def backprop(run: Run, count: int) -> Picture:
    """The operations of some steps in the middle of a window, with the gains of the residual that comes into
    the last of them: from its own loss, and from those of the steps after it.

        read before       | window                                        |
        the state fills   | read before | drawn      ◀── later steps      |

    Args:
        run: whose model reads its text.
        count: how many steps are drawn. A window is at least so long, else as long as in training.
    """
    length = max(run.config.length, count)
    later = (length - count) // 2
    before = length - count - later
    with evaluating(run.model), get(run.config.backend).quiet():
        x, y = run.window(0, WARM + length)
        now, rest = slice(WARM + before, WARM + before + count), slice(WARM + before + count, None)
        with no_grad():
            _, state = run.model(x[: now.start])
        start = _named(_leaf(state), run.config.cell, before)
        logits, state = run.model(x[now], start)
        last = logits if count == 1 else logits[-1:]
        loss = cross_entropy(last, y[now][-1:], reduction="sum")
        loss.name = "loss"
        after = tree.leaves(_named(state, run.config.cell, before + count)) if later else []
        ends = [s for s in after if s.requires_grad]
        coming = _sent_back(run, x[rest], y[rest], state) if later else []
        steps = f"Step {before + 1}" if count == 1 else f"Steps {before + 1}–{before + count}"
        here = "t = 0" if count == 1 else f"t = 0–{count - 1}"
        losses = f"residual of {later + 1} loss{'es' * (later > 0)}"
        title = f"{steps} of {length} ({here}), after {now.start} {run.config.unit}s: {losses}"
        most = 100 * count * (1 + run.config.layers)
        return draw([loss, *ends], gains=True, max_nodes=most, title=title, residuals=[1.0, *coming])


def _sent_back(run: Run, x: Tensor, y: Tensor, state: Any) -> list[Tensor]:
    """The residuals that the losses of some steps send to the state before them, for each tensor that takes
    one."""
    begin = _leaf(state)
    logits, _ = run.model(x, begin)
    wanted = [b for b, s in zip(tree.leaves(begin), tree.leaves(state), strict=True) if s.requires_grad]
    return gradients(cross_entropy(logits, y, reduction="sum"), wanted)


def _named(state: Any, cell: str, step: int) -> Any:
    """A state whose tensors are called by the step after which it is: ``c[16]``."""
    tensors = tree.leaves(state)
    names = _STATES.get(cell, tree.names(state))
    for i, (s, name) in enumerate(zip(tensors, names, strict=True)):
        s.name = f"{name or 'state' + str(i + 1) * (len(tensors) > 1)}[{step}]"
    return state


def _leaf(state: Any) -> Any:
    """The same numbers as leaves that ask for a residual, where they are floats."""
    return tree.map_leaves(lambda s: s.requires_grad_(s.dtype.kind == "f"), nn.detach(state))
