"""What the page on training says stands for what: the names of PyTorch and Keras are there, and mean it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
os.environ["KERAS_BACKEND"] = "torch"  # before its first import
keras = pytest.importorskip("keras")

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for cells in (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line[:2] == "| "
    )
    if len(cells) == 4
}
KERAS = {
    "MultiOptimizer": "optimizers",
    "SwapEMAWeights": "callbacks",
    "BackupAndRestore": "callbacks",
    "TerminateOnNaN": "callbacks",
    "EarlyStopping": "callbacks",
    "ReduceLROnPlateau": "callbacks",
    "CSVLogger": "callbacks",
    "TensorBoard": "callbacks",
    "CosineDecay": "optimizers.schedules",
    "Metric": "metrics",
    "Masking": "layers",
    "set_random_seed": "utils",
    "split_dataset": "utils",
    "pad_sequences": "utils",
    "timeseries_dataset_from_array": "utils",
    "PyDataset": "utils",
    "predict": "Model",
    "evaluate": "Model",
    "save_weights": "Model",
    "summary": "Model",
    "mixed_precision": "",
    "distribution": "",
}
TORCH = {
    "pad_sequence": "nn.utils.rnn",
    "pack_padded_sequence": "nn.utils.rnn",
    "random_split": "utils.data",
    "DataLoader": "utils.data",
    "unfold": "Tensor",
    "AveragedModel": "optim.swa_utils",
    "CosineAnnealingLR": "optim.lr_scheduler",
    "ReduceLROnPlateau": "optim.lr_scheduler",
    "orthogonal_": "nn.init",
    "requires_grad_": "nn.Module",
}


@pytest.mark.parametrize(("column", "package", "places"), [(2, keras, KERAS), (1, torch, TORCH)])
def test_the_names_are_there(column, package, places):
    said = " ".join(cells[column] for cells in ROWS.values())
    for name, place in places.items():
        assert re.search(rf"\b{name}\b", said), f"{name} is not on the page"
        owner = package
        for part in place.split(".") if place else ():
            owner = getattr(owner, part)
        assert hasattr(owner, name), f"{place}.{name}"


def test_options_of_keras_optimisers_are_there():
    keras.optimizers.Adam(
        use_ema=True, ema_momentum=0.999, gradient_accumulation_steps=4, global_clipnorm=1.0
    )


def test_clip_is_the_global_norm_of_keras_and_clipnorm_is_not(rng):
    values = [rng.normal(size=shape).astype("float32") for shape in ((3, 2), (4,))]
    residuals = [rng.normal(size=value.shape).astype("float32") for value in values]

    def theirs(**options):
        variables = [keras.Variable(value) for value in values]
        keras.optimizers.SGD(1.0, **options).apply([torch.tensor(r) for r in residuals], variables)
        return [v.value.detach().numpy() for v in variables]

    class Both(tg.nn.Module):
        def __init__(self):
            self.parts = [tg.nn.Parameter(value) for value in values]

        def __call__(self, x):
            return sum(tg.sum(p * r) for p, r in zip(self.parts, residuals, strict=True)) + 0 * tg.sum(x)

    model = Both()
    optimizer = tg.optim.SGD(model.parameters(), lr=1.0)
    batches = [(np.zeros(1, "float32"), np.zeros(1, "float32"))]
    tg.train.fit(model, lambda y, t: y, batches, epochs=1, optimizer=optimizer, clip=1.0, progress=False)
    ours = [p.numpy() for p in model.parts]
    for a, b in zip(ours, theirs(global_clipnorm=1.0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert any(abs(a - b).max() > 0.01 for a, b in zip(ours, theirs(clipnorm=1.0), strict=True))


@pytest.mark.parametrize("stride", [1, 3])
def test_sliding_windows_are_those_of_unfold(rng, stride):
    series = rng.normal(size=(40, 2))
    x, y = tg.data.sliding(series, 6, horizon=2, stride=stride)
    theirs = torch.from_numpy(series).unfold(0, 8, stride).movedim(-1, 1).numpy()
    np.testing.assert_array_equal(np.concatenate([x, y], 1), theirs)


def test_scores_are_those_of_keras(rng):
    """Where Keras is exact: its curve has thresholds, and these lie between all scores."""
    scores, targets = rng.integers(0, 20, 60) / 20 + 0.01, rng.integers(0, 2, 60)
    thresholds = (np.arange(1, 20) / 20).tolist()
    area = keras.metrics.AUC(thresholds=thresholds)
    area.update_state(targets, scores)
    ours = tg.train.AreaUnderCurve()
    ours.update(scores, targets)
    assert ours.value() == pytest.approx(float(area.result()), rel=1e-5)
    rows, classes = rng.normal(size=(30, 6)), rng.integers(0, 6, 30)
    top, theirs = tg.train.TopK(3), keras.metrics.SparseTopKCategoricalAccuracy(3)
    top.update(rows, classes)
    theirs.update_state(classes, rows)
    assert top.value() == pytest.approx(float(theirs.result()), rel=1e-6)
    y, t = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    r2, of_keras = tg.train.R2(features=True), keras.metrics.R2Score()
    r2.update(y, t)
    of_keras.update_state(t, y)
    assert r2.value() == pytest.approx(float(of_keras.result()), rel=1e-5)
