"""The learning rate as a function of the number of updates made so far."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from dl_jax.concrete import check_concrete
from dl_jax.errors import MAX_INTEGER, UsageError, check_integer
from dl_jax.types import Scalar

Step: TypeAlias = int | Int[Array, ""]
Schedule: TypeAlias = Callable[[Step], Float[Array, ""]]


def constant(value: Scalar) -> Schedule:
    """The same at every step."""
    check_concrete("value", value, low=0)
    return lambda _step: jnp.asarray(value, jnp.float32)


def cosine(peak: Scalar, total_steps: int, *, final: Scalar = 0.0) -> Schedule:
    """From `peak` to `final` along half a cosine, and `final` from `total_steps` on.

    Source: Loshchilov and Hutter (2016), arXiv:1608.03983, equation 5.
    """
    check_integer("total_steps", total_steps, low=1, high=None)
    _check_rates(peak=peak, final=final)
    return lambda step: _along_cosine(peak, final, _share(step, 0, total_steps))


def linear(peak: Scalar, total_steps: int, *, final: Scalar = 0.0) -> Schedule:
    """From `peak` to `final` along a straight line, and `final` from `total_steps` on.

        final + (peak - final) (1 - step / total_steps)

    Source: Devlin et al. (2018), arXiv:1810.04805, appendix A.2, for the decay to zero.
    """
    check_integer("total_steps", total_steps, low=1, high=None)
    _check_rates(peak=peak, final=final)
    return lambda step: jnp.asarray(final + (peak - final) * (1 - _share(step, 0, total_steps)))


def with_warmup(schedule: Schedule, warmup_steps: int, *, initial: Scalar = 0.0) -> Schedule:
    """Linearly from `initial` to `schedule(0)` in `warmup_steps`, then `schedule` from its step 0.

        initial + (schedule(0) - initial) step / warmup_steps     where step < warmup_steps
        schedule(step - warmup_steps)                             from there on

    So a schedule that is to end at step n is made for `n - warmup_steps` steps.

    Source: Goyal et al. (2017), arXiv:1706.02677, section 2.2.
    """
    check_integer("warmup_steps", warmup_steps, low=0, high=None)
    _check_rates(initial=initial)
    if warmup_steps == 0:
        return schedule
    last = min(warmup_steps, MAX_INTEGER)  # no step is later

    def warmed(step: Step) -> Float[Array, ""]:
        rate = schedule(jnp.maximum(step, last) - last)  # schedule(0) during the warm-up
        rising = initial + (rate - initial) * _share(step, 0, warmup_steps)
        return jnp.where(_before(step, warmup_steps), rising, rate)

    return warmed


def warmup_cosine(
    peak: Scalar, total_steps: int, warmup_steps: int, *, initial: Scalar = 0.0, final: Scalar = 0.0
) -> Schedule:
    """Linearly from `initial` to `peak` in `warmup_steps`, then along half a cosine to `final`.

    Raises:
        UsageError: the warm-up is not shorter than `total_steps`.
    """
    check_integer("total_steps", total_steps, low=1, high=None)
    check_integer("warmup_steps", warmup_steps, low=0, high=None)
    if warmup_steps >= total_steps:
        raise UsageError(
            f"warmup_steps is {warmup_steps}, expected less than total_steps ({total_steps})"
        )
    after = cosine(peak, total_steps - warmup_steps, final=final)
    return with_warmup(after, warmup_steps, initial=initial)


def step_decay(initial: Scalar, every: int, factor: Scalar) -> Schedule:
    """Multiply by `factor` every `every` steps: `initial * factor^floor(step / every)`."""
    check_integer("every", every, low=1, high=None)
    _check_rates(initial=initial, factor=factor)
    every = min(every, MAX_INTEGER)  # no step is later
    return lambda step: jnp.asarray(initial * factor ** (jnp.asarray(step) // every), jnp.float32)


def one_cycle(
    peak: Scalar,
    total_steps: int,
    *,
    rise: float = 0.3,
    start_divisor: Scalar = 25.0,
    final_divisor: Scalar = 1e4,
) -> Schedule:
    """Up to `peak` and down again, each along half a cosine.

    From `peak / start_divisor` to `peak` in the fraction `rise` of the steps, then to
    `peak / start_divisor / final_divisor`.

    Raises:
        UsageError: `rise` lies outside [0, 1), or a divisor is not positive.

    Source: Smith and Topin (2017), arXiv:1708.07120, with the cosines of PyTorch and fast.ai.
    """
    check_integer("total_steps", total_steps, low=1, high=None)
    check_concrete("rise", rise, low=0, high=1, exclusive_high=True)
    check_concrete("peak", peak, low=0)
    check_concrete("start_divisor", start_divisor, low=0, exclusive_low=True)
    check_concrete("final_divisor", final_divisor, low=0, exclusive_low=True)
    top = int(rise * total_steps)
    start, final = peak / start_divisor, peak / start_divisor / final_divisor

    def schedule(step: Step) -> Float[Array, ""]:
        rising = _along_cosine(start, peak, _share(step, 0, max(1, top)))
        falling = _along_cosine(peak, final, _share(step, top, total_steps))
        return jnp.where(_before(step, top), rising, falling)

    return schedule


def _share(step: Step, begin: int, end: int) -> Float[Array, ""]:
    """The fraction of the way from `begin` to `end` at `step`, in [0, 1]."""
    # Python floats: integers beyond int32 would overflow.
    passed = jnp.asarray(step, jnp.float32) - float(begin)
    return jnp.clip(passed / float(end - begin), 0, 1)


def _before(step: Step, end: int) -> Bool[Array, ""]:
    return jnp.asarray(step, jnp.float32) < float(end)


def _along_cosine(start: Scalar, end: Scalar, share: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.asarray(end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * share)))


def _check_rates(**rates: Scalar) -> None:
    for name, rate in rates.items():
        check_concrete(name, rate, low=0)
