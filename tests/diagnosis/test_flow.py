"""Residuals by step and by path, against straight NumPy and closed forms."""

from __future__ import annotations

import gc
import io
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests.diagnosis import by_hand
from tinygrad_rnn.diagnosis.paths import CASES

LAYERS = ("LSTM", "PeepholeLSTM", "GRU", "RNN")
T, B, IN, H = 9, 2, 3, 4


def _layer(name: str, **options: Any) -> Any:
    return getattr(tg.nn, name)(IN, H, dtype=tg.float64, **options)


def _input(rng: numpy.random.Generator, batch: int = B) -> numpy.ndarray:
    return rng.standard_normal((T, batch, IN))


def _close(actual: Any, expected: Any) -> None:
    numpy.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-300)


@pytest.mark.both_backends
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_the_residual_of_every_step_is_a_product_of_jacobians(
    name: str, compiled: bool | str, everywhere: bool, rng: numpy.random.Generator
) -> None:
    layer, xs = _layer(name, compiled=compiled), _input(rng)
    weights = rng.standard_normal((B, H))
    y, _ = layer(tg.tensor(xs))
    losses = y * tg.tensor(weights)
    track = tg.flow(tg.sum(losses if everywhere else losses[-1])).track()
    # the followed residual is that of the last step, whatever earlier steps add to the loss
    at = {state: [] for state in track.states}
    parts = []
    for sample in range(B):
        jacobians = by_hand.jacobians(layer, xs[:, sample])
        g = numpy.zeros(len(jacobians[0]))
        g[:H] = weights[sample]
        rows = [g]
        for jacobian in jacobians[:0:-1]:
            rows.append(rows[-1] @ jacobian)
        parts.append(rows)
    residuals = numpy.array(parts)  # sample, steps back, state
    norms = numpy.linalg.norm(residuals, axis=(0, 2))
    _close(track.remaining, norms / norms[0])
    _close(track.received[::-1], norms)
    _close(track.gains[:0:-1], norms[1:] / norms[:-1])
    for number, state in enumerate(at):
        _close(
            track.states[state][::-1],
            numpy.linalg.norm(residuals[:, :, number * H : (number + 1) * H], axis=(0, 2)),
        )


@pytest.mark.both_backends
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("of", [None, "all"])
def test_paths_telescope_and_add_up_to_the_whole(name: str, of: Any, rng: numpy.random.Generator) -> None:
    y, _ = _layer(name)(tg.tensor(_input(rng)))
    track = tg.flow(tg.sum(y * y), start=of).track()
    for step in range(1, T):
        paths = track.paths(step)
        assert len(paths) == paths.count
        assert not paths.rest
        totals: dict[Any, Any] = {}
        for path in paths:
            _close(numpy.prod([hop.gain for hop in path.hops]), path.gain)
            _close(numpy.prod([path.by_case[case] for case in CASES]), path.gain)
            _close(path.gain * path.received, path.carried)
            totals[path.target] = totals.get(path.target, 0) + path.contribution
        assert [p.carried for p in paths] == sorted((p.carried for p in paths), reverse=True)
        backend = track.chain.entries[0][0].backend
        whole = {key: backend.to_host(r) for key, r in track.sent(step).items()}
        assert totals.keys() == whole.keys()
        for key, total in totals.items():
            numpy.testing.assert_allclose(backend.to_host(total), whole[key], rtol=1e-9, atol=1e-15)


def test_the_paths_of_an_lstm_are_named_by_its_gates(rng: numpy.random.Generator) -> None:
    y, _ = _layer("LSTM")(tg.tensor(_input(rng)))
    track = tg.flow(tg.sum(y)).track()
    assert track.chain.states == ["h", "c"]
    assert {path.name for path in track.paths(3)} == {
        "c directly", "c → h by way of f", "c → h by way of i", "c → h by way of g", "h by way of o",
        ("h → c by way of tanh(c)"),
        "h by way of tanh(c), f", "h by way of tanh(c), i", "h by way of tanh(c), g",
    }  # fmt: skip


def test_a_path_carries_what_numpy_says(rng: numpy.random.Generator) -> None:
    layer, xs = _layer("LSTM"), _input(rng, batch=1)
    y, _ = layer(tg.tensor(xs))
    report = tg.flow(tg.sum(y[-1]))
    cell = layer.layers[0][0].cell
    steps = by_hand.lstm_states(cell, xs[:, 0], numpy.zeros(H), numpy.zeros(H))
    last = steps[-1]
    through_c = last["o"] * (1 - numpy.tanh(last["c"]) ** 2)
    paths = {path.name: path for path in report.track().paths(-1)}
    _close(paths["h → c by way of tanh(c)"].carried, numpy.linalg.norm(through_c * last["f"]))
    by_f = (through_c * last["c_before"] * last["f"] * (1 - last["f"])) @ numpy.split(
        cell.weight_hh.numpy(), 4
    )[1]
    _close(paths["h by way of tanh(c), f"].carried, numpy.linalg.norm(by_f))
    assert paths["h by way of tanh(c), f"].received == pytest.approx(numpy.sqrt(H), rel=1e-12)


# -- closed forms --------------------------------------------------------------------------------------------


def test_a_scalar_linear_network_decays_as_powers_of_its_weight() -> None:
    w = tg.tensor(0.9, dtype=tg.float64, requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = w * h + x
        return h, h

    y, _ = tg.scan(cell, tg.tensor(numpy.ones((101, 1))), tg.tensor(numpy.zeros(1)))
    report = tg.flow(tg.sum(y))
    _close(report.track().remaining, 0.9 ** numpy.arange(101))
    verdict = report.verdict()
    # 0.9⁴³ = 0.0108, 0.9⁴⁴ = 0.0097
    assert (verdict.kind, verdict.horizon, verdict.steps) == ("vanishing", 43, 100)
    assert verdict.rate == pytest.approx(0.9, rel=1e-12)
    assert str(verdict) == "vanishing: 1 % of the residual reaches 43 of 100 steps back (×0.9 a step)"


@pytest.mark.parametrize(("factor", "kind"), [(1.1, "exploding"), (1.0, "healthy"), (0.95, "vanishing")])
def test_an_orthogonal_matrix_decays_as_powers_of_its_factor(
    factor: float, kind: str, rng: numpy.random.Generator
) -> None:
    q = tg.tensor(factor * numpy.linalg.qr(rng.standard_normal((5, 5)))[0], requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = h @ q + x
        return h, h

    y, _ = tg.scan(cell, tg.tensor(rng.standard_normal((101, 2, 5))), tg.tensor(numpy.zeros((2, 5))))
    report = tg.flow(tg.sum(y[-1] * tg.tensor(rng.standard_normal((2, 5)))))
    _close(report.track().remaining, factor ** numpy.arange(101))
    assert report.verdict().kind == kind


# -- whatever leads to the loss ------------------------------------------------------------------------------


def test_each_layer_and_direction_is_a_chain(rng: numpy.random.Generator) -> None:
    y, _ = _layer("GRU", num_layers=2, bidirectional=True)(tg.tensor(_input(rng)))
    report = tg.flow(tg.sum(y))
    assert [track.name for track in report.tracks] == [
        "layer 1",
        "layer 1 reversed",
        "layer 2",
        "layer 2 reversed",
    ]
    assert [track.chain.labels[track.last or 0] for track in report.tracks] == [T - 1, 0, T - 1, 0]
    assert all(len(track.remaining) == T for track in report.tracks)
    with pytest.raises(tg.FlowError, match="no chain 'layer 3'"):
        report.track("layer 3")


def test_a_sample_keeps_its_residual_beyond_its_length(rng: numpy.random.Generator) -> None:
    xs = _input(rng)
    layer = _layer("LSTM")
    _, (h, _) = layer(tg.tensor(xs), lengths=[T, 4])
    _, (short, _) = layer(tg.tensor(xs[:4, 1:]))
    track = tg.flow(tg.sum(h[:, 1])).track()
    alone = tg.flow(tg.sum(short)).track()
    assert track.chain.states == ["h", "c"]
    _close(track.remaining[: T - 4], 1)
    _close(track.remaining[T - 4 :], alone.remaining)


def test_a_state_that_waits_crosses_several_steps(rng: numpy.random.Generator) -> None:
    v, w = (tg.tensor(value, dtype=tg.float64, requires_grad=True) for value in (0.6, 0.5))

    def cell(x: Any, state: Any) -> Any:
        h, before = state
        new = v * h + w * before + x  # h[t] = v h[t−1] + w h[t−2] + x
        return new, (new, h)

    first = [tg.tensor(numpy.zeros(2), requires_grad=True) for _ in range(2)]
    y, _ = tg.scan(cell, tg.tensor(rng.standard_normal((9, 2))), tuple(first), compiled=False)
    track = tg.flow(tg.sum(y[-1])).track()
    companion = numpy.array([[0.6, 0.5], [1.0, 0.0]])
    _close(track.remaining, [numpy.linalg.norm(numpy.linalg.matrix_power(companion, k)[0]) for k in range(9)])


def test_following_a_tensor(rng: numpy.random.Generator) -> None:
    w = tg.tensor(0.5, dtype=tg.float64, requires_grad=True)
    h, middle = tg.tensor(numpy.ones(1)), None
    from tinygrad_rnn.tape import scope

    for t in range(6):
        with scope("step", t):
            h = w * h
        middle = h if t == 3 else middle
    report = tg.flow(tg.sum(h), start=middle)
    assert report.track().last == 3
    _close(report.track().remaining, 0.5 ** numpy.arange(4))
    with pytest.raises(tg.FlowError, match="on the tape of the loss"):
        tg.flow(middle, start=h)


def test_no_grad_is_touched_and_the_collector_is_as_before(rng: numpy.random.Generator) -> None:
    layer = _layer("RNN")
    y, _ = layer(tg.tensor(_input(rng)))
    loss = tg.sum(y)
    report = tg.flow(loss)
    report.table()
    assert all(p.grad is None for p in layer.parameters())
    assert gc.isenabled()
    loss.backward()  # the tape is still there
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loss_that_is_the_last_state_itself(compiled: bool) -> None:
    x, h = tg.tensor(numpy.full((3, 1), 0.5)), tg.tensor(numpy.ones(1), requires_grad=True)
    _, state = tg.scan(lambda x, h: (x, x * h), x, h, compiled=compiled)
    _close(tg.flow(state).track().remaining, 0.5 ** numpy.arange(3))


def test_every_operation_is_measured_once(rng: numpy.random.Generator) -> None:
    embedding = tg.nn.Embedding(7, IN, dtype=tg.float64)
    y, _ = _layer("LSTM")(embedding(tg.tensor(rng.integers(0, 7, (T, B)))))
    for of in (None, "all"):
        report = tg.flow(tg.sum(y * y), start=of)
        operations = list(report.operations())
        assert len({op.entry.index for op in operations}) == len(operations) == len(report.tape)
        assert all(
            op.gains[i] == pytest.approx(norm / op.received)
            for op in operations
            for i, norm in op.sent.items()
            if op.received
        )


def test_without_time_steps_operations_are_told(rng: numpy.random.Generator) -> None:
    x = tg.tensor([3.0, 4.0], dtype=tg.float64, requires_grad=True)
    report = tg.flow(tg.sum(x * x))
    (first, second) = report.operations()
    assert (first.symbol, first.received) == ("Σ", 1.0)
    _close(first.sent[0], numpy.sqrt(2))
    _close(second.sent[0], 5.0)
    assert "no time steps" in report.table()
    for call in (report.verdict, report.heatmap, report.curve, report.track):
        with pytest.raises(tg.FlowError, match="time steps"):
            call()


def test_numbers_beyond_the_squares_of_floats(rng: numpy.random.Generator) -> None:
    w = tg.tensor(1e-30, dtype=tg.float64, requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = w * h + x
        return h, h

    y, _ = tg.scan(cell, tg.tensor(numpy.ones((10, 3))), tg.tensor(numpy.zeros(3)))
    _close(tg.flow(tg.sum(y[-1])).track().remaining, 1e-30 ** numpy.arange(10))


@pytest.mark.parametrize(("factor", "seed", "told"), [
    (0.0, 1.0, "vanishing: 1 % of the residual reaches 0 of 7 steps back (×0 a step)"),
    (1e60, 1e-300, "exploding: the residual becomes inf in 6 steps (inf a step)"),
    (0.5, 1.7e308, "exploding: the residual becomes NaN in 1 step (NaN a step)"),
    (1.0, numpy.inf, "exploding: the residual becomes NaN in 1 step (NaN a step)"),
])  # fmt: skip
def test_at_the_ends_of_the_numbers_all_is_told_and_drawn(factor: float, seed: float, told: str) -> None:
    w = tg.tensor(factor, dtype=tg.float64)
    _, h = tg.scan(
        lambda x, h: (w * h, w * h), tg.zeros((8, 2, 3)), tg.tensor(numpy.ones((2, 3)), requires_grad=True)
    )
    report = tg.flow(tg.sum(h) * seed)
    assert str(report.verdict()) == told
    assert told in str(report)
    assert told in report.table()
    pytest.importorskip("matplotlib")
    for figure in (report.heatmap(), report.curve()):
        figure.savefig(io.BytesIO())


def test_steps_that_hand_no_state_on_are_said_to() -> None:
    w = tg.tensor(0.5, dtype=tg.float64, requires_grad=True)
    y, _ = tg.scan(
        lambda x, h: (w * x, w * x), tg.ones((3, 2), dtype=tg.float64), tg.zeros(2, dtype=tg.float64)
    )
    with pytest.raises(tg.FlowError, match="no time steps here hand a state on"):
        tg.flow(tg.sum(y)).verdict()


# -- refusals ------------------------------------------------------------------------------------------------


def test_refusals() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    loss = tg.sum(x * x)
    with pytest.raises(tg.FlowError, match="must be a tensor"):
        tg.flow(3)
    with pytest.raises(tg.FlowError, match="'all' or tensors"):
        tg.flow(loss, start="last")
    with pytest.raises(tg.TapeError, match="nothing was recorded"):
        tg.flow(tg.tensor([1.0]))
    track = tg.flow(tg.sum(tg.scan(lambda x, h: (x * h, x * h), tg.tensor([[2.0]] * 3), x)[1])).track()
    for call in (track.paths, track.sent):
        with pytest.raises(tg.FlowError, match="no step 3: there are 0 to 2"):
            call(3)
    tg.Tape.of(loss).release()
    with pytest.raises(tg.TapeError, match="released"):
        tg.flow(loss)


def test_the_old_names_of_what_to_follow_are_taken_for_one_more_release(rng: numpy.random.Generator) -> None:
    y, _ = _layer("RNN")(tg.tensor(_input(rng)))
    loss = tg.sum(y * y)
    new = [tg.flow(loss, start="all"), tg.flow(loss, states_only=True), tg.flow(loss)]
    old = []
    for name, value in (("of", "all"), ("aside", False), ("aside", True)):
        with pytest.warns(DeprecationWarning, match=f"flow: {name}=.* is called (start|states_only)="):
            old.append(tg.flow(loss, **{name: value}))
    for before, now in zip(old, new, strict=True):
        assert [op.received for op in before.operations()] == [op.received for op in now.operations()]
        assert str(before) == str(now)
    assert len(list(new[1].operations())) < len(list(new[2].operations()))
    with pytest.warns(DeprecationWarning, match="draw: of= is called start= now"):
        picture = tg.draw(loss, "steps", of=loss)
    assert picture.dot == tg.draw(loss, "steps", start=loss).dot
