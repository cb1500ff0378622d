"""The loss on a plane through a trained network, as contours and as a surface.

Two random directions in the space of all parameters, each scaled filter by filter to the length of
the network's own filters, span the plane; the loss is evaluated on all its points in one `vmap`.
Source: Li et al. (2018), arXiv:1712.09913, section 4.
Command: python -m experiments.basics.loss_landscape --depth 4
Known: test accuracy 0.9749 of one network, 4 s on 2 cores of an AMD EPYC.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import image_statistics, load_splits
from dl_jax.errors import check_range
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
    """Points along each direction."""
    reach: float = 1.0
    """How far to go each way; 1 is the length of the parameters themselves."""
    examples: int = 500
    """Training images on which the loss is evaluated."""
    dataset: str = "digits"
    """`digits` (comes with the installation), or the TFDS name of a dataset such as `mnist`."""
    seeds: int = 1
    """Independent runs; the landscape is that of the first."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=20, batch_size=64)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("width", "depth", "examples"):
            check_range(name, getattr(self, name), low=1)
        check_range("points", self.points, low=3)
        check_range("reach", self.reach, low=0, high=100, exclusive_low=True)


def filter_normalized(key, params):
    """A random direction; each unit's incoming weights have the norm that the network's have.

    Biases are left alone, as in the paper.
    """
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))

    def direction(key, leaf):
        if leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        axes = tuple(range(leaf.ndim - 1))
        random = jax.random.normal(key, leaf.shape)
        own, other = (jnp.sqrt((x**2).sum(axes, keepdims=True)) for x in (leaf, random))
        return random * own / other

    return jax.tree.unflatten(
        structure, [direction(k, leaf) for k, leaf in zip(keys, leaves, strict=True)]
    )


def main(config: Config) -> None:
    """Train, look around and draw."""
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
    # One vmap, in pieces that fit in memory.
    every = jit(lambda *points: jax.lax.map(lambda at: loss(*at), points, batch_size=2000))
    heights = np.asarray(every(a, b)).reshape(config.points, config.points)
    report(
        learner, fitted, data, config.fit, run,
        figures={"landscape": lambda: plots.landscape(along, heights)},
        extras={"lowest": float(heights.min()), "highest": float(heights.max()),
                "center": float(loss(0.0, 0.0))},
    )  # fmt: skip


if __name__ == "__main__":
    launch(Config, main)
