"""An interrupt may come between any two instructions: whatever it cuts off, nothing stays held, flipped or
half done.

Python raises KeyboardInterrupt, and what other threads send, between two instructions of any function. Here
it comes at every one of them.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import backends, tape
from tinygrad_rnn.tape.ends import adding

PACKAGE = str(Path(tg.__file__).parent)


BY_INSTRUCTIONS = pytest.mark.no_cover
"""Nothing is measured while instructions are counted anyway, and Python 3.12 crashes where it goes from one
tracer to another."""


Place = tuple[Any, int, int]
"""An instruction: the code, the place in it, and how often it has been come by before."""


class Interrupter:
    """Runs something, and interrupts it before one instruction, or notes all that it could come before.

    Args:
        files: beginnings of the files in which instructions count.
        most: of one instruction, so many times that it is come by.
    """

    def __init__(self, files: tuple[str, ...], most: int = 2) -> None:
        self.files, self.most = files, most
        self.counts: dict[Any, int] = {}
        self.target: Place | None = None

    def _called(self, frame: Any, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(self.files) or frame.f_code is Interrupter.run.__code__:
            return None
        if self.target is not None and frame.f_code is not self.target[0]:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._traced

    def _traced(self, frame: Any, event: str, arg: Any) -> Any:
        if event == "opcode":
            place = frame.f_code, frame.f_lasti
            count = self.counts[place] = self.counts.get(place, -1) + 1
            if self.target == (*place, count):
                raise KeyboardInterrupt
        return self._traced

    def run(self, function: Callable[[], Any], target: Place | None) -> bool:
        """Whether it was interrupted."""
        self.counts, self.target = {}, target
        before = sys.gettrace()
        # or Python 3.12 looks at none: it asks only where tracing begins
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._called)
        try:
            function()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
            while adding._is_owned():  # only tracing can come before the one instruction that releases a lock
                adding.release()
        return False

    def places(self, function: Callable[[], Any]) -> list[Place]:
        self.run(function, None)
        return [
            (*place, count)
            for place, most in self.counts.items()
            for count in range(min(most + 1, self.most))
        ]


def random_numbers() -> list[Any]:
    """What the generators would draw next, to the bit."""
    states = tg.random.States()
    drawn = [tg.random.generator().random(), random.random(), np.random.random()]
    states.restore()
    return drawn


def state() -> dict[str, Any]:
    """All that a program could find changed."""
    with tape.recording():
        # who looked at what is recorded is forgotten with the next entry
        tg.exp(tg.tensor([1.0], requires_grad=True))
    return {
        **vars(tape.thread),
        "observers": set(tape.mode.observing),
        "backend": backends.current(),
        "warnings": np.geterr(),
        "collector": gc.isenabled(),
        "trace": sys.gettrace(),
        "profile": sys.getprofile(),
        "random numbers": random_numbers(),
    }
