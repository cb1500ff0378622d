"""Effect of batch normalization and dropout on speed of learning, generalization and gradients.

The same deep network four times: plain, with dropout, with batch normalization, with both. Few
training images, so that it overfits; the last parameters are evaluated, not the best.
Command: python -m experiments.basics.batchnorm_dropout --seeds 5
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import cross_entropy, he_normal, relu
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import Model, chain, drop, flatten, linear, norm, on_images
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit_each, make_evaluate, metric_curve


@dataclass(frozen=True)
class Config:
    """Batch normalization and dropout, alone and together."""

    width: int = 128
    """Units of each hidden layer."""
    depth: int = 6
    """Hidden layers."""
    dropout_rate: float = 0.2
    """Probability of dropping a hidden unit, in networks with dropout."""
    examples: int = 400
    """Number of training images; all if there are fewer."""
    seeds: int = 3
    """Independent replicas of each network, trained side by side in one compiled program."""
    data: ImageData = ImageData("digits")
    optimizer: OptimizerConfig = OptimizerConfig(
        optimizer="momentum", learning_rate=0.03, schedule="constant"
    )
    fit: FitConfig = FitConfig(epochs=30, batch_size=50, log_every=8)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("width", "examples"):
            check_integer(name, getattr(self, name), low=1)
        check_integer("depth", self.depth, low=1, high=1000)
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)


def network(config: Config, inputs: int, classes: int, normalize: bool, rate: float) -> Model:
    """Hidden layers of dense, optional batch normalization, ReLU and optional dropout."""
    layers = {"flatten": flatten}
    for i in range(1, config.depth + 1):
        fan_in = inputs if i == 1 else config.width
        layers[f"dense{i}"] = linear(fan_in, config.width, kernel_init=he_normal)
        if normalize:
            layers[f"norm{i}"] = norm(config.width)
        layers |= {f"relu{i}": relu, f"drop{i}": drop(rate)}
    return chain({**layers, "head": linear(config.width, classes)})


def gradient_norms(model: Model, state, batch, depth: int) -> np.ndarray:
    """Norm of the gradient of the loss for each hidden kernel, `[replicas, layers]`."""

    def norms(params, model_state):
        def loss(params):
            logits, _ = model.apply(
                params, model_state, batch["image"], train=True, key=jax.random.key(0)
            )
            return cross_entropy(logits, batch["label"]).mean()

        gradients = jax.grad(loss)(params)
        kernels = [gradients[f"dense{i}"]["kernel"] for i in range(1, depth + 1)]
        return jnp.stack([jnp.linalg.norm(kernel) for kernel in kernels])

    return np.asarray(jax.vmap(norms)(state.params, state.model_state))


def main(config: Config) -> None:
    """Train four networks, compare and draw."""
    data = config.data.load()
    data["train"] = train = data["train"].take(config.examples)
    statistics = image_statistics(train)
    sizes = int(np.prod(train.image_shape)), train.num_classes
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))

    kinds = {"plain": (False, 0.0), "dropout": (False, config.dropout_rate),
             "batch norm": (True, 0.0), "both": (True, config.dropout_rate)}  # fmt: skip
    models = {
        name: on_images(network(config, *sizes, *kind), statistics) for name, kind in kinds.items()
    }
    learners = {
        name: over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)
        for name, model in models.items()
    }
    run = open_run("batchnorm_dropout", config, config.run)
    fitted = fit_each(learners, data, config.fit, run)

    batch = {name: jnp.asarray(array[:]) for name, array in train.take(256).arrays.items()}
    layers, measured, flow = np.arange(1, config.depth + 1), {}, {}
    for name, learner in learners.items():
        start = jax.jit(learner.init)(jax.random.key(config.fit.seed))
        flow[name] = layers, gradient_norms(models[name], start, batch, config.depth)
        evaluate, last = (
            make_evaluate(learner, config.fit.evaluation_batch_size),
            fitted[name].state,
        )
        seen = evaluate(last, train).means()["accuracy"]
        measured[name] = {**evaluate(last, data["test"]).means(), "training_accuracy": seen}

    def lines(curves, x: str, y: str, log_scale: bool = True):
        return lambda: plots.named_lines(curves, x=x, y=y, log_scale=log_scale)

    losses = {name: metric_curve(each, "loss", "train") for name, each in fitted.items()}
    accuracies = {
        name: metric_curve(each, "accuracy", "validation") for name, each in fitted.items()
    }
    figures = {
        "data": data_figure(data),
        "training_loss": lines(losses, "step", "training loss"),
        "validation_accuracy": lines(accuracies, "step", "validation accuracy", log_scale=False),
        "gradient_flow": lines(flow, "layer", "norm of the kernel's gradient at initialization"),
    }
    report_each(run, fitted, measured, figures)


if __name__ == "__main__":
    launch(Config, main)
