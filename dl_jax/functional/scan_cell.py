"""A recurrent cell along the time axis, as far as the longest sequence of the batch and no further.

How many steps there are is a value, not a shape: a batch of padded sequences costs what it holds,
and nothing is compiled twice. JAX has no reverse derivative of a loop of dynamic length, so it is
written here. With `a_t` the pre-activations of step t, from the last step to the first,

    da_t     = (d update / d a)^T dcarry_{t+1}
    dcarry_t = (d update / d carry)^T dcarry_{t+1} + U^T da_t
    dx, dW, dU, db: those of dense layers that are applied to all steps at once

so that only `U^T da_t` is a product for each step. The dense layers are differentiated for a block
of steps at a time, from the carries that each step began with, which are all that is kept.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Bool, Float, Integer

from dl_jax.functional.dense import dense
from dl_jax.functional.precision import accumulation_dtype, at_least_float32
from dl_jax.functional.recurrent import Cell, GatedCell
from dl_jax.types import Array, Params, Tree

BLOCK = 32
"""Steps for which the dense layers are differentiated at once."""


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
    params, carry, inputs = jax.tree.map(jnp.asarray, (params, carry, inputs))
    marks = _Marks(lengths, None if resets is None else jnp.asarray(resets))
    course = _Course(inputs.shape[1], reverse, truncate)
    if plain or not isinstance(cell, GatedCell) or inputs.shape[1] == 0:
        return _plain_scan(cell, course, params, carry, inputs, marks)
    return _scan(cell, course, params, carry, inputs, marks)


class _Marks(NamedTuple):
    """Where sequences end, `[batch]`, and begin anew, `[batch, time]`; None where they do not."""

    lengths: Array | None
    resets: Array | None


class _Course(NamedTuple):
    """Which steps are taken, in which order, and between which no gradient passes."""

    time: int
    reverse: bool
    truncate: int | None

    def steps(self, marks: _Marks) -> int | jax.Array:
        """Steps of the longest sequence."""
        if marks.lengths is None:
            return self.time
        return jnp.minimum(_longest(marks.lengths), self.time)

    def counts(self, t: Array, marks: _Marks) -> jax.Array | None:
        """Of each sequence whether step `t` counts, `[batch, 1]`; None where all do."""
        return None if marks.lengths is None else jnp.less(t, marks.lengths)[:, None]

    def begins(self, t: Array, marks: _Marks) -> jax.Array | None:
        """Of each sequence whether it begins anew at step `t`; None where none does."""
        if marks.resets is None:
            return None
        resets = lax.dynamic_index_in_dim(marks.resets, t, axis=1)
        return resets if marks.lengths is None else resets & (t < marks.lengths)[:, None]

    def stops(self, t: Array, marks: _Marks) -> jax.Array | None:
        """Of each sequence whether a window of `truncate` steps begins at `t`, but for the first.

        None where no window ends.
        """
        if self.truncate is None:
            return None
        end = self.time if marks.lengths is None else marks.lengths[:, None]
        first, left = (end - 1, t + 1) if self.reverse else (0, end - t)
        return (left % self.truncate == 0) & (t != first) & (t < end)


@custom_vmap
def _longest(lengths: Array) -> jax.Array:
    """The longest of these lengths, under `vmap` of all replicas, which then share one loop."""
    return lengths.max(initial=0)


@_longest.def_vmap
def _longest_of_all(axis_size: int, in_batched: Any, lengths: Array) -> tuple[jax.Array, bool]:
    del axis_size, in_batched
    return _longest(lengths), False


# By JAX: any cell, every derivative, all steps.


def _plain_scan(cell: Cell, course: _Course, params: Params, carry: Any, inputs, marks):
    # The gradient of a parameter is a sum over the steps: parameters enter the loop in float32.
    wide = jax.tree.map(at_least_float32, params)

    def step(carry: Any, at: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        t, x = at
        counts = course.counts(t, marks)
        own = jax.tree.map(lambda w, p: w.astype(p.dtype), wide, params)
        carry = _zero_where(course.begins(t, marks), carry)
        if (stops := course.stops(t, marks)) is not None:
            carry = _where(stops, lax.stop_gradient(carry), carry)
        # Before the cell: in the gradient, 0 * nan is nan.
        new, output = cell(own, carry, _where(counts, x, 0))
        return _where(counts, new, carry), _where(counts, output, 0)

    steps = jnp.arange(course.time), jnp.moveaxis(inputs, 1, 0)
    carry, outputs = lax.scan(step, carry, steps, reverse=course.reverse)
    return carry, jnp.moveaxis(outputs, 0, 1)


# By hand: once differentiable, backwards, as many steps as there are.


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _scan(cell: GatedCell, course: _Course, params: Params, carry: Any, inputs, marks):
    carry, outputs, _ = _forward(cell, course, params, carry, inputs, marks, keep=False)
    return carry, outputs


def _scan_fwd(cell: GatedCell, course: _Course, params: Params, carry: Any, inputs, marks):
    last, outputs, carries = _forward(cell, course, params, carry, inputs, marks, keep=True)
    return (last, outputs), (params, inputs, marks, carries)


def _forward(
    cell: GatedCell, course: _Course, params: Params, carry: Any, inputs, marks, *, keep: bool
):
    """The final carry, the outputs, and the carry that each step began with, `[time, batch, H]`."""
    layers, steps = cell.layers(params), course.steps(marks)

    def step(number: jax.Array, state: Tree) -> Tree:
        carry, outputs, carries = state
        t = steps - 1 - number if course.reverse else number
        counts = course.counts(t, marks)
        x = _where(counts, lax.dynamic_index_in_dim(inputs, t, 1, keepdims=False), 0)
        carry = _zero_where(course.begins(t, marks), carry)
        carries = _put(carries, carry, t) if keep else carries
        carry, output = _step(cell, counts, carry, *layers(x, cell.hidden(carry)))
        return carry, _put(outputs, output, t), carries

    outputs = _zeros_like(cell.hidden(carry), course.time)
    carries = _zeros_like(carry, course.time) if keep else ()
    carry, outputs, carries = lax.fori_loop(0, steps, step, (carry, outputs, carries))
    return carry, jnp.moveaxis(outputs, 0, 1), carries


def _step(cell: GatedCell, counts: jax.Array | None, carry: Any, *preactivations: jax.Array):
    carry = _where(counts, cell.advance(carry, *preactivations), carry)
    return carry, _where(counts, cell.hidden(carry), 0)


def _scan_bwd(cell: GatedCell, course: _Course, kept: Any, gradients: Any):
    params, inputs, marks, carries = kept
    dcarry, doutputs = gradients
    steps, size = course.steps(marks), min(BLOCK, course.time)
    blocks = -(-steps // size)
    back_to_hidden = params["hidden"]["kernel"].T  # [gates, hidden]

    def block(number: jax.Array, state: Tree) -> Tree:
        dcarry, dparams, dinputs = state
        begin = size * (number if course.reverse else blocks - 1 - number)
        end = jnp.minimum(begin + size, steps)
        start = jnp.minimum(begin, course.time - size)  # the last block may reach into another
        carry = jax.tree.map(lambda c: lax.dynamic_slice_in_dim(c, start, size), carries)
        x, doutput = (_time_first(inputs, start, size), _time_first(doutputs, start, size))
        if marks.lengths is not None:
            at = start + jnp.arange(size)[:, None, None]
            x = jnp.where(at < marks.lengths[None, :, None], x, 0)

        def layers(params: Params, x: Array) -> tuple[jax.Array, ...]:
            return cell.layers(params)(x, cell.hidden(carry))

        preactivations, pull = jax.vjp(layers, params, x)

        def step(number: jax.Array, state: Tree) -> Tree:
            dcarry, das = state
            t = begin + number if course.reverse else end - 1 - number
            at = partial(lax.dynamic_index_in_dim, index=t - start, keepdims=False)
            _, pull = jax.vjp(
                partial(_step, cell, course.counts(t, marks)),
                jax.tree.map(at, carry), *map(at, preactivations),
            )  # fmt: skip
            dcarry, *da = pull((dcarry, at(doutput)))
            dcarry = _add(dcarry, cell.hidden, dense(da[-1], back_to_hidden))
            dcarry = _zero_where(course.stops(t, marks), dcarry)
            dcarry = _zero_where(course.begins(t, marks), dcarry)
            return dcarry, _put(das, tuple(da), t - start)

        # Steps of the block that are not taken, or are another's, stay zero.
        dcarry, das = lax.fori_loop(0, end - begin, step, (dcarry, _zeros_like(preactivations)))
        own, dx = pull(das)
        dparams = jax.tree.map(lambda total, part: total + part, dparams, own)
        before = lax.dynamic_slice_in_dim(dinputs, start, size, axis=1)
        dinputs = lax.dynamic_update_slice_in_dim(
            dinputs, before + jnp.moveaxis(dx, 0, 1), start, axis=1
        )
        return dcarry, dparams, dinputs

    dparams = jax.tree.map(lambda p: jnp.zeros(p.shape, accumulation_dtype(p.dtype)), params)
    dcarry, dparams, dinputs = lax.fori_loop(
        0, blocks, block, (dcarry, dparams, _zeros_like(inputs))
    )
    return jax.tree.map(lambda d, p: d.astype(p.dtype), dparams, params), dcarry, dinputs, None


_scan.defvjp(_scan_fwd, _scan_bwd)


# Trees, at a step.


def _where(condition: jax.Array | None, tree: Tree, other: Tree) -> Tree:
    """`tree` where the condition holds, `other`, which may be one number, elsewhere."""
    if condition is None:
        return tree
    if jax.tree.structure(other) != jax.tree.structure(tree):
        other = jax.tree.map(lambda _: other, tree)
    return jax.tree.map(partial(jnp.where, condition), tree, other)


def _zero_where(condition: jax.Array | None, tree: Tree) -> Tree:
    if condition is None:
        return tree
    return jax.tree.map(lambda leaf: jnp.where(condition, 0, leaf), tree)


def _zeros_like(tree: Tree, *leading: int) -> Tree:
    return jax.tree.map(lambda leaf: jnp.zeros((*leading, *leaf.shape), leaf.dtype), tree)


def _put(buffers: Tree, tree: Tree, t: Array) -> Tree:
    """Buffers `[time, ...]` with what belongs to step `t`."""
    return jax.tree.map(
        lambda buffer, leaf: lax.dynamic_update_index_in_dim(buffer, leaf, t, 0), buffers, tree
    )


def _add(carry: Tree, hidden: Callable[[Any], Any], dhidden: jax.Array) -> Tree:
    """The gradient of a carry with one more of its hidden part."""
    _, pull = jax.vjp(hidden, carry)
    (more,) = pull(dhidden.astype(hidden(carry).dtype))
    return jax.tree.map(jnp.add, carry, more)


def _time_first(x: Array, start: Array, size: int) -> jax.Array:
    """Some steps of `[batch, time, ...]`, as `[size, batch, ...]`."""
    return jnp.moveaxis(lax.dynamic_slice_in_dim(x, start, size, axis=1), 1, 0)
