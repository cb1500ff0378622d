"""A recurrent cell along the time axis, as far as the longest sequence of the batch."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Integer

from dl_jax.functional.precision import at_least_float32
from dl_jax.functional.recurrent import Cell, GatedCell
from dl_jax.functional.recurrent_loop import Course, Marks, recurrent_loop, where, zero_where
from dl_jax.types import Array, Params


def scan_cell(
    cell: Cell,
    params: Params,
    carry: Any,
    inputs: Float[Array, "batch time features"],
    *,
    lengths: Integer[Array, " batch"] | None = None,
    resets: Bool[Array, "batch time"] | None = None,
    reverse: bool = False,
    truncate: int | None = None,
    plain: bool = False,
) -> tuple[Any, Float[jax.Array, "batch time hidden"]]:
    """Apply a cell along the time axis.

    Args:
        cell: `cell(params, carry, inputs) -> (carry, output)`.
        params: the same at every step.
        carry: initial carry.
        inputs: sequences of one length; shorter ones are padded at their end.
        lengths: how many steps of each sequence count; None counts all. In the padding, whatever it
            holds, the carry does not change and the output is 0, so the final carry is that of the
            last step that counts.
        resets: where a sequence begins anew: there the carry is 0 before the step.
        reverse: from the last step to the first; outputs stay in the order of the inputs.
        truncate: let no gradient go back further than this many steps: it is stopped between
            windows of this length, counted from the end of each sequence. None is never. It does
            not change what is computed.
        plain: differentiate through `jax.lax.scan`, over all steps of the inputs, which makes
            forward mode and second derivatives possible. Of a cell that is no `GatedCell`, always.

    Returns:
        The final carry, and the outputs of all steps.

    Raises:
        ValueError: `truncate` is below 1.

    Source: Werbos (1990), "Backpropagation through time: what it does and how to do it"; Williams
    and Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories", for `truncate`.
    """
    if truncate is not None and truncate < 1:
        raise ValueError(f"truncate is {truncate}, expected at least 1 step, or None for no limit")
    params, carry = jax.tree.map(jnp.asarray, (params, carry))
    inputs = jnp.asarray(inputs)
    marks = Marks(lengths, None if resets is None else jnp.asarray(resets))
    course = Course(inputs.shape[1], reverse, truncate)
    if plain or not isinstance(cell, GatedCell) or inputs.shape[1] == 0:
        return _plain_scan(cell, course, params, carry, inputs, marks)
    return recurrent_loop(cell, course, params, carry, inputs, marks)


def _plain_scan(
    cell: Cell, course: Course, params: Params, carry: Any, inputs: jax.Array, marks: Marks
) -> tuple[Any, jax.Array]:
    """Differentiated by JAX: any cell, every derivative, all steps."""
    # The gradient of a parameter is a sum over the steps: parameters enter the loop in float32.
    wide = jax.tree.map(at_least_float32, params)

    def step(carry: Any, at: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        t, x = at
        counts, begins = course.counts(t, marks), course.begins(t, marks)
        stops = course.stops(t, marks)
        own = jax.tree.map(lambda w, p: w.astype(p.dtype), wide, params)
        carry = zero_where(begins, carry)
        if stops is not None:
            carry = where(stops, lax.stop_gradient(carry), carry)
        # Before the cell: in the gradient, 0 * nan is nan.
        new, output = cell(own, carry, where(counts, x, 0))
        return where(counts, new, carry), where(counts, output, 0)

    steps = jnp.arange(course.time), jnp.moveaxis(inputs, 1, 0)
    carry, outputs = lax.scan(step, carry, steps, reverse=course.reverse)
    return carry, jnp.moveaxis(outputs, 0, 1)
