"""What a type checker says is wrong, each line that ends in "wrong": checked by ``tests/test_types.py`` and
never run."""

import tinygrad_rnn as tg

x = tg.tensor([1.0, 2.0])


def loss(w: tg.Tensor, scale: float) -> tg.Tensor:
    return tg.sum(w**2) * scale


def no_state(x: tg.Tensor, h: tg.Tensor) -> tg.Tensor:
    return x + h


tg.tanhh(x)  # wrong
tg.tanh(x, x)  # wrong
tg.tanh("x")  # wrong
tg.sum(x, axis="rows")  # wrong
x + "1"  # wrong
x["name"]  # wrong
x[0] = 1.0  # wrong
x.meen()  # wrong
x.mean(dim=0)  # wrong
x.view(2, 1)  # wrong
x.grad + 1  # wrong
tg.grad(loss)(x, "2")  # wrong
tg.grad(x)  # wrong
tg.jacobian(loss)(x)  # wrong
tg.scan(no_state, x, x)  # wrong
h, c = tg.nn.GRU(3, 4)(x)[1].h  # wrong
tg.nn.Linear(3)  # wrong
tg.nn.LSTM(3, 4, layers=2)  # wrong
tg.nn.LSTM(3, 4, peepholes="i")  # wrong
tg.nn.GRU(3, 4, coupled=True)  # wrong
tg.nn.GRUCell(3, 4, zoneout=0.1)  # wrong
tg.nn.LSTM(3, 4).stepper(x)(x).h  # wrong
tg.optim.Adam(tg.nn.Linear(3, 4))  # wrong
tg.optim.SGD([x], betas=(0.9, 0.9))  # wrong
tg.data.batches(x.numpy(), "2")  # wrong
tg.data.Vocabulary.of("abc").encode(["a"])  # wrong
tg.explain(3)  # wrong
tg.draw(x, gains="yes")  # wrong
