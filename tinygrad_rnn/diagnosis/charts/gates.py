"""How open gates are, over a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from ...reading.words import percent, short
from .figure import SMALL, figure_for, library, plain_axes, shades, titled

_ACROSS = 3
"""Panels side by side."""

_WIDTH, _HEIGHT = 9.0, 2.0
"""Inches of the figure, and of a panel."""


def gates(
    steps: Sequence[int], shares: Mapping[str, numpy.ndarray], saturated: Mapping[str, numpy.ndarray]
) -> Any:
    """A panel for each gate: update × value, coloured by the share of its values that lie there.

    Args:
        steps: the updates at which was looked.
        shares: for each gate (looks, bins), of equal parts from 0 to 1.
        saturated: for each gate the share of values whose slope is next to nothing, at each look.
    """
    across = min(_ACROSS, len(shares))
    down = -(-len(shares) // across)
    figure = figure_for("the histograms of gates", (_WIDTH, 1.0 + _HEIGHT * down))
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    norm = library("colors").PowerNorm(0.5, 0, max(float(share.max()) for share in shares.values()))
    ends = _borders(steps)
    for axes, (name, share) in zip(panels.flat, shares.items(), strict=False):
        image = axes.pcolormesh(
            ends, numpy.linspace(0, 1, share.shape[1] + 1),
            numpy.where(share > 0, share, numpy.nan).T, cmap=shades(), norm=norm,
            rasterized=True,
        )  # fmt: skip
        first, last = percent(saturated[name][0]), percent(saturated[name][-1])
        axes.set_title(
            f"{short(name, 24)}\nsaturated {first}" + (f" → {last}" if len(steps) > 1 else ""),
            loc="left", fontsize=SMALL, parse_math=False,
        )  # fmt: skip
        axes.set_yticks([0, 0.5, 1], ["0 shut", "0.5", "1 open"])
        axes.xaxis.set_major_locator(library("ticker").MaxNLocator(4, integer=True))
        plain_axes(axes)
    for axes in panels.flat[len(shares) :]:
        axes.set_visible(False)
    for place, axes in enumerate(panels.flat[: len(shares)]):
        if place + across >= len(shares):  # nothing below
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("update", fontsize=SMALL)
    bar = figure.colorbar(image, ax=panels, pad=0.01, aspect=30)
    bar.ax.yaxis.set_major_formatter(lambda x, _place: percent(x))
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("share of the values", fontsize=SMALL)
    titled(figure, "How far gates are open while the model learns")
    return figure


def _borders(steps: Sequence[int]) -> numpy.ndarray:
    """Between the looks."""
    middles = (numpy.array(steps[1:]) + numpy.array(steps[:-1])) / 2
    before = steps[0] - (middles[0] - steps[0] if len(middles) else 0.5)
    after = steps[-1] + (steps[-1] - middles[-1] if len(middles) else 0.5)
    return numpy.array([before, *middles, after])
