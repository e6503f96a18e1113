"""What a diagnosis says: tables, statements, a verdict, figures and files."""

from __future__ import annotations

import base64
import csv
import io
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from .. import arguments, atomic
from ..cleanup import no_collection
from ..errors import DrawError, FlowError
from ..reading.followed import Followed
from ..reading.recording import Recording
from ..reading.words import formatted, gain_label, percent, table
from ..tables import html
from ..tables.text import ends
from ..tape import Tape
from . import charts
from .health import Activation, activations, first_not_finite
from .report_page import page
from .statement import Operation, Statement
from .track import REACH, Track, Verdict

_LINES = 10
"""How many steps a table shows from each end."""

_OPERATIONS = ("operation", "case", "received", "gain to each operand")
_NO_STEPS = (
    "no time steps that hand a state on (tg.scan, at least two): every operation, in the order of the "
    "backward pass"
)


class Report:
    """The residuals of a backward pass. ``print(report)`` tells the most important; a notebook shows the heat
    map.

    >>> def half(x, h):
    ...     return 0.5 * h + x, 0.5 * h + x
    >>> ys, last = tg.scan(half, tg.ones((30, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
    >>> tg.flow(tg.sum(last)).horizon
    6

    Attributes:
        tape: the operations, with scans and checkpoints opened.
        tracks: one for each chain of time steps: a layer in one direction.
    """

    def __init__(self, recording: Recording, followed: Followed) -> None:
        self.tape: Tape = recording.tape
        self._followed = followed
        self._name_of = recording.name_of
        self._line_of = recording.names.line
        self.tracks: list[Track] = [Track(trail) for trail in followed.trails]

    # -- numbers ---------------------------------------------------------------------------------------------

    def operations(self) -> Iterator[Operation]:
        """Every operation that a residual reached, in the order of the backward pass."""
        where = {
            entry.index: (track, label)
            for track in self.tracks
            for label, inside in zip(track.chain.labels, track.chain.entries, strict=True)
            for entry in inside
        }
        for entry, received, sent in self._followed.measured():
            track, label = where.get(entry.index, (None, None))
            name = "" if entry.row.several else self._name_of(entry.results()[0])
            yield Operation(entry, None if track is None else track.name, label, name, received, sent)

    def track(self, name: str | None = None) -> Track:
        """A chain by its name; without one, the only or the last one.

        Raises:
            FlowError: there is none of that name, or nothing was recorded in time steps.
        """
        if not self.tracks:
            raise FlowError(
                "flow: no time steps here hand a state on: run a cell that does so by tg.scan or as a "
                "layer, over at least two steps"
            )
        if name is None:
            return self.tracks[-1]
        name = arguments.text("track: name", name)
        tracks = [track for track in self.tracks if track.name == name]
        if not tracks:
            names = ", ".join(repr(track.name) for track in self.tracks if track.name)
            there = f"there are {names}" if names else "the one that there is has no name: write track()"
            raise FlowError(f"flow: there is no chain {name!r}: {there}")
        return tracks[0]

    @property
    def horizon(self) -> int:
        """How many steps back at least 1 % of the residual still reaches, in the chain where that is least.
        Chains that no residual comes into do not count."""
        self.track()
        verdicts = [track.verdict() for track in self.tracks]
        return min((verdict.horizon for verdict in verdicts if verdict.kind != "unreached"), default=0)

    # -- words -----------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """The verdict of the chain that is worst off; each ``track`` has its own.

        Raises:
            FlowError: nothing was recorded in time steps.
        """
        self.track()
        rank = ("exploding", "vanishing", "unreached", "unknown", "healthy")
        return min((track.verdict() for track in self.tracks), key=lambda v: (rank.index(v.kind), v.horizon))

    def worst(self, count: int = 5) -> list[Statement]:
        """The steps that weaken the residual most, or strengthen it most where it explodes, and the way by
        which most of it gets through.

        Args:
            count: of how many steps to tell.
        """
        count = arguments.whole("worst: count", count, 0)
        return [self._statement(i, step) for i, step in self._by_loss()[:count]]

    def _by_loss(self) -> list[tuple[int, int]]:
        """The steps that a residual leaves, as (chain, step), the worst first."""
        growing = bool(self.tracks) and self.verdict().kind == "exploding"
        return [
            (i, step)
            for _, i, step in sorted(
                (track.gains[step] * (-1 if growing else 1), i, step)
                for i, track in enumerate(self.tracks)
                for step in range(1, (track.last or 0) + 1)
                if track.received[step] > 0
            )
        ]

    def _statement(self, chain: int, step: int) -> Statement:
        track = self.tracks[chain]
        paths = track.paths(step)
        return Statement(track, step, next(iter(paths), None), paths)

    def activations(self) -> list[Activation]:
        """How much of each gate is saturated, by step and in all, and which units are dead: σ, tanh, relu and
        their like."""
        return list(activations(self.tape, [track.chain for track in self.tracks], self._name_of))

    def not_finite(self) -> str | None:
        """Where the first NaN or infinity was made: the direction, the step, the operation, and its line if
        that is in a cell or a module, or the forward pass ran in anomaly mode; None if all is finite, also
        what comes into earlier steps than the last."""
        place = first_not_finite(self.tape, self._followed.passes, self._line_of)
        if place is None and self.tracks and self._followed.only_last:
            chains = [track.chain for track in self.tracks]
            with no_collection(), chains[0].backend.quiet():
                whole = Followed(self.tape, chains, self._followed.seeds, alone=False)
            place = first_not_finite(self.tape, whole.passes, self._line_of)
        return place

    def table(self) -> str:
        """For each time step the residual at each state, the step's gain, and the path that carries most."""
        return "\n\n".join(_table_of(track) for track in self.tracks) or self._by_operation()

    # -- figures and files -----------------------------------------------------------------------------------

    def heatmap(self) -> Any:
        """A matplotlib figure: time × state and named value, dark where the residual is strong, and above, on
        the same axis, how much of it is left.

        >>> def half(x, h):
        ...     return h / 2 + x, h / 2 + x
        >>> ys, h = tg.scan(half, tg.ones((9, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
        >>> tg.flow(tg.sum(h)).heatmap().get_suptitle()
        'The residual that comes in at step 8: where it is still felt'

        Raises:
            DrawError: matplotlib is not installed.
            FlowError: nothing was recorded in time steps.
        """
        return charts.heatmap(self.tracks)

    def curve(self) -> Any:
        """A matplotlib figure: how much of the residual is left after so many steps back.

        >>> def half(x, h):
        ...     return h / 2 + x, h / 2 + x
        >>> ys, h = tg.scan(half, tg.ones((9, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
        >>> tg.flow(tg.sum(h)).curve().get_suptitle()
        'The residual that comes in at step 8: how much of it is left'

        Raises:
            DrawError, FlowError: as :meth:`heatmap`.
        """
        return charts.curve(self.tracks)

    def ways(self, step: int | None = None, chain: str | None = None) -> Any:
        """A matplotlib figure: from one step to the one before, the ways of the residual through gates and
        matrices, each as wide as it is large, and so where it is lost.

        >>> def half(x, h):
        ...     return h / 2 + x, h / 2 + x
        >>> ys, h = tg.scan(half, tg.ones((9, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
        >>> tg.flow(tg.sum(h)).ways(-1).get_suptitle()
        'What becomes of the residual from step 8 back to 7'

        Args:
            step: which, counted in recorded order; negative counts from the end. By default, of
                those that 1 % of it reaches, without the last, the one that :meth:`worst` tells of first.
            chain: the name of the chain; by default the one that is worst off, or the last with a step given.

        Raises:
            DrawError: matplotlib is not installed.
            FlowError: there is no such chain or step, or nothing was recorded in time steps.
        """
        track = self.track(arguments.optional(arguments.text, "ways: chain", chain))
        if step is None:
            places = [(self.tracks[i], at) for i, at in self._by_loss()]
            worst = [place for place in places if chain is None or place[0] is track]
            # in the last step it only spreads over the states, and where it has died it is too late
            felt = [(of, at) for of, at in worst if at != of.last and of.received[at] >= REACH * of.start]
            track, step = (felt or worst or [(track, -1)])[0]
        return charts.ways(track, track.step_of(step))

    def spectrum(
        self, steps: int | Sequence[int] | None = None, chain: str | None = None, sample: int = 0
    ) -> Any:
        """A matplotlib figure: the eigenvalues of ∂h[t]/∂h[t−1] of some steps, and the unit circle.

        >>> def half(x, h):
        ...     return h / 2 + x, h / 2 + x
        >>> ys, h = tg.scan(half, tg.ones((9, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
        >>> figure = tg.flow(tg.sum(h)).spectrum(-1)
        >>> print(figure.axes[0].get_legend().get_texts()[0].get_text())
        8: 0.5, ×0.5

        Args:
            steps: which, counted in recorded order; negative counts from the end. By default five.
            chain: the name of the chain; by default the only or the last one.
            sample: which of those that were run at once. :meth:`Track.step_jacobian` has the numbers.

        Raises:
            DrawError: matplotlib is not installed.
            FlowError: there is no such chain, step or sample, or something is not finite.
        """
        track = self.track(arguments.optional(arguments.text, "spectrum: chain", chain))
        last = max(1, track.last or len(track.chain) - 1)
        if steps is None:
            steps = numpy.unique(numpy.linspace(last, 1, 5).round().astype(int)).tolist()
        places = [track.step_of(step) for step in arguments.wholes("spectrum: steps", steps)]
        if not places:
            raise FlowError("spectrum: steps must name one at least")
        return charts.spectrum(track, places, arguments.whole("spectrum: sample", sample))

    def to_csv(self, path: str | os.PathLike[str], rows: str = "steps") -> None:
        """Write the numbers as a table.

        Args:
            path: where to.
            rows: "steps", one for each time step; or "operations", one for each operand of each operation.

        Raises:
            FlowError: other rows.
            DrawError: no permission to write there. What stood at ``path`` is then as before.
        """
        if not isinstance(rows, str) or rows not in ("steps", "operations"):
            raise FlowError(f"to_csv: rows are 'steps' or 'operations', not {arguments.shown(rows)}")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            self._step_rows() if rows == "steps" else self._operation_rows()
        )
        atomic.write(path, text.getvalue(), DrawError)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a file by its ending: the heat map as png, svg or pdf, the table as txt, the numbers of
        each step as csv.

        Raises:
            DrawError: another ending, no permission to write there, or matplotlib is missing. What stood at
                ``path`` is then as before.
            FlowError: nothing was recorded in time steps.
        """
        target = pathlib.Path(arguments.path("save: path", path))
        kind = target.suffix.lower()[1:]
        if kind == "csv":
            self.to_csv(target)
        elif kind == "txt":
            atomic.write(target, f"{self.table()}\n", DrawError)
        elif kind in charts.ENDINGS:
            atomic.write(target, charts.rendered(self.heatmap(), kind), DrawError)
        else:
            known = ", ".join(f".{ending}" for ending in (*charts.ENDINGS, "txt", "csv"))
            raise DrawError(f"save: {target.name!r} has none of the endings {known}")

    def _step_rows(self) -> Iterator[Sequence[Any]]:
        states = list(dict.fromkeys(name for track in self.tracks for name in track.states))
        yield ["chain", "step", "received", "passed", "gain", *states]
        for track in self.tracks:
            columns = [track.states.get(name) for name in states]
            for i, label in enumerate(track.chain.labels):
                sizes = ["" if column is None else column[i] for column in columns]
                yield [track.name, label, track.received[i], track.passed[i], track.gains[i], *sizes]

    def _operation_rows(self) -> Iterator[Sequence[Any]]:
        yield ["chain", "step", "operation", "case", "name", "received", "operand", "passed", "gain"]
        for op in self.operations():
            gains = op.gains
            for i, norm in op.sent.items():
                yield [op.chain, op.step, op.entry.row.name, op.case, op.name, op.received, i, norm, gains[i]]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            png = charts.rendered(self.heatmap(), "png")
        except (DrawError, FlowError):
            png = None
        shown = {"text/html": self._html(png), "text/plain": str(self)}
        return shown if png is None else {**shown, "image/png": base64.b64encode(png).decode("ascii")}

    def _repr_html_(self) -> str:
        return self._repr_mimebundle_()["text/html"]

    def _html(self, png: bytes | None) -> str:
        if not self.tracks:
            rows = [[*cells[:1], html.chip(cells[1]), *cells[2:]] for cells in self._operation_cells()]
            return html.block(html.paragraph(_NO_STEPS), html.table(_OPERATIONS, rows, "<<>>"))
        return page(self.tracks, self._statements(), self.activations(), png)

    def __str__(self) -> str:
        if not self.tracks:
            return self._by_operation()
        return "\n".join([*(str(track.verdict()) for track in self.tracks), *self._statements()])

    def _statements(self) -> list[str]:
        """What is not finite, and the steps that are told of."""
        lines = []
        if not all(numpy.isfinite(run.sent).all() for run in self._followed.passes):
            lines.append(str(self.not_finite()))
        worst = self._by_loss()
        for i, (chain, step) in enumerate(worst):
            if i < 3 or chain not in {other for other, _ in worst[:i]}:  # and the worst of each chain
                lines.append(str(self._statement(chain, step)))
        return lines

    def __repr__(self) -> str:
        verdict = self.verdict() if self.tracks else "no time steps"
        return f"<flow through {len(self.tape):,} operations: {verdict}>"

    def _by_operation(self) -> str:
        first, last, between = ends(list(self._operation_cells()), _LINES)
        return "\n".join(
            [_NO_STEPS, *_with(between, table([_OPERATIONS, *first, *last], "<<>>"), len(first))]
        )

    def _operation_cells(self) -> Iterator[tuple[str, str, str, str]]:
        for op in self.operations():
            gains = " ".join(gain_label(gain) for gain in op.gains.values())
            name = f"{op.name} = {op.symbol}" if op.name else op.symbol
            yield name, op.case, formatted(op.received, 3), gains


def _table_of(track: Track) -> str:
    chain, states, gains = track.chain, track.states, track.gains
    head = ("step", *(f"at {name}" for name in states), "left", "gain", "mostly by way of")
    steps = range(track.last if track.last is not None else -1, -1, -1)
    first, last, between = ends(steps, _LINES)
    cells = [head]
    for step in (*first, *last):
        assert track.last is not None
        paths = track.paths(step)
        way = f"{paths.paths[0].name} ({percent(paths.paths[0].share)})" if paths.paths else ""
        sizes = [formatted(values[step], 3) for values in states.values()]
        gain = gain_label(gains[step]) if paths.paths else ""
        cells.append(
            (
                str(chain.labels[step]),
                *sizes,
                formatted(float(track.remaining[track.last - step]), 3),
                gain,
                way,
            )
        )
    lines = table(cells, ">" * (len(head) - 1) + "<")
    return "\n".join([str(track.verdict()), *_with(between, lines, len(first))])


def _with(between: str, lines: list[str], count: int) -> list[str]:
    """Lines below a head with the note on what is left out, if any, after so many."""
    return [*lines[: 1 + count], f"  {between}", *lines[1 + count :]] if between else lines
