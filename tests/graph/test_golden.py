"""Pictures to the byte."""

from __future__ import annotations

import pytest

from tests.graph.scenes import GOLDEN, GOLDENS, printed_with_other_hashes


@pytest.mark.numpy_only
@pytest.mark.parametrize("name", GOLDENS)
def test_golden_text(name):
    assert GOLDENS[name]().dot == (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")


def test_text_and_page_are_the_same_in_processes_with_other_hashes():
    program = (
        "import tinygrad_rnn as tg; from tests.graph.browser import lstm_layer; "
        "from tests.graph.scenes import GOLDENS; from tinygrad_rnn.graph import engine; "
        "engine.found = lambda: None; tg.random.seed(0); "
        "print(GOLDENS['lstm']().dot, tg.draw(lstm_layer(), gains=True).html())"
    )
    assert len(printed_with_other_hashes(program)) == 1
