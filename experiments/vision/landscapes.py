"""Loss landscapes of a deep network with and without its shortcuts.

ResNet34 and the plain network of the same layers are trained alike. Around each, the loss is drawn
on a plane of two random directions, each normalized filter by filter to the norm of the network's
own filters, so that the two can be compared.
Source: Li et al. (2018), arXiv:1712.09913, sections 4 and 5.
Command: python -m experiments.vision.landscapes
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.data import ImageData, ImageDataset, image_statistics
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import cross_entropy, random_crop, random_horizontal_flip
from dl_jax.learners import Weights, augment_images, supervised
from dl_jax.models import Model, on_images, resnet34
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, loss_plane, make_evaluate

CHANGES = (random_horizontal_flip, partial(random_crop, pixels=2))


@dataclass(frozen=True)
class Config:
    """A network with shortcuts beside one without."""

    width: int = 8
    """Filters of the networks' first stage."""
    points: int = 21
    """Points of the plane along each direction."""
    reach: float = 0.5
    """Extent in each direction; 1 is the norm of the parameters themselves."""
    examples: int = 500
    """Training images on which the loss is evaluated; all if there are fewer."""
    data: ImageData = ImageData("cifar10")
    optimizer: OptimizerConfig = OptimizerConfig(weight_decay=0.01, schedule="cosine")
    fit: FitConfig = FitConfig(epochs=6)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("width", self.width, low=1)
        check_integer("examples", self.examples, low=1)
        check_integer("points", self.points, low=3, high=1000)
        check_range("reach", self.reach, low=0, high=100, exclusive_low=True)


def main(config: Config) -> None:
    """Train both, evaluate the loss around each and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    sizes = {"width": config.width, "in_channels": train.image_shape[-1]}
    along = np.linspace(-config.reach, config.reach, config.points, dtype=np.float32)
    run = open_run("landscapes", config, config.run)
    fitted, measured, heights = {}, {}, {}
    for name, shortcuts in (("with shortcuts", True), ("without shortcuts", False)):
        network = resnet34(train.num_classes, shortcuts=shortcuts, **sizes)
        model = on_images(network, statistics)
        optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
        learner = supervised(model, cross_entropy, optimizer, augment=augment_images(*CHANGES))
        fitted[name] = fit(learner, data, config.fit, run.part(name))
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        measured[name] = evaluate(fitted[name].best, data["test"]).means()
        loss = loss_on(model, fitted[name].weights, train.take(config.examples))
        key = jax.random.key(config.fit.seed)  # the same drawing for both, so far as they agree
        heights[name] = loss_plane(loss, fitted[name].weights[0], along, key)
    figures = {
        "data": data_figure(data),
        "landscapes": lambda: plots.landscapes(along, heights),
    }
    extras = {
        "heights": {
            name: {"lowest": float(each.min()), "highest": float(each.max())}
            for name, each in heights.items()
        }
    }
    report_each(run, fitted, measured, figures, extras=extras)


def loss_on(model: Model, weights: Weights, examples: ImageDataset):
    """The mean loss of a network on these examples, as in evaluation, of its parameters."""
    images, labels = (jnp.asarray(examples.arrays[name][:]) for name in ("image", "label"))

    def loss(params):
        logits, _ = model.apply(params, weights[1], images, train=False)
        return cross_entropy(logits, labels).mean()

    return loss


if __name__ == "__main__":
    launch(Config, main)
