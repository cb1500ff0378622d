"""Fashion-MNIST with a CNN: two blocks of two convolutions and a max-pool, dropout, a dense layer.

Training images are flipped horizontally at random.
Source: the course.
Command: python -m experiments.vision.fashion_cnn --seeds 3
"""

from dataclasses import dataclass
from typing import Literal

from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import check_integer
from dl_jax.functional import cross_entropy, random_horizontal_flip
from dl_jax.learners import augment_images, over_seeds, supervised
from dl_jax.models import cnn, on_images
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_classification
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit


@dataclass(frozen=True)
class Config:
    """Fashion-MNIST with a convolutional network."""

    filters: tuple[int, ...] = (32, 64)
    """Filters of the convolutions in each block; a block ends in a max-pool."""
    convolutions: int = 2
    """Convolutions in each block."""
    widths: tuple[int, ...] = (256,)
    """Units of each hidden dense layer."""
    dropout_rate: float = 0.2
    """Probability of dropping an activation after each block and hidden layer, in training."""
    flip: bool = True
    """Flip training images horizontally with probability one half."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type that the network computes in; parameters stay float32."""
    data: ImageData = ImageData("fashion_mnist")
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    fit: FitConfig = FitConfig(epochs=16)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("filters", min(self.filters, default=0), low=1)
        check_integer("convolutions", self.convolutions, low=1, high=100)


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    network = {
        "input_shape": train.image_shape,
        "blocks": [(filters,) * config.convolutions for filters in config.filters],
        "num_classes": train.num_classes,
        "widths": config.widths,
        "dropout_rate": config.dropout_rate,
    }
    model = on_images(cnn(**network), statistics, config.compute_dtype)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    augment = augment_images(random_horizontal_flip) if config.flip else None
    learner = over_seeds(supervised(model, cross_entropy, optimizer, augment=augment), config.seeds)

    run = open_run("fashion_cnn", config, config.run)
    dtype = config.compute_dtype
    run.describe("cnn", network, statistics=statistics, compute_dtype=dtype)
    fitted = fit(learner, data, config.fit, run)
    first = "conv1_1/kernel"
    report_classification(run, model, fitted, data, first_kernel=first, source="0.8234 (course)")


if __name__ == "__main__":
    launch(Config, main)
