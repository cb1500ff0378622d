"""The loss on a plane through parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.training import loss_plane
from dl_jax.training.landscape import filter_normalized

PARAMS = {
    "conv1": {"kernel": jax.random.normal(jax.random.key(0), (3, 3, 2, 4)), "bias": jnp.ones(4)},
    "head": {"kernel": 5 * jax.random.normal(jax.random.key(1), (6, 3)), "bias": jnp.zeros(3)},
}


def test_each_filter_of_a_direction_has_the_norm_of_the_networks_own():
    direction = filter_normalized(jax.random.key(2), PARAMS)
    for name, axes in (("conv1", (0, 1, 2)), ("head", (0,))):
        found, own = (np.asarray(tree[name]["kernel"]) for tree in (direction, PARAMS))
        np.testing.assert_allclose(
            np.linalg.norm(found.reshape(-1, found.shape[-1]), axis=0),
            np.sqrt((own**2).sum(axes)),
            rtol=1e-5,
        )
        assert abs(np.corrcoef(found.ravel(), own.ravel())[0, 1]) < 0.5  # another direction
        assert not direction[name]["bias"].any()


@pytest.mark.parametrize("batch_size", [1, 4])  # four do not divide nine
def test_places_are_sums_of_two_directions(batch_size):
    def loss(params):  # linear: what is seen of each direction is its own slope
        return 3 + (params["conv1"]["kernel"] * weights).sum() + params["head"]["bias"].sum()

    weights = jax.random.normal(jax.random.key(3), (3, 3, 2, 4))
    along = np.array([-1.0, 0.0, 2.0], np.float32)
    key = jax.random.key(4)
    found = loss_plane(loss, PARAMS, along, key, batch_size=batch_size)
    u, v = (filter_normalized(k, PARAMS)["conv1"]["kernel"] for k in jax.random.split(key))
    slopes = [float((each * weights).sum()) for each in (u, v)]
    expected = float(loss(PARAMS)) + slopes[0] * along[None, :] + slopes[1] * along[:, None]
    assert abs(slopes[0] - slopes[1]) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-4)
