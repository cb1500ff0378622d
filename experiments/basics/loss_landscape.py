"""The loss landscape around a trained network, as contours and as a surface.

Two random directions in parameter space span a plane; each is normalized filter by filter to the
norm of the network's own filters.
Source: Li et al. (2018), arXiv:1712.09913, section 4.
Command: python -m experiments.basics.loss_landscape --depth 4
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp, on_images
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, loss_plane, make_evaluate

POINTS_AT_ONCE = 200
"""Points of the plane at which the loss is computed side by side."""


@dataclass(frozen=True)
class Config:
    """The loss around a minimum."""

    width: int = 64
    """Units of each hidden layer."""
    depth: int = 3
    """Hidden layers."""
    points: int = 31
    """Grid points along each direction."""
    reach: float = 1.0
    """Extent in each direction; 1 is the norm of the parameters themselves."""
    examples: int = 500
    """Number of training images on which the loss is evaluated; all if there are fewer."""
    seeds: int = 1
    """Independent replicas; the landscape is that of the first."""
    data: ImageData = ImageData("digits")
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=20, batch_size=64)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("width", "examples"):
            check_integer(name, getattr(self, name), low=1)
        check_integer("depth", self.depth, low=1, high=1000)
        check_integer("points", self.points, low=3, high=1000)
        check_range("reach", self.reach, low=0, high=100, exclusive_low=True)


def main(config: Config) -> None:
    """Train, evaluate the loss around the minimum and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    network = {
        "input_shape": train.image_shape,
        "widths": (config.width,) * config.depth,
        "num_classes": train.num_classes,
    }
    model = on_images(mlp(**network), statistics)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    learner = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)

    run = open_run("loss_landscape", config, config.run)
    run.describe("mlp", network, statistics=statistics)
    fitted = fit(learner, data, config.fit, run)
    measured = make_evaluate(learner, config.fit.evaluation_batch_size)(fitted.best, data["test"])

    params = jax.tree.map(lambda leaf: leaf[0], fitted.best.params)
    shown = train.take(config.examples).arrays
    images, labels = (jnp.asarray(shown[name][:]) for name in ("image", "label"))

    def loss(params):
        return cross_entropy(model.apply(params, {}, images, train=False)[0], labels).mean()

    along = np.linspace(-config.reach, config.reach, config.points, dtype=np.float32)
    key = jax.random.key(config.fit.seed)
    heights = loss_plane(loss, params, along, key, batch_size=POINTS_AT_ONCE)
    figures = {
        "data": data_figure(data),
        "landscape": lambda: plots.landscapes(along, {"": heights}),
    }
    extras = {"lowest": float(heights.min()), "highest": float(heights.max()),
              "center": float(loss(params))}  # fmt: skip
    report(run, fitted, measured.means(), figures, extras=extras)


if __name__ == "__main__":
    launch(Config, main)
