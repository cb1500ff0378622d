"""What every classifier of ours promises, checked of each."""

from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.functional import correct, cross_entropy
from dl_jax.models import cnn, mlp, with_compute_dtype
from dl_jax.paths import path_names

CLASSES = 4
IMAGE = (6, 5, 2)
CNN = partial(cnn, IMAGE, [(3,), (4,)], CLASSES, widths=(5,))
MLP = partial(mlp, IMAGE, (8, 7), CLASSES)
MAKERS = {
    "mlp": MLP,
    "cnn": CNN,
}
SMALLEST = {
    "linear": partial(mlp, IMAGE, (), CLASSES),
    "one convolution": partial(cnn, IMAGE, [(3,)], CLASSES),
}


def each(makers):
    return pytest.mark.parametrize("make", makers.values(), ids=makers)


@cache
def start(make):
    """Parameters of a maker's model; dropout does not change them."""
    return jax.jit(make().init)(jax.random.key(0))[0]


def batch(size=6, seed=0):
    rng = np.random.default_rng(seed)
    images = jnp.asarray(rng.normal(size=(size, *IMAGE)), jnp.float32)
    return images, jnp.asarray(rng.integers(CLASSES, size=size))


@each({**MAKERS, **SMALLEST})
def test_shapes(make):
    model = make()
    params, state = jax.jit(model.init)(jax.random.key(0))
    logits, new_state = jax.jit(partial(model.apply, train=False))(params, state, batch()[0])
    assert (logits.shape, logits.dtype) == ((6, CLASSES), jnp.float32)
    assert state == new_state == {}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


@each(MAKERS)
@pytest.mark.parametrize("train", [False, True])
def test_compiled_or_not_is_the_same(make, train):
    model, key = make(dropout_rate=0.5), jax.random.key(1)
    params, state = start(make), {}
    apply = partial(model.apply, train=train, key=key)
    expected = apply(params, state, batch()[0])
    chex.assert_trees_all_close(jax.jit(apply)(params, state, batch()[0]), expected, atol=1e-5)
    chex.assert_trees_all_close(params, model.init(jax.random.key(0))[0], atol=1e-6)


@each(MAKERS)
def test_dropout_acts_in_training_alone_and_by_its_key(make):
    model, images = make(dropout_rate=0.5), batch()[0]
    params, state = start(make), {}

    def logits(train, seed):
        apply = jax.jit(partial(model.apply, train=train))
        return apply(params, state, images, key=jax.random.key(seed))[0]

    np.testing.assert_array_equal(logits(False, 0), logits(False, 1))
    np.testing.assert_array_equal(logits(True, 0), logits(True, 0))
    assert not np.allclose(logits(True, 0), logits(True, 1))
    assert not np.allclose(logits(True, 0), logits(False, 0))
    without = jax.jit(partial(make().apply, train=True))(params, state, images)[0]
    np.testing.assert_array_equal(logits(False, 0), without)


@each(MAKERS)
def test_dropout_without_a_key_is_an_error(make):
    model = make(dropout_rate=0.5)
    params, state = start(make), {}
    with pytest.raises(ValueError, match="apply needs `key=`"):
        model.apply(params, state, batch()[0], train=True)


@each(MAKERS)
def test_initial_parameters_follow_the_key(make):
    init = jax.jit(make().init)
    a, b, c = (init(jax.random.key(seed))[0] for seed in (0, 0, 1))
    chex.assert_trees_all_equal(a, b)
    for name, x, y in zip(path_names(a), jax.tree.leaves(a), jax.tree.leaves(c), strict=True):
        assert bool(jnp.any(x != y)) == name.endswith("kernel"), name


@each(MAKERS)
def test_layers_start_independently(make):
    """No two kernels begin with the same numbers, as they would of a key used twice."""
    kernels = [leaf for leaf in jax.tree.leaves(start(make)) if leaf.ndim > 1]
    first = [np.asarray(k / k.std()).ravel()[:4] for k in kernels]
    for i in range(len(first)):
        for j in range(i):
            assert not np.allclose(first[i], first[j], rtol=0.05)


@each({**MAKERS, **SMALLEST})
def test_every_parameter_gets_a_gradient(make):
    model = make()
    params, state = start(make), {}
    images, labels = batch(32)

    def loss(params):
        logits, _ = model.apply(params, state, images, train=True)
        return cross_entropy(logits, labels).mean()

    gradients = jax.jit(jax.grad(loss))(params)
    chex.assert_tree_all_finite(gradients)
    for name, leaf in zip(path_names(gradients), jax.tree.leaves(gradients), strict=True):
        assert jnp.any(leaf != 0), name


@each(MAKERS)
def test_two_seeds_under_vmap_equal_two_single_models(make):
    model = make(dropout_rate=0.3)
    images, labels = batch()

    def run(params, seed):
        def loss(params):
            key = jax.random.key(seed)
            logits, _ = model.apply(params, {}, images, train=True, key=key)
            return cross_entropy(logits, labels).mean()

        return jax.value_and_grad(loss)(params)

    keys = jax.random.split(jax.random.key(0), 2)
    init = jax.jit(lambda key: model.init(key)[0])
    params = jax.jit(jax.vmap(init))(keys)
    mapped = jax.jit(jax.vmap(run))(params, jnp.arange(2))
    one = jax.jit(run)
    for i in range(2):
        actual, started = jax.tree.map(lambda leaf, i=i: leaf[i], (mapped, params))
        chex.assert_trees_all_close(started, init(keys[i]), atol=1e-6)
        chex.assert_trees_all_close(actual, one(started, i), atol=1e-5, rtol=1e-4)


@each({"mlp": MLP, "cnn": partial(cnn, IMAGE, [(8,), (8,)], CLASSES, widths=(16,))})
def test_one_batch_is_overfitted(make):
    model = make()
    images, labels = batch(16)
    optimizer = optax.adam(1e-2)

    def loss(params):
        logits, _ = model.apply(params, {}, images, train=True)
        return cross_entropy(logits, labels).mean(), correct(logits, labels).mean()

    @jax.jit
    def step(params, opt_state):
        values, gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradients, opt_state)
        return optax.apply_updates(params, updates), opt_state, values

    params = start(make)
    opt_state = optimizer.init(params)
    for _ in range(300):
        params, opt_state, (last_loss, accuracy) = step(params, opt_state)
    assert accuracy == 1
    assert last_loss < 0.05


@each(MAKERS)
def test_traced_once(make):
    model = make(dropout_rate=0.3)
    params, state = start(make), {}
    chex.clear_trace_counter()  # it counts by name and file
    apply = jax.jit(
        chex.assert_max_traces(
            lambda params, images, key: model.apply(params, state, images, train=True, key=key)[0],
            n=1,
        )
    )
    for seed in range(3):
        params = jax.tree.map(jnp.sin, params)
        apply(params, batch(seed=seed)[0], jax.random.key(seed))


@each(MAKERS)
def test_dropout_rate_may_be_swept(make):
    params, state = start(make), {}
    images, key = batch()[0], jax.random.key(1)

    def logits(rate):
        return make(dropout_rate=rate).apply(params, state, images, train=True, key=key)[0]

    swept = jax.jit(jax.vmap(logits))(jnp.array([0.0, 0.3, 0.6]))
    for rate, actual in zip((0.0, 0.3, 0.6), swept, strict=True):
        np.testing.assert_allclose(actual, jax.jit(lambda r=rate: logits(r))(), atol=1e-5)


@each(MAKERS)
def test_bfloat16_keeps_parameters_and_outputs(make):
    model = make()
    half = with_compute_dtype(model, jnp.bfloat16)
    assert half.init is model.init
    params, state = start(make), {}
    images, labels = batch()
    expected, _ = jax.jit(partial(model.apply, train=False))(params, state, images)
    logits, _ = jax.jit(partial(half.apply, train=False))(params, state, images)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, atol=0.03 * float(jnp.abs(expected).max()))
    assert not np.array_equal(logits, expected)  # it did compute in another type

    def loss(model, params):
        logits, _ = model.apply(params, state, images, train=True)
        return cross_entropy(logits, labels).mean()

    rough = jax.jit(jax.grad(partial(loss, half)))(params)
    exact = jax.jit(jax.grad(partial(loss, model)))(params)
    for a, b in zip(jax.tree.leaves(rough), jax.tree.leaves(exact), strict=True):
        assert a.dtype == jnp.float32
        assert jnp.linalg.norm(a - b) < 0.15 * jnp.linalg.norm(b)
