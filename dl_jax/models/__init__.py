"""Models: `(init, apply)` pairs, one architecture a file, and layers of which they are made."""

from dl_jax.models.attribution import grad_cam, occlusion
from dl_jax.models.chain import chain, features, residual, split
from dl_jax.models.cnn import cnn
from dl_jax.models.flax_bridge import from_linen, from_nnx
from dl_jax.models.generative.adversarial import (
    mlp_critic,
    mlp_generator,
    wgan_critic,
    wgan_generator,
)
from dl_jax.models.generative.autoencoder import autoencoder, variational_autoencoder
from dl_jax.models.layers import conv, deconv, drop, flatten, from_function, linear, norm
from dl_jax.models.mean_embedding import mean_embedding_classifier
from dl_jax.models.mlp import mlp
from dl_jax.models.model import Model, Stepper
from dl_jax.models.on_images import on_images
from dl_jax.models.recurrent import (
    gru_classifier,
    lstm_classifier,
    recurrent_classifier,
    reset_rnn_classifier,
    rnn_classifier,
    rnn_lm,
    rnn_regressor,
)
from dl_jax.models.resnet import resnet18, resnet34, wide_resnet
from dl_jax.models.spectral import with_spectral_norm
from dl_jax.models.transformations import (
    standardize,
    to_unit,
    with_compute_dtype,
    with_frozen_statistics,
    with_mirrored_evaluation,
    with_preprocessing,
)
from dl_jax.models.transformers import (
    transformer_encoder,
    transformer_lm,
    transformer_seq2seq,
)
from dl_jax.models.vgg import vgg16
from dl_jax.models.weights import load_weights, save_weights
from dl_jax.models.whitened_cnn import whitened_cnn, whitening_kernel, whitening_start

__all__ = [
    "Model",
    "Stepper",
    "autoencoder",
    "chain",
    "cnn",
    "conv",
    "deconv",
    "drop",
    "features",
    "flatten",
    "from_function",
    "from_linen",
    "from_nnx",
    "grad_cam",
    "gru_classifier",
    "linear",
    "load_weights",
    "lstm_classifier",
    "mean_embedding_classifier",
    "mlp",
    "mlp_critic",
    "mlp_generator",
    "norm",
    "occlusion",
    "on_images",
    "recurrent_classifier",
    "reset_rnn_classifier",
    "residual",
    "resnet18",
    "resnet34",
    "rnn_classifier",
    "rnn_lm",
    "rnn_regressor",
    "save_weights",
    "split",
    "standardize",
    "to_unit",
    "transformer_encoder",
    "transformer_lm",
    "transformer_seq2seq",
    "variational_autoencoder",
    "vgg16",
    "wgan_critic",
    "wgan_generator",
    "whitened_cnn",
    "whitening_kernel",
    "whitening_start",
    "wide_resnet",
    "with_compute_dtype",
    "with_frozen_statistics",
    "with_mirrored_evaluation",
    "with_preprocessing",
    "with_spectral_norm",
]
