"""Adversarial generators of images, by any game, and what their images are worth.

Images are judged by the features and the classes of a network that this script trains first, on the
same data (`judge`): distances and scores are comparable within this script alone, not with those of
the Inception network. The best generator is that of the smallest distance from validation images.
Sources: Gulrajani et al. (2017), arXiv:1704.00028; and those of `judge` and of
`dl_jax.learners.games`.
Command: python -m experiments.generative.gan --dataset mnist --learning-rate 3e-3 --seeds 3
Told which digit to make: the same with --conditional
All games side by side: --games standard least_squares wgan_clip wgan_gp hinge_sn
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dl_jax import plots
from dl_jax.data import Dataset, ImageData, ImageDataset, noise
from dl_jax.errors import check_distinct, check_integer, check_multiple, check_range
from dl_jax.evaluation import measure_replicas, nearest_examples
from dl_jax.learners import (
    GAMES,
    GameName,
    Learner,
    TrainState,
    Weights,
    averaged,
    over_seeds,
)
from dl_jax.models import Model, standardize, wgan_critic, wgan_generator
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, game_panels, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, predict
from experiments.generative.judge import (
    QUALITY,
    Judge,
    Seen,
    confident,
    distance_to,
    flat,
    judged,
    seen_by,
    trained_judge,
)

SHOWN = 10
"""Images in a row of a figure, and rows of samples over training."""
DISTANCE = "distance_to_training"


@dataclass(frozen=True)
class Config:
    """Generators of images."""

    games: tuple[GameName, ...] = ("wgan_gp",)
    """Games to play, one after the other."""
    width: int = 32
    """Channels of the generator before its last layer, and of the critic after its first."""
    hidden_dim: int = 256
    """Units of a dense layer before the generator's smallest image, and after the critic's; 0 is
    none."""
    latent_dim: int = 64
    """Numbers that an image is made of."""
    conditional: bool = False
    """Tell both networks the class."""
    critic_steps: int = 5
    """Steps of the critic for each of the generator; the batch is divided among them."""
    average: float = 0.99
    """Decay of the running average of the generator; 0 keeps the last."""
    samples: int = 2000
    """Images that are judged at each evaluation; five times as many at the end."""
    seeds: int = 1
    """Independent replicas of each game, in one compiled program."""
    data: ImageData = ImageData()
    judge: FitConfig = FitConfig(steps=1600, evaluate_every=200)
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=1e-3, schedule="cosine", beta1=0.5, beta2=0.9
    )
    fit: FitConfig = FitConfig(
        steps=3000, batch_size=250, evaluate_every=300, monitor="frechet_distance",
        monitor_mode="min", stop_on_nonfinite=False,
    )  # fmt: skip
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_distinct("games", self.games)
        for name in ("width", "latent_dim", "critic_steps", "seeds"):
            check_integer(name, getattr(self, name), low=1)
        check_integer("hidden_dim", self.hidden_dim, low=0)
        check_integer("samples", self.samples, low=2 * SHOWN)
        check_multiple("batch_size", self.fit.batch_size, "critic_steps", self.critic_steps)
        check_range("average", self.average, low=0, high=1, exclusive_high=True)


def main(config: Config) -> None:
    """Train the judge, play each game, judge its samples and draw."""
    data = config.data.load()
    train = data["train"]
    shape, classes = train.image_shape, train.num_classes if config.conditional else None
    sizes = {"image_shape": shape, "latent_dim": config.latent_dim, "width": config.width,
             "hidden_dim": config.hidden_dim, "num_classes": classes}  # fmt: skip
    generator = wgan_generator(**sizes)
    half = np.full(shape[-1], 0.5, np.float32)
    critic = wgan_critic(
        shape, width=config.width, hidden_dim=config.hidden_dim, num_classes=classes
    )
    steps = config.fit.updates(train)
    optimizers = (
        make_optimizer(config.optimizer, steps),
        make_optimizer(config.optimizer, steps * config.critic_steps),
    )
    run = open_run("gan", config, config.run)
    judge = trained_judge(config.judge, data, run.part("judge"))
    known, test = (flat(data[split].arrays["image"][:]) for split in ("train", "test"))
    few = {"train": train, "validation": data["validation"].take(config.samples)}
    at_validation, at_test = (seen_by(judge, each) for each in (few["validation"], data["test"]))
    fitted, measured, made = {}, {}, {}
    for name in config.games:
        learner = GAMES[name].learner(
            generator, critic, optimizers, config.critic_steps, latent_dim=config.latent_dim,
            labels="label" if config.conditional else None,
            prepare=standardize(half, half),  # in [-1, 1]
        )  # fmt: skip
        if config.average:
            learner = averaged(learner, config.average, only="generator")
        learner, part = over_seeds(learner, config.seeds), run.part(name)
        part.describe("wgan_generator", sizes, part="generator")
        watch = partial(watched, part, learner, generator, judge, at_validation, sizes, config)
        fitted[name] = fit(learner, few, config.fit, part, evaluate=watch)
        given = noise_for(sizes, 5 * config.samples, seed=1)
        images = samples_of(generator, fitted[name].weights, given)
        measured[name] = {
            **judged(images, judge, at_test, given.arrays.get("label")),
            **measure_replicas(partial(distance, known=known), [DISTANCE], images),
        }
        if fitted[name].trained.size:
            made[name] = images[fitted[name].trained[0]]
    figures = {
        "data": data_figure(data),
        "samples": partial(draw_samples, made, data["test"]),
        "over_training": partial(draw_training, run, config),
        "interpolation": partial(draw_interpolations, generator, fitted, list(made), sizes),
        "neighbors": partial(draw_neighbors, made, train),
        "comparison": partial(game_panels, fitted, QUALITY),
    }
    extras = {
        "judge_accuracy": judge.accuracy,
        "confident_of_test_images": confident(at_test),
        # Samples that were learned by heart would be much nearer than these, which are as new.
        "distance_of_test_images": distance_to(known, test),
    }
    report_each(run, fitted, measured, figures, headline="frechet_distance", extras=extras)


# Samples.


def noise_for(sizes: Mapping, count: int, *, seed: int) -> Dataset:
    """Noise, with the classes in turn where the generator is told them."""
    return noise(count, sizes["latent_dim"], num_classes=sizes["num_classes"], seed=seed)


def samples_of(generator: Model, weights: Weights, given: Dataset) -> np.ndarray:
    """Images of each replica in [0, 1], `[replicas, count, height, width, channels]`.

    They are rounded to 256 values, as real ones are. A replica that diverged makes no numbers.
    """
    inputs = tuple(given.arrays) if len(given.arrays) > 1 else "noise"
    x = predict(generator, *weights, given, replicas=True, inputs=inputs)
    return np.round((x + 1) * 127.5) / np.float32(255)


def distance(images: np.ndarray, *, known: np.ndarray) -> dict[str, float]:
    """How far the images of one generator are from the nearest known ones."""
    return {DISTANCE: distance_to(known, flat(images))}


def watched(
    run: Run,
    learner: Learner,
    generator: Model,
    judge: Judge,
    real: Seen,
    sizes: Mapping,
    config: Config,
    state: TrainState,
) -> Mapping[str, np.ndarray]:
    """Judge the samples at one time, and keep some of the first replica that makes any."""
    given = noise_for(sizes, config.samples, seed=0)
    images = samples_of(generator, learner.weights(state), given)
    sound = np.flatnonzero(np.isfinite(images).all((1, 2, 3, 4)))
    if run.writes and sound.size:
        path = run.sample(int(np.ravel(state.step)[0]), ".npy")
        with run.writing(path):
            np.save(path, images[sound[0], :SHOWN])
    return judged(images, judge, real, given.arrays.get("label"))


# Figures.


def draw_samples(made: Mapping[str, np.ndarray], test: ImageDataset):
    """Test images, and samples of the first sound replica of each game."""
    count = min(2 * SHOWN, len(test))
    rows = {name: images[:count] for name, images in made.items()}
    return plots.image_rows({"real": np.asarray(test.arrays["image"][:count]), **rows})


def draw_training(run: Run, config: Config):
    """What the same noise becomes by each game, from evaluation to evaluation."""
    rows = {}
    for name in config.games:
        paths = sorted((run.part(name).directory / "samples").glob("*.npy"))
        count = max(3, SHOWN // len(config.games))
        for index in np.unique(np.linspace(0, len(paths) - 1, count).astype(int)) if paths else ():
            rows[f"{name}, step {int(paths[index].stem):,}"] = np.load(paths[index])
    return plots.image_rows(rows)


def draw_interpolations(
    generator: Model, fitted: Mapping[str, Fitted], games: Sequence[str], sizes: Mapping
):
    """Images along the great circle from one noise to another, a few of each game."""
    rows = {}
    ends = noise_for({**sizes, "num_classes": None}, 6, seed=2).arrays["noise"]
    for name in games:
        for number, (a, b) in enumerate(zip(ends[::2], ends[1::2], strict=True)):
            along = {"noise": great_circle(a, b, SHOWN)}
            if sizes["num_classes"]:
                along["label"] = np.full(SHOWN, number % sizes["num_classes"], np.int32)
            given = Dataset("noise", "test", along)
            images = samples_of(generator, fitted[name].weights, given)
            rows[f"{name} {number + 1}"] = images[fitted[name].trained[0]]
    return plots.image_rows(rows)


def great_circle(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Points from `a` to `b` whose length is that of noise all along (White, 2016)."""
    t = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    angle = np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))
    if np.sin(angle) < 1e-3:  # there is no circle, or every one
        return (1 - t) * a + t * b
    return ((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)).astype(a.dtype)


def draw_neighbors(made: Mapping[str, np.ndarray], train: ImageDataset):
    """Samples, and under each the nearest training image."""
    every = np.asarray(train.arrays["image"][:])
    rows = {}
    for name, images in made.items():
        nearest, _ = nearest_examples(flat(images[:SHOWN]), flat(every))
        rows |= {name: images[:SHOWN], f"nearest to {name}": every[nearest] / np.float32(255)}
    return plots.image_rows(rows)


if __name__ == "__main__":
    launch(Config, main)
