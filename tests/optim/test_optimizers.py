"""Optimizers, against optax's over a hundred steps, and in its company."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.optim import (
    adam,
    adamw,
    by_path,
    cosine,
    frozen,
    momentum,
    nesterov,
    path_mask,
    rmsprop,
    sgd,
)
from tests.models.trees import layout

RATE = cosine(0.1, 100)
PAIRS = {
    "sgd": (sgd(0.1), optax.sgd(0.1)),
    "sgd on a schedule": (sgd(RATE), optax.sgd(RATE)),
    "momentum": (momentum(0.01), optax.sgd(0.01, momentum=0.9)),
    "momentum 0.5": (momentum(0.01, decay=0.5), optax.sgd(0.01, momentum=0.5)),
    "nesterov": (nesterov(0.01), optax.sgd(0.01, momentum=0.9, nesterov=True)),
    "rmsprop": (rmsprop(0.01), optax.rmsprop(0.01)),
    "rmsprop 0.99": (rmsprop(0.01, decay=0.99), optax.rmsprop(0.01, decay=0.99)),
    "rmsprop with a large epsilon": (
        rmsprop(0.01, epsilon=0.1),
        optax.rmsprop(0.01, eps=0.1),
    ),
    "adam": (adam(RATE), optax.adam(RATE)),
    "adam 0.5": (adam(0.1, b1=0.5, b2=0.9), optax.adam(0.1, b1=0.5, b2=0.9)),
    "adam with a large epsilon": (adam(0.1, epsilon=0.1), optax.adam(0.1, eps=0.1)),
    "adamw": (adamw(0.1, weight_decay=0.1), optax.adamw(0.1, weight_decay=0.1)),
    "adamw on kernels": (
        adamw(RATE, weight_decay=0.1, mask=path_mask(".*kernel")),
        optax.adamw(RATE, weight_decay=0.1, mask=path_mask(".*kernel")),
    ),
}
each = pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)


def parameters():
    random = np.random.default_rng(0)
    return {
        "dense": {
            "kernel": jnp.asarray(random.normal(size=(3, 4)), jnp.float32),
            "bias": jnp.asarray(random.normal(size=4), jnp.float32),
        },
        "scale": jnp.float32(1.5),
    }


NOISE = np.random.default_rng(1).normal(size=(100, 3, 4)).astype(np.float32)


@each
def test_a_hundred_steps_are_those_of_optax(ours, theirs):
    """On a noisy quadratic bowl, with a parameter whose gradient is always zero."""

    def run(optimizer):
        def step(carry, noise):
            params, state = carry
            kernel, bias = params["dense"]["kernel"], params["dense"]["bias"]
            gradients = {
                "dense": {"kernel": kernel + noise, "bias": 10 * bias}, "scale": jnp.zeros(())
            }  # fmt: skip
            updates, state = optimizer.update(gradients, state, params)
            return (optax.apply_updates(params, updates), state), None

        carry = parameters(), optimizer.init(parameters())
        return jax.lax.scan(step, carry, NOISE)[0][0]

    actual, expected = jax.jit(lambda: (run(ours), run(theirs)))()
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=2e-6)


@each
def test_the_state_is_arrays_and_zero_gradients_move_nothing(ours, theirs):
    params = parameters()
    state = ours.init(params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, after = ours.update(zero, state, params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert layout(after) == layout(state)
    assert float(updates["scale"]) == 0 or theirs is PAIRS["adamw"][1]


@pytest.mark.parametrize(
    "optimizer",
    [sgd(0.05), momentum(0.02), nesterov(0.02), rmsprop(0.01), adam(0.05), adamw(0.05)],
)
def test_the_minimum_is_reached(optimizer):
    """Of Rosenbrock's valley, from close by; the minimum is at (1, 1)."""

    def valley(p):
        return (1 - p[0]) ** 2 + 2 * (p[1] - p[0] ** 2) ** 2

    @jax.jit
    def run(p):
        def step(_, carry):
            p, state = carry
            updates, state = optimizer.update(jax.grad(valley)(p), state, p)
            return optax.apply_updates(p, updates), state

        return jax.lax.fori_loop(0, 2000, step, (p, optimizer.init(p)))[0]

    np.testing.assert_allclose(run(jnp.array([0.2, 0.5])), [1, 1], atol=0.02)


def test_ours_and_optax_compose():
    optimizer = by_path(
        [
            ("dense/bias", frozen()),
            ("dense/.*", optax.chain(optax.clip(1.0), adam(1e-2))),
            (".*", optax.chain(momentum(1e-2), optax.add_decayed_weights(1e-4))),
        ]
    )
    params = parameters()
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    moved = jax.tree.map(lambda leaf: bool((np.asarray(leaf) != 0).any()), updates)
    assert moved == {"dense": {"kernel": True, "bias": False}, "scale": True}


def test_all_numbers_of_an_optimizer_can_be_swept():
    grid = np.array([[1e-3, 0.9, 0.0], [1e-2, 0.5, 0.1]], np.float32)

    def two_steps(rate, b1, decay):
        optimizer = adamw(rate, b1=b1, weight_decay=decay)
        params = parameters()
        state = optimizer.init(params)
        for _ in range(2):
            updates, state = optimizer.update(params, state, params)
            params = optax.apply_updates(params, updates)
        return params

    swept = jax.jit(jax.vmap(lambda point: two_steps(*point)))(grid)
    for i, point in enumerate(grid):
        alone = two_steps(*map(float, point))
        for many, one in zip(jax.tree.leaves(swept), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(many[i], one, rtol=1e-5, atol=1e-6)


def test_decay_without_parameters_is_an_error():
    optimizer = adamw(0.1)
    params = parameters()
    with pytest.raises(ValueError, match="weight decay needs the parameters"):
        optimizer.update(params, optimizer.init(params))


OURS = {name: PAIRS[name][0] for name in ("sgd", "momentum", "nesterov", "rmsprop", "adam")}
OURS["adamw"] = adamw(0.1, weight_decay=0.1)
each_of_ours = pytest.mark.parametrize("ours", OURS.values(), ids=OURS)


@each_of_ours
def test_updates_and_state_keep_their_types_under_jit(ours):
    """A small gradient and a zero, both of which 16 bits tell from infinity over zero."""
    guarded = optax.apply_if_finite(ours, 3)

    @jax.jit
    def both(gradients, params):
        updates, after = ours.update(gradients, ours.init(params), params)
        return updates, after, guarded.update(gradients, guarded.init(params), params)[0]

    for dtype in (jnp.bfloat16, jnp.float16):
        params = {"w": jnp.ones(3, dtype)}
        gradients = {"w": jnp.array([0.5, 1e-3, 0], dtype)}
        eager, state = ours.update(gradients, ours.init(params), params)
        updates, after, of_guarded = both(gradients, params)
        assert updates["w"].dtype == eager["w"].dtype == dtype
        assert layout(state) == layout(after) == layout(ours.init(params))
        assert np.isfinite(updates["w"]).all()
        np.testing.assert_array_equal(of_guarded["w"], updates["w"])


def test_sweeps_keep_the_types_of_16_bits():
    """A decay that is swept is a float32 array, which is no reason to widen the state."""

    def step(b1):
        optimizer = adam(0.1, b1=b1)
        params = jnp.ones(3, jnp.bfloat16)
        return optimizer.update(params, optimizer.init(params), params)

    updates, state = jax.eval_shape(jax.vmap(step), jnp.array([0.5, 0.9]))
    assert updates.dtype == state.rule.mean.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", OURS)
def test_complex_parameters_reach_the_minimum(name):
    target = jnp.array([1 + 2j, -0.5j], jnp.complex64)
    theirs = {
        "sgd": optax.sgd(0.1),
        "momentum": optax.sgd(0.01, momentum=0.9),
        "nesterov": optax.sgd(0.01, momentum=0.9, nesterov=True),
        "rmsprop": optax.rmsprop(0.01),
        "adam": optax.adam(RATE),
        "adamw": optax.adamw(0.1, weight_decay=0.1),
    }[name]

    def trained(optimizer, steps):
        def step(_, carry):
            p, state = carry
            gradient = jax.grad(lambda p: jnp.sum(jnp.abs(p - target) ** 2))(p).conj()
            updates, state = optimizer.update(gradient, state, p)
            return optax.apply_updates(p, updates), state

        p = jnp.array([0.3, 1j], jnp.complex64)
        return jax.lax.fori_loop(0, steps, step, (p, optimizer.init(p)))[0]

    both = jax.jit(lambda steps: (trained(OURS[name], steps), trained(theirs, steps)))
    np.testing.assert_allclose(*both(20), rtol=1e-4)
    if name not in ("adam", "adamw"):  # adam's schedule ends, and adamw's minimum is elsewhere
        np.testing.assert_allclose(both(1000)[0], target, atol=0.02)


@each_of_ours
def test_further_arguments_of_update_are_ignored(ours):
    params = parameters()
    updates, _ = ours.update(params, ours.init(params), params, value=1.0, grad=None)
    expected, _ = ours.update(params, ours.init(params), params)
    jax.tree.map(np.testing.assert_array_equal, updates, expected)


@pytest.mark.parametrize(
    "mask",
    [
        {"dense": {"kernel": True, "bias": False}, "scale": True},
        {"dense": True, "scale": False},
        lambda params: {"dense": True, "scale": False},
        True,
    ],
    ids=["tree", "prefix", "function of a prefix", "one for all"],
)
def test_masks_are_those_of_optax(mask):
    params = parameters()
    zero = jax.tree.map(jnp.zeros_like, params)
    results = []
    for make in (adamw, optax.adamw):
        optimizer = make(0.1, weight_decay=0.5, mask=mask)
        results.append(optimizer.update(zero, optimizer.init(params), params)[0])
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-6), *results)


def test_the_step_counter_stops_at_the_largest_int32():
    optimizer, params = adam(0.1), jnp.ones(2)
    last = optimizer.init(params)._replace(count=jnp.asarray(2**31 - 1, jnp.int32))
    updates, state = optimizer.update(params, last)
    assert state.count == optax.tree.get(state, "count") == 2**31 - 1
    assert (updates < 0).all()


@pytest.mark.parametrize("ours", [sgd(0.1), momentum(0.1), nesterov(0.1), rmsprop(0.1), adam(0.1)])
def test_none_gradients_pass_through(ours):
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    state = ours.init(params)
    updates, after = ours.update({"a": jnp.ones(2), "b": None}, state, params)
    assert updates["b"] is None
    alone, _ = ours.update({"a": jnp.ones(2)}, ours.init({"a": params["a"]}))
    np.testing.assert_allclose(updates["a"], alone["a"], rtol=1e-6)
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_a_tree_of_no_parameters_has_no_decay():
    optimizer = adamw(0.1)
    assert optimizer.update(None, optimizer.init(None), None)[0] is None


@pytest.mark.parametrize("kind", [float, np.float32, jnp.float32])
@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (sgd, "learning_rate", [-0.5, np.nan, np.inf]),
        (lambda v: momentum(0.1, decay=v), "decay", [1.0, -0.5, np.nan]),
        (lambda v: nesterov(0.1, decay=v), "decay", [1.0]),
        (lambda v: rmsprop(0.1, decay=v), "decay", [1.0]),
        (lambda v: rmsprop(0.1, epsilon=v), "epsilon", [-1.0]),
        (lambda v: adam(0.1, b1=v), "b1", [1.0, -0.5]),
        (lambda v: adam(0.1, b2=v), "b2", [1.5, np.nan]),
        (lambda v: adam(0.1, epsilon=v), "epsilon", [-1.0, np.nan]),
        (lambda v: adamw(0.1, weight_decay=v), "weight_decay", [-0.5, np.nan, np.inf]),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_values_out_of_range_are_refused(make, name, values, kind):
    for value in values:
        with pytest.raises(UsageError, match=f"{name} is {value}, expected"):
            make(kind(value))
    with pytest.raises(UsageError, match=rf"{name} has shape \(2,\), expected one number"):
        make(jnp.ones(2))
