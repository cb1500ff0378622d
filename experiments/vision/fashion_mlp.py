"""Fashion-MNIST with a multi-layer perceptron: two hidden layers and dropout.

Source: the course.
Command: python -m experiments.vision.fashion_mlp --seeds 3
"""

from dataclasses import dataclass
from typing import Literal

from dl_jax.data import ImageData, image_statistics
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp, on_images
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
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type that the network computes in; parameters stay float32."""
    data: ImageData = ImageData("fashion_mnist")
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    fit: FitConfig = FitConfig(epochs=30)
    run: RunOptions = RunOptions()


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    network = {
        "input_shape": train.image_shape,
        "widths": config.widths,
        "num_classes": train.num_classes,
        "dropout_rate": config.dropout_rate,
    }
    model = on_images(mlp(**network), statistics, config.compute_dtype)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    learner = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)

    run = open_run("fashion_mlp", config, config.run)
    dtype = config.compute_dtype
    run.describe("mlp", network, statistics=statistics, compute_dtype=dtype)
    fitted = fit(learner, data, config.fit, run)
    first = f"{'dense1' if config.widths else 'head'}/kernel"
    report_classification(run, model, fitted, data, first_kernel=first, source="0.8794 (course)")


if __name__ == "__main__":
    launch(Config, main)
