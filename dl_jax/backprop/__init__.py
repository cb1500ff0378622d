"""Backpropagation by hand: operations with a forward and a backward pass (docs/backprop.md).

Each `Op` can be used through `jax.custom_vjp` (`differentiable`), and a chain of them trains a
network without automatic differentiation (`chain`, `mean_loss`).
"""

from dl_jax.shape_checks import checking_shapes

with checking_shapes("dl_jax.backprop"):
    from dl_jax.backprop.activations import (
        elu,
        gelu,
        leaky_relu,
        log_softmax,
        relu,
        sigmoid,
        silu,
        softmax,
        softplus,
        tanh,
    )
    from dl_jax.backprop.attention import attention
    from dl_jax.backprop.convolution import conv2d, conv2d_transpose
    from dl_jax.backprop.dense import dense, flatten
    from dl_jax.backprop.dropout import dropout
    from dl_jax.backprop.embedding import embed
    from dl_jax.backprop.losses import binary_cross_entropy, cross_entropy, huber_loss, l2_loss
    from dl_jax.backprop.normalization import batch_norm, layer_norm
    from dl_jax.backprop.op import Op, chain, differentiable, mean_loss
    from dl_jax.backprop.pooling import avg_pool, max_pool
    from dl_jax.backprop.recurrent import lstm, rnn

__all__ = [
    "Op",
    "attention",
    "avg_pool",
    "batch_norm",
    "binary_cross_entropy",
    "chain",
    "conv2d",
    "conv2d_transpose",
    "cross_entropy",
    "dense",
    "differentiable",
    "dropout",
    "elu",
    "embed",
    "flatten",
    "gelu",
    "huber_loss",
    "l2_loss",
    "layer_norm",
    "leaky_relu",
    "log_softmax",
    "lstm",
    "max_pool",
    "mean_loss",
    "relu",
    "rnn",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
