"""What bounds a critic's slope, against PyTorch and against the singular values themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import conv2d, gradient_penalty, leaky_relu, spectral_norm

RANDOM = np.random.default_rng(0)
REAL, FAKE = RANDOM.normal(size=(2, 5, 8, 8, 2)).astype(np.float32)
SHARE = RANDOM.uniform(size=5).astype(np.float32)
PARAMS = {
    "conv": RANDOM.normal(size=(4, 4, 2, 3)).astype(np.float32) / 5,
    "bias": RANDOM.normal(size=3).astype(np.float32),
    "dense": RANDOM.normal(size=(48, 1)).astype(np.float32) / 3,
}


def score(params, images):
    """A critic of one convolution."""
    hidden = leaky_relu(conv2d(images, params["conv"], params["bias"], stride=2),
                        negative_slope=0.2)  # fmt: skip
    return (hidden.reshape(len(images), -1) @ params["dense"])[:, 0]


@pytest.mark.parametrize("one_sided", [False, True])
def test_penalty_and_its_gradient_are_those_of_double_backward(one_sided):
    torch = pytest.importorskip("torch")

    @jax.jit
    def ours(params):
        def mean(params):
            penalties = gradient_penalty(
                lambda x: score(params, x), REAL, FAKE, SHARE, norm=0.7, one_sided=one_sided
            )
            return penalties.mean(), penalties

        return jax.grad(mean, has_aux=True)(params)

    gradients, penalties = ours(jax.tree.map(jnp.asarray, PARAMS))
    params = {name: torch.tensor(value, requires_grad=True) for name, value in PARAMS.items()}
    share = torch.tensor(SHARE).reshape(-1, 1, 1, 1)
    x = share * torch.tensor(REAL) + (1 - share) * torch.tensor(FAKE)
    x.requires_grad_()
    hidden = torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2), params["conv"].permute(3, 2, 0, 1), params["bias"], 2, 1
    )
    hidden = torch.nn.functional.leaky_relu(hidden, 0.2).permute(0, 2, 3, 1)
    scores = hidden.flatten(1) @ params["dense"]
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    excess = slope.flatten(1).norm(dim=1) - 0.7
    theirs = (excess.clamp(min=0) if one_sided else excess) ** 2
    theirs.mean().backward()
    np.testing.assert_allclose(penalties, theirs.detach(), rtol=1e-4, atol=1e-6)
    for name, gradient in gradients.items():
        if name == "bias":  # a critic that is linear in pieces does not bend by it
            np.testing.assert_array_equal(gradient, 0)
        else:
            np.testing.assert_allclose(gradient, params[name].grad, rtol=1e-4, atol=1e-6)


def test_a_line_of_slope_one_has_no_penalty():
    direction = jnp.array([0.6, 0.8])
    points = jnp.asarray(RANDOM.normal(size=(4, 2)))
    share = jnp.full(4, 0.5)
    for factor, expected in ((1.0, 0.0), (3.0, 4.0), (0.0, 1.0)):
        found = gradient_penalty(
            lambda x, factor=factor: factor * x @ direction, points, points, share
        )
        np.testing.assert_allclose(found, np.full(4, expected), atol=1e-5)
    # A flat critic has a slope of no direction: its gradient is 0, not NaN.
    flat = jax.grad(lambda w: gradient_penalty(lambda x: w * x[:, 0], points, points, share).sum())
    assert np.isfinite(flat(0.0))


def test_a_score_may_be_told_more():
    points, labels = jnp.ones((3, 2)), jnp.array([1.0, 2.0, 4.0])
    found = gradient_penalty(lambda x, label: label * x[:, 0], points, points, jnp.zeros(3), labels)
    np.testing.assert_allclose(found, (np.array([1, 2, 4]) - 1) ** 2, atol=1e-5)


def test_each_example_has_its_own_gradient():
    """As `vmap` over examples has them."""
    x = jnp.asarray(REAL)
    each = jax.vmap(jax.grad(lambda x: score(PARAMS, x[None])[0]))(x)
    expected = (jnp.sqrt((each**2).sum((1, 2, 3))) - 1) ** 2
    found = gradient_penalty(lambda x: score(PARAMS, x), x, x, SHARE)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_unequal_shapes_and_a_single_score_are_refused():
    with pytest.raises(UsageError, match=r"have shape \(4, 2\) and fake ones \(4, 3\)"):
        gradient_penalty(jnp.sum, jnp.ones((4, 2)), jnp.ones((4, 3)), jnp.ones(4))
    with pytest.raises(UsageError, match=r"4 examples have shape \(\), expected \(4,\)"):
        gradient_penalty(jnp.sum, jnp.ones((4, 2)), jnp.ones((4, 2)), jnp.ones(4))


@pytest.mark.parametrize("shape", [(7, 4), (3, 3, 2, 5), (4, 4)])
def test_repeated_it_is_the_largest_singular_value(shape):
    kernel = RANDOM.normal(size=shape).astype(np.float32)
    left, values, right = np.linalg.svd(kernel.reshape(-1, shape[-1]), full_matrices=False)
    vector = jnp.asarray(RANDOM.normal(size=shape[-1]))
    step = jax.jit(spectral_norm)
    for _ in range(200):
        norm, vector = step(kernel, vector)
    np.testing.assert_allclose(norm, values[0], rtol=1e-4)
    np.testing.assert_allclose(abs(vector @ right[0]), 1, atol=1e-4)
    gradient = jax.grad(lambda kernel: spectral_norm(kernel, vector)[0])(kernel)
    np.testing.assert_allclose(
        gradient.reshape(-1, shape[-1]), np.outer(left[:, 0], right[0]), atol=1e-2
    )


def test_one_step_is_that_of_the_power_iteration():
    kernel, vector = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=3)
    left = kernel @ vector / np.linalg.norm(kernel @ vector)
    right = kernel.T @ left / np.linalg.norm(kernel.T @ left)
    norm, after = spectral_norm(jnp.asarray(kernel), jnp.asarray(vector))
    np.testing.assert_allclose(norm, left @ kernel @ right, rtol=1e-5)
    np.testing.assert_allclose(after, right, rtol=1e-5)
