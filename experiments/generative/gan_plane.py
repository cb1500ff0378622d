"""Adversarial games in the plane, side by side: which generators find all modes?

Points are drawn from eight Gaussians on a circle, from 25 on a grid, or from a spiral. The same
networks play each game. A mode is covered if at least 20 of 2,500 samples lie within three of its
standard deviations. The critic's scores are drawn as they change in training.
Sources: of each game in `dl_jax.learners.games`; Srivastava et al. (2017), arXiv:1705.07761,
section 4.1, for the modes.
Command: python -m experiments.generative.gan_plane
25 modes need longer: --dataset grid_of_gaussians --games wgan_gp hinge_sn --steps 10000
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import MIXTURES, Dataset, mixture_centers, mixture_splits, noise, toy_splits
from dl_jax.errors import check_distinct, check_integer, check_multiple, check_range
from dl_jax.evaluation import (
    measure_replicas,
    modes_covered,
    sample_precision_recall,
    sliced_wasserstein,
)
from dl_jax.learners import GAMES, GameName, Learner, TrainState, averaged, over_seeds
from dl_jax.models import Model, mlp_critic, mlp_generator
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import game_panels, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, predict

SAMPLES = 2500
"""Samples that are measured, of each replica."""
SIDES = {"eight_gaussians": 3.0, "grid_of_gaussians": 5.0, "swiss_roll": 1.4}
"""Half the side of the square that is drawn."""
PLACES = 48
"""Places along each side at which the critic is asked."""
TIMES = 4
"""Times at which it is drawn."""
POINTS = {
    "sliced_wasserstein": "sliced Wasserstein distance", "precision": "precision",
    "recall": "recall",
}  # fmt: skip
"""What is measured of samples, with the title of its panel."""
MODES = {"modes": "modes covered", "near": "samples near a mode"}
"""What is measured beside, where they are to be of a mixture."""


@dataclass(frozen=True)
class Config:
    """Generators of points in the plane."""

    games: tuple[GameName, ...] = (
        "saturating", "standard", "least_squares", "wgan_clip", "wgan_gp", "hinge_sn"
    )  # fmt: skip
    """Games to compare."""
    dataset: Literal["eight_gaussians", "grid_of_gaussians", "swiss_roll"] = "eight_gaussians"
    """Where the points lie."""
    examples: int = 10_000
    """Points of each split."""
    width: int = 128
    """Units of each of the three hidden layers of both networks."""
    penalty: float = 0.1
    """Weight of the gradient penalty, where the game has one."""
    latent_dim: int = 2
    """Numbers that a point is made of."""
    critic_steps: int = 5
    """Steps of the critic for each of the generator; the batch is divided among them."""
    average: float = 0.99
    """Decay of the running average of the generator; 0 keeps the last."""
    seeds: int = 5
    """Independent replicas of each game, in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=1e-3, schedule="cosine", beta1=0.5, beta2=0.9
    )
    fit: FitConfig = FitConfig(
        steps=4000, batch_size=640, evaluate_every=250, monitor="sliced_wasserstein",
        monitor_mode="min", stop_on_nonfinite=False,
    )  # fmt: skip
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_distinct("games", self.games)
        check_integer("examples", self.examples, low=SAMPLES)
        for name in ("width", "latent_dim", "critic_steps", "seeds"):
            check_integer(name, getattr(self, name), low=1)
        check_multiple("batch_size", self.fit.batch_size, "critic_steps", self.critic_steps)
        check_range("penalty", self.penalty, low=0, exclusive_low=True)
        check_range("average", self.average, low=0, high=1, exclusive_high=True)


def main(config: Config) -> None:
    """Play each game, measure what the generators make, and draw."""
    data = points(config)
    steps = config.fit.updates(data["train"])
    optimizers = (
        make_optimizer(config.optimizer, steps),
        make_optimizer(config.optimizer, steps * config.critic_steps),
    )
    sizes = {"features": 2, "latent_dim": config.latent_dim, "widths": (config.width,) * 3}
    run = open_run("gan_plane", config, config.run)
    fitted, measured, planes = {}, {}, {}
    for name in config.games:
        generator, critic = mlp_generator(**sizes), mlp_critic(2, sizes["widths"])
        game, part = GAMES[name], run.part(name)
        game = game._replace(penalty=config.penalty) if game.penalty else game
        learner = game.learner(
            generator, critic, optimizers, config.critic_steps,
            latent_dim=config.latent_dim, inputs="point",
        )  # fmt: skip
        if config.average:
            learner = averaged(learner, config.average, only="generator")
        learner = over_seeds(learner, config.seeds)
        part.describe("mlp_generator", sizes, part="generator")
        watch = partial(
            watched, part, learner, generator, game.critic(critic), data["validation"], config
        )
        fitted[name] = fit(learner, data, config.fit, part, evaluate=watch)
        samples = samples_of(generator, fitted[name].weights, config, seed=1)
        measured[name] = quality(samples, data["test"])
        planes[name] = kept_planes(part)
    real = np.asarray(data["test"].arrays["point"])
    figures = {
        "data": lambda: plots.labeled_points(
            {config.dataset.replace("_", " "): real[:1000]}, np.zeros(1000, int), ("",)
        ),
        "fields": lambda: plots.scored_planes(planes, real[:500], SIDES[config.dataset]),
        "comparison": partial(game_panels, fitted, named(data["test"]), columns=5),
    }
    headline = "modes" if config.dataset in MIXTURES else "sliced_wasserstein"
    report_each(run, fitted, measured, figures, headline=headline)


def points(config: Config) -> dict[str, Dataset]:
    """All three splits."""
    if config.dataset in MIXTURES:
        return mixture_splits(config.dataset, config.examples, seed=config.fit.seed)
    return toy_splits(config.dataset, config.examples, seed=config.fit.seed)


def samples_of(generator: Model, weights, config: Config, *, seed: int) -> np.ndarray:
    """Points of each replica, `[replicas, SAMPLES, 2]`."""
    given = noise(SAMPLES, config.latent_dim, seed=seed)
    return predict(generator, *weights, given, replicas=True, inputs="noise")


def quality(samples: np.ndarray, real: Dataset) -> dict[str, np.ndarray]:
    """How good the samples of each replica are; not a number for one that diverged."""
    return measure_replicas(partial(measured_points, real=real), [*named(real)], samples)


def named(real: Dataset) -> dict[str, str]:
    """What is measured beside these points, with titles."""
    return {**MODES, **POINTS} if real.name in MIXTURES else POINTS


def measured_points(samples: np.ndarray, real: Dataset) -> dict[str, float]:
    """How good the samples of one generator are."""
    examples = np.asarray(real.arrays["point"][: len(samples)])
    precision, recall = sample_precision_recall(examples, samples)
    found = {
        "sliced_wasserstein": sliced_wasserstein(examples, samples),
        "precision": precision,
        "recall": recall,
    }
    if real.name in MIXTURES:
        modes, near = modes_covered(samples, mixture_centers(real.name), 3 * MIXTURES[real.name])
        found |= {"modes": modes, "near": near}
    return found


def watched(
    run: Run,
    learner: Learner,
    generator: Model,
    critic: Model,
    real: Dataset,
    config: Config,
    state: TrainState,
) -> Mapping[str, np.ndarray]:
    """Measure the samples at one time, and keep what is drawn of the first replica."""
    samples = samples_of(generator, learner.weights(state), config, seed=0)
    along = SIDES[config.dataset] * np.linspace(-1, 1, PLACES, dtype=np.float32)
    places = np.stack(np.meshgrid(along, along), -1).reshape(-1, 2)
    params, model_state = jax.tree.map(
        lambda leaf: leaf[0], (state.params["discriminator"], state.model_state["discriminator"])
    )
    grid = Dataset("grid", "test", {"point": places})
    scores = predict(critic, params, model_state, grid, inputs="point")
    step = int(np.ravel(state.step)[0])
    if run.writes:
        path = run.sample(step, ".npz")
        with run.writing(path):
            np.savez(path, samples=samples[0, :500], scores=scores)
    return quality(samples, real)


def kept_planes(run: Run) -> list[plots.ScoredPlane]:
    """What was kept at some times, from the first to the last."""
    paths = sorted((run.directory / "samples").glob("*.npz"))
    at = np.unique(np.geomspace(1, len(paths), TIMES).round().astype(int)) - 1
    planes = []
    for path in (paths[index] for index in at):
        with np.load(path) as kept:
            scores = kept["scores"].reshape(PLACES, PLACES)
            planes.append(plots.ScoredPlane(f"step {int(path.stem):,}", scores, kept["samples"]))
    return planes


if __name__ == "__main__":
    launch(Config, main)
