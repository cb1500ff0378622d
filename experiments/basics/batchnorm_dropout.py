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
from dl_jax.data import image_statistics, load_splits
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import (
    batch_norm,
    cross_entropy,
    dense,
    dropout,
    he_normal,
    lecun_normal,
    relu,
)
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import Model, layer_key, standardize, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import (
    data_figure,
    format_mean_std,
    mean_and_std,
    save_figures,
    write_result,
)
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
    dataset: str = "digits"
    """`digits` (comes with the installation), a TFDS name such as `mnist`, or a folder with images
    of each class."""
    seeds: int = 3
    """Independent replicas of each network, trained side by side in one compiled program."""
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


def network(inputs: int, config: Config, classes: int, *, normalize: bool, rate: float) -> Model:
    """Hidden layers of dense, optional batch normalization, ReLU and optional dropout."""
    names = [f"{i + 1}" for i in range(config.depth)]

    def init(key):
        keys = jax.random.split(key, config.depth + 1)
        sizes = [inputs, *[config.width] * config.depth]
        ones, zeros = jnp.ones(config.width), jnp.zeros(config.width)
        params = {
            f"dense{name}": {"kernel": he_normal(k, (n, config.width)), "bias": zeros}
            for name, k, n in zip(names, keys, sizes, strict=False)
        }
        params["head"] = {
            "kernel": lecun_normal(keys[-1], (config.width, classes)), "bias": jnp.zeros(classes)
        }  # fmt: skip
        if not normalize:
            return params, {}
        params |= {f"norm{name}": {"scale": ones, "bias": zeros} for name in names}
        return params, {f"norm{name}": {"mean": zeros, "var": ones} for name in names}

    def apply(params, state, inputs, *, train, key=None):
        x, statistics = inputs.reshape(inputs.shape[0], -1), {}
        for i, name in enumerate(names):
            x = dense(x, **params[f"dense{name}"])
            if normalize:
                norm = f"norm{name}"
                x, statistics[norm] = batch_norm(x, **params[norm], **state[norm], train=train)
            x = relu(x)
            if train and rate > 0:
                x = dropout(x, rate, key=layer_key(key, i))
        return dense(x, **params["head"]), statistics

    return Model(init, apply)


def gradient_norms(model: Model, state, batch, depth: int) -> np.ndarray:
    """Norm of the gradient of the loss for each hidden kernel, `[replicas, layers]`."""

    def norms(params, model_state):
        def loss(params):
            logits, _ = model.apply(
                params, model_state, batch["image"], train=True, key=jax.random.key(0)
            )
            return cross_entropy(logits, batch["label"]).mean()

        gradients = jax.grad(loss)(params)
        return jnp.stack(
            [jnp.linalg.norm(gradients[f"dense{i}"]["kernel"]) for i in range(1, depth + 1)]
        )

    return np.asarray(jax.vmap(norms)(state.params, state.model_state))


def main(config: Config) -> None:
    """Train four networks, compare and draw."""
    data = load_splits(config.dataset, config.run.data_dir)
    data["train"] = train = data["train"].take(config.examples)
    preprocess = standardize(*image_statistics(train))
    inputs, classes = int(np.prod(train.image_shape)), train.num_classes
    optimizer = make_optimizer(config.optimizer, config.fit.updates(len(train)))

    kinds = {"plain": (False, 0.0), "dropout": (False, config.dropout_rate),
             "batch norm": (True, 0.0), "both": (True, config.dropout_rate)}  # fmt: skip
    models = {
        name: with_preprocessing(
            network(inputs, config, classes, normalize=normalize, rate=rate), preprocess
        )
        for name, (normalize, rate) in kinds.items()
    }
    learners = {
        name: over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)
        for name, model in models.items()
    }
    run = open_run("batchnorm_dropout", config, config.run)
    fitted = fit_each(learners, data, config.fit, run)

    batch = {k: jnp.asarray(v) for k, v in train.batch(np.arange(min(256, len(train)))).items()}
    layers = np.arange(1, config.depth + 1)
    accuracies, flow = {"train": {}, "test": {}}, {}
    for name, learner in learners.items():
        start = jax.jit(learner.init)(jax.random.key(config.fit.seed))
        flow[name] = layers, gradient_norms(models[name], start, batch, config.depth)
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        for split, measured in accuracies.items():
            values = evaluate(fitted[name].state, data[split]).means()["accuracy"]
            measured[name] = {"accuracy": mean_and_std(values)}
    write_result(run, accuracies, sum(each.seconds for each in fitted.values()))

    def curves(metric, split):
        return {name: metric_curve(each, metric, split) for name, each in fitted.items()}

    save_figures(
        run,
        {
            "data": data_figure(data, "label"),
            "training_loss": lambda: plots.named_lines(
                curves("loss", "train"), x="step", y="training loss", log_scale=True
            ),
            "validation_accuracy": lambda: plots.named_lines(
                curves("accuracy", "validation"), x="step", y="validation accuracy"
            ),
            "gradient_flow": lambda: plots.named_lines(
                flow, x="layer", y="norm of the kernel's gradient at initialization", log_scale=True
            ),
        },
    )
    for name in kinds:
        train, test = (measured[name]["accuracy"] for measured in accuracies.values())
        print(f"{name:11} training {format_mean_std(train)}, test {format_mean_std(test)}")
    print(f"figures and result.json in {run.directory}")


if __name__ == "__main__":
    launch(Config, main)
