"""Pictures of what was recorded: ``tg.draw(out)``.

``network`` and ``modules`` are what a tape has to show, ``gains`` what its edges say; a view writes the DOT
text, ``picture`` turns it into an image or, with ``scene`` and ``html``, into a page.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .. import arguments, tree
from ..cleanup import no_collection
from ..errors import DrawError, DrawWarning, ShapeError, TapeError
from ..ops import Nest
from ..reading.chain import Chain
from ..reading.followed import Followed, Trail, ones
from ..reading.recording import Recording
from ..reading.words import gain_label, symbol_of
from ..tape import Node, Tape, lift, seed
from .cells_view import CellsView
from .folding import calls_of
from .gains import Gains, sums_of
from .inside import scenes_inside, scenes_of_functions
from .modules import Modules, Sizes
from .network import Network
from .ops_view import OpsView
from .picture import Picture
from .scene import HEIGHT, WIDTH
from .steps_view import Lane, StepsView

_SHOWN = 8
"""How many boxes a chain of steps takes at most."""

_VIEWS = ("auto", "ops", "steps", "cells")


def draw(
    out: Nest,
    view: str = "auto",
    gains: bool | None = None,
    order: bool = False,
    values: bool = False,
    max_nodes: int = 150,
    start: Nest | None = None,
    title: str | None = None,
    *,
    residuals: Nest | None = None,
    width: int = WIDTH,
    of: Nest | None = None,
) -> Picture:
    """Draw how results were made and how residuals go back.

    Tensors are called by their ``.name``, or else by the variables of the program that calls, of a cell and
    of a module: those are called once more for it, and what that changes is put back. A scan that ran
    compiled is shown operation by operation, as it ran: whatever its parameters have become since.
    A transpose that only feeds an ``@`` is drawn as part of that: ``Wᵀ``.

    >>> x = tg.tensor([0.5, 1.0], requires_grad=True, name="x")
    >>> print(tg.draw(tg.sum(tg.tanh(x) ** 2)))
    graph of 3 operations (2 composition, 1 addition)

    Args:
        out: a tensor, or several of them nested as a cell returns them.
        view: "ops", every operation by its chain-rule case, in a box for each time step; "steps", a box for
            each time step and what it leaves of the residual of each state; "cells", a box for each module;
            "auto", the first of them that a reader can take in (every operation as far as ``max_nodes`` and a
            page 1,700 CSS pixels high hold them), and of "ops" a shorter form: a function that is made of
            several operations (``cross_entropy``, ``softmax``, layer norm) is one node, which opens in the
            HTML page. A function that is all there is is shown operation by operation.
        gains: run a backward pass of its own and write on each edge how much larger or smaller the residual
            becomes; by default only where operations are not shown one by one.
        order: number the operations in the order of the backward pass ("ops" only).
        values: write the least and the largest value of its result on each operation ("ops" only), for
            paper: on a screen each operation's tooltip tells them anyway.
        max_nodes: how many nodes, and twice as many edges, a picture may have. There is no other limit but
            the time that an engine takes for the layout.
        start: with gains, the results whose residual is followed, from 1 for every element: all that they
            send. By default the last loss (a single number) in ``out``, or everything in ``out`` if there is
            none; and of a loss that sends something into several steps only what comes into the last of them,
            in each layer. The picture says so. Between modules ("cells") it is always all.
        title: the first line of the picture.
        residuals: with gains, what comes to each of ``start``, or else of ``out``, instead of 1: from later
            steps that are not drawn, for instance, as :func:`tinygrad_rnn.gradients` tells it. One for each,
            of its shape.
        width: how wide the picture may be, in CSS pixels; so many time steps stand in a row ("ops" and
            "steps"). One that is wider is drawn smaller.
        of: the deprecated name of ``start``.

    Raises:
        ArgumentError: gains, order, values, max_nodes, title or width cannot be used.
        DrawError: no tensors, an unknown view, too many nodes, no steps or modules to draw, or ``start`` is
            not part of the picture.
        ShapeError: residuals are not as many as what they come to, or not of its shapes.
        TapeError: nothing was recorded, it was released, or a checkpoint cannot be run again as it ran: what
            it reads has changed.

    Warns:
        DrawWarning: view is "auto", and steps or modules are drawn in place of operations.
    """
    start = arguments.renamed("draw", "of=", "start=", of, start)
    outputs, followed = tree.leaves(out), [] if start is None else tree.leaves(start)
    if not outputs or not all(isinstance(y, Node) for y in outputs):
        raise DrawError(f"draw: out must be a tensor or several tensors, got {type(out).__name__}")
    if not isinstance(view, str) or view not in _VIEWS:
        raise DrawError(
            f"draw: there is no view {arguments.shown(view)}; the views are {', '.join(map(repr, _VIEWS))}"
        )
    gains, title = (
        arguments.optional(arguments.flag, "draw: gains", gains),
        arguments.optional(arguments.text, "draw: title", title),
    )
    order, values = arguments.flag("draw: order", order), arguments.flag("draw: values", values)
    max_nodes = arguments.whole("draw: max_nodes", max_nodes, 1)
    width = arguments.whole("draw: width", width, 1)
    if not all(isinstance(y, Node) for y in followed) or (start is not None and not followed):
        raise DrawError("draw: start= must name tensors on the tape of out")
    coming = None if residuals is None else _coming(followed or outputs, tree.leaves(residuals))
    if not Tape.of(*outputs):
        raise TapeError(
            "draw: nothing was recorded that leads here: use a tensor with requires_grad=True, and no "
            "no_grad around it"
        )
    with no_collection(), outputs[0]._backend.quiet():
        recording = Recording(outputs, followed, sys._getframe(1))
        if not recording.holds_starts():
            raise DrawError("draw: start= must name tensors on the tape of out")
        request = _Request(recording, title, gains, max_nodes, width, coming)
        why = ""
        if view in ("auto", "ops"):
            drawn = _draw_ops(request, view, order, values)
            if isinstance(drawn, Picture):
                return drawn
            why = drawn
        if view == "ops":
            raise DrawError(f'draw: {why}: draw fewer steps, raise max_nodes, or choose view="steps"')
        return _draw_larger(request, view, why)


def _coming(ends: Sequence[Node], given: Sequence[Any]) -> list[Any]:
    """The residuals that come to them, as arrays.

    Raises:
        ShapeError: they do not belong together.
    """
    if len(given) != len(ends):
        raise ShapeError(f"draw: residuals: {len(given)} for {len(ends)} results")
    coming = []
    for y, value in zip(ends, given, strict=True):
        residual = lift(value, y._backend)
        if residual._data.shape != y._data.shape:
            raise ShapeError(
                f"draw: residuals: one has shape {residual._data.shape}, and its result {y._data.shape}"
            )
        coming.append(seed(y, residual, recorded=False))
    return coming


class _Request:
    """What a call of ``draw`` asks for."""

    def __init__(
        self,
        recording: Recording,
        title: str | None,
        gains: bool | None,
        max_nodes: int,
        width: int,
        coming: Sequence[Any] | None,
    ) -> None:
        self.recording, self.tape, self.names, self.chains = (
            recording,
            recording.tape,
            recording.names,
            recording.chains,
        )
        self.gains, self.max_nodes, self.width = gains, max_nodes, width
        self.outputs = [y for y in recording.results if y.entry is not None]
        self.starts = recording.starts or [y for y in self.outputs if y._data.size == 1][-1:] or self.outputs
        self.seeds: list[tuple[Node, Any]] = ones(self.starts)
        if coming is not None:
            ends = recording.starts or recording.results
            self.seeds = [(y, g) for y, g in zip(ends, coming, strict=True) if y.entry is not None]
            self.starts = [y for y, _ in self.seeds]
        self._title = title

    @property
    def has_steps(self) -> bool:
        """Whether there are time steps, and not too many chains of them."""
        return 0 < _SHOWN * len(self.chains) <= self.max_nodes

    def network(self, functions: bool) -> Network | str:
        """The single operations, or why they are too many.

        Args:
            functions: whether what a function is made of counts, and is drawn, as one.
        """
        tape, folded = self.tape, 0
        if functions and len(tape) > self.max_nodes:
            folded = sum(len(places) - 1 for places in calls_of(tape).values())
        if len(tape) - folded > self.max_nodes:
            return f"{len(tape):,} operations are more than max_nodes={self.max_nodes}"
        network = Network(tape, self.outputs, self.names, self.chains, self.recording.starts, functions)
        return network.excess(self.max_nodes) or network

    def followed(self, **options: Any) -> Followed:
        """The residuals, followed from where the caller or the default says."""
        return Followed(self.tape, self.chains, self.seeds, alone=not self.recording.starts, **options)

    def title(self, measured: bool, name_of: Callable[[Any], str]) -> str:
        if self._title is not None:
            return self._title
        names = ", ".join(
            dict.fromkeys(name for y in (self.starts if measured else self.outputs) if (name := name_of(y)))
        )
        return (
            "How residuals go back from "
            f"{names or ('the loss' if self.starts[-1]._data.size == 1 else 'the result')}"
        )


def _draw_ops(request: _Request, view: str, order: bool, values: bool) -> Picture | str:
    """Every operation; or why they are too many, or for "auto" too high for a page, where there is a view of
    steps instead."""
    network = request.network(functions=view == "auto")
    if not isinstance(network, Network):
        return network
    measured = Gains(request.followed(sums=sums_of(network.functions))) if request.gains else None
    title = request.title(measured is not None, network.name_of)
    drawing = OpsView(network, title, measured, order, values, request.width)
    scene = drawing.scene()
    if view == "auto" and request.has_steps and scene.placed and scene.placed.shown_height > HEIGHT:
        count = len(network.steps)
        return f"{count} steps of every operation are {scene.placed.shown_height:,.0f} pixels high"
    if network.functions:
        scene = replace(scene, inside=scenes_of_functions(network, measured))
    return Picture(drawing.dot(), _summary(network, measured), scene)


def _draw_larger(request: _Request, view: str, why: str) -> Picture:
    """By steps or by modules; if neither was asked for, by what there is, with a note of it."""
    chains = request.chains
    if view == "steps" or (view == "auto" and request.has_steps):
        if not chains:
            raise DrawError(
                "draw: nothing here was recorded in two time steps or more: use scan or a recurrent layer, "
                'or view="ops"'
            )
        note = _said(f"{_steps(chains)} as boxes", why)
        drawing: StepsView | CellsView = _steps_view(request, note)
    else:
        modules = Modules(request.tape, chains, request.names, request.recording.owners)
        if not modules.count or len(modules.parts) > request.max_nodes:
            few = (
                f"{len(modules.parts)} boxes of modules are more, too"
                if modules.count
                else "there are neither modules nor time steps"
            )
            raise DrawError(f"draw: {f'{why}, and ' if why else ''}{few}: draw less, or raise max_nodes")
        note = _said(f"{modules.count} modules as boxes", why)
        measured = request.gains is not False
        sizes = Sizes(modules, request.seeds) if measured else None
        inside = scenes_inside(modules, sizes, request.outputs, request.max_nodes)
        drawing = CellsView(
            modules,
            sizes,
            request.outputs,
            request.title(measured, request.names.of),
            note,
            inside,
            request.width,
        )
    if note:
        warnings.warn(f"draw: {note}", DrawWarning, stacklevel=3)
    return Picture(drawing.dot(), f"graph of {_counts(request.tape)}{drawing.summary()}", drawing.scene())


def _said(drew: str, why: str) -> str:
    return (
        f'drew {drew}: {why}; view="ops" shows all of them, with a larger max_nodes if need be' if why else ""
    )


def _steps_view(request: _Request, note: str) -> StepsView:
    chains = request.chains
    states = {key[0] for chain in chains for i in range(chain.count) for key in chain.tensors_of(i)}
    followed = None if request.gains is False else request.followed(towards=(), inside=states)
    trails: Sequence[Trail | None] = [None] * len(chains) if followed is None else followed.trails
    ids = range(1, len(chains) + 1) if len(chains) > 1 else [0]
    lanes = [Lane(*lane) for lane in zip(chains, ids, trails, strict=True)]
    title = request.title(followed is not None, request.names.of)
    caption = followed.caption if followed is not None else ""
    return StepsView(lanes, title, note, caption, request.width)


def _steps(chains: Sequence[Chain]) -> str:
    lengths = [len(chain) for chain in chains]
    return f"{lengths[0]} steps" if len(lengths) == 1 else f"{sum(lengths)} steps in {len(lengths)} chains"


def _counts(tape: Tape) -> str:
    cases = Counter(entry.row.case for entry in tape)
    named = ", ".join(
        f"{cases[case]:,} {case}" for case in ("composition", "addition", "weighting") if cases[case]
    )
    return f"{len(tape):,} operations ({named})"


def _summary(network: Network, measured: Gains | None) -> str:
    steps = len(network.steps)
    text = f"graph of {_counts(network.tape)}" + (f", {steps} steps" if steps else "")
    if measured is None:
        return text
    bending = [
        (entry, i) for entry in network.tape if entry.row.case != "addition" for i in range(len(entry.inputs))
    ]
    parts = [(part.gain, entry) for entry, i in bending if (part := measured.part(entry, i)) is not None]
    finite = [part for part in parts if math.isfinite(part[0])]
    if not finite:
        return text
    least, entry = min(finite, key=lambda part: part[0])
    name = next(iter(network.names_of(entry)), "")
    return f"{text}; smallest gain {gain_label(least)} at {f'{name} = ' if name else ''}{symbol_of(entry)}"


__all__ = ["Picture", "draw"]
