"""Optimisers with PyTorch's meaning, clipping of residuals, and schedules of the learning rate."""

from .clipping import clip_grad_norm, clip_grad_value
from .groups import Group
from .methods import SGD, Adagrad, Adam, AdamW, RMSProp
from .optimizer import Optimizer
from .schedules import CosineLR, Schedule, StepLR, WarmupLR

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineLR",
    "Group",
    "Optimizer",
    "RMSProp",
    "Schedule",
    "StepLR",
    "WarmupLR",
    "clip_grad_norm",
    "clip_grad_value",
]


def __dir__() -> list[str]:
    return __all__
