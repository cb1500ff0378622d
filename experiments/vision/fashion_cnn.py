"""Fashion-MNIST with a CNN: two blocks of two convolutions and a max-pool, dropout, a dense layer.

Training images are flipped horizontally at random.
Source: the course's figure for this network is a test accuracy of 0.8234.
Command: python -m experiments.vision.fashion_cnn --seeds 3
"""

from dataclasses import dataclass
from typing import Literal

from dl_jax.data import image_statistics, load_splits
from dl_jax.errors import check_integer
from dl_jax.functional import cross_entropy, random_horizontal_flip
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import cnn, standardize, with_compute_dtype, with_preprocessing
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
    dataset: str = "fashion_mnist"
    """`fashion_mnist`, `digits` (comes with the installation), another TFDS name, or a folder with
    images of each class."""
    image_size: tuple[int, int] | None = None
    """Height and width to resize images to; required if images differ in size."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type that the network computes in; parameters stay float32."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    fit: FitConfig = FitConfig(epochs=16)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("filters", min(self.filters, default=0), low=1)
        check_integer("convolutions", self.convolutions, low=1, high=100)


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = load_splits(config.dataset, config.run.data_dir, image_size=config.image_size)
    train = data["train"]

    model = cnn(
        train.image_shape,
        [(filters,) * config.convolutions for filters in config.filters],
        train.num_classes,
        widths=config.widths,
        dropout_rate=config.dropout_rate,
    )
    model = with_compute_dtype(model, config.compute_dtype)
    model = with_preprocessing(model, standardize(*image_statistics(train)))
    optimizer = make_optimizer(config.optimizer, config.fit.updates(len(train)))
    augment = random_horizontal_flip if config.flip else None
    learner = over_seeds(supervised(model, cross_entropy, optimizer, augment=augment), config.seeds)

    run = open_run("fashion_cnn", config, config.run)
    fitted = fit(learner, data, config.fit, run)
    report_classification(
        model, learner, fitted, data, config.fit, run, first_kernel="conv1_1/kernel"
    )


if __name__ == "__main__":
    launch(Config, main)
