"""Cells of many shapes, as users write them, so without annotations. Each function makes (cell, parameters,
xs, state) for a batch and a width. The tests and the command ``check`` run them."""

from __future__ import annotations

from collections.abc import Callable

from .built_in import BUILT_IN
from .functions import choices, detached, elementwise, functions, jumps, no_products, part_of_a_row
from .gates import (
    attention_over_memory,
    attention_per_sample,
    attention_without_maximum,
    clockwork,
    coupled_gates,
    deep_transition,
    layer_norm,
    layer_norm_by_root,
    minimal_gated,
    multiplicative_lstm,
    peephole_by_hand,
    projected,
    residual,
    state_of_two_axes,
    two_matmul_gru,
)
from .maker import Maker, Sample, T
from .nesting import (
    exchanged_states,
    input_without_gradient,
    nested_outputs,
    nested_states,
    one_tensor_in_many_places,
    parameter_as_output,
    several_inputs,
    some_parameters,
    unchanged_state,
)
from .weights import (
    constants_from_closures,
    embedding,
    inputs_alone,
    joined_operands,
    made_outside,
    separate_matrices,
    shared_left_operand,
    stacked_weights,
    weight_tied,
)

__all__ = ["ALL", "BUILT_IN", "CALLED", "FORMULAS", "WRITTEN", "Maker", "T"]

WRITTEN: list[Callable[[Maker], Sample]] = [
    peephole_by_hand, coupled_gates, layer_norm, layer_norm_by_root, projected, multiplicative_lstm,
    minimal_gated, clockwork, residual, two_matmul_gru, attention_without_maximum, deep_transition,
    separate_matrices, unchanged_state, one_tensor_in_many_places, exchanged_states, choices, jumps,
    detached, constants_from_closures, made_outside, several_inputs, input_without_gradient, some_parameters,
    no_products, inputs_alone, weight_tied, joined_operands, shared_left_operand,
]  # fmt: skip
"""Cells that become machine code."""

CALLED: list[Callable[[Maker], Sample]] = [
    attention_over_memory, attention_per_sample, nested_states, embedding, nested_outputs, functions,
    parameter_as_output, state_of_two_axes, stacked_weights,
]  # fmt: skip
"""Cells that are interpreted, at least for some widths."""

FORMULAS: list[Callable[[Maker], Sample]] = [part_of_a_row, elementwise]
"""Cells that are kernels on a device."""

ALL: list[Callable[[Maker], Sample]] = [*BUILT_IN, *WRITTEN, *CALLED]
