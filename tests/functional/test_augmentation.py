"""Random flips and crops: all possible results occur, and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dl_jax.errors import UsageError
from dl_jax.functional import (
    alternating_flip,
    color_jitter,
    cutmix,
    cutout,
    mixup,
    random_crop,
    random_horizontal_flip,
)

COUNT, HEIGHT, WIDTH = 400, 4, 5


def numbered(dtype=np.uint8):
    """Images whose pixels are numbered from 1, the second channel from 101, each the same."""
    image = np.arange(1, HEIGHT * WIDTH + 1).reshape(HEIGHT, WIDTH, 1)
    image = np.concatenate([image, image + 100], -1)
    return jnp.asarray(np.broadcast_to(image, (COUNT, *image.shape)).astype(dtype))


def marked():
    """Images that are known by their one value."""
    return jnp.broadcast_to(
        jnp.arange(1.0, COUNT + 1).reshape(COUNT, 1, 1, 1), (COUNT, HEIGHT, WIDTH, 1)
    )


def shifted(image, rows, columns):
    """`image` moved down and right, zeros coming in: the reference, pixel by pixel."""
    result = np.zeros_like(image)
    for i in range(HEIGHT):
        for j in range(WIDTH):
            if 0 <= i - rows < HEIGHT and 0 <= j - columns < WIDTH:
                result[i, j] = image[i - rows, j - columns]
    return result


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_flip_mirrors_half_of_the_images(dtype):
    images = numbered(dtype)
    flipped = random_horizontal_flip(images, key=jax.random.key(0))
    assert (flipped.dtype, flipped.shape) == (images.dtype, images.shape)
    same = (np.asarray(flipped) == np.asarray(images)).all((1, 2, 3))
    mirrored = (np.asarray(flipped) == np.asarray(images)[:, :, ::-1]).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6  # four standard deviations


@pytest.mark.parametrize("pixels", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_crop_makes_all_shifts_in_range_and_no_other(pixels, dtype):
    images = numbered(dtype)
    moved = random_crop(images, pixels, key=jax.random.key(0))
    assert (moved.dtype, moved.shape) == (images.dtype, images.shape)
    offsets = range(-pixels, pixels + 1)
    allowed = {
        shifted(np.asarray(images[0]), i, j).tobytes(): (i, j) for i in offsets for j in offsets
    }
    seen = [allowed[np.asarray(image).tobytes()] for image in moved]  # KeyError: not in range
    assert set(seen) == set(allowed.values())
    counts = [seen.count(offset) for offset in set(seen)]
    expected = COUNT / len(allowed)
    assert max(counts) < expected + 5 * expected**0.5
    assert min(counts) > expected - 5 * expected**0.5


def test_crop_by_zero_pixels_is_the_image():
    images = numbered()
    np.testing.assert_array_equal(random_crop(images, 0, key=jax.random.key(0)), images)


def test_crop_by_more_than_the_image_may_leave_it_empty():
    moved = random_crop(numbered(), 9, key=jax.random.key(0))
    assert (moved == 0).all((1, 2, 3)).any()
    assert not (moved == 0).all()


AUGMENTATIONS = {
    "flip": random_horizontal_flip,
    "shift": lambda images, *, key: random_crop(images, 2, key=key),
}


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_images_keep_their_places_beside_their_labels(augment):
    images = augment(marked(), key=jax.random.key(0))
    np.testing.assert_array_equal(images.max((1, 2, 3)), np.arange(1, COUNT + 1))


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_key_decides_compiled_or_not(augment):
    a, b, c = (augment(numbered(), key=jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    compiled = jax.jit(lambda images, key: augment(images, key=key))
    np.testing.assert_array_equal(compiled(numbered(), jax.random.key(0)), a)


# Flips that alternate.


def test_every_image_is_seen_once_either_way_in_two_epochs():
    images, index = numbered(), np.arange(COUNT)
    begins = {}
    for epoch in range(4):
        seen = alternating_flip(images, index, np.full(COUNT, epoch), seed=3)
        flipped = (np.asarray(seen) == np.asarray(images)[:, :, ::-1]).all((1, 2, 3))
        begins.setdefault(epoch % 2, flipped)
        np.testing.assert_array_equal(flipped, begins[epoch % 2])
    np.testing.assert_array_equal(begins[0], ~begins[1])
    assert 0.4 < begins[0].mean() < 0.6
    other = alternating_flip(images, index, np.zeros(COUNT, int), seed=4)
    assert not np.array_equal(other, alternating_flip(images, index, np.zeros(COUNT, int), seed=3))


def test_a_flip_depends_on_the_image_and_not_on_its_place_in_the_batch():
    images, index, epoch = numbered(), np.arange(COUNT), np.zeros(COUNT, int)
    order = np.random.default_rng(0).permutation(COUNT)
    whole = alternating_flip(images, index, epoch)
    np.testing.assert_array_equal(alternating_flip(images, index[order], epoch), whole[order])


# Reflected borders and squares cut out.


def test_a_reflected_border_shows_the_image_again():
    images = numbered()
    moved = np.asarray(random_crop(images, 2, key=jax.random.key(0), padding="reflect"))
    padded = np.pad(np.asarray(images[0]), ((2, 2), (2, 2), (0, 0)), "reflect")
    allowed = {padded[i : i + HEIGHT, j : j + WIDTH].tobytes() for i in range(5) for j in range(5)}
    assert {image.tobytes() for image in moved} == allowed
    with pytest.raises(UsageError, match="pixels is 4, expected less than the sides of .* 4x5"):
        random_crop(images, 4, key=jax.random.key(0), padding="reflect")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_square_around_any_pixel_is_cut_out(size):
    images = numbered(np.float32)
    cut = np.asarray(cutout(images, size, key=jax.random.key(0), fill=-1.0))
    hidden = (cut == -1).all(-1)
    np.testing.assert_array_equal(cut[~hidden], np.asarray(images)[~hidden])
    allowed = set()
    for row in range(HEIGHT):
        for column in range(WIDTH):
            mask = np.zeros((HEIGHT, WIDTH), bool)
            top, left = (round(place - size / 2) for place in (row, column))  # as NumPy rounds
            mask[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = True
            allowed.add(mask.tobytes())
    assert {mask.tobytes() for mask in hidden} == allowed


def test_a_square_of_no_pixels_is_the_image():
    np.testing.assert_array_equal(cutout(numbered(), 0, key=jax.random.key(0)), numbered())


# Colors.


def colors(seed=0, channels=3):
    return np.random.default_rng(seed).integers(30, 200, (50, 4, 5, channels)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_scales_all_pixels_of_an_image_alike(channels):
    images = colors(channels=channels)
    changed = color_jitter(images, key=jax.random.key(0), brightness=0.2)
    assert changed.dtype == np.uint8
    factors = np.asarray(changed, float).mean((1, 2, 3)) / images.mean((1, 2, 3))
    expected = np.round(images * factors[:, None, None, None])
    assert np.abs(np.asarray(changed, float) - expected).max() <= 1
    assert factors.min() > 0.79
    assert factors.max() < 1.21
    assert factors.std() > 0.08


def test_contrast_keeps_the_mean_luminance_and_saturation_the_luminance_of_pixels():
    images = colors() / np.float32(255)
    weights = np.array([0.299, 0.587, 0.114])
    contrasted = np.asarray(color_jitter(images, key=jax.random.key(0), contrast=0.2))
    np.testing.assert_allclose(
        (contrasted @ weights).mean((1, 2)), (images @ weights).mean((1, 2)), atol=2e-3
    )
    spread = contrasted.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.78 < spread.min() < 0.9
    assert 1.1 < spread.max() < 1.22
    saturated = np.asarray(color_jitter(images, key=jax.random.key(0), saturation=0.2))
    np.testing.assert_allclose(saturated @ weights, images @ weights, atol=1e-5)
    assert np.abs(saturated - images).max() > 0.03


def test_colors_stay_in_their_range_and_strengths_of_zero_change_nothing():
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3)).astype(np.uint8)
    jittered = color_jitter(
        images, key=jax.random.key(0), brightness=1.0, contrast=1.0, saturation=1.0
    )
    assert jittered.dtype == np.uint8
    np.testing.assert_array_equal(color_jitter(images, key=jax.random.key(0)), images)
    gray = colors(channels=1)
    np.testing.assert_array_equal(color_jitter(gray, key=jax.random.key(0), saturation=1.0), gray)
    with pytest.raises(UsageError, match="brightness is 1.5"):
        color_jitter(images, key=jax.random.key(0), brightness=1.5)


# Mixtures.

TARGETS = np.eye(COUNT, dtype=np.float32)
WHITE = 255 * np.ones((COUNT, HEIGHT, WIDTH, 1), np.float32)


@pytest.mark.parametrize("mix", [mixup, cutmix])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_targets_are_mixed_as_the_pixels_are(mix, alpha):
    """Each image has one value, so that the mixture's mean is that of its targets."""
    images, targets = mix(marked(), TARGETS, key=jax.random.key(0), alpha=alpha)
    targets = np.asarray(targets)
    np.testing.assert_allclose(targets.sum(-1), 1, rtol=1e-5)
    assert ((targets > 0).sum(-1) <= 2).all()
    assert (targets > 0).sum() > 1.3 * COUNT
    values = targets @ np.arange(1, COUNT + 1)
    np.testing.assert_allclose(np.asarray(images).mean((1, 2, 3)), values, rtol=1e-4)


def test_shares_of_mixup_are_those_of_the_beta_distribution():
    for alpha in (0.2, 1.0):
        _, targets = mixup(WHITE, TARGETS, key=jax.random.key(0), alpha=alpha)
        own = np.diagonal(np.asarray(targets))
        expected = scipy.stats.beta(alpha, alpha)
        assert scipy.stats.kstest(own, expected.cdf).pvalue > 0.01


def test_a_box_of_cutmix_is_a_box_of_one_other_image():
    images, _ = cutmix(marked(), TARGETS, key=jax.random.key(0))
    for own, image in enumerate(np.asarray(images)[..., 0], 1):
        others = set(np.unique(image)) - {own}
        assert len(others) <= 1
        rows, columns = np.nonzero(image != own)
        if len(rows):
            box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (box != own).all()


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_mixtures_of_bytes_are_bytes(mix):
    images, _ = mix(numbered(np.uint8), TARGETS, key=jax.random.key(0))
    assert images.dtype == np.uint8
    with pytest.raises(UsageError, match="alpha is 0"):
        mix(numbered(), TARGETS, key=jax.random.key(0), alpha=0.0)
