"""What is drawn as one node: transposes with the ``@`` that they feed, and functions made of several
operations."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import BATCH, HIDDEN, INPUT, leaf, named
from tinygrad_rnn.graph.gains import Gains, sums_of
from tinygrad_rnn.graph.network import Network
from tinygrad_rnn.reading.followed import Followed, ones
from tinygrad_rnn.reading.recording import Recording
from tinygrad_rnn.tape import composed, scope


def network(*outputs, starts=(), functions=True):
    recording = Recording(outputs, starts, sys._getframe())
    tape, results, names, chains = recording.tape, recording.results, recording.names, recording.chains
    return Network(tape, results, names, chains, recording.starts, functions)


def followed(found, *starts):
    return Gains(Followed(found.tape, (), ones(starts), alone=False, sums=sums_of(found.functions)))


def symbols(found):
    kinds = {"operation": lambda value: value.row.symbol, "function": lambda value: value.name}
    return [kinds[v.kind](v.value) for v in found.vertices if v.kind in kinds]


def labelled(drawn):
    return [re.sub("<BR/>.*", "", text) for text in re.findall(r' label="?<?(.*?)>?"?, [cf]', drawn.dot)]


def norm(array):
    return float(np.linalg.norm(array.numpy()))


def rough(*shape, seed=0):
    """A parameter of no special values."""
    values = np.random.default_rng(seed).standard_normal(shape)
    return tg.tensor(values, requires_grad=True)


# -- transposes ----------------------------------------------------------------------------------------------

X, W, K = (2, 4), (3, 4), (2, 5, 4)
FOLDED = {
    "W.T": ((X, W), lambda x, w: x @ w.T),
    "both sides": (((4, 2), W), lambda x, w: x.T @ w.T),
    "of an operation": ((X, W), lambda x, w: x @ tg.tanh(w).T),
    "for two products": ((X, W), lambda x, w: (lambda t: x @ t + tg.tanh(x) @ t)(w.T)),
    "swapaxes of stacks": ((K, K), lambda q, k: q @ tg.swapaxes(k, -1, -2)),
    "mT of stacks": ((K, K), lambda q, k: q @ k.mT),
    "matrix_transpose of stacks": ((K, K), lambda q, k: tg.matrix_transpose(q) @ k),
    "by axes": ((K, K), lambda q, k: q @ tg.transpose(k, (0, 2, 1))),
}
KEPT = {
    "used elsewhere": ((X, W), lambda x, w: (lambda t: tg.sum(x @ t) + tg.sum(t))(w.T)),
    "named": ((X, W), lambda x, w: x @ named(w.T, "U")),
    "no product": ((X, W), lambda x, w: w.T + 1.0),
    "other axes": ((K, (5, 4, 2)), lambda q, k: q @ tg.transpose(k, (2, 1, 0))),
    "vector": ((X, (4,)), lambda x, v: tg.tanh(tg.transpose(x)) * 2.0),
    "into a function": ((W, W), lambda a, b: tg.tanh(tg.tensordot(a, b.T, 1))),
}


@pytest.mark.parametrize(("shapes", "build"), FOLDED.values(), ids=FOLDED)
def test_a_transpose_that_only_feeds_a_product_is_part_of_it(shapes, build):
    leaves = [rough(*shape, seed=i) for i, shape in enumerate(shapes)]
    out = build(*leaves)
    found = network(out)
    assert "ᵀ" not in symbols(found)
    assert sum(link.transposed for link in found.links) == sum(
        x.entry is not None and x.entry.row.name == "transpose" for e in found.tape for x in e.inputs
    )
    gains = followed(found, out)
    for x, gradient in zip(leaves, tg.gradients(tg.sum(out), leaves), strict=True):
        sent = [link for link in found.links if link.source.value is x]
        if len(sent) == 1:  # several parts add up to it
            part = gains.part(sent[0].target.value, sent[0].operand)
            assert part.size == pytest.approx(norm(gradient), rel=1e-12)
    assert str(tg.draw(out)).startswith(f"graph of {len(found.tape)} operations")


@pytest.mark.parametrize(("shapes", "build"), KEPT.values(), ids=KEPT)
def test_a_transpose_that_something_else_asks_for_is_drawn(shapes, build):
    out = build(*(rough(*shape, seed=i) for i, shape in enumerate(shapes)))
    assert "ᵀ" in symbols(network(out))


def test_a_transpose_that_is_a_result_or_where_residuals_start_is_drawn():
    w = leaf("W", 3, 4)
    product = [leaf("x", 2, 4) @ w.T]  # a variable of its own would be a name
    turned = [product[0].entry.inputs[1]]
    assert symbols(network(*product)) == ["@"]
    assert symbols(network(*product, *turned)) == ["ᵀ", "@"]
    assert symbols(network(*product, starts=turned)) == ["ᵀ", "@"]


def test_what_is_taken_transposed_says_so():
    w, x = leaf("W", 4, 4), leaf("x", 2, 4)
    drawn = tg.draw(x @ w.T)
    assert 'label="Wᵀ"' in drawn.dot
    assert "taken transposed by @" in drawn.dot
    twice = tg.draw(x @ w.T @ w, gains=True)
    assert 'label="W"' in twice.dot
    assert re.search(r'-> n1 \[[^\]]*label="×[0-9.]+ · transposed"', twice.dot)
    of_operation = tg.draw(x @ tg.tanh(w).T)
    assert 'label="transposed"' in of_operation.dot


# -- functions -----------------------------------------------------------------------------------------------

CLASSES = [1, 0, 2]
FUNCTIONS = {
    "softmax": tg.softmax,
    "log_softmax": tg.log_softmax,
    "cross_entropy": lambda x: tg.cross_entropy(x, CLASSES),
    "mse_loss": lambda x: tg.mse_loss(x, tg.ones((3, 4))),
    "huber_loss": lambda x: tg.huber_loss(x, tg.ones((3, 4)), reduction="sum"),
    "bce_with_logits": lambda x: tg.bce_with_logits(x, tg.ones((3, 4)), reduction="none"),
    "mean": lambda x: tg.mean(x, 0),
    "var": lambda x: tg.var(x, 1),
    "std": tg.std,
    "silu": tg.silu,
    "gelu": tg.gelu,
    "logsumexp": lambda x: tg.logsumexp(x, axis=1),
    "cumprod": lambda x: tg.cumprod(x, 1),
    "layer_norm": lambda x: tg.nn.LayerNorm(4, dtype="float64")(x),
}


@pytest.mark.both_backends
@pytest.mark.parametrize(("name", "function"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_the_gain_of_a_function_is_that_of_its_derivative(name, function):
    before = rough(3, 4) * 2.0
    after = function(before)
    loss = tg.sum(after * rough(*after.shape, seed=1).detach())
    found = network(loss)
    (vertex,) = (v for v in found.vertices if v.kind == "function")
    assert vertex.value.name == name
    gains = followed(found, loss)
    sent, came = tg.gradients(loss, [before, after])
    assert gains.arrived(vertex.value) == pytest.approx(norm(came), rel=1e-12)
    links = [link for link in found.links if link.target is vertex]
    (link,) = (link for link in links if link.source.value is before.entry)
    part = gains.part(vertex.value, link.operand)
    assert part.size == pytest.approx(norm(sent), rel=1e-12)
    assert part.gain == pytest.approx(norm(sent) / norm(came), rel=1e-12)
    assert symbols(network(loss, functions=False)) == [entry.row.symbol for entry in found.tape]


def loss_of(x):
    """A function of the user's own, which no picture knows of."""
    return tg.cross_entropy(tg.tanh(x) @ leaf("W", 4, 3), CLASSES) + tg.mean(x * x)


def test_functions_inside_of_others_are_part_of_these():
    loss = loss_of(leaf("x", 3, 4))
    assert symbols(network(loss)) == ["tanh", "@", "cross_entropy", "×", "mean", "+"]
    short, long = tg.draw(loss), tg.draw(loss, view="ops")
    assert str(short) == str(long)
    assert {"cross_entropy", "mean"} <= set(labelled(short))
    assert not {"cross_entropy", "mean"} & set(labelled(long))
    assert "function of several operations" in short.dot
    assert "function of several operations" not in long.dot


def test_a_function_that_is_all_there_is_is_drawn_operation_by_operation():
    x = leaf("x", 3, 4)
    assert symbols(network(tg.cross_entropy(x, CLASSES))).count("exp") == 1
    weights = tg.softmax(x)
    assert tg.draw(weights).dot == tg.draw(weights, view="ops").dot


def test_what_a_function_is_given_is_drawn_and_what_it_makes_is_not():
    weight, logits = tg.tensor([1.0, 2.0, 0.5]), leaf("x", 3, 4) @ leaf("W", 4, 3)
    targets = leaf("targets", 3, 3, grad=False)
    drawn = network(tg.mse_loss(logits, targets))
    assert [v.name for v in drawn.vertices if v.kind == "input"] == ["targets"]
    drawn = network(tg.cross_entropy(logits, CLASSES, weight=weight))
    assert [v.kind for v in drawn.vertices] == ["parameter", "parameter", "operation", "function", "loss"]


def test_where_residuals_start_is_drawn():
    logits = tg.tanh(leaf("x", 3, 4))
    loss = tg.cross_entropy(logits, CLASSES)
    within = next(entry for entry in tg.Tape.of(loss) if entry.row.name == "exp").results()[0]
    assert "cross_entropy" in symbols(network(loss, starts=[loss]))
    assert "exp" in symbols(network(loss, starts=[within]))
    assert 'label="within = exp"' in tg.draw(loss, gains=True, start=within).dot


@composed
def both(x):
    y = tg.exp(x)
    return y, y * y


@composed
def apart(x):
    return tg.exp(x) * 2.0, tg.tanh(x) * 2.0


def test_a_function_whose_result_it_uses_itself_is_not_folded():
    x = leaf("x", 3) * 1.0
    assert symbols(network(*both(x))) == ["×", "exp", "×"]
    assert symbols(network(tg.sum(both(x)[1]))) == ["×", "both", "Σ"]


def test_a_function_of_several_results():
    x = rough(3) * 1.0
    first, second = apart(x)
    loss = tg.sum(first + second * 3.0)
    found = network(loss)
    assert symbols(found) == ["×", "apart", "×", "+", "Σ"]
    (function,) = found.functions
    gains = followed(found, loss)
    sent = [norm(gradient) for gradient in tg.gradients(loss, [x, first, second])]
    assert gains.arrived(function) == pytest.approx(np.hypot(*sent[1:]), rel=1e-12)
    assert gains.part(function, 0).size == pytest.approx(sent[0], rel=1e-12)


def test_residuals_that_are_not_finite_are_marked_at_functions_too():
    x = tg.tensor([[np.inf, 1.0]], requires_grad=True)
    with np.errstate(all="ignore"):
        sent = tg.draw(tg.sum(tg.softmax(x * 1.0)), gains=True)
        came = tg.draw(tg.sum(tg.sqrt(tg.softmax(leaf("x", 2, 2) * 1.0) * 0.0)), gains=True)
    (edge,) = re.findall(r"n0 -> f1 \[.*", sent.dot)
    assert 'color="#882255"' in edge
    assert 'label="NaN"' in edge
    (node,) = re.findall(r"  f1 \[.*", came.dot)
    assert 'color="#882255"' in node


class Normed(tg.nn.Module):
    def __init__(self):
        self.U = tg.nn.Parameter(np.eye(HIDDEN) / 2)
        self.norm = tg.nn.LayerNorm(HIDDEN, dtype="float64")

    def __call__(self, x, h):
        h = tg.tanh(self.norm(x + h @ self.U.T))
        return tg.softmax(h), h


@pytest.mark.parametrize("compiled", [True, False])
def test_functions_inside_of_steps(compiled):
    x, h = rough(3, BATCH, HIDDEN), rough(BATCH, HIDDEN, seed=1)
    y, _ = tg.scan(Normed(), x, h, compiled=compiled)
    found = network(tg.sum(y * y))
    assert symbols(found).count("layer_norm") == symbols(found).count("softmax") == 3
    assert {v.step for v in found.vertices if v.kind == "function"} == {1, 2, 3}
    assert found.path
    drawn = tg.draw(tg.sum(y * y), gains=True)
    assert "state path: @ + layer_norm tanh" in drawn.dot
    assert drawn.dot.count("12 operations") >= 3


def test_only_what_comes_into_the_last_step_is_followed_at_functions_too():
    x, start, cell = rough(2, BATCH, HIDDEN), rough(BATCH, HIDDEN, seed=1), Normed()
    losses = []
    h = start
    for t in range(2):
        y, h = cell(x[t], h)
        losses.append(tg.sum(y * y))
    last = tg.draw(losses, gains=True).dot  # follows the last loss
    both = tg.draw(losses[0] + losses[1], gains=True).dot  # of both what comes into the last step
    sizes = [re.findall(r'layer_norm \(.*?residual: (\S+)"', dot) for dot in (last, both)]
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) == 2


def test_a_function_opens_in_the_page():
    loss = loss_of(leaf("x", 3, 4))
    scene = tg.draw(loss, gains=True)._scene
    opened = {box.label: scene.inside[box.id] for box in scene.boxes if box.id in scene.inside}
    assert set(opened) == {"cross_entropy", "mean"}
    assert [box.label for box in opened["mean"].boxes if box.rule] == ["Σ", "×"]
    assert opened["mean"].notes[0] == "all of its operations"
    outer = next(box for box in scene.boxes if box.label == "mean")
    assert ("made of", "2 operations: 1 addition, 1 weighting") in outer.facts
    assert dict(outer.facts)["gain to ×"].startswith("×")
    tg.draw(loss).html()


def test_names_stand_at_functions():
    weights = named(tg.softmax(leaf("x", 3, 4) * 2.0), "weights")
    assert "weights = softmax" in labelled(tg.draw(tg.sum(weights * weights)))


def test_a_large_graph_fits_where_its_functions_are_folded():
    x = leaf("x", 3, 4)
    for _ in range(10):
        x = tg.softmax(x)
    assert str(tg.draw(tg.sum(x), max_nodes=15)).startswith("graph of 51 operations")
    with pytest.raises(tg.DrawError, match="51 operations are more than max_nodes=15"):
        tg.draw(tg.sum(x), max_nodes=15, view="ops")


# -- recording -----------------------------------------------------------------------------------------------


def scopes(y):
    return [entry.scope and (entry.scope.kind, entry.scope.label) for entry in tg.Tape.of(y)]


def test_a_call_is_a_scope_of_its_own():
    x = leaf("x", 3)
    assert scopes(tg.silu(x) * 1.0) == [("function", "silu"), ("function", "silu"), None]
    assert scopes(tg.mse_loss(target=np.ones(3), prediction=x))[0] == ("function", "mse_loss")
    assert set(scopes(tg.std(x))) == {("function", "std")}  # and not var


def test_a_call_that_fails_leaves_no_scope():
    x = leaf("x", 3)
    with pytest.raises(tg.ShapeError):
        tg.mse_loss(x, np.ones(2))
    assert scopes(x * 1.0) == [None]


def test_where_nothing_is_recorded_there_is_no_scope():
    seen = []

    @composed
    def look(x):
        seen.append((x * 1.0).entry)
        return x

    look(leaf("x", 3, grad=False))
    with tg.no_grad():
        look(leaf("x", 3))
    look(leaf("x", 3))
    assert [entry and entry.scope.label.rpartition(".")[2] for entry in seen] == [None, None, "look"]


def test_modules_say_which_shapes_go_between_them():
    model = tg.nn.Sequential(tg.nn.Linear(INPUT, HIDDEN), tg.nn.Recurrent(tg.nn.GRUCell(HIDDEN, HIDDEN)))
    y, _ = model(leaf("x", 5, BATCH, INPUT).astype("float32"))
    drawn = tg.draw(tg.sum(y), view="cells", gains=False)
    assert f'label="(5, {BATCH}, {HIDDEN})"' in drawn.dot


def test_a_function_that_many_steps_use_is_drawn_by_a_sign_in_the_far_ones():
    scales, h = tg.softmax(leaf("w", HIDDEN) * 2.0), leaf("h[0]", HIDDEN)
    for t in range(1, 9):
        with scope("step", t):
            h = tg.tanh(h * scales)
    drawn = tg.draw(tg.sum(h), gains=True)
    assert len(re.findall('^  j.*label="scales"', drawn.dot, re.MULTILINE)) == 7
    assert drawn.dot.count("label=<scales = softmax") == 1


@pytest.mark.parametrize(
    "build",
    [
        lambda x, w: tg.checkpoint(lambda x: tg.softmax(tg.tanh(x) @ w.T))(x),
        lambda x, w: tg.cross_entropy(tg.tile(x, (512, 8)) @ tg.tile(w, (2, 8)).T, [0, 5] * 512),
    ],
    ids=["checkpoint", "machine code for all of it"],
)
def test_functions_are_found_where_a_tape_has_to_be_opened(build):
    found = network(build(leaf("x", 2, 4), leaf("w", 4, 4)) * 1.0)
    assert {"softmax", "cross_entropy"} & set(symbols(found))
    assert "exp" not in symbols(found)
    assert "ᵀ" not in symbols(found)
