"""The learning rate as a function of the number of updates made so far."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl_jax.errors import UsageError, check_range

Step: TypeAlias = int | Int[Array, ""]
Schedule: TypeAlias = Callable[[Step], Float[Array, ""]]


def constant(value: float) -> Schedule:
    """The same at every step."""
    return lambda _step: jnp.asarray(value, jnp.float32)


def cosine(peak: float, total_steps: int, *, final: float = 0.0) -> Schedule:
    """From `peak` to `final` along half a cosine, and `final` from `total_steps` on.

    Source: Loshchilov and Hutter (2016), arXiv:1608.03983, equation 5.
    """
    _check_steps(total_steps)
    return lambda step: _along_cosine(peak, final, _share(step, 0, total_steps))


def warmup_cosine(
    peak: float, total_steps: int, warmup_steps: int, *, initial: float = 0.0, final: float = 0.0
) -> Schedule:
    """Linearly from `initial` to `peak` in `warmup_steps`, then along half a cosine to `final`.

    Source: Goyal et al. (2017), arXiv:1706.02677, section 2.2, for the warm-up.

    Raises:
        UsageError: the warm-up is not shorter than the whole.
    """
    _check_steps(total_steps)
    if not 0 <= warmup_steps < total_steps:
        raise UsageError(
            f"warmup_steps is {warmup_steps}, expected at least 0 and less than total_steps "
            f"({total_steps})"
        )

    def schedule(step: Step) -> Float[Array, ""]:
        rising = initial + (peak - initial) * _share(step, 0, max(1, warmup_steps))
        falling = _along_cosine(peak, final, _share(step, warmup_steps, total_steps))
        return jnp.where(step < warmup_steps, rising, falling)

    return schedule


def step_decay(initial: float, every: int, factor: float) -> Schedule:
    """Multiplied by `factor` after each `every` steps: `initial * factor^floor(step / every)`."""
    _check_steps(every)
    return lambda step: jnp.asarray(initial * factor ** (jnp.asarray(step) // every), jnp.float32)


def one_cycle(
    peak: float,
    total_steps: int,
    *,
    rise: float = 0.3,
    start_divisor: float = 25.0,
    final_divisor: float = 1e4,
) -> Schedule:
    """Up to `peak` and down again, each along half a cosine.

    From `peak / start_divisor` to `peak` in the share `rise` of the steps, then to
    `peak / start_divisor / final_divisor`.

    Raises:
        UsageError: `rise` lies outside [0, 1).

    Source: Smith and Topin (2017), arXiv:1708.07120, with the cosines of PyTorch and fast.ai.
    """
    _check_steps(total_steps)
    check_range("rise", rise, low=0, high=1, exclusive_high=True)
    top = int(rise * total_steps)
    start, final = peak / start_divisor, peak / start_divisor / final_divisor

    def schedule(step: Step) -> Float[Array, ""]:
        rising = _along_cosine(start, peak, _share(step, 0, max(1, top)))
        falling = _along_cosine(peak, final, _share(step, top, total_steps))
        return jnp.where(step < top, rising, falling)

    return schedule


def _share(step: Step, begin: int, end: int) -> Float[Array, ""]:
    """How much of the way from `begin` to `end` lies behind, in [0, 1]."""
    return jnp.clip((jnp.asarray(step, jnp.float32) - begin) / (end - begin), 0, 1)


def _along_cosine(start: float, end: float, share: Float[Array, ""]) -> Float[Array, ""]:
    return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * share))


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise UsageError(f"a schedule over {steps} steps is empty, expected at least 1")
