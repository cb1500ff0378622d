"""The game of two networks: one step by hand, what it may be told, and that it finds a shape."""

import re
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.learners import (
    GAMES,
    OBJECTIVES,
    GameName,
    adversarial,
    averaged,
    local_mesh,
    over_hyperparameters,
    over_seeds,
    sharded,
)
from dl_jax.models import (
    mlp_critic,
    mlp_generator,
    wgan_critic,
    wgan_generator,
    with_spectral_norm,
)
from tests.learners.problem import close, replica_of

KEY = jax.random.key(5)
SGD = optax.sgd(0.1), optax.sgd(0.2)
ADAM = optax.adam(1e-3), optax.adam(1e-3)
GENERATOR, CRITIC = mlp_generator(2, 3, (6,)), mlp_critic(2, (7,))
RANDOM = np.random.default_rng(0)


def points(size=8, seed=0, streams=()):
    random = np.random.default_rng(seed)
    return {
        "point": random.normal(size=(*streams, size, 2)).astype(np.float32),
        "label": random.integers(0, 3, (*streams, size), np.int32),
        "index": np.broadcast_to(np.arange(size, dtype=np.int32), (*streams, size)),
    }


def game(name="wasserstein", steps=1, optimizers=SGD, generator=GENERATOR, critic=CRITIC, **more):
    options = {"latent_dim": 3, "inputs": "point", **more}
    return adversarial(generator, critic, OBJECTIVES[name], optimizers, steps, **options)


def played(learner, *batches):
    state, step = jax.jit(learner.init)(KEY), jax.jit(learner.train_step)
    metrics = None
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


VALUES = {  # at scores 2 of a real and -1 of a fake example: the discriminator's, the generator's
    "saturating": (np.log1p(np.exp(-2)) + np.log1p(np.exp(-1)), -np.log1p(np.exp(-1))),
    "standard": (np.log1p(np.exp(-2)) + np.log1p(np.exp(-1)), np.log1p(np.exp(1))),
    "least_squares": ((1 + 1) / 2, 4 / 2),
    "wasserstein": (-3, 1),
    "hinge": (0, 1),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_are_those_of_their_papers(name):
    real, fake = jnp.array([2.0]), jnp.array([-1.0])
    objective = OBJECTIVES[name]
    found = objective.discriminator(real, fake)[0], objective.generator(fake)[0]
    np.testing.assert_allclose(found, VALUES[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_networks_descend_on_their_own_loss(name):
    """A discriminator's step lowers its loss and moves it alone; the generator's follows."""
    learner, batch = game(name, optimizers=(optax.sgd(0.0), optax.sgd(1e-2))), points(64)
    state = jax.jit(learner.init)(KEY)
    after, _ = jax.jit(learner.train_step)(state, batch)
    measure = jax.jit(learner.eval_step)
    losses = [measure(each, batch).means()["discriminator_loss"] for each in (state, after)]
    assert losses[1] < losses[0]
    close(after.params["generator"], state.params["generator"])
    still = game(name, optimizers=(optax.sgd(1e-2), optax.sgd(0.0)))
    after, _ = jax.jit(still.train_step)(state, batch)
    losses = [measure(each, batch).means()["generator_loss"] for each in (state, after)]
    assert losses[1] < losses[0]
    close(after.params["discriminator"], state.params["discriminator"])


def test_a_step_of_the_critic_is_that_of_torch():
    """With the penalty, whose gradient is that of a gradient."""
    torch = pytest.importorskip("torch")
    learner, batch = game(penalty=10.0), points()
    state = jax.jit(learner.init)(KEY)
    after, metrics = jax.jit(learner.train_step)(state, batch)
    key = jax.random.split(jax.random.fold_in(state.key, 0), 2)[0]
    noise_key, _, _, share_key = jax.random.split(key, 4)
    noise = jax.random.normal(noise_key, (8, 3))
    share = torch.tensor(np.array(jax.random.uniform(share_key, (8,))))[:, None]
    fake = GENERATOR.apply(state.params["generator"], {}, noise, train=True)[0]
    real, fake = torch.tensor(batch["point"]), torch.tensor(np.array(fake))
    params = jax.tree.map(
        lambda leaf: torch.tensor(np.array(leaf), requires_grad=True), state.params["discriminator"]
    )

    def critic(x):
        x = torch.relu(x @ params["dense1"]["kernel"] + params["dense1"]["bias"])
        return (x @ params["head"]["kernel"] + params["head"]["bias"])[:, 0]

    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
    distance = critic(real).mean() - critic(fake).mean()
    (10 * penalty - distance).backward()
    np.testing.assert_allclose(metrics.means()["penalty"], penalty.item(), rtol=1e-4)
    np.testing.assert_allclose(metrics.means()["distance"], distance.item(), rtol=1e-4, atol=1e-5)
    expected = jax.tree.map(lambda leaf: (leaf - 0.2 * leaf.grad).detach().numpy(), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
                 after.params["discriminator"], expected)  # fmt: skip


def test_the_discriminator_makes_as_many_steps_as_are_asked_for():
    state, metrics = played(game(steps=3, optimizers=ADAM), points(12), points(12, 1))
    counts = {name: int(each[0].count) for name, each in state.opt_state.items()}
    assert counts == {"generator": 2, "discriminator": 6}
    assert int(state.step) == 2
    assert metrics.counts["distance"] == 12
    assert metrics.counts["generator_loss"] == 4


def test_clipped_parameters_stay_within():
    state, _ = played(game(clip=0.05), points(), points(8, 1))
    largest = [
        float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(state.params["discriminator"])
    ]
    assert max(largest) == pytest.approx(0.05)
    assert (
        max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(state.params["generator"])) > 0.1
    )


def test_networks_are_told_classes():
    """Another label is another example, and another score."""
    generator = mlp_generator(2, 3, (6,), num_classes=3)
    learner = game(generator=generator, critic=mlp_critic(2, (7,), num_classes=3), labels="label",
                   penalty=1.0)  # fmt: skip
    state, metrics = played(learner, points(), points(8, 1))
    assert np.isfinite([*metrics.means().values()]).all()
    measure, batch = jax.jit(learner.eval_step), points()
    other = {**batch, "label": (batch["label"] + 1) % 3}
    assert measure(state, batch).means()["distance"] != measure(state, other).means()["distance"]


def test_evaluation_does_not_depend_on_the_batch():
    learner = game(penalty=10.0, optimizers=ADAM)
    state, _ = played(learner, points())
    batch, measure = points(12), jax.jit(learner.eval_step)
    whole = measure(state, batch)
    halves = [measure(state, {n: a[i : i + 6] for n, a in batch.items()}) for i in (0, 6)]
    close(halves[0].merge(halves[1]), whole, 1e-4)
    mask = np.arange(12) < 6
    close(measure(state, {**batch, "mask": mask}), halves[0], 1e-4)


IMAGES = {
    "image": RANDOM.uniform(-1, 1, (2, 8, 8, 8, 1)).astype(np.float32),
    "index": np.tile(np.arange(8, dtype=np.int32), (2, 1)),
}


def of_images(penalty=10.0):
    return adversarial(
        wgan_generator((8, 8, 1), 3, width=4), with_spectral_norm(wgan_critic((8, 8, 1), width=4)),
        OBJECTIVES["wasserstein"], ADAM, latent_dim=3, penalty=penalty,
    )  # fmt: skip


def test_replicas_and_devices_play_as_one_does():
    """Of images, with running statistics, spectral vectors and a penalty that is swept."""
    learner = of_images()
    alone = [played_images(learner, jax.random.fold_in(KEY, i), replica_of(IMAGES, i))
             for i in range(2)]  # fmt: skip
    seeds = over_seeds(learner, 2)
    together = played_images(seeds, KEY, IMAGES)
    for i in range(2):
        close(replica_of(together[0].params, i), alone[i][0].params, 2e-4)
        close(replica_of(together[0].model_state, i), alone[i][0].model_state, 2e-4)
    sweep = over_hyperparameters(of_images, {"penalty": np.array([10.0, 1.0])})
    swept = played_images(sweep, jax.random.fold_in(KEY, 0), replica_of(IMAGES, 0))
    close(replica_of(swept[0].params, 0), alone[0][0].params, 2e-4)
    split = sharded(learner, local_mesh())
    close(played_images(split, jax.random.fold_in(KEY, 0), replica_of(IMAGES, 0))[0].params,
          alone[0][0].params, 2e-4)  # fmt: skip


def played_images(learner, key, batch):
    state = jax.jit(learner.init)(key)
    return jax.jit(learner.train_step)(state, batch)


def test_a_replica_that_diverges_leaves_the_others_alone():
    batch = points(8, streams=(2,))
    bad = jax.tree.map(np.copy, batch)
    bad["point"][1, 0, 0] = np.nan
    learner = over_seeds(game(), 2)
    (fine, _), (broken, _) = played(learner, batch), played(learner, bad)
    close(replica_of(broken.params, 0), replica_of(fine.params, 0))
    assert np.isnan(replica_of(broken.params, 1)["discriminator"]["head"]["kernel"]).all()


def test_the_average_of_the_generator_is_what_is_kept():
    plain, learner = game(optimizers=ADAM), averaged(game(optimizers=ADAM), 0.5)
    state, _ = played(learner, points(), points(8, 1))
    last, _ = played(plain, points(), points(8, 1))
    close(state.opt_state.params, last.params)
    params, _ = learner.weights(state)
    close(params, state.params["generator"])
    assert not np.allclose(params["head"]["kernel"], last.params["generator"]["head"]["kernel"])


def test_of_two_networks_one_may_be_averaged():
    plain = game(optimizers=ADAM, critic=with_spectral_norm(CRITIC))
    batches = points(), points(8, 1)
    state, _ = played(averaged(plain, 0.5, only="generator"), *batches)
    whole, _ = played(averaged(plain, 0.5), *batches)
    last, _ = played(plain, *batches)
    close(state.params["generator"], whole.params["generator"])
    close(state.params["discriminator"], last.params["discriminator"])
    close(state.model_state["discriminator"], last.model_state["discriminator"])


def test_every_game_has_its_name():
    assert get_args(GameName) == tuple(GAMES)


@pytest.mark.parametrize("name", GAMES)
def test_games_bound_the_slope_as_they_say(name):
    learner = GAMES[name].learner(GENERATOR, CRITIC, SGD, latent_dim=3, inputs="point")
    state, metrics = played(learner, points())
    assert ("penalty" in metrics.sums) == (name == "wgan_gp")
    assert ("spectral" in state.model_state["discriminator"]) == (name == "hinge_sn")
    largest = max(abs(leaf).max() for leaf in jax.tree.leaves(state.params["discriminator"]))
    assert (largest <= np.float32(0.01)) == (name == "wgan_clip")


def test_a_start_is_of_both_networks():
    given = {"generator": GENERATOR.init(KEY)[0]}
    state = game().init(jax.random.key(9), (given, {}))
    close(state.params["generator"], given["generator"])
    assert state.params["discriminator"]["head"]["kernel"].any()


def test_a_ring_is_found():
    """Four Gaussians on a ring: samples lie near them, and near each of them."""
    centers = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)
    generator = mlp_generator(2, 3, (48, 48))
    optimizers = tuple(optax.adam(2e-3, b1=0.5, b2=0.9) for _ in range(2))
    learner = averaged(
        game(steps=3, optimizers=optimizers, generator=generator, critic=mlp_critic(2, (48, 48)),
             penalty=1.0), 0.99,
    )  # fmt: skip
    state, step = jax.jit(learner.init)(KEY), jax.jit(learner.train_step)
    random = np.random.default_rng(0)
    for _ in range(600):
        real = centers[random.integers(0, 4, 192)] + random.normal(0, 0.05, (192, 2))
        state, _ = step(state, {"point": real.astype(np.float32)})
    params, model_state = learner.weights(state)
    noise = jax.random.normal(KEY, (1000, 3))
    made = np.asarray(
        mlp_generator(2, 3, (48, 48)).apply(params, model_state, noise, train=False)[0]
    )
    distances = np.linalg.norm(made[:, None] - centers, axis=-1)
    near = distances.min(1) < 0.25
    assert near.mean() > 0.55
    assert np.bincount(distances.argmin(1)[near], minlength=4).min() > 80


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: game(steps=0), "critic_steps is 0"),
        (lambda: game(latent_dim=0), "latent_dim is 0"),
        (lambda: game(penalty=-1.0), "penalty is -1.0"),
        (lambda: game(clip=0.0), "clip is 0.0"),
        (
            lambda: played(game(steps=3), points(8)),
            "a batch of 8 examples cannot be divided among 3 critic steps: make the batch size",
        ),
        (
            lambda: played(game(generator=mlp_generator(3, 3, (4,))), points(8)),
            "the generator made examples of shape (8, 3) for real ones of shape (8, 2)",
        ),
        (
            lambda: played(game(critic=mlp_generator(1, 2, (4,))), points(8)),
            "the discriminator gave scores of shape (16, 1) for 16 examples",
        ),
        (lambda: played(game(inputs="image"), points(8)), "a batch has no inputs 'image'"),
    ],
)
def test_what_cannot_be_played_is_said(run, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        run()
