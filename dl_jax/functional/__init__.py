"""The mathematics: arrays in, arrays out, no parameters held and no state kept."""

from dl_jax.functional.activations import (
    Activation,
    gelu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from dl_jax.functional.augmentation import random_flip, random_shift
from dl_jax.functional.convolution import conv2d
from dl_jax.functional.dense import dense
from dl_jax.functional.dropout import dropout
from dl_jax.functional.initializers import (
    Initializer,
    he_normal,
    lecun_normal,
    xavier_uniform,
    zeros,
)
from dl_jax.functional.losses import correct, cross_entropy, l2_loss
from dl_jax.functional.pooling import avg_pool, global_avg_pool, max_pool
from dl_jax.functional.standardization import standardize

__all__ = [
    "Activation",
    "Initializer",
    "avg_pool",
    "conv2d",
    "correct",
    "cross_entropy",
    "dense",
    "dropout",
    "gelu",
    "global_avg_pool",
    "he_normal",
    "l2_loss",
    "lecun_normal",
    "log_softmax",
    "max_pool",
    "random_flip",
    "random_shift",
    "relu",
    "sigmoid",
    "softmax",
    "standardize",
    "tanh",
    "xavier_uniform",
    "zeros",
]
