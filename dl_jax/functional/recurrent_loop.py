"""The loop of a gated cell over as many steps as the longest sequence has, and its derivative.

How many steps there are is a value, not a shape: a batch of padded sequences costs what it holds,
and nothing is compiled twice. JAX has no reverse derivative of a loop of dynamic length, so it is
written here. With `a_t` the pre-activations of step t, from the last step to the first,

    da_t     = (d update / d a)^T dcarry_{t+1}
    dcarry_t = (d update / d carry)^T dcarry_{t+1} + U^T da_t
    dW = sum_t x_t da_t    dU = sum_t h_t da_t    db = sum_t da_t    dx_t = W^T da_t

The last line is one product for a block of steps. What is kept for the way back is the carry that
each step began with, and its pre-activations.

Within the loop, carries and pre-activations are `[hidden, batch]` and `[gates * hidden, batch]`:
the parts of a gate are contiguous, and the kernel, which is the larger operand of each product, is
read as it lies. `T` at the end of a name stands for this layout. What is one array for a product
and several before it, `x` and `h`, or the parts of `da`, is written part by part into a buffer:
XLA computes a concatenation element by element, and asks of each whose it is.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from dl_jax.compilation import looped_products
from dl_jax.functional.precision import accumulation_dtype, at_least_float32
from dl_jax.functional.recurrent import GatedCell, Parts
from dl_jax.types import Array, Params, Tree

BLOCK = 8
"""Steps for which the gradients of kernels and inputs are one product."""


Layer: TypeAlias = Callable[[jax.Array], jax.Array]


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
    x = jnp.moveaxis(inputs, 1, 0)  # [T, B, F]

    def step(number: jax.Array, state: Tree) -> Tree:
        carryT, xhT, outputs, keptT = state
        t = steps - 1 - number if course.reverse else number
        counts = course.counts(t, marks)
        carryT = zero_where(_row(course.begins(t, marks)), carryT)
        xhT = _stack(xhT, [_at(x, t, counts).T, cell.hidden(carryT)])
        preactivationsT = layers(xhT)
        keptT = _put(keptT, (carryT, preactivationsT), t) if keep else ()
        carryT, outputT = _step(cell, _row(counts), carryT, *cell.split(0, *preactivationsT))
        return carryT, xhT, _put(outputs, outputT.T, t), keptT

    def buffers(tree: Tree) -> Tree:
        return jax.tree.map(lambda leaf: jnp.zeros((course.time, *leaf.shape), leaf.dtype), tree)

    carryT = jax.tree.map(jnp.transpose, carry)
    xhT = jnp.zeros((x.shape[2] + len(cell.hidden(carryT)), x.shape[1]), x.dtype)
    keptT = buffers((carryT, jax.eval_shape(layers, xhT))) if keep else ()
    state = carryT, xhT, buffers(cell.hidden(carry)), keptT
    loop = looped_products(lambda state: lax.fori_loop(0, steps, step, state))
    carryT, _, outputs, keptT = loop(state)
    results = jax.tree.map(jnp.transpose, carryT), jnp.moveaxis(outputs, 0, 1)
    return results, (params, x, marks, keptT)


def _backward(cell: GatedCell, course: Course, kept: Any, gradients: Any) -> tuple[Any, ...]:
    params, x, marks, (carriesT, preactivationsT) = kept
    dcarry, doutputs = gradients
    steps = course.steps(marks)
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
            carryT, aT = jax.tree.map(at, (carriesT, preactivationsT))
            _, pull = jax.vjp(partial(_step, cell, _row(counts)), carryT, *cell.split(0, *aT))
            dcarryT, *dparts = pull((dcarryT, at(doutputsT, index=t - start)))
            dasT = [
                _stack(daT, [part[:, None] for part in parts], t - start)
                for daT, parts in zip(dasT, dparts, strict=True)
            ]
            hidden, into_carry = jax.vjp(cell.hidden, dcarryT)
            dhT = _product(kernels["hidden"], at(dasT[-1], index=t - start, axis=1))
            (more,) = into_carry(dhT.astype(hidden.dtype))
            dcarryT = jax.tree.map(jnp.add, dcarryT, more)
            for gone in (course.stops(t, marks), course.begins(t, marks)):
                dcarryT = zero_where(_row(gone), dcarryT)
            return dcarryT, dasT

        doutputsT = lax.dynamic_slice_in_dim(doutputs, start, size, axis=1)
        doutputsT = jnp.transpose(doutputsT, (1, 2, 0))  # [K, H, B]
        # Steps of the block that are not taken, or are another's, stay zero.
        gates, batch = kernels["hidden"].shape[1], x.shape[1]
        zeros = jnp.zeros((gates, size, batch), accumulation_dtype(x.dtype))
        state = dcarryT, [zeros] * (1 if cell.summed else 2)
        dcarryT, dasT = lax.fori_loop(0, end - begin, step, state)
        dasT = [each.reshape(gates, size * batch) for each in dasT]

        rows = lax.dynamic_slice_in_dim(x, start, size)  # [K, B, F]
        if marks.lengths is not None:
            counts = start + jnp.arange(size)[:, None] < marks.lengths[None]
            rows = where(counts[..., None], rows, 0)
        hT = lax.dynamic_slice_in_dim(cell.hidden(carriesT), start, size)
        h = jnp.moveaxis(hT, 1, 2)  # [K, B, H]
        own = {
            "input": _dense_gradients(dasT[0], rows, params["input"]),
            "hidden": _dense_gradients(dasT[-1], h, params["hidden"]),
        }
        dparams = jax.tree.map(jnp.add, dparams, own)
        dxT = _product(kernels["input"], dasT[0]).reshape(-1, size, batch)  # [F, K, B]
        dx = jnp.transpose(dxT, (1, 2, 0)).astype(x.dtype)
        before = lax.dynamic_slice_in_dim(dinputs, start, size)
        dinputs = lax.dynamic_update_slice_in_dim(dinputs, before + dx, start, axis=0)
        return dcarryT, dparams, dinputs

    dparams = {
        name: {
            leaf: jnp.zeros(p.shape[::-1], accumulation_dtype(p.dtype)) for leaf, p in layer.items()
        }
        for name, layer in params.items()
    }
    state = jax.tree.map(jnp.transpose, dcarry), dparams, jnp.zeros_like(x)
    loop = looped_products(lambda state: lax.fori_loop(0, blocks, block, state))
    dcarryT, dparams, dinputs = loop(state)
    dparams = jax.tree.map(lambda d, p: d.T.astype(p.dtype), dparams, params)
    dcarry = jax.tree.map(jnp.transpose, dcarryT)
    return dparams, dcarry, jnp.moveaxis(dinputs, 0, 1), None


recurrent_loop.defvjp(_forward, _backward)


def _layers(cell: GatedCell, params: Params) -> Any:
    """Both dense layers as a function of `x` and `h`, one above the other, `[inputs, batch]`.

    It gives `[gates * hidden, batch]` in float32 or wider: of each, or of their sum.
    """
    own, recurrent = params["input"], params["hidden"]
    if not cell.summed:
        of_input, of_hidden = _dense(**own), _dense(**recurrent)
        features = own["kernel"].shape[0]
        return lambda xhT: (of_input(xhT[:features]), of_hidden(xhT[features:]))
    biases = [layer["bias"] for layer in (own, recurrent) if "bias" in layer]
    kernel = jnp.concatenate([own["kernel"], recurrent["kernel"]])
    both = _dense(kernel, reduce(jnp.add, biases) if biases else None)
    return lambda xhT: (both(xhT),)


def _dense(kernel: jax.Array, bias: jax.Array | None = None) -> Layer:
    """A layer as a function of `[inputs, batch]`: `W^T xT + b`, `[outputs, batch]`."""
    # Before the loop: within it, XLA would make it a product with a kernel that lies the other way.
    kernelT = lax.optimization_barrier(kernel.T)

    def layer(xT: jax.Array) -> jax.Array:
        wide = accumulation_dtype(xT.dtype)
        yT = jnp.matmul(kernelT.astype(xT.dtype), xT, preferred_element_type=wide)
        yT = yT.astype(xT.dtype)
        return at_least_float32(yT if bias is None else yT + bias.astype(xT.dtype)[:, None])

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


def _step(cell: GatedCell, counts: jax.Array | None, carryT: Any, *parts: Parts):
    carryT = where(counts, cell.advance(carryT, *parts), carryT)
    return carryT, where(counts, cell.hidden(carryT), 0)


def _at(inputs: jax.Array, t: Array, counts: jax.Array | None) -> jax.Array:
    """Step `t` of the inputs, 0 in the padding: in the gradient, 0 * nan is nan."""
    x = lax.dynamic_index_in_dim(inputs, t, 0, keepdims=False)
    return where(None if counts is None else counts[:, None], x, 0)


def _stack(buffer: jax.Array, arrays: Sequence[jax.Array], at: jax.Array | int = 0) -> jax.Array:
    """The buffer with these arrays one below the other, from `at` on along the second axis."""
    row = 0
    for array in arrays:
        start = (row, at, *[0] * (buffer.ndim - 2))
        buffer = lax.dynamic_update_slice(buffer, array.astype(buffer.dtype), start)
        row += len(array)
    return buffer


def _put(buffers: Tree, tree: Tree, t: Array) -> Tree:
    """Buffers `[time, ...]` with what belongs to step `t`."""
    return jax.tree.map(
        lambda buffer, leaf: lax.dynamic_update_index_in_dim(buffer, leaf, t, 0), buffers, tree
    )


def _row(condition: jax.Array | None) -> jax.Array | None:
    return None if condition is None else condition[None]


def where(condition: jax.Array | None, tree: Tree, other: Tree) -> Tree:
    """`tree` where the condition holds, `other`, which may be one number, elsewhere.

    A condition of one axis is of the first axis of each leaf; one of several is broadcast. One that
    is None holds everywhere.
    """
    if condition is None:
        return tree
    if jax.tree.structure(other) != jax.tree.structure(tree):
        other = jax.tree.map(lambda _: other, tree)
    return jax.tree.map(lambda a, b: jnp.where(_along(condition, a), a, b), tree, other)


def zero_where(condition: jax.Array | None, tree: Tree) -> Tree:
    """Zero where the condition holds, as for `where`; one that is None holds nowhere."""
    if condition is None:
        return tree
    return jax.tree.map(lambda leaf: jnp.where(_along(condition, leaf), 0, leaf), tree)


def _along(condition: jax.Array, leaf: jax.Array) -> jax.Array:
    return condition if condition.ndim > 1 else condition.reshape(-1, *[1] * (leaf.ndim - 1))
