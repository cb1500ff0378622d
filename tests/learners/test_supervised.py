"""The supervised learner: its step, its metrics, its augmentation, and what it refuses."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax import backprop
from dl_jax.errors import UsageError
from dl_jax.functional import correct, cross_entropy, l2_loss
from dl_jax.learners import TrainState, augment_images, manual_backprop, supervised
from dl_jax.models import mlp
from dl_jax.shape_checks import TypeCheckError
from tests.learners.problem import (
    KEY,
    SGD,
    SHAPE,
    close,
    evaluate,
    make_batch,
    make_dropping_mlp,
    make_learner,
    make_mlp,
    one_step,
    started,
    train,
)


def test_state_holds_arrays_only_and_one_replica():
    state = started(make_learner())
    assert isinstance(state, TrainState)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    assert (state.step.shape, state.step.dtype, int(state.step)) == ((), jnp.int32, 0)
    after, _ = one_step(make_learner(), make_batch())
    assert int(after.step) == 1
    np.testing.assert_array_equal(jax.random.key_data(after.key), jax.random.key_data(state.key))


def test_a_step_is_the_gradient_step_computed_by_hand():
    learner = make_learner(make_mlp, SGD)
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
    learner, plain = make_learner(make_dropping_mlp), make_learner()
    state, batch = started(plain), make_batch()
    close(evaluate(learner, state, batch), evaluate(plain, state, batch))


@pytest.mark.parametrize("of", [jnp.mean, lambda losses: losses[:, None]])
def test_a_loss_is_one_value_per_example(of):
    def loss(outputs, targets):
        return of(cross_entropy(outputs, targets))

    learner = supervised(make_mlp(), loss, SGD)
    state = jax.eval_shape(learner.init, KEY)
    with pytest.raises(UsageError, match=r"loss of a batch has shape .* expected \(8,\)"):
        jax.eval_shape(learner.train_step, state, make_batch())


def test_a_metric_may_not_be_named_loss():
    """It would replace the loss, and the parameters would never change."""
    with pytest.raises(UsageError, match="metrics has one named 'loss'"):
        supervised(make_mlp(), cross_entropy, SGD, metrics={"loss": correct})


@cache
def manual_of_images():
    network = backprop.chain({"flatten": backprop.flatten(), "head": backprop.dense()})
    loss = backprop.cross_entropy()
    return manual_backprop(mlp(SHAPE, (), 3).init, network, loss, optax.sgd(0.1))


@pytest.mark.parametrize("make", [make_learner, manual_of_images])
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
    learner, batch = manual_of_images(), make_batch(mask=np.ones(8))
    state = jax.eval_shape(learner.init, KEY)
    with pytest.raises(UsageError, match="a training batch with a mask"):
        jax.eval_shape(learner.train_step, state, batch)
    assert set(jax.eval_shape(learner.eval_step, state, batch).sums) == {"loss", "accuracy"}


@cache
def line_learner():
    return supervised(mlp((1,), (), 1), l2_loss, SGD, inputs="x", targets="y", metrics={})


@pytest.mark.parametrize("shape", [(8, 1), (8,)])
def test_a_line_is_learned_or_its_shapes_are_refused(shape):
    """y = 3 x + 1: predictions [B, 1] against targets [B] would be compared as [B, B]."""
    x = jnp.linspace(-1, 1, 8).reshape(8, 1)
    learner = line_learner()
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
    state = started(plain)
    close(evaluate(learner, state, batch), evaluate(plain, state, batch))


def test_each_step_has_its_own_random_numbers():
    seen = []

    def noise(images, *, key):
        return images + jax.random.normal(key, images.shape)

    learner = make_learner(make_mlp, optax.sgd(0.0), augment=augment_images(noise))
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
    measured = jax.eval_shape(learner.eval_step, started(learner), batch)
    assert set(measured.sums) == {"loss", "accuracy"}


def test_label_smoothing_trains_and_does_not_enter_the_validation_loss():
    smoothed = partial(cross_entropy, label_smoothing=0.3)
    optimizer, batch = optax.sgd(0.1), make_batch()
    learner = supervised(make_mlp(), smoothed, optimizer, eval_loss=cross_entropy)
    both = supervised(make_mlp(), smoothed, optimizer)
    close(one_step(learner, batch), one_step(both, batch))
    state = started(learner)
    measured = evaluate(learner, state, batch)
    close(measured, evaluate(make_learner(), state, batch))
    assert evaluate(both, state, batch).sums["loss"] != measured.sums["loss"]


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
    traces = []

    def count(batch, *, key):
        traces.append(key)
        return batch

    learner = make_learner(make_dropping_mlp, augment=count)
    train(learner, started(learner), [make_batch(seed=seed) for seed in range(3)])
    assert len(traces) == 1


def test_names_of_inputs_targets_and_metrics():
    def worst(outputs, targets):
        return jnp.abs(outputs - targets).max(-1)

    model = make_mlp()
    learner = supervised(
        model, l2_loss, optax.sgd(0.1), inputs="x", targets="y", metrics={"worst": worst}
    )
    batch = {"x": make_batch()["image"], "y": jnp.ones((8, 3))}
    state = started(learner)
    apply = jax.jit(partial(model.apply, train=False))
    outputs = np.asarray(apply(state.params, {}, batch["x"])[0])
    measured = evaluate(learner, state, batch).means()
    assert set(measured) == {"loss", "worst"}
    np.testing.assert_allclose(measured["worst"], np.abs(outputs - 1).max(-1).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        measured["loss"], 0.5 * ((outputs - 1) ** 2).sum(-1).mean(), rtol=1e-5
    )


def test_learns_what_the_images_show():
    learner = make_learner()
    state, _ = train(learner, started(learner), [make_batch(seed=seed) for seed in range(300)])
    measured = evaluate(learner, state, make_batch(200, 1000)).means()
    assert measured["accuracy"] > 0.9  # by chance 0.33


def test_a_metric_that_does_not_fit_is_named_with_what_to_pass():
    """The simplest regression, with the default metric of classifiers."""
    learner = supervised(mlp((1,), (), 1), l2_loss, optax.sgd(0.1), inputs="x", targets="y")
    batch = {"x": jnp.ones((4, 1)), "y": jnp.ones((4, 1))}
    state = jax.eval_shape(learner.init, KEY)
    with pytest.raises(UsageError, match=r"metric 'accuracy' does not fit .* pass metrics=\{\}"):
        jax.eval_shape(learner.train_step, state, batch)
