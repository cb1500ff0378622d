"""What a user may want that is no image classifier, through public names alone."""

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax.data import Dataset, Windows, load_splits
from dl_jax.functional import (
    cross_entropy,
    dense,
    embed,
    l2_loss,
    lstm_cell,
    relu,
    scan_cell,
    tanh,
)
from dl_jax.learners import (
    Learner,
    Metrics,
    Outcome,
    TrainState,
    from_objective,
    over_hyperparameters,
    over_seeds,
    supervised,
)
from dl_jax.models import chain, flatten, linear, mlp
from dl_jax.runs import Run, RunOptions, load_run, open_run
from dl_jax.training import FitConfig, fit
from tests.models.conftest import quick_compilation as quick_compilation


@dataclass(frozen=True)
class Config:
    fit: FitConfig
    run: RunOptions


def new_run(folder: Path, config: FitConfig, *, resume: bool = False) -> Run:
    options = RunOptions(out=folder, name="run", resume=resume)
    return open_run("script", Config(config, options), options)


def plain_run(folder: Path, *, resumed: bool = False) -> Run:
    """A directory without a configuration."""
    folder.mkdir(exist_ok=True)
    return Run(folder, resumed=resumed)


def floats(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_same_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_an_adversarial_game_of_two_optimizers(tmp_path: Path):
    slow, fast = optax.adam(1e-3), optax.adam(1e-2)  # of the generator and of its critic
    generator, critic = mlp((2,), (16,), 1), mlp((1,), (16,), 1)

    def init(key, start=None):
        keys = jax.random.split(key, 3)
        params = {"generator": generator.init(keys[0])[0], "critic": critic.init(keys[1])[0]}
        moments = {
            "generator": slow.init(params["generator"]),
            "critic": fast.init(params["critic"]),
        }
        return TrainState(jnp.int32(0), params, {}, moments, keys[2])

    def gap(critic_params, generator_params, real, key):
        noise = jax.random.normal(key, (len(real), 2))
        fake = generator.apply(generator_params, {}, noise, train=True)[0]
        real, fake = (critic.apply(critic_params, {}, x, train=True)[0] for x in (real, fake))
        return (fake - real).mean() + 0.1 * (real**2 + fake**2).mean()

    def train_step(state, batch):
        both, key = state.params, jax.random.fold_in(state.key, state.step)
        loss, g = jax.value_and_grad(gap)(both["critic"], both["generator"], batch["x"], key)
        step, critic_moments = fast.update(g, state.opt_state["critic"])
        new = optax.apply_updates(both["critic"], step)
        g = jax.grad(lambda p: -gap(new, p, batch["x"], key))(both["generator"])
        step, moments = slow.update(g, state.opt_state["generator"])
        params = {"generator": optax.apply_updates(both["generator"], step), "critic": new}
        state = replace(
            state, step=state.step + 1, params=params,
            opt_state={"generator": moments, "critic": critic_moments},
        )  # fmt: skip
        return state, Metrics({"loss": loss}, {"loss": jnp.int32(1)})

    @jax.jit
    def generated(state):
        def distance(params):
            noise = jax.random.normal(jax.random.key(1), (500, 2))
            return jnp.abs(generator.apply(params, {}, noise, train=False)[0].mean() - 3)

        return {"distance": jax.vmap(distance)(state.params["generator"])}

    learner = Learner(init, train_step, train_step, lambda s: (s.params["generator"], {}))
    data = {"train": Dataset("line", "train", {"x": 3 + 0.5 * floats(0, 400, 1)})}
    config = FitConfig(steps=600, batch_size=50, log_every=100, evaluate_every=100,
                       checkpoint_every=600, monitor="distance", monitor_mode="min")  # fmt: skip
    run = new_run(tmp_path, config)
    fitted = fit(over_seeds(learner, 2), data, config, run, evaluate=generated)
    rows = [row["distance"] for row in fitted.history if row["split"] == "validation"]
    assert len(rows) == 6
    np.testing.assert_array_equal(generated(fitted.best)["distance"], np.min(rows, axis=0))
    assert np.max(np.min(rows, axis=0)) < 0.5 < np.min(rows[0])


def next_token_learner(batch_size: int, hidden: int = 8, vocabulary: int = 5) -> Learner:
    """A language model whose hidden state goes on from window to window."""

    def init(key):
        keys = jax.random.split(key, 3)
        return {
            "embed": jax.random.normal(keys[0], (vocabulary, hidden)),
            "cell": {"input": {"kernel": jax.random.normal(keys[1], (hidden, 4 * hidden)) / 3},
                     "hidden": {"kernel": jnp.tile(jnp.eye(hidden), 4) / 2}},
            "head": {"kernel": jax.random.normal(keys[2], (hidden, vocabulary)) / 3},
        }, {}  # fmt: skip

    def objective(params, model_state, carry, batch, *, train, key):
        if "reset" in batch:
            carry = jax.tree.map(lambda c: jnp.where(batch["reset"][:, None], 0, c), carry)
        inputs, targets = batch["tokens"][:, :-1], batch["tokens"][:, 1:]
        x = embed(inputs, params["embed"])
        carry, outputs = scan_cell(lstm_cell, params["cell"], carry, x)
        losses = cross_entropy(dense(outputs, **params["head"]), targets)  # [B, T]
        return Outcome(Metrics.of({"loss": losses}, batch.get("mask")), model_state, carry)

    zeros = jnp.zeros((batch_size, hidden))
    return from_objective(init, objective, optax.adam(1e-2), carry=(zeros, zeros))


def test_a_hidden_state_is_carried_across_batches_and_resumed_to_the_bit(tmp_path: Path):
    tokens = np.arange(500, dtype=np.int32) ** 2 % 5
    text = {s: Windows("text", s, {"tokens": tokens}, window=6) for s in ("train", "validation")}
    learner = over_seeds(next_token_learner(4), 2)
    config = FitConfig(
        steps=40, batch_size=4, log_every=10, evaluate_every=20, checkpoint_every=10, monitor="loss"
    )
    whole = fit(learner, text, config, new_run(tmp_path / "whole", config))
    fit(learner, text, replace(config, steps=30), plain_run(tmp_path / "half"))
    resumed = fit(learner, text, config, plain_run(tmp_path / "half", resumed=True))
    assert_same_bits(
        (resumed.state.params, resumed.state.carry), (whole.state.params, whole.state.carry)
    )
    assert float(np.abs(whole.state.carry[0]).max()) > 0
    losses = [row["loss"] for row in whole.history if row["split"] == "validation"]
    assert np.mean(losses[-1]) < np.mean(losses[0])


def test_a_number_that_is_no_mean_chooses_the_parameters(tmp_path: Path):
    data = load_splits("digits")
    data = {name: part.take(200) for name, part in data.items()}
    model = chain({"scale": lambda x: x / 255.0, "flatten": flatten, "head": linear(64, 10)})
    learner = over_seeds(supervised(model, cross_entropy, optax.adam(1e-2)), 2)

    @jax.jit
    def worst_class(state):
        """The recall of the class that is recognized worst: a minimum, and no mean."""
        images, labels = (jnp.asarray(data["validation"].arrays[k][:]) for k in ("image", "label"))

        def recall(params):
            right = (model.apply(params, {}, images, train=False)[0].argmax(-1) == labels) * 1.0
            total, all_ = (jnp.zeros(10).at[labels].add(v) for v in (right, jnp.ones(len(labels))))
            return (total / all_).min()

        return {"worst_recall": jax.vmap(recall)(state.params)}

    config = FitConfig(steps=40, batch_size=20, evaluate_every=10, monitor="worst_recall",
                       monitor_mode="max")  # fmt: skip
    fitted = fit(learner, data, config, new_run(tmp_path, config), evaluate=worst_class)
    rows = [row["worst_recall"] for row in fitted.history if row["split"] == "validation"]
    np.testing.assert_allclose(worst_class(fitted.best)["worst_recall"], np.max(rows, axis=0))


def test_a_sweep_equals_its_points_in_turn(tmp_path: Path):
    data = {"train": Dataset("line", "train", {"x": floats(0, 64, 3), "y": floats(1, 64, 1)})}
    config, rates = FitConfig(epochs=2, batch_size=8), [0.003, 0.03]

    def make_learner(rate):
        model = mlp((3,), (8,), 1, activation=tanh)
        return supervised(
            model, l2_loss, optax.adam(rate), inputs="x", targets="y", metrics={}
        )  # fmt: skip

    sweep = over_hyperparameters(make_learner, {"rate": rates})
    together = fit(sweep, data, config, plain_run(tmp_path / "sweep")).state.params
    for i, rate in enumerate(rates):
        alone = fit(make_learner(rate), data, config, plain_run(tmp_path / f"{i}")).state.params
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, 1e-4, 1e-5), together, alone
        )


def test_seeds_start_from_the_parameters_of_another_run(tmp_path: Path):
    data = load_splits("digits")
    arguments = {"input_shape": [8, 8, 1], "widths": [16], "num_classes": 10}
    model = mlp(**arguments)
    as_floats = {name: replace(part.take(300), arrays={
        "image": np.float32(part.take(300).arrays["image"]) / 255,
        "label": part.take(300).arrays["label"]}) for name, part in data.items()}  # fmt: skip
    learner = over_seeds(supervised(model, cross_entropy, optax.adam(1e-2)), 2)
    config = FitConfig(steps=40, batch_size=50, evaluate_every=20)
    run = new_run(tmp_path, config)
    run.describe("mlp", arguments)
    first = fit(learner, as_floats, config, run)

    loaded = load_run(run.directory, replica=1)
    assert_same_bits(loaded.params, jax.tree.map(lambda leaf: leaf[1], first.best.params))
    frozen = over_seeds(supervised(loaded.model, cross_entropy, optax.sgd(0.0)), 3)
    start = (loaded.params, loaded.model_state)
    short = replace(config, steps=20)
    second = fit(frozen, as_floats, short, plain_run(tmp_path / "frozen"), start=start)
    for replica in range(3):
        kept = jax.tree.map(lambda leaf, r=replica: leaf[r], second.best.params)
        assert_same_bits(kept, loaded.params)


def test_boxes_move_with_their_image(tmp_path: Path):
    corners = np.random.default_rng(0).integers(0, 5, (200, 2))
    images = np.zeros((200, 8, 8, 1), np.float32)
    for image, (x, y) in zip(images, corners, strict=True):
        image[y : y + 4, x : x + 4] = 1
    boxes = np.concatenate([corners, corners + 4], axis=1).astype(np.float32)
    data = {"train": Dataset("squares", "train", {"image": images, "box": boxes})}

    def flip(batch, *, key):
        flipped = jax.random.bernoulli(key, shape=(len(batch["box"]), 1))
        mirrored = jnp.stack([8 - batch["box"][:, 2], batch["box"][:, 1],
                              8 - batch["box"][:, 0], batch["box"][:, 3]], axis=1)  # fmt: skip
        image = jnp.where(flipped[:, :, None, None], batch["image"][:, :, ::-1], batch["image"])
        return {**batch, "image": image, "box": jnp.where(flipped, mirrored, batch["box"])}

    model = chain(
        {"flatten": flatten, "hidden": linear(64, 32), "relu": relu, "box": linear(32, 4)}
    )
    learner = supervised(model, l2_loss, optax.adam(1e-2), targets="box", metrics={}, augment=flip)
    config = FitConfig(steps=600, batch_size=20, log_every=200, evaluate_every=200)
    fitted = fit(learner, data, config, new_run(tmp_path, config))
    mirrored = images[:, :, ::-1]
    apply = jax.jit(lambda params, x: model.apply(params, {}, x, train=False)[0])
    found = apply(fitted.state.params, mirrored)
    expected = np.stack([8 - boxes[:, 2], boxes[:, 1], 8 - boxes[:, 0], boxes[:, 3]], axis=1)
    assert np.abs(found - expected).mean() < 0.35  # had boxes not moved, they would be averages
