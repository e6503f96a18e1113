"""The colours of all pictures, figures and tables: those of Okabe and Ito, which nearly everyone can tell
apart. Their yellow is left out, which white paper swallows."""

from __future__ import annotations

BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"

CASES = {"composition": RED, "addition": GREEN, "weighting": BLUE}
"""Of the chain rule."""

LINES = (BLUE, RED, GREEN, "#CC79A7", "#56B4E9", "#E69F00")
"""Of what a figure draws over each other."""

NOT_FINITE = "#882255"
"""Of what is NaN or infinite."""

INK = "#1A1A1A"
"""Of text, and of what has no colour of its own."""
