"""Games that generators are known for: what is played for, and what bounds the critic's slope."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import optax

from dl_jax.learners.adversarial import adversarial
from dl_jax.learners.adversarial_objectives import OBJECTIVES, AdversarialObjective
from dl_jax.learners.learner import Learner
from dl_jax.models import Model, with_spectral_norm

GameName: TypeAlias = Literal[
    "saturating", "standard", "least_squares", "wgan_clip", "wgan_gp", "hinge_sn"
]  # fmt: skip


class Game(NamedTuple):
    """An objective, and how the slope of the discriminator is bounded.

    Attributes:
        objective: two losses.
        penalty: weight of the gradient penalty; 0 is none.
        clip: largest absolute value of the discriminator's parameters; None is no bound.
        spectral_norm: whether each of its kernels is divided by its largest singular value.
    """

    objective: AdversarialObjective
    penalty: float = 0.0
    clip: float | None = None
    spectral_norm: bool = False

    def critic(self, discriminator: Model) -> Model:
        """The discriminator as it plays: spectrally normalized where the game says so."""
        return with_spectral_norm(discriminator) if self.spectral_norm else discriminator

    def learner(
        self,
        generator: Model,
        discriminator: Model,
        optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation],
        critic_steps: int = 1,
        **options: Any,
    ) -> Learner:
        """The `adversarial` learner of this game, which takes the same arguments."""
        return adversarial(
            generator, self.critic(discriminator), self.objective, optimizers, critic_steps,
            penalty=self.penalty, clip=self.clip, **options,
        )  # fmt: skip


GAMES: Mapping[GameName, Game] = {
    # Goodfellow et al. (2014), arXiv:1406.2661, equation 1.
    "saturating": Game(OBJECTIVES["saturating"]),
    # The same, section 3.
    "standard": Game(OBJECTIVES["standard"]),
    # Mao et al. (2016), arXiv:1611.04076.
    "least_squares": Game(OBJECTIVES["least_squares"]),
    # Arjovsky et al. (2017), arXiv:1701.07875, algorithm 1, which has its own optimizer.
    "wgan_clip": Game(OBJECTIVES["wasserstein"], clip=0.01),
    # Gulrajani et al. (2017), arXiv:1704.00028, algorithm 1.
    "wgan_gp": Game(OBJECTIVES["wasserstein"], penalty=10.0),
    # Miyato et al. (2018), arXiv:1802.05957.
    "hinge_sn": Game(OBJECTIVES["hinge"], spectral_norm=True),
}
"""By name."""
