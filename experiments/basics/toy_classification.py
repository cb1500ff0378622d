"""Points in the plane: an MLP of any shape, activation, loss, initializer and optimizer.

Draws the decision boundary between the two labels, and with --animate how it changes in training.
With the defaults every dataset reaches a test accuracy of 0.99. (With tanh and xavier_uniform the
spirals stay near 0.66.)
Command: python -m experiments.basics.toy_classification --dataset swiss_roll --seeds 5
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np

from dl_jax import functional, plots
from dl_jax.data import toy_splits
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import binary_correct, binary_cross_entropy, l2_loss, sigmoid
from dl_jax.learners import TrainState, flatten_replicas, over_seeds, supervised
from dl_jax.models import mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit

Activation = Literal[
    "relu", "leaky_relu", "elu", "gelu", "sigmoid", "silu", "softplus", "tanh"
]  # fmt: skip
Initializer = Literal[
    "he_normal", "he_uniform", "lecun_normal", "orthogonal", "xavier_normal", "xavier_uniform"
]


@dataclass(frozen=True)
class Config:
    """Points of two labels with a multi-layer perceptron."""

    dataset: Literal["xor", "swiss_roll", "spirals", "moons", "circles", "blobs"] = "swiss_roll"
    """Toy problem."""
    examples: int = 1000
    """Points in each of the three splits."""
    noise: float = 0.02
    """Standard deviation of the noise added to each coordinate."""
    widths: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    loss: Literal["bce", "l2"] = "bce"
    """Binary cross-entropy of logits, or half the squared distance to the label."""
    initializer: Initializer = "he_normal"
    """Initializer of the hidden layers' kernels."""
    animate: int = 0
    """Frames of an animation of the decision boundary in training, at least 2; 0 is none."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-2)
    fit: FitConfig = FitConfig(epochs=150, batch_size=50, evaluate_every=200)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("examples", self.examples, low=1, high=1_000_000)
        check_range("noise", self.noise, low=0, high=10)
        if self.animate:
            check_integer("animate", self.animate, low=2, high=1000)


LOSSES = {
    "bce": lambda outputs, labels: binary_cross_entropy(outputs[:, 0], labels),
    "l2": lambda outputs, labels: l2_loss(outputs, labels[:, None].astype(outputs.dtype)),
}
"""The one output for each point is a logit, or the label itself."""
MEANINGS = {"bce": "probability of label 1", "l2": "output, clipped to [0, 1]"}


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = toy_splits(config.dataset, config.examples, noise=config.noise)
    threshold = 0.0 if config.loss == "bce" else 0.5

    model = mlp(
        (2,),
        config.widths,
        1,
        activation=getattr(functional, config.activation),
        kernel_init=getattr(functional, config.initializer),
    )
    learner = supervised(
        model,
        LOSSES[config.loss],
        make_optimizer(config.optimizer, config.fit.updates(config.examples)),
        inputs="point",
        metrics={
            "accuracy": lambda outputs, labels: binary_correct(outputs[:, 0], labels, threshold)
        },
    )
    learner = over_seeds(learner, config.seeds)

    def probability(state, points):
        """Probability of label 1 by the first replica; for the L2 loss its output, clipped."""
        params, _ = flatten_replicas(state)
        first = {k: {n: leaf[0] for n, leaf in layer.items()} for k, layer in params.items()}
        outputs = model.apply(first, {}, jnp.asarray(points), train=False)[0][:, 0]
        return sigmoid(outputs) if config.loss == "bce" else jnp.clip(outputs, 0, 1)

    run = open_run("toy_classification", config, config.run)
    points, labels = (data["test"].arrays[name] for name in ("point", "label"))
    fitted = fit(learner, data, config.fit, run)
    best = partial(probability, fitted.best)
    report(
        learner, fitted, data, config.fit, run,
        figures={
            "decision_boundary": lambda: plots.decision_boundary(
                points, labels, best, meaning=MEANINGS[config.loss]
            )
        },
    )  # fmt: skip
    if config.animate:
        with tempfile.TemporaryDirectory() as folder:
            frames = list(watch(learner, data, config, Run(Path(folder), whole=run)))
        shown = [(title, partial(probability, state)) for title, state in frames]
        path = run.figures / "decision_boundary.gif"
        with run.writing(path):
            plots.save_boundary_animation(path, points, labels, shown)


def watch(learner, data, config: Config, run: Run) -> Iterator[tuple[str, TrainState]]:
    """Repeat the training in parts, short ones first, and yield the state after each."""
    total = config.fit.updates(config.examples)
    quiet = replace(config.fit, evaluate_every=total, patience=0)
    for stop in np.unique(np.geomspace(1, total, config.animate).round().astype(int)).tolist():
        yield f"step {stop}", fit(learner, data, replace(quiet, steps=stop), run).state
        run = replace(run, resumed=True)


if __name__ == "__main__":
    launch(Config, main)
