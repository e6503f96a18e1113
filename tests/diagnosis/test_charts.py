"""Figures: what they show is what the report says in numbers, and no text lies on another or on data."""

from __future__ import annotations

import io
import itertools
import warnings
from typing import Any

import numpy
import pytest
from IPython.core.formatters import DisplayFormatter

import tinygrad_rnn as tg
from tests.diagnosis import by_hand
from tinygrad_rnn.diagnosis.report import Report

pytest.importorskip("matplotlib")


def _report(name: str, steps: int, last_only: bool = True, **options: Any) -> Report:
    tg.random.seed(0)
    layer = getattr(tg.nn, name)(2, 4, dtype=tg.float64, compiled=False, **options)
    y, _ = layer(tg.tensor(numpy.random.default_rng(0).standard_normal((steps, 3, 2))))
    return tg.flow(tg.sum((y[-1] if last_only else y) ** 2))


def _named(name: str, steps: int = 12) -> Report:
    def cell(x: Any, h: Any) -> Any:
        h = tg.tanh(x + h)
        h.name = name
        return h, h

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it runs step by step
        _, h = tg.scan(cell, tg.tensor(numpy.ones((steps, 2))), tg.tensor(numpy.ones(2), requires_grad=True))
    return tg.flow(tg.sum(h))


def _root() -> Report:
    """NaN comes into the first states: the root's slope is infinite at 0."""
    _, h = tg.scan(
        lambda x, h: (tg.sqrt(h * h) * x, tg.sqrt(h * h) * x),
        tg.tensor(numpy.ones((9, 2, 3))),
        tg.tensor(numpy.eye(2, 3), requires_grad=True),
    )
    return tg.flow(tg.sum(h))


def _times(factor: float, steps: int = 60) -> Report:
    _, h = tg.scan(
        lambda x, h: (h * factor + x, h * factor + x),
        tg.zeros((steps, 1, 2)),
        tg.ones((1, 2)).requires_grad_(),
    )
    return tg.flow(tg.sum(h))


def _drawn(figure: Any) -> Any:
    """The renderer that has drawn it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that did not fit, a glyph that is missing
        canvas.draw()
    return canvas.get_renderer()


def _texts(figure: Any) -> list[Any]:
    """All that is to be read, but what stands at ticks outside of the axis."""
    from matplotlib.text import Text

    hidden = set()
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted((low, high))
            hidden |= {
                text
                for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
                if not (low - 1e-9 <= tick.get_loc() <= high + 1e-9)
                for text in (tick.label1, tick.label2)
            }
        if not axes.get_visible() or not axes.axison:
            hidden |= {text for axis in (axes.xaxis, axes.yaxis) for text in axis.findobj(Text)}
    found = figure.findobj(lambda x: isinstance(x, Text) and x.get_visible() and x.get_text().strip())
    return [text for text in dict.fromkeys(found) if text not in hidden]


def _layer_norm() -> Report:
    """Its ways have many operations."""
    tg.random.seed(0)
    layer = tg.nn.Recurrent(tg.nn.LayerNormLSTMCell(2, 4))
    y, _ = layer(tg.tensor(numpy.random.default_rng(0).standard_normal((9, 3, 2)).astype("float32")))
    return tg.flow(tg.sum(y[-1] ** 2))


FIGURES = {
    "five steps": lambda: _report("LSTM", 5),
    "two layers both ways": lambda: _report("LSTM", 100, False, num_layers=2, bidirectional=True),
    "1,000 steps": lambda: _times(0.999, 1000),
    "forty letters": lambda: _named("a_name_of_forty_letters_and_no_letter_more"),
    "not finite": _root,
    "exploding": lambda: _times(9.0),
    "nothing changes": lambda: _times(1.0),
    "layer norm": _layer_norm,
}


@pytest.mark.parametrize("what", FIGURES)
def test_no_text_lies_on_another_or_on_data(what: str) -> None:
    report = FIGURES[what]()
    figures = [report.heatmap(), report.curve(), report.ways()]
    if what != "not finite":
        figures.append(report.spectrum())
    for figure in figures:
        renderer = _drawn(figure)
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in _texts(figure)]
        assert len(boxes) > 4
        for (one, a), (other, b) in itertools.combinations(boxes, 2):
            apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
            assert apart, f"{one!r} lies on {other!r}"
        for text, box in boxes:
            assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, f"{text!r} is cut off"
            assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, f"{text!r} is cut off"
        for legend in [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]:
            box = legend.get_window_extent(renderer)
            assert not any(box.padded(-1).overlaps(axes.bbox) for axes in figure.axes if axes.axison)


def test_the_heat_map_shows_each_residual_and_what_is_left() -> None:
    report = _report("LSTM", 30, False, num_layers=2, bidirectional=True)
    above, below, _bar = report.heatmap().axes
    groups = [(kind, track) for kind in ("states", "gates") for track in report.tracks]
    names = [label.get_text() for label in below.get_yticklabels()]
    assert names == [name for kind, track in groups for name in getattr(track, kind)]
    assert names[:8] == ["h", "c"] * 4
    assert [text.get_text() for text in below.texts] == [
        f"{track.name}: {'states' if kind == 'states' else 'gates and other values'}"
        for kind, track in groups
    ]
    for image, (kind, track) in zip(below.images, groups, strict=True):
        expected = numpy.array([*getattr(track, kind).values()]) / track.start
        expected = expected[:, ::-1] if track.chain.reversed else expected
        shown = image.get_array()
        numpy.testing.assert_allclose(shown[expected > 0], numpy.log10(expected[expected > 0]), rtol=1e-12)
        assert (shown[expected == 0] < image.norm.vmin).all()
    lines = [line for line in above.lines if line.get_label().startswith("layer")]
    for line, track in zip(lines, report.tracks, strict=True):
        back = range(30) if track.chain.reversed else range(29, -1, -1)
        numpy.testing.assert_array_equal(line.get_xdata(), back)
        numpy.testing.assert_array_equal(line.get_ydata(), track.remaining)
    assert above.get_xlim() == below.get_xlim() == (-0.5, 29.5)


def test_where_one_percent_still_arrives_is_marked() -> None:
    _above, below, _bar = _times(0.5, 30).heatmap().axes
    (white, mark) = below.collections
    ((x0, _), (x1, _)) = mark.get_segments()[0]
    # ½⁶ > 1 % > ½⁷: six steps back from step 29
    assert x0 == x1 == 29 - 6 - 0.5
    assert len(white.get_segments()) == 1
    assert not any(collection.get_segments() for collection in _times(1.0).heatmap().axes[1].collections)


@pytest.mark.parametrize(("factor", "low", "high"), [(1e-9, -12, 0), (9.0, -2.48, 10), (1.0, -2.48, 0)])
def test_the_scale_is_the_range_present_up_to_twelve_decades(factor: float, low: float, high: float) -> None:
    image = _times(factor).heatmap().axes[1].images[0]
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx((low, high), abs=0.01)


def test_of_many_steps_the_columns_keep_what_is_largest_and_what_is_white_is_left_out() -> None:
    slow = _times(0.999, 2500)
    (image,) = slow.heatmap().axes[1].images
    left = slow.track().states["h"] / slow.track().start
    expected = [numpy.log10(left[i : i + 3].max()) for i in range(0, 2500, 3)]
    numpy.testing.assert_allclose(image.get_array(), [expected], rtol=1e-12)
    axes = _times(0.5, 1000).heatmap().axes[1]
    assert 950 < axes.get_xlim()[0] < axes.get_xlim()[1] == 999.5
    assert "of 1,000 steps" in axes.get_xlabel()


def test_what_is_not_finite_has_a_colour_and_a_word() -> None:
    figure = _root().heatmap()
    assert figure.axes[1].images[0].get_array().mask.any()
    assert "NaN or infinite" in [text.get_text() for text in figure.legends[0].get_texts()]
    with pytest.raises(tg.FlowError, match="not finite"):
        _root().spectrum()


@pytest.mark.parametrize("method", ["curve", "ways"])
def test_a_notebook_shows_figures_though_nothing_was_set_up(method: str) -> None:
    content, _ = DisplayFormatter().format(getattr(_times(0.5, 5), method)())
    assert content["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_jacobians_of_a_step(name: str, rng: numpy.random.Generator) -> None:
    xs = rng.standard_normal((6, 3, 2))
    layer = getattr(tg.nn, name)(2, 4, dtype=tg.float64)
    track = tg.flow(tg.sum(layer(tg.tensor(xs))[0] ** 2)).track()
    for sample in range(3):
        expected = by_hand.jacobians(layer, xs[:, sample])
        for step in (1, 3, -1):
            found = track.step_jacobian(step, sample)
            numpy.testing.assert_allclose(found, expected[step], rtol=1e-9, atol=1e-15)
            values = numpy.sort_complex(numpy.linalg.eigvals(found))
            numpy.testing.assert_allclose(
                values, numpy.sort_complex(numpy.linalg.eigvals(expected[step])), rtol=1e-9, atol=1e-12
            )
    with pytest.raises(tg.FlowError, match="no sample 3"):
        track.step_jacobian(1, 3)
    with pytest.raises(tg.FlowError, match="before step 0"):
        track.step_jacobian(0)


def test_the_spectrum_shows_the_eigenvalues() -> None:
    report = _report("LSTM", 9)
    (axes,) = report.spectrum([2, -1], sample=1).axes
    lines = [line for line in axes.lines if line.get_label()[0] != "_"]
    for step, line in zip((2, 8), lines, strict=True):
        values = numpy.linalg.eigvals(report.track().step_jacobian(step, 1))
        numpy.testing.assert_array_equal(line.get_xdata() + 1j * line.get_ydata(), values)
        assert line.get_label().startswith(f"{step}: {abs(values).max():.3g}, ×")
    assert axes.get_legend().get_texts()[0].get_text() == lines[0].get_label()
    assert any("is sample 1" in text.get_text() for text in axes.texts)
    for steps, words in (([], "one at least"), (9, "no step 9")):
        with pytest.raises(tg.FlowError, match=words):
            report.spectrum(steps)


def test_ways_say_how_much_of_what_goes_aside_is_not_drawn() -> None:
    parameters = [tg.tensor(1.0, requires_grad=True, name=f"p{i}") for i in range(9)]

    def cell(x: Any, h: Any) -> Any:
        for p in parameters:
            h = h * p
        return h, h

    _, h = tg.scan(cell, tg.zeros((4, 1)), tg.ones((2,)).requires_grad_())
    (axes,) = tg.flow(tg.sum(h)).ways(-1).axes
    said = [text.get_text() for text in axes.texts]
    assert sum(text.startswith("p") and "\n" in text for text in said) == 6
    assert any(text.endswith("; 3 more get less") for text in said)


def test_ways_are_as_wide_as_what_they_carry() -> None:
    report = _report("LSTM", 9)
    paths = report.track().paths(5)
    (axes,) = report.ways(5).axes
    said = [text.get_text() for text in axes.texts]
    assert report.ways(5).get_suptitle() == "What becomes of the residual from step 5 back to 4"
    assert {"h[5]", "c[5]", "h[4]", "c[4]", "weight_hh", "f"} <= set(said)
    heights = [numpy.ptp(bar.get_paths()[0].vertices[:, 1]) for bar in axes.collections]
    colors = [tuple(bar.get_facecolor()[0][:3]) for bar in axes.collections]
    bars = sorted(height for height, color in zip(heights, colors, strict=True) if max(color) < 0.2)
    carried = {end: sum(path.carried for path in paths.paths[:8] if path.end == end) for end in ("h", "c")}
    received = {path.start: path.received for path in paths}
    sizes = sorted([*carried.values(), *received.values()])
    numpy.testing.assert_allclose(numpy.array(bars) / bars[-1], numpy.array(sizes) / sizes[-1], rtol=1e-6)
    assert "1 more way carries" in "".join(said)
    # by default a step that is still felt, but not the last
    assert report.ways().get_suptitle() != "What becomes of the residual from step 8 back to 7"
    with pytest.raises(tg.FlowError, match="no step 9"):
        report.ways(9)
    with pytest.raises(tg.FlowError, match="no chain 'x'"):
        report.ways(chain="x")


@pytest.mark.parametrize("name", ["\ud800\n", "$\\x$<b>&", "$a_{b"])
def test_whatever_things_are_called_figures_show_it(name: str) -> None:
    report = _named(name, 4)
    for figure in (report.heatmap(), report.ways()):
        said = [text.get_text() for text in _texts(figure)]
        assert any(text.startswith((name[:2], "\ufffd")) for text in said)
        _drawn(figure)


def test_names_in_any_script_are_drawn_without_a_warning() -> None:
    history = tg.train.History([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = tg.train.dashboard({"循环 $x$": history, "שלום \\alpha": history})
        figure.savefig(io.BytesIO())
