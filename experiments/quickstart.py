"""Quick start: an MLP or a CNN on handwritten digits of 8x8 pixels, in seconds on a laptop.

Data: the 1,797 digits that come with scikit-learn; nothing is downloaded.
Command: python -m experiments.quickstart --model cnn
"""

from dataclasses import dataclass
from typing import Literal

from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import check_choice
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import cnn, mlp, on_images
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_classification
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit

NETWORKS = {
    "mlp": (mlp, {"widths": (256,)}, "dense1/kernel"),
    "cnn": (cnn, {"blocks": [(32, 32)]}, "conv1_1/kernel"),
}


@dataclass(frozen=True)
class Config:
    """Handwritten digits with an MLP or a CNN."""

    model: Literal["mlp", "cnn"] = "mlp"
    """Architecture."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type that the network computes in; parameters stay float32."""
    data: ImageData = ImageData("digits")
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=40, batch_size=64, log_every=50, evaluate_every=100)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_choice("model", self.model, NETWORKS)


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    make, sizes, first_kernel = NETWORKS[config.model]
    shapes = {"input_shape": train.image_shape, "num_classes": train.num_classes}
    network = {**shapes, **sizes, "dropout_rate": 0.2}
    model = on_images(make(**network), statistics, config.compute_dtype)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    learner = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)

    run = open_run("quickstart", config, config.run)
    dtype = config.compute_dtype
    run.describe(config.model, network, statistics=statistics, compute_dtype=dtype)
    fitted = fit(learner, data, config.fit, run)
    report_classification(run, model, fitted, data, first_kernel=first_kernel)


if __name__ == "__main__":
    launch(Config, main)
