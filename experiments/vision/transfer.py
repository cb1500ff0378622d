"""Transfer: a ResNet18 that was trained on one task, carried to another with fewer labels.

In six ways, each with several shares of the labels: a linear probe of the features; training the
head alone; unfreezing the stages one after the other, from the head down; fine-tuning everything;
the same network from scratch; and the course's convolutional network from scratch.
Source: the course, which asks for fine-tuning against linear probing. Gradual unfreezing: Howard
and Ruder (2018), arXiv:1801.06146, section 3.3.
Command: python -m experiments.vision.transfer --seeds 3
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax import plots
from dl_jax.configuration import place_only
from dl_jax.data import ImageDataset, image_statistics, load_splits
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.evaluation import fit_linear_probe
from dl_jax.functional import cross_entropy, random_crop, random_horizontal_flip
from dl_jax.learners import Weights, augment_images, over_seeds, supervised
from dl_jax.models import (
    Model,
    cnn,
    features,
    load_weights,
    on_images,
    resnet18,
    with_frozen_statistics,
)
from dl_jax.optim import OptimizerConfig, by_path, freeze, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, make_evaluate, predict

STAGES = ("head/.*", "layer4_.*", "layer3_.*", "layer2_.*", "layer1_.*")
"""What gradual unfreezing trains, one after the other; then everything."""
EVALUATIONS = 4
"""How often each training is evaluated."""
CHANGES = (random_horizontal_flip, partial(random_crop, pixels=2))
Statistics = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Config:
    """From one image classification task to another."""

    pretrain_on: str = "cifar10"
    """Dataset of the first task."""
    pretrain_classes: tuple[str, ...] = ("bird", "cat", "deer", "dog", "frog", "horse")
    """Its classes; all if there are none here."""
    transfer_to: str = "cifar10"
    """Dataset of the second task."""
    transfer_classes: tuple[str, ...] = ("airplane", "automobile", "ship", "truck")
    """Its classes; all if there are none here."""
    data_dir: Path | None = place_only(None)
    """Folder of prepared TFDS datasets; `$TFDS_DATA_DIR` where it is not given."""
    weights: str = ""
    """Weights of a ResNet18 in place of the first task: a file, or a network of the hub."""
    width: int = 16
    """Filters of the ResNet's first stage."""
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    """Shares of the second task's labels."""
    seeds: int = 3
    """Independent replicas of each network on the second task, in one compiled program."""
    pretrain: FitConfig = FitConfig(epochs=12)
    optimizer: OptimizerConfig = OptimizerConfig(weight_decay=0.01)
    fit: FitConfig = FitConfig(epochs=6)
    least_steps: int = 300
    """Updates at least, also where there are few labels."""
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("width", self.width, low=1)
        check_integer("seeds", self.seeds, low=1)
        check_integer("least_steps", self.least_steps, low=1)
        if not self.fractions:
            raise UsageError("there are no fractions, expected some such as 0.01 0.1 1")
        for fraction in self.fractions:
            check_range("a fraction", fraction, low=0, high=1, exclusive_low=True)


class Task(NamedTuple):
    """The second task with a share of its labels, and how long it is trained."""

    data: dict[str, ImageDataset]
    fit: FitConfig


def main(config: Config) -> None:
    """Train on the first task, transfer in every way, compare and draw."""
    first = task_data(config.pretrain_on, config.pretrain_classes, config.data_dir)
    second = task_data(config.transfer_to, config.transfer_classes, config.data_dir)
    tasks = {f"{f:g}": with_fraction(config, second, f) for f in config.fractions}
    statistics = image_statistics(first["train"])

    run = open_run("transfer", config, config.run)
    learned = given(config, first) if config.weights else trained(config, first, statistics, run)
    network = resnet_like(learned, second["train"].num_classes)
    model = on_images(network, statistics)
    fitted, measured, probed = {}, {}, {}
    for share, task in tasks.items():
        probed[share] = probe(model, learned, task.data)
        for name, method in METHODS.items():
            own, start, optimizer = method(config, model, learned, task)
            learner = supervised(own, cross_entropy, optimizer, augment=augment_images(*CHANGES))
            learner = over_seeds(learner, config.seeds)
            part = f"{name}, {share}"
            fitted[part] = fit(learner, task.data, task.fit, run.part(part), start=start)
            evaluate = make_evaluate(learner, task.fit.evaluation_batch_size)
            measured[part] = evaluate(fitted[part].best, task.data["test"]).means()

    shares = np.array(config.fractions)
    curves = {"linear probe": (shares, np.array([list(probed.values())]))}
    for name in METHODS:
        found = [np.ravel(measured[f"{name}, {share}"]["accuracy"]) for share in tasks]
        curves[name] = shares, np.stack(found, axis=-1)
    figures = {
        "data": data_figure(second),
        "transfer": lambda: plots.named_lines(
            curves, x="share of the labels", y="test accuracy", log_x=True
        ),
    }
    report_each(run, fitted, measured, figures, extras={"linear_probe": probed})


# The two tasks.


def task_data(
    name: str, classes: tuple[str, ...], data_dir: Path | None
) -> dict[str, ImageDataset]:
    """The splits of a dataset, of some of its classes."""
    splits = load_splits(name, data_dir)
    return {split: d.only(classes) if classes else d for split, d in splits.items()}


def with_fraction(config: Config, data: dict[str, ImageDataset], share: float) -> Task:
    """A share of the training labels; few are seen more often."""
    train = data["train"].fraction(share, config.fit.seed)
    batch = min(config.fit.batch_size, len(train))
    steps = max(config.least_steps, round(config.fit.epochs * len(train) / batch))
    fitting = replace(
        config.fit, batch_size=batch, steps=steps, evaluate_every=-(-steps // EVALUATIONS)
    )
    return Task({**data, "train": train}, fitting)


# What was learned on the first.


def trained(
    config: Config, data: dict[str, ImageDataset], statistics: Statistics, run: Run
) -> Weights:
    """Parameters and state of a ResNet18 trained on the first task, without its head."""
    train = data["train"]
    network = resnet18(train.num_classes, width=config.width, in_channels=train.image_shape[-1])
    optimizer = make_optimizer(config.optimizer, config.pretrain.updates(train))
    learner = supervised(
        on_images(network, statistics), cross_entropy, optimizer, augment=augment_images(*CHANGES)
    )
    params, state = fit(learner, data, config.pretrain, run.part("pretraining")).weights
    return {name: tree for name, tree in params.items() if name != "head"}, state


def given(config: Config, data: dict[str, ImageDataset]) -> Weights:
    """The weights of a file or of the hub, without their head."""
    params, state = load_weights("resnet18", config.weights, skip="head/.*")
    channels = data["train"].image_shape[-1]
    if params["conv1"]["kernel"].shape[2] != channels:
        raise UsageError(
            f"the weights {config.weights} are for images of {params['conv1']['kernel'].shape[2]} "
            f"channels, those of {config.pretrain_on!r} have {channels}: choose images that fit"
        )
    return params, state


def resnet_like(learned: Weights, num_classes: int) -> Model:
    """The network whose features are these, with a new head."""
    window, _, channels, width = learned[0]["conv1"]["kernel"].shape
    stem = "imagenet" if window == 7 else "cifar"
    return resnet18(num_classes, stem=stem, width=width, in_channels=channels)


# The ways to transfer: a model, what it starts from, and its optimizer.

Method = Callable[
    [Config, Model, Weights, Task], tuple[Model, Weights | None, optax.GradientTransformation]
]


def probe(model: Model, learned: Weights, data: dict[str, ImageDataset]) -> float:
    """Test accuracy of a linear classifier of the features."""
    pooled = features(model, ["pool"])
    params, _ = jax.jit(model.init)(jax.random.key(0))  # of the head, which is not used
    found = {
        split: predict(pooled, {**params, **learned[0]}, learned[1], data[split])["pool"]
        for split in ("train", "test")
    }
    labels = {split: np.asarray(data[split].arrays["label"][:]) for split in found}
    fitted = fit_linear_probe(found["train"], labels["train"], data["train"].num_classes)
    return fitted.accuracy(found["test"], labels["test"])


def head_only(config: Config, model: Model, learned: Weights, task: Task):
    """Everything but the head is as it was learned, statistics included."""
    optimizer = make_optimizer(config.optimizer, task.fit.steps)
    return with_frozen_statistics(model), learned, freeze("(?!head/).*", optimizer)


def gradual_unfreezing(config: Config, model: Model, learned: Weights, task: Task):
    """The head, then one stage more in each further sixth of the training."""
    optimizer, groups = make_optimizer(config.optimizer, task.fit.steps), []
    for number, pattern in enumerate((*STAGES, ".*")):
        begin = number * task.fit.steps // (len(STAGES) + 1)

        def begun(step, begin=begin):
            return jnp.where(step >= begin, 1.0, 0.0)

        groups.append((pattern, optax.chain(optimizer, optax.scale_by_schedule(begun))))
    return with_frozen_statistics(model), learned, by_path(groups)


def fine_tuning(config: Config, model: Model, learned: Weights, task: Task):
    """Everything is trained from what was learned."""
    return model, learned, make_optimizer(config.optimizer, task.fit.steps)


def from_scratch(config: Config, model: Model, learned: Weights, task: Task):
    """The same network, which has learned nothing."""
    del learned
    return model, None, make_optimizer(config.optimizer, task.fit.steps)


def course_cnn(config: Config, model: Model, learned: Weights, task: Task):
    """The course's own convolutional network, from scratch."""
    del model, learned
    train = task.data["train"]
    network = cnn(train.image_shape, [(32, 32), (64, 64)], train.num_classes, widths=(128,))
    optimizer = make_optimizer(config.optimizer, task.fit.steps)
    return on_images(network, image_statistics(train)), None, optimizer


METHODS: dict[str, Method] = {
    "head only": head_only,
    "gradual unfreezing": gradual_unfreezing,
    "fine-tuning": fine_tuning,
    "from scratch": from_scratch,
    "course's CNN": course_cnn,
}


if __name__ == "__main__":
    launch(Config, main)
