"""The loop of a gated cell over as many steps as the longest sequence has, and its derivative.

How many steps there are is a value, not a shape: a batch of padded sequences costs what it holds,
and nothing is compiled twice. JAX has no reverse derivative of a loop of dynamic length, so it is
written here. With `a_t` the pre-activations of step t, from the last step to the first,

    da_t     = (d update / d a)^T dcarry_{t+1}
    dcarry_t = (d update / d carry)^T dcarry_{t+1} + U^T da_t
    dW = sum_t x_t da_t    dU = sum_t h_t da_t    db = sum_t da_t    dx_t = W^T da_t

The last line is one product for a block of steps. What is kept for the way back is the carry that
each step began with; pre-activations are computed again.

Within the loop, carries and pre-activations are `[hidden, batch]` and `[gates * hidden, batch]`:
the parts of a gate are contiguous, and the kernel, which is the larger operand of each product, is
read as it lies. `T` at the end of a name stands for this layout.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from dl_jax.compilation import small_products
from dl_jax.functional.precision import accumulation_dtype, at_least_float32
from dl_jax.functional.recurrent import GatedCell
from dl_jax.types import Array, Params, Tree

BLOCK = 32
"""Steps for which the gradients of kernels and inputs are one product."""


class Marks(NamedTuple):
    """Where sequences end, `[batch]`, and begin anew, `[batch, time]`; None where they do not."""

    lengths: Array | None
    resets: Array | None


class Course(NamedTuple):
    """Which steps are taken, in which order, and between which no gradient passes."""

    time: int
    reverse: bool
    truncate: int | None

    def steps(self, marks: Marks) -> int | jax.Array:
        """Steps of the longest sequence."""
        if marks.lengths is None:
            return self.time
        return jnp.minimum(_longest(marks.lengths), self.time)

    def counts(self, t: Array, marks: Marks) -> jax.Array | None:
        """Of each sequence whether step `t` counts, `[batch]`; None where all do."""
        return None if marks.lengths is None else jnp.less(t, marks.lengths)

    def begins(self, t: Array, marks: Marks) -> jax.Array | None:
        """Of each sequence whether it begins anew at step `t`; None where none does."""
        if marks.resets is None:
            return None
        resets = lax.dynamic_index_in_dim(marks.resets, t, axis=1, keepdims=False)
        return resets if marks.lengths is None else resets & jnp.less(t, marks.lengths)

    def stops(self, t: Array, marks: Marks) -> jax.Array | None:
        """Of each sequence whether a window of `truncate` steps begins at `t`, but for the first.

        None where no window ends.
        """
        if self.truncate is None:
            return None
        end = self.time if marks.lengths is None else marks.lengths
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


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def recurrent_loop(
    cell: GatedCell, course: Course, params: Params, carry: Any, inputs: jax.Array, marks: Marks
) -> tuple[Any, jax.Array]:
    """The final carry, and the outputs `[batch, time, hidden]`, as for `scan_cell`."""
    (last, outputs), _ = _forward(cell, course, params, carry, inputs, marks, keep=False)
    return last, outputs


def _forward(
    cell: GatedCell,
    course: Course,
    params: Params,
    carry: Any,
    inputs: jax.Array,
    marks: Marks,
    *,
    keep: bool = True,
) -> tuple[Any, Any]:
    """The results, and what the way back needs, where `keep`."""
    layers, steps = _layers(cell, params), course.steps(marks)

    def step(number: jax.Array, state: Tree) -> Tree:
        carryT, outputs, carriesT = state
        t = steps - 1 - number if course.reverse else number
        counts = course.counts(t, marks)
        carryT = zero_where(_row(course.begins(t, marks)), carryT)
        carriesT = _put(carriesT, carryT, t) if keep else carriesT
        preactivationsT = layers(_at(inputs, t, counts), cell.hidden(carryT).T)
        carryT, outputT = _step(cell, _row(counts), carryT, *preactivationsT)
        return carryT, _put(outputs, outputT.T, t), carriesT

    def buffers(tree: Tree) -> Tree:
        return jax.tree.map(lambda leaf: jnp.zeros((course.time, *leaf.shape), leaf.dtype), tree)

    carryT = jax.tree.map(jnp.transpose, carry)
    state = carryT, buffers(cell.hidden(carry)), buffers(carryT) if keep else ()
    loop = small_products(lambda state: lax.fori_loop(0, steps, step, state))
    carryT, outputs, carriesT = loop(state)
    results = jax.tree.map(jnp.transpose, carryT), jnp.moveaxis(outputs, 0, 1)
    return results, (params, inputs, marks, carriesT)


def _backward(cell: GatedCell, course: Course, kept: Any, gradients: Any) -> tuple[Any, ...]:
    params, inputs, marks, carriesT = kept
    dcarry, doutputs = gradients
    layers, steps = _layers(cell, params), course.steps(marks)
    size = min(BLOCK, course.time)
    blocks = -(-steps // size)
    kernels = {name: params[name]["kernel"] for name in ("input", "hidden")}

    def block(number: jax.Array, state: Tree) -> Tree:
        dcarryT, dparams, dinputs = state
        begin = size * (number if course.reverse else blocks - 1 - number)
        end = jnp.minimum(begin + size, steps)
        start = jnp.minimum(begin, course.time - size)  # the last block may reach into another

        def step(number: jax.Array, state: Tree) -> Tree:
            dcarryT, dasT = state
            t = begin + number if course.reverse else end - 1 - number
            counts = course.counts(t, marks)
            at = partial(lax.dynamic_index_in_dim, index=t, keepdims=False)
            carryT = jax.tree.map(at, carriesT)
            preactivationsT = layers(_at(inputs, t, counts), cell.hidden(carryT).T)
            _, pull = jax.vjp(partial(_step, cell, _row(counts)), carryT, *preactivationsT)
            dcarryT, *daT = pull((dcarryT, at(doutputs, axis=1).T))
            hidden, into_carry = jax.vjp(cell.hidden, dcarryT)
            (more,) = into_carry(_product(kernels["hidden"], daT[-1]).astype(hidden.dtype))
            dcarryT = jax.tree.map(jnp.add, dcarryT, more)
            for gone in (course.stops(t, marks), course.begins(t, marks)):
                dcarryT = zero_where(_row(gone), dcarryT)
            put = partial(lax.dynamic_update_index_in_dim, index=t - start, axis=1)
            return dcarryT, [put(all_, one) for all_, one in zip(dasT, daT, strict=True)]

        gates, batch = kernels["hidden"].shape[1], len(inputs)
        zeros = jnp.zeros((gates, size, batch), accumulation_dtype(inputs.dtype))
        # Steps of the block that are not taken, or are another's, stay zero.
        state = dcarryT, [zeros] * (1 if cell.summed else 2)
        dcarryT, dasT = lax.fori_loop(0, end - begin, step, state)
        dasT = [each.reshape(gates, size * batch) for each in dasT]

        x = jnp.moveaxis(lax.dynamic_slice_in_dim(inputs, start, size, axis=1), 1, 0)  # [K, B, F]
        if marks.lengths is not None:
            x = where((start + jnp.arange(size)[:, None] < marks.lengths[None])[..., None], x, 0)
        hT = lax.dynamic_slice_in_dim(cell.hidden(carriesT), start, size)
        h = jnp.moveaxis(hT, 1, 2)  # [K, B, H]
        own = {
            "input": _dense_gradients(dasT[0], x, params["input"]),
            "hidden": _dense_gradients(dasT[-1], h, params["hidden"]),
        }
        dparams = jax.tree.map(jnp.add, dparams, own)
        dxT = _product(kernels["input"], dasT[0]).reshape(-1, size, batch)  # [F, K, B]
        dx = jnp.transpose(dxT, (2, 1, 0)).astype(inputs.dtype)
        before = lax.dynamic_slice_in_dim(dinputs, start, size, axis=1)
        dinputs = lax.dynamic_update_slice_in_dim(dinputs, before + dx, start, axis=1)
        return dcarryT, dparams, dinputs

    dparams = {
        name: {
            leaf: jnp.zeros(p.shape[::-1], accumulation_dtype(p.dtype)) for leaf, p in layer.items()
        }
        for name, layer in params.items()
    }
    state = jax.tree.map(jnp.transpose, dcarry), dparams, jnp.zeros_like(inputs)
    loop = small_products(lambda state: lax.fori_loop(0, blocks, block, state))
    dcarryT, dparams, dinputs = loop(state)
    dparams = jax.tree.map(lambda d, p: d.T.astype(p.dtype), dparams, params)
    return dparams, jax.tree.map(jnp.transpose, dcarryT), dinputs, None


recurrent_loop.defvjp(_forward, _backward)


def _layers(cell: GatedCell, params: Params) -> Any:
    """Both dense layers as a function of `x` `[batch, features]` and `h` `[batch, hidden]`.

    It gives `[gates * hidden, batch]` in float32 or wider: of each, or of their sum.
    """
    own, recurrent = params["input"], params["hidden"]
    if not cell.summed:
        of_input, of_hidden = _dense(**own), _dense(**recurrent)
        return lambda x, h: (of_input(x), of_hidden(h))
    biases = [layer["bias"] for layer in (own, recurrent) if "bias" in layer]
    kernel = jnp.concatenate([own["kernel"], recurrent["kernel"]])
    both = _dense(kernel, reduce(jnp.add, biases) if biases else None)
    return lambda x, h: (both(jnp.concatenate([x, h], axis=1)),)


def _dense(kernel: jax.Array, bias: jax.Array | None = None) -> Callable[[Array], jax.Array]:
    """A layer as a function of rows `[batch, inputs]`: `W^T x^T + b`, `[outputs, batch]`."""
    # Before the loop: within it, XLA would make it a product with a kernel that lies the other way.
    kernelT = lax.optimization_barrier(kernel.T)

    def layer(x: Array) -> jax.Array:
        yT = lax.dot_general(
            kernelT.astype(x.dtype), x, (((1,), (1,)), ((), ())),
            preferred_element_type=accumulation_dtype(x.dtype),
        ).astype(x.dtype)  # fmt: skip
        return at_least_float32(yT if bias is None else yT + bias.astype(x.dtype)[:, None])

    return layer


def _product(kernel: jax.Array, daT: jax.Array) -> jax.Array:
    """`W da`, `[inputs, ...]`, in float32 or wider: the gradient of a layer's inputs."""
    wide = accumulation_dtype(kernel.dtype)
    return jnp.matmul(kernel, daT.astype(kernel.dtype), preferred_element_type=wide)


def _dense_gradients(daT: jax.Array, x: jax.Array, layer: Params) -> Params:
    """Those of a layer's parameters, transposed, from rows `[time, batch, inputs]`."""
    rows = x.reshape(-1, x.shape[-1])
    wide = accumulation_dtype(rows.dtype)
    found = {"kernel": jnp.matmul(daT.astype(rows.dtype), rows, preferred_element_type=wide)}
    return found | ({"bias": daT.sum(1)} if "bias" in layer else {})


def _step(cell: GatedCell, counts: jax.Array | None, carryT: Any, *preactivationsT: jax.Array):
    carryT = where(counts, cell.advance(carryT, *preactivationsT, axis=0), carryT)
    return carryT, where(counts, cell.hidden(carryT), 0)


def _at(inputs: jax.Array, t: Array, counts: jax.Array | None) -> jax.Array:
    """Step `t` of the inputs, 0 in the padding: in the gradient, 0 * nan is nan."""
    x = lax.dynamic_index_in_dim(inputs, t, 1, keepdims=False)
    return where(None if counts is None else counts[:, None], x, 0)


def _put(buffers: Tree, tree: Tree, t: Array) -> Tree:
    """Buffers `[time, ...]` with what belongs to step `t`."""
    return jax.tree.map(
        lambda buffer, leaf: lax.dynamic_update_index_in_dim(buffer, leaf, t, 0), buffers, tree
    )


def _row(condition: jax.Array | None) -> jax.Array | None:
    return None if condition is None else condition[None]


def where(condition: jax.Array | None, tree: Tree, other: Tree) -> Tree:
    """`tree` where the condition holds, `other`, which may be one number, elsewhere.

    A condition that is None holds everywhere.
    """
    if condition is None:
        return tree
    if jax.tree.structure(other) != jax.tree.structure(tree):
        other = jax.tree.map(lambda _: other, tree)
    return jax.tree.map(partial(jnp.where, condition), tree, other)


def zero_where(condition: jax.Array | None, tree: Tree) -> Tree:
    """Zero where the condition holds; one that is None holds nowhere."""
    if condition is None:
        return tree
    return jax.tree.map(lambda leaf: jnp.where(condition, 0, leaf), tree)
