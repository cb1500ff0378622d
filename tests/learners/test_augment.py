"""Augmentations of batches: composed, by epoch, and mixing labels with their images."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import alternating_flip, mixup, random_crop, random_horizontal_flip
from dl_jax.learners import (
    augment_all,
    augment_images,
    drop_words,
    flip_every_other_epoch,
    mix_images,
    part_of_text,
)

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.integers(0, 256, (8, 4, 5, 1)).astype(np.uint8),
    "label": RNG.integers(0, 3, 8),
    "index": np.arange(8) * 7,
    "epoch": np.arange(8) % 2,
}


def test_images_change_in_turn_each_with_a_key_of_its_own():
    shift = partial(random_crop, pixels=1)
    changed = augment_images(random_horizontal_flip, shift)(BATCH, key=KEY)
    first, second = jax.random.split(KEY, 2)
    expected = shift(random_horizontal_flip(BATCH["image"], key=first), key=second)
    np.testing.assert_array_equal(changed["image"], expected)
    assert all(changed[name] is BATCH[name] for name in ("label", "index", "epoch"))


def test_augmentations_compose():
    one, two = augment_images(random_horizontal_flip), flip_every_other_epoch(3)
    changed = augment_all(one, two)(BATCH, key=KEY)
    first, second = jax.random.split(KEY, 2)
    expected = two(one(BATCH, key=first), key=second)
    np.testing.assert_array_equal(changed["image"], expected["image"])
    assert augment_all()(BATCH, key=KEY) is BATCH


def test_flips_follow_the_epoch_of_the_batch():
    for key in (KEY, jax.random.key(1)):
        changed = flip_every_other_epoch(3)(BATCH, key=key)
        expected = alternating_flip(BATCH["image"], BATCH["index"], BATCH["epoch"], seed=3)
        np.testing.assert_array_equal(changed["image"], expected)


@pytest.mark.parametrize("labels", ["numbers", "distributions"])
def test_labels_are_mixed_with_their_images(labels):
    targets = jax.nn.one_hot(BATCH["label"], 3)
    batch = BATCH if labels == "numbers" else {**BATCH, "label": targets}
    mixed = mix_images(mixup, 3)(batch, key=KEY)
    images, expected = mixup(BATCH["image"], targets, key=KEY)
    np.testing.assert_array_equal(mixed["image"], images)
    np.testing.assert_array_equal(mixed["label"], expected)


def test_words_become_unknown_and_padding_stays():
    tokens = np.tile(np.array([[3, 4, 5, 0]]), (2000, 1))
    changed = drop_words(0.3, 9)({"tokens": tokens}, key=KEY)["tokens"]
    np.testing.assert_array_equal(changed[changed != 9], tokens[changed != 9])
    assert not (changed[:, 3] == 9).any()
    np.testing.assert_allclose((changed == 9).mean(0)[:3], 0.3, atol=0.04)
    np.testing.assert_array_equal(drop_words(0.0, 9)({"tokens": tokens}, key=KEY)["tokens"], tokens)
    with pytest.raises(UsageError, match=r"rate is 1\.5"):
        drop_words(1.5, 9)
    spelled = {"tokens": tokens}
    assert drop_words(0.0, None)(spelled, key=KEY) is spelled
    with pytest.raises(UsageError, match="no unknown token"):
        drop_words(0.1, None)


def test_a_part_of_a_text_begins_anywhere_in_it():
    """A shorter text is whole, and a longer part than the array is all of it."""
    tokens = np.tile(np.array([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]]), (300, 1, 1)).reshape(600, 5)
    changed = np.asarray(part_of_text(3)({"tokens": tokens}, key=KEY)["tokens"])
    counts = np.bincount(changed[::2, 0], minlength=4)
    np.testing.assert_allclose(counts[1:4] / 300, 1 / 3, atol=0.1)
    expected = changed[::2, :1] + np.arange(3)
    np.testing.assert_array_equal(changed[::2], np.pad(expected, ((0, 0), (0, 2))))
    np.testing.assert_array_equal(changed[1::2], tokens[1::2])
    whole = part_of_text(9)({"tokens": tokens}, key=KEY)["tokens"]
    np.testing.assert_array_equal(whole, tokens)
    with pytest.raises(UsageError, match="length is 0"):
        part_of_text(0)


def test_what_a_batch_has_not_is_named():
    for augment, name in (
        (augment_images(random_horizontal_flip, name="picture"), "picture"),
        (flip_every_other_epoch(), "epoch"),
        (mix_images(mixup, 3, targets="target"), "target"),
    ):
        batch = {name: array for name, array in BATCH.items() if name != "epoch"}
        with pytest.raises(UsageError, match=f"a batch has no array '{name}', its arrays are"):
            augment(batch, key=KEY)
    with pytest.raises(UsageError, match="num_classes is 0"):
        mix_images(mixup, 0)


def test_they_are_compiled_with_the_step():
    augment = augment_all(flip_every_other_epoch(), mix_images(mixup, 3))
    compiled = jax.jit(augment)(BATCH, key=KEY)
    for name, array in augment(BATCH, key=KEY).items():
        np.testing.assert_allclose(compiled[name], jnp.asarray(array), atol=1)
