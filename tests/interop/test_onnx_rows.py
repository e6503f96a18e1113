"""Which operations can be written as ONNX files: all that are not in one list, which says why."""

from __future__ import annotations

from tinygrad_rnn.chain_rule import rows
from tinygrad_rnn.chain_rule.choice import WITHIN, choices
from tinygrad_rnn.interop.onnx.operators import operators
from tinygrad_rnn.interop.onnx.writing.rows import ROWS

NOT_WRITTEN = {
    "adjoints, which a model does not compute": {"sum_to", "scatter", "scatter_take", "scatter_along_axis"},
    "ONNX has no operator, or runtimes do not run it": {"arctan2", "solve", "searchsorted", "det"},
}


def test_every_operation_is_written_or_stands_in_the_list():
    ours = {*rows, *choices, WITHIN.name}
    listed = set().union(*NOT_WRITTEN.values())
    assert ROWS.keys() == ours - listed
    assert listed <= ours


def test_operators_know_their_inputs():
    """What is read on the host is no number of the code as well."""
    assert not [name for name, row in operators.items() if row.host & row.plain]
    assert {name for name, row in operators.items() if row.inner} == {"If", "Scan"}
