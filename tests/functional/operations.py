"""The table of operations: each has a reference, cases, edges, and a type in bfloat16."""

from tests.functional.harness import Operation
from tests.functional.rows import activations, images, layers, losses, sequences

OPERATIONS: dict[str, Operation] = {
    **activations.ROWS,
    **losses.ROWS,
    **layers.ROWS,
    **images.ROWS,
    **sequences.ROWS,
}
"""By public name; what follows a space tells rows of one operation apart."""

NOT_IN_THE_TABLE = {
    "Activation", "Cell", "GatedCell", "Initializer", "KeyValueCache",  # types
    "broadcast_shapes", "empty_cache",  # no operands: test_broadcasting, test_key_value_cache
    "attend_to", "attention_weights", "best_way", "context_weights", "keys_and_values",
    "multi_head_weights",  # parts of attention, and what looks at it: test_attention
    "multinomial",  # draws: test_sampling
    "alternating_flip", "color_jitter", "cutmix", "cutout", "mixup",  # draws: test_augmentation
    "gradient_penalty", "spectral_norm",  # of a function, and one step of many: test_lipschitz
    "gaussian_noise", "hide_patches", "masking_noise", "salt_and_pepper",  # draw: test_corruption
    "dirac", "he_normal", "he_uniform", "lecun_normal", "orthogonal", "xavier_normal",
    "xavier_uniform", "zeros",  # random kernels: test_initializers
}  # fmt: skip
