"""How well each layer of a decoder inverts its counterpart in the encoder.

At every level of a dense and of a convolutional autoencoder: how much of what the encoder's layer
was given comes back, through all deeper levels (`whole`), and where the decoder's layer is given
just what the encoder's made (`alone`). Nothing but the pictures is trained to come back: where a
level says the same in other numbers, its alignment (CKA) is high all the same. Beside them a linear
autoencoder, whose subspace must be that of the principal components.
Sources: Hinton and Salakhutdinov (2006), "Reducing the dimensionality of data with neural
networks"; Baldi and Hornik (1989), "Neural networks and principal component analysis", for the
linear one; Kornblith et al. (2019), arXiv:1905.00414, for CKA.
Command: python -m experiments.generative.autoencoder_inversion --dataset mnist
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import ImageData, ImageDataset
from dl_jax.errors import UsageError, check_integer
from dl_jax.evaluation import linear_cka, measure_replicas
from dl_jax.learners import TrainState, over_seeds, reconstructing
from dl_jax.models import Model, autoencoder, features, to_unit, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, mean_and_std, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate, metric_curve, predict
from dl_jax.types import Params, State

MEASURED = 1000
"""Images of which levels are compared."""
SHOWN = 10
"""Images in a row of a figure."""
LINEAR, DENSE, CONVOLUTIONAL = "linear", "dense", "convolutional"
WAYS = "whole", "alone"


@dataclass(frozen=True)
class Config:
    """Autoencoders, level by level."""

    widths: tuple[int, ...] = (256, 128)
    """Units of each level of the dense autoencoder, from the outside."""
    filters: tuple[int, ...] = (16, 32)
    """Filters of each level of the convolutional one; each halves the image."""
    latent_dim: int = 32
    """Numbers in the middle of both."""
    components: int = 6
    """Numbers in the middle of the linear one."""
    seeds: int = 1
    """Independent replicas of each, in one compiled program."""
    data: ImageData = ImageData()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=20, evaluate_every=200, monitor="loss")
    linear_optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-2)
    linear_fit: FitConfig = FitConfig(steps=8000, evaluate_every=1000, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("latent_dim", "components", "seeds"):
            check_integer(name, getattr(self, name), low=1)
        for name in ("widths", "filters"):
            if not getattr(self, name):
                raise UsageError(f"{name} are none, expected at least one level")


def main(config: Config) -> None:
    """Train all three, compare level by level, and draw."""
    data = config.data.load()
    train, test = data["train"], data["test"]
    most = min(len(train), int(np.prod(train.image_shape)))
    check_integer("components", config.components, high=most)
    networks = {
        name: {"input_shape": train.image_shape, "widths": widths, "latent_dim": latent_dim,
               "convolutional": name == CONVOLUTIONAL}
        for name, widths, latent_dim in (
            (DENSE, config.widths, config.latent_dim),
            (CONVOLUTIONAL, config.filters, config.latent_dim),
            (LINEAR, (), config.components),
        )
    }  # fmt: skip
    models = {name: autoencoder(**sizes) for name, sizes in networks.items()}
    run = open_run("autoencoder_inversion", config, config.run)
    fitted, measured = {}, {}
    for name, sizes in networks.items():
        depth = len(sizes["widths"])
        fitting, descent = config.fit, config.optimizer
        if name == LINEAR:
            fitting, descent = config.linear_fit, config.linear_optimizer
        optimizer = make_optimizer(descent, fitting.updates(train))
        learner = reconstructing(models[name], optimizer, prepare=to_unit)
        learner, part = over_seeds(learner, config.seeds), run.part(name)
        part.describe("autoencoder", sizes)
        compared = lost_of(models[name], depth, data["validation"])
        fitted[name] = fit(learner, data, fitting, part, evaluate=compared)
        evaluate = make_evaluate(learner, fitting.evaluation_batch_size)
        measured[name] = {
            **evaluate(fitted[name].best, test).means(),
            **lost_of(models[name], depth, test)(fitted[name].best),
            **aligned(models[name], depth, fitted[name], test),
        }
    principal = principal_components(config.components, train, test)
    measured[LINEAR] |= beside_principal(fitted[LINEAR], principal[0])
    figures = {
        "data": data_figure(data),
        "levels": partial(draw_levels, measured, config, WAYS, "share of the variance lost"),
        "alignment": partial(draw_levels, measured, config, ("cka",), "alignment (CKA)"),
        "over_training": partial(draw_training, fitted, config),
        "pictures": partial(draw_pictures, models, fitted, principal[0], test),
    }
    extras = {"principal_components": {"loss": principal[1]}}
    report_each(run, fitted, measured, figures, headline="loss", extras=extras)


# Levels.


def level_names(depth: int) -> list[str]:
    """From the outside; the last is the latent one."""
    return [*(f"level{number}" for number in range(1, depth + 1)), "latent"]


def lost_of(
    model: Model, depth: int, images: ImageDataset
) -> Callable[[TrainState], Mapping[str, np.ndarray]]:
    """A function that measures what each level of a network's replicas loses of these images.

    That is the squared distance between what went into the encoder's level and what the decoder's
    gave back, as a share of the variance of what went in: 0 is all back, 1 as if the mean were.
    """
    levels, given = level_names(depth), to_unit(images.arrays["image"][:MEASURED])
    wanted = [f"encoder/{name}" for name in ("inputs", *levels)]
    every = features(model, [*wanted, *(f"decoder/{name}" for name in levels)])

    def lost(params: Params, state: State) -> dict[str, jax.Array]:
        found, _ = every.apply(params, state, given, train=False)
        shares = {}
        for level, before, after in zip(levels, wanted[:-1], wanted[1:], strict=True):
            went_in, decoder = found[before], model.layers["decoder"].layers[level]
            alone, _ = decoder.apply(
                params["decoder"].get(level, {}), {}, found[after], train=False
            )
            for way, back in zip(WAYS, (found[f"decoder/{level}"], alone), strict=True):
                error = ((back.reshape(went_in.shape) - went_in) ** 2).sum()
                shares[f"{level}_{way}"] = (
                    error / ((went_in - went_in.mean(0, keepdims=True)) ** 2).sum()
                )
        return shares

    each = jit(jax.vmap(lost))

    def measure(state: TrainState) -> Mapping[str, np.ndarray]:
        return jax.tree.map(np.asarray, each(state.params, state.model_state))

    return measure


def aligned(
    model: Model, depth: int, fitted: Fitted, images: ImageDataset
) -> dict[str, np.ndarray]:
    """How alike what went into each level and what came back are, up to rotation and scale."""
    levels = level_names(depth)
    went_in = [f"encoder/{name}" for name in ("inputs", *levels[:-1])]
    came_back = [f"decoder/{name}" for name in levels]
    every = features(model, [*went_in, *came_back])
    params, state = fitted.weights
    found = predict(
        with_preprocessing(every, to_unit), params, state, images.take(MEASURED), replicas=True
    )
    return {
        f"{level}_cka": measure_replicas(alike, ["cka"], found[before], found[after])["cka"]
        for level, before, after in zip(levels, went_in, came_back, strict=True)
    }  # fmt: skip


def alike(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """The alignment of two levels; not a number where one says the same of all images."""
    pair = [x.reshape(len(x), -1) for x in (before, after)]
    return {"cka": linear_cka(*pair) if all(np.ptp(x, 0).any() for x in pair) else np.nan}


# The linear one.


def principal_components(count: int, train: ImageDataset, test: ImageDataset) -> tuple[PCA, float]:
    """Principal components of the training images, and their mean squared error of test images."""
    found = PCA(count, random_state=0).fit(flat(train.arrays["image"][:]))
    images = flat(test.arrays["image"][:])
    back = found.inverse_transform(found.transform(images))
    return found, float(((back - images) ** 2).mean())


def flat(images: np.ndarray) -> np.ndarray:
    """Images as vectors of values in [0, 1]."""
    return np.asarray(to_unit(images)).reshape(len(images), -1)


def beside_principal(fitted: Fitted, principal: PCA) -> dict[str, np.ndarray]:
    """The largest angle, in degrees, between the subspace of each replica and the principal one."""

    def measure(kernel: np.ndarray) -> dict[str, float]:
        angles = subspace_angles(kernel.T, principal.components_.T)
        return {"largest_angle": np.degrees(angles).max()}

    kernels = np.asarray(fitted.weights[0]["decoder"]["latent"]["map"]["kernel"])
    return measure_replicas(measure, ["largest_angle"], kernels)


# Figures.


def draw_levels(
    measured: Mapping[str, Mapping[str, Any]], config: Config, ways: Sequence[str], y: str
):
    """What was measured of each level: dense beside convolutional."""
    depth = max(len(config.widths), len(config.filters))
    heights = {}
    for name, own in ((DENSE, config.widths), (CONVOLUTIONAL, config.filters)):
        for way in ways:
            losses = [measured[name][f"{level}_{way}"] for level in level_names(len(own))]
            found = [mean_and_std(values)["mean"] for values in losses]
            gap = [None] * (depth - len(own))
            heights[f"{name}, {way}"] = np.array([*found[:-1], *gap, found[-1]], float)
    return plots.grouped_bars(heights, level_names(depth), x="level, from the outside", y=y)


def draw_training(fitted: Mapping[str, Fitted], config: Config):
    """What each level loses over training, through all deeper ones."""
    panels = {}
    for name, widths in ((DENSE, config.widths), (CONVOLUTIONAL, config.filters)):
        for way in WAYS:
            panels[f"{name}, {way}"] = {
                level: metric_curve(fitted[name], f"{level}_{way}", "validation")
                for level in level_names(len(widths))
            }
    return plots.named_panels(panels, x="step", y="share of the variance lost")


def draw_pictures(
    models: Mapping[str, Model], fitted: Mapping[str, Fitted], principal: PCA, test: ImageDataset
):
    """Test images, and what comes back through one level, through two, and so on."""
    images = test.arrays["image"][:SHOWN]
    rows = {"given": images}
    for name, model in models.items():
        if not fitted[name].trained.size:
            continue
        first = fitted[name].trained[0]
        params = jax.tree.map(lambda leaf, first=first: leaf[first], fitted[name].weights[0])
        rows |= {
            f"{name}, {'all' if level == 'latent' else level}": shown(back, images)
            for level, back in through_levels(model, params, images).items()
        }
    back = principal.inverse_transform(principal.transform(flat(images)))
    return plots.image_rows({**rows, "principal components": shown(back, images)})


def through_levels(model: Model, params: Params, images: np.ndarray) -> dict[str, np.ndarray]:
    """What comes back of images that are encoded down to each level, and decoded from there."""
    encoder, decoder = (model.layers[part].layers for part in ("encoder", "decoder"))
    levels = [name for name in encoder if name != "inputs"]
    x, found = to_unit(images), {}
    for depth, level in enumerate(levels):
        x, _ = encoder[level].apply(params["encoder"].get(level, {}), {}, x, train=False)
        back = x
        for name in reversed(levels[: depth + 1]):
            back, _ = decoder[name].apply(params["decoder"].get(name, {}), {}, back, train=False)
        found[level] = np.asarray(back)
    return found


def shown(back: np.ndarray, images: np.ndarray) -> np.ndarray:
    """What came back, as pictures."""
    return np.clip(back.reshape(images.shape), 0, 1)


if __name__ == "__main__":
    launch(Config, main)
