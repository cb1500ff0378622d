"""Losses beyond the table: narrow and wide types, and a smoothing that is mapped over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import binary_cross_entropy, cross_entropy, huber_loss, l2_loss
from tests.functional.rows.losses import cross_entropy as reference

LOGITS = 3 * np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 4, 0])


def test_label_smoothing_may_be_mapped_over():
    values = np.array([0, 0.1, 0.5], np.float32)
    swept = jax.jit(jax.vmap(lambda s: cross_entropy(LOGITS, LABELS, label_smoothing=s)))(values)
    for value, losses in zip(values, swept, strict=True):
        expected = reference(LOGITS.astype(float), LABELS, label_smoothing=float(value))
        np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, binary_cross_entropy, l2_loss, huber_loss])
def test_losses_keep_double_precision(loss):
    with jax.enable_x64(True):
        x = jax.ShapeDtypeStruct((3, 2), jnp.float64)
        assert jax.eval_shape(loss, x, x).dtype == jnp.float64


@pytest.mark.parametrize(
    ("dtype", "classes", "last"),
    [(np.int8, 300, 127), (np.uint8, 256, 255), (np.int16, 70_000, 32_767), (np.uint16, 300, 299)],
)
def test_labels_of_narrow_types_are_the_same_classes(dtype, classes, last):
    """More classes than the type can count, and -1, which is no class, where the type has it."""
    logits = np.arange(classes, dtype=np.float32)[None] / classes
    wrong = -1 if np.issubdtype(dtype, np.signedinteger) else 0
    losses = jax.jit(cross_entropy)(np.tile(logits, (2, 1)), np.array([last, wrong], dtype))
    expected = np.log(np.exp(logits.astype(float)).sum()) - last / classes
    np.testing.assert_allclose(losses[0], expected, rtol=1e-5)
    assert np.isnan(losses[1]) == (wrong == -1)


@pytest.mark.parametrize("dtype", [bool, np.float32, np.int32])
def test_masked_examples_have_neither_loss_nor_gradient(dtype):
    mask = np.array([1, 0, 1, 0, 1, 1], dtype)
    logits = np.where(mask[:, None] != 0, LOGITS, np.nan)

    def total(x):
        return (
            cross_entropy(x, LABELS, mask=mask).sum()
            + binary_cross_entropy(x[:, 0], LABELS > 0, mask=mask).sum()
        )

    gradient = jax.jit(jax.grad(total))(logits)
    np.testing.assert_array_equal(gradient[mask == 0], 0)
    assert (gradient[mask != 0] != 0).all()
