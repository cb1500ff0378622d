"""Different optimizers for different parameters, chosen by patterns over their paths."""

from collections.abc import Callable, Hashable

import optax

from dl_jax.paths import Rules, check_pattern, match
from dl_jax.types import Params, Tree


def by_path(rules: Rules[optax.GradientTransformation]) -> optax.GradientTransformation:
    """Update each parameter by the transformation of the first rule that matches its path.

    A group with another learning rate, and one that is frozen:

        by_path([("head/.*", optax.adam(1e-3)), ("embed/.*", frozen()), (".*", optax.adam(1e-4))])

    Frozen parameters have no moments and no weight decay.

    Raises:
        UsageError: a pattern is not a regular expression; at `init`, as `dl_jax.paths.match` does.
    """
    for pattern, _ in rules:
        check_pattern(pattern)
    transformations: dict[Hashable, optax.GradientTransformation] = {
        str(index): transformation for index, (_, transformation) in enumerate(rules)
    }
    numbered = [(pattern, str(index)) for index, (pattern, _) in enumerate(rules)]
    return optax.partition(transformations, lambda params: match(params, numbered))


def frozen() -> optax.GradientTransformation:
    """Updates of zero: the parameters stay as they are."""
    return optax.set_to_zero()


def freeze(pattern: str, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Freeze the parameters whose path `pattern` matches; `optimizer` updates the others."""
    return by_path([(pattern, frozen()), (".*", optimizer)])


def path_mask(pattern: str, *, strict: bool = True) -> Callable[[Params], Tree]:
    """A mask for optax: true at the parameters whose path `pattern` matches.

    Weight decay on kernels alone: `optax.adamw(1e-3, mask=path_mask(".*/kernel"))`.

    Raises:
        UsageError: `pattern` is not a regular expression; at `init`, if `strict` and the pattern
            matches no path.
    """
    check_pattern(pattern)
    rules = [(pattern, True), (".*", False)]
    return lambda params: match(params, rules, strict=strict)
