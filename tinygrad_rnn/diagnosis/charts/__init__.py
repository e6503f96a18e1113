"""Figures of a diagnosis, by matplotlib, which is imported when one is asked for.

``heatmap`` and ``curve`` show where in time a residual is still felt, ``ways`` what one step does to it,
``spectrum`` what repeating that step would do, and ``gates`` how gates close in training. ``figure`` is what
they share.
"""

from .curve import curve
from .figure import ENDINGS, figure_for, rendered
from .gates import gates
from .heatmap import heatmap
from .spectrum import spectrum
from .ways import ways

__all__ = ["ENDINGS", "curve", "figure_for", "gates", "heatmap", "rendered", "spectrum", "ways"]
