"""The loss landscape around a trained network, as contours and as a surface.

Two random directions in parameter space span a plane; each is normalized filter by filter to the
norm of the network's own filters. The loss is evaluated at all points of a grid in one `vmap`.
Source: Li et al. (2018), arXiv:1712.09913, section 4.
Command: python -m experiments.basics.loss_landscape --depth 4
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import image_statistics, load_splits
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp, standardize, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit


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
    dataset: str = "digits"
    """`digits` (comes with the installation), a TFDS name such as `mnist`, or a folder with images
    of each class."""
    seeds: int = 1
    """Independent replicas; the landscape is that of the first."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=20, batch_size=64)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("width", "examples"):
            check_integer(name, getattr(self, name), low=1)
        check_integer("depth", self.depth, low=1, high=1000)
        check_integer("points", self.points, low=3, high=1000)
        check_range("reach", self.reach, low=0, high=100, exclusive_low=True)


def filter_normalized(key, params):
    """A random direction in which each filter has the norm of the network's own filter.

    Biases do not move, as in the paper.
    """
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))

    def direction(key, leaf):
        if leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        axes = tuple(range(leaf.ndim - 1))
        random = jax.random.normal(key, leaf.shape)
        norm, random_norm = (jnp.sqrt((x**2).sum(axes, keepdims=True)) for x in (leaf, random))
        return random * norm / random_norm

    return jax.tree.unflatten(
        structure, [direction(k, leaf) for k, leaf in zip(keys, leaves, strict=True)]
    )


def main(config: Config) -> None:
    """Train, evaluate the loss around the minimum and draw."""
    data = load_splits(config.dataset, config.run.data_dir)
    train = data["train"]

    widths = (config.width,) * config.depth
    model = mlp(train.image_shape, widths, train.num_classes)
    model = with_preprocessing(model, standardize(*image_statistics(train)))
    optimizer = make_optimizer(config.optimizer, config.fit.updates(len(train)))
    learner = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)

    run = open_run("loss_landscape", config, config.run)
    fitted = fit(learner, data, config.fit, run)

    params = jax.tree.map(lambda leaf: leaf[0], fitted.best.params)
    batch = train.batch(np.arange(min(config.examples, len(train))))
    keys = jax.random.split(jax.random.key(config.fit.seed), 2)
    first, second = (filter_normalized(key, params) for key in keys)

    def loss(a, b):
        moved = jax.tree.map(lambda p, u, v: p + a * u + b * v, params, first, second)
        logits, _ = model.apply(moved, {}, jnp.asarray(batch["image"]), train=False)
        return cross_entropy(logits, jnp.asarray(batch["label"])).mean()

    along = np.linspace(-config.reach, config.reach, config.points, dtype=np.float32)
    a, b = (grid.ravel() for grid in np.meshgrid(along, along))
    # One vmap, in batches that fit in memory.
    losses = jit(lambda *points: jax.lax.map(lambda at: loss(*at), points, batch_size=2000))
    heights = np.asarray(losses(a, b)).reshape(config.points, config.points)
    report(
        learner, fitted, data, config.fit, run,
        figures={"landscape": lambda: plots.landscape(along, heights)},
        extras={"lowest": float(heights.min()), "highest": float(heights.max()),
                "center": float(loss(0.0, 0.0))},
    )  # fmt: skip


if __name__ == "__main__":
    launch(Config, main)
