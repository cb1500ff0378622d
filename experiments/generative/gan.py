"""Adversarial generators of images, by any game, and what their images are worth.

Images are judged by the features and the classes of a network that this script trains first, on the
same data: distances and scores are comparable within this script alone, not with those of the
Inception network. The best generator is that of the smallest distance from validation images.
Sources: Gulrajani et al. (2017), arXiv:1704.00028; Heusel et al. (2017), arXiv:1706.08500;
Salimans et al. (2016), arXiv:1606.03498; Kynkaanniemi et al. (2019), arXiv:1904.06991.
Command: python -m experiments.generative.gan --dataset mnist --seeds 3
All games side by side: --games standard least_squares wgan_clip wgan_gp hinge_sn
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from dl_jax import plots
from dl_jax.data import Dataset, ImageData, ImageDataset, image_statistics, noise
from dl_jax.errors import check_distinct, check_integer, check_multiple, check_range
from dl_jax.evaluation import (
    frechet_distance,
    inception_score,
    nearest_examples,
    sample_precision_recall,
    to_probabilities,
)
from dl_jax.functional import cross_entropy
from dl_jax.learners import (
    GAMES,
    GameName,
    Learner,
    TrainState,
    Weights,
    averaged,
    over_seeds,
    supervised,
)
from dl_jax.models import (
    Model,
    cnn,
    features,
    on_images,
    standardize,
    to_unit,
    wgan_critic,
    wgan_generator,
)
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, game_panels, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate, predict
from dl_jax.types import Params, State

FEATURES, LOGITS = "activation1", "head"
"""Layers of the judging network."""
CONFIDENT = 0.9
"""Probability of a class from which an image counts as one of it."""
NEIGHBORHOOD = 2000
"""Images of each kind by which precision, recall and nearest neighbors are measured."""
SHOWN = 10
"""Images in a row of a figure, and rows of samples over training."""
QUALITY = {
    "frechet_distance": "Fréchet distance",
    "inception_score": "inception-style score",
    "confident": f"samples of a class with probability {CONFIDENT:g}",
}
"""What is measured of samples at each evaluation, with the title of its panel."""
OTHERS = ("precision", "recall", "rarest_class", "commonest_class")
"""What is measured beside."""


@dataclass(frozen=True)
class Config:
    """Generators of images."""

    games: tuple[GameName, ...] = ("wgan_gp",)
    """Games to play, one after the other."""
    width: int = 32
    """Channels of the generator before its last layer, and of the critic after its first."""
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
    judge: FitConfig = FitConfig(epochs=4)
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
        check_integer("samples", self.samples, low=2 * SHOWN)
        check_multiple("batch_size", self.fit.batch_size, "critic_steps", self.critic_steps)
        check_range("average", self.average, low=0, high=1, exclusive_high=True)


class Judge(NamedTuple):
    """A classifier of real images, whose features and classes say what samples are like."""

    model: Model
    params: Params
    state: State
    accuracy: float


class Seen(NamedTuple):
    """What a judge sees in images."""

    features: np.ndarray
    probabilities: np.ndarray


def main(config: Config) -> None:
    """Train the judge, play each game, judge its samples and draw."""
    data = config.data.load()
    train = data["train"]
    shape, classes = train.image_shape, train.num_classes if config.conditional else None
    sizes = {"image_shape": shape, "latent_dim": config.latent_dim, "width": config.width,
             "num_classes": classes}  # fmt: skip
    generator = wgan_generator(**sizes)
    half = np.full(shape[-1], 0.5, np.float32)
    critic = wgan_critic(shape, width=config.width, num_classes=classes)
    steps = config.fit.updates(train)
    optimizers = (
        make_optimizer(config.optimizer, steps),
        make_optimizer(config.optimizer, steps * config.critic_steps),
    )
    run = open_run("gan", config, config.run)
    judge = trained_judge(config, data, run.part("judge"))
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
        measured[name] = judged(images, judge, at_test, given.arrays.get("label")) | {
            "distance_to_training": distances(images, known)
        }
        made |= {name: images[0]} if np.isfinite(images[0]).all() else {}
    figures = {
        "data": data_figure(data),
        "samples": partial(draw_samples, made, data["test"]),
        "over_training": partial(draw_training, run, config),
        "interpolation": partial(draw_interpolations, generator, fitted, list(made), sizes),
        "neighbors": partial(draw_neighbors, made, train),
        "comparison": partial(game_panels, fitted, QUALITY),
    }
    # Samples that were learned by heart would be much nearer than images that are as new.
    new = distances(test[None, :NEIGHBORHOOD], known)
    extras = {"judge_accuracy": judge.accuracy, "distance_of_test_images": float(new[0])}
    report_each(run, fitted, measured, figures, headline="frechet_distance", extras=extras)


# The judge.


def trained_judge(config: Config, data: dict[str, ImageDataset], run: Run) -> Judge:
    """A small convolutional network, trained to tell the classes."""
    train = data["train"]
    network = cnn(train.image_shape, [(32,), (64,)], train.num_classes, widths=(128,))
    model = on_images(network, image_statistics(train))
    optimizer = make_optimizer(OptimizerConfig(), config.judge.updates(train))
    learner = supervised(model, cross_entropy, optimizer)
    fitted = fit(learner, data, config.judge, run)
    evaluate = make_evaluate(learner, config.judge.evaluation_batch_size)
    accuracy = evaluate(fitted.best, data["test"]).means()["accuracy"]
    return Judge(features(model, [FEATURES, LOGITS]), *fitted.weights, float(accuracy))


def seen_by(judge: Judge, images: Dataset) -> Seen:
    """Features and probabilities of images."""
    found = predict(judge.model, judge.params, judge.state, images)
    return Seen(found[FEATURES], to_probabilities(found[LOGITS]))


# Samples, and what they are worth.


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


def judged(
    images: np.ndarray, judge: Judge, real: Seen, told: np.ndarray | None
) -> dict[str, np.ndarray]:
    """What the images of each replica are worth; not a number for one that diverged.

    Where they were told classes, the shares of classes are given, and what counts is `obeyed`: how
    many are of the class that they were told.
    """
    names = (*QUALITY, *OTHERS, *(() if told is None else ("obeyed",)))
    found = {name: np.full(len(images), np.nan) for name in names}
    for replica in np.flatnonzero(np.isfinite(images).all((1, 2, 3, 4))):
        pixels = np.round(images[replica] * 255).astype(np.uint8)
        seen = seen_by(judge, Dataset("samples", "test", {"image": pixels}))
        for name, value in worth(seen, real).items():
            found[name][replica] = value
        if told is not None:
            found["obeyed"][replica] = (seen.probabilities.argmax(-1) == told).mean()
    return found


def worth(samples: Seen, real: Seen) -> dict[str, float]:
    """What the images of one generator are worth."""
    precision, recall = sample_precision_recall(
        real.features[:NEIGHBORHOOD], samples.features[:NEIGHBORHOOD]
    )
    classes = samples.probabilities.shape[-1]
    shares = np.bincount(samples.probabilities.argmax(-1), minlength=classes) / len(
        samples.features
    )
    return {
        "frechet_distance": frechet_distance(real.features, samples.features),
        "inception_score": inception_score(samples.probabilities),
        "confident": float((samples.probabilities.max(-1) >= CONFIDENT).mean()),
        "precision": precision,
        "recall": recall,
        "rarest_class": float(shares.min()),
        "commonest_class": float(shares.max()),
    }


def distances(images: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of each replica the median distance of its images to the nearest training image."""
    each = [flat(one[:NEIGHBORHOOD]) if one.ndim > 2 else one for one in images]
    return np.array([
        np.median(nearest_examples(one, known)[1]) if np.isfinite(one).all() else np.nan
        for one in each
    ])  # fmt: skip


def flat(images: np.ndarray) -> np.ndarray:
    """Images as vectors of values in [0, 1]."""
    unit = to_unit(images) if images.dtype == np.uint8 else images
    return np.asarray(unit).reshape(len(images), -1)


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
    """Judge the samples at one time, and keep some of the first replica."""
    given = noise_for(sizes, config.samples, seed=0)
    images = samples_of(generator, learner.weights(state), given)
    if run.writes and np.isfinite(images[0]).all():
        path = run.sample(int(np.ravel(state.step)[0]), ".npy")
        with run.writing(path):
            np.save(path, images[0, :SHOWN])
    return judged(images, judge, real, given.arrays.get("label"))


# Figures.


def draw_samples(made: Mapping[str, np.ndarray], test: ImageDataset):
    """Test images, and samples of the first replica of each game."""
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
            rows[f"{name} {number + 1}"] = samples_of(generator, fitted[name].weights, given)[0]
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
