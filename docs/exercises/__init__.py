"""The exercises of the course: your own backward pass, beside the library's residuals.

In a notebook: ``exercises.check("3", backward)``. At a terminal: ``python -m docs.exercises 3``.
"""

from __future__ import annotations

from .compare import Report, check
from .questions import EXERCISES, stub

__all__ = ["EXERCISES", "Report", "check", "stub"]
