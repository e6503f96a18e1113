"""What became of a cell, in words: first how it ran last, then what that consisted of."""

from __future__ import annotations

import collections
import contextlib
import itertools
import re
import types
import warnings
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..backends.native import compiler
from ..errors import CompileWarning, TraceError
from ..tables import html
from ..user_code import calling_line
from .budget import Kept
from .linear import is_linear
from .plan import Plan
from .program import Number, Program


class Explanation(str):
    """What :func:`tinygrad_rnn.explain` says: text; in a notebook a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        parts: list[html.Markup] = []
        lines = self.splitlines()
        while lines:
            parts.append(html.paragraph(html.strong(lines.pop(0))))
            below = list(itertools.takewhile(lambda line: line.startswith(" "), lines))
            del lines[: len(below)]
            if below:
                cells = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in below]
                parts.append(html.table(("when", "what"), [(*cell, "")[:2] for cell in cells], "<<"))
        return html.block(*parts)


class Ran(NamedTuple):
    """How a cell ran.

    Attributes:
        plan: which others keep alive.
        calls: the reason if it ran as calls.
        backend: the name of it.
        steps: how many it ran over.
        kept: what of them is kept.
    """

    plan: weakref.ref[Plan]
    calls: str | None
    backend: str
    steps: int
    kept: Kept


_last: weakref.WeakKeyDictionary[Any, Ran | str] = weakref.WeakKeyDictionary()
"""For each cell how it ran last, or the reason why it was not compiled."""

_told: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
"""For each cell the warnings that were given of it."""

_CODE = {"numpy": "machine code", "cupy": "CUDA kernels"}
_CALLS = {"numpy": "NumPy calls", "cupy": "CuPy calls"}


def note_plan(cell: Any, plan: Plan, engine: Any, backend: str, steps: int, kept: Kept) -> None:
    """Remember how a cell runs, and warn if a part of it runs as calls that could be written otherwise."""
    calls = engine if isinstance(engine, str) else None
    with contextlib.suppress(TypeError):
        _last[cell] = Ran(weakref.ref(plan), calls, backend, steps, kept)
    if calls is not None:
        _warn(cell, f"runs as {_CALLS[backend]}: {calls}", plan.advice)
    elif engine.calls:
        for row, why, advice in engine.calls:
            _warn(cell, f"runs with calls of {row}: {_with(why, advice)}", advice)


def refuse_calls(engine: Any, backend: str) -> None:
    """
    Raises:
        TraceError: a part of it runs as calls; says which and why.
    """
    if isinstance(engine, str):
        raise TraceError(f"the cell runs as {_CALLS[backend]}: {engine}")
    if engine.calls:
        raise TraceError(f"the cell runs with calls of {', and of '.join(_counted(engine.calls))}")


def note_refusal(cell: Any, refusal: TraceError) -> None:
    """Remember why a cell runs step by step, and warn if something else could be written."""
    with contextlib.suppress(TypeError):
        _last[cell] = str(refusal)
    _warn(cell, f"runs step by step: {refusal}", refusal.advice)


def _warn(cell: Any, what: str, advice: str) -> None:
    """Once for each cell and text, at the user's line. Where nothing is compiled at all, ``explain`` alone
    says so."""
    if not advice or not compiler.available():
        return
    # a bound method is made anew by whoever asks for it
    owner = cell.__self__ if isinstance(cell, types.MethodType) else cell
    try:
        told = _told.setdefault(owner, set())
    except TypeError:  # it has no hash, or cannot be referred to weakly
        told = _told.setdefault(type(owner), set())
    if what in told:
        return
    told.add(what)
    line = calling_line()
    message = CompileWarning(f"{_name(cell)} {what}")
    if line is None:
        warnings.warn(message, stacklevel=2)
    else:
        warnings.warn_explicit(message, CompileWarning, line.file, line.number)


def told(cell: Any) -> str:
    """How a cell was last run."""
    name = _name(cell)
    try:
        how = _last.get(cell)
    except TypeError:
        return f"{name}: cannot be remembered: it has no hash or cannot be referred to weakly"
    if how is None:
        return "\n".join(_of_layers(cell)) or f"{name}: not run yet"
    if isinstance(how, str):
        return f"{name}: step by step: {how}"
    plan = how.plan()
    if plan is None:
        return f"{name}: what it was compiled to was dropped since, to make room for others"
    return "\n".join([f"{name}: {line}" if i == 0 else line for i, line in enumerate(_lines(plan, how))])


def layers_of(cell: Any) -> dict[str, Any]:
    """What tells of cells of its own: something itself, under the name "", and what it holds."""
    modules = getattr(cell, "named_modules", None)
    held = modules() if callable(modules) else [("", cell)]
    return {name: layer for name, layer in held if callable(getattr(layer, "explain", None))}


def _of_layers(cell: Any) -> list[str]:
    """What a layer tells of its cells, or each layer that a model holds."""
    layers = layers_of(cell)
    if "" in layers:
        return [str(cell.explain())]
    outer = [name for name in layers if not any(name.startswith(f"{other}.") for other in layers)]
    lines = [(name, line) for name in outer for line in layers[name].explain().splitlines()]
    return [line if line.startswith(" ") else f"{name}, {line}" for name, line in lines]


def _name(cell: Any) -> str:
    return getattr(cell, "__name__", type(cell).__name__)


def _with(why: str, advice: str) -> str:
    return f"{why}; {advice}" if advice else why


def _lines(plan: Plan, how: Ran) -> Iterator[str]:
    engine, whole, calls = plan.engine, plan.body.whole, how.calls
    if calls is not None:
        yield f"{_CALLS[how.backend]}: {calls}"
    else:
        count = len(engine.calls)
        yield _CODE[how.backend] + (f" with {count} call{'s' * (count != 1)}" if count else "")
        yield from (f"  call       {line}" for line in _counted(engine.calls))
    if is_linear(whole):
        yield "  step       linear in its state: only sums, and weightings by what does not depend on it"
    yield from (f"  once       {_described(whole, i)}" for i in plan.body.preamble)
    yield from (f"  all steps  {_described(whole, i)}" for i in plan.body.hoisted)
    for group in plan.body.invariant:
        if len(group) > 1:
            yield f"  merged     {len(group)} matrices side by side into one product"
    if calls is not None:
        yield f"  each step  {len(plan.forward)} calls forward, {len(plan.backward)} backward"
    else:
        yield from engine.described()
    if plan.differentiated:
        held = plan.laid_out(calls or engine).held
        each, count = plan.joint.bytes_of(held), min(how.steps, how.kept.steps or how.steps)
        at_a_time = "" if how.kept.steps is None else " at a time, the others run again"
        told = f"{each:,} bytes a step, {each * count:,} of {count} step{'s' * (count != 1)}{at_a_time}"
        yield f"  kept       {len(held)} value{'s' * (len(held) != 1)}, {told}"
        if how.kept.least is not None:
            yield f"  budget     too small: a backward pass takes {how.kept.least:,} bytes at least"
    products = sum(term.gathered for term in plan.all_terms)
    if products:
        yield f"  after      {products} weight gradient{'s' * (products != 1)} as one product over all steps"


def _counted(calls: Sequence[tuple[str, str, str]]) -> list[str]:
    """Calls as lines, those that are alike as one."""
    return [
        f"{row}{f', {n} times' if n > 1 else ''}: {_with(why, advice)}"
        for (row, why, advice), n in collections.Counter(calls).items()
    ]


def _described(program: Program, instruction: Any) -> str:
    shapes = [program.shapes[r] for r in instruction.operands if not isinstance(r, Number)]
    return f"{instruction.row.name} {' '.join(map(str, shapes))} -> {program.shapes[instruction.results[0]]}"
