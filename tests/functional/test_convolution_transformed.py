"""The convolution under `vmap`, remat, scan and `shard_map`, against XLA's own in a loop."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from dl_jax.functional import conv2d
from tests.functional.convolution_reference import close, native, normal

# Mapping.

REPLICAS = 3
MAPPED = {"images": (0, None), "kernels": (None, 0), "both": (0, 0), "last axes": (4, 4)}


def mapped_operands(axes, channels):
    """An image and a kernel, mapped over the axes `axes`, and the replicas one by one."""
    x, kernel = normal(0, 2, 6, 5, channels), normal(1, 3, 3, channels, 4)
    operands, replicas = [], [[] for _ in range(REPLICAS)]
    for operand, axis in zip((x, kernel), axes, strict=True):
        each = [operand * (1 + i) + i for i in range(REPLICAS)]
        operands.append(operand if axis is None else jnp.stack(each, axis))
        for i in range(REPLICAS):
            replicas[i].append(operand if axis is None else each[i])
    return operands, replicas


def score(function):
    return lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel, stride=2)))


def stacked(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["images", "kernels", "last axes"])
def test_mapped_equals_a_loop(name, channels):
    axes = MAPPED[name]
    operands, replicas = mapped_operands(axes, channels)

    def everything(x, kernel):
        gradients = jax.grad(score(conv2d), (0, 1))
        second = jax.grad(lambda x, k: jnp.sum(gradients(x, k)[0] ** 2), (0, 1))
        return conv2d(x, kernel), gradients(x, kernel), second(x, kernel)

    mapped = jax.jit(jax.vmap(everything, axes))(*operands)
    one = jax.jit(everything)
    close(mapped, stacked([one(*each) for each in replicas]), 5e-5)


@pytest.mark.parametrize(("name", "channels"), [("images", 4), ("kernels", 1), ("both", 4)])
def test_gradient_of_mapped_equals_that_of_a_loop(name, channels):
    axes = MAPPED[name]
    operands, _ = mapped_operands(axes, channels)

    def total(x, kernel):
        return jnp.sum(jax.vmap(score(conv2d), axes)(x, kernel) ** 2)

    def loop(x, kernel):
        replicas = range(REPLICAS)
        xs = [x if axes[0] is None else jnp.take(x, i, axes[0]) for i in replicas]
        kernels = [kernel if axes[1] is None else jnp.take(kernel, i, axes[1]) for i in replicas]
        return sum(score(native)(a, b) ** 2 for a, b in zip(xs, kernels, strict=True))

    close(
        jax.jit(jax.grad(total, (0, 1)))(*operands),
        jax.jit(jax.grad(loop, (0, 1)))(*operands),
        5e-5,
    )


def test_mapped_over_kernels_within_mapped_over_images():
    x, kernels = normal(0, 2, 1, 5, 5, 3), normal(1, 3, 3, 3, 3, 2)
    gradient = jax.grad(score(conv2d), (0, 1))
    nested = jax.vmap(jax.vmap(gradient, (None, 0)), (0, None))
    one = jax.jit(jax.grad(score(native), (0, 1)))
    expected = stacked([stacked([one(a, k) for k in kernels]) for a in x])
    close(jax.jit(nested)(x, kernels), expected, 5e-5)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("mapped", [(0, None), (None, 0)], ids=["images", "cotangents"])
def test_gradients_mapped_in_one_operand_equal_a_loop(mapped, channels):
    """A linear score has one cotangent for all images."""
    kernel = normal(2, 3, 3, channels, 4)
    xs, gs = normal(0, REPLICAS, 2, 6, 5, channels), normal(1, REPLICAS, 2, 6, 5, 4)

    def gradients(function):
        return lambda x, g: jax.vjp(function, x, kernel)[1](g)

    operands = [a[0] if axis is None else a for a, axis in zip((xs, gs), mapped, strict=True)]
    replicas = [
        [a if axis is None else a[i] for a, axis in zip(operands, mapped, strict=True)]
        for i in range(REPLICAS)
    ]
    actual = jax.jit(jax.vmap(gradients(conv2d), mapped))(*operands)
    one = jax.jit(gradients(native))
    close(actual, stacked([one(*each) for each in replicas]), 5e-5)


def test_mapped_over_kernels_is_no_grouped_convolution():
    """What `vmap` over seeds becomes by default costs ten times as much as the calls (on CPU)."""
    x, kernels = normal(0, 3, 2, 5, 5, 4), normal(1, 3, 3, 3, 4, 4)

    def groups(function):
        gradient = jax.vmap(jax.grad(score(function), (0, 1)))
        text = jax.jit(gradient).lower(x, kernels).as_text()
        counts = re.findall(r"(?:feature|batch)_group_count = (\d+)", text)
        return {int(count) for count in counts}

    assert groups(native) == {1, REPLICAS}  # the reference shows that this would be seen
    assert groups(conv2d) == {1}


# Inside other transformations.


def test_under_remat():
    x, kernel = normal(0, 2, 6, 5, 4), normal(1, 3, 3, 4, 4)
    remat = jax.checkpoint(score(conv2d))
    close(
        jax.jit(jax.grad(remat, (0, 1)))(x, kernel),
        jax.jit(jax.grad(score(native), (0, 1)))(x, kernel),
    )


def test_inside_a_scan():
    xs, kernel = normal(0, 3, 2, 4, 4, 1), normal(1, 3, 3, 1, 1) / 5

    def rolled(kernel):
        carry, ys = lax.scan(
            lambda c, x: (jnp.tanh(conv2d(c + x, kernel)), c.sum()), jnp.zeros(xs.shape[1:]), xs
        )
        return carry.sum() + (ys**2).sum()

    def loop(kernel):
        carry, total = jnp.zeros(xs.shape[1:]), 0.0
        for x in xs:
            total += carry.sum() ** 2
            carry = jnp.tanh(native(carry + x, kernel))
        return carry.sum() + total

    close(jax.jit(jax.value_and_grad(rolled))(kernel), jax.jit(jax.value_and_grad(loop))(kernel))


@pytest.mark.parametrize(
    ("channels", "side", "filters"), [(1, 3, 4), (4, 3, 4), (4, 4, 4), (65, 4, 4), (32, 4, 128)]
)
def test_inside_shard_map(channels, side, filters):
    """Images cut over eight devices, one kernel for all: gradients are those of one device."""
    assert jax.device_count() == 8
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x, bias = normal(0, 8, 6, 6, channels), normal(2, filters)
    kernel = normal(1, side, side, channels, filters)

    def mean(x, kernel, bias):
        return jnp.mean(jnp.tanh(conv2d(x, kernel, bias, stride=2)) ** 2)

    @jax.jit
    @jax.shard_map(
        mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=(P(), (P("data"), P(), P()))
    )
    def spread(x, kernel, bias):
        def local(x, kernel, bias):
            return lax.pmean(mean(x, kernel, bias), "data")

        return jax.value_and_grad(local, (0, 1, 2))(x, kernel, bias)

    def reference(x, kernel, bias):
        return jnp.mean(jnp.tanh(native(x, kernel, bias, stride=2)) ** 2)

    one_device = jax.jit(jax.value_and_grad(reference, (0, 1, 2)))
    close(spread(x, kernel, bias), one_device(x, kernel, bias), 2e-6)
