"""Inside a trained ResNet18: its filters and features, its evidence, and where it decides.

Filters of the first layer, and what layers make of one image; where there is evidence for the
predicted class, of right and of wrong predictions (Grad-CAM); the classes in the plane through
three test images; and the features before the last layer, as principal components and by t-SNE.
Source: Selvaraju et al. (2017), arXiv:1610.02391; van der Maaten and Hinton (2008), "Visualizing
data using t-SNE".
Command: python -m experiments.vision.inside
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import ImageData, ImageDataset, image_statistics
from dl_jax.errors import check_integer
from dl_jax.evaluation import to_probabilities
from dl_jax.functional import cross_entropy, random_crop, random_horizontal_flip
from dl_jax.learners import augment_images, supervised
from dl_jax.models import Model, features, grad_cam, on_images, resnet18, split, standardize
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_classification
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, predict
from dl_jax.types import Params, State

CHANGES = (random_horizontal_flip, partial(random_crop, pixels=2))
LAYERS = ("relu1", "relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""Layers whose features are drawn."""
SHOWN = 8
"""Images of each figure of evidence."""
MARGIN = 0.35
"""How far the plane goes beyond its images, in the length of its sides."""


@dataclass(frozen=True)
class Config:
    """What a network has learned, in pictures."""

    width: int = 16
    """Filters of the network's first stage."""
    evidence_layer: str = "relu3_1"
    """Layer in which evidence is sought; a later one is coarser."""
    points: int = 1000
    """Test images whose features are drawn as points, 100 or more; all if there are fewer."""
    resolution: int = 120
    """Places along each side of the plane through three images."""
    data: ImageData = ImageData("cifar10")
    optimizer: OptimizerConfig = OptimizerConfig(weight_decay=0.01, schedule="cosine")
    fit: FitConfig = FitConfig(epochs=12)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("width", self.width, low=1)
        check_integer("points", self.points, low=100)
        check_integer("resolution", self.resolution, low=2)


class Trained(NamedTuple):
    """A network, its parameters and state, and that which it has in front when it sees images."""

    network: Model
    model: Model
    params: Params
    state: State
    preprocess: Callable[[Any], Any]


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    sizes = {
        "num_classes": train.num_classes, "width": config.width,
        "in_channels": train.image_shape[-1],
    }  # fmt: skip
    network = resnet18(**sizes)
    model = on_images(network, statistics)
    split(network, config.evidence_layer)  # a wrong name is refused before the training
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    learner = supervised(model, cross_entropy, optimizer, augment=augment_images(*CHANGES))

    run = open_run("inside", config, config.run)
    run.describe("resnet18", sizes, statistics=statistics)
    fitted = fit(learner, data, config.fit, run)
    trained = Trained(network, model, *fitted.weights, standardize(*statistics))
    figures = figures_of(trained, data["test"], config)
    report_classification(run, model, fitted, data, first_kernel="conv1/kernel", figures=figures)


def figures_of(trained: Trained, test: ImageDataset, config: Config) -> dict[str, Any]:
    """By name, functions that draw them."""
    weights = trained.params, trained.state
    logits = predict(trained.model, *weights, test)
    labels = np.asarray(test.arrays["label"][:])
    predicted = logits.argmax(-1)
    confidence = to_probabilities(logits[None])[0].max(-1)
    seen = test.take(config.points)
    return {
        "features": lambda: draw_features(trained, test.take(1)),
        "evidence_right": lambda: draw_evidence(
            trained, test, np.flatnonzero(predicted == labels)[:SHOWN], predicted, config
        ),
        "evidence_wrong": lambda: draw_evidence(
            trained, test, np.flatnonzero(predicted != labels)[:SHOWN], predicted, config
        ),
        "regions": lambda: draw_regions(
            trained, test, surest_of_three_classes(predicted, labels, confidence), config
        ),
        "points": lambda: draw_points(trained, seen),
    }


def draw_features(trained: Trained, one: ImageDataset):
    """What each layer makes of one image."""
    found = predict(features(trained.model, LAYERS), trained.params, trained.state, one)
    layers = {name: maps[0] for name, maps in found.items()}
    return plots.feature_maps(np.asarray(one.arrays["image"][:])[0], layers)


def draw_evidence(
    trained: Trained, test: ImageDataset, chosen: np.ndarray, predicted: np.ndarray, config: Config
):
    """Evidence for the predicted class and, where it is another, for the true one."""
    batch = test.batch(chosen)
    images, true, said = batch["image"], batch["label"], predicted[chosen]
    evidence = jit(partial(grad_cam, trained.model, layer=config.evidence_layer))
    maps = {"for the prediction": evidence(trained.params, trained.state, images, classes=said)}
    if (true != said).any():
        maps["for the true class"] = evidence(
            trained.params, trained.state, images, classes=true.astype(said.dtype)
        )
    captions = [
        test.classes[s] if s == t else f"{test.classes[s]},\nnot {test.classes[t]}"
        for s, t in zip(said, true, strict=True)
    ]
    return plots.evidence_maps(images, {name: np.asarray(m) for name, m in maps.items()}, captions)


def surest_of_three_classes(
    predicted: np.ndarray, labels: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Of three classes, the image that is rightly classified with the most confidence."""
    right = np.where(predicted == labels, confidence, -1.0)
    found = [int(np.where(labels == label, right, -2.0).argmax()) for label in np.unique(labels)]
    return np.array(found[:3])


def draw_regions(trained: Trained, test: ImageDataset, corners: np.ndarray, config: Config):
    """What is predicted on the plane through three images, as the network sees them."""
    images = test.batch(corners)["image"]
    a, b, c = np.asarray(trained.preprocess(images), np.float64).reshape(3, -1)
    first = (b - a) / np.linalg.norm(b - a)
    second = (c - a) - ((c - a) @ first) * first
    second /= np.linalg.norm(second)
    places = np.array([[(x - a) @ first, (x - a) @ second] for x in (a, b, c)])
    low, high = places.min(0), places.max(0)
    margin = MARGIN * (high - low)
    (left, bottom), (right, top) = low - margin, high + margin
    x, y = (
        np.linspace(start, stop, config.resolution)
        for start, stop in ((left, right), (bottom, top))
    )
    apply = jit(partial(trained.network.apply, train=False))
    logits = []
    for height in y:  # a row at a time
        row = (a + x[:, None] * first + height * second).reshape(-1, *images.shape[1:])
        logits.append(apply(trained.params, trained.state, row.astype(np.float32))[0])
    probabilities = np.asarray(jax.nn.softmax(np.stack(logits), axis=-1))
    return plots.class_regions(
        probabilities.argmax(-1), probabilities.max(-1), (left, right, bottom, top), images, places,
        test.classes,
    )  # fmt: skip


def draw_points(trained: Trained, seen: ImageDataset):
    """The features before the last layer, in the plane in two ways."""
    pooled = predict(features(trained.model, ["pool"]), trained.params, trained.state, seen)["pool"]
    panels = {
        "principal components": PCA(2).fit_transform(pooled),
        "t-SNE": TSNE(2, random_state=0).fit_transform(pooled),
    }
    return plots.labeled_points(panels, np.asarray(seen.arrays["label"][:]), seen.classes)


if __name__ == "__main__":
    launch(Config, main)
