"""What every peer does the same: read the work from a file, answer requests on lines of JSON, tell its memory.

A peer is a program that waits. The benchmark sends one request a line and reads one answer a line, so that exactly one
program computes at any moment. A work file holds the weights, the inputs of several steps and, in its metadata, all
that says what to compute; the TypeScript side writes it, and reads back the weights that the peer arrives at.
"""

import json
import os
import sys
import time
import traceback

import numpy
from safetensors import safe_open
from safetensors.numpy import save_file


class Work:
    """The content of a work file: `spec` says what to compute, groups hold tensors by name as numpy arrays."""

    def __init__(self, path):
        with safe_open(path, framework="numpy") as file:
            self.spec = json.loads(file.metadata()["spec"])
            self.groups = {}
            for key in file.keys():
                group, name = key.split("/", 1)
                self.groups.setdefault(group, {})[name] = file.get_tensor(key)

    def group(self, name):
        return self.groups.get(name, {})

    def step_inputs(self):
        """The inputs of the steps in their order, each by name."""
        count = sum(group.startswith("inputs ") for group in self.groups)
        return [self.group(f"inputs {step}") for step in range(count)]


def memory_bytes(key):
    """A line of /proc/self/status in bytes: VmHWM is the peak of the resident memory, VmRSS what is resident now, RssFile the pages of files in it (0 where the system does not tell)."""
    if sys.platform != "linux":
        if key == "RssFile":
            return 0
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise KeyError(key)


def timed(run, seconds, least):
    """Times of single runs in seconds: at least `least` of them, and as many more as fit into `seconds`."""
    run()
    times = []
    started = time.perf_counter()
    while len(times) < least or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return times


def serve(versions, threads, load):
    """
    Answers requests until the input ends.

    versions: what is told of the program and its libraries.
    load(work, variant): makes the work ready; returns an object with `run()`, one run, finished when it returns, and `check(work)`, which runs
    the steps of the work file from its weights and returns metrics of each step and groups of arrays.
    """
    answers = os.fdopen(3, "w")  # not the standard output: what libraries print there must not be taken for an answer
    base = memory_bytes("VmRSS")
    job = None

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    answer(versions=versions, threads=threads, baseBytes=base)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "load":
                job = load(Work(request["file"]), request["variant"])
                answer()
            elif request["do"] == "first":
                started = time.perf_counter()
                job.run()
                answer(seconds=time.perf_counter() - started)
            elif request["do"] == "time":
                answer(seconds=timed(job.run, request["seconds"], request["least"]))
            elif request["do"] == "check":
                metrics, groups = job.check(Work(request["file"]))
                save_file({f"{group}/{name}": numpy.ascontiguousarray(value) for group, values in groups.items() for name, value in values.items()}, request["result"])
                answer(metrics=metrics)
            elif request["do"] == "memory":
                answer(peakBytes=memory_bytes("VmHWM"), fileBytes=memory_bytes("RssFile"))
            else:
                answer(error=f"there is no request {request['do']}")
        except Exception as error:  # the benchmark goes on without this row
            traceback.print_exc()
            answer(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}")
