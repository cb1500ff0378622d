"""MNIST with a CNN: two 3x3 convolutions of 32 filters, a max-pool and a dense layer.

Training images are shifted at random by up to two pixels. `--model whitened_cnn` is a better
network of about the same cost: its blocks halve the image early, and are normalized.
Source: the course.
Command: python -m experiments.vision.mnist_cnn --seeds 3
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from dl_jax import models
from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import cross_entropy, random_crop
from dl_jax.learners import augment_images, over_seeds, supervised
from dl_jax.models import on_images
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_classification
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit


@dataclass(frozen=True)
class Config:
    """MNIST with a small convolutional network."""

    model: Literal["cnn", "whitened_cnn"] = "cnn"
    """Network to train; the first is the course's."""
    filters: tuple[int, ...] = (32, 32)
    """Filters of each convolution before the max-pool of the cnn; of both convolutions of each
    block of the whitened_cnn."""
    dropout_rate: float = 0.3
    """Probability of dropping an activation after the max-pool of the cnn, in training."""
    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes, in [0, 1)."""
    shift: int = 2
    """Shift training images at random by up to this many pixels in each direction; 0 disables."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type that the network computes in; parameters stay float32."""
    data: ImageData = ImageData("mnist")
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    fit: FitConfig = FitConfig(epochs=8)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("filters", min(self.filters, default=0), low=1)
        check_integer("shift", self.shift, low=0)
        check_range("label_smoothing", self.label_smoothing, low=0, high=1, exclusive_high=True)


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    check_integer("shift", config.shift, high=min(train.image_shape[:2]))
    network: dict[str, Any] = {"num_classes": train.num_classes}
    start, first = None, None
    if config.model == "cnn":
        network |= {"input_shape": train.image_shape, "blocks": [config.filters]}
        network |= {"dropout_rate": config.dropout_rate}
        first = "conv1_1/kernel"
    else:
        network |= {"widths": config.filters, "in_channels": train.image_shape[-1]}
        start = models.whitening_start(train.arrays["image"], statistics)
    model = on_images(getattr(models, config.model)(**network), statistics, config.compute_dtype)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    augment = augment_images(partial(random_crop, pixels=config.shift)) if config.shift else None
    loss = partial(cross_entropy, label_smoothing=config.label_smoothing)
    learner = supervised(model, loss, optimizer, eval_loss=cross_entropy, augment=augment)
    learner = over_seeds(learner, config.seeds)

    run = open_run("mnist_cnn", config, config.run)
    dtype = config.compute_dtype
    run.describe(config.model, network, statistics=statistics, compute_dtype=dtype)
    fitted = fit(learner, data, config.fit, run, start=start)
    report_classification(run, model, fitted, data, first_kernel=first, source="0.98 (course)")


if __name__ == "__main__":
    launch(Config, main)
