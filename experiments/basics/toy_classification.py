"""Points in the plane: an MLP of any shape, activation, loss, initializer and optimizer.

Shows the border that it draws between two labels, and with --animate how the border came about.
The spirals want --activation relu --initializer he_normal.
Command: python -m experiments.basics.toy_classification --dataset swiss_roll --seeds 5
Known: swiss roll 0.9972 ± 0.0004, XOR 1.0000 ± 0.0000 over 5 seeds, 4 s on 2 cores of an AMD EPYC.
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
from dl_jax.data import TOYS, toy_splits
from dl_jax.errors import check_choice, check_range
from dl_jax.functional import binary_cross_entropy, l2_loss, sigmoid
from dl_jax.learners import TrainState, flatten_replicas, over_seeds, supervised
from dl_jax.models import mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "sigmoid", "silu", "softplus", "tanh")
INITIALIZERS = (
    "he_normal", "he_uniform", "lecun_normal", "orthogonal", "xavier_normal", "xavier_uniform",
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Points of two labels with a multi-layer perceptron."""

    dataset: str = "swiss_roll"
    """`xor`, `swiss_roll`, `spirals`, `moons`, `circles` or `blobs`."""
    examples: int = 1000
    """Points in each of the three splits."""
    noise: float = 0.02
    """Standard deviation of what is added to each coordinate."""
    widths: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    activation: str = "tanh"
    """Activation of the hidden layers."""
    loss: Literal["bce", "l2"] = "bce"
    """Binary cross-entropy from logits, or half the squared distance to the label."""
    initializer: str = "xavier_uniform"
    """Initial kernels of the hidden layers."""
    animate: int = 0
    """Frames of an animation of the border over the training, at least 2; 0 is none."""
    seeds: int = 1
    """Independent runs, side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-2)
    fit: FitConfig = FitConfig(epochs=150, batch_size=50, evaluate_every=200)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_choice("dataset", self.dataset, TOYS)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("initializer", self.initializer, INITIALIZERS)
        check_range("examples", self.examples, low=1)
        check_range("noise", self.noise, low=0, high=10)
        if self.animate:
            check_range("animate", self.animate, low=2)


LOSSES = {
    "bce": lambda outputs, labels: binary_cross_entropy(outputs[:, 0], labels),
    "l2": lambda outputs, labels: l2_loss(outputs, labels[:, None]),
}
"""Of one output for each point: a logit, or the label itself."""
MEANINGS = {"bce": "probability of label 1", "l2": "output, cut to [0, 1]"}


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = toy_splits(config.dataset, config.examples, noise=config.noise)
    border = 0.0 if config.loss == "bce" else 0.5

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
        metrics={"accuracy": lambda y, t: ((y[:, 0] > border) == (t == 1)).astype(jnp.float32)},
    )
    learner = over_seeds(learner, config.seeds)

    def probability(state, points):
        """Of label 1, as the first run sees it; for the L2 loss its output, cut to [0, 1]."""
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
            "border": lambda: plots.decision_boundary(
                points, labels, best, meaning=MEANINGS[config.loss]
            )
        },
    )  # fmt: skip
    if config.animate:
        with tempfile.TemporaryDirectory() as folder:
            frames = list(watch(learner, data, config, Run(Path(folder), whole=run)))
        shown = [(title, partial(probability, state)) for title, state in frames]
        plots.save_boundary_animation(run.figures / "border.gif", points, labels, shown)


def watch(learner, data, config: Config, run: Run) -> Iterator[tuple[str, TrainState]]:
    """The same training once more, in stretches: early on, where most happens, in short ones."""
    total = config.fit.updates(config.examples)
    quiet = replace(config.fit, evaluate_every=total, patience=0)
    for stop in np.unique(np.geomspace(1, total, config.animate).round().astype(int)).tolist():
        yield f"step {stop}", fit(learner, data, replace(quiet, steps=stop), run).state
        run = replace(run, resumed=True)


if __name__ == "__main__":
    launch(Config, main)
