"""Optimisers with PyTorch's meaning, clipping of residuals, and schedules of the learning rate."""

from .clipping import clip_grad_norm as clip_grad_norm
from .clipping import clip_grad_value as clip_grad_value
from .methods import SGD as SGD
from .methods import Adam as Adam
from .methods import AdamW as AdamW
from .methods import RMSProp as RMSProp
from .optimizer import Optimizer as Optimizer
from .schedules import CosineLR as CosineLR
from .schedules import Schedule as Schedule
from .schedules import StepLR as StepLR
from .schedules import WarmupLR as WarmupLR
