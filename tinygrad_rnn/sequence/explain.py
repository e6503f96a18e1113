"""What became of a cell, in words: first how it ran last, then what that consisted of."""

from __future__ import annotations

import collections
import contextlib
import types
import warnings
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from ..backends.native import compiler
from ..errors import CompileWarning, TraceError
from ..user_code import calling_line
from .linear import is_linear
from .plan import Plan
from .program import Number, Program

_last: weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Plan], Any, str] | str] = weakref.WeakKeyDictionary()
"""For each cell how it ran last: its plan, which others keep alive, the reason if that ran as calls, and the backend; or the reason why it
was not compiled."""

_told: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
"""For each cell the warnings that were given of it."""

_CODE = {"numpy": "machine code", "cupy": "CUDA kernels"}
_CALLS = {"numpy": "NumPy calls", "cupy": "CuPy calls"}


def note_plan(cell: Any, plan: Plan, engine: Any, backend: str) -> None:
    """Remember how a cell runs, and warn if a part of it runs as calls that could be written otherwise."""
    calls = engine if isinstance(engine, str) else None
    with contextlib.suppress(TypeError):
        _last[cell] = weakref.ref(plan), calls, backend
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
    """Once for each cell and text, at the user's line. Where nothing is compiled at all, ``explain`` alone says so."""
    if not advice or not compiler.available():
        return
    owner = cell.__self__ if isinstance(cell, types.MethodType) else cell  # a bound method is made anew by whoever asks for it
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


def explain(cell: Any) -> str:
    """How ``scan`` last ran a cell. The first line says as what, the others which products were taken out of the loop, what is left in it,
    and what is kept in how many bytes.

    It ran as "machine code" (on a device: "CUDA kernels"); as "machine code with 2 calls", which stand below with the reason and what to
    write instead; as "NumPy calls", with the reason; or "step by step", with the reason and the line.
    """
    name = _name(cell)
    try:
        how = _last.get(cell)
    except TypeError:
        return f"{name}: cannot be remembered: it has no hash or cannot be referred to weakly"
    if how is None:
        told = getattr(cell, "explain", None)  # a layer tells of its cells
        return str(told()) if callable(told) else f"{name}: not run yet"
    if isinstance(how, str):
        return f"{name}: step by step: {how}"
    reference, calls, backend = how
    plan = reference()
    if plan is None:
        return f"{name}: what it was compiled to was dropped since, to make room for others"
    return "\n".join([f"{name}: {line}" if i == 0 else line for i, line in enumerate(_lines(plan, calls, backend))])


def _name(cell: Any) -> str:
    return getattr(cell, "__name__", type(cell).__name__)


def _with(why: str, advice: str) -> str:
    return f"{why}; {advice}" if advice else why


def _lines(plan: Plan, calls: str | None, backend: str) -> Iterator[str]:
    engine, whole = plan.engine, plan.core.whole
    if calls is not None:
        yield f"{_CALLS[backend]}: {calls}"
    else:
        count = len(engine.calls)
        yield _CODE[backend] + (f" with {count} call{'s' * (count != 1)}" if count else "")
        yield from (f"  call       {line}" for line in _counted(engine.calls))
    if is_linear(whole):
        yield "  step       linear in its state: only sums, and weightings by what does not depend on it"
    yield from (f"  once       {_described(whole, i)}" for i in plan.core.once)
    yield from (f"  all steps  {_described(whole, i)}" for i in plan.core.hoisted)
    for group in plan.core.constants:
        if len(group) > 1:
            yield f"  merged     {len(group)} matrices side by side into one product"
    if calls is not None:
        yield f"  each step  {len(plan.forward)} calls forward, {len(plan.backward)} backward"
    else:
        yield from engine.described()
    sunk = sum(sink.gathered for sinks in plan.sinks.values() for sink in sinks)
    if sunk:
        yield f"  after      {sunk} weight gradient{'s' * (sunk != 1)} as one product over all steps"


def _counted(calls: Sequence[tuple[str, str, str]]) -> list[str]:
    """Calls as lines, those that are alike as one."""
    return [f"{row}{f', {n} times' if n > 1 else ''}: {_with(why, advice)}" for (row, why, advice), n in collections.Counter(calls).items()]


def _described(program: Program, instruction: Any) -> str:
    shapes = [program.shapes[r] for r in instruction.operands if not isinstance(r, Number)]
    return f"{instruction.row.name} {' '.join(map(str, shapes))} -> {program.shapes[instruction.results[0]]}"
