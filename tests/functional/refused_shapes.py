"""Calls that were broadcast or cast in silence, and the argument that is wrong in each.

Run as a script it prints how many of them are refused, outside of the tests' own type checks.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import functional as f
from dl_jax.shape_checks import TypeCheckError

ones = jnp.ones
KEY = jax.random.key(0)
IMAGES = ones((1, 4, 4, 2))
PIXELS = ones((1, 4, 4, 2), jnp.uint8)
KERNEL = ones((3, 3, 2, 2))
QUERY = ones((3, 3, 2, 4))
STATISTICS = {"mean": ones(2), "var": ones(2)}


def attend(key_heads=2, mask=None):
    source = ones((3, 3, key_heads, 4))
    return f.dot_product_attention(QUERY, source, source, mask=mask)


def batch_norm(scale=(2,), bias=(2,)):
    return f.batch_norm(IMAGES, ones(scale), ones(bias), **STATISTICS, train=True)


CALLS = {  # what: the call, the name of the argument
    "l2 [B, 1] against [B]": (lambda: f.l2_loss(ones((4, 1)), ones(4)), "targets"),
    "l2 [B, C] against [C]": (lambda: f.l2_loss(ones((4, 3)), ones(3)), "targets"),
    "l2 [B, C] against [B, 1]": (lambda: f.l2_loss(ones((4, 3)), ones((4, 1))), "targets"),
    "huber [B, 1] against [B]": (lambda: f.huber_loss(ones((4, 1)), ones(4)), "targets"),
    "float labels, B = C": (lambda: f.cross_entropy(ones((4, 4)), ones(4)), "targets"),
    "one distribution": (lambda: f.cross_entropy(ones((4, 5)), ones(5)), "targets"),
    "one label": (lambda: f.cross_entropy(ones((4, 5)), ones(1, int)), "targets"),
    "one-hot [C]": (lambda: f.cross_entropy(ones((4, 5)), jnp.eye(5)[0]), "targets"),
    "bool one-hot [C]": (lambda: f.cross_entropy(ones((4, 5)), ones(5, bool)), "targets"),
    "one-hot [1, C]": (lambda: f.cross_entropy(ones((4, 5)), jnp.eye(5)[:1]), "targets"),
    "mask [B, 1]": (
        lambda: f.cross_entropy(ones((4, 5)), ones(4, int), mask=ones((4, 1))),
        "mask",
    ),
    "bce [B, 1] against [B]": (lambda: f.binary_cross_entropy(ones((4, 1)), ones(4)), "targets"),
    "bce mask [B, 1]": (
        lambda: f.binary_cross_entropy(ones(4), ones(4), mask=ones((4, 1))),
        "mask",
    ),
    "accuracy [B, 1] against [B]": (lambda: f.binary_correct(ones((4, 1)), ones(4)), "labels"),
    "float attention mask": (lambda: attend(mask=jnp.zeros((1, 1, 3, 3))), "mask"),
    "attention mask [B, T]": (lambda: attend(mask=ones((3, 3), bool)), "mask"),
    "one head of keys": (lambda: attend(key_heads=1), "key"),
    "positions [1, T]": (lambda: f.rotary_positions(QUERY, jnp.arange(3)[None]), "positions"),
    "positions that are not whole": (lambda: f.rotary_positions(QUERY, ones(3)), "positions"),
    "integer conv2d": (lambda: f.conv2d(PIXELS, KERNEL), "x"),
    "integer conv2d_transpose": (lambda: f.conv2d_transpose(PIXELS, KERNEL), "x"),
    "integer dense": (lambda: f.dense(ones((4, 2), int), ones((2, 3))), "x"),
    "integer avg_pool": (lambda: f.avg_pool(PIXELS), "x"),
    "integer layer_norm": (lambda: f.layer_norm(PIXELS), "x"),
    "integer dropout": (lambda: f.dropout(PIXELS, 0.5, key=KEY), "x"),
    "NumPy integers": (lambda: f.dense(np.ones((4, 2), np.uint8), ones((2, 3))), "x"),
    "bias of length 1, dense": (lambda: f.dense(ones((4, 2)), ones((2, 3)), ones(1)), "bias"),
    "bias of length 1, conv2d": (lambda: f.conv2d(IMAGES, KERNEL, ones(1)), "bias"),
    "scale of length 1, batch": (lambda: batch_norm(scale=(1,)), "scale"),
    "bias of other shape, batch": (lambda: batch_norm(bias=(2, 1)), "bias"),
    "scale of length 1, layer": (lambda: f.layer_norm(ones((3, 4)), ones(1)), "scale"),
    "scale of other shape, layer": (lambda: f.layer_norm(ones((3, 4)), ones((2, 2))), "scale"),
    "scale of length 1, group": (lambda: f.group_norm(IMAGES, ones(1), groups=2), "scale"),
    "bias of other shape, group": (
        lambda: f.group_norm(IMAGES, ones(2), ones((1, 2)), groups=2),
        "bias",
    ),
    "scale of length 1, rms": (lambda: f.rms_norm(ones((3, 4)), ones(1)), "scale"),
    "max_pool of rank 3": (lambda: f.max_pool(ones((4, 4, 2))), "x"),
    "avg_pool of rank 3": (lambda: f.avg_pool(ones((4, 4, 2))), "x"),
    "conv2d of rank 2": (lambda: f.conv2d(ones((4, 4)), KERNEL), "x"),
    "weights without axes": (
        lambda: f.multinomial(KEY, ones(()), 1, replacement=True),
        "probabilities",
    ),
    "a table without axes": (lambda: f.embed(ones(3, int), ones(())), "embedding"),
    "padding in pixels, not whole": (lambda: f.conv2d(IMAGES, KERNEL, padding=1.5), "padding"),
    "no padding": (lambda: f.conv2d(IMAGES, KERNEL, padding=None), "padding"),
    "stride in pixels, not whole": (lambda: f.conv2d(IMAGES, KERNEL, stride=1.5), "stride"),
}


def is_refused(call):
    try:
        call()
    except TypeCheckError:
        return True
    except Exception:  # another error is no check of shapes
        return False
    return False


if __name__ == "__main__":
    print(sum(is_refused(call) for call, _ in CALLS.values()))
