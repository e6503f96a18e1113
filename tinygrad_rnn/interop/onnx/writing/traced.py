"""A model's call as programs of rows and of layers, one for each set of lengths, and what they have in
common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .... import backends, tree
from ....chain_rule import Row
from ....errors import CheckpointError, TraceError
from ....nn import Module
from ....sequence.program import Number, Trace, capture, placeholder, tracing
from ....sequence.trace import trace_cell
from ....tape import Block, Entry, Node, lift, now, thread
from ....tensor import Tensor
from .cells import computed_weights, has_operator
from .lengths import Traces, joined, shape_of, unlike


@dataclass(frozen=True)
class Scanned:
    """A scan, where an operation has its params.

    Attributes:
        cell: what was scanned.
        trace: of a step of it; None of a cell that has an operator of its own.
        inputs, states: how many tensors its input and its state are; they are the operands, in that order,
            and the lengths behind them, if there are any.
        reverse: whether it ran from the end.
        weights: the names of a cell's weights that each call computes; they are the last operands.
    """

    cell: Any
    trace: Trace | None
    inputs: int
    states: int
    reverse: bool
    weights: tuple[str, ...]


@dataclass
class Step:
    """An operation, or a scan.

    Attributes:
        row: the operation.
        operands: numbers of values; Python numbers and lengths stand as :class:`Number`.
        params: of the operation.
        scanned: the scan, with its cell and, where that was traced, what the traces of a step have in common.
        results: numbers of values.
    """

    row: Row
    operands: tuple[Any, ...]
    params: Any
    scanned: tuple[Scanned, Joined | None] | None
    results: tuple[int, ...]


@dataclass
class Joined:
    """What several traces of a model have in common.

    Attributes:
        steps: in order.
        shapes: of all values, with lengths.
        dtypes: of all values.
        inputs: the values that are given.
        outside: the values that are tensors of the model, and these; where they differ from trace to trace,
            the number that all their elements are.
        results: the values that come out.
    """

    steps: list[Step]
    shapes: list[tuple[Any, ...]]
    dtypes: list[Any]
    inputs: list[int]
    outside: dict[int, Any]
    results: list[int]


def traced(
    function: Callable[..., Any],
    model: Any,
    kinds: Sequence[tuple[tuple[Any, ...], Any]],
    tried: Sequence[Traces],
) -> tuple[Joined, Any]:
    """Trace a model for several lengths.

    Args:
        function: the call of the model with all its inputs one behind the other.
        model: the model, whose parameters are somewhere.
        kinds: shape, with names of lengths, and dtype of each input.
        tried: of each trace its lengths, and others for a model that does not take these.

    Returns:
        What the traces have in common, and the nesting of what the model returns.

    Raises:
        CheckpointError: they differ, or the model cannot be traced; says why.
    """
    found, nestings, traces, backend = [], [], [], _backend_of(model)
    for choice in tried:
        for lengths in choice:
            shapes = [tuple(lengths.get(n, n) for n in shape) for shape, _ in kinds]
            arrays = [backend.zeros(shape, dtype) for shape, (_, dtype) in zip(shapes, kinds, strict=True)]
            try:
                trace, nesting = _trace(function, arrays, backend)
            except CheckpointError:
                raise
            except Exception:  # whatever a model raises that takes no such sequences
                if lengths is choice[-1]:
                    raise
            else:
                break
        found.append(trace)
        nestings.append(nesting)
        traces.append(lengths)
    return joined_traces(found, traces), nestings[0]


def _backend_of(model: Any) -> Any:
    """Where a model's parameters are."""
    parameters = model.parameters() if isinstance(model, Module) else ()
    return next((p._backend for p in parameters), None) or backends.current()


def _trace(function: Callable[..., Any], arrays: Sequence[Any], backend: Any) -> tuple[Trace, Any]:
    try:
        with tracing() as trial, Block(recording=True), backend.quiet():
            trial.scanned = _scanned
            inputs = [placeholder(array, backend, False) for array in arrays]
            since = now()
            returned = function(*inputs)
            results = tree.leaves(returned)
            if not all(isinstance(result, Node) for result in results):
                raise CheckpointError("export: the model returns something that is no tensor")
            return capture(results, (), (), inputs, since), tree.map_leaves(lambda leaf: None, returned)
    except TraceError as error:
        raise CheckpointError(f"export: the model cannot be traced: {error}") from error


# -- scans ---------------------------------------------------------------------------------------------------


def _scanned(cell: Any, xs: Any, state: Any, lengths: Any, mask: Any, options: dict[str, Any]) -> Any:
    """What a scan returns: placeholders, on the tape as one entry. A cell that has no operator of its own is
    traced for a step."""
    if mask is not None:
        raise CheckpointError("export: a mask has no operator in ONNX: give lengths")
    if lengths is not None and options["masked_output"] != "zero":
        raise CheckpointError(
            "export: masked_output='previous' with lengths has no operator in ONNX, whose outputs there are 0"
        )
    inputs, states = tree.leaves(xs), tree.leaves(state)
    backend = inputs[0]._backend
    rest = [] if lengths is None else [lift(lengths, backend)]
    if rest and rest[0].shape != inputs[0].shape[1:2]:
        raise CheckpointError(
            f"export: lengths of shape {rest[0].shape} are not one for each sample at any number of samples: "
            "give them in the example, so that they are an input, or fix the axes with axes={}"
        )
    with Block(tracing=None, recording=False):
        try:
            trace = None if has_operator(cell, inputs, states) else trace_cell(cell, xs, state, False).trace
        except TraceError as error:
            name = getattr(cell, "__name__", type(cell).__name__)
            raise CheckpointError(f"export: the cell {name} cannot be written as a Scan: {error}") from error
        first = tree.map_leaves(lambda x: Tensor(backend.zeros(x.shape[1:], x.dtype), backend), xs)
        y, last = cell(
            first, tree.map_leaves(lambda s: Tensor(backend.zeros(s.shape, s.dtype), backend), state)
        )
    ys = [backend.zeros((inputs[0].shape[0], *leaf.shape), leaf.dtype) for leaf in tree.leaves(y)]
    arrays = (*ys, *(leaf._data for leaf in tree.leaves(last)))
    weights = computed_weights(cell) if trace is None else {}
    operands = (*inputs, *states, *rest, *weights.values())
    made = Scanned(cell, trace, len(inputs), len(states), options["reverse"], tuple(weights))
    row = Row("scan", "choice", "", _refuse, _refuse, _refuse, several=True)
    entry = Entry(
        row, backend, operands, tuple([x._data for x in operands]), (made,), (False,) * len(operands), arrays,
        thread.scope,
    )  # fmt: skip
    results = iter([Tensor(array, backend, False, entry, i) for i, array in enumerate(arrays)])
    return tree.map_leaves(lambda _: next(results), y), tree.map_leaves(lambda _: next(results), state)


def _refuse(*_: Any) -> Any:
    raise AssertionError("a scan that stands for itself is no operation")


# -- what traces have in common ------------------------------------------------------------------------------


def joined_traces(found: Sequence[Trace], traces: Traces) -> Joined:
    """
    Raises:
        CheckpointError: the traces are of different operations, or differ in numbers that are no lengths.
    """
    programs = [trace.program for trace in found]
    first = programs[0]
    if any(
        len(p.instructions) != len(first.instructions) or len(p.shapes) != len(first.shapes) for p in programs
    ):
        raise unlike()
    steps = []
    for each in zip(*(p.instructions for p in programs), strict=True):
        one = each[0]
        scans = [i.params[0] if i.params and isinstance(i.params[0], Scanned) else None for i in each]
        if any(i.results != one.results or len(i.operands) != len(one.operands) for i in each):
            raise unlike()
        operands = tuple([_operand(parts, traces) for parts in zip(*(i.operands for i in each), strict=True)])
        if scans[0] is not None:
            steps.append(Step(one.row, operands, None, _joined_scans(scans, traces), one.results))
            continue
        if any(i.row is not one.row for i in each):
            raise unlike()
        steps.append(Step(one.row, operands, joined([i.params for i in each], traces), None, one.results))
    shapes = [shape_of(each, traces) for each in zip(*(p.shapes for p in programs), strict=True)]
    results = [list(trace.results) for trace in found]
    if any(r != results[0] for r in results) or any(p.fixed != first.fixed for p in programs):
        raise unlike()
    return Joined(steps, shapes, first.dtypes, _inputs(found), _outside(found), results[0])


def _joined_scans(scans: Sequence[Scanned | None], traces: Traces) -> tuple[Scanned, Joined | None]:
    first = scans[0]
    assert first is not None
    found = []
    for scan in scans:
        if scan is None or (scan.trace is None) != (first.trace is None):
            raise unlike()
        kinds = [(s.inputs, s.states, s.reverse, s.weights) for s in (scan, first)]
        if kinds[0] != kinds[1] or (scan.trace is None and scan.cell is not first.cell):
            raise unlike()
        found.append(scan.trace)
    return first, None if first.trace is None else joined_traces([t for t in found if t is not None], traces)


def _operand(parts: Sequence[Any], traces: Traces) -> Any:
    if isinstance(parts[0], Number):
        if not all(isinstance(part, Number) for part in parts):
            raise unlike()
        return Number(joined([part.value for part in parts], traces))
    if any(part != parts[0] for part in parts):
        raise unlike()
    return parts[0]


def _inputs(found: Sequence[Trace]) -> list[int]:
    program = found[0].program
    given = len(program.fixed) - len(found[0].outside)
    return [*program.steps, *program.states, *program.fixed[:given]]


def _outside(found: Sequence[Trace]) -> dict[int, Any]:
    """The model's tensors. One that is made anew in each call, of zeros say, is that number."""
    program = found[0].program
    places = program.fixed[len(program.fixed) - len(found[0].outside) :]
    kept: dict[int, Any] = {}
    for place, each in zip(places, zip(*(trace.outside for trace in found), strict=True), strict=True):
        one = each[0]
        if all(x is one for x in each):
            kept[place] = one
            continue
        if any(x.entry is not None for x in each):
            raise unlike()
        arrays = [x._backend.to_host(x._data) for x in each]
        if all(a.shape == arrays[0].shape and (a == arrays[0]).all() for a in arrays):
            kept[place] = one
        elif all(a.size and (a == arrays[0].flat[0]).all() for a in arrays):
            kept[place] = arrays[0].flat[0]
        else:
            raise CheckpointError(
                "export: the model makes a tensor that is another one in each call, of random numbers or of "
                "its input's length: carry it as a parameter or an input"
            )
    return kept
