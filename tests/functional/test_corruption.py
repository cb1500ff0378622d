"""What is destroyed, how much of it, and what stays."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dl_jax.errors import UsageError
from dl_jax.functional import gaussian_noise, hide_patches, masking_noise, salt_and_pepper

KEY = jax.random.key(0)
IMAGES = jnp.full((200, 4, 6, 1), 0.5)


def test_noise_is_normal_and_of_its_deviation():
    noise = np.ravel(gaussian_noise(IMAGES, 0.3, key=KEY) - IMAGES)
    assert scipy.stats.kstest(noise / 0.3, "norm").pvalue > 1e-3
    np.testing.assert_array_equal(gaussian_noise(IMAGES, 0.0, key=KEY), IMAGES)


@pytest.mark.parametrize(
    ("corrupt", "shares"),
    [
        (partial(masking_noise, rate=0.3), {0.0: 0.3, 0.5: 0.7}),
        (partial(salt_and_pepper, rate=0.4), {0.0: 0.2, 1.0: 0.2, 0.5: 0.6}),
        (partial(salt_and_pepper, rate=0.4, low=-1, high=2), {-1.0: 0.2, 2.0: 0.2, 0.5: 0.6}),
    ],
)
def test_elements_are_replaced_as_often_as_is_said(corrupt, shares):
    found = np.asarray(corrupt(IMAGES, key=KEY))
    assert set(np.unique(found)) == set(shares)
    for value, share in shares.items():
        np.testing.assert_allclose((found == value).mean(), share, atol=0.03)
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize(("size", "share", "hidden"), [(2, 0.5, 3), (2, 0.01, 1), (1, 1.0, 24)])
def test_whole_patches_are_hidden_as_many_in_each_image(size, share, hidden):
    images = jnp.asarray(np.random.default_rng(0).uniform(0.1, 1, (50, 4, 6, 2)), jnp.float32)
    shown, where = map(np.asarray, hide_patches(images, size, share, key=KEY))
    np.testing.assert_array_equal(shown, np.where(where, 0, images))
    patches = where.reshape(50, 4 // size, size, 6 // size, size, 2).swapaxes(2, 3)
    patches = patches.reshape(50, -1, size * size * 2)
    assert (patches.all(-1) == patches.any(-1)).all()
    assert (patches.all(-1).sum(-1) == hidden).all()
    if hidden < 24:
        assert patches.all(-1).any(0).all()  # each patch of some image


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: gaussian_noise(IMAGES, -1.0, key=KEY), "std is -1.0"),
        (lambda: masking_noise(IMAGES, 1.5, key=KEY), "rate is 1.5"),
        (lambda: salt_and_pepper(IMAGES, -0.1, key=KEY), "rate is -0.1"),
        (lambda: hide_patches(IMAGES, 2, 0.0, key=KEY), "share is 0.0"),
        (lambda: hide_patches(IMAGES, 0, key=KEY), "size is 0"),
        (lambda: hide_patches(IMAGES, 4, key=KEY), "4x4 pixels do not divide images of 4x6"),
    ],
)
def test_what_cannot_be_destroyed_is_said(run, said):
    with pytest.raises(UsageError, match=said):
        run()
