"""Different optimizers for different parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.optim import by_path, freeze, frozen, path_mask
from dl_jax.paths import path_names

PARAMS = {
    "body": {"kernel": jnp.full((3, 2), 2.0), "bias": jnp.full(2, 2.0)},
    "head": {"kernel": jnp.full((2, 4), 2.0), "bias": jnp.full(4, 2.0)},
}
ONES = jax.tree.map(jnp.ones_like, PARAMS)
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)


def step(optimizer, gradients, params=PARAMS):
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    return optax.apply_updates(params, updates)


def moved(after, before=PARAMS):
    """How far each parameter has gone, by its path."""
    difference = jax.tree.map(lambda a, b: np.unique(np.asarray(b - a)), after, before)
    return dict(zip(path_names(difference), jax.tree.leaves(difference), strict=True))


def test_each_group_has_its_learning_rate():
    rules = [("head/bias", optax.sgd(0.5)), ("head/.*", optax.sgd(0.25)), (".*", optax.sgd(0.125))]
    assert moved(step(by_path(rules), ONES)) == {
        "body/bias": 0.125,
        "body/kernel": 0.125,
        "head/bias": 0.5,
        "head/kernel": 0.25,
    }


def test_each_group_is_updated_as_its_optimizer_alone_would():
    gradients = jax.tree.map(lambda p: jnp.linspace(-1, 2, p.size).reshape(p.shape), PARAMS)
    adam, momentum = optax.adam(0.1), optax.sgd(0.1, momentum=0.9)
    both = by_path([("head/.*", adam), (".*", momentum)])
    actual, state = PARAMS, both.init(PARAMS)
    alone = {"head": (PARAMS["head"], adam.init(PARAMS["head"]), adam)}
    alone["body"] = PARAMS["body"], momentum.init(PARAMS["body"]), momentum
    for _ in range(3):
        updates, state = both.update(gradients, state, actual)
        actual = optax.apply_updates(actual, updates)
        for name, (params, own, optimizer) in alone.items():
            updates, own = optimizer.update(gradients[name], own, params)
            alone[name] = optax.apply_updates(params, updates), own, optimizer
    for name, (params, _, _) in alone.items():
        for a, b in zip(jax.tree.leaves(actual[name]), jax.tree.leaves(params), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        freeze("body/.*", optax.adamw(0.1, weight_decay=0.5)),
        by_path([("body/.*", frozen()), (".*", optax.adamw(0.1, weight_decay=0.5))]),
    ],
    ids=["freeze", "by_path"],
)
def test_frozen_parameters_stay_and_have_no_moments(optimizer):
    after = step(optimizer, ONES)
    for name, leaf in after["body"].items():
        np.testing.assert_array_equal(leaf, PARAMS["body"][name])  # no decay either
    assert all((np.asarray(leaf) < 2).all() for leaf in jax.tree.leaves(after["head"]))
    held = path_names(optimizer.init(PARAMS))
    assert [name for name in held if "body" in name] == []
    assert sum("head" in name for name in held) == 4  # two moments of two parameters


def test_weight_decay_applies_where_the_mask_is_true():
    optimizer = optax.adamw(0.5, weight_decay=0.5, mask=path_mask(".*/kernel"))
    after = moved(step(optimizer, ZEROS))
    assert after == {
        "body/kernel": pytest.approx(0.5 * 0.5 * 2),
        "head/kernel": pytest.approx(0.5 * 0.5 * 2),
        "body/bias": 0.0,
        "head/bias": 0.0,
    }


def test_path_mask_is_true_where_the_pattern_matches():
    assert path_mask("head/.*")(PARAMS) == {
        "body": {"kernel": False, "bias": False},
        "head": {"kernel": True, "bias": True},
    }


def test_unmatched_pattern_is_an_error_at_init():
    with pytest.raises(UsageError, match="pattern 'haed/.\\*' matches no path"):
        by_path([("haed/.*", frozen()), (".*", optax.sgd(1.0))]).init(PARAMS)
    with pytest.raises(UsageError, match="matches no path"):
        freeze("tail/.*", optax.sgd(1.0)).init(PARAMS)
    with pytest.raises(UsageError, match="matches no path"):
        optax.adamw(1.0, mask=path_mask(".*/krenel")).init(PARAMS)


def test_a_pattern_that_is_not_strict_may_match_nothing():
    assert path_mask(".*/krenel", strict=False)({"head": {"bias": 1}}) == {"head": {"bias": False}}


def test_unmatched_path_is_an_error_at_init():
    with pytest.raises(UsageError, match="path 'body/bias' matches none of the patterns"):
        by_path([("head/.*", optax.sgd(1.0)), (".*/kernel", optax.sgd(1.0))]).init(PARAMS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: freeze("(", optax.sgd(1.0)),
        lambda: by_path([("*", frozen()), (".*", optax.sgd(1.0))]),
        lambda: path_mask("kernel["),
    ],
)
def test_an_invalid_regular_expression_is_refused(make):
    with pytest.raises(UsageError, match="is not a regular expression"):
        make()
