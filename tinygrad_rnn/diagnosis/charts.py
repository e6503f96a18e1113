"""Figures: where in time the residual is still felt, and how fast it dies. Matplotlib is imported when a
figure is asked for."""

from __future__ import annotations

import functools
import importlib
import io
from collections.abc import Sequence
from typing import Any

import numpy

from ..errors import DrawError, FlowError
from .track import REACH, Track

SHADES = [
    "#00224E",
    "#123570",
    "#3B496C",
    "#575D6D",
    "#707173",
    "#8A8678",
    "#A59C74",
    "#C3B369",
    "#E1CC55",
    "#FEE838",
]
"""Cividis reversed, one shade a decade: dark is strong, and white paper stands for nothing, which reads right
in print too."""

_TOP = 1e200
"""Logarithmic axes leave room above, and that must be a number too."""

_WHAT = "a heat map or curve"
_NOT_FINITE = "#882255"
_LINES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]


def heatmap(tracks: Sequence[Track]) -> Any:
    """Time × state and named gate, coloured by the size of the residual that arrives there."""
    _refuse_nothing(tracks)
    figure = figure_for(
        _WHAT, (9, 1.3 + 0.28 * sum(len(track.states) + len(track.gates) for track in tracks))
    )
    colors = importlib.import_module("matplotlib.colors")
    shades = colors.ListedColormap(SHADES).with_extremes(over="white", bad="white")
    decades = colors.BoundaryNorm(numpy.arange(len(SHADES) + 1) - 0.5, len(SHADES))
    axes = figure.subplots()
    times = sorted({label for track in tracks for label in track.chain.labels})
    column = {label: i for i, label in enumerate(times)}
    names, rows, broken = [], [], []
    strongest = max(_peak(track) for track in tracks)
    for track in tracks:
        start = track.received[track.last] if track.last is not None else 0.0
        for name, values in (*track.states.items(), *track.gates.items()):
            row = numpy.zeros(len(times))
            with numpy.errstate(invalid="ignore", over="ignore"):
                row[[column[label] for label in track.chain.labels]] = values / (start or 1.0) / strongest
            names.append(f"{track.name} {name}".strip())
            broken.append(~numpy.isfinite(row))
            rows.append(row)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        steps = numpy.clip(-numpy.log10(numpy.array(rows)), 0, None)
    extent = (-0.5, len(times) - 0.5, len(rows) - 0.5, -0.5)
    image = axes.imshow(
        steps, cmap=shades, norm=decades, aspect="auto", interpolation="nearest", extent=extent
    )
    if numpy.any(broken):
        axes.imshow(
            numpy.where(broken, 1.0, numpy.nan), cmap=colors.ListedColormap([_NOT_FINITE]), aspect="auto",
            interpolation="nearest",
            extent=extent,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.xaxis.set_major_locator(
        importlib.import_module("matplotlib.ticker").MaxNLocator("auto", integer=True)
    )
    axes.xaxis.set_major_formatter(
        lambda x, _place: str(times[round(x)]) if 0 <= round(x) < len(times) else ""
    )
    axes.set_xlabel("time step")
    axes.set_title(_heading(tracks), loc="left", fontsize=11)
    bar = figure.colorbar(image, ax=axes, ticks=range(0, len(SHADES), 3), pad=0.01)
    bar.ax.set_yticklabels(["1", "1e-3", "1e-6", "1e-9"])
    bar.ax.invert_yaxis()
    bar.set_label("of the strongest" if strongest > 1 else "of the start", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def curve(tracks: Sequence[Track]) -> Any:
    """How much of the residual is left after so many steps back, and where 1 % is."""
    _refuse_nothing(tracks)
    figure = figure_for(_WHAT, (7, 4))
    axes = figure.subplots()
    for track, color in zip(tracks, _LINES * len(tracks), strict=False):
        left = numpy.where((track.remaining > 0) & (track.remaining < _TOP), track.remaining, numpy.nan)
        axes.plot(left, color=color, label=str(track.verdict()))
    axes.axhline(REACH, color="#8A8A8A", linewidth=1, linestyle="--")
    axes.annotate(
        "1 %",
        (1, REACH),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )
    axes.set(xlabel="steps back", ylabel="residual that is left", yscale="log", xlim=(0, None))
    axes.set_title(_heading(tracks), loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _peak(track: Track) -> float:
    """How far the residual rises above its start; 1 where it does not."""
    finite = track.remaining[numpy.isfinite(track.remaining)]
    return max(1.0, float(finite.max(initial=1.0)))


def _heading(tracks: Sequence[Track]) -> str:
    ends = dict.fromkeys(track.chain.labels[track.last] for track in tracks if track.last is not None)
    if not ends:
        return "No residual comes into the time steps"
    return (
        f"Where the residual that comes in at step{'s' * (len(ends) > 1)} "
        f"{' and '.join(map(str, ends))} is still felt"
    )


def _refuse_nothing(tracks: Sequence[Track]) -> None:
    if not tracks:
        raise FlowError(
            "flow: there is nothing to plot: no time steps here hand a state on (run the cell by tg.scan "
            "or as a layer)"
        )


def rendered(figure: Any, kind: str) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=150)
    return content.getvalue()


def figure_for(what: str, size: tuple[float, float]) -> Any:
    """An empty figure, which a notebook shows, also where pyplot was not imported.

    Args:
        what: what needs it, for the error.
        size: in inches.

    Raises:
        DrawError: matplotlib is not installed.
    """
    try:
        figure = importlib.import_module("matplotlib.figure").Figure(figsize=size, layout="constrained")
    except ImportError as error:
        raise DrawError(f"{what} needs the package matplotlib: pip install 'tinygrad_rnn[plot]'") from error
    figure._repr_png_ = functools.partial(rendered, figure, "png")
    return figure
