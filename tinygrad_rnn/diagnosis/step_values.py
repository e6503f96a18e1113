"""What the states and the gates of every layer are at each time step, by name."""

from __future__ import annotations

import types
from typing import Any

import numpy

from ..errors import TapeError
from ..reading.chain import Chain
from ..reading.recording import Recording
from ..tape import Entry, Node
from ..tensor import Tensor


def step_values(model: Any, inputs: Tensor, program: types.FrameType) -> dict[str, numpy.ndarray]:
    """For each state, and then for each gate, what it is at each step of one sequence: (T, units).

    A gate is what a composition, such as σ or tanh, makes and the cell has a name for. Steps that were not
    run by a scan, a layer, or calls of a cell have none; nor has what does not depend on the inputs.

    Args:
        model: as of :func:`tinygrad_rnn.memory`.
        inputs: (T, …).
        program: the frame that asks: things are called by its variables.
    """
    x = Tensor(inputs._data[:, None], inputs._backend, True)
    result = model(x)
    output = result[0] if isinstance(result, (tuple, list)) else result
    if not isinstance(output, Node) or output.entry is None:
        return {}
    try:
        recording = Recording([output], [], program)
        chains = [chain for chain in recording.chains if len(chain) == inputs.shape[0]]
    except TapeError:  # what cannot be opened has no inside
        return {}
    states: dict[str, numpy.ndarray] = {}
    gates: dict[str, numpy.ndarray] = {}
    for chain in chains:
        for name, entries in _named(chain, recording).items():
            column = [entries.get(step) for step in range(len(chain))]
            if None in column:
                continue
            rows = [chain.backend.to_host(entry.ys[0]).reshape(-1) for entry in column if entry is not None]
            if len({len(row) for row in rows}) == 1:
                kind = states if name in chain.states else gates
                kind[f"{chain.name} {name}".strip()] = numpy.stack(rows[:: -1 if chain.reversed else 1])
    return {**states, **gates}


def _named(chain: Chain, recording: Recording) -> dict[str, dict[int, Entry]]:
    """By name and by step the operation that makes a state or a gate."""
    made: dict[str, dict[int, Entry]] = {}
    states = {
        key: chain.states[i]
        for i in range(chain.count)
        for step in range(len(chain))
        if (key := chain.state_at(i, step)) is not None
    }
    for step, inside in enumerate(chain.entries):
        for entry in inside:
            if entry.row.several:
                continue
            state = states.get((entry.index, 0))
            name = state or (recording.name_of(entry.results()[0]) if entry.row.case == "composition" else "")
            if name:
                made.setdefault(name, {})[step] = entry
    return made
