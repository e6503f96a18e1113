"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DataError
from . import snapshot
from .loop import best_of
from .run import Run


def comparison(runs: Sequence[str]) -> list[tuple[str, ...]]:
    """A line for each run, the best first, under a head: what it is, and how well and how fast it learned.

    Args:
        runs: folders.

    Raises:
        CheckpointError: one is no run.
        DataError: one has not been evaluated yet.
    """
    head = ("run", "cell", "parameters", "held out", "after step", "steps", "horizon", "seconds")
    lines = []
    for path in runs:
        model, _, config = snapshot.load_run_model(path)
        run = Run.log_of(path)
        best = best_of(run)
        if best is None or best.held_out is None:
            raise DataError(f"the run {path} has not been evaluated yet: go on with it by --resume {path}")
        size = f"{sum(p.size for p in model.parameters()):,}"
        horizon = "" if run[-1].horizon is None else str(run[-1].horizon)
        seconds = "" if run[-1].seconds is None else f"{run[-1].seconds:.1f}"
        lines.append(
            (best.held_out, path, config.cell, size, f"{best.held_out:.3f}", str(best.number), str(len(run)),
             horizon, seconds)
        )  # fmt: skip
    return [head, *(line[1:] for line in sorted(lines))]
