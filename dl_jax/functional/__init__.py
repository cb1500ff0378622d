"""The mathematics: arrays in, arrays out, no parameters held and no state kept.

Arguments may be arrays of JAX or of NumPy. Their shapes and types are checked against the
annotations wherever a function is traced: see `dl_jax.shape_checks`.
"""

from dl_jax.shape_checks import checking_shapes

with checking_shapes("dl_jax.functional"):
    from dl_jax.functional.accuracy import binary_correct, correct
    from dl_jax.functional.activations import (
        Activation,
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
    from dl_jax.functional.attention.blocked import blocked_attention
    from dl_jax.functional.attention.dot_product import (
        attention_weights,
        best_way,
        dot_product_attention,
    )
    from dl_jax.functional.attention.key_value_cache import KeyValueCache, empty_cache
    from dl_jax.functional.attention.masks import causal_mask, padding_mask
    from dl_jax.functional.attention.multi_head import (
        attend_to,
        context_weights,
        keys_and_values,
        multi_head_attention,
        multi_head_weights,
    )
    from dl_jax.functional.attention.positions import rotary_positions, sinusoidal_positions
    from dl_jax.functional.augmentation import (
        alternating_flip,
        color_jitter,
        cutout,
        random_crop,
        random_horizontal_flip,
    )
    from dl_jax.functional.broadcasting import broadcast_shapes, broadcast_tensors, expand_as
    from dl_jax.functional.convolution.convolve import conv2d, conv2d_transpose
    from dl_jax.functional.corruption import (
        gaussian_noise,
        hide_patches,
        masking_noise,
        salt_and_pepper,
    )
    from dl_jax.functional.dense import dense, split_linear
    from dl_jax.functional.drop_norm import drop_norm
    from dl_jax.functional.dropout import dropout
    from dl_jax.functional.embedding import embed
    from dl_jax.functional.initializers import (
        Initializer,
        dirac,
        he_normal,
        he_uniform,
        lecun_normal,
        orthogonal,
        xavier_normal,
        xavier_uniform,
        zeros,
    )
    from dl_jax.functional.lipschitz import gradient_penalty, spectral_norm
    from dl_jax.functional.losses import (
        binary_cross_entropy,
        cross_entropy,
        huber_loss,
        l2_loss,
    )
    from dl_jax.functional.mixing import cutmix, mixup
    from dl_jax.functional.normalization import batch_norm, group_norm, layer_norm, rms_norm
    from dl_jax.functional.pooling import avg_pool, global_avg_pool, global_max_pool, max_pool
    from dl_jax.functional.recurrent import (
        Cell,
        GatedCell,
        gru_cell,
        lstm_cell,
        reset_rnn_cell,
        rnn_cell,
    )
    from dl_jax.functional.sampling import multinomial
    from dl_jax.functional.scan_cell import scan_cell

__all__ = [
    "Activation",
    "Cell",
    "GatedCell",
    "Initializer",
    "KeyValueCache",
    "alternating_flip",
    "attend_to",
    "attention_weights",
    "avg_pool",
    "batch_norm",
    "best_way",
    "binary_correct",
    "binary_cross_entropy",
    "blocked_attention",
    "broadcast_shapes",
    "broadcast_tensors",
    "causal_mask",
    "color_jitter",
    "context_weights",
    "conv2d",
    "conv2d_transpose",
    "correct",
    "cross_entropy",
    "cutmix",
    "cutout",
    "dense",
    "dirac",
    "dot_product_attention",
    "drop_norm",
    "dropout",
    "elu",
    "embed",
    "empty_cache",
    "expand_as",
    "gaussian_noise",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "gradient_penalty",
    "group_norm",
    "gru_cell",
    "he_normal",
    "he_uniform",
    "hide_patches",
    "huber_loss",
    "keys_and_values",
    "l2_loss",
    "layer_norm",
    "leaky_relu",
    "lecun_normal",
    "log_softmax",
    "lstm_cell",
    "masking_noise",
    "max_pool",
    "mixup",
    "multi_head_attention",
    "multi_head_weights",
    "multinomial",
    "orthogonal",
    "padding_mask",
    "random_crop",
    "random_horizontal_flip",
    "relu",
    "reset_rnn_cell",
    "rms_norm",
    "rnn_cell",
    "rotary_positions",
    "salt_and_pepper",
    "scan_cell",
    "sigmoid",
    "silu",
    "sinusoidal_positions",
    "softmax",
    "softplus",
    "spectral_norm",
    "split_linear",
    "tanh",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
