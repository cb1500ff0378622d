"""What images are worth, by a network that was trained to tell real ones of the same data.

Its features and its classes take the place of those of the Inception network: nothing has to be
fetched, and distances and scores are comparable among generators of one dataset alone.
Sources: Heusel et al. (2017), arXiv:1706.08500; Salimans et al. (2016), arXiv:1606.03498;
Kynkaanniemi et al. (2019), arXiv:1904.06991.
"""

from typing import NamedTuple

import numpy as np

from dl_jax.data import Dataset, ImageDataset, image_statistics
from dl_jax.evaluation import (
    frechet_distance,
    inception_score,
    measure_replicas,
    nearest_examples,
    sample_precision_recall,
    to_probabilities,
)
from dl_jax.functional import cross_entropy
from dl_jax.learners import supervised
from dl_jax.models import Model, cnn, features, on_images, to_unit
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.runs import Run
from dl_jax.training import FitConfig, fit, make_evaluate, predict
from dl_jax.types import Params, State

FEATURES, LOGITS = "activation1", "head"
"""Layers of the judging network."""
CONFIDENT = 0.9
"""Probability of a class from which an image counts as one of it."""
NEIGHBORHOOD = 2000
"""Images of each kind by which precision, recall and nearest neighbors are measured."""
QUALITY = {
    "frechet_distance": "Fréchet distance",
    "inception_score": "inception-style score",
    "confident": f"samples of a class with probability {CONFIDENT:g}",
}
"""What is measured of samples at each evaluation, with the title of its panel."""
OTHERS = ("precision", "recall", "rarest_class", "commonest_class")
"""What is measured beside."""
OBEYED = "obeyed"
"""The share of samples that are of the class that they were told."""


class Judge(NamedTuple):
    """A classifier of real images, whose features and classes say what samples are like."""

    model: Model
    params: Params
    state: State
    accuracy: float


class Seen(NamedTuple):
    """What a judge sees in images."""

    features: np.ndarray
    probabilities: np.ndarray


def trained_judge(config: FitConfig, data: dict[str, ImageDataset], run: Run) -> Judge:
    """A small convolutional network, trained to tell the classes."""
    train = data["train"]
    network = cnn(train.image_shape, [(32,), (64,)], train.num_classes, widths=(128,))
    model = on_images(network, image_statistics(train))
    optimizer = make_optimizer(OptimizerConfig(schedule="cosine"), config.updates(train))
    learner = supervised(model, cross_entropy, optimizer)
    fitted = fit(learner, data, config, run)
    evaluate = make_evaluate(learner, config.evaluation_batch_size)
    accuracy = evaluate(fitted.best, data["test"]).means()["accuracy"]
    return Judge(features(model, [FEATURES, LOGITS]), *fitted.weights, float(accuracy))


def seen_by(judge: Judge, images: Dataset) -> Seen:
    """Features and probabilities of images."""
    found = predict(judge.model, judge.params, judge.state, images)
    return Seen(found[FEATURES], to_probabilities(found[LOGITS]))


def judged(
    images: np.ndarray, judge: Judge, real: Seen, told: np.ndarray | None
) -> dict[str, np.ndarray]:
    """What the images of each replica are worth; not a number for one that diverged.

    Where they were told classes, the shares of classes are given, and what counts is `obeyed`: how
    many are of the class that they were told.
    """

    def measure(own: np.ndarray) -> dict[str, float]:
        pixels = np.round(own * 255).astype(np.uint8)
        seen = seen_by(judge, Dataset("samples", "test", {"image": pixels}))
        obeyed = {} if told is None else {OBEYED: (seen.probabilities.argmax(-1) == told).mean()}
        return worth(seen, real) | obeyed

    names = [*QUALITY, *OTHERS, *([] if told is None else [OBEYED])]
    return measure_replicas(measure, names, images)


def worth(samples: Seen, real: Seen) -> dict[str, float]:
    """What the images of one generator are worth."""
    precision, recall = sample_precision_recall(
        real.features[:NEIGHBORHOOD], samples.features[:NEIGHBORHOOD]
    )
    classes = samples.probabilities.shape[-1]
    shares = np.bincount(samples.probabilities.argmax(-1), minlength=classes) / len(
        samples.features
    )
    return {
        "frechet_distance": frechet_distance(real.features, samples.features),
        "inception_score": inception_score(samples.probabilities),
        "confident": confident(samples),
        "precision": precision,
        "recall": recall,
        "rarest_class": float(shares.min()),
        "commonest_class": float(shares.max()),
    }


def confident(seen: Seen) -> float:
    """The share of images that are surely of one class."""
    return float((seen.probabilities.max(-1) >= CONFIDENT).mean())


def distance_to(known: np.ndarray, images: np.ndarray) -> float:
    """The median distance of images to the nearest known one; both as vectors (`flat`)."""
    return float(np.median(nearest_examples(images[:NEIGHBORHOOD], known)[1]))


def flat(images: np.ndarray) -> np.ndarray:
    """Images as vectors of values in [0, 1]."""
    unit = to_unit(images) if images.dtype == np.uint8 else images
    return np.asarray(unit).reshape(len(images), -1)
