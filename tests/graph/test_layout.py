"""Our own layout: where boxes stand and how arrows run, and that engines put them there too."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest

import tinygrad_rnn as tg
from tests.graph.browser import lstm_layer
from tests.graph.scenes import (
    BATCH,
    HIDDEN,
    INPUT,
    exact_cases,
    gru_step,
    leaf,
    leaky_run,
    lstm_step,
    named,
    rnn_step,
    tagged,
    unrolled,
)
from tinygrad_rnn.errors import DrawWarning
from tinygrad_rnn.graph import layout
from tinygrad_rnn.graph.layout.levels import _stand
from tinygrad_rnn.graph.layout.ordering import Item
from tinygrad_rnn.tape import scope


def beside_steps():
    """What stands in no step has to stand beside the readout of one."""
    h, losses = leaf("h", 2, 2), []
    for t in (1, 2):
        with scope("step", t):
            h = tg.tanh(h * leaf("w", 2))
            losses.append(tg.sum(tg.exp(h)))
        h = tg.sin(h)
    return losses


def uneven():
    """The second of three steps has an operation more."""
    h = leaf("h[0]", BATCH, HIDDEN)
    weights = leaf("W", INPUT, HIDDEN), leaf("U", HIDDEN, HIDDEN), leaf("b", HIDDEN)
    for t in (1, 2, 3):
        with scope("step", t):
            h = rnn_step(h, t, t - 1, weights)
            h = named(tg.exp(h), f"h[{t}]") if t == 2 else h
    return named(tg.sum(h), "loss")


def nested():
    """Steps within a step, which uses what they give: that runs backwards from block to block."""
    h = leaf("h[0]", 2, 2)
    for t in (1, 2):
        with scope("step", t):
            inner = tg.exp(h)
            for k in (1, 2):
                with scope("step", k):
                    inner = tg.tanh(inner * leaf("w", 2))
            h = inner * 2.0
    return tg.sum(h)


BUILDS = {
    "nested": nested,
    "cases": exact_cases,
    "cell": lstm_step,
    "GRU": gru_step,
    "losses": unrolled,
    "sum of losses": lambda: sum(unrolled(6)),
    "layer": lambda: lstm_layer(6),
    "layers": lambda: tagged(3, num_layers=2, bidirectional=True),
    "beside": beside_steps,
    "uneven": uneven,
}


def scene_of(build, **options):
    return tg.draw(build(), gains=True, max_nodes=1000, view="ops", **options)._scene


def placement_of(scene):
    return scene.placed or layout.placed(scene, None)


def box_of(spot):
    return (
        spot.x - spot.width / 2, spot.y - spot.height / 2, spot.x + spot.width / 2, spot.y + spot.height / 2
    )  # fmt: skip


def frame_of(frame):
    return frame.left, frame.top, frame.right, frame.bottom


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def overlapping(boxes):
    return [pair for pair in itertools.combinations(boxes, 2) if overlap(boxes[pair[0]], boxes[pair[1]])]


@pytest.mark.parametrize("name", BUILDS)
def test_boxes_and_frames_do_not_overlap(name):
    scene = scene_of(BUILDS[name])
    placement = placement_of(scene)
    boxes = {id: box_of(spot) for id, spot in placement.spots.items()}
    boxes |= {sign.id: box_of(sign.spot) for sign in placement.signs}
    frames = {id: frame_of(frame) for id, frame in placement.frames.items()}
    assert set(boxes) >= {box.id for box in scene.boxes}
    assert overlapping(boxes) == overlapping(frames) == []
    for box in scene.boxes:
        inside = {id for id, frame in frames.items() if overlap(boxes[box.id], frame)}
        assert inside == ({box.group} if box.group else set())
    for left, top, right, bottom in [*boxes.values(), *frames.values()]:
        assert left >= 0
        assert top >= 0
        assert right <= placement.width
        assert bottom <= placement.height


@pytest.mark.parametrize("name", BUILDS)
def test_every_arrow_runs_from_the_outline_of_its_source_to_that_of_its_target(name):
    scene = scene_of(BUILDS[name])
    placement = placement_of(scene)
    groups = {box.id: box.group for box in scene.boxes}
    for arrow in scene.arrows:
        road, source, target = (
            placement.roads[arrow.id],
            *(box_of(placement.spots[id]) for id in (arrow.source, arrow.target)),
        )
        begins, ends = placement.cut.get(arrow.id, ("", ""))
        if not begins or ends:
            x, y = road.curve[0]
            assert (source[0] + source[2]) / 2 <= x <= source[2] + 0.01
            assert source[1] <= y <= source[3]
        x, y = (road.rest or road.curve)[-1]
        if not ends or begins:
            assert target[0] - 0.01 <= x <= (target[0] + target[2]) / 2
            assert target[1] <= y <= target[3]
        if groups[arrow.source] == groups[arrow.target] and arrow.id not in placement.cut:
            assert source[2] < target[0]


@pytest.mark.parametrize("name", ["losses", "sum of losses", "layer", "layers"])
def test_every_step_is_the_same_grid_and_its_state_a_level_line(name):
    scene = scene_of(BUILDS[name])
    placement = placement_of(scene)
    kinds = {}
    for group in scene.groups:
        frame = placement.frames[group.id]
        inside = [
            (box.look["shape"], placement.spots[box.id], box) for box in scene.boxes if box.group == group.id
        ]
        straight = {round(spot.y - frame.top, 3) for _, spot, box in inside if box.straight}
        assert len(straight) == 1
        places = tuple(
            (shape, round(spot.x - frame.left, 3), round(spot.y - frame.top, 3))
            for shape, spot, box in inside
            if box.rule
        )
        kinds.setdefault(places, []).append(group.id)
        assert frame.right - frame.left == pytest.approx(
            placement.frames["t1"].right - placement.frames["t1"].left
        )
    assert len(kinds) == 1


def test_a_step_of_other_operations_is_laid_out_for_itself():
    scene = scene_of(uneven)
    frames = [placement_of(scene).frames[group.id] for group in scene.groups]
    one, other, last = (frame.right - frame.left for frame in frames)
    assert one == last != other


@pytest.mark.parametrize("width", [600, 1200, 2400])
def test_rows_are_as_wide_as_asked_and_steps_stand_below_each_other(width):
    placement = placement_of(scene_of(lambda: unrolled(6), width=width))
    assert placement.shown <= width
    frames = list(placement.frames.values())
    lefts = {round(frame.left, 3) for frame in frames}
    rows = {round(frame.top, 3) for frame in frames}
    assert len(lefts) * len(rows) == 6
    assert len(lefts) == {600: 1, 1200: 1, 2400: 3}[width]


def test_an_arrow_to_the_next_row_runs_between_the_rows():
    scene = scene_of(lambda: unrolled(3))
    placement = placement_of(scene)
    above, below = placement.frames["t1"], placement.frames["t2"]
    groups = {box.id: box.group for box in scene.boxes}
    (arrow,) = [a for a in scene.arrows if (groups[a.source], groups[a.target]) == ("t1", "t2")]
    between = [x for x, y in placement.roads[arrow.id].curve if above.bottom < y < below.top]
    assert min(between) < above.left
    assert max(between) > above.right


def test_what_would_run_across_steps_is_cut_off_at_signs():
    scene = scene_of(lambda: sum(unrolled(3)))
    placement = placement_of(scene)
    texts = {sign.id: sign.text for sign in placement.signs}
    ends = [(texts[begins], texts[ends]) for begins, ends in placement.cut.values()]
    assert ends == [("Σ t = 1", "+"), ("Σ t = 2", "+")]


@pytest.mark.parametrize(("steps", "shown"), [(7, 6), (8, 0)])
def test_what_joins_many_steps_is_a_sign_in_each_and_has_signs_of_a_few(steps, shown):
    scene = scene_of(lambda: leaky_run(steps, tg.sum))
    (stack,) = [box.id for box in scene.boxes if box.label == "stack"]
    cut = scene.placed.cut
    assert [arrow.id in cut for arrow in scene.arrows if arrow.target == stack] == [True] * (steps - 1) + [
        False
    ]
    assert all(ends for _, ends in cut.values())
    assert sum(bool(begins) for begins, _ in cut.values()) == shown


def test_steps_are_boxes_in_rows_no_wider_than_asked():
    for options, rows in (({}, 1), ({"width": 500}, 3)):
        scene = tg.draw(leaky_run(), view="steps", **options)._scene
        boxes = {id: box_of(spot) for id, spot in placement_of(scene).spots.items()}
        assert overlapping(boxes) == []
        assert len({top for _, top, _, _ in boxes.values()}) == rows
        assert scene.placed.width <= options.get("width", 1200)


def test_auto_takes_what_fits_a_page():
    losses = unrolled(12)
    with pytest.warns(
        DrawWarning, match=r"drew 12 steps as boxes: 12 steps of every operation are [\d,]+ pixels"
    ):
        assert "<B>t = 1</B>" in tg.draw(losses, gains=True, max_nodes=300).dot
    assert tg.draw(losses, gains=True, max_nodes=300, view="ops").dot.count("cluster_t") == 12
    assert tg.draw(losses, gains=True, max_nodes=300, width=4000).dot.count("cluster_t") == 12


@pytest.mark.parametrize(
    "build", [lambda: scene_of(BUILDS["layer"]), lambda: tg.draw(leaky_run(), view="steps")._scene]
)
def test_engines_put_everything_where_the_text_says(engine, build):
    from tinygrad_rnn.graph import engine as program

    scene = build()
    root = ElementTree.fromstring(program.image(scene.dot, "svg", placed=True))
    svg = "{http://www.w3.org/2000/svg}"
    middles = {}
    for g in root.iter(f"{svg}g"):
        shapes = [
            e.get("points") or e.get("d") or "" for e in g.iter() if e.tag in (f"{svg}polygon", f"{svg}path")
        ]
        if g.get("class", "").startswith("node") and shapes:
            numbers = [float(n) for shape in shapes for n in re.findall(r"-?[\d.]+", shape)]
            xs, ys = numbers[::2], numbers[1::2]
            middles[g.get("id")] = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    spots = scene.placed.spots
    shared = [id for id in spots if id in middles]
    moved = {(round(spots[id].x - middles[id][0]), round(spots[id].y - middles[id][1])) for id in shared}
    assert len(shared) > 6
    assert max(x for x, _ in moved) - min(x for x, _ in moved) <= 1
    assert max(y for _, y in moved) - min(y for _, y in moved) <= 1
    assert {arrow.id for arrow in scene.arrows} <= {g.get("id") for g in root.iter(f"{svg}g")}


def test_places_are_the_nearest_to_what_is_wished():
    """Against all places on a grid of halves: the least sum of squares, in order and apart."""
    items = [Item(0, 0.0, height, False, i) for i, height in enumerate((3.0, 1.0, 5.0))]
    wishes, weights = [1.0, 0.0, 2.0], [1.0, 3.0, 0.5]
    _stand(items, wishes, weights, None)
    apart = [(a.height + b.height) / 2 + 7.0 for a, b in itertools.pairwise(items)]
    steps = [k / 2 for k in range(-26, 27)]
    best = min(
        (sum(w * (y - wish) ** 2 for w, y, wish in zip(weights, ys, wishes, strict=True)), ys)
        for ys in itertools.product(steps, steps, steps)
        if all(b - a >= gap for (a, b), gap in zip(itertools.pairwise(ys), apart, strict=True))
    )[1]
    assert [item.y for item in items] == pytest.approx(best, abs=0.5)


def test_a_long_sum_breaks_into_rows():
    placement = placement_of(scene_of(lambda: sum(unrolled(30)), width=800))
    assert placement.width == placement.shown <= 800
