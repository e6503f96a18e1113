"""Whether a cell is linear in its state: between the old and the new one only additions, and weightings by
what does not depend on it.

The state may be shifted by what the input brings. Such a cell could be run for all steps at once, and
residuals pass with factors that the inputs alone decide.
"""

from __future__ import annotations

from .program import Instruction, Number, Program


def is_linear(program: Program) -> bool:
    """Whether every new state is a linear map of the old ones, and a shift, at any inputs."""
    tied = set(program.states)  # depends on the old state, linearly
    for instruction in program.instructions:
        if not tied.isdisjoint(x for x in instruction.operands if not isinstance(x, Number)):
            if not _keeps(program, instruction, tied):
                return False
            tied.update(instruction.results)
    return not tied.isdisjoint(program.carried)


def _keeps(program: Program, instruction: Instruction, tied: set[int]) -> bool:
    """Whether an instruction is linear in those of its operands that depend on the state."""
    row, operands = instruction.row, instruction.operands
    if row.case == "weighting":
        return sum(x in tied for x in operands) == 1
    if row.decides is not None:
        return operands[row.decides] not in tied
    return row.linear
