"""PyTorch as a peer: python pytorch_peer.py THREADS. Variants: "" (eager), "two evaluations", "compile", "whole batch"."""

import sys

import torch

import protocol
from pytorch_crossflow import Network, encode, from_package
from pytorch_step import TrainingStep


class Forward:
    """Inference in batches: run() gives one batch."""

    def __init__(self, function, inputs, variant):
        self.function = torch.compile(function, dynamic=False) if variant == "compile" else function
        self.inputs, self.next = inputs, 0

    def run(self):
        given = self.inputs[self.next % len(self.inputs)]
        self.next += 1
        with torch.inference_mode():
            return self.function(**given)

    def check(self, work):
        with torch.inference_mode():
            outputs = [self.function(**given) for given in self.inputs]
        return [], {"outputs": {str(index): output.float().numpy() for index, output in enumerate(outputs)}}


def load(work, variant):
    spec = work.spec
    if spec["work"] == "step":
        return TrainingStep(work, variant)
    inputs = [{name: torch.from_numpy(array.copy()) for name, array in arrays.items()} for arrays in work.step_inputs()]
    bf16 = spec.get("precision") == "bf16"
    if spec["work"] == "sample":
        network = Network(spec["network"])
        parameters = {name: from_package(name, array) for name, array in work.group("parameters").items()}

        def sample(eps, y):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                return network(parameters, eps, torch.zeros(eps.shape[0]), y.long()).clamp(-1, 1)

        return Forward(sample, inputs, variant)
    if spec["work"] == "encode":
        parameters = {name: from_package(name, array) for name, array in work.group("encoder").items()}
        statistics = {name: torch.from_numpy(array.copy()) for name, array in work.group("statistics").items()}
        return Forward(lambda images: encode(parameters, statistics, images), inputs, variant)
    if spec["work"] == "matmul":
        dtype = torch.bfloat16 if bf16 else torch.float32
        inputs = [{name: value.to(dtype) for name, value in given.items()} for given in inputs]
        return Forward(lambda a, b: a @ b, inputs, variant)
    raise ValueError(f"there is no work {spec['work']}")


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    protocol.serve({"torch": torch.__version__}, torch.get_num_threads(), load)
