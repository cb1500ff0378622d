"""What autoencoders learn of images without a label: vanilla, denoising, masked and variational.

All have one encoder and one decoder, convolutional. Their features are then judged with few labels
and with many: by a linear probe, beside raw pixels, a random encoder and principal components; and
by fine-tuning the encoder, beside the same network from scratch. Numbers of labels are those of the
training: penalties and steps are chosen on the whole validation split.
Sources: Vincent et al. (2010), "Stacked denoising autoencoders"; He et al. (2021),
arXiv:2111.06377, for hidden patches; Kingma and Welling (2013), arXiv:1312.6114.
Command: python -m experiments.generative.autoencoders --dataset mnist
A sheet in many dimensions in place of images: python -m experiments.generative.manifold
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA

from dl_jax import plots
from dl_jax.data import Dataset, ImageData, ImageDataset
from dl_jax.errors import UsageError, check_choice, check_distinct, check_integer, check_range
from dl_jax.evaluation import probe_accuracy
from dl_jax.functional import (
    cross_entropy,
    gaussian_noise,
    hide_patches,
    masking_noise,
    relu,
    salt_and_pepper,
    sigmoid,
)
from dl_jax.learners import Learner, over_seeds, reconstructing, supervised, variational
from dl_jax.models import (
    Model,
    autoencoder,
    chain,
    features,
    linear,
    split,
    to_unit,
    variational_autoencoder,
    with_preprocessing,
)
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate, predict

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
    coders, losses = {}, {}
    counts = [*config.labels, len(train)]
    subsets = {count: chosen(train, count, config.fit.seed) for count in counts}
    for kind in config.kinds:
        maker, learner = learner_of(config, kind, sizes, train)
        learner, part = over_seeds(learner, config.seeds), run.part(kind)
        part.describe(maker, sizes)
        fitted = fit(learner, data, config.fit, part)
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        losses[kind] = evaluate(fitted.best, test).means()
        coders[kind] = coder_of(maker, sizes, fitted)
    codes = {kind: codes_of(coder, data) for kind, coder in coders.items()}
    probed = {**{k: probe(found, subsets, data) for k, found in codes.items()},
              **baselines(config, sizes, subsets, data)}  # fmt: skip
    tuned, tunings = fine_tuned(config, sizes, coders, subsets, data, run)
    measured = {
        kind: {
            "accuracy": probed[kind][len(train)],
            **losses[kind],
            "linear_probe": listed(probed[kind]),
            "fine_tuning": listed(tuned[kind]),
        }
        for kind in config.kinds
    }
    fitted = {kind: coder.fitted for kind, coder in coders.items()} | tunings
    figures = {
        "data": data_figure(data),
        "reconstructions": partial(draw_reconstructions, config, coders, test),
        "codes": partial(draw_codes, coders, codes, test),
        "samples": partial(draw_samples, coders, config),
        "interpolation": partial(draw_interpolation, coders, codes, test),
        "probes": partial(draw_accuracy, probed, counts),
        "fine_tuning": partial(draw_accuracy, tuned, counts),
    }
    extras = {
        "linear_probe": {name: listed(probed[name]) for name in probed if name not in coders},
        "fine_tuning": {SCRATCH: listed(tuned[SCRATCH])},
    }
    report_each(run, fitted, measured, figures, extras=extras)


def listed(accuracy: Mapping[int, np.ndarray]) -> dict[str, list[float]]:
    """Accuracies of replicas by the number of labels, as JSON has them."""
    return {str(count): np.ravel(values).tolist() for count, values in accuracy.items()}


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


def codes_of(coder: Coder, data: Mapping[str, ImageDataset]) -> dict[str, np.ndarray]:
    """Codes of each replica, `[replicas, examples, latent_dim]`, of each split."""
    encode = with_preprocessing(coder.encode, to_unit)
    return {
        split: predict(encode, *coder.fitted.weights, each, replicas=True)
        for split, each in data.items()
    }


def decoded(coder: Coder, codes: np.ndarray) -> np.ndarray:
    """The first replica's images of codes, in [0, 1]."""
    given = Dataset("codes", "test", {"code": codes})
    return np.clip(predict(coder.decode, *first_of(coder.fitted), given, inputs="code"), 0, 1)


def first_of(fitted: Fitted):
    """Parameters and state of the first replica."""
    return jax.tree.map(lambda leaf: leaf[0], fitted.weights)


# What the codes are worth.


def chosen(train: ImageDataset, count: int, seed: int) -> np.ndarray:
    """As many training examples at random, or all, as indices."""
    if count > len(train):
        raise UsageError(f"labels are {count}, expected at most the {len(train)} that there are")
    return np.sort(np.random.default_rng(seed).permutation(len(train))[:count])


def labels_of(data: Dataset) -> np.ndarray:
    """All labels of a split."""
    return np.asarray(data.arrays["label"][:])


def probe(
    found: Mapping[str, np.ndarray],
    subsets: Mapping[int, np.ndarray],
    data: Mapping[str, ImageDataset],
) -> dict[int, np.ndarray]:
    """Test accuracy of linear probes of features `[replicas, examples, features]`, by labels."""
    labels, classes = {s: labels_of(each) for s, each in data.items()}, data["train"].num_classes
    accuracy = {}
    for count, indices in subsets.items():
        few = {**labels, "train": labels["train"][indices]}
        each = []
        for replica in range(len(found["train"])):
            own = {s: x[replica] for s, x in found.items()}
            own["train"] = own["train"][indices]
            each.append(probe_accuracy(own, few, classes))
        accuracy[count] = np.array(each)
    return accuracy


def baselines(
    config: Config,
    sizes: Mapping,
    subsets: Mapping[int, np.ndarray],
    data: Mapping[str, ImageDataset],
) -> dict[str, dict[int, np.ndarray]]:
    """Probes of features that nothing was trained for."""
    pixels = {split: flat(each.arrays["image"][:]) for split, each in data.items()}
    principal = PCA(min(config.latent_dim, *pixels["train"].shape), random_state=0)
    principal.fit(pixels["train"])
    encoder = features(autoencoder(**sizes), ["encoder"])
    untrained = jax.jit(encoder.init)(jax.random.key(config.fit.seed))
    encode = with_preprocessing(encoder, to_unit)
    random = {split: predict(encode, *untrained, each)["encoder"] for split, each in data.items()}
    every = {
        "raw pixels": pixels,
        "random encoder": random,
        "principal components": {s: principal.transform(x) for s, x in pixels.items()},
    }
    return {
        name: probe({s: x[None] for s, x in found.items()}, subsets, data)
        for name, found in every.items()
    }


def flat(images: np.ndarray) -> np.ndarray:
    """Images as vectors of values in [0, 1]."""
    return np.asarray(to_unit(images)).reshape(len(images), -1)


def fine_tuned(
    config: Config,
    sizes: Mapping,
    coders: Mapping[str, Coder],
    subsets: Mapping[int, np.ndarray],
    data: Mapping[str, ImageDataset],
    run: Run,
) -> tuple[dict[str, dict[int, np.ndarray]], dict[str, Fitted]]:
    """Test accuracy of classifiers that begin with an encoder (its first replica), and from none.

    All are as many steps old, so that the beginning is the only difference.
    """
    accuracy, trained = {}, {}
    for name in (*coders, SCRATCH):
        kind = variational_autoencoder if name == "variational" else autoencoder
        model = classifier(kind(**sizes), config.latent_dim, data["train"].num_classes)
        start = None
        if name in coders:
            params, state = first_of(coders[name].fitted)
            start = ({"encoder": params["encoder"]}, state)
        accuracy[name] = {}
        for count in subsets:
            part = f"{name}, {count} labels"
            labeled = {**data, "train": data["train"].subset(subsets[count])}
            tuning = steps_for(config, count)
            optimizer = make_optimizer(config.optimizer, tuning.steps or 1)
            learner = supervised(model, cross_entropy, optimizer)
            trained[part] = fit(learner, labeled, tuning, run.part(part), start=start)
            evaluate = make_evaluate(learner, tuning.evaluation_batch_size)
            found = evaluate(trained[part].best, data["test"]).means()
            accuracy[name][count] = np.ravel(found["accuracy"])
    return accuracy, trained


def steps_for(config: Config, count: int) -> FitConfig:
    """How long to train with so many labels."""
    batch = min(config.tune.batch_size, count)
    steps = max(config.least_steps, round(config.tune.epochs * count / batch))
    steps = config.tune.steps or steps
    every = config.tune.evaluate_every or -(-steps // 4)
    return replace(config.tune, batch_size=batch, steps=steps, evaluate_every=every)


def classifier(network: Model, latent_dim: int, num_classes: int) -> Model:
    """The encoder of a network, and a linear layer of its codes."""
    layers: dict[str, Any] = {"encoder": network.layers["encoder"]}
    if "mean" in network.layers:
        layers["mean"] = network.layers["mean"]
    layers |= {"relu": relu, "head": linear(latent_dim, num_classes)}
    return with_preprocessing(chain(layers), to_unit)


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


def draw_codes(
    coders: Mapping[str, Coder], codes: Mapping[str, Mapping[str, np.ndarray]], test: ImageDataset
):
    """Codes of test images in the plane: the two directions in which they vary most."""
    few = test.take(POINTS)
    panels = {
        kind: PCA(2, random_state=0).fit_transform(codes[kind]["test"][0][: len(few)])
        for kind in coders
    }
    return plots.labeled_points(panels, labels_of(few), test.classes)


def draw_samples(coders: Mapping[str, Coder], config: Config):
    """Images of random codes: of the prior, which only the variational one was trained for."""
    drawn = np.random.default_rng(0).standard_normal((2 * SHOWN, config.latent_dim), np.float32)
    return plots.image_rows({kind: decoded(coder, drawn) for kind, coder in coders.items()})


def draw_interpolation(
    coders: Mapping[str, Coder], codes: Mapping[str, Mapping[str, np.ndarray]], test: ImageDataset
):
    """From one test image to one of another class, along the straight line between their codes."""
    labels = labels_of(test)
    other = int(np.flatnonzero(labels != labels[0])[0])
    t = np.linspace(0, 1, SHOWN, dtype=np.float32)[:, None]
    mixed = to_unit(test.arrays["image"][[0, other]])
    rows = {"pixels": np.asarray([(1 - s) * mixed[0] + s * mixed[1] for s in t[:, 0]])}
    for kind, coder in coders.items():
        a, b = codes[kind]["test"][0][[0, other]]
        rows[kind] = decoded(coder, (1 - t) * a + t * b)
    return plots.image_rows(rows)


def draw_accuracy(found: Mapping[str, Mapping[int, np.ndarray]], counts: list[int]):
    """Test accuracy by the number of labels."""
    curves = {
        name: (np.array(counts), np.stack([each[count] for count in counts], axis=-1))
        for name, each in found.items()
    }
    return plots.named_lines(curves, x="training labels", y="test accuracy", log_x=True)


if __name__ == "__main__":
    launch(Config, main)
