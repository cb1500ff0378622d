"""Fashion-MNIST with VGG16: a new head on frozen features, then fine-tuning of everything.

With `--weights`, features that were learned elsewhere (ImageNet's) are carried over, as in the
course. Without, there is nothing to freeze, and the network is trained from scratch.
Source: the course.
Command: python -m experiments.vision.fashion_vgg16 --weights timm/vgg16.tv_in1k
"""

from dataclasses import dataclass
from typing import Literal

import optax

from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import UsageError, check_range
from dl_jax.functional import cross_entropy, random_horizontal_flip
from dl_jax.learners import Learner, Weights, augment_images, supervised
from dl_jax.models import Model, chain, load_weights, on_images, vgg16, with_frozen_statistics
from dl_jax.optim import OptimizerConfig, freeze, make_optimizer
from dl_jax.reports import report_classification
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit


@dataclass(frozen=True)
class Config:
    """Fashion-MNIST with VGG16."""

    weights: str = ""
    """Weights of a VGG16: a file, or a network of the hub; without, it is trained from scratch."""
    classifier: tuple[int, ...] = (512,)
    """Units of each hidden dense layer, where there are no weights."""
    batch_norm: bool = True
    """Normalize after each convolution, where there are no weights."""
    dropout_rate: float = 0.5
    """Probability of dropping an activation after each hidden dense layer, in training."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type that the network computes in; parameters stay float32."""
    data: ImageData = ImageData("fashion_mnist", image_size=(32, 32))
    head_optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    head: FitConfig = FitConfig(epochs=1)
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-4, warmup=0.1)
    fit: FitConfig = FitConfig(epochs=3)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)


def main(config: Config) -> None:
    """Train the head if there are features, then everything; evaluate and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    start = features_of(config.weights, train.image_shape[-1]) if config.weights else None
    network = {
        "num_classes": train.num_classes,
        "input_shape": train.image_shape,
        "classifier": config.classifier,
        "batch_norm": config.batch_norm if start is None else "norm1_1" in start[0]["features"],
        "dropout_rate": config.dropout_rate,
    }
    model = vgg16(**network)
    frozen = chain({**model.layers, "features": with_frozen_statistics(model.layers["features"])})

    def learner_of(model: Model, optimizer: optax.GradientTransformation) -> Learner:
        model = on_images(model, statistics, config.compute_dtype)
        augment = augment_images(random_horizontal_flip)
        return supervised(model, cross_entropy, optimizer, augment=augment)

    run = open_run("fashion_vgg16", config, config.run)
    dtype = config.compute_dtype
    run.describe("vgg16", network, statistics=statistics, compute_dtype=dtype)
    if start is None:
        print("no --weights: there are no features to keep, everything is trained from scratch")
    else:
        optimizer = make_optimizer(config.head_optimizer, config.head.updates(train))
        learner = learner_of(frozen, freeze("features/.*", optimizer))
        start = fit(learner, data, config.head, run.part("head"), start=start).weights
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    fitted = fit(learner_of(model, optimizer), data, config.fit, run, start=start)
    report_classification(
        run,
        on_images(model, statistics, config.compute_dtype),
        fitted,
        data,
        first_kernel="features/conv1_1/kernel",
        source="0.9467 (course, pretrained on ImageNet)",
    )


def features_of(weights: str, channels: int) -> Weights:
    """The convolutions of a VGG16; for gray images, what its first one is to three equal channels.

    Raises:
        UsageError: the images have neither one channel nor as many as the weights are for.
    """
    params, state = load_weights("vgg16", weights, skip="(classifier|head)/.*")
    first = params["features"]["conv1_1"]
    if channels == 1:
        first["kernel"] = first["kernel"].sum(2, keepdims=True)
    elif channels != first["kernel"].shape[2]:
        raise UsageError(
            f"the weights {weights} are for images of {first['kernel'].shape[2]} channels, these "
            f"have {channels}: choose images that fit"
        )
    return params, state


if __name__ == "__main__":
    launch(Config, main)
