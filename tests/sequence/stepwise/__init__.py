"""Cells that do something else at each step, each in a way that two traces would not show.

What such a cell leaves behind after some steps is told by its ``left``.
"""

from __future__ import annotations

from tests.sequence.stepwise import chance, counters, places

STEPWISE = [*chance.CELLS, *counters.CELLS, *places.CELLS]
