"""Adversarial generators of images, by any game, and what their images are worth.

Images are judged by the features and the classes of a network that this script trains first, on the
same data: distances and scores are comparable within this script alone, not with those of the
Inception network. The best generator is that of the smallest distance from validation images.
Sources: Gulrajani et al. (2017), arXiv:1704.00028; Heusel et al. (2017), arXiv:1706.08500;
Salimans et al. (2016), arXiv:1606.03498; Kynkaanniemi et al. (2019), arXiv:1904.06991.
Command: python -m experiments.generative.gan --dataset mnist --seeds 3
All games side by side: --games standard least_squares wgan_clip wgan_gp hinge_sn
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from dl_jax import plots
from dl_jax.data import Dataset, ImageData, ImageDataset, image_statistics, noise
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.evaluation import (
    frechet_distance,
    inception_score,
    nearest_examples,
    sample_precision_recall,
    to_probabilities,
)
from dl_jax.functional import cross_entropy
from dl_jax.learners import GAMES, Learner, TrainState, averaged, over_seeds, supervised
from dl_jax.models import (
    Model,
    cnn,
    features,
    on_images,
    standardize,
    wgan_critic,
    wgan_generator,
)
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import check_trained, data_figure, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate, metric_curve, predict
from dl_jax.types import Params, State

GameName = Literal[
    "saturating", "standard", "least_squares", "wgan_clip", "wgan_gp", "hinge_sn"
]  # fmt: skip
FEATURES, LOGITS = "activation1", "head"
"""Layers of the judging network."""
CONFIDENT = 0.9
"""Probability of a class from which an image counts as one of it."""
NEIGHBORHOOD = 2000
"""Images of each kind by which precision and recall are measured."""
SHOWN = 10
"""Images in a row of a figure."""


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
        learning_rate=5e-4, schedule="cosine", beta1=0.5, beta2=0.9
    )
    fit: FitConfig = FitConfig(
        steps=3000, batch_size=250, evaluate_every=300, monitor="frechet_distance",
        monitor_mode="min", stop_on_nonfinite=False,
    )  # fmt: skip
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        if not self.games:
            raise UsageError(f"there are no games, expected some of {', '.join(GAMES)}")
        for name in ("width", "latent_dim", "critic_steps", "seeds"):
            check_integer(name, getattr(self, name), low=1)
        check_integer("samples", self.samples, low=SHOWN)
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
    few = {"train": train, "validation": data["validation"].take(config.samples)}
    at_validation, at_test = (seen_by(judge, each) for each in (few["validation"], data["test"]))
    fitted, measured, made = {}, {}, {}
    for name in config.games:
        learner = GAMES[name].learner(
            generator, critic, optimizers, config.critic_steps, latent_dim=config.latent_dim,
            labels="label" if config.conditional else None,
            prepare=standardize(half, half),  # in [-1, 1]
        )  # fmt: skip
        learner = averaged(learner, config.average) if config.average else learner
        learner, part = over_seeds(learner, config.seeds), run.part(name)
        part.describe("wgan_generator", sizes, part="generator")
        watch = partial(watched, part, learner, generator, judge, at_validation, sizes, config)
        fitted[name] = fit(learner, few, config.fit, part, evaluate=watch)
        check_trained(fitted[name], some=True)
        given = noise_for(sizes, 5 * config.samples, seed=1)
        made[name] = samples_of(generator, fitted[name].weights, given)
        measured[name] = judged(made[name], judge, at_test, whole=True)
    test = np.asarray(data["test"].arrays["image"][: 5 * config.samples])
    first = {name: images[finite(images)][0] for name, images in made.items()}
    memory = {name: distances_to(images, train, test) for name, images in first.items()}
    figures = {
        "data": data_figure(data),
        "samples": lambda: plots.image_rows(
            {"real": test[: 2 * SHOWN], **{name: each[: 2 * SHOWN] for name, each in first.items()}}
        ),
        "over_training": partial(draw_training, run, config),
        "interpolation": partial(draw_interpolations, generator, fitted, sizes),
        "neighbors": partial(draw_neighbors, first, train),
        "losses": partial(draw_losses, fitted),
        "quality": partial(draw_quality, fitted),
    }
    extras = {"judge_accuracy": judge.accuracy, "nearest_training_image": memory}
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


def samples_of(generator: Model, weights, given: Dataset) -> np.ndarray:
    """Images of each replica: uint8 `[replicas, count, height, width, channels]`.

    Those of a replica that diverged are floats that are not numbers, and so are then all.
    """
    inputs = tuple(given.arrays) if len(given.arrays) > 1 else "noise"
    x = predict(generator, *weights, given, replicas=True, inputs=inputs)
    pixels = np.round((x + 1) * 127.5)
    return pixels.astype(np.uint8) if np.isfinite(pixels).all() else pixels


def finite(images: np.ndarray) -> np.ndarray:
    """Which replicas have not diverged."""
    return np.isfinite(images).all((1, 2, 3, 4))


def judged(
    images: np.ndarray, judge: Judge, real: Seen, *, whole: bool = False
) -> dict[str, np.ndarray]:
    """What the images of each replica are worth; not a number for one that diverged."""
    right = finite(images)
    each = [
        worth(seen_by(judge, Dataset("samples", "test", {"image": one.astype(np.uint8)})), real,
              whole=whole)
        for one in images[right]
    ]  # fmt: skip
    found = {}
    for name in each[0] if each else ("frechet_distance", "inception_score"):
        found[name] = np.full((len(images), *np.shape(each[0][name] if each else ())), np.nan)
        found[name][right] = [one[name] for one in each]
    return found


def worth(samples: Seen, real: Seen, *, whole: bool) -> dict[str, float | np.ndarray]:
    """What the images of one generator are worth, with their classes if `whole`."""
    found: dict[str, float | np.ndarray] = {
        "frechet_distance": frechet_distance(real.features, samples.features),
        "inception_score": inception_score(samples.probabilities),
        "confident": float((samples.probabilities.max(-1) >= CONFIDENT).mean()),
    }
    if whole:
        precision, recall = sample_precision_recall(
            real.features[:NEIGHBORHOOD], samples.features[:NEIGHBORHOOD]
        )
        classes = samples.probabilities.shape[-1]
        shares = np.bincount(samples.probabilities.argmax(-1), minlength=classes)
        found |= {
            "precision": precision,
            "recall": recall,
            "rarest_class": float(shares.min() / shares.sum()),
            "commonest_class": float(shares.max() / shares.sum()),
        }
    return found


def distances_to(images: np.ndarray, train: ImageDataset, test: np.ndarray) -> dict[str, float]:
    """Median distance, in pixels' values, of samples and of test images to the nearest of training.

    Samples that were learned by heart would be much nearer than images that are as new.
    """
    known = flat(np.asarray(train.arrays["image"][:]))
    return {
        name: float(np.median(nearest_examples(flat(each[:NEIGHBORHOOD]), known)[1]))
        for name, each in {"samples": images, "test_images": test}.items()
    }


def flat(images: np.ndarray) -> np.ndarray:
    """Images as vectors of values in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


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
    if run.writes:
        path = run.sample(int(np.ravel(state.step)[0]), ".npy")
        with run.writing(path):
            np.save(path, images[0, :SHOWN].astype(np.uint8))
    return judged(images, judge, real)


# Figures.


def draw_training(run: Run, config: Config):
    """What the same noise becomes, from evaluation to evaluation, by the last game."""
    name = config.games[-1]
    paths = sorted((run.part(name).directory / "samples").glob("*.npy"))
    chosen = np.unique(np.linspace(0, len(paths) - 1, 10).astype(int))
    return plots.image_rows({f"step {int(paths[i].stem):,}": np.load(paths[i]) for i in chosen})


def draw_interpolations(generator: Model, fitted: Mapping[str, Fitted], sizes: Mapping):
    """Images along the great circle from one noise to another, a few of each game."""
    rows = {}
    ends = noise_for({**sizes, "num_classes": None}, 6, seed=2).arrays["noise"]
    for name, each in fitted.items():
        for number, (a, b) in enumerate(zip(ends[::2], ends[1::2], strict=True)):
            along = {"noise": great_circle(a, b, SHOWN)}
            if sizes["num_classes"]:
                along["label"] = np.full(SHOWN, number % sizes["num_classes"], np.int32)
            path = Dataset("noise", "test", along)
            images = samples_of(generator, each.weights, path)
            rows[f"{name} {number + 1}"] = images[finite(images)][0]
    return plots.image_rows(rows)


def great_circle(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Points from `a` to `b` whose length is that of noise all along (White, 2016)."""
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    angle = np.arccos(np.clip(cosine, -1, 1))
    t = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    return ((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)).astype(a.dtype)


def draw_neighbors(made: Mapping[str, np.ndarray], train: ImageDataset):
    """Samples, and under each the nearest training image."""
    every = np.asarray(train.arrays["image"][:])
    rows = {}
    for name, images in made.items():
        shown = images[:SHOWN]
        rows[f"{name}"] = shown
        rows[f"nearest to {name}"] = every[nearest_examples(flat(shown), flat(every))[0]]
    return plots.image_rows(rows)


def draw_losses(fitted: Mapping[str, Fitted]):
    """Losses and gradients of both networks: a panel for each, a line for each game."""
    named = {
        "generator_loss": "generator's loss", "discriminator_loss": "critic's loss",
        "distance": "critic's distance of real and fake",
        "generator_gradient": "norm of the generator's gradient",
        "discriminator_gradient": "norm of the critic's gradient",
    }  # fmt: skip
    return over_steps(fitted, named, "train")


def draw_quality(fitted: Mapping[str, Fitted]):
    """What samples are worth over training: a panel for each number, a line for each game."""
    named = {"frechet_distance": "Fréchet distance", "inception_score": "inception-style score",
             "confident": f"share with a class of probability {CONFIDENT:g}"}  # fmt: skip
    return over_steps(fitted, named, "validation")


def over_steps(fitted: Mapping[str, Fitted], named: Mapping[str, str], split: str):
    """A panel for each metric, a line for each game."""
    panels = {
        title: {game: metric_curve(each, metric, split) for game, each in fitted.items()}
        for metric, title in named.items()
    }
    return plots.named_panels(panels, x="step of the generator")


if __name__ == "__main__":
    launch(Config, main)
