"""What a run's folder shows when the run is done: losses, the backprop graph, the flow of residuals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import atomic
from ..diagnosis.charts import figure_for
from ..errors import DrawError
from ..graph import draw

if TYPE_CHECKING:
    from .run import Run


def drawn(run: Run) -> list[str]:
    """Draw all of them.

    Returns:
        What could not be drawn and why: a run does not fail for want of a picture.
    """
    return [note for picture in (losses, graph, residuals) if (note := _tried(picture, run))]


def _tried(picture: Callable[[Run], None], run: Run) -> str | None:
    try:
        picture(run)
    except DrawError as error:
        return str(error)
    return None


def losses(run: Run) -> None:
    """The loss of each update, and on the held-out text, in ``loss.png``."""
    figure = figure_for("loss.png", (7, 4))
    axes = figure.subplots()
    measured = [step for step in run.steps if step.held_out is not None]
    axes.plot(
        [step.number for step in run.steps],
        [step.bits for step in run.steps],
        linewidth=0.8,
        label="training",
    )
    axes.plot(
        [step.number for step in measured],
        [step.held_out for step in measured],
        "o-",
        markersize=4,
        label="held out",
    )
    axes.set(xlabel="step", ylabel=f"bits per {run.config.unit}", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with atomic.replacing(run.path / "loss.png") as temporary:
        figure.savefig(temporary, dpi=150)


def graph(run: Run) -> None:
    """One character's way to its loss: the tape of a single time step, in ``graph.svg``."""
    draw(run.loss(1)).save(run.path / "graph.svg")


def residuals(run: Run) -> None:
    """Where in a window the residual of its last character is still felt, in ``flow.png``."""
    if run.config.length > 1:
        run.flow().save(run.path / "flow.png")
