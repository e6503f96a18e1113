"""Trained models out of packages that people use, as they are: each is loaded, computes what its own network
computes, and trains on.

    pip install --no-deps silero-vad==6.2.3 g2p-en==2.1.0 resemblyzer==0.1.4 BeatNet==1.1.3
    pip install --no-deps textgenrnn==2.0.0

The packages are not imported: only their files are read.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import interop, nn

pytestmark = pytest.mark.peer


def file_of(package, name):
    """A file inside a package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / name


def trains_on(parameters, loss_of, lr=1e-3):
    """Six steps of Adam, after which the loss is lower."""
    adam = tg.optim.Adam(parameters, lr=lr)
    losses = []
    for _ in range(6):
        loss = loss_of()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# -- g2p-en: words to sounds, two GRUs as npz ----------------------------------------------------------------

LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
_NAMES = (
    "<pad> <unk> <s> </s> AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH "
    "EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 "
    "OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH"
)
SOUNDS = _NAMES.split()


class Pronunciation(nn.Module):
    def __init__(self, weights):
        self.letters, self.sounds = nn.Embedding(29, 256), nn.Embedding(74, 256)
        self.encoder, self.decoder, self.head = nn.GRU(256, 256), nn.GRUCell(256, 256), nn.Linear(256, 74)
        self.letters.load_state_dict({"weight": weights["enc_emb"]})
        self.sounds.load_state_dict({"weight": weights["dec_emb"]})
        for layer, part, ending in ((self.encoder, "enc", "_l0"), (self.decoder, "dec", "")):
            names = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
            layer.load_state_dict({f"{o}{ending}": weights[f"{part}_{t}"] for o, t in names.items()})
        self.head.load_state_dict({"weight": weights["fc_w"], "bias": weights["fc_b"]})

    def __call__(self, word, sounds):
        """The logits of each next sound."""
        tokens = [LETTERS.index(letter) for letter in [*word, "</s>"]]
        _, h = self.encoder(self.letters(np.array(tokens)[:, None]))
        h, logits = h[0], []
        for sound in sounds:
            y, h = self.decoder(self.sounds([sound]), h)
            logits.append(self.head(y)[0])
        return tg.stack(logits)


def gru_by_hand(weights, part, x, h):
    a = weights[f"{part}_w_ih"] @ x + weights[f"{part}_b_ih"]
    b = weights[f"{part}_w_hh"] @ h + weights[f"{part}_b_hh"]
    (ar, az, an), (br, bz, bn) = np.split(a, 3), np.split(b, 3)
    r, z = sigmoid(ar + br), sigmoid(az + bz)
    return (1 - z) * np.tanh(an + r * bn) + z * h


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("recurrent", "R IH0 K ER1 AH0 N T"),
        ("gradient", "G R EY1 D IY0 AH0 N T"),
        ("activationist", "AE2 K T IH0 V EY1 SH AH0 N IH0 S T"),
    ],
)
def test_g2p_says_words(word, said):
    with np.load(file_of("g2p_en", "checkpoint20.npz")) as file:
        weights = dict(file)
    model, sounds = Pronunciation(weights), [2]
    with tg.no_grad():
        while sounds[-1] != 3 and len(sounds) < 20:
            sounds.append(int(model(word, sounds)[-1].numpy().argmax()))
    assert " ".join(SOUNDS[i] for i in sounds[1:-1]) == said

    h = np.zeros(256, np.float32)
    for letter in [*word, "</s>"]:
        h = gru_by_hand(weights, "enc", weights["enc_emb"][LETTERS.index(letter)], h)
    by_hand = []
    for sound in sounds[:-1]:
        h = gru_by_hand(weights, "dec", weights["dec_emb"][sound], h)
        by_hand.append(weights["fc_w"] @ h + weights["fc_b"])
    np.testing.assert_allclose(model(word, sounds[:-1]).numpy(), np.array(by_hand), rtol=0, atol=1e-4)
    trains_on(model.parameters(), lambda: tg.cross_entropy(model(word, sounds[:-1]), sounds[1:]))


# -- Resemblyzer: voices, three LSTMs as an old .pt ----------------------------------------------------------


def test_resemblyzer_beside_pytorch(rng):
    torch = pytest.importorskip("torch")
    path = file_of("resemblyzer", "pretrained.pt")
    found = interop.torch.load(path)
    state = found.part("model_state")
    model = nn.Module()
    lstm, linear = nn.LSTM(40, 256, 3, batch_first=True), nn.Linear(256, 256)
    model.lstm, model.linear = lstm, linear
    names = model.load_state_dict(state, strict=False)
    assert names == ([], ["similarity_weight", "similarity_bias"])
    theirs = torch.nn.LSTM(40, 256, 3, batch_first=True)
    values = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    theirs.load_state_dict({n.removeprefix("lstm."): v for n, v in values.items() if n.startswith("lstm.")})
    x = rng.normal(size=(2, 160, 40)).astype(np.float32)
    y, (h, _) = lstm(x)
    with torch.no_grad():
        their_y, (their_h, _) = theirs(torch.tensor(x))
        voice = torch.relu(their_h[-1] @ values["linear.weight"].T + values["linear.bias"]).numpy()
    np.testing.assert_allclose(y.numpy(), their_y.numpy(), rtol=0, atol=3e-5)
    np.testing.assert_allclose(tg.relu(linear(h[-1])).numpy(), voice, rtol=0, atol=3e-4)

    def loss():
        _, (h, _) = lstm(x[:, :20])
        return tg.mean((linear(h[-1])) ** 2)

    trains_on(model.parameters(), loss)


# -- silero-vad: speech or not, an LSTM behind convolutions, as safetensors ----------------------------------


def convolved(x, weight, bias, stride=1, pad=1):
    """x (B, channels, T) by a kernel (out, channels, width)."""
    x = tg.pad(x, ((0, 0), (0, 0), (pad, pad)))
    width = weight.shape[2]
    starts = np.arange(0, x.shape[2] - width + 1, stride)
    windows = x[:, :, starts[:, None] + np.arange(width)]
    y = tg.einsum("bctk,ock->bot", windows, weight)
    return y if bias is None else y + tg.expand_dims(bias, -1)


class SpeechOrNot(nn.Module):
    def __init__(self, weights):
        self.weights = {name: nn.Parameter(value) for name, value in weights.items() if "lstm" not in name}
        self.lstm = nn.LSTM(128, 128)
        cell = {n.removeprefix("lstm_cell."): v for n, v in weights.items() if "lstm" in n}
        self.lstm.load_state_dict({f"{name}_l0": value for name, value in cell.items()})

    def __call__(self, x, state):
        """Chunks of sound (T, 576), one after the other."""
        w = self.weights
        x = tg.concatenate([x, tg.flip(x[:, -65:-1], -1)], -1)
        spectrum = convolved(x[:, None], w["stft_conv.weight"], None, 128, 0)
        x = tg.sqrt(spectrum[:, :129] ** 2 + spectrum[:, 129:] ** 2)
        for i, stride in enumerate((1, 2, 2, 1), 1):
            x = tg.relu(convolved(x, w[f"conv{i}.weight"], w[f"conv{i}.bias"], stride))
        y, state = self.lstm(tg.moveaxis(x, 1, 2), state)
        p = convolved(tg.moveaxis(tg.relu(y), 1, 2), w["final_conv.weight"], w["final_conv.bias"], pad=0)
        return tg.sigmoid(p)[:, 0, 0], state


def by_pytorch(torch, weights, x, h, c):
    """The network that the package says for this file, in PyTorch."""
    functional = torch.nn.functional
    w = {name: torch.tensor(value) for name, value in weights.items()}
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict({n.removeprefix("lstm_cell."): v for n, v in w.items() if "lstm" in n})
    speech = []
    with torch.no_grad():
        for chunk in torch.tensor(x)[:, None, None]:
            spectrum = functional.conv1d(
                functional.pad(chunk, (0, 64), "reflect"), w["stft_conv.weight"], stride=128
            )
            y = (spectrum[:, :129] ** 2 + spectrum[:, 129:] ** 2).sqrt()
            for i, stride in enumerate((1, 2, 2, 1), 1):
                y = functional.conv1d(y, w[f"conv{i}.weight"], w[f"conv{i}.bias"], stride, 1).relu()
            h, c = cell(y[..., 0], (h, c))
            last = functional.conv1d(h[..., None].relu(), w["final_conv.weight"], w["final_conv.bias"])
            speech.append(last.sigmoid().item())
    return speech, h, c


def test_silero_beside_pytorch(rng):
    torch = pytest.importorskip("torch")
    path = file_of("silero_vad", "data/silero_vad_16k.safetensors")
    model = SpeechOrNot(tg.load(path))
    time = np.arange(40 * 576) / 16000
    sound = (
        np.sin(2 * np.pi * 150 * time) * (1 + np.sin(2 * np.pi * 3 * time)) + rng.normal(size=time.size) / 9
    )
    x = (sound.reshape(40, 576) / 4).astype(np.float32)
    h, c = rng.normal(size=(2, 1, 1, 128)).astype(np.float32)
    speech, (h1, c1) = model(tg.tensor(x), (h, c))
    weights = {name: value.numpy() for name, value in tg.load(path).items()}
    expected, their_h, their_c = by_pytorch(torch, weights, x, torch.tensor(h[0]), torch.tensor(c[0]))
    np.testing.assert_allclose(speech.numpy(), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(h1[0].numpy(), their_h.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(c1[0].numpy(), their_c.numpy(), rtol=0, atol=1e-4)
    target = np.ones(40, np.float32)
    trains_on(model.parameters(), lambda: tg.mse_loss(model(tg.tensor(x), (h, c))[0], target), 1e-4)


# -- textgenrnn: a writer, two CuDNNLSTM in an HDF5 file of Keras 2.1 ----------------------------------------


class Writer(nn.Module):
    def __init__(self, path):
        weights = interop.keras.load(path)
        self.embedding = nn.Embedding(465, 100)
        self.rnn_1, self.rnn_2 = nn.LSTM(100, 128, batch_first=True), nn.LSTM(128, 128, batch_first=True)
        self.output = nn.Linear(356, 465)
        for name in ("embedding", "rnn_1", "rnn_2", "output"):
            interop.keras.load_weights(getattr(self, name), weights[name])
        self.attention = nn.Parameter(weights["attention"][0])

    def __call__(self, tokens):
        """The logits of the character after tokens (B, T)."""
        x = self.embedding(tokens)
        first, _ = self.rnn_1(x)
        second, _ = self.rnn_2(first)
        seen = tg.concatenate([x, first, second], -1)
        share = tg.softmax(seen @ self.attention, axis=1)
        return self.output(tg.sum(seen * share, axis=1))


def by_keras_rules(path, tokens):
    """The same straight from the file in NumPy, with what Keras 2 does to the arrays of CuDNNLSTM."""
    h5py = pytest.importorskip("h5py")

    def lstm(file, name, x):
        kernel, recurrent, bias = (
            file[f"{name}/{name}/{n}:0"][()] for n in ("kernel", "recurrent_kernel", "bias")
        )
        W = np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, 4)])
        U = np.hstack([k.T for k in np.hsplit(recurrent, 4)])
        b = bias[:512] + bias[512:]
        h = c = np.zeros((len(x), 128))
        ys = []
        for t in range(x.shape[1]):
            i, f, g, o = np.split(x[:, t] @ W + h @ U + b, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            ys.append(h)
        return np.stack(ys, 1)

    with h5py.File(path, "r") as file:
        x = file["embedding/embedding/embeddings:0"][()].astype(np.float64)[tokens]
        first = lstm(file, "rnn_1", x)
        seen = np.concatenate([x, first, lstm(file, "rnn_2", first)], -1)
        share = np.exp(seen @ file["attention/attention/attention_W:0"][()])
        summed = (seen * share / share.sum(1, keepdims=True)).sum(1)
        return summed @ file["output/output/kernel:0"][()] + file["output/output/bias:0"][()]


TEXT = "What is the most important thing that you have learned from your parents when you were growing up"


def test_textgenrnn_knows_english(tmp_path):
    path = file_of("textgenrnn", "textgenrnn_weights.hdf5")
    vocabulary = json.loads(file_of("textgenrnn", "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    letters = np.array([vocabulary[letter] for letter in TEXT])
    tokens = np.stack(
        [np.r_[np.zeros(max(0, 40 - n), int), letters[max(0, n - 40) : n]] for n in range(1, len(TEXT))]
    )
    model, following = Writer(path), letters[1:]
    logits = model(tokens)
    np.testing.assert_allclose(logits.numpy(), by_keras_rules(path, tokens), rtol=0, atol=1e-3)
    right = (logits.numpy().argmax(1) == following).mean()
    assert right > 0.4, "of 465 characters it should guess nearly every second one"
    trains_on(model.parameters(), lambda: tg.cross_entropy(model(tokens), following))
    lines = interop.convert.convert(path, tmp_path / "a.safetensors")
    assert "attention: no layer here is like it: its arrays are as Keras has them" in lines
    assert tg.load(tmp_path / "a.safetensors")["attention.attention_W"].shape == (356, 1)


# -- BeatNet: beats, weights that are read and whole modules that are refused --------------------------------


@pytest.mark.parametrize("k", [1, 2, 3])
def test_beatnets_weights_are_read_and_its_modules_refused(k, rng):
    torch = pytest.importorskip("torch")
    path = file_of("BeatNet", f"models/model_{k}_weights.pt")
    state = {n.removeprefix("lstm."): v for n, v in interop.torch.load(path).items() if n.startswith("lstm.")}
    ours, theirs = nn.LSTM(150, 150, 2, batch_first=True), torch.nn.LSTM(150, 150, 2, batch_first=True)
    ours.load_state_dict(state)
    values = torch.load(path, weights_only=True)
    theirs.load_state_dict({n.removeprefix("lstm."): v for n, v in values.items() if n.startswith("lstm.")})
    x = rng.normal(size=(1, 50, 150)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(ours(x)[0].numpy(), theirs(torch.tensor(x))[0].numpy(), rtol=0, atol=1e-5)
    needs = r"it needs model\.BDA, .*torch\.nn\.modules\.conv\.Conv1d, .*torch\.nn\.modules\.rnn\.LSTM"
    with pytest.raises(tg.CheckpointError, match=needs):
        interop.torch.load(file_of("BeatNet", f"models/model-{k}.pt"))
