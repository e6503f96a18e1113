"""Handwritten digits that are read row by row and break off at different rows: which digit was it, and from
which row on is it known? (scikit-learn's ``load_digits``: 1797 images of 8 × 8.)"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import tinygrad_rnn as tg

ROWS, LEAST, HIDDEN, PATIENCE = 8, 4, 64, 10


def digits(seed):
    """Training, validation and test: (images cut at a random row, classes, the same images whole)."""
    data = load_digits()
    images = (data.images / 16).astype("float32")
    ends = np.random.default_rng(seed).integers(LEAST, ROWS + 1, len(images))
    cut = [image[:end] for image, end in zip(images, ends, strict=True)]
    return tg.data.split((cut, data.target, images), (0.6, 0.2, 0.2), seed=seed)


class Reader(tg.nn.Module):
    """The class from the state at each sequence's own end."""

    def __init__(self):
        self.rnn = tg.nn.GRU(8, HIDDEN, num_layers=2, dropout=0.5)
        self.readout = tg.nn.Linear(HIDDEN, 10)

    def __call__(self, padded):
        x, lengths = padded
        _, state = self.rnn(x, lengths=lengths)
        return self.readout(state[-1])  # of the second layer, (samples, HIDDEN)

    def after_each_row(self, images):
        """Scores (samples, rows, 10) of whole images."""
        return tg.swapaxes(self.readout(self.rnn(images.transpose(1, 0, 2))[0]), 0, 1)


def trained(train, validation, seed):
    """The model that was best on the validation images, and the history of its training."""
    tg.random.seed(seed)
    model = Reader()
    history = tg.train.fit(
        model,
        tg.cross_entropy,
        tg.data.bucket(train[:2], 32, seed=seed),
        epochs=100,
        optimizer=tg.optim.Adam(model.parameters(), lr=0.01),
        clip=1.0,
        validation=tg.data.batches(validation[:2], 400, shuffle=False),
        metrics={"accuracy": tg.train.Accuracy()},
        patience=PATIENCE,
        progress=False,
    )
    return model.eval(), history


def neighbours(train, test):
    """The accuracy of three nearest neighbours, looked for anew among the first rows, for each number."""
    found = []
    for rows in range(1, ROWS + 1):
        (x, y), (images, classes) = (
            (part[2][:, :rows].reshape(len(part[1]), -1), part[1]) for part in (train, test)
        )
        found.append(KNeighborsClassifier(3).fit(x, y).score(images, classes))
    return np.array(found)


def main():
    train, validation, test = digits(seed=0)
    model, history = trained(train, validation, seed=0)
    x, lengths = tg.data.pad_sequences(test[0])
    print(tg.summary(model, (x, lengths)))
    print(f"{len(history)} epochs, the best one was the {history.best['epoch']}th ({history.stopped})")

    metrics = {
        "accuracy": tg.train.Accuracy(),
        "F1": tg.train.F1(),
        "confusion": tg.train.ConfusionMatrix(10),
    }
    told = tg.train.evaluate(model, tg.cross_entropy, tg.data.batches(test[:2], 400, shuffle=False), metrics)
    confusion = told.pop("confusion")
    print("test images, cut:", ", ".join(f"{name} {value:.3f}" for name, value in told.items()))

    with tg.no_grad():
        sure = tg.softmax(model.after_each_row(test[2])).numpy()
    accuracy = (sure.argmax(2) == test[1][:, None]).mean(0)
    baseline = neighbours(train, test)
    print("rows seen          ", *(f"{rows:5}" for rows in range(1, ROWS + 1)))
    for name, numbers in (
        ("accuracy           ", accuracy),
        ("how sure, mean     ", sure.max(2).mean(0)),
        ("nearest neighbours ", baseline),
    ):
        print(name, *(f"{number:5.2f}" for number in numbers))

    x = tg.tensor(x, requires_grad=True)
    of_pixels = tg.gradients(tg.cross_entropy(model((x, lengths)), test[1]), x).numpy()
    assert not of_pixels[np.arange(ROWS)[:, None] >= lengths].any()  # what is behind an end has no part in it
    print(tg.flow(tg.cross_entropy(model.after_each_row(test[2])[:, -1], test[1])).verdict())
    assert told["accuracy"] > 0.85  # who guesses has 0.1
    assert accuracy[0] < 0.4 < accuracy[LEAST - 1] < accuracy[LEAST + 1]
    assert accuracy[LEAST - 1] < sure.max(2).mean(0)[LEAST - 1]  # surer than it is right

    if sys.argv[1:]:
        wrong_then_right = (sure[:, LEAST - 1].argmax(1) != test[1]) & (sure[:, -1].argmax(1) == test[1])
        one = np.flatnonzero(wrong_then_right)[0]
        draw(accuracy, sure, baseline, confusion, test[2][one], sure[one], test[1][one])


def draw(accuracy, sure, baseline, confusion, image, sure_of_one, digit):
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).parent.parent / "figures.mplstyle")
    figure, (left, middle, digit_axes, sure_axes) = plt.subplots(1, 4, width_ratios=(4, 3.6, 1.6, 1.6))
    figure.set_size_inches(11, 3.8)
    rows = np.arange(1, ROWS + 1)
    left.axvspan(LEAST, ROWS, color="0.93")
    left.plot(rows, accuracy, label="GRU: right")
    left.plot(rows, sure.max(2).mean(0), label="GRU: how sure")
    left.plot(rows, baseline, label="neighbours: right")
    left.set(title="test images (grey: as trained)", xlabel="rows seen", ylim=(0, 1), xticks=rows)
    left.legend(loc="lower right")
    middle.imshow(np.log1p(confusion), cmap="Blues")
    for (true, taken), count in np.ndenumerate(confusion):
        if count:
            middle.text(taken, true, count, ha="center", va="center", color="w" if true == taken else "k")
    middle.set(title="cut at 4 to 8 rows", xlabel="taken for", ylabel="digit")
    middle.set(xticks=range(10), yticks=range(10))
    digit_axes.imshow(image, cmap="gray_r", aspect="auto")
    digit_axes.set(title=f"digit {digit}", ylabel="row", xticks=[], yticks=range(ROWS), yticklabels=rows)
    sure_axes.imshow(sure_of_one, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    sure_axes.set(title="how sure", xlabel="digit", xticks=range(0, 10, 3), yticks=[])
    plt.savefig(sys.argv[1])


if __name__ == "__main__":
    main()
