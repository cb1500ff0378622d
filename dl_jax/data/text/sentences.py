"""A training split of sentences and of phrases of them: holding out whole sentences."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.splits import split_indices


def whole_sentences_held_out(
    texts: Sequence[str], missing: tuple[str, ...], fraction: float, seed: int
) -> dict[str, NDArray[np.integer]]:
    """Indices of the texts of each split, `train` among them.

    A sentence is a text that is no phrase of another, that is, whose words do not follow each other
    in a longer one. Those of the `missing` splits are drawn among the sentences as by
    `split_indices`; `train` has all texts that are neither these nor phrases of them, so that
    nothing of what is held out is seen in training.
    """
    words = [tuple(text.split()) for text in texts]
    known = {hash(each) for each in words}
    within = set()  # texts that occur within another
    for each in words:
        within |= known.intersection(map(hash, _phrases(each)))
    sentences = np.array([i for i, each in enumerate(words) if hash(each) not in within])
    chosen = split_indices(len(sentences), missing, fraction, seed)
    held = {split: sentences[chosen[split]] for split in missing}
    unseen = set()
    for index in np.concatenate(list(held.values())):
        unseen.add(hash(words[index]))
        unseen.update(map(hash, _phrases(words[index])))
    train = np.array([i for i, each in enumerate(words) if hash(each) not in unseen])
    return {"train": train, **held}


def _phrases(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All parts of a text of words that follow each other, but the whole."""
    for length in range(1, len(words)):
        for start in range(len(words) - length + 1):
            yield words[start : start + length]
