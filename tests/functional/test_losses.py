"""Losses, against optax and torch, at extremes and under masks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import accuracy_score, log_loss

from dl_jax.functional import (
    binary_correct,
    binary_cross_entropy,
    correct,
    cross_entropy,
    huber_loss,
    l2_loss,
)

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(3 * RNG.normal(size=(6, 5)), jnp.float32)
LABELS = jnp.asarray([0, 1, 2, 3, 4, 0])
DISTRIBUTIONS = jnp.asarray(RNG.dirichlet(np.ones(5), 6), jnp.float32)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("targets", [LABELS, DISTRIBUTIONS], ids=["labels", "distributions"])
def test_value_and_gradient_are_those_of_optax(smoothing, targets):
    def reference(logits):
        probabilities = jax.nn.one_hot(targets, 5) if targets.ndim == 1 else targets
        smoothed = optax.smooth_labels(probabilities, smoothing)
        return optax.softmax_cross_entropy(logits, smoothed)

    def ours(logits):
        return cross_entropy(logits, targets, label_smoothing=smoothing)

    close(ours(LOGITS), reference(LOGITS))
    weights = jnp.arange(1.0, 7.0)
    close(
        jax.grad(lambda x: (weights * ours(x)).sum())(LOGITS),
        jax.grad(lambda x: (weights * reference(x)).sum())(LOGITS),
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("targets", [LABELS, DISTRIBUTIONS], ids=["labels", "distributions"])
def test_value_and_gradient_are_those_of_torch(smoothing, targets):
    torch = pytest.importorskip("torch")
    x = torch.tensor(np.asarray(LOGITS), requires_grad=True)
    own = np.asarray(targets)
    y = torch.tensor(own.astype(np.int64) if own.ndim == 1 else own)
    expected = torch.nn.functional.cross_entropy(x, y, label_smoothing=smoothing, reduction="none")
    expected.sum().backward()

    def ours(logits):
        return cross_entropy(logits, targets, label_smoothing=smoothing)

    close(ours(LOGITS), expected.detach())
    close(jax.grad(lambda x: ours(x).sum())(LOGITS), x.grad)


def test_mean_is_that_of_scikit_learn():
    probabilities = np.asarray(jax.nn.softmax(LOGITS)).astype(np.float64)
    probabilities /= probabilities.sum(-1, keepdims=True)
    expected = log_loss(np.asarray(LABELS), probabilities, labels=range(5))
    close(cross_entropy(LOGITS, LABELS).mean(), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [1e4, 1e6])
def test_extreme_logits_have_finite_losses_and_gradients(size, smoothing):
    logits = size * jnp.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    labels = jnp.array([1, 1, 2])
    losses, gradients = jax.vmap(
        jax.value_and_grad(lambda x, y: cross_entropy(x, y, label_smoothing=smoothing))
    )(logits, labels)
    assert jnp.isfinite(losses).all()
    assert jnp.isfinite(gradients).all()
    expected = [2 * size, np.log(2), np.log(3)]
    if smoothing == 0:
        np.testing.assert_allclose(losses, expected, rtol=1e-6)
        np.testing.assert_allclose(gradients[0], [1, -1, 0], atol=1e-6)


def test_loss_of_a_certain_and_right_prediction_is_exactly_zero():
    logits = jnp.array([[1e4, -1e4, 0.0]])
    assert cross_entropy(logits, jnp.array([0])) == 0
    assert cross_entropy(logits, jnp.array([[1.0, 0.0, 0.0]])) == 0
    gradient = jax.grad(lambda x: cross_entropy(x, jnp.array([0])).sum())(logits)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("dtype", [bool, np.float32, np.int32])
def test_loss_of_masked_examples_is_exactly_zero(dtype):
    mask = jnp.asarray(np.array([1, 0, 1, 0, 1, 1]), dtype)
    logits = jnp.where((mask != 0).reshape(6, 1), LOGITS, jnp.nan)
    losses = cross_entropy(logits, LABELS, mask=mask)
    keep = np.asarray(mask) != 0
    np.testing.assert_array_equal(losses[~keep], 0)
    close(losses[keep], cross_entropy(LOGITS, LABELS)[keep])
    gradient = jax.grad(lambda x: cross_entropy(x, LABELS, mask=mask).sum())(logits)
    np.testing.assert_array_equal(gradient[~keep], 0)
    assert jnp.all(gradient[keep] != 0)


def test_a_class_of_logit_minus_infinity_may_have_target_zero():
    logits = jnp.array([[1.0, -jnp.inf, 2.0]])
    expected = np.log(1 + np.e)
    for targets in (jnp.array([0]), jnp.array([[1.0, 0.0, 0.0]])):
        loss, gradient = jax.value_and_grad(lambda x, t=targets: cross_entropy(x, t)[0])(logits)
        close(loss, expected)
        assert jnp.isfinite(gradient).all()


def test_label_smoothing_may_be_mapped_over():
    values = jnp.array([0.0, 0.1, 0.5])
    swept = jax.vmap(lambda s: cross_entropy(LOGITS, LABELS, label_smoothing=s))(values)
    for value, losses in zip([0.0, 0.1, 0.5], swept, strict=True):
        close(losses, cross_entropy(LOGITS, LABELS, label_smoothing=value))


def test_sequences_have_a_loss_at_each_step():
    logits, labels = jnp.stack([LOGITS, -LOGITS]), jnp.stack([LABELS, LABELS[::-1]])
    losses = cross_entropy(logits, labels)
    assert losses.shape == (2, 6)
    close(losses[1], cross_entropy(-LOGITS, LABELS[::-1]))
    close(cross_entropy(LOGITS[0], LABELS[0]), cross_entropy(LOGITS, LABELS)[0])


def test_losses_are_computed_in_float32():
    half = LOGITS.astype(jnp.bfloat16)
    losses = cross_entropy(half, LABELS)
    assert losses.dtype == jnp.float32
    close(losses, cross_entropy(half.astype(jnp.float32), LABELS))
    assert l2_loss(half, half + 1).dtype == jnp.float32


def test_l2_loss_is_half_the_squared_distance():
    targets = jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32)
    close(l2_loss(LOGITS, targets), optax.l2_loss(LOGITS, targets).sum(-1))
    gradient = jax.grad(lambda x: l2_loss(x, targets).sum())(LOGITS)
    close(gradient, LOGITS - targets)
    assert jnp.all(l2_loss(targets, targets) == 0)


def test_binary_cross_entropy_at_zero_and_at_confident_logits():
    """A model that starts at zero has logits of exactly zero; a sure one has small losses."""
    targets = jnp.array([0.0, 1.0])
    gradient = jax.grad(lambda x: binary_cross_entropy(x, targets).sum())(jnp.zeros(2))
    np.testing.assert_allclose(gradient, [0.5, -0.5])
    sure = jnp.array([10.0, 15.0, 20.0, 40.0])
    for signs in (1, -1):
        losses = binary_cross_entropy(signs * sure, jnp.full(4, signs > 0))
        np.testing.assert_allclose(losses, np.log1p(np.exp(-np.float64(sure))), rtol=1e-5)


def test_losses_keep_double_precision():
    with jax.enable_x64(True):
        x, t = jnp.asarray(RNG.normal(size=(3, 2))), jnp.asarray(RNG.uniform(size=(3, 2)))
        for loss in (cross_entropy, binary_cross_entropy, l2_loss, huber_loss):
            assert loss(x, t).dtype == jnp.float64


@pytest.mark.parametrize("label", [-1, -100, 5, 7])
def test_a_label_outside_the_classes_gives_nan(label):
    labels = LABELS.at[2].set(label)
    losses = cross_entropy(LOGITS, labels)
    assert np.flatnonzero(np.isnan(losses)).tolist() == [2]
    masked = cross_entropy(LOGITS, labels, mask=labels == LABELS)
    assert masked[2] == 0
    gradient = jax.grad(lambda x: cross_entropy(x, labels, mask=labels == LABELS).sum())(LOGITS)
    assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_binary_cross_entropy_is_that_of_torch(size):
    torch = pytest.importorskip("torch")
    targets = jnp.asarray(RNG.uniform(size=(6, 5)), jnp.float32).round(1)
    x = torch.tensor(np.asarray(size * LOGITS), requires_grad=True)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        x, torch.tensor(np.asarray(targets)), reduction="none"
    )
    expected.sum().backward()
    close(binary_cross_entropy(size * LOGITS, targets), expected.detach())
    gradient = jax.grad(lambda x: binary_cross_entropy(x, targets).sum())(size * LOGITS)
    close(gradient, x.grad)


@pytest.mark.parametrize("dtype", [bool, np.int32, np.float32])
def test_binary_targets_may_be_of_any_type(dtype):
    logits = jnp.array([2.0, -1.0, jnp.nan])
    targets, mask = jnp.asarray(np.array([1, 0, 1]), dtype), jnp.array([1, 1, 0])
    losses = binary_cross_entropy(logits, targets, mask=mask)
    close(losses, [np.log1p(np.exp(-2)), np.log1p(np.exp(-1)), 0])
    gradient = jax.grad(lambda x: binary_cross_entropy(x, targets, mask=mask).sum())(logits)
    close(gradient, [1 / (1 + np.exp(-2)) - 1, 1 / (1 + np.exp(1)), 0])


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.0])
def test_huber_loss_is_that_of_torch(delta):
    torch = pytest.importorskip("torch")
    targets = jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32)
    x = torch.tensor(np.asarray(LOGITS), requires_grad=True)
    expected = torch.nn.functional.huber_loss(
        x, torch.tensor(np.asarray(targets)), reduction="none", delta=delta
    ).sum(-1)
    expected.sum().backward()
    close(huber_loss(LOGITS, targets, delta=delta), expected.detach())
    gradient = jax.grad(lambda x: huber_loss(x, targets, delta=delta).sum())(LOGITS)
    close(gradient, x.grad)


def test_correct_is_the_accuracy_of_scikit_learn():
    expected = accuracy_score(LABELS, LOGITS.argmax(-1))
    values = correct(LOGITS, LABELS)
    assert values.dtype == jnp.float32
    close(values.mean(), expected)
    assert 0 < expected < 1


def test_correct_takes_the_first_of_equal_logits():
    np.testing.assert_array_equal(correct(jnp.zeros((3, 3)), jnp.arange(3)), [1, 0, 0])


@pytest.mark.parametrize(
    ("dtype", "classes", "last"),
    [(np.int8, 300, 127), (np.uint8, 256, 255), (np.int16, 70_000, 32_767), (np.uint16, 300, 299)],
)
def test_labels_of_narrow_types_are_the_same_classes(dtype, classes, last):
    """More classes than the type can count, and -1, which is no class, where the type has it."""
    logits = jnp.arange(classes, dtype=jnp.float32)[None, :] / classes
    wrong = -1 if np.issubdtype(dtype, np.signedinteger) else 0
    labels = np.array([last, wrong], dtype)
    losses = cross_entropy(jnp.concatenate([logits, logits]), labels)
    np.testing.assert_allclose(losses[0], cross_entropy(logits, np.array([last]))[0])
    assert jnp.isnan(losses[1]) == (wrong == -1)


def test_a_nan_logit_has_no_accuracy():
    logits = jnp.array([[1.0, 0.0], [jnp.nan, 0.0], [0.0, jnp.nan]])
    np.testing.assert_array_equal(correct(logits, np.zeros(3, np.uint8)), [1, jnp.nan, jnp.nan])
    np.testing.assert_array_equal(binary_correct(logits[:, 0], np.ones(3)), [1, jnp.nan, 0])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
def test_binary_correct_compares_scores_above_the_threshold_with_labels(dtype):
    scores, labels = jnp.array([-1.0, 0.2, 0.7, 0.7]), np.array([0, 0, 1, 0], dtype)
    np.testing.assert_array_equal(binary_correct(scores, labels), [1, 0, 1, 0])
    np.testing.assert_array_equal(binary_correct(scores, labels, threshold=0.5), [1, 1, 1, 0])
