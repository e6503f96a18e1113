"""Functions of functions: their derivatives, and how much of them is kept.

reverse            residuals of recorded results
derivatives        reverse mode, forward mode, and both on top of each other
rematerialisation  what is run again instead of kept
signatures         what all these are to a type checker
"""

from .derivatives import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .rematerialisation import checkpoint
from .reverse import gradients

__all__ = ["checkpoint", "grad", "gradients", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]
