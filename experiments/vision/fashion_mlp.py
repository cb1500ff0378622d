"""Fashion-MNIST with a multi-layer perceptron: two hidden layers and dropout.

Source: the course's figure for this network is a test accuracy of 0.8794.
Command: python -m experiments.vision.fashion_mlp --seeds 3
"""

from dataclasses import dataclass
from typing import Literal

from dl_jax.data import image_statistics, load_splits
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp, standardize, with_compute_dtype, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_classification
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit


@dataclass(frozen=True)
class Config:
    """Fashion-MNIST with a multi-layer perceptron."""

    widths: tuple[int, ...] = (512, 512)
    """Units of each hidden layer."""
    dropout_rate: float = 0.3
    """Probability of dropping a hidden unit in training."""
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
    fit: FitConfig = FitConfig(epochs=30)
    run: RunOptions = RunOptions()


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = load_splits(config.dataset, config.run.data_dir, image_size=config.image_size)
    train = data["train"]

    model = mlp(
        train.image_shape, config.widths, train.num_classes, dropout_rate=config.dropout_rate
    )
    model = with_compute_dtype(model, config.compute_dtype)
    model = with_preprocessing(model, standardize(*image_statistics(train)))
    optimizer = make_optimizer(config.optimizer, config.fit.updates(len(train)))
    learner = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)

    run = open_run("fashion_mlp", config, config.run)
    fitted = fit(learner, data, config.fit, run)
    first_kernel = f"{'dense1' if config.widths else 'head'}/kernel"
    report_classification(model, learner, fitted, data, config.fit, run, first_kernel=first_kernel)


if __name__ == "__main__":
    launch(Config, main)
