"""Quick start: an MLP or a CNN on handwritten digits of 8x8 pixels, in seconds on a laptop.

Data: the 1,797 digits that come with scikit-learn; nothing is downloaded.
Command: python -m experiments.quickstart --model cnn
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dl_jax.data import image_statistics, load_splits
from dl_jax.errors import check_choice
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import Model, cnn, mlp, standardize, with_compute_dtype, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_classification
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit

MODELS: dict[str, Callable[..., Model]] = {
    "mlp": lambda shape, classes: mlp(shape, (256,), classes, dropout_rate=0.2),
    "cnn": lambda shape, classes: cnn(shape, [(32, 32)], classes, dropout_rate=0.2),
}
FIRST_KERNELS = {"mlp": "dense1/kernel", "cnn": "conv1_1/kernel"}


@dataclass(frozen=True)
class Config:
    """Handwritten digits with an MLP or a CNN."""

    model: Literal["mlp", "cnn"] = "mlp"
    """Architecture."""
    dataset: str = "digits"
    """`digits`, the TFDS name of an image classification dataset, or a folder with images of each
    class."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type that the network computes in; parameters stay float32."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=40, batch_size=64, log_every=50, evaluate_every=100)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = load_splits(config.dataset, config.run.data_dir)
    train = data["train"]

    model = MODELS[config.model](train.image_shape, train.num_classes)
    model = with_compute_dtype(model, config.compute_dtype)
    model = with_preprocessing(model, standardize(*image_statistics(train)))
    optimizer = make_optimizer(config.optimizer, config.fit.updates(len(train)))
    learner = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)

    run = open_run("quickstart", config, config.run)
    fitted = fit(learner, data, config.fit, run)
    report_classification(
        model, learner, fitted, data, config.fit, run, first_kernel=FIRST_KERNELS[config.model]
    )


if __name__ == "__main__":
    launch(Config, main)
