"""Every model keeps its promises and is what PyTorch computes: a new one is a row of MODELS."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.functional import correct, cross_entropy, max_pool, relu
from dl_jax.models import (
    autoencoder,
    chain,
    cnn,
    conv,
    drop,
    flatten,
    gru_classifier,
    linear,
    lstm_classifier,
    mean_embedding_classifier,
    mlp,
    mlp_critic,
    mlp_generator,
    norm,
    reset_rnn_classifier,
    residual,
    resnet18,
    rnn_classifier,
    rnn_lm,
    rnn_regressor,
    transformer_encoder,
    transformer_lm,
    transformer_seq2seq,
    variational_autoencoder,
    vgg16,
    wgan_critic,
    wgan_generator,
    whitened_cnn,
    wide_resnet,
)
from tests.models.check_model import Row, check_model, check_reference

IMAGE = 9, 6, 2
IMAGES = np.random.default_rng(0).normal(size=(6, *IMAGE)).astype(np.float32)
PICTURES = np.random.default_rng(2).normal(size=(2, 32, 32, 2)).astype(np.float32)
SQUARES = np.random.default_rng(1).normal(size=(6, 17, 16, 2)).astype(np.float32)
TOKENS = np.array([[1, 8, 2, 3, 4, 6, 5], [9, 7, 0, 0, 0, 0, 0], [10, 2, 2, 4, 0, 0, 0]], np.int32)
SEGMENTS = np.array([[0, 0, 0, 1, 1, 2, 2], [1, 1, 0, 0, 0, 0, 0], [0, 1, 2, 3, 0, 0, 0]], np.int32)
NOISE = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
LABELS = np.array([2, 0, 1, 2, 2], np.int32)
SMALL = np.random.default_rng(5).uniform(-1, 1, (5, 8, 8, 2)).astype(np.float32)
SERIES = np.random.default_rng(3).normal(size=(3, 6, 2)).astype(np.float32)


def floats(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def nested(dropout_rate=0.0):
    top = {"dense": linear(8, 5, bias=False), "norm": norm(5), "tanh": jnp.tanh}
    return chain(
        {
            "conv1": conv(2, 4, stride=2, bias=False),
            "norm1": norm(4, momentum=0.8, epsilon=1e-3),
            "relu1": relu,
            "pool1": partial(max_pool, window=2),
            "flatten": flatten,
            "drop1": drop(dropout_rate),
            "top": chain(top),
            "head": linear(5, 3),
        }
    )


def branch(filters=2, stride=1, **last):
    return chain(
        {
            "conv1": conv(2, 4, stride=stride, bias=False),
            "norm1": norm(4),
            "relu1": relu,
            "conv2": conv(4, filters, bias=False),
            "norm2": norm(filters, **last),
        }
    )


def residuals():
    down = chain({"conv": conv(2, 3, 1, stride=2, bias=False), "norm": norm(3)})
    return chain({"layer1_0": residual(branch()), "layer2_0": residual(branch(3, 2), down)})


def small_vgg16(dropout_rate=0.0):
    return vgg16(3, input_shape=(32, 32, 2), classifier=(4,), dropout_rate=dropout_rate)


# fmt: off
MODELS = {
    "linear": Row(lambda: mlp(IMAGE, (), 4), IMAGES, floats(6, 4), "mlp"),
    "mlp": Row(partial(mlp, IMAGE, (8, 7), 4), IMAGES, floats(6, 4), "mlp", eager=True),
    "cnn": Row(partial(cnn, IMAGE, [(4,), (8,)], 4, widths=(16,)), IMAGES, floats(6, 4), "cnn"),
    "nested chains": Row(nested, IMAGES, floats(6, 3), "nested"),
    "residuals": Row(residuals, IMAGES, floats(6, 5, 3, 3), "residuals"),
    "resnet18": Row(partial(resnet18, 3, width=2, in_channels=2), SQUARES, floats(6, 3),
                    "resnet18", coarse=(0.1, 0.7), exact=1e-3),
    "resnet18 for ImageNet": Row(partial(resnet18, 3, width=2, in_channels=2, stem="imagenet"),
                                 SQUARES, floats(6, 3), "resnet18", coarse=(0.1, 0.7), exact=1e-3),
    "resnet18 without shortcuts": Row(
        partial(resnet18, 3, width=2, in_channels=2, shortcuts=False), SQUARES, floats(6, 3),
        "plain18", coarse=(0.2, 0.9), exact=1e-3,
    ),
    "wide_resnet": Row(partial(wide_resnet, 10, 2, 3, in_channels=2), IMAGES, floats(6, 3),
                       "wide_resnet"),
    "vgg16": Row(small_vgg16, PICTURES, floats(2, 3), "vgg16"),
    "whitened_cnn": Row(partial(whitened_cnn, 3, widths=(20, 24), in_channels=2), IMAGES,
                        floats(6, 3), "whitened_cnn",
                        random="(conv._1|head)/kernel", fixed="whiten/kernel"),
    "lstm_classifier": Row(
        partial(lstm_classifier, 11, 4, embedding_dim=5, hidden_dim=3, num_layers=2,
                bidirectional=True), TOKENS, floats(3, 4), "last_of_cells"),
    "gru_classifier": Row(
        partial(gru_classifier, 11, 4, embedding_dim=5, hidden_dim=3, num_layers=2, pooling="mean",
                variational=True), TOKENS, floats(3, 4), "mean_of_cells"),
    "rnn_classifier": Row(
        partial(rnn_classifier, 11, 4, embedding_dim=5, hidden_dim=3, pooling="max"),
        TOKENS, floats(3, 4), "maximum_of_cells"),
    "reset_rnn_classifier": Row(
        partial(reset_rnn_classifier, 11, 4, embedding_dim=5, hidden_dim=3, truncate=3),
        TOKENS, floats(3, 4)),
    "mean_embedding_classifier": Row(
        partial(mean_embedding_classifier, 11, 4, embedding_dim=5, widths=(6,)),
        TOKENS, floats(3, 4), "mean_embedding"),
    "rnn_regressor": Row(
        partial(rnn_regressor, 2, 1, hidden_dim=4), SERIES, floats(3, 6, 1), "regressor"),
    "rnn_lm": Row(
        partial(rnn_lm, 11, embedding_dim=5, hidden_dim=3, num_layers=2),
        TOKENS, floats(3, 7, 11), "language_model"),
    "transformer_lm": Row(
        partial(transformer_lm, 11, 9, width=8, num_heads=2, num_layers=2),
        TOKENS, floats(3, 7, 11), "transformer_lm"),
    "transformer_lm as in its paper": Row(
        partial(transformer_lm, 11, 9, width=8, num_heads=2, num_layers=3, hidden_dim=12,
                positions="sinusoidal", norm_first=False, activation="relu", tied=False,
                remat=True), TOKENS, floats(3, 7, 11), "first_transformer_lm"),
    "transformer_lm with rotations and gates": Row(
        partial(transformer_lm, 11, 9, width=8, num_heads=2, num_layers=2, positions="rotary",
                norm="rms", activation="gated"), TOKENS, floats(3, 7, 11)),
    "transformer_encoder": Row(
        partial(transformer_encoder, 11, 9, width=8, num_heads=2, num_layers=2),
        TOKENS, floats(3, 7, 11), "encoder", gradient=3e-3),
    "transformer_encoder of texts": Row(
        partial(transformer_encoder, 11, 9, 4, per="text", width=8, num_heads=2, num_layers=2),
        TOKENS, floats(3, 4), "text_encoder"),
    "transformer_encoder of segments": Row(
        partial(transformer_encoder, 11, 9, 1, per="segment", segments=4, width=8, num_heads=2,
                num_layers=1, norm_first=False),
        {"tokens": TOKENS, "segments": SEGMENTS}, floats(3, 4, 1)),
    "transformer_seq2seq": Row(
        partial(transformer_seq2seq, 11, 9, 7, width=8, num_heads=2, num_layers=2),
        {"source": TOKENS, "target": TOKENS[:, :5]}, floats(3, 5, 11), "seq2seq"),
    "wgan_generator": Row(partial(wgan_generator, (16, 16, 2), 3, width=4), NOISE,
                          floats(5, 16, 16, 2), "generator"),
    "wgan_generator of classes": Row(
        partial(wgan_generator, (8, 8, 2), 3, width=4, hidden_dim=6, num_classes=3,
                batch_norm=False),
        (NOISE, LABELS), floats(5, 8, 8, 2), "generator"),
    "wgan_critic": Row(partial(wgan_critic, (8, 8, 2), width=4, hidden_dim=6), SMALL,
                       floats(5), "critic"),
    "wgan_critic of classes": Row(partial(wgan_critic, (8, 8, 2), width=4, num_classes=3),
                                  (SMALL, LABELS), floats(5), "critic"),
    "mlp_generator": Row(partial(mlp_generator, 2, 3, (6, 5)), NOISE, floats(5, 2),
                         "dense_generator"),
    "mlp_critic of classes": Row(partial(mlp_critic, 3, (6, 5), num_classes=3), (NOISE, LABELS),
                                 floats(5), "dense_critic"),
    "autoencoder": Row(partial(autoencoder, (8, 8, 2), (12, 7), 3), SMALL, floats(5, 8, 8, 2),
                       "dense_autoencoder"),
    "autoencoder, convolutional": Row(
        partial(autoencoder, (8, 8, 2), (6, 7), 3, convolutional=True), SMALL,
        floats(5, 8, 8, 2), "convolutional_autoencoder"),
    "variational_autoencoder": Row(partial(variational_autoencoder, (8, 8, 2), (12, 7), 3), SMALL,
                                   floats(5, 8, 8, 2), "variational"),
}
# fmt: on


@pytest.mark.parametrize("name", MODELS)
def test_keeps_its_promises(name):
    check_model(MODELS[name])


@pytest.mark.parametrize("name", [name for name, row in MODELS.items() if row.reference])
def test_is_what_torch_computes(name):
    check_reference(MODELS[name])


OVERFITTED = {"mlp": partial(mlp, IMAGE, (16,), 4), "cnn": partial(cnn, IMAGE, [(8,)], 4)}


@pytest.mark.parametrize("make", OVERFITTED.values(), ids=OVERFITTED)
def test_one_batch_is_overfitted(make):
    model, labels = make(), jnp.arange(6) % 4
    optimizer = optax.adam(0.03)

    def loss(params):
        logits, _ = model.apply(params, {}, IMAGES, train=True)
        return cross_entropy(logits, labels).mean(), correct(logits, labels).mean()

    @jax.jit
    def step(params, opt_state):
        (value, accuracy), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradients, opt_state)
        return optax.apply_updates(params, updates), opt_state, value, accuracy

    params, _ = jax.jit(model.init)(jax.random.key(0))
    opt_state = jax.jit(optimizer.init)(params)
    for _ in range(60):
        params, opt_state, value, accuracy = step(params, opt_state)
    assert accuracy == 1
    assert value < 0.05
