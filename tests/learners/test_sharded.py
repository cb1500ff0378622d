"""Each of eight devices holds the part that the rules give it."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from dl_jax.errors import UsageError
from dl_jax.learners import fully_sharded, local_mesh, over_seeds, sharded
from dl_jax.models import mlp
from dl_jax.optim import by_path, frozen
from tests.learners.problem import (
    CLASSES,
    KEY,
    SGD,
    SHAPE,
    close,
    evaluate,
    make_batch,
    make_cnn,
    make_learner,
    make_mlp,
    one_step,
    started,
)

make_wide = partial(mlp, SHAPE, (16,), CLASSES)


@pytest.fixture(scope="module")
def mesh():
    assert jax.device_count() == 8
    return local_mesh()


def test_data_parallel_holds_all_parameters_everywhere(mesh):
    state = started(sharded(make_learner(make_cnn), mesh))
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("compiled", [False, True])
def test_fully_sharded_splits_parameters_and_moments(compiled, mesh):
    learner = sharded(make_learner(make_wide), mesh, fully_sharded(mesh))
    state = started(learner) if compiled else learner.init(KEY)
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
    state, _ = one_step(sharded(make_learner(make_wide), mesh, rules), make_batch())
    for tree in (state.params, state.opt_state[0].mu, state.opt_state[0].nu):
        assert tree["dense1"]["kernel"].sharding.spec == P(None, "data")
        assert tree["dense1"]["bias"].sharding.is_fully_replicated
        assert tree["head"]["kernel"].sharding.is_fully_replicated


def test_moments_inside_a_partition_are_placed_as_their_parameters(mesh):
    optimizer = by_path([("head/.*", frozen()), (".*", optax.adam(1e-2))])
    state = started(sharded(make_learner(make_wide, optimizer), mesh, fully_sharded(mesh)))
    moments = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == (16, 16)]
    assert [leaf.sharding.shard_shape(leaf.shape) for leaf in moments] == [(2, 16)] * 2


def test_unmatched_pattern_is_an_error(mesh):
    spread = sharded(make_learner(), mesh, [("dnse1/.*", P()), (".*", P())])
    with pytest.raises(UsageError, match="matches no path"):
        jax.eval_shape(spread.init, KEY)


def test_the_axis_of_replicas_is_not_split(mesh):
    """Even where its length would divide: placements describe a parameter's own axes."""
    many = over_seeds(make_learner(make_wide), 8)
    state = started(sharded(many, mesh, fully_sharded(mesh)))
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

    one_step(sharded(make_learner(augment=look), mesh), make_batch(16))
    assert seen
    assert seen[0].shard_shape((16, *SHAPE)) == (2, *SHAPE)


def test_a_mesh_without_the_axis(mesh):
    with pytest.raises(UsageError, match="axis is 'model', expected one of data"):
        sharded(make_learner(), mesh, axis="model")


@pytest.mark.parametrize("streams", [(), (2,)])
def test_a_batch_that_the_devices_do_not_divide(streams, mesh):
    learner = make_learner()
    spread = sharded(over_seeds(learner, 2) if streams else learner, mesh)
    state = jax.eval_shape(spread.init, KEY)
    with pytest.raises(UsageError, match="make its size a multiple of 8"):
        jax.eval_shape(spread.train_step, state, make_batch(12, streams=streams))
    with pytest.raises(UsageError, match="12 examples .* make its size a multiple of 8"):
        jax.eval_shape(spread.eval_step, state, make_batch(12))


def test_masked_examples_count_nothing_on_any_device(mesh):
    """All that count lie on two of the devices."""
    learner = make_learner(make_mlp, SGD)
    spread = sharded(learner, mesh)
    masked = make_batch(16, mask=np.arange(16) < 3)
    smaller = {name: array[:3] for name, array in make_batch(16).items()}
    close(one_step(spread, masked), one_step(learner, smaller))
    measured = evaluate(spread, started(spread), masked)
    close(measured, evaluate(learner, started(learner), smaller))
    assert measured.counts["loss"] == 3
