"""What is inside of a box: of a module its operations, and of time steps those of one; of a function its
operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..tape import Entry, Node, Tape
from .gains import Gains
from .modules import Modules, Part, Sizes
from .network import Network
from .ops_view import OpsView
from .scene import Scene


def scenes_inside(
    modules: Modules, sizes: Sizes | None, outputs: Sequence[Node], most: int
) -> dict[str, Scene]:
    """The pictures inside, by id of the part.

    Args:
        sizes: what was measured between the modules, or None to measure nothing inside either.
        outputs: the results of everything.
        most: how many nodes a picture may have; a part that needs more, or has one operation only, stays
            closed.
    """
    steps = {part.id: _step(part, sizes) for part in modules.parts}
    inside = {part.id: _entries(part, steps[part.id]) for part in modules.parts}
    inside = {name: entries for name, entries in inside.items() if 1 < len(entries) <= most}
    home = {entry.index: name for name, entries in inside.items() for entry in entries}
    gains = sizes.gains(home) if sizes is not None and home else None
    results = _results(modules.tape, outputs, home)
    scenes = {}
    for part in modules.parts:
        if part.id in inside:
            network = Network(Tape(inside[part.id]), results[part.id], modules.names)
            if not network.excess(most):
                scenes[part.id] = _scene(
                    part, steps[part.id], network, gains and gains.entering(results[part.id])
                )
    return scenes


def scenes_of_functions(network: Network, gains: Gains | None) -> dict[str, Scene]:
    """The pictures inside of functions that are drawn as one node, by the node's id."""
    called = {vertex.id: vertex for vertex in network.vertices if vertex.kind == "function"}
    home = {entry.index: name for name, vertex in called.items() for entry in vertex.value.entries}
    results = _results(network.tape, network.outputs, home)
    scenes = {}
    for name, vertex in called.items():
        inner = Network(Tape(vertex.value.entries), results[name], network.names)
        seen = gains and gains.entering(results[name])
        title = " = ".join(filter(None, [vertex.name, vertex.value.name]))
        scene = OpsView(inner, title, seen if seen and seen.of else None).scene()
        scenes[name] = replace(scene, notes=["all of its operations", *scene.notes])
    return scenes


def _step(part: Part, sizes: Sizes | None) -> int | None:
    """The last step that a residual reaches."""
    if part.chain is None:
        return None
    last = None if sizes is None else sizes.last_step(part)
    return len(part.chain) - 1 if last is None else last


def _entries(part: Part, step: int | None) -> list[Entry]:
    if part.chain is None or step is None:
        return part.entries
    return [entry for entry in part.entries if part.chain.step_of((entry.index, 0)) == step]


def _results(tape: Tape, outputs: Sequence[Node], home: dict[int, str]) -> dict[str, list[Node]]:
    """What leaves each part: results, and what is used outside of it."""
    leaving: dict[str, dict[tuple[int, int], Node]] = {name: {} for name in home.values()}
    uses = [(y, None) for y in outputs] + [(x, entry) for entry in tape for x in entry.inputs]
    for x, user in uses:
        if isinstance(x, Node) and x.entry is not None and x.entry.index in home:
            name = home[x.entry.index]
            if user is None or home.get(user.index) != name:
                leaving[name].setdefault((x.entry.index, x.position), x)
    return {name: list(results.values()) for name, results in leaving.items()}


def _scene(part: Part, step: int | None, network: Network, gains: Gains | None) -> Scene:
    title, note = part.head, "all of its operations"
    if part.chain is not None and step is not None:
        title += f": t = {part.chain.labels[step]}"
        note = f"one step of {len(part.chain)}: the last" + (" that a residual reaches" if gains else "")
    scene = OpsView(network, title, gains).scene()
    return replace(scene, notes=[note, *scene.notes])
