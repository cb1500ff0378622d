"""Networks of the papers: their sizes, their parts, and what they refuse."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import (
    chain,
    features,
    resnet18,
    resnet34,
    vgg16,
    whitened_cnn,
    whitening_kernel,
    wide_resnet,
    with_frozen_statistics,
    with_mirrored_evaluation,
)
from dl_jax.paths import path_names

KEY = jax.random.key(0)


def started(model):
    return jax.eval_shape(model.init, KEY)


@pytest.mark.parametrize(
    ("model", "count"),
    [  # as torchvision, timm and the papers have them
        (resnet18(100), 11_220_132),
        (resnet18(1000, stem="imagenet"), 11_689_512),
        (resnet34(1000, stem="imagenet"), 21_797_672),
        (wide_resnet(28, 10, 10), 36_479_194),
        (wide_resnet(40, 4, 10), 8_949_210),
        (vgg16(1000), 138_357_544),
        (vgg16(1000, batch_norm=True), 138_365_992),
    ],
    ids=["resnet18", "for ImageNet", "resnet34", "wide 28-10", "wide 40-4", "vgg16", "normalized"],
)
def test_numbers_of_parameters(model, count):
    assert sum(leaf.size for leaf in jax.tree.leaves(started(model)[0])) == count


def test_paths_are_those_of_the_design():
    names = path_names(started(resnet18(10))[0])
    assert {"layer2_0/conv1/kernel", "layer2_0/shortcut/conv/kernel", "head/bias"} <= set(names)
    assert "layer1_0/shortcut/conv/kernel" not in names
    names = path_names(started(vgg16(10, input_shape=(32, 32, 3)))[0])
    assert {"features/conv5_3/kernel", "classifier/dense2/bias", "head/kernel"} <= set(names)


@pytest.mark.parametrize(
    ("stem", "sides"), [("cifar", [32, 32, 16, 8, 4]), ("imagenet", [16, 8, 4, 2, 1])]
)
def test_stages_halve_the_image(stem, sides):
    model = resnet18(10, stem=stem)
    names = ["relu1", "relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    apply = partial(features(model, names).apply, train=False)
    found, _ = jax.eval_shape(apply, *started(model), images)
    assert [found[name].shape[1] for name in names] == sides
    assert [found[name].shape[3] for name in names] == [64, 64, 128, 256, 512]


def test_a_block_whose_last_scale_is_zero_starts_as_its_shortcut():
    model = resnet18(3, width=2, zero_init=True)
    params, state = model.init(KEY)
    images = jax.random.normal(KEY, (2, 8, 8, 3))
    found, _ = features(model, ["relu1", "relu1_1"]).apply(params, state, images, train=True)
    np.testing.assert_array_equal(found["relu1"], found["relu1_1"])
    other = resnet18(3, width=2).init(KEY)[0]
    assert [name for name in path_names(params) if not np.array_equal(
        *(dict(zip(path_names(p), jax.tree.leaves(p), strict=True))[name] for p in (params, other))
    )] == [f"layer{s}_{b}/norm2/scale" for s in (1, 2, 3, 4) for b in (0, 1)]  # fmt: skip


def test_another_head_is_put_on_frozen_features():
    """Neither do their statistics move, nor are they normalized by the batch; the head drops."""
    model = vgg16(3, input_shape=(32, 32, 3), classifier=(8,), batch_norm=True)
    head = vgg16(7, input_shape=(32, 32, 3), classifier=(8,), batch_norm=True)
    frozen = chain({**head.layers, "features": with_frozen_statistics(model.layers["features"])})
    params, state = frozen.init(KEY)
    images = jax.random.normal(KEY, (2, 32, 32, 3))
    names = ["features", "classifier", "head"]
    run = jax.jit(partial(features(frozen, names).apply, train=True))
    found, after = run(params, state, images, key=KEY)
    assert found["head"].shape == (2, 7)
    np.testing.assert_array_equal(*(tree["features"]["norm1_1"]["mean"] for tree in (state, after)))
    evaluated, _ = model.layers["features"].apply(
        params["features"], state["features"], images, train=False
    )
    np.testing.assert_allclose(found["features"], evaluated, rtol=1e-4, atol=1e-5)
    assert (found["classifier"] == 0).mean() > 0.3


def test_whitened_patches_are_uncorrelated_and_of_size_one():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(50, 9, 8, 3)) @ rng.normal(size=(3, 3)) + 1
    images = (images + np.roll(images, 1, 1) + np.roll(images, 1, 2)).astype(np.float32)
    model = whitened_cnn(4, widths=(4,))
    params, state = model.init(KEY)
    kernel = whitening_kernel(images, epsilon=0)
    assert kernel.shape == state["whiten"]["kernel"].shape == (2, 2, 3, 24)
    state = {**state, "whiten": {"kernel": kernel}}
    found, after = features(model, ["whiten"]).apply(params, state, images, train=True)
    outputs = np.asarray(found["whiten"]).reshape(-1, 24)
    np.testing.assert_allclose(np.cov(outputs[:, :12], rowvar=False), np.eye(12), atol=1e-2)
    np.testing.assert_allclose(outputs[:, 12:], -outputs[:, :12], atol=1e-4)
    np.testing.assert_array_equal(after["whiten"]["kernel"], kernel)
    small = whitening_kernel(images, epsilon=1e6)
    assert np.abs(small).max() < 1e-2


def test_mirrored_evaluation_is_the_mean_over_both_images():
    model = resnet18(3, width=2)
    mirrored, (params, state) = with_mirrored_evaluation(model), model.init(KEY)
    images = jax.random.normal(KEY, (2, 8, 8, 3))

    def logits(model, images, train):
        return model.apply(params, state, images, train=train)[0]

    expected = (logits(model, images, False) + logits(model, images[:, :, ::-1], False)) / 2
    np.testing.assert_allclose(logits(mirrored, images, False), expected, atol=1e-5)
    assert not np.allclose(expected, logits(model, images, False), atol=1e-3)
    np.testing.assert_array_equal(logits(mirrored, images, True), logits(model, images, True))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: resnet18(0), "resnet18 sizes are num_classes=0"),
        (lambda: resnet18(10, stem="mnist"), "stem is 'mnist', expected one of cifar, imagenet"),
        (lambda: wide_resnet(27, 10, 10), "depth=27, expected 6 n + 4, such as 16, 28 or 40"),
        (lambda: wide_resnet(4, 1, 10), "depth=4, expected 6 n + 4"),
        (lambda: vgg16(10, input_shape=(28, 28, 1)), "28x28 pixels are too small for the five"),
        (lambda: vgg16(10, input_shape=(32, 32)), "expected (height, width, channels)"),
        (lambda: vgg16(10, dropout_rate=1.0), "dropout_rate is 1.0"),
        (lambda: whitened_cnn(10, widths=(0,)), "widths=(0,)"),
        (lambda: whitening_kernel(np.ones((3, 1, 4, 2), np.float32)), "at least one of 2x2"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_sizes_out_of_range_are_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


@pytest.mark.parametrize("model", [resnet18(3, width=2), wide_resnet(10, 1, 3)])
@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (np.zeros((2, 8, 8, 1), np.float32), "expected (batch, height, width, 3): its in_channels"),
        (np.zeros((2, 8, 8), np.float32), "expected (batch, height, width, 3)"),
        (np.zeros((2, 8, 8, 3), np.uint8), "expected floats: preprocessing is missing"),
    ],
)
def test_images_that_do_not_fit_are_refused(model, inputs, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        jax.eval_shape(partial(model.apply, train=False), *started(model), inputs)
