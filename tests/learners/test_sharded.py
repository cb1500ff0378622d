"""Eight devices compute what one does, and hold the parts that the rules give them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from dl_jax.errors import UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import (
    REPLICATED,
    fully_sharded,
    local_mesh,
    over_hyperparameters,
    over_seeds,
    sharded,
    supervised,
)
from dl_jax.models import cnn, mlp
from dl_jax.optim import by_path, frozen
from tests.learners.problem import CLASSES, SHAPE, close, make_batch, train

KEY = jax.random.key(5)
STEPS = 10
RULES = {"data-parallel": lambda mesh: REPLICATED, "fully sharded": fully_sharded}
MODELS = {
    "mlp": lambda **options: mlp(SHAPE, (16,), CLASSES, **options),
    "cnn": lambda **options: cnn(SHAPE, [(8,), (16,)], CLASSES, **options),
}


@pytest.fixture(scope="module")
def mesh():
    assert jax.device_count() == 8
    return local_mesh()


def make_learner(model, optimizer=None):
    optimizer = optax.adam(1e-2) if optimizer is None else optimizer
    return supervised(model, cross_entropy, optimizer)


def placed(tree):
    """(shape, shape of one device's part) of each leaf."""
    return [(leaf.shape, leaf.sharding.shard_shape(leaf.shape)) for leaf in jax.tree.leaves(tree)]


def batches(*streams, size=16):
    return [make_batch(size, seed, streams=streams) for seed in range(STEPS)]


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("make_model", MODELS.values(), ids=MODELS)
def test_ten_steps_equal_those_of_one_device(make_model, rules, mesh):
    single = make_learner(make_model(dropout_rate=0.2))
    spread = sharded(single, mesh, rules(mesh))
    start, data = jax.jit(spread.init)(KEY), batches()
    assert all(len(leaf.sharding.device_set) == 8 for leaf in jax.tree.leaves(start))
    alone = jax.jit(single.init)(KEY)
    assert all(len(leaf.sharding.device_set) == 1 for leaf in jax.tree.leaves(alone))
    close(start, alone, 1e-6)
    actual, expected = train(spread, start, data), train(single, alone, data)
    close(actual, expected, 1e-5)
    assert placed(actual[0]) == placed(start)
    close(
        jax.jit(spread.eval_step)(actual[0], make_batch(24, 77)),
        jax.jit(single.eval_step)(expected[0], make_batch(24, 77)),
    )


def test_data_parallel_holds_all_parameters_everywhere(mesh):
    state = jax.jit(sharded(make_learner(MODELS["cnn"]()), mesh).init)(KEY)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("compiled", [False, True])
def test_fully_sharded_splits_parameters_and_moments(compiled, mesh):
    learner = sharded(make_learner(MODELS["mlp"]()), mesh, fully_sharded(mesh))
    state = (jax.jit(learner.init) if compiled else learner.init)(KEY)
    parts = {
        "dense1": {"kernel": (2, 16), "bias": (2,)},  # of (16, 16) and (16,)
        "head": {"kernel": (2, 3), "bias": (3,)},  # of (16, 3), and of (3,), which is not cut
    }
    moments = state.opt_state[0]
    for tree in (state.params, moments.mu, moments.nu):
        shapes = jax.tree.map(lambda leaf: leaf.sharding.shard_shape(leaf.shape), tree)
        assert shapes == parts
    assert moments.count.sharding.is_fully_replicated
    assert state.key.sharding.is_fully_replicated


def test_fully_sharded_splits_the_longest_of_several_axes(mesh):
    ((_, rule),) = fully_sharded(mesh)
    assert rule((3, 3, 8, 64)) == P(None, None, None, "data")
    assert rule((3, 3, 64, 8)) == P(None, None, "data", None)
    assert rule((100, 16)) == P(None, "data")  # 100 is longer, but 8 does not divide it
    assert rule((10,)) == rule(()) == rule((4, 4)) == P()


def test_rules_over_paths_place_parameters_and_their_moments(mesh):
    rules = [("dense1/kernel", P(None, "data")), (".*", P())]
    spread = sharded(make_learner(MODELS["mlp"]()), mesh, rules)
    state, _ = train(spread, jax.jit(spread.init)(KEY), batches()[:2])
    for tree in (state.params, state.opt_state[0].mu, state.opt_state[0].nu):
        assert tree["dense1"]["kernel"].sharding.spec == P(None, "data")
        assert tree["dense1"]["bias"].sharding.is_fully_replicated
        assert tree["head"]["kernel"].sharding.is_fully_replicated


def test_moments_inside_a_partition_are_placed_as_their_parameters(mesh):
    optimizer = by_path([("head/.*", frozen()), (".*", optax.adam(1e-2))])
    spread = sharded(make_learner(MODELS["mlp"](), optimizer), mesh, fully_sharded(mesh))
    state = jax.jit(spread.init)(KEY)
    cut = [shapes for shapes in placed(state.opt_state) if shapes[0] == (16, 16)]
    assert cut == [((16, 16), (2, 16))] * 2


def test_unmatched_pattern_is_an_error(mesh):
    spread = sharded(make_learner(MODELS["mlp"]()), mesh, [("dnse1/.*", P()), (".*", P())])
    with pytest.raises(UsageError, match="matches no path"):
        spread.init(KEY)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("make_model", MODELS.values(), ids=MODELS)
def test_replicas_on_devices_equal_those_on_one(make_model, rules, mesh):
    many = over_seeds(make_learner(make_model()), 2)
    spread = sharded(many, mesh, rules(mesh))
    start, data = jax.jit(spread.init)(KEY), batches(2)[:3]
    assert start.replicas == (2,)
    close(start, jax.jit(many.init)(KEY), 1e-6)
    actual = train(spread, start, data)
    close(actual, train(many, jax.jit(many.init)(KEY), data), 1e-5)
    close(
        jax.jit(spread.eval_step)(actual[0], make_batch(8, 77)),
        jax.jit(many.eval_step)(actual[0], make_batch(8, 77)),
    )


def test_sweeps_share_their_batch_over_devices(mesh):
    """Their state has an axis of points, their batches have none."""

    def make(learning_rate):
        return make_learner(MODELS["mlp"](), optax.sgd(learning_rate))

    sweep = over_hyperparameters(make, {"learning_rate": [0.1, 0.5]})
    spread = sharded(over_seeds(sweep, 2), mesh, fully_sharded(mesh))
    assert spread.streams == (2,)
    state, data = jax.jit(spread.init)(KEY), batches(2)[:2]
    assert state.replicas == (2, 2)
    expected = train(over_seeds(sweep, 2), jax.jit(over_seeds(sweep, 2).init)(KEY), data)
    close(train(spread, state, data), expected, 1e-5)


def test_the_axis_of_replicas_is_not_split(mesh):
    """Even where its length would divide: placements describe a parameter's own axes."""
    many = over_seeds(make_learner(MODELS["mlp"]()), 8)
    state = jax.jit(sharded(many, mesh, fully_sharded(mesh)).init)(KEY)
    for tree in (state.params, state.opt_state[0].mu):
        kernel = tree["dense1"]["kernel"]
        assert kernel.sharding.shard_shape(kernel.shape) == (8, 2, 16)
        bias = tree["head"]["bias"]
        assert bias.sharding.shard_shape(bias.shape) == (8, 3)


def test_batches_are_split_along_examples(mesh):
    """Seen from inside: the sharding that the model's inputs have while the step is compiled."""
    seen = []

    def look(images, *, key):
        jax.debug.inspect_array_sharding(images, callback=seen.append)
        return images

    learner = supervised(MODELS["mlp"](), cross_entropy, optax.sgd(0.1), augment=look)
    spread = sharded(learner, mesh)
    train(spread, jax.jit(spread.init)(KEY), batches()[:1])
    assert seen
    assert seen[0].shard_shape((16, *SHAPE)) == (2, *SHAPE)


def test_a_mesh_without_the_axis(mesh):
    with pytest.raises(UsageError, match="axis is 'model', expected one of data"):
        sharded(make_learner(MODELS["mlp"]()), mesh, axis="model")


@pytest.mark.parametrize("streams", [(), (2,)])
def test_a_batch_that_the_devices_do_not_divide(streams, mesh):
    learner = make_learner(MODELS["mlp"]())
    spread = sharded(over_seeds(learner, 2) if streams else learner, mesh)
    state = jax.jit(spread.init)(KEY)
    with pytest.raises(UsageError, match="make its size a multiple of 8"):
        spread.train_step(state, make_batch(12, streams=streams))
    with pytest.raises(UsageError, match="12 examples .* make its size a multiple of 8"):
        spread.eval_step(state, make_batch(12))


def test_masked_examples_count_nothing_on_any_device(mesh):
    """All that count lie on two of the devices."""
    learner = make_learner(MODELS["mlp"](), optax.sgd(0.5))
    spread, mask = sharded(learner, mesh), np.arange(16) < 3
    state = jax.jit(spread.init)(KEY)
    masked = make_batch(16, mask=mask)
    smaller = {name: array[:3] for name, array in make_batch(16).items()}
    expected = train(learner, jax.jit(learner.init)(KEY), [smaller])
    close(train(spread, state, [masked]), expected, 1e-5)
    assert jnp.all(jax.jit(spread.eval_step)(state, masked).counts["loss"] == 3)
