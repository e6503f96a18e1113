"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from . import snapshot
from .config import Config
from .folder import LAST
from .steps import best_of, read_log


def comparison(runs: Sequence[str]) -> tuple[list[tuple[str, ...]], bool]:
    """A line for each run, the best first, under a head: what it is, and how well and how fast it learned.

    Runs that read words are told in bits per character, too: as many as a word takes, for each of its
    characters.

    Args:
        runs: folders.

    Returns:
        The lines, and whether all runs learned from the same text.

    Raises:
        CheckpointError: one is no run.
        DataError: one has not been evaluated yet.
    """
    head = ("run", "cell", "parameters", "bits/character", "after step", "steps", "horizon", "seconds")
    lines, texts = [], set()
    for path in map(Path, runs):
        saved, steps = snapshot.read(path / LAST), read_log(path)
        config = Config.from_json(saved.metadata.get("config", ""))
        best = best_of(steps)
        if best is None or best.held_out is None:
            raise DataError(f"the run {path} has not been evaluated yet: go on with it by --resume {path}")
        texts.add((saved.metadata.get("text"), config.held_out))
        _, weights = snapshot.progress_of(path, saved)
        size = f"{sum(weight.size for weight in weights.values()):,}"
        horizon = "" if steps[-1].horizon is None else str(steps[-1].horizon)
        seconds = "" if steps[-1].seconds is None else f"{steps[-1].seconds:.1f}"
        bits = best.held_out / snapshot.characters_of(saved)
        learned = f"{bits:.3f}", str(best.number), str(len(steps))
        lines.append((bits, str(path), config.cell, size, *learned, horizon, seconds))
    return [head, *(line[1:] for line in sorted(lines))], len(texts) == 1
