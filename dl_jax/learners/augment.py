"""Augmentation of batches: of images, from functions of them and of their targets; of texts."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from dl_jax.concrete import check_concrete, is_concrete
from dl_jax.errors import UsageError, check_integer, nearest
from dl_jax.functional import alternating_flip
from dl_jax.types import Array, Batch, Count, PRNGKey, Scalar


def augment_images(*functions: Callable[..., Array], name: str = "image") -> Callable[..., Batch]:
    """`augment(batch, key=key)` that changes the images of a batch and nothing else.

    Args:
        functions: `f(images, key=key) -> images`, applied in turn, each with a key of its own, such
            as `dl_jax.functional.random_horizontal_flip`.
        name: of the images in a batch.
    """

    def changed(function: Callable[..., Array], batch: Batch, *, key: PRNGKey) -> Batch:
        return {**batch, name: function(_array(batch, name), key=key)}

    return augment_all(*(partial(changed, function) for function in functions))


def augment_all(*augments: Callable[..., Batch]) -> Callable[..., Batch]:
    """`augment(batch, key=key)` that applies several in turn, each with a key of its own."""

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        for one, own_key in zip(augments, jax.random.split(key, len(augments)), strict=True):
            batch = one(batch, key=own_key)
        return batch

    return augment


def flip_every_other_epoch(seed: Count = 0, *, name: str = "image") -> Callable[..., Batch]:
    """`dl_jax.functional.alternating_flip` of the images of a batch, as an augmentation."""

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        del key
        index, epoch = _array(batch, "index"), _array(batch, "epoch")
        return {**batch, name: alternating_flip(_array(batch, name), index, epoch, seed=seed)}

    return augment


def mix_images(
    function: Callable[..., tuple[Array, Array]],
    num_classes: Count,
    *,
    inputs: str = "image",
    targets: str = "label",
) -> Callable[..., Batch]:
    """`augment(batch, key=key)` that mixes images, whose labels become distributions over classes.

    Args:
        function: `f(images, targets, key=key) -> (images, targets)`, such as
            `dl_jax.functional.mixup`.
        num_classes: that labels count; or the labels are distributions already.
        inputs: name of the images in a batch.
        targets: name of the labels in a batch.

    Raises:
        UsageError: `num_classes` is not a positive integer.
    """
    num_classes = int(num_classes)
    check_integer("num_classes", num_classes, low=1)

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        labels = _array(batch, targets)
        distributions = jax.nn.one_hot(labels, num_classes) if labels.ndim == 1 else labels
        images, mixed = function(_array(batch, inputs), distributions, key=key)
        return {**batch, inputs: images, targets: mixed}

    return augment


def drop_words(
    rate: Scalar, unknown: Count | None, *, name: str = "tokens"
) -> Callable[..., Batch]:
    """`augment(batch, key=key)` that replaces tokens, here and there, by the unknown one.

    Padding, token 0, is left.

    Args:
        rate: probability of replacing a token, in [0, 1).
        unknown: the token that stands for what is unknown; None is a tokenizer without one, which
            can drop none.
        name: of the tokens in a batch, `[batch, time]`.

    Raises:
        UsageError: the rate is out of range, or above 0 without an unknown token.

    Source: Iyyer et al. (2015), "Deep unordered composition rivals syntactic methods for text
    classification", section 3.1, which leaves the words out; Bowman et al. (2015),
    arXiv:1511.06349, section 3.1.
    """
    check_concrete("rate", rate, low=0, high=1, exclusive_high=True)
    if unknown is None:
        if not is_concrete(rate) or rate > 0:
            raise UsageError(
                "words cannot be dropped: the tokenizer has no unknown token that could stand for "
                "them; choose the tokenizer words, or the rate 0"
            )
        return augment_all()

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        tokens = jnp.asarray(_array(batch, name))
        dropped = jax.random.bernoulli(key, rate, tokens.shape) & (tokens != 0)
        return {**batch, name: jnp.where(dropped, unknown, tokens)}

    return augment


def part_of_text(length: int, *, name: str = "tokens") -> Callable[..., Batch]:
    """`augment(batch, key=key)` that leaves a part of each text, which begins anywhere in it.

    What has become padding is behind the part, so that a recurrent network ends with it.

    Args:
        length: tokens that are left of a longer text.
        name: of the tokens in a batch, `[batch, time]`, with padding 0 behind each text.

    Raises:
        UsageError: the length is out of range.
    """
    check_integer("length", length, low=1)

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        tokens = jnp.asarray(_array(batch, name))
        spare = jnp.maximum((tokens != 0).sum(-1) - length, 0)
        starts = jax.random.randint(key, spare.shape, 0, spare + 1)
        places = starts[:, None] + jnp.arange(length)[None]  # [B, length]
        part = jnp.take_along_axis(tokens, places, axis=1, mode="fill", fill_value=0)
        behind = max(0, tokens.shape[1] - length)
        part = jnp.pad(part, ((0, 0), (0, behind)))[:, : tokens.shape[1]]
        return {**batch, name: part}

    return augment


def _array(batch: Batch, name: str) -> Array:
    if name not in batch:
        raise UsageError(
            f"a batch has no array {name!r}, its arrays are {', '.join(sorted(batch))}"
            f"{nearest(name, batch)}"
        )
    return batch[name]
