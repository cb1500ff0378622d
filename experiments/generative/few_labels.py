"""What features that were learned without labels are worth with few labels, and with many.

Two questions of an encoder: how much a linear classifier reads from its features as they are (a
linear probe), and what its network learns if it goes on with labels (fine-tuning). Numbers of
labels are those of the training: penalties and steps are chosen on the whole validation split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import jax
import numpy as np
from sklearn.decomposition import PCA

from dl_jax import plots
from dl_jax.data import Dataset, ImageDataset
from dl_jax.errors import UsageError
from dl_jax.evaluation import measure_replicas, probe_accuracy
from dl_jax.functional import cross_entropy
from dl_jax.learners import Weights, supervised
from dl_jax.models import Model, to_unit, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import mean_and_std
from dl_jax.runs import Run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate, predict

Splits: TypeAlias = Mapping[str, ImageDataset]
Codes: TypeAlias = Mapping[str, np.ndarray]
"""Features of each split, `[replicas, examples, features]`."""
Accuracies: TypeAlias = dict[int, np.ndarray]
"""Test accuracy of each replica, by the number of labels."""


def chosen(train: ImageDataset, counts: Sequence[int], seed: int) -> dict[int, np.ndarray]:
    """Training examples at random, as many as each count says, as indices.

    Raises:
        UsageError: there are not so many.
    """
    order = np.random.default_rng(seed).permutation(len(train))
    for count in counts:
        if count > len(train):
            raise UsageError(
                f"labels are {count}, expected at most the {len(train)} that there are"
            )
    return {count: np.sort(order[:count]) for count in counts}


def labels_of(data: Dataset) -> np.ndarray:
    """All labels of a split."""
    return np.asarray(data.arrays["label"][:])


def codes_of(encoder: Model, weights: Weights, data: Splits) -> Codes:
    """What the replicas of an encoder make of images in [0, 1]."""
    encode = with_preprocessing(encoder, to_unit)
    return {split: predict(encode, *weights, each, replicas=True) for split, each in data.items()}


def probe(found: Codes, subsets: Mapping[int, np.ndarray], data: Splits) -> Accuracies:
    """Linear probes of the features of each replica; not a number for one that diverged."""
    labels, classes = {s: labels_of(each) for s, each in data.items()}, data["train"].num_classes

    def accuracies(*codes: np.ndarray) -> dict[int, float]:
        own = dict(zip(found, codes, strict=True))
        return {
            count: probe_accuracy(
                {**own, "train": own["train"][indices]},
                {**labels, "train": labels["train"][indices]},
                classes,
            )
            for count, indices in subsets.items()
        }

    return measure_replicas(accuracies, [*subsets], *found.values())


def untrained(encoder: Model, numbers: int, data: Splits, seed: int) -> dict[str, Codes]:
    """Features that no network learned: pixels, a random encoder's, principal components."""
    pixels = {
        split: np.asarray(to_unit(each.arrays["image"][:])).reshape(len(each), -1)
        for split, each in data.items()
    }
    principal = PCA(min(numbers, *pixels["train"].shape), random_state=0).fit(pixels["train"])
    weights = jax.jit(jax.vmap(encoder.init))(jax.random.key(seed)[None])
    return {
        "raw pixels": {split: x[None] for split, x in pixels.items()},
        "random encoder": codes_of(encoder, weights, data),
        "principal components": {s: principal.transform(x)[None] for s, x in pixels.items()},
    }


def fine_tuned(
    name: str,
    model: Model,
    start: Weights | None,
    subsets: Mapping[int, np.ndarray],
    data: Splits,
    optimizer: OptimizerConfig,
    tune: FitConfig,
    least_steps: int,
    run: Run,
) -> tuple[Accuracies, dict[str, Fitted]]:
    """Train one classifier for each number of labels, all from one beginning.

    The number of steps depends on the labels alone, so that beginnings can be compared.

    Args:
        name: of the beginning, for the parts of the run.
        model: to train.
        start: the parameters and state that it begins with, as `Learner.init` takes them; None is
            from scratch.
        subsets: training examples by the number of labels.
        data: images, with labels.
        optimizer: with its schedule.
        tune: how to train with all labels; with few, they are seen more often.
        least_steps: updates, at least.
        run: whose parts are written.
    """
    accuracy, fitted = {}, {}
    for count, indices in subsets.items():
        labeled = {**data, "train": data["train"].subset(indices)}
        tuning = steps_for(tune, count, least_steps)
        rule = make_optimizer(optimizer, tuning.updates(labeled["train"]))
        learner = supervised(model, cross_entropy, rule)
        part = f"{name}, {count} labels"
        fitted[part] = fit(learner, labeled, tuning, run.part(part), start=start)
        evaluate = make_evaluate(learner, tuning.evaluation_batch_size)
        accuracy[count] = np.ravel(evaluate(fitted[part].best, data["test"]).means()["accuracy"])
    return accuracy, fitted


def steps_for(tune: FitConfig, count: int, least_steps: int) -> FitConfig:
    """How long to train with so many labels."""
    batch = min(tune.batch_size, count)
    steps = tune.steps or max(least_steps, round(tune.epochs * count / batch))
    every = tune.evaluate_every or -(-steps // 4)
    return replace(tune, batch_size=batch, steps=steps, evaluate_every=every)


def listed(accuracy: Accuracies) -> dict[str, list[float | None]]:
    """Accuracies of replicas by the number of labels, for JSON: None of one that diverged."""
    return {str(count): mean_and_std(values)["values"] for count, values in accuracy.items()}


def draw_accuracy(found: Mapping[str, Accuracies]):
    """Test accuracy by the number of labels."""
    curves = {
        name: (np.array([*each]), np.stack([*each.values()], axis=-1))
        for name, each in found.items()
    }
    return plots.named_lines(curves, x="training labels", y="test accuracy", log_x=True)
