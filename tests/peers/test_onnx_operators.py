"""ONNX's own cases of single operators: all that the package ``onnx`` has for the operators of the table."""

from __future__ import annotations

import functools
import re
import warnings
from collections import defaultdict

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import written
from tinygrad_rnn.interop import onnx as ours
from tinygrad_rnn.interop.onnx.operators import operators

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
onnx = pytest.importorskip("onnx")

REFUSED = re.compile(
    "which tensors lack|a type that tensors lack|is no tensor|attribute 'round_mode'|"  # types
    "oldest that is supported|"  # Not, of the first version
    "training_mode|"  # dropout and batch norms as they are trained
    r"\((Sequence|Optional)|"  # inside of an If
    "the reduction '(mul|max|min)'"  # ScatterElements
)
"""Cases that must be refused: what they need is no tensor here, or no use of a network."""

NO_MAXIMUM = {
    "test_reduce_log_sum_exp_empty_set",
    "test_reduce_max_empty_set",
    "test_reduce_max_empty_set_bool",
    "test_reduce_min_empty_set",
}
"""The largest of no numbers: an error here, as in NumPy."""

RECURRENT = {"RNN", "GRU", "LSTM", "Scan"}


@functools.cache
def cases():
    """By operator all cases in which it is, of those that need no operator that the table lacks."""
    from onnx.backend.test.case.node import collect_testcases

    found = defaultdict(dict)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collected = collect_testcases(None)
    for case in collected:
        kinds = {node.op_type for node in case.model.graph.node}
        if kinds <= operators.keys():
            for kind in kinds:
                found[kind][case.name] = case
    return found


def array_of(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def run(case, path):
    """What comes out, beside what should; or why there is nothing."""
    try:
        model = ours.load(path)
        with np.errstate(all="ignore"):  # some cases are about infinities
            return [(model(*map(array_of, given)), outputs) for given, outputs in case.data_sets], None
    except (tg.CheckpointError, tg.ShapeError) as error:
        return [], str(error)


@pytest.mark.measured
@pytest.mark.parametrize("name", sorted(operators))
def test_all_cases_of_an_operator(name, tmp_path):
    ran = 0
    for case in cases()[name].values():
        results, refusal = run(case, written(tmp_path / "case.onnx", case.model))
        told = f"{case.name}: {refusal}"
        assert refusal is None or REFUSED.search(refusal) or case.name in NO_MAXIMUM, told
        for ys, outputs in results:
            for y, expected in zip(ys, map(array_of, outputs), strict=True):
                assert (y.dtype, y.shape) == (expected.dtype, expected.shape), case.name
                atol = 1e-3 if expected.dtype == np.float16 else max(case.atol, 1e-6)
                np.testing.assert_allclose(y.numpy(), expected, case.rtol, atol, err_msg=case.name)
        ran += refusal is None
    assert ran, "no case of the operator ran"


def test_the_recurrent_cases_are_all_there():
    names = {case for kind in RECURRENT for case in cases()[kind] if not case.endswith("_expanded")}
    assert len(names) >= 18
    assert {
        "test_lstm_with_peepholes",
        "test_gru_seq_length",
        "test_rnn_seq_length",
        "test_scan_sum",
    } <= names
