"""Random flips and crops: all possible results occur, and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import random_crop, random_horizontal_flip

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
