"""What a generator and a discriminator play for: two losses of scores, each with its paper."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxtyping import Array, Float

from dl_jax.functional import relu, softplus

Scores = Float[Array, " batch"]
"""What the discriminator says of each example: high is real."""


class AdversarialObjective(NamedTuple):
    """Two losses, one value per example; both networks descend on their own.

    Attributes:
        discriminator: `discriminator(real, fake) -> losses`, of the scores of real examples and of
            as many fake ones.
        generator: `generator(fake) -> losses`.
    """

    discriminator: Callable[[Scores, Scores], Scores]
    generator: Callable[[Scores], Scores]


def classified(real: Scores, fake: Scores) -> Scores:
    """`-log D(real) - log(1 - D(fake))`, where `D` is the sigmoid of a score."""
    return softplus(-real) + softplus(fake)


OBJECTIVES: Mapping[str, AdversarialObjective] = {
    # Goodfellow et al. (2014), arXiv:1406.2661: the game of equation 1, as it is.
    "saturating": AdversarialObjective(classified, lambda fake: -softplus(fake)),
    # The same, section 3: the generator's gradient does not vanish where it is found out.
    "standard": AdversarialObjective(classified, lambda fake: softplus(-fake)),
    # Mao et al. (2016), arXiv:1611.04076, equation 9: real is 1, fake is 0.
    "least_squares": AdversarialObjective(
        lambda real, fake: ((real - 1) ** 2 + fake**2) / 2, lambda fake: (fake - 1) ** 2 / 2
    ),
    # Arjovsky et al. (2017), arXiv:1701.07875, equation 2. The critic's slope must be bounded: by
    # a gradient penalty, by clipped parameters, or by spectral normalization.
    "wasserstein": AdversarialObjective(lambda real, fake: fake - real, lambda fake: -fake),
    # Lim and Ye (2017), arXiv:1705.02894; Miyato et al. (2018), arXiv:1802.05957, equations 16, 17.
    "hinge": AdversarialObjective(
        lambda real, fake: relu(1 - real) + relu(1 + fake), lambda fake: -fake
    ),
}
"""By name."""
