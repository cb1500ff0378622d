"""What early layers learn: a ResNet18 on two tasks, layer by layer, over training.

Two networks learn different classes of the same images, each from several seeds. Of every layer's
features (their mean over all pixels) of the same images, of all classes: in how many directions
they vary, how many images lie nearest to the mean of their own class, and how much two networks'
features have in common (CKA). Where networks of two tasks have as much in common as two seeds of
one task, the layer does not depend on the task. Two networks of the same seed begin with the same
values, and are not compared.
Source: the course, which asks whether early layers depend on the task.
Command: python -m experiments.vision.layers
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations
from pathlib import Path

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import ImageData, ImageDataset, image_statistics
from dl_jax.errors import UsageError, check_integer
from dl_jax.evaluation import linear_cka, nearest_class_mean_accuracy, participation_ratio
from dl_jax.functional import cross_entropy, random_crop, random_horizontal_flip
from dl_jax.learners import augment_images, over_seeds, supervised
from dl_jax.models import Model, features, on_images, resnet18
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.plots import Curve
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate, predict

BLOCKS = [f"relu{stage}_{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
LAYERS = ["relu1", *BLOCKS]
Found = dict[int, dict[str, np.ndarray]]
"""Step to layer to features `[seeds, examples, channels]`."""


@dataclass(frozen=True)
class Config:
    """Two tasks, one network each."""

    first_classes: tuple[str, ...] = ("bird", "cat", "deer", "dog", "frog", "horse")
    """Classes of the first task."""
    second_classes: tuple[str, ...] = ("airplane", "automobile", "ship", "truck")
    """Classes of the second task."""
    width: int = 16
    """Filters of the network's first stage."""
    probes: int = 1000
    """Validation images, of all classes, whose features are looked at."""
    seeds: int = 2
    """Networks of each task; at least two, to be compared with one another."""
    data: ImageData = ImageData("cifar10")
    optimizer: OptimizerConfig = OptimizerConfig(weight_decay=0.01)
    fit: FitConfig = FitConfig(epochs=6)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("width", self.width, low=1)
        check_integer("probes", self.probes, low=20)
        check_integer("seeds", self.seeds, low=2)


def main(config: Config) -> None:
    """Train a network on each task, look at its layers as it learns, compare and draw."""
    everything = config.data.load()
    statistics = image_statistics(everything["train"])
    seen = everything["validation"].take(config.probes)
    run = open_run("layers", config, config.run)
    fitted, measured, found = {}, {}, {}
    for name, classes in (("first", config.first_classes), ("second", config.second_classes)):
        data = {split: dataset.only(classes) for split, dataset in everything.items()}
        train = data["train"]
        network = resnet18(train.num_classes, width=config.width, in_channels=train.image_shape[-1])
        model = on_images(network, statistics)
        optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
        augment = augment_images(random_horizontal_flip, partial(random_crop, pixels=2))
        learner = supervised(model, cross_entropy, optimizer, augment=augment)
        learner = over_seeds(learner, config.seeds)
        part = run.part(name)
        folder = part.directory / "features"
        kept = partial(keep_features, model, seen, folder)
        fitted[name] = fit(learner, data, config.fit, part, evaluate=kept)
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        measured[name] = evaluate(fitted[name].best, data["test"]).means()
        found[name] = read_features(folder, fitted[name])
    labels = np.asarray(seen.arrays["label"][:])
    report_each(run, fitted, measured, figures_of(found, labels, everything))


def keep_features(model: Model, images: ImageDataset, folder: Path, state) -> dict[str, float]:
    """Write the features of every layer to a file of this step; measures nothing."""
    step = int(np.ravel(state.step)[0])
    outputs = predict(pooled(model), state.params, state.model_state, images, replicas=True)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{step:08}.npz", **outputs)
    return {}


def pooled(model: Model) -> Model:
    """The model whose outputs are each layer's means over all pixels."""
    inner = features(model, LAYERS)

    def apply(params, state, inputs, *, train, key=None):
        found, state = inner.apply(params, state, inputs, train=train, key=key)
        return jax.tree.map(lambda x: x.mean((1, 2)), found), state

    return Model(inner.init, apply)


def read_features(folder: Path, fitted: Fitted) -> Found:
    """What `keep_features` has written, of every step of this training."""
    last, found = int(np.ravel(fitted.state.step)[0]), {}
    for path in sorted(folder.glob("*.npz")):
        if int(path.stem) <= last:
            with np.load(path) as file:
                found[int(path.stem)] = {name: file[name] for name in LAYERS}
    if not found:
        raise UsageError(f"{folder} holds no features: train the run again")
    return found


def figures_of(found: Mapping[str, Found], labels: np.ndarray, data: dict[str, ImageDataset]):
    """One figure of three panels, and one over training."""
    last = {task: of[max(of)] for task, of in found.items()}
    depth = np.arange(1, len(LAYERS) + 1)

    def directions(each: np.ndarray) -> float:
        return participation_ratio(each)

    def nearest(each: np.ndarray) -> float:
        half = len(labels) // 2
        return nearest_class_mean_accuracy(each[:half], labels[:half], each[half:], labels[half:])

    def along(measure) -> dict[str, Curve]:
        return {
            f"{task} task": (
                depth,
                np.array([[measure(each) for each in layers[name]] for name in LAYERS]).T,
            )
            for task, layers in last.items()
        }

    def shared(a: np.ndarray, b: np.ndarray | None = None) -> list[float]:
        pairs = permutations(range(len(a)), 2) if b is not None else combinations(range(len(a)), 2)
        b = a if b is None else b
        return [linear_cka(a[i], b[j]) for i, j in pairs]

    same = np.array([shared(last["first"][n]) + shared(last["second"][n]) for n in LAYERS]).T
    other = np.array([shared(last["first"][n], last["second"][n]) for n in LAYERS]).T
    alike = {"two seeds of one task": (depth, same), "two tasks": (depth, other)}
    panels = {
        "directions (participation ratio)": along(directions),
        "accuracy of nearest class means": along(nearest),
        "alignment (linear CKA)": alike,
    }
    # A task of fewer images has fewer steps: its first evaluation is compared with the first.
    first, second = (sorted(found[task].items()) for task in ("first", "second"))
    shares = np.array([step for step, _ in first[: len(second)]]) / first[-1][0]
    over = {}
    for name in (LAYERS[0], LAYERS[len(LAYERS) // 2], LAYERS[-1]):
        values = [shared(a[name], b[name]) for (_, a), (_, b) in zip(first, second, strict=False)]
        over[name] = shares, np.array(values).T
    return {
        "data": data_figure(data),
        "layers": lambda: plots.named_panels(panels, x="layer, from the image"),
        "alignment": lambda: plots.named_lines(
            over, x="share of the training", y="alignment of the two tasks (linear CKA)"
        ),
    }


if __name__ == "__main__":
    launch(Config, main)
