"""Optimisers with PyTorch's meaning, clipping of residuals, and schedules of the learning rate."""

from .clipping import clip_grad_norm, clip_grad_value
from .groups import Group
from .methods import SGD, Adagrad, Adam, AdamW, RMSProp
from .one_cycle import OneCycleLR
from .optimizer import Optimizer
from .plateau import PlateauLR
from .schedules import (
    ChainedLR,
    CosineLR,
    ExponentialLR,
    LambdaLR,
    Schedule,
    SequentialLR,
    StepLR,
    WarmupLR,
)

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ChainedLR",
    "CosineLR",
    "ExponentialLR",
    "Group",
    "LambdaLR",
    "OneCycleLR",
    "Optimizer",
    "PlateauLR",
    "RMSProp",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
    "clip_grad_norm",
    "clip_grad_value",
]


def __dir__() -> list[str]:
    return __all__
