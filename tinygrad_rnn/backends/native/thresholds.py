"""From which sizes and times on something pays, and which benchmark measured it.

Work is counted in multiplications. Each of these is a guess that was right on the machines it was measured
on; a change of one changes no result, but for the number of parts that a scan's batch is summed in.
"""

PARALLEL_MIN_ELEMENTS = 1 << 15
"""Elements from which a second thread pays for elementwise work (``python -m benchmarks training``)."""

PARALLEL_FORWARD_MIN_WORK, PARALLEL_BACKWARD_MIN_WORK = 1_000_000, 3_000_000
"""From which threads share the batch of a scan. Below, the backward loop is left to one of them, and Python
prepares what comes after it meanwhile: that takes as long (``python -m benchmarks sequence``)."""

PARALLEL_STEP_MIN_WORK = 150_000
"""From which threads share the columns of a single step (``python -m benchmarks steps``)."""

OWN_PRODUCT_MIN_WORK = 200_000
"""From which a product is made by the library's own code (``python -m benchmarks sequence``)."""

PARALLEL_PRODUCT_MIN_WORK = 500_000
"""From which a second thread pays for a product (``python -m benchmarks sequence``)."""

STARTED_PRODUCTS_MAX_WORK = 3_000_000
"""Up to which products are left to a worker, where there is something else to do meanwhile that takes as long
(``python -m benchmarks sequence``)."""

NEAR_BYTES = 1 << 18
"""Of a block of the right matrix of a product: it stays in the second cache while all rows of the left one
use it (``python -m benchmarks scaling``)."""

HANDOVER_SECONDS = {
    # that a worker looks for its next piece of work before it sleeps: longer than Python takes between two
    "spin": 0.7e-3,
    # that one who waits for a worker looks before he naps: a worker that was preempted needs a processor
    "patience": 0.5e-3,
    "prompt": 10e-6,  # in which a worker begins that is awake: one that does not has no processor
    "woken": 200e-6,  # in which a worker begins that sleeps
    "late": 100e-6,  # that a call may take longer than one thread alone would, without being called worse
}
"""Of handing over (``python -m benchmarks handover``)."""

NAP_MICROSECONDS = 20
"""How long a nap is meant to be; it is as long as the system makes it (``python -m benchmarks handover``)."""

BACKOFF_MIN_CALLS, BACKOFF_MAX_CALLS, BACKOFF_GAIN = 2, 48, 16
"""After a call that was worse than one thread the next ones leave the team alone: so many that sixteen times
what was lost is gained, within these bounds, and twice as many as the last time. A step has three calls or
more (``python -m benchmarks handover``)."""
