"""Pictures to the byte."""

from __future__ import annotations

import pytest

from tests.graph.scenes import GOLDEN, GOLDENS, printed_with_other_hashes


@pytest.mark.numpy_only
@pytest.mark.parametrize("name", GOLDENS)
def test_golden_text(name):
    assert GOLDENS[name]().dot == (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")


def test_text_is_the_same_in_processes_with_other_hashes():
    program = "from tests.graph.scenes import GOLDENS; print(GOLDENS['lstm']().dot)"
    assert len(printed_with_other_hashes(program)) == 1
