"""What diagnosis and pictures say of a compiled run is what they say of the loop: every number, every name,
every box."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests.covering import seeds
from tests.reading.programs import Program


def _told(seed: int, compiled: bool | str) -> tuple[dict[str, Any], dict[str, str]]:
    """Numbers and texts."""
    program = Program(seed, compiled)
    loss = program.loss()
    numbers: dict[str, Any] = {}
    texts = {"": ", ".join(program.parts)}
    for of in (None, "all"):
        report = tg.flow(loss, start=of)
        for track in report.tracks:
            where = f"{of} {track.name}"
            texts[f"{where} chain"] = (
                f"{len(track.chain)} {track.chain.labels} {track.chain.states} {track.last} "
                f"{list(track.gates)}"
            )
            texts[f"{where} verdict"] = track.verdict().kind
            texts[f"{where} paths"] = "\n".join(
                sorted(path.name for step in range(len(track.chain)) for path in track.paths(step))
            )
            for name in ("received", "passed", "remaining", "gains"):
                numbers[f"{where} {name}"] = getattr(track, name)
            for name, values in (*track.states.items(), *track.gates.items()):
                numbers[f"{where} at {name}"] = values
        texts[f"{of} operations"] = "\n".join(
            f"{op.chain} {op.step} {op.name} {op.symbol} {list(op.sent)}" for op in report.operations()
        )
        numbers[f"{of} operations"] = [
            value for op in report.operations() for value in (op.received, *op.sent.values())
        ]
    for view in ("ops", "steps", "cells"):
        try:
            picture = tg.draw(loss, view=view, gains=True, max_nodes=5000)
        except tg.DrawError as error:
            texts[view] = str(error)
        else:
            texts[view] = f"{picture}\n{picture.dot}"
    return numbers, texts


@pytest.mark.parametrize("seed", seeds(40, daily=4))
def test_the_same_is_told(seed: int) -> None:
    with numpy.errstate(all="ignore"):
        (numbers, texts), (expected, words) = _told(seed, "auto"), _told(seed, False)
    for name, text in words.items():
        if name:
            assert texts.get(name) == text, f"{name}: {words['']}"
    assert texts.keys() == words.keys()
    assert numbers.keys() == expected.keys()
    for name, values in expected.items():
        numpy.testing.assert_allclose(
            numbers[name], values, rtol=1e-9, atol=1e-13, err_msg=f"{name}: {words['']}"
        )
