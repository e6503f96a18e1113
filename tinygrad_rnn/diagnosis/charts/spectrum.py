"""The eigenvalues of what a step does to its states, on the unit circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from ...errors import FlowError
from ...reading.words import gain_label, short
from ..track import Track
from .figure import GREY, PALE, SMALL, figure_for, library, plain_axes, shades, titled

_MARKS = "os^Dv<>p*h"
_MEANING = """Within the circle (|λ| < 1) a
residual shrinks if such steps
repeat, outside it grows.
The gain is the most by which
one step alone enlarges it.
Shown is sample {sample}."""

_FIRST, _LAST = 0.15, 0.92
"""Which part of the scale of colours shows well on white."""


def spectrum(track: Track, steps: Sequence[int], sample: int) -> Any:
    """The eigenvalues of each step's Jacobian as points in the plane."""
    figure = figure_for("the spectrum", (7.5, 4.4))
    axes = figure.subplots()
    circle = library("patches").Circle
    colors = shades()
    axes.add_patch(circle((0, 0), 1, facecolor="#F3F3F3", edgecolor=PALE, linewidth=1.2))
    axes.axhline(0, color="#CFCFCF", linewidth=0.8, zorder=1)
    axes.axvline(0, color="#CFCFCF", linewidth=0.8, zorder=1)
    radius = 1.0
    for i, step in enumerate(steps):
        jacobian = track.step_jacobian(step, sample)
        if not numpy.isfinite(jacobian).all():
            raise FlowError(
                f"flow: the derivatives of step {track.chain.labels[step]} are not finite: "
                "report.not_finite() says where that begins"
            )
        values = numpy.linalg.eigvals(jacobian)
        radius = max(radius, float(abs(values).max()))
        place = _FIRST + (_LAST - _FIRST) * i / max(1, len(steps) - 1)
        gain = gain_label(float(numpy.linalg.norm(jacobian, 2)))
        axes.plot(
            values.real, values.imag, _MARKS[i % len(_MARKS)], color=colors(place), markersize=5.5,
            alpha=0.85, markeredgecolor="white", markeredgewidth=0.5, zorder=3,
            label=f"{track.chain.labels[step]}: {abs(values).max():.3g}, {gain}",
        )  # fmt: skip
    reach = 1.12 * radius
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", anchor="W")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(library("ticker").MaxNLocator(5))
    axes.set_xlabel("real part", fontsize=SMALL)
    axes.set_ylabel("imaginary part", fontsize=SMALL)
    plain_axes(axes)
    legend = axes.legend(
        loc="upper left", bbox_to_anchor=(1.04, 1), borderaxespad=0, frameon=False, fontsize=SMALL,
        title="step: largest |λ|, largest gain", title_fontsize=SMALL, alignment="left",
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    axes.text(
        1.04, 0, _MEANING.format(sample=sample),
        transform=axes.transAxes, fontsize=SMALL, color=GREY,
    )  # fmt: skip
    of = f"{track.name}: e" if track.name else "E"
    titled(
        figure,
        f"{of}igenvalues λ of one step: the derivative of {_states(track, 't')} by {_states(track, 't−1')}",
    )
    return figure


def _states(track: Track, time: str) -> str:
    names = [f"{short(name, 10)}[{time}]" for name in track.chain.states]
    return names[0] if len(names) == 1 else f"({', '.join(names)})"
