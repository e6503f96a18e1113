"""What a type checker knows of the public face: checked by ``tests/test_types.py``, never run."""

from typing import NamedTuple

import numpy as np
from typing_extensions import assert_type

import tinygrad_rnn as tg

# -- tensors and functions of them ---------------------------------------------------------------------------

x = tg.tensor([1.0, 2.0], requires_grad=True)
array = np.ones(2)
assert_type(x, tg.Tensor)
assert_type(tg.asarray([x, 1.0]), tg.Tensor)
assert_type(tg.array(array, dtype=np.float32), tg.Tensor)
assert_type(tg.tanh(x), tg.Tensor)
assert_type(tg.tanh(x=1.0), tg.Tensor)
assert_type(tg.maximum(x, array), tg.Tensor)
assert_type(tg.absolute(-3), tg.Tensor)
assert_type(tg.reciprocal(2.0), tg.Tensor)
assert_type(tg.sum([x, [1.0, x[0]]], axis=0), tg.Tensor)
assert_type(tg.where(x > 0, x, 0.0), tg.Tensor)
assert_type(tg.concatenate([x, array], axis=0), tg.Tensor)
assert_type(tg.split(x, 2), tuple[tg.Tensor, ...])
assert_type(tg.einsum("i,i->", x, x), tg.Tensor)
assert_type(tg.softmax(x), tg.Tensor)
assert_type(tg.cross_entropy(x, 0), tg.Tensor)
assert_type(tg.zeros((3, 4), "float64"), tg.Tensor)
assert_type(tg.linalg.inv(tg.eye(3)), tg.Tensor)
assert_type(tg.allclose(x, array), bool)
assert_type(tg.default_dtype, np.dtype)
assert_type(tg.random.seed(0), None)

assert_type(x @ x + 2 * x - array / x, tg.Tensor)
assert_type(2**x // 3 % x, tg.Tensor)
assert_type(x == 1.0, tg.Tensor)
assert_type(x != None, bool)  # noqa: E711
assert_type((x > 0) & ~(x < 1), tg.Tensor)
assert_type(x[0], tg.Tensor)
assert_type(x[..., None, 1:], tg.Tensor)
assert_type(x[x > 0], tg.Tensor)
assert_type(x[[0, 1]], tg.Tensor)
assert_type([row for row in x], list[tg.Tensor])  # noqa: C416
assert_type(x.grad, tg.Tensor | None)
assert_type(x.shape, tuple[int, ...])
assert_type(x.data, np.ndarray)
assert_type(x.numpy(), np.ndarray)
assert_type(x.backward(), None)
assert_type(x.sum(axis=0, keepdims=True), tg.Tensor)
assert_type(x.mean(-1).std().round(2), tg.Tensor)
assert_type(x.reshape(2, 1).reshape((1, 2)).transpose(1, 0).T, tg.Tensor)
assert_type(x.astype("float64").to("numpy").detach(), tg.Tensor)
assert_type(float(x.max()), float)
x.data = [0.5, 1.5]
x += 1.0
assert_type(x, tg.Tensor)

# -- derivatives ---------------------------------------------------------------------------------------------


def loss(w: tg.Tensor, scale: float = 1.0) -> tg.Tensor:
    return tg.sum(w**2) * scale


def of_many(weights: dict[str, tg.Tensor], x: tg.Tensor) -> tg.Tensor:
    return loss(weights["w"]) + loss(x)


assert_type(tg.grad(loss)(x, scale=2.0), tg.Tensor)
assert_type(tg.grad(loss)(array), tg.Tensor)
assert_type(tg.grad(of_many)({"w": x}, x), dict[str, tg.Tensor])
assert_type(tg.grad(lambda w: tg.sum(w * w))(x), tg.Tensor)
assert_type(tg.grad(tg.grad(lambda w: tg.sum(w * w)))(x), tg.Tensor)
assert_type(tg.value_and_grad(loss)(x), tuple[tg.Tensor, tg.Tensor])
assert_type(tg.value_and_grad(of_many)({"w": x}, x), tuple[tg.Tensor, dict[str, tg.Tensor]])
assert_type(tg.jacobian(tg.tanh)(x), tg.Tensor)
assert_type(tg.jacobian(of_many, argnums=1)({"w": x}, x), tg.Tensor)
assert_type(tg.hessian(lambda w: tg.sum(w**3))(x), tg.Tensor)
assert_type(tg.hvp(loss, x, x), tg.Tensor)
assert_type(tg.jvp(tg.tanh, x, x), tuple[tg.Tensor, tg.Tensor])
assert_type(tg.vjp(tg.tanh, x)[1](x), tuple[tg.Tensor, ...])
assert_type(tg.gradients(loss(x), [x, x]), list[tg.Tensor])
assert_type(tg.checkpoint(loss)(x, scale=2.0), tg.Tensor)
assert_type(tg.no_grad()(loss)(x, scale=2.0), tg.Tensor)

# -- cells and layers ----------------------------------------------------------------------------------------


class Pair(NamedTuple):
    h: tg.Tensor
    c: tg.Tensor


class Gated(tg.nn.Module):
    """A cell of one's own, with one tensor for a state."""

    def __init__(self, size: int) -> None:
        self.weight = tg.nn.Parameter(np.eye(size))

    def __call__(self, x: tg.Tensor, h: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        h = tg.tanh(x + h @ self.weight)
        return h, h


def paired(x: tg.Tensor, state: Pair) -> tuple[tg.Tensor, Pair]:
    return state.h, Pair(x, state.c)


xs, h = tg.zeros((5, 2, 3)), tg.zeros((2, 3))
assert_type(tg.scan(Gated(3), xs, h), tuple[tg.Tensor, tg.Tensor])
assert_type(tg.scan(paired, xs, Pair(h, h)), tuple[tg.Tensor, Pair])
ys, last = tg.scan(lambda x, h: (x + h, tg.tanh(h)), xs, 0.0, lengths=[5, 3])
assert_type(tg.scan(tg.nn.LSTMCell(3, 4), xs, (h, h)), tuple[tg.Tensor, tuple[tg.Tensor, tg.Tensor]])
assert_type(tg.nn.Recurrent(paired)(xs, Pair(h, h)), tuple[tg.Tensor, Pair])
assert_type(tg.nn.Recurrent(Gated(3)).stepper()(h), tg.Tensor)

deep = tg.nn.Recurrent(lambda n: tg.nn.GRUCell(n, 3), input_size=3, num_layers=2, zoneout=(0.1,))
assert_type(deep(xs)[0], tg.Tensor)
tg.nn.Recurrent([Gated(3), Gated(3)], bidirectional=True)(xs, lengths=[5, 3])

lstm = tg.nn.LSTM(3, 8, num_layers=2, checkpoint="auto")
assert_type(lstm, tg.nn.LSTM)
assert_type(lstm(xs), tuple[tg.Tensor, tuple[tg.Tensor, tg.Tensor]])
assert_type(lstm.eval().stepper().state, tuple[tg.Tensor, tg.Tensor] | None)
assert_type(lstm.weight_ih_l0, tg.nn.Parameter)
assert_type(lstm.parameters(), list[tg.Tensor])
assert_type(tg.nn.GRU(3, 8)(xs), tuple[tg.Tensor, tg.Tensor])
assert_type(tg.nn.MGU(3, 8, zoneout=0.1, outputs="last")(xs), tuple[tg.Tensor, tg.Tensor])
options = tg.nn.PeepholeLSTM(
    3, 8, activation=tg.relu, recurrent_activation={"i": "hard_sigmoid"}, peepholes="io"
)
assert_type(options(xs), tuple[tg.Tensor, tuple[tg.Tensor, tg.Tensor]])
tg.nn.LSTMCell(3, 8, output_activation=tg.nn.activations.affine(2.0), coupled=True, forget_bias=1.0)
assert_type(tg.nn.LSTMCell(3, 4).state_size, tuple[int, int])
assert_type(tg.nn.detach((h, h)), tuple[tg.Tensor, tg.Tensor])
assert_type(tg.nn.Linear(3, 4)(x), tg.Tensor)
assert_type(tg.nn.Linear(3, 4).bias, tg.nn.Parameter | None)
assert_type(tg.nn.Sequential(tg.nn.Linear(3, 4), tg.tanh)(x), tg.Tensor)
assert_type(tg.nn.init.orthogonal((3, 4)), np.ndarray)

optimizer = tg.optim.Adam(lstm.parameters(), lr=1e-3)
assert_type(optimizer, tg.optim.Adam)
assert_type(optimizer.betas, tuple[float, float])
assert_type(tg.optim.StepLR(optimizer, 3).count, int)
assert_type(tg.optim.clip_grad_norm(lstm.parameters(), 1.0), float)

# -- data ----------------------------------------------------------------------------------------------------

assert_type(tg.from_dlpack(np.ones(2)), tg.Tensor)
assert_type(tg.data.adding_problem(20, 2), tuple[np.ndarray, np.ndarray])
assert_type(tg.data.pad_sequences([[1.0], [2.0, 3.0]]), tuple[np.ndarray, np.ndarray])
assert_type([batch for batch in tg.data.batches(array, 2)], list[np.ndarray])  # noqa: C416
assert_type(len(tg.data.batches((array, [0, 1]), 2, seed=[1, 2])), int)
assert_type([y for _, y in tg.data.windows(array, 3)], list[np.ndarray])
assert_type(tg.data.split([[1.0], [2.0, 3.0]], 0.5), tuple[list[list[float]], ...])
assert_type(tg.data.Standard().fit(array).transform(array), np.ndarray)
assert_type(tg.data.MinMax(-1, 1).inverse([array]), list[np.ndarray])
assert_type(tg.data.missing(array)[1], np.ndarray)
assert_type(tg.data.Vocabulary.of("abc").decode([0, 1]), str)
assert_type(tg.data.Vocabulary.of(["a", "b"], unknown="?").decode([0, 1]), list[str])
assert_type(tg.data.Vocabulary("abc").encode("a"), np.ndarray)

# -- what is said about them ---------------------------------------------------------------------------------

picture = tg.draw([x, (h, h)], view="ops")
assert_type(picture.svg(), str)
assert_type(tg.explain(lstm, xs), str)
report = tg.flow(x)
assert_type(report.table(), str)
memory = tg.memory(lstm, x)
assert_type(memory.array, np.ndarray)
assert_type(memory.html(), str)
assert_type(report.track().gains, np.ndarray)
assert_type([entry.row.name for entry in tg.Tape.of(x)], list[str])
assert_type(tg.rows["tanh"].name, str)
assert_type(tg.memory_budget(), int)
assert_type(tg.load("file")["name"], tg.Tensor)
tg.save("file", lstm)
