"""The cells of the literature, and those of many shapes, as C files: as exact as the library in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_rnn as tg
from tests.covering import some
from tests.interop.compiled_c import as_exact_as, exported, needs_gcc, steps_of
from tinygrad_rnn import tree
from tinygrad_rnn.selfcheck import cells
from tinygrad_rnn.selfcheck.cells.published import PUBLISHED

pytestmark = [needs_gcc, pytest.mark.numpy_only, pytest.mark.measured]

STEPS = 100
SPELLINGS = [(name, spelling) for name, cell in PUBLISHED.items() for spelling in cell.spellings]
CALLED = {
    ("deep_equilibrium", "by_solve"): "solve",
    ("deep_equilibrium", "by_inv"): "solve",
    ("kalman_filter", "by_solve"): "solve",
    ("kalman_filter", "by_inv_and_einsum"): "solve",
    ("beam_search", "by_argsort"): "argsort",
    ("beam_search", "by_rows"): "argsort",
}
"""What is a call of a function is not written."""
NOT_TRACED = {("hierarchical", "scan_in_the_cell"), ("ttt", "by_grad")}
"""A scan in the cell, and a derivative, which steps have no tape for."""
OF_FLOAT64 = {
    ("act", "by_where"),
    ("act", "all_thoughts_first"),
    ("lif", "by_detach_and_softsign"),
    ("variational_lstm", "by_masks_of_numbers"),
    ("stack_rnn", "by_shift_matrices"),
    ("batch_norm_lstm", "with_columns"),
    ("hmm_left_to_right", "in_probabilities"),
    ("conv_lstm", "by_one_einsum"),
}
"""They hold NumPy's arrays of float64, so float32 does not stay what it is."""


class _Captured(Exception):
    """The first scan of a spelling has begun."""


def first_scan(run: Callable[..., Any]) -> tuple[Any, Any, Any]:
    """The cell, inputs and state of the first scan in a function of ``scan``."""
    found: list[Any] = []

    def scan(cell: Any, xs: Any, state: Any, *_: Any, **__: Any) -> Any:
        found.append((cell, xs, state))
        raise _Captured

    with pytest.raises(_Captured):
        run(scan)
    return found[0]


def of_dtype(tensors: Any, dtype: str) -> Any:
    return tree.map_leaves(
        lambda x: tg.asarray(x).astype(dtype) if tg.asarray(x).dtype.kind == "f" else tg.asarray(x), tensors
    )


def compared(make: Callable[[str], tuple[Any, Any, Any]], folder: Any) -> None:
    """Where a network lets differences grow, they may grow as the library's own do.

    Args:
        make: the cell, inputs and state in a dtype.
    """
    with tg.no_grad():
        cell, xs, state = make("float32")
        expected = steps_of(cell, xs, state)
        found = exported(folder, cell, xs, state)
        cell, xs, state = make("float64")
        exact = steps_of(cell, xs, state)
    as_exact_as(found, expected, exact)


@pytest.mark.parametrize(("name", "spelling"), some(SPELLINGS, 9))
def test_published(name, spelling, tmp_path):
    cell = PUBLISHED[name]

    def make(dtype: str) -> Any:
        numbers = cell.draw(cells.Maker("float32", 3, 5, steps=STEPS))
        xs, state, weights = (of_dtype(one, dtype) for one in numbers)
        found, xs, state = first_scan(lambda scan: cell.spellings[spelling](scan, xs, state, **weights))
        return found, of_dtype(xs, dtype), of_dtype(state, dtype)

    if (name, spelling) in CALLED:
        with pytest.raises(tg.TraceError, match=f"written in C: the operation '{CALLED[name, spelling]}'"):
            compared(make, tmp_path)
    elif (name, spelling) in NOT_TRACED | OF_FLOAT64:
        with pytest.raises((tg.TraceError, tg.DtypeError)):
            compared(make, tmp_path)
    else:
        compared(make, tmp_path)


@pytest.mark.parametrize("make", some([*cells.ALL, *cells.FORMULAS], 9, 4), ids=lambda make: make.__name__)
@pytest.mark.parametrize(("batch", "width"), [(1, 5), (3, 4)])
def test_of_many_shapes(make, batch, width, tmp_path):
    def of(dtype: str) -> Any:
        cell, _, xs, state = make(cells.Maker(dtype, batch, width, steps=STEPS))
        return cell, xs, state

    compared(of, tmp_path)
