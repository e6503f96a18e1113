"""Where time steps are on a tape, and which of them belong together: a *chain* for each layer and direction.

Operations are recorded inside time steps: ``tape.Scope`` of kind "step", or the calls of a cell in a loop of
the user's own. Where a step uses what another step of the same cell made, or takes it as its state, both
belong to one loop; a loop is a chain if something crosses between its steps.

    step 0     step 1     step 2     step 3
      h₀ ─────────────────► h₂                    h[t] = f(h[t−2]): two ways side by side, yet one chain, as
                 h₁ ─────────────────► h₃         each step hands (h[t−1], h[t]) to the next
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..tape import Call, Entry, Node, Scope, Tape
from .chain import Chain, leaves_of_state, without_self
from .words import distinct, stem


def given_name(x: Node) -> str:
    """A tensor's own name without its time: ``c`` of ``c[t−1]``."""
    return stem(x.name or "")


def find_chains(
    tape: Tape,
    name_of: Callable[[Node], str] = given_name,
    owner_of: Callable[[Chain], tuple[str, str]] = lambda chain: ("", ""),
) -> list[Chain]:
    """The chains of at least two steps; chains that others depend on come first. A step between others that
    nothing depends on is part of its chain, without operations.

    Args:
        name_of: what the user calls a tensor.
        owner_of: what the user calls the module that a chain runs in, and its cell.
    """
    steps_of = time_steps(tape)
    stacks: dict[Scope | None, tuple[Scope, ...]] = {None: ()}

    def stack(scope: Scope | None) -> tuple[Scope, ...]:
        """The time steps around, outermost first: a step may hold a whole scan."""
        around = stacks.get(scope)
        if around is None:
            assert scope is not None
            around = stacks[scope] = stack(scope.outer) + ((steps_of[scope],) if scope in steps_of else ())
        return around

    inside: dict[Scope, list[Entry]] = {step: [] for step in steps_of.values()}
    joined: dict[Scope, Scope] = {}
    crossed: list[Scope] = []

    def root(step: Scope) -> Scope:
        while joined.setdefault(step, step) is not step:
            joined[step] = step = joined[joined[step]]
        return step

    for entry in tape:
        ours = stack(entry.scope)
        for step in ours:
            inside[step].append(entry)
        for x, needed in zip(entry.inputs, entry.needs, strict=True):
            if needed and x.entry is not None and x.entry.scope is not entry.scope:
                for one, other in _parting(ours, stack(x.entry.scope)):
                    joined[root(one)] = root(other)
                    crossed.append(one)
    for scope in steps_of:
        for maker in _makers_of_state(scope):
            for one, other in _parting(stack(scope), stack(maker)):
                joined[root(one)] = root(other)
    loops: dict[Scope, list[Scope]] = {}
    for step in sorted(inside, key=lambda step: step.start):
        if inside[step] or root(step) in loops:  # nothing before the first on the tape
            loops.setdefault(root(step), []).append(step)
    linked = {root(step) for step in crossed}
    chains = [
        Chain(steps, [inside[step] for step in steps], name_of)
        for one, steps in loops.items()
        if one in linked
    ]
    _link(tape, chains)
    for chain in chains:
        chain.settle()
    _name_chains(tape, chains, owner_of)
    return chains


def _link(tape: Tape, chains: Sequence[Chain]) -> None:
    """Tell each chain what crosses the borders of its steps."""
    none: dict[int, int] = {}
    places: dict[int, dict[int, int]] = {}
    for i, chain in enumerate(chains):
        for step, inside in enumerate(chain.entries):
            for entry in inside:
                places.setdefault(entry.index, {})[i] = step
    for entry in tape:
        ours, scope, needs = places.get(entry.index, none), entry.scope, entry.needs
        for operand, x in enumerate(entry.inputs):
            if needs[operand] and x.entry is not None and x.entry.scope is not scope:
                theirs = places.get(x.entry.index, none)
                for i, step_there in theirs.items():
                    if ours.get(i) != step_there:
                        chains[i].link(entry, operand, ours.get(i))
                for i in ours:
                    chains[i].alone = chains[i].alone and i in theirs


def time_steps(tape: Tape) -> dict[Scope, Scope]:
    """By scope, the time steps of scans. If there are none, the calls of a module in a loop of the user's
    own, each with a step that stands for it."""
    scopes = _scopes(tape)
    steps = {scope: scope for scope in scopes if scope.kind == "step"}
    if steps:
        return steps
    calls: dict[tuple[Scope | None, int], list[tuple[Scope, Call | None]]] = {}
    for scope in sorted(scopes, key=lambda scope: scope.start):
        call = without_self(scope)
        if leaves_of_state(call):
            calls.setdefault((scope.outer, id(scope.label)), []).append((scope, call))
    loops = (loop for loop in calls.values() if len(loop) > 1 and _goes_on(loop[0][0], loop[1][1]))
    return {
        scope: Scope("step", i, scope.outer, call) for loop in loops for i, (scope, call) in enumerate(loop)
    }


def _scopes(tape: Tape) -> dict[Scope, None]:
    """The scopes that a tape was recorded in, and the earlier steps of the same loops, even if nothing on the
    tape depends on them."""
    scopes = dict.fromkeys(
        outer for scope in dict.fromkeys(entry.scope for entry in tape) for outer in outwards(scope)
    )
    waiting = [*scopes]
    while waiting:
        scope = waiting.pop()
        for maker in _makers_of_state(scope):
            for before in outwards(maker):
                if before not in scopes and before.outer is scope.outer and _code(before) == _code(scope):
                    scopes[before] = None
                    waiting.append(before)
    return scopes


def _makers_of_state(scope: Scope) -> Iterator[Scope]:
    """Where the state was made that a cell was called with."""
    for x in leaves_of_state(without_self(scope)):
        if isinstance(x, Node) and x.entry is not None and x.entry.scope is not None:
            yield x.entry.scope


def _code(scope: Scope) -> tuple[str, Any]:
    """Equal for calls of one cell."""
    call = without_self(scope)
    return scope.kind, None if call is None else id(call[0])


def _goes_on(first: Scope, second: Call | None) -> bool:
    """Whether the state that a call takes comes from an earlier one."""
    states = [x for x in leaves_of_state(second) if isinstance(x, Node)]
    return any(first in outwards(entry.scope) for entry in Tape.of(*states, since=first.start))


def outwards(scope: Scope | None) -> Iterator[Scope]:
    """A scope and those around it."""
    while scope is not None:
        yield scope
        scope = scope.outer


def _parting(ours: tuple[Scope, ...], theirs: tuple[Scope, ...]) -> Iterator[tuple[Scope, Scope]]:
    """Where an operation and its operand were recorded in two different steps of one loop, these steps."""
    for one, other in zip(ours, theirs, strict=False):
        if one is not other:
            if one.outer is other.outer and _cell(one) is _cell(other) and one.label != other.label:
                yield one, other
            return


def _cell(step: Scope) -> Any:
    return None if step.call is None else step.call[0]


# -- what they are called ------------------------------------------------------------------------------------


def _name_chains(tape: Tape, chains: list[Chain], owner_of: Callable[[Chain], tuple[str, str]]) -> None:
    """Chains are named by the modules that they run in, where all of these have names; inside of one module
    by their cells, or else as layers; chains of the same cell by its calls."""
    if len(chains) < 2:
        return
    owners, cells = zip(*map(owner_of, chains), strict=True)
    owners = owners if all(owners) else ("",) * len(chains)
    layers = _layers(tape, chains)
    names = []
    for chain, owner in zip(chains, owners, strict=True):
        beside = [n for n, around in enumerate(owners) if around == owner]
        called = {id(_cell(chains[n].scopes[0])): cells[n] for n in beside}
        layer_of = {id(_cell(chains[n].scopes[0])): layers[n] for n in reversed(beside)}
        cell = id(_cell(chain.scopes[0]))
        if len(called) == 1:
            within = "" if owner else called[cell]
        elif all(called.values()) and len(set(called.values())) == len(called):
            within = called[cell]
        else:
            within = f"layer {1 + sorted(set(layer_of.values())).index(layer_of[cell])}"
        around = owner if len(set(owners)) > 1 or not within else ""
        names.append(" ".join(filter(None, [around, within, "reversed" if chain.reversed else ""])))
    for chain, name in zip(chains, distinct(names, ", call "), strict=True):
        chain.name = name.removeprefix(", ")


def _layers(tape: Tape, chains: Sequence[Chain]) -> list[int]:
    """For each chain how many it depends on, one on the other; both directions of a layer are as deep."""
    layers = [1] * len(chains)
    place = {entry.index: i for i, chain in enumerate(chains) for inside in chain.entries for entry in inside}
    below: dict[int, int] = {}
    for entry in tape:
        depth = max(
            (
                below[x.entry.index]
                for x in entry.inputs
                if isinstance(x, Node) and x.entry and x.entry.index in below
            ),
            default=0,
        )
        i = place.get(entry.index)
        if i is not None:
            outside = [
                below[x.entry.index]
                for x in entry.inputs
                if isinstance(x, Node)
                and x.entry
                and x.entry.index in below
                and place.get(x.entry.index) != i
            ]
            layers[i] = depth = max(layers[i], 1 + max(outside, default=0))
        below[entry.index] = depth
    return layers
