"""Which functions a picture can show as one node."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tests.derived.calls import CALLS
from tinygrad_rnn import derived, tree

NAMES = {name for room in derived.ROOMS for name in room.__all__}
SPREAD = {"broadcast_arrays", "meshgrid", "dot", "select"}
"""Functions that hand each operand on by itself, or to another function; lists of operands are not looked
into."""
STACKED = {"dstack", "hstack", "vstack", "column_stack", "atleast_2d", "delete", "append", "array_split"}
CHOSEN = {
    label: call
    for label, call in CALLS.items()
    if label.split()[0] in NAMES - SPREAD - STACKED and not label.endswith("of nan")  # these make it first
}


@pytest.mark.parametrize(("operands", "function"), CHOSEN.values(), ids=CHOSEN)
def test_a_function_of_several_operations_is_one_call(operands, function):
    xs = [tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in operands]
    ys = [y for y in tree.leaves(function(tg, *xs)) if y.requires_grad]
    entries = list(tg.Tape.of(*ys))
    calls = {entry.scope for entry in entries}
    assert len(entries) < 2 or (len(calls) == 1 and None not in calls)
