"""bench/timer/protocol.cpp for whatever PyTorch can launch: implementations take turns on operands that are not in the L2."""
import math
import statistics
import time

import torch

GRAPH_THRESHOLD_US = 100  # below this, gaps between launches would count: calls are timed in graphs
GRAPH_US = 1000           # a graph this long is replayed rather than made longer

# Microseconds of a sample, and of all samples of a row; rounds at least and at most.
EFFORTS = {"quick": (500, 120e3, 4, 10), "full": (1000, 350e3, 7, 31)}


def sets_for(set_bytes, device=0):
    """Sets of operands and results that are together four times as large as the L2."""
    return max(1, math.ceil(4 * torch.cuda.get_device_properties(device).L2_cache_size / set_bytes))


def elapsed_us(work):
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) * 1e3


class Batch:
    """Some calls of one implementation in a row. `launch(set)` returns its results, which live on until the set's next turn, so that
    they rotate through memory as the operands do."""

    def __init__(self, launch, sets, call_us, sample_us, in_graph):
        self.launch, self.sets, self.kept, self.next, self.graph = launch, sets, [None] * sets, 0, None
        if in_graph:
            self.calls = sets * math.ceil(min(sample_us, GRAPH_US) / (call_us * sets))
            self.repeats = max(1, math.ceil(sample_us / (call_us * self.calls)))
            self.capture()
        else:
            self.calls, self.repeats = max(1, math.ceil(sample_us / call_us)), 1
        for _ in range(2):  # the first run of a graph also uploads it
            begin = time.perf_counter()
            self.duration_us = elapsed_us(self.enqueue)
            self.enqueue_us = (time.perf_counter() - begin) * 1e6

    def capture(self):
        """Without the collection of garbage that torch.cuda.graph() begins with, which takes longer than the measurement."""
        self.graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.graph.capture_begin(capture_error_mode="thread_local")
            try:
                self.call_all()
            finally:
                self.graph.capture_end()
        torch.cuda.current_stream().wait_stream(stream)

    def call_all(self):
        for _ in range(self.calls):
            self.kept[self.next] = self.launch(self.next)
            self.next = (self.next + 1) % self.sets

    def enqueue(self):
        for _ in range(self.repeats):
            self.graph.replay() if self.graph else self.call_all()

    def cold_sample_us(self):
        """One sample with the GPU at rest before it. While it spins, the host enqueues."""
        spin_us = 20 + (1.5 * self.enqueue_us if not self.graph else 50)
        torch.cuda._sleep(int(spin_us * 2000))  # clock cycles
        total = elapsed_us(self.enqueue)
        time.sleep(min(total, 3000) * 1e-6)  # keeps the chip below its power limit
        return total / (self.calls * self.repeats)


def host_us(launch, sets, call_us):
    """Host time of one call: median of a few that do not wait for the GPU."""
    times = []
    for i in range(min(max(int(20e3 / call_us), 3), 50)):
        begin = time.perf_counter()
        launch(i % sets)
        times.append((time.perf_counter() - begin) * 1e6)
    torch.cuda.synchronize()
    return statistics.median(times)


def time_interleaved(launches, sets, effort):
    """For each of `launches`, which must have run once before: its samples (two a round, A B B A) and its host time."""
    sample_us, budget_us, fewest, most = EFFORTS[effort]
    estimates = [min(elapsed_us(lambda: launch(i % sets)) for i in range(3)) for launch in launches]
    in_graph = min(estimates) < GRAPH_THRESHOLD_US
    batches = [Batch(launch, sets, estimate, sample_us, in_graph) for launch, estimate in zip(launches, estimates)]
    count = min(max(int(budget_us / sum(2 * batch.duration_us for batch in batches)), fewest), most)
    samples = [[] for _ in batches]
    for _ in range(count):
        for i in [*range(len(batches)), *reversed(range(len(batches)))]:
            samples[i].append(batches[i].cold_sample_us())
    return [(times, host_us(launch, sets, statistics.median(times))) for times, launch in zip(samples, launches)]
