"""What a value that is the same at every step gets for a residual: a sum over all steps.

Σₜ aₜᵀ gₜ    a weight's: not added up step by step, but one product over all steps, after the loop
Σₜ gₜ        anything else's, a bias's say: added up in the loop
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from ..chain_rule.routing import Contracted
from .program import Instruction, Number, Program


@dataclass(frozen=True, eq=False)
class GradientTerm:
    """One term of a fixed value's residual, summed over all steps.

    Attributes:
        kind: "product" for Σ aᵀ g, "batched" for such a product of each sample, Σ a[b, i] g[b, j], "plain"
            for what is added up.
        values: (a, g), or the one value.
        shared: how many axes b stands for.
        transposed: whether the transpose is made of a product, Σ gᵀ a.
    """

    kind: str
    values: tuple[int, ...]
    shared: int = 0
    transposed: bool = False

    @property
    def gathered(self) -> bool:
        """Whether its values are kept, and multiplied for all steps at once."""
        return self.kind in ("product", "batched")


def fixed_residuals(plan: Any, totals: dict[Any, Any], np: Any, products: Any) -> list[Any]:
    """The residuals of the body's fixed values from what their terms add up to over all steps; None where
    there is none.

    Args:
        np: the backend of arrays, or the recorded operations of tensors.

    Some are pending in ``products`` until those are run.
    """
    products.wait()

    def of(v: int, term: GradientTerm) -> Any:
        shape = plan.joint.shapes[v]
        if not term.gathered:
            return np.sum_to(totals[term], shape)
        return totals[term].T if term.transposed else totals[term].reshape(shape)

    fixed = plan.joint.fixed[: len(plan.body.program.fixed)]
    return [
        products.total([of(v, term) for term in plan.terms[v]]) if v in plan.terms else None for v in fixed
    ]


def over_steps(products: Any, term: GradientTerm, a: Any, g: Any, total: Any, order: int) -> Any:
    """What a gathered term adds up to, (T, …) each, and the total so far; from the first step (order 1) or
    the last (−1). Of a transposed one the transpose."""
    if term.kind == "product":
        left, right = (x.reshape(-1, x.shape[-1]) for x in ((g, a) if term.transposed else (a, g)))
        return products.over_rows(left, right, total, order)
    lead = len(a), math.prod(a.shape[1 : 1 + term.shared])
    return products.of_each(a.reshape(*lead, -1), g.reshape(*lead, -1), total, order)


def terms_of(program: Program, residual: int, transposed: bool) -> list[GradientTerm]:
    """The terms of a residual: products and sums over the batch are recognised by the rows that made them."""
    producers = program.producers()
    terms, todo = [], [residual]
    while todo:
        value = todo.pop()
        made = producers.get(value)
        if (
            made is not None
            and made.row.sums
            and program.shapes[value] == program.shapes[residual]
            and _same_shapes(program, made)
        ):
            todo.extend(made.operands)
        elif (
            made is not None
            and _is_of_matrices(program, made)
            and (left := producers.get(made.operands[0]))
            and left.row.permutes
        ):
            terms.append(GradientTerm("product", (left.operands[0], made.operands[1]), transposed=transposed))
        elif made is not None and (batched := _batched(program, made)) is not None:
            terms.append(batched)
        elif made is not None and made.row.undoes_broadcast and len(program.shapes[made.operands[0]]) == 2:
            terms.append(GradientTerm("plain", (made.operands[0],)))  # summed over the batch after all steps
        else:
            terms.append(GradientTerm("plain", (value,)))
    return terms


def _is_of_matrices(program: Program, instruction: Instruction) -> bool:
    """A single product, not a stack of them: only those of all steps are one product."""
    return instruction.row.multiplies_matrices and len(program.shapes[instruction.results[0]]) == 2


def _batched(program: Program, instruction: Instruction) -> GradientTerm | None:
    """The term of a[b, i] · g[b, j], an element for each b, i and j, where these are more than there are of
    both."""
    loops, operands = instruction.row.loops, instruction.operands
    if (
        not isinstance(loops, Contracted)
        or len(operands) != 2
        or any(isinstance(x, Number) for x in operands)
    ):
        return None
    words, result = loops.letters([program.shapes[x] for x in operands], instruction.params)
    size = {x: math.prod(program.shapes[x]) for x in (*operands, *instruction.results)}
    if 2 * (size[operands[0]] + size[operands[1]]) > size[instruction.results[0]]:
        return None
    for (a, left), (g, right) in itertools.permutations(zip(operands, words, strict=True)):
        shared = sum(
            1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
        )
        same = (
            program.shapes[a][:shared] == program.shapes[g][:shared]
            and program.dtypes[a] == program.dtypes[g]
        )
        if 0 < shared < min(len(left), len(right)) and result == left + right[shared:] and same:
            return GradientTerm("batched", (a, g), shared)
    return None


def _same_shapes(program: Program, instruction: Instruction) -> bool:
    shapes = {program.shapes[ref] for ref in instruction.operands if not isinstance(ref, Number)}
    return len(shapes) == 1 and not any(isinstance(ref, Number) for ref in instruction.operands)
