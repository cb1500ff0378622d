"""Timing contenders in turn, so that a machine that slows down slows all of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Attributes:
        name: as it stands in the table.
        ours: whether it is dl_jax's; the others are what it is compared with.
        run: does the work once and returns when it is done.
        reset: gives it fresh parameters, before each run and outside of its time: a network that
            learns random examples by heart computes with numbers that no training sees.
    """

    name: str
    ours: bool
    run: Callable[[], object]
    reset: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Workload:
    """Work that several contenders do.

    Attributes:
        name: what is done.
        contenders: who does it.
        flops: floating-point operations of doing it once, 0 where that is not the point.
        target: what the others' best time divided by our best shall reach; None where there is
            no target.
        reads: what the ratio is; for a workload of ours alone, where `most` bounds our time
            divided by the others', it is that quotient that is reported.
        most: the bound, where there is one.
    """

    name: str
    contenders: list[Contender]
    flops: float = 0.0
    target: float | None = None
    reads: str = "torch's best / ours"
    most: float | None = None


@dataclass(frozen=True)
class Timing:
    """What was measured of one contender, in seconds."""

    name: str
    ours: bool
    compile: float
    median: float
    fastest: float


@dataclass(frozen=True)
class Measurement:
    """What was measured of one workload."""

    workload: Workload
    timings: list[Timing]

    @property
    def ratio(self) -> float | None:
        """The others' best median over our best, None where there is nothing to compare."""
        ours = [timing.median for timing in self.timings if timing.ours]
        others = [timing.median for timing in self.timings if not timing.ours]
        return min(others) / min(ours) if ours and others else None


def measure(workload: Workload, repeats: int) -> Measurement:
    """Run the contenders alternately `repeats` times, after a first run that compiles.

    Each time a contender runs twice, and the second run counts, as in training, where one step
    follows the other: the first finds caches, threads and memory as another has left them. On a
    virtual machine, fresh memory may have been handed back to the host meanwhile.
    """
    compile_seconds = [_seconds(contender.run) for contender in workload.contenders]
    for contender in workload.contenders:  # caches warm, allocators grown
        contender.reset()
        contender.run()
    times: list[list[float]] = [[] for _ in workload.contenders]
    for _ in range(repeats):
        for contender, record in zip(workload.contenders, times, strict=True):
            contender.reset()
            contender.run()
            record.append(_seconds(contender.run))
    timings = [
        Timing(c.name, c.ours, first, statistics.median(record), min(record))
        for c, first, record in zip(workload.contenders, compile_seconds, times, strict=True)
    ]
    return Measurement(workload, timings)


def matrix_product_peak(size: int = 2048, repeats: int = 10) -> dict[str, float]:
    """Operations a second of a float32 matrix product: the ceiling that each framework reaches.

    The fastest repeat counts: a ceiling is what the machine can do when nothing disturbs it.
    """
    import torch

    a = np.random.default_rng(0).standard_normal((size, size), np.float32)
    of_jax, of_torch = jnp.asarray(a), torch.from_numpy(a)
    product = jax.jit(jnp.matmul)
    contenders = [
        Contender("jax", True, lambda: product(of_jax, of_jax).block_until_ready()),
        Contender("torch", False, lambda: of_torch @ of_torch),
    ]
    measured = measure(Workload("matrix product", contenders), repeats)
    return {timing.name: 2 * size**3 / timing.fastest for timing in measured.timings}


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
