"""The supervised learner: its loss, its masks, its microbatches."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from dl_jax import backprop
from dl_jax.errors import UsageError
from dl_jax.functional import correct, cross_entropy, l2_loss
from dl_jax.learners import TrainState, augment_images, manual_backprop, supervised
from dl_jax.models import from_linen, mlp
from dl_jax.shape_checks import TypeCheckError
from tests.learners.problem import (
    SHAPE,
    close,
    make_batch,
    make_cnn,
    make_learner,
    make_mlp,
    train,
)

KEY = jax.random.key(0)


def started(learner):
    return jax.jit(learner.init)(KEY)


def one_step(learner, batch):
    return train(learner, started(learner), [batch])


def test_state_holds_arrays_only_and_one_replica():
    state = started(make_learner())
    assert isinstance(state, TrainState)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    assert (state.step.shape, state.step.dtype, int(state.step)) == ((), jnp.int32, 0)
    assert jax.tree.structure(state) == jax.tree.structure(started(make_learner()))
    after, _ = one_step(make_learner(), make_batch())
    assert int(after.step) == 1
    np.testing.assert_array_equal(jax.random.key_data(after.key), jax.random.key_data(state.key))


def test_a_step_is_the_gradient_step_computed_by_hand():
    learner = make_learner(optimizer=optax.sgd(0.5))
    batch, state = make_batch(), started(learner)
    x = np.asarray(batch["image"], np.float64).reshape(8, -1)
    w = {name: np.asarray(leaf, np.float64) for name, leaf in (
        (f"{layer}/{kind}", state.params[layer][kind])
        for layer in ("dense1", "head") for kind in ("kernel", "bias")
    )}  # fmt: skip
    before = x @ w["dense1/kernel"] + w["dense1/bias"]
    hidden = np.maximum(before, 0)
    logits = hidden @ w["head/kernel"] + w["head/bias"]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    labels = np.asarray(batch["label"])
    loss = -np.log(p[np.arange(8), labels])
    error = (p - np.eye(3)[labels]) / 8
    back = (error @ w["head/kernel"].T) * (before > 0)
    gradients = {
        "dense1/kernel": x.T @ back,
        "dense1/bias": back.sum(0),
        "head/kernel": hidden.T @ error,
        "head/bias": error.sum(0),
    }
    after, metrics = train(learner, state, [batch])
    assert metrics.counts == {"loss": 8, "accuracy": 8}
    np.testing.assert_allclose(metrics.means()["loss"], loss.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics.means()["accuracy"], (logits.argmax(-1) == labels).mean())
    for name, gradient in gradients.items():
        layer, kind = name.split("/")
        expected = w[name] - 0.5 * gradient
        np.testing.assert_allclose(after.params[layer][kind], expected, rtol=1e-4, atol=1e-6)


def test_evaluation_changes_nothing_and_draws_nothing():
    learner = make_learner(make_mlp(dropout_rate=0.5))
    plain, state, batch = make_learner(), started(learner), make_batch()
    close(jax.jit(learner.eval_step)(state, batch), jax.jit(plain.eval_step)(state, batch))


# Masks.


MASK = np.array([1, 1, 0, 1, 1, 0, 1, 0], np.float32)


@pytest.mark.parametrize("microbatches", [1, 2])
@pytest.mark.parametrize("filling", [7.0, np.nan, np.inf])
@pytest.mark.parametrize("make_model", [make_mlp, make_cnn])
def test_masked_examples_have_no_influence(make_model, filling, microbatches):
    """Whatever stands in them: the step is that of a batch without them."""
    learner = make_learner(make_model(), optax.sgd(0.5), microbatches=microbatches)
    batch = make_batch(mask=MASK)
    keep = np.flatnonzero(MASK)
    image = jnp.where(MASK.reshape(-1, 1, 1, 1) != 0, batch["image"], filling)
    masked = {**batch, "image": image}
    smaller = {name: array[keep] for name, array in batch.items() if name != "mask"}
    reference = make_learner(make_model(), optax.sgd(0.5))
    actual, expected = one_step(learner, masked), one_step(reference, smaller)
    close(actual, expected, 2e-5)
    assert actual[1].counts["loss"] == 5
    state = started(learner)
    close(jax.jit(learner.eval_step)(state, masked), jax.jit(reference.eval_step)(state, smaller))


def test_masked_targets_may_be_anything():
    model = make_mlp()
    learner = supervised(model, l2_loss, optax.sgd(0.1), metrics={}, targets="target")
    batch = make_batch(mask=MASK)
    targets = jnp.where(MASK.reshape(-1, 1) != 0, 1.0, jnp.full((8, 3), jnp.nan))
    state, metrics = one_step(learner, {**batch, "target": targets})
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert np.isfinite(metrics.means()["loss"])


def test_masked_labels_may_lie_outside_the_classes():
    batch = make_batch(mask=MASK)
    outside = {**batch, "label": jnp.where(MASK != 0, batch["label"], 255)}
    close(one_step(make_learner(), outside), one_step(make_learner(), batch))


def test_a_batch_of_masked_examples_alone_does_nothing():
    learner = make_learner(optimizer=optax.sgd(0.5))
    state, metrics = one_step(learner, make_batch(mask=np.zeros(8)))
    close(state.params, started(learner).params)
    assert metrics.counts["loss"] == 0
    assert metrics.sums["loss"] == 0


def test_a_mask_of_ones_is_no_mask():
    close(
        one_step(make_learner(), make_batch(mask=np.ones(8))),
        one_step(make_learner(), make_batch()),
    )


# Microbatches.


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("make_model", [make_mlp, make_cnn])
def test_microbatches_give_the_step_of_the_whole_batch(make_model, mask):
    batch = make_batch(mask=mask)
    whole = one_step(make_learner(make_model(), optax.sgd(0.5)), batch)
    for microbatches in (2, 4):
        learner = make_learner(make_model(), optax.sgd(0.5), microbatches=microbatches)
        close(one_step(learner, batch), whole, 1e-6)


def test_microbatches_draw_their_own_dropout():
    """Two equal halves of a batch are dropped differently."""
    half = make_batch(4)
    twice = jax.tree.map(lambda a: jnp.concatenate([a, a]), half)
    model = make_mlp(dropout_rate=0.5)
    _, whole = one_step(make_learner(model, microbatches=2), twice)
    assert whole.counts["loss"] == 8
    key = jax.random.fold_in(started(make_learner(model)).key, 0)
    params = started(make_learner(model)).params

    def loss_of(index):
        _, model_key = jax.random.split(jax.random.fold_in(key, index))
        logits, _ = model.apply(params, {}, half["image"], train=True, key=model_key)
        return cross_entropy(logits, half["label"]).sum()

    first, second = loss_of(0), loss_of(1)
    assert abs(first - second) > 1e-3
    np.testing.assert_allclose(whole.sums["loss"], first + second, rtol=1e-5)


def test_running_statistics_pass_from_microbatch_to_microbatch():
    class Network(linen.Module):
        @linen.compact
        def __call__(self, x, train):
            x = linen.BatchNorm(use_running_average=not train, momentum=0.5)(x)
            return linen.Dense(3)(x.reshape(x.shape[0], -1))

    learner = make_learner(from_linen(Network(), SHAPE), microbatches=2)
    batch = make_batch()
    state, _ = one_step(learner, batch)
    means = [np.mean(batch["image"][i : i + 4]) for i in (0, 4)]
    actual = state.model_state["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(actual, [0.25 * means[0] + 0.5 * means[1]], rtol=1e-5)


def test_microbatches_that_do_not_divide_the_batch():
    with pytest.raises(UsageError, match="8 examples cannot be split into 3"):
        one_step(make_learner(microbatches=3), make_batch())


@pytest.mark.parametrize("count", [0, -1, 1.5])
@pytest.mark.usefixtures("without_type_checks")
def test_a_count_of_microbatches_out_of_range_is_refused(count):
    with pytest.raises(UsageError, match=f"microbatches is {count}, expected"):
        make_learner(microbatches=count)


@pytest.mark.parametrize("of", [jnp.mean, lambda losses: losses[:, None]])
def test_a_loss_is_one_value_per_example(of):
    def loss(outputs, targets):
        return of(cross_entropy(outputs, targets))

    with pytest.raises(UsageError, match=r"loss of a batch has shape .* expected \(8,\)"):
        one_step(supervised(make_mlp(), loss, optax.sgd(1.0)), make_batch())


def test_a_metric_may_not_be_named_loss():
    """It would replace the loss, and the parameters would never change."""
    with pytest.raises(UsageError, match="metrics has one named 'loss'"):
        make_learner(metrics={"loss": correct})


def supervised_of_images():
    return make_learner()


def manual_of_images():
    network = backprop.chain({"flatten": backprop.flatten(), "head": backprop.dense()})
    loss = backprop.cross_entropy()
    return manual_backprop(mlp(SHAPE, (), 3).init, network, loss, optax.sgd(0.1))


@pytest.mark.parametrize("make", [supervised_of_images, manual_of_images])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: {"images": b["image"], "label": b["label"]}, "no inputs 'image', its arrays are "
         "images, label; did you mean 'images'?"),
        (lambda b: {"image": b["image"], "lable": b["label"]}, "no targets 'label', .* 'lable'?"),
        (lambda b: {**b, "image": b["image"][:1]}, r"image \[1, 4, 4, 1\], label \[8\], expected"),
        (lambda b: {**b, "label": b["label"][0]}, r"label \[\], expected the same number"),
        (lambda b: {**b, "mask": jnp.ones((8, 1))}, r"mask \[8, 1\], expected .* mask \[batch\]"),
        (lambda b: {**b, "mask": jnp.ones(1)}, r"mask \[1\], expected the same number"),
    ],
    ids=["inputs", "targets", "one image", "one label", "column mask", "one mask"],
)  # fmt: skip
def test_batches_that_do_not_fit_are_refused(make, change, said):
    learner = make()
    state, batch = jax.eval_shape(learner.init, KEY), change(make_batch())
    for step in (learner.train_step, learner.eval_step):
        with pytest.raises(UsageError, match=said):
            jax.eval_shape(step, state, batch)


def test_manual_backprop_refuses_to_train_with_a_mask():
    learner, batch = manual_of_images(), make_batch(mask=MASK)
    state = jax.eval_shape(learner.init, KEY)
    with pytest.raises(UsageError, match="a training batch with a mask"):
        jax.eval_shape(learner.train_step, state, batch)
    assert set(jax.eval_shape(learner.eval_step, state, batch).sums) == {"loss", "accuracy"}


@pytest.mark.parametrize("shape", [(8, 1), (8,)])
def test_a_line_is_learned_or_its_shapes_are_refused(shape):
    """y = 3 x + 1: predictions [B, 1] against targets [B] would be compared as [B, B]."""
    x = jnp.linspace(-1, 1, 8).reshape(8, 1)
    learner = supervised(
        mlp((1,), (), 1), l2_loss, optax.sgd(0.5), inputs="x", targets="y", metrics={}
    )
    with jax.numpy_rank_promotion("allow"):  # as users run it
        try:
            state, _ = train(
                learner, started(learner), [{"x": x, "y": (3 * x + 1).reshape(shape)}] * 60
            )
        except TypeCheckError:
            assert shape == (8,)
            return
    assert shape == (8, 1)
    np.testing.assert_allclose(state.params["head"]["kernel"], [[3.0]], atol=1e-3)


# Augmentation, randomness and the rest.


def test_augmentation_is_applied_only_in_training():
    def darken(batch, *, key):
        return {**batch, "image": batch["image"] * 0}

    learner, plain, batch = make_learner(augment=darken), make_learner(), make_batch()
    dark = {**batch, "image": batch["image"] * 0}
    close(one_step(learner, batch), one_step(plain, dark))
    state = started(learner)
    close(jax.jit(learner.eval_step)(state, batch), jax.jit(plain.eval_step)(state, batch))


def test_each_step_has_its_own_random_numbers():
    seen = []

    def noise(images, *, key):
        return images + jax.random.normal(key, images.shape)

    learner = make_learner(optimizer=optax.sgd(0.0), augment=augment_images(noise))
    for _ in range(2):
        state, losses = started(learner), []
        for _ in range(3):
            state, metrics = train(learner, state, [make_batch()])
            losses.append(float(metrics.means()["loss"]))
        assert len(set(losses)) == 3
        seen.append(losses)
    assert seen[0] == seen[1]


def test_mixed_labels_leave_the_accuracy_out_of_training():
    def mix(batch, *, key):
        return {**batch, "label": jax.nn.one_hot(batch["label"], 3)}

    learner, batch = make_learner(augment=mix), make_batch()
    _, metrics = one_step(learner, batch)
    assert set(metrics.sums) == {"loss"}
    plain, _ = one_step(make_learner(), batch)
    close(one_step(learner, batch)[0], plain)  # the same labels, written otherwise
    assert set(learner.eval_step(started(learner), batch).sums) == {"loss", "accuracy"}


def test_label_smoothing_trains_and_does_not_enter_the_validation_loss():
    smoothed = partial(cross_entropy, label_smoothing=0.3)
    optimizer, batch = optax.sgd(0.1), make_batch()
    learner = supervised(make_mlp(), smoothed, optimizer, eval_loss=cross_entropy)
    both = supervised(make_mlp(), smoothed, optimizer)
    close(one_step(learner, batch), one_step(both, batch))
    state = started(learner)
    close(learner.eval_step(state, batch), make_learner().eval_step(state, batch))
    assert both.eval_step(state, batch).sums["loss"] != learner.eval_step(state, batch).sums["loss"]


def test_functions_of_images_augment_in_turn_with_keys_of_their_own():
    def first(images, *, key):
        return images + jax.random.normal(key, ())

    def second(images, *, key):
        return images * jax.random.normal(key, ())

    batch, (a, b) = make_batch(), jax.random.split(KEY)
    changed = augment_images(first, second)(batch, key=KEY)
    close(changed["image"], second(first(batch["image"], key=a), key=b))
    close(changed["label"], batch["label"])


def test_a_step_is_traced_once():
    import chex

    chex.clear_trace_counter()
    learner = make_learner(make_mlp(dropout_rate=0.1))
    step = jax.jit(chex.assert_max_traces(learner.train_step, n=1))
    state = started(learner)
    for seed in range(3):
        state, _ = step(state, make_batch(seed=seed))


def test_names_of_inputs_targets_and_metrics():
    def worst(outputs, targets):
        return jnp.abs(outputs - targets).max(-1)

    model = make_mlp()
    learner = supervised(
        model, l2_loss, optax.sgd(0.1), inputs="x", targets="y", metrics={"worst": worst}
    )
    batch = {"x": make_batch()["image"], "y": jnp.ones((8, 3))}
    state = started(learner)
    outputs, _ = model.apply(state.params, {}, batch["x"], train=False)
    measured = jax.jit(learner.eval_step)(state, batch).means()
    assert set(measured) == {"loss", "worst"}
    np.testing.assert_allclose(measured["worst"], jnp.abs(outputs - 1).max(-1).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        measured["loss"], 0.5 * ((outputs - 1) ** 2).sum(-1).mean(), rtol=1e-5
    )


def test_learns_what_the_images_show():
    learner = make_learner()
    state, _ = train(learner, started(learner), [make_batch(32, seed) for seed in range(200)])
    measured = jax.jit(learner.eval_step)(state, make_batch(200, 1000)).means()
    assert measured["accuracy"] > 0.9  # by chance 0.33


def test_a_metric_that_does_not_fit_is_named_with_what_to_pass():
    """The simplest regression, with the default metric of classifiers."""
    learner = supervised(mlp((1,), (), 1), l2_loss, optax.sgd(0.1), inputs="x", targets="y")
    batch = {"x": jnp.ones((4, 1)), "y": jnp.ones((4, 1))}
    with pytest.raises(UsageError, match=r"metric 'accuracy' does not fit .* pass metrics=\{\}"):
        learner.train_step(learner.init(KEY), batch)
