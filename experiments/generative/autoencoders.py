"""What autoencoders learn of images without a label: vanilla, denoising, masked and variational.

All have one encoder and one decoder, convolutional. Their features are then judged with few labels
and with many (`few_labels`): by a linear probe, beside raw pixels, a random encoder and principal
components; and by fine-tuning the encoder, beside the same network from scratch.
Sources: Vincent et al. (2010), "Stacked denoising autoencoders"; He et al. (2021),
arXiv:2111.06377, for hidden patches; Kingma and Welling (2013), arXiv:1312.6114.
Command: python -m experiments.generative.autoencoders --dataset mnist
A sheet in many dimensions in place of images: python -m experiments.generative.manifold
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA

from dl_jax import plots
from dl_jax.data import Dataset, ImageData, ImageDataset
from dl_jax.errors import UsageError, check_choice, check_distinct, check_integer, check_range
from dl_jax.functional import (
    gaussian_noise,
    hide_patches,
    masking_noise,
    relu,
    salt_and_pepper,
    sigmoid,
)
from dl_jax.learners import Learner, Weights, over_seeds, reconstructing, variational
from dl_jax.models import (
    Model,
    autoencoder,
    chain,
    linear,
    split,
    to_unit,
    variational_autoencoder,
    with_preprocessing,
)
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import check_some_trained, data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate, predict
from experiments.generative.few_labels import (
    Codes,
    chosen,
    codes_of,
    draw_accuracy,
    fine_tuned,
    labels_of,
    listed,
    probe,
    untrained,
)

Kind = Literal["vanilla", "denoising", "masked", "variational"]
SHOWN = 10
"""Images in a row of a figure."""
POINTS = 1500
"""Images whose codes are drawn as points."""
SCRATCH = "from scratch"


@dataclass(frozen=True)
class Config:
    """Autoencoders, and what their features are worth."""

    kinds: tuple[Kind, ...] = ("vanilla", "denoising", "masked", "variational")
    """Autoencoders to compare."""
    filters: tuple[int, ...] = (32, 64)
    """Filters of each level; each halves the image."""
    latent_dim: int = 128
    """Numbers in the middle: the features."""
    noise: Literal["gaussian", "masking", "salt_and_pepper"] = "gaussian"
    """What the denoising one takes out."""
    noise_level: float = 0.5
    """Standard deviation of the noise; of the others, the share of the pixels."""
    patch: int = 4
    """Side of the patches that are hidden from the masked one, in pixels."""
    hidden: float = 0.5
    """Share of the patches that are hidden."""
    labels: tuple[int, ...] = (100, 1000)
    """Numbers of labels to learn from, beside all."""
    seeds: int = 1
    """Independent replicas of each autoencoder, in one compiled program."""
    data: ImageData = ImageData()
    optimizer: OptimizerConfig = OptimizerConfig()
    fit: FitConfig = FitConfig(epochs=10, monitor="loss")
    tune: FitConfig = FitConfig(epochs=2, batch_size=100)
    """Training with labels; with few, they are seen more often."""
    least_steps: int = 300
    """Updates with labels, at least."""
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("latent_dim", self.latent_dim, low=2)
        for name in ("seeds", "patch", "least_steps"):
            check_integer(name, getattr(self, name), low=1)
        check_distinct("kinds", self.kinds)
        if not self.filters:
            raise UsageError("there are no filters, expected at least one level")
        if self.labels:  # none is all alone
            check_distinct("labels", self.labels)
        for count in self.labels:
            check_integer("labels", count, low=1)
        check_range("noise_level", self.noise_level, low=0)
        check_range("hidden", self.hidden, low=0, high=1, exclusive_low=True)


class Coder(NamedTuple):
    """A trained autoencoder: images in [0, 1] to codes `[batch, latent_dim]`, and back."""

    encode: Model
    decode: Model
    fitted: Fitted


def main(config: Config) -> None:
    """Train all, reconstruct, probe, fine-tune and draw."""
    data = config.data.load()
    train, test = data["train"], data["test"]
    sizes = {"input_shape": train.image_shape, "widths": config.filters,
             "latent_dim": config.latent_dim, "convolutional": True}  # fmt: skip
    check_corruptions(config, train.image_shape)
    run = open_run("autoencoders", config, config.run)
    subsets = chosen(train, (*config.labels, len(train)), config.fit.seed)
    coders, losses = {}, {}
    for kind in config.kinds:
        maker, learner = learner_of(config, kind, sizes, train)
        learner, part = over_seeds(learner, config.seeds), run.part(kind)
        part.describe(maker, sizes)
        trained = fit(learner, data, config.fit, part)
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        losses[kind] = evaluate(trained.best, test).means()
        coders[kind] = coder_of(maker, sizes, trained)
    fitted = {kind: coder.fitted for kind, coder in coders.items()}
    check_some_trained(fitted)
    sound = {kind: coder for kind, coder in coders.items() if coder.fitted.trained.size}
    codes = {kind: codes_of(c.encode, c.fitted.weights, data) for kind, c in coders.items()}
    encoder, _ = split(autoencoder(**sizes), "encoder")
    learned_nothing = untrained(encoder, config.latent_dim, data, config.fit.seed)
    probed = {
        name: probe(found, subsets, data) for name, found in (codes | learned_nothing).items()
    }
    tuned = {}
    for name in (*sound, SCRATCH):
        model, start = beginning(sound.get(name), sizes, train.num_classes)
        tuned[name], tunings = fine_tuned(
            name, model, start, subsets, data, config.optimizer, config.tune, config.least_steps,
            run,
        )  # fmt: skip
        fitted |= tunings
    measured = {
        kind: {
            "accuracy": probed[kind][len(train)],
            **losses[kind],
            "linear_probe": listed(probed[kind]),
            "fine_tuning": listed(tuned.get(kind, {})),
        }
        for kind in config.kinds
    }
    figures = {
        "data": data_figure(data),
        "reconstructions": partial(draw_reconstructions, config, sound, test),
        "codes": partial(draw_codes, sound, codes, test),
        "samples": partial(draw_samples, sound, config),
        "interpolation": partial(draw_interpolation, sound, codes, test),
        "probes": partial(draw_accuracy, probed),
        "fine_tuning": partial(draw_accuracy, tuned),
    }
    extras = {
        "linear_probe": {name: listed(probed[name]) for name in learned_nothing},
        "fine_tuning": {SCRATCH: listed(tuned[SCRATCH])},
    }
    report_each(run, fitted, measured, figures, extras=extras)


# Autoencoders.


def learner_of(
    config: Config, kind: str, sizes: Mapping, train: ImageDataset
) -> tuple[str, Learner]:
    """The name of the function that makes the network, and its learner."""
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    if kind == "variational":
        model = variational_autoencoder(**sizes)
        return "variational_autoencoder", variational(model, optimizer, prepare=to_unit)
    corrupt = corruption(config, kind)
    model = autoencoder(**sizes)
    return "autoencoder", reconstructing(model, optimizer, prepare=to_unit, corrupt=corrupt)


def corruption(config: Config, kind: str) -> Callable[..., Any] | None:
    """What a kind of autoencoder is to undo."""
    if kind == "masked":
        return partial(hide_patches, size=config.patch, share=config.hidden)
    if kind != "denoising":
        return None
    noises = {
        "gaussian": partial(gaussian_noise, std=config.noise_level),
        "masking": partial(masking_noise, rate=config.noise_level),
        "salt_and_pepper": partial(salt_and_pepper, rate=config.noise_level),
    }
    return noises[check_choice("noise", config.noise, noises)]


def check_corruptions(config: Config, image_shape: tuple[int, ...]) -> None:
    """Raise, before anything is trained, unless all kinds of corruption fit the images."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    for kind in config.kinds:
        corrupt = corruption(config, kind)
        if corrupt is not None:
            jax.eval_shape(lambda x, corrupt=corrupt: corrupt(x, key=jax.random.key(0)), images)


def coder_of(maker: str, sizes: Mapping, fitted: Fitted) -> Coder:
    """Both halves of a trained network; the code of a variational one is the mean."""
    if maker == "autoencoder":
        before, after = split(autoencoder(**sizes), "encoder")
        return Coder(before, after, fitted)
    before, after = split(variational_autoencoder(**sizes), "mean")
    decode = chain({**after.layers, "probabilities": sigmoid})
    return Coder(before, decode, fitted)


def decoded(coder: Coder, codes: np.ndarray) -> np.ndarray:
    """Images of codes by the first sound replica, in [0, 1]."""
    given = Dataset("codes", "test", {"code": codes})
    return np.clip(predict(coder.decode, *first_of(coder.fitted), given, inputs="code"), 0, 1)


def first_of(fitted: Fitted) -> Weights:
    """Parameters and state of the first sound replica."""
    return jax.tree.map(lambda leaf: leaf[fitted.trained[0]], fitted.weights)


def beginning(
    coder: Coder | None, sizes: Mapping, num_classes: int
) -> tuple[Model, Weights | None]:
    """A classifier, a linear layer of an encoder's codes, and what it begins with, if anything.

    Of an autoencoder with replicas, it begins with the first sound one.
    """
    encode = coder.encode if coder else split(autoencoder(**sizes), "encoder")[0]
    head = linear(sizes["latent_dim"], num_classes)
    model = with_preprocessing(chain({**encode.layers, "relu": relu, "head": head}), to_unit)
    if coder is None:
        return model, None
    params, state = first_of(coder.fitted)
    return model, ({name: params[name] for name in encode.layers if name in params}, state)


# Figures.


def draw_reconstructions(config: Config, coders: Mapping[str, Coder], test: ImageDataset):
    """Test images, what each autoencoder is shown of them, and what it gives back."""
    images = test.take(SHOWN)
    rows = {"test images": np.asarray(images.arrays["image"])}
    for kind, coder in coders.items():
        corrupt, shown = corruption(config, kind), to_unit(images.arrays["image"])
        if corrupt is not None:
            given = corrupt(shown, key=jax.random.key(0))
            shown = given[0] if isinstance(given, tuple) else given
            rows[f"{kind}: shown"] = np.clip(np.asarray(shown), 0, 1)
        code, _ = coder.encode.apply(*first_of(coder.fitted), shown, train=False)
        rows[f"{kind}: given back"] = decoded(coder, np.asarray(code))
    return plots.image_rows(rows)


def draw_codes(coders: Mapping[str, Coder], codes: Mapping[str, Codes], test: ImageDataset):
    """Codes of test images in the plane: the two directions in which they vary most."""
    few = test.take(POINTS)
    panels = {
        kind: PCA(2, random_state=0).fit_transform(
            codes[kind]["test"][coder.fitted.trained[0]][: len(few)]
        )
        for kind, coder in coders.items()
    }
    return plots.labeled_points(panels, labels_of(few), test.classes)


def draw_samples(coders: Mapping[str, Coder], config: Config):
    """Images of random codes: of the prior, which only the variational one was trained for."""
    drawn = np.random.default_rng(0).standard_normal((2 * SHOWN, config.latent_dim), np.float32)
    return plots.image_rows({kind: decoded(coder, drawn) for kind, coder in coders.items()})


def draw_interpolation(coders: Mapping[str, Coder], codes: Mapping[str, Codes], test: ImageDataset):
    """From one test image to one of another class, along the straight line between their codes."""
    labels = labels_of(test)
    other = int(np.flatnonzero(labels != labels[0])[0])
    t = np.linspace(0, 1, SHOWN, dtype=np.float32)[:, None]
    mixed = to_unit(test.arrays["image"][[0, other]])
    rows = {"pixels": np.asarray([(1 - s) * mixed[0] + s * mixed[1] for s in t[:, 0]])}
    for kind, coder in coders.items():
        a, b = codes[kind]["test"][coder.fitted.trained[0]][[0, other]]
        rows[kind] = decoded(coder, (1 - t) * a + t * b)
    return plots.image_rows(rows)


if __name__ == "__main__":
    launch(Config, main)
