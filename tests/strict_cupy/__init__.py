"""A stand-in for CuPy that is as strict as CuPy is, computing with NumPy: so that the device code runs where
there is no device.

It has only names that CuPy has, with CuPy's parameters (``test_strict_cupy.py`` compares with the real
package where that is installed). An array of it is no NumPy array, does not mix with one, does not turn into
one unasked, and stays on the device down to single numbers. Every operation that would start a kernel is
counted, and so is every look at a value, which makes the host wait for the device. Kernels in CUDA C are
compiled as C and really run.
"""

from .array import ndarray as ndarray
from .counts import Counts as Counts
from .counts import counts as counts
from .kernels import RawKernel as RawKernel
from .modules import install as install
from .modules import modules as modules
from .surface import ANSWERS as ANSWERS
from .surface import SIGNATURES as SIGNATURES
from .surface import UFUNCS as UFUNCS
from .surface import signature as signature
