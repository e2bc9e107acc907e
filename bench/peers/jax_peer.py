"""JAX as a peer: python jax_peer.py THREADS. Everything is jitted; the matrix products are those of float32, not of a shorter type."""

import os
import sys

threads = int(sys.argv[1])
if hasattr(os, "sched_setaffinity"):  # JAX takes as many threads as the process may run on
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import jax
import jax.numpy as np
import numpy

import protocol
from jax_crossflow import encode, from_package, network
from jax_step import TrainingStep


class Forward:
    """Inference in batches: run() gives one batch."""

    def __init__(self, function, weights, inputs):
        self.function, self.weights, self.inputs, self.next = jax.jit(function), weights, inputs, 0

    def run(self):
        given = self.inputs[self.next % len(self.inputs)]
        self.next += 1
        return self.function(self.weights, **given).block_until_ready()

    def check(self, work):
        return [], {"outputs": {str(index): numpy.asarray(self.function(self.weights, **given), numpy.float32) for index, given in enumerate(self.inputs)}}


def load(work, variant):
    spec = work.spec
    if spec["work"] == "step":
        return TrainingStep(work)
    dtype = np.bfloat16 if spec.get("precision") == "bf16" else np.float32
    inputs = [{name: np.asarray(value) for name, value in arrays.items()} for arrays in work.step_inputs()]
    if spec["work"] == "sample":
        weights = {name: np.asarray(value, dtype) for name, value in work.group("parameters").items()}
        zeros = lambda eps: np.zeros(eps.shape[0])
        return Forward(lambda p, eps, y: network(spec["network"], p, eps.astype(dtype), zeros(eps), y).clip(-1, 1).astype(np.float32), weights, inputs)
    if spec["work"] == "encode":
        weights = {name: from_package(name, value) for name, value in work.group("encoder").items()}
        statistics = {name: np.asarray(value) for name, value in work.group("statistics").items()}
        return Forward(lambda p, images: encode(p, statistics, images), weights, inputs)
    if spec["work"] == "matmul":
        inputs = [{name: value.astype(dtype) for name, value in given.items()} for given in inputs]
        return Forward(lambda _, a, b: a @ b, {}, inputs)
    raise ValueError(f"there is no work {spec['work']}")


if __name__ == "__main__":
    protocol.serve({"jax": jax.__version__}, threads, load)
