"""The native tier: training of small recurrent networks as compiled vector code.

It needs numba and a processor with AVX2 and FMA; `unavailable()` says what is missing. Importing
these names imports neither.

    network = Network(hidden=8, inputs=1, outputs=1, activation="tanh")
    step = NativeStep(network, batch=256, steps=14)
    losses, gradients = step.gradients(flat_weights, inputs, targets, scales)
"""

from emtkit.train.native.machine import unavailable
from emtkit.train.native.network import MAX_HIDDEN, Network
from emtkit.train.native.step import NativeStep

__all__ = ["MAX_HIDDEN", "NativeStep", "Network", "unavailable"]
