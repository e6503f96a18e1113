"""A cell over time. ``scan`` is the public name; the loop in ``eager`` is its meaning; ``compiled`` runs it
at the speed of one kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy

from .. import arguments, random, tree
from ..errors import ArgumentError, DtypeError, ShapeError, TraceError
from ..ops import ArrayLike, Nest, as_tensor
from ..tape import PYTHON_NUMBERS, host_array, lift, thread
from .budget import memory_budget, set_memory_budget
from .compiled import clear_caches, compiled_scan, is_planning, planning, repeated_scan
from .eager import eager_scan
from .explained import Explanation, layers_of, note_refusal, told
from .first_state import begin
from .options import ScanOptions
from .padding import Padding
from .step_code import Leaf, StepCode, write_step
from .step_writer import Stored
from .stepper import Cell, Column, Output, State, Stepper
from .traces import known_of

__all__ = [
    "Cell",
    "Column",
    "Explanation",
    "Leaf",
    "Output",
    "State",
    "StepCode",
    "Stepper",
    "Stored",
    "checked_options",
    "clear_caches",
    "explain",
    "is_planning",
    "is_written",
    "live_steps",
    "memory_budget",
    "repeated_scan",
    "scan",
    "set_memory_budget",
    "write_step",
]


def scan(
    cell: Cell[State, Output],
    xs: Nest,
    state: Nest,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    compiled: bool | str = "auto",
    checkpoint: int | str | None = None,
    mask: ArrayLike | None = None,
    masked_output: str = "zero",
) -> tuple[Output, State]:
    """Run a cell over time: ``y, state = cell(x, state)`` at each step.

    >>> def total(x, state):
    ...     return x + state, x + state
    >>> ys, last = tg.scan(total, tg.tensor([1.0, 2.0, 3.0]), tg.tensor(0.0))
    >>> ys
    tensor([1., 3., 6.], dtype=float32)

    Args:
        cell: a function or module of tensors.
        xs: (T, B, …), time first, or nested tensors of that kind: then each step sees the same nesting.
        state: the state before the first step, nested in any way; each leaf (B, …) if there are lengths or a
            mask. A Python number stands for a tensor of that number, of the shape and dtype that the cell
            returns.
        lengths: (B,) whole numbers. Beyond its length a sample keeps its state, and the cell sees the last
            input that counts again: what xs holds there is never computed with.
        reverse: from the last step to the first; each sample from the end of its own length. Outputs stay at
            their steps.
        compiled: "auto" compiles the cell where it can be traced and runs the eager loop otherwise
            (:func:`explain` says why); True raises instead, also where some of it would run as calls of the
            array module; False is the eager loop in any case, and so is any of them in anomaly mode.
        checkpoint: keep the tape of that many steps at a time only, and run them again in the backward pass.
            "auto" keeps all of it where that is in the budget of :func:`set_memory_budget`, else as many
            steps at a time as are.
        mask: (T, B) booleans: where False, a sample keeps its state, as beyond its length.
        masked_output: what comes out at such a step: "zero", or "previous" for the output of the step before.

    Returns:
        The outputs, each leaf (T, B, …), and the state after the last step.

    Raises:
        ArgumentError: the cell cannot be called, or an option is none.
        ShapeError, DtypeError: what goes in does not fit, or the cell changed the nesting, a shape or a dtype
            of its state.
        TraceError: compiled=True, and the cell does not run as machine code, or as kernels of a device; says
            why.
    """
    if not thread.recording and lengths is mask is checkpoint is None:
        given = type(reverse), type(compiled), type(masked_output), compiled, masked_output
        done = repeated_scan(cell, xs, state) if given == _USUAL else None
        if done is not None:
            return done
    arguments.function("scan: cell", cell, instance=True)
    options = checked_options("scan", reverse, masked_output, compiled, checkpoint)
    xs = tree.map_leaves(as_tensor, xs)
    inputs = tree.leaves(xs)
    if not inputs or () in [x._data.shape for x in inputs]:
        raise ShapeError("scan: xs needs at least one tensor, each with the time as its first axis")
    if len({x._data.shape[0] for x in inputs}) > 1:
        raise ShapeError(
            f"scan: the tensors of xs differ in their number of steps: {[x.shape for x in inputs]}"
        )
    backend = inputs[0]._backend
    state = tree.map_leaves(lambda leaf: leaf if type(leaf) in PYTHON_NUMBERS else lift(leaf, backend), state)
    if any(type(leaf) in PYTHON_NUMBERS for leaf in tree.leaves(state)):
        state = tree.map_leaves(lambda leaf: lift(leaf, backend), begin(cell, xs, state, known_of(cell)))
    if not thread.recording:  # h += … in the cell would change a learned state itself
        state = tree.map_leaves(lambda leaf: leaf.detach(), state)
    if (writer := _writer()) is not None:
        return writer(cell, xs, state, lengths, mask, options)
    live = live_steps(lengths, mask, inputs[0].shape)
    if live is not None and any(leaf.shape[:1] != live.shape[1:] for leaf in tree.leaves(state)):
        raise ShapeError(
            f"scan: with lengths or a mask each tensor of the state has the batch of {live.shape[1]} as "
            "its first axis"
        )
    compiled, how = options.pop("compiled"), ScanOptions(live=live, **options)
    if live is None:
        return _scanned(cell, xs, state, how, compiled)
    padding = Padding(live)
    y, last = _scanned(cell, padding.filled(xs), padding.started(state), how, compiled)
    return y, padding.ended(last, state)


_USUAL = bool, str, str, "auto", "zero"
"""Types and values of options of most scans."""


def explain(
    cell: Callable[..., Any], xs: Nest | None = None, state: Nest | None = None, **options: object
) -> str:
    """How ``scan`` last ran a cell, or a layer its cells, or a model its layers; or, with inputs, how it
    would, before anything is run.

    The first line says as what, the others which products were taken out of the loop, what is left in it, and
    what is kept in how many bytes. A cell runs as "machine code" (on a device: "CUDA kernels"); as "machine
    code with 2 calls", which stand below with the reason and what to write instead; as "NumPy calls", with
    the reason; or "step by step", with the reason and the line.

    >>> layer = tg.nn.LSTM(2, 3)
    >>> print(tg.explain(layer, tg.zeros((5, 1, 2))))
    LSTMCell: ...

    Args:
        xs, state, options: as of :func:`scan`, or what a layer is called with. A cell that is not compiled is
            run.

    Raises:
        ArgumentError: the cell cannot be called, or has no state to begin with; with inputs, whatever
            :func:`scan` or the layer raises.
    """
    arguments.function("explain: cell", cell, instance=True)
    if xs is not None:
        of_layers = bool(layers_of(cell))
        if state is None and not of_layers:
            raise ArgumentError("explain: a cell needs the state before the first step, beside xs")
        given = (xs,) if state is None else (xs, state)
        run = functools.partial(cell if of_layers else functools.partial(scan, cell), *given, **options)
        with planning():
            random.States().during(run)
    return Explanation(told(cell))


def _scanned(cell: Any, xs: Any, state: Any, options: ScanOptions, compiled: bool | str) -> tuple[Any, Any]:
    """The compiled run where that is asked for and possible, else the loop."""
    refusal = None
    if compiled is False:
        refusal = TraceError("compiled=False")
    elif thread.observer is not None and thread.observer.each_step:
        refusal = TraceError("anomaly mode looks at every operation")
    elif 0 in tree.leaves(xs)[0].shape[:2] or not tree.leaves(state):
        refusal = TraceError("there are no steps, no samples or no state")
    elif options.repeats and options.checkpoint not in (None, "auto"):
        refusal = TraceError(
            "with checkpoint, masked_output='previous' and lengths or a mask an output goes from segment "
            "to segment"
        )
        if compiled is True:
            raise refusal
    else:
        try:
            whole = options.keeping(None) if options.repeats else options
            return compiled_scan(cell, xs, state, whole, no_calls=compiled is True)
        except TraceError as error:
            if compiled is True:
                raise
            refusal = error
    note_refusal(cell, refusal)
    return eager_scan(cell, xs, state, options)


def checked_options(
    name: str, reverse: Any, masked_output: Any, compiled: Any, checkpoint: Any
) -> dict[str, Any]:
    """How a scan is run, under the names that :func:`scan` has for it.

    Raises:
        ArgumentError: an option has a value that it cannot have.
    """
    return {
        "reverse": arguments.flag(f"{name}: reverse", reverse),
        "masked_output": arguments.choice(f"{name}: masked_output", masked_output, ("zero", "previous")),
        "compiled": arguments.choice(f"{name}: compiled", compiled, ("auto", True, False)),
        "checkpoint": _steps_of(f"{name}: checkpoint", checkpoint),
    }


def _steps_of(what: str, checkpoint: Any) -> int | str | None:
    if checkpoint is None or (isinstance(checkpoint, str) and checkpoint == "auto"):
        return checkpoint
    if isinstance(checkpoint, str):
        raise arguments.refused(what, "a number of steps, 'auto' or None", checkpoint)
    return arguments.whole(f"{what}, a number of steps,", checkpoint, 1)


def is_written() -> bool:
    """Whether scans are written down at the moment and not run: lengths may then have no values."""
    return _writer() is not None


def _writer() -> Any:
    """What writes scans down, in a trace that is to be written elsewhere."""
    return None if thread.tracing is None else thread.tracing.scanned


def live_steps(lengths: Any, mask: Any, shape: tuple[int, ...]) -> numpy.ndarray | None:
    """(T, B): the steps that count, on the host, since they decide what is run; None if all do.

    Raises:
        ShapeError, DtypeError: lengths or mask are none for a sequence of that shape.
    """
    if lengths is None and mask is None:
        return None
    if len(shape) < 2:
        raise ShapeError(f"scan: lengths and mask need xs of shape (T, B, …), not {shape}")
    steps, batch = shape[:2]
    live = numpy.ones((steps, batch), bool)
    if lengths is not None:
        lengths = host_array(lengths)
        if lengths.size and lengths.dtype.kind not in "iu":
            raise DtypeError(f"scan: lengths are whole numbers, not {lengths.dtype}")
        if lengths.shape != (batch,) or ((lengths < 0) | (lengths > steps)).any():
            raise ShapeError(
                f"scan: lengths must be {batch} numbers from 0 to {steps}, got "
                f"{arguments.shown(lengths.tolist())}"
            )
        live &= numpy.arange(steps)[:, None] < lengths
    if mask is not None:
        mask = host_array(mask)
        if mask.dtype != numpy.bool_:
            raise DtypeError(f"scan: a mask holds booleans, not {mask.dtype}")
        if mask.shape != live.shape:
            raise ShapeError(f"scan: the mask must have shape {live.shape}, got {mask.shape}")
        live &= mask
    return None if live.all() else live
