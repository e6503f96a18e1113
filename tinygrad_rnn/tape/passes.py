"""The two passes over a tape, each one loop without recursion: residuals back, tangents forward.

    tape         0: matmul    1: add    2: tanh    3: sum       entries in the order of recording
    backward  ◀─────────────────────────────────────────       take the residual of an entry's result, pull
                                                               it through the row, add the parts to those of
                                                               the operands
    forward   ─────────────────────────────────────────▶       push the tangents of its operands

Every entry comes after those that made its operands. So when the backward loop reaches an entry, all parts of
its residual have arrived.

What a choice left out must send nothing back: 0 · ∞ is NaN, but a branch not taken has no part in the result.
To ask at each entry would cost time, so the pass first runs without asking. Only if a NaN comes out, and none
went in, it runs again and asks (``_pull_spared``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy

from ..backends import Array
from ..chain_rule.addition import GETITEM
from .entry import Entry, Key, Node, Replay, key_of, now
from .mode import observing, recording, thread
from .record import apply
from .residuals import Residuals, pull_entry, pull_watched
from .walk import Tape
from .writes import check_current, check_unchanged, exposed


def pull_back(
    seeds: Sequence[tuple[Node, Any]],
    np: Any = None,
    towards: Sequence[Node] | None = None,
    since: int = -1,
    watch: Callable[[Entry, Any, int, Any], None] | None = None,
    through: Tape | None = None,
    needs: Mapping[int, Sequence[bool] | None] | None = None,
    watched: Collection[int] | None = None,
    linear: bool = False,
) -> tuple[Residuals, dict[Key, Any]]:
    """Reverse mode: carry residuals from results back to what they came from.

    Args:
        seeds: results and their residuals.
        np: the recorded operations, to get residuals that can be differentiated again; None computes on
            arrays.
        towards: the tensors whose residual is asked for; None means every leaf that requires one.
        since: go back to entries after this index only; what was made before counts as a leaf.
        watch: called with (entry, residual that arrived, operand, residual that goes on to it) for every
            operand, to look only.
        through: these entries only, in order; what other entries made counts as a leaf. None means all that
            lead to the results.
        needs: by index, the operands that a residual goes on to, where not to all that need one.
        watched: the indices of the entries to watch; None means all.
        linear: do not ask what was left out, whatever is NaN: then what is recorded is linear in the seeds'
            residuals, and holds for other ones.

    Returns:
        The residuals at the leaves, and those caught at results on the way that are among ``towards``.
    """
    tape = Tape.of(*(node for node, _ in seeds), since=since) if through is None else through
    if exposed:
        check_unchanged(tape)
    if observing and watch is None and thread.observer is not None:
        watch = thread.observer.pulled
    goals = None if towards is None else {key_of(node) for node in towards}
    needs_of: Any = needs if goals is None else _leading(tape, goals)
    masked = leaves_out = False
    for row in {entry.row for entry in tape}:
        masked = masked or row.masks
        leaves_out = leaves_out or row.masks or row.selects or isinstance(row, Replay)
    backend = seeds[0][0]._backend
    # a device is looked at only where an index by a mask has waited for it anyway
    looks = not backend.asynchronous or any(_by_mask(entry) for entry in tape)
    carry = functools.partial(_carry, tape, seeds, np, goals, needs_of)
    pull: Callable[..., None] = pull_entry
    with backend.quiet():
        if linear:
            return carry(pull_entry, None)
        if looks and leaves_out and not thread.tracing:
            residuals, caught = carry(pull_entry, None)
            ends = [*residuals.by_key.values(), *caught.values()]
            if backend.any_nan(_arrays(ends)):
                if not backend.any_nan(_counted(seeds)):
                    pull = _pull_spared  # 0 · NaN or 0 · ∞, of what was left out: the results do not show it
                elif not masked and watch is None:
                    return residuals, caught
            elif watch is None:
                return residuals, caught
        behind = {entry.index for entry in tape} if masked else set() if pull is _pull_spared else None
        return carry(pull if watch is None else _watching(watch, watched, pull), behind)


def _carry(
    tape: Tape,
    seeds: Sequence[tuple[Node, Any]],
    np: Any,
    goals: set[Key] | None,
    needs_of: Mapping[int, Sequence[bool] | None] | None,
    pull: Callable[..., None],
    behind: set[int] | None,
) -> tuple[Residuals, dict[Key, Any]]:
    """The loop of a backward pass.

    Args:
        pull: as :func:`pull_entry`.
        behind: the entries behind a choice by values; those behind a choice of places are added on the way.
            Where the residual that arrives there is 0, what goes on is 0 too, whatever the slope or the other
            side. None spares nothing, which is faster.
    """
    residuals = Residuals(np is not None)
    caught: dict[Key, Any] = {}
    for node, residual in seeds:
        residuals.add(node, residual)
    by_key, spare = residuals.by_key, False
    for entry in tape.backwards():
        if goals is not None:
            _catch(entry, goals, residuals, caught)
        if behind is not None:
            spare = entry.index in behind
            if spare or entry.row.selects:
                behind.update(
                    [x.entry.index for x in entry.inputs if isinstance(x, Node) and x.entry is not None]
                )
        g = residuals.pop(entry) if entry.row.several else by_key.pop((entry.index, 0), None)
        if g is None:
            continue
        onwards = entry.needs if needs_of is None else needs_of[entry.index]
        if onwards is not None:
            pull(entry, g, onwards, np, residuals, spare)
    return residuals, caught


def _catch(entry: Entry, goals: set[Key], residuals: Residuals, caught: dict[Key, Any]) -> None:
    for position in range(len(entry.ys)):
        key = entry.index, position
        if key in goals and key in residuals.by_key:
            caught[key] = residuals.by_key[key]


def _leading(tape: Tape, goals: set[Key]) -> dict[int, list[bool] | None]:
    """For each entry which operands lead on to one of the goals; None where none does."""
    needs_of: dict[int, list[bool] | None] = {}
    for entry in tape:
        needs = [
            needed
            and (key_of(x) in goals or (x.entry is not None and needs_of.get(x.entry.index) is not None))
            for x, needed in zip(entry.inputs, entry.needs, strict=True)
        ]
        needs_of[entry.index] = needs if any(needs) else None
    return needs_of


def _by_mask(entry: Entry) -> bool:
    index = None if isinstance(entry.row, Replay) else entry.row.index(entry.params)
    return any(
        getattr(part, "dtype", None) == numpy.bool_
        for part in (index if isinstance(index, tuple) else (index,))
    )


def _counted(seeds: Sequence[tuple[Node, Any]]) -> list[Any]:
    """What a pass starts from: residuals, and results where their residual is not 0. A NaN in these is passed
    on rightly."""
    arrays = _arrays([g for _, g in seeds])
    return [
        part
        for (node, _), g in zip(seeds, arrays, strict=True)
        for part in (g, node._backend.where(g == 0, 0, node._data))
    ]


def _arrays(residuals: Sequence[Any]) -> list[Array]:
    """Of residuals, which are tensors where they are recorded."""
    return [g._data if isinstance(g, Node) else g for g in residuals]


def _watching(
    watch: Callable[..., None], watched: Collection[int] | None, pull: Callable[..., None]
) -> Callable[..., None]:
    watching = functools.partial(pull_watched, watch, pull=pull)

    def pull_some_watched(entry: Entry, *arrived: Any) -> None:
        (watching if watched is None or entry.index in watched else pull)(entry, *arrived)

    return pull_some_watched


def _pull_spared(
    entry: Entry, g: Any, needs: Sequence[bool], np: Any, residuals: Residuals, spare: bool
) -> None:
    """As :func:`pull_entry`, but what a choice left out sends nothing back, in sums of products and inside of
    replays too."""
    row = entry.row
    parts: Sequence[Any] | None = None
    if isinstance(row, Replay):
        parts = _pull_unfolded(row, entry, g, np, spare)
    elif spare and row.spared is not None:
        space, xs, (y,) = (
            (entry.backend, entry.xs, entry.ys) if np is None else (np, entry.inputs, entry.results())
        )
        parts = row.pull(space, g, y, row.spared(space, g, xs, entry.params), entry.params, needs)
    pull_entry(entry, g, needs, np, residuals, spare, parts)


def _pull_unfolded(replay: Replay, entry: Entry, g: Any, np: Any, spare: bool) -> list[Any]:
    """The residuals of a replay's operands, carried back operation by operation. With ``spare`` the whole
    program lies behind a choice."""
    check_current(replay.name, entry.inputs, entry.xs)
    since = now()
    with recording():
        results = replay.unfold(entry, entry.inputs)
        results = [apply(GETITEM, (y,), (...,)) for y in results] if spare else results
    return pull_replayed(results, entry.inputs, since, g, np)


def push_forward(
    outputs: Sequence[Node], tangents: Sequence[tuple[Node, Any]], np: Any = None, since: int = -1
) -> list[Any]:
    """Forward mode: carry tangents from tensors along the tape to results (None where no tangent arrives)."""
    arrived: dict[Key, Any] = {key_of(node): tangent for node, tangent in tangents}
    tape = Tape.of(*outputs, since=since)
    if exposed:
        check_unchanged(tape)
    with outputs[0]._backend.quiet():
        for entry in tape:
            incoming = [arrived.get(key_of(x)) if isinstance(x, Node) else None for x in entry.inputs]
            # in a trace, what is a constant
            if all(tangent is None for tangent in incoming) or True not in entry.needs:
                continue
            several = entry.row.several
            space, xs, ys = (
                (entry.backend, entry.xs, entry.ys) if np is None else (np, entry.inputs, entry.results())
            )
            pushed = entry.row.push(space, incoming, ys if several else ys[0], xs, entry.params)
            for i, (part, array) in enumerate(zip(pushed if several else (pushed,), entry.ys, strict=True)):
                if part is None:
                    continue
                if part.shape != array.shape:
                    part = space.broadcast_to(part, array.shape)
                if part.dtype != array.dtype:
                    part = space.astype(part, array.dtype)
                arrived.setdefault((entry.index, i), part)
    return [arrived.get(key_of(node)) for node in outputs]


# -- programs that are run again ----------------------------------------------------------------------


def pull_replayed(
    results: Sequence[Any], inputs: Sequence[Node], since: int, g: Sequence[Any], np: Any
) -> list[Any]:
    """The residuals of what went into a piece of program that was run again, recorded after ``since``; None
    where none arrives."""
    seeds = [
        (y, residual)
        for y, residual in zip(results, g, strict=True)
        if residual is not None and y.requires_grad
    ]
    if not seeds:
        return [None] * len(inputs)
    residuals, _ = pull_back(seeds, np, [x for x in inputs if x.requires_grad], since)
    return [residuals.at(x) if x.requires_grad else None for x in inputs]


def push_replayed(
    results: Sequence[Any], inputs: Sequence[Node], since: int, tangents: Sequence[Any], np: Any
) -> tuple[Any, ...]:
    """The tangents of what came out of it, from those of what went in."""
    starts = [(x, t) for x, t in zip(inputs, tangents, strict=True) if t is not None]
    return tuple(push_forward(results, starts, np, since))
