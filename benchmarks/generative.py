"""Generative networks: a game with gradient penalty, and a convolutional autoencoder.

The generator and the critic have 64 channels at their widest image, for 32x32 pixels in color; the
critic's step has 64 real and 64 fake images and the penalty of 64 between them, the generator's 64.
PyTorch's networks are the same, channels last, with its fused Adam, and its critic has no gradient
in the generator's step. Its compiler does not differentiate twice: the penalty is never compiled.
"""

from collections.abc import Callable, Iterator

import optax
import torch
from torch import nn

from benchmarks import ours
from benchmarks.harness import Contender, Workload
from benchmarks.theirs import clear
from dl_jax.learners import GAMES, Learner, over_seeds, reconstructing
from dl_jax.models import autoencoder, wgan_critic, wgan_generator

IMAGES, LATENT, WIDTH, BATCH = (32, 32, 3), 64, 64, 64
PENALTY, RATE, BETAS = 10.0, 1e-4, (0.5, 0.9)
FILTERS, CODE, SLOPE = (32, 64), 64, 0.2


def wgan_gp() -> Iterator[Workload]:
    """WGAN-GP on images of 32x32 pixels: a step of each network, and compilation."""
    batch = ours.examples(BATCH, shape=IMAGES)
    yield Workload(
        "WGAN-GP, a step of the critic and one of the generator",
        [
            ours.stepper("dl_jax", game(1), 1, batches=[batch]),
            *(Game(compiled).stepper() for compiled in (False, True)),
        ],
        ours.flops(game(1), batch),
        target=1.1,
    )
    for what, other, bound in (
        ("five critic steps", lambda: game(5), 5.0),
        ("four seeds", lambda: over_seeds(game(1), 4), 2.0),
    ):
        learner = other()
        larger = ours.examples(5 * BATCH if "five" in what else BATCH, learner.streams, IMAGES)
        yield Workload(
            f"WGAN-GP, compilation of {what}",
            [
                ours.compilation("one", lambda: game(1), batch, ours=False),
                ours.compilation(what, other, larger, ours=True),
            ],
            reads=f"{what} / one",
            most=bound,
        )


def autoencoders() -> Iterator[Workload]:
    """A convolutional autoencoder of MNIST's images."""
    model = autoencoder(ours.GRAY, FILTERS, CODE, convolutional=True)
    learner = reconstructing(model, optax.adam(1e-3))
    batch = ours.examples(ours.BATCH)
    yield Workload(
        "convolutional autoencoder, 3 steps",
        [
            ours.stepper("dl_jax", learner, 3, batches=[batch]),
            *(autoencoder_steps(3, compiled) for compiled in (False, True)),
        ],
        3 * ours.flops(learner, batch),
        target=1.0,
    )


def game(critic_steps: int) -> Learner:
    """Ours."""
    adam = optax.adam(RATE, *BETAS)
    return GAMES["wgan_gp"].learner(
        wgan_generator(IMAGES, LATENT, width=WIDTH), wgan_critic(IMAGES, width=WIDTH),
        (adam, adam), critic_steps, latent_dim=LATENT,
    )  # fmt: skip


# PyTorch's side.


def generator_module() -> nn.Module:
    """4 pixels, doubled three times."""
    widest = 4 * WIDTH
    layers: list[nn.Module] = [
        nn.Linear(LATENT, 16 * widest, bias=False), nn.Unflatten(1, (widest, 4, 4)),
        nn.BatchNorm2d(widest), nn.ReLU(),
    ]  # fmt: skip
    for channels in (widest, widest // 2):
        layers += [
            nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels // 2), nn.ReLU(),
        ]  # fmt: skip
    layers += [nn.ConvTranspose2d(WIDTH, IMAGES[-1], 4, 2, 1), nn.Tanh()]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def critic_module() -> nn.Module:
    """Halved three times."""
    layers: list[nn.Module] = []
    channels = IMAGES[-1]
    for filters in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        layers += [nn.Conv2d(channels, filters, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        channels = filters
    layers += [nn.Flatten(), nn.Linear(16 * channels, 1), nn.Flatten(0)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def image_tensor(count: int, shape: ours.Shape) -> torch.Tensor:
    """The images that dl_jax is given, channels last in memory."""
    images = torch.from_numpy(ours.examples(count, shape=shape)["image"]).movedim(-1, 1)
    return images.contiguous(memory_format=torch.channels_last)


class Game:
    """The same game in PyTorch."""

    def __init__(self, compiled: bool) -> None:
        torch.manual_seed(0)
        self.name = "torch, compiled but for the penalty" if compiled else "torch"
        self.generator, self.critic = generator_module(), critic_module()
        self.make: Callable[[torch.Tensor], torch.Tensor] = self.generator
        self.judge: Callable[[torch.Tensor], torch.Tensor] = self.critic
        if compiled:
            self.make, self.judge = torch.compile(self.generator), torch.compile(self.critic)
        self.real = image_tensor(BATCH, IMAGES)
        networks = self.generator, self.critic
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, fused=True)
            for network in networks
        ]
        self.parameters = [p for network in networks for p in network.parameters()]
        self.initial = [p.detach().clone() for p in self.parameters]

    def step(self) -> None:
        """One of the critic, one of the generator."""
        of_generator, of_critic = self.optimizers
        with torch.no_grad():
            fake = self.make(torch.randn(BATCH, LATENT))
        share = torch.rand(BATCH, 1, 1, 1)
        between = (share * self.real + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        of_real, of_fake = self.judge(torch.cat([self.real, fake])).chunk(2)
        of_critic.zero_grad()
        (of_fake.mean() - of_real.mean() + PENALTY * penalty).backward()
        of_critic.step()
        of_generator.zero_grad()
        self.critic.requires_grad_(False)
        (-self.judge(self.make(torch.randn(BATCH, LATENT))).mean()).backward()
        self.critic.requires_grad_(True)
        of_generator.step()

    def stepper(self) -> Contender:
        """To be measured."""
        return Contender(self.name, False, self.step, self.reset)

    def reset(self) -> None:
        """Fresh parameters and moments, in place."""
        with torch.no_grad():
            for parameter, first in zip(self.parameters, self.initial, strict=True):
                parameter.copy_(first)
        for optimizer in self.optimizers:
            clear(optimizer)


def autoencoder_module() -> nn.Module:
    """28 pixels, halved twice, to a code and back."""
    one, two = FILTERS
    return nn.Sequential(
        nn.Conv2d(1, one, 4, 2, 1), nn.ReLU(), nn.Conv2d(one, two, 4, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(49 * two, CODE), nn.Linear(CODE, 49 * two), nn.ReLU(),
        nn.Unflatten(1, (two, 7, 7)),
        nn.ConvTranspose2d(two, one, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(one, 1, 4, 2, 1),
    ).to(memory_format=torch.channels_last)  # fmt: skip


def autoencoder_steps(calls: int, compiled: bool) -> Contender:
    """Training steps of the autoencoder."""
    torch.manual_seed(0)
    module, images = autoencoder_module(), image_tensor(ours.BATCH, ours.GRAY)
    call = torch.compile(module) if compiled else module
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    initial = [parameter.detach().clone() for parameter in module.parameters()]

    def run() -> None:
        for _ in range(calls):
            optimizer.zero_grad()
            nn.functional.mse_loss(call(images), images).backward()
            optimizer.step()

    def reset() -> None:
        with torch.no_grad():
            for parameter, first in zip(module.parameters(), initial, strict=True):
                parameter.copy_(first)
        clear(optimizer)

    return Contender("torch, compiled" if compiled else "torch", False, run, reset)
