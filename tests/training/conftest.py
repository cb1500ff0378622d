"""What the tests of training share."""

from collections.abc import Iterator

import pytest

from dl_jax.training import fit
from tests.training.optimization import optimization
from tests.training.tiny import Trained, tiny_config, tiny_data, tiny_learner, tiny_run


@pytest.fixture(autouse=True, scope="package")
def quick_compilation() -> Iterator[None]:
    """A program is as good for these tests, however fast it is."""
    with optimization(enabled=False):
        yield


@pytest.fixture(scope="package")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run of `tiny_learner()` with `tiny_config()`, to be compared with and copied."""
    run = tiny_run(tmp_path_factory.mktemp("one_seed"))
    return Trained(run, fit(tiny_learner(), tiny_data(), tiny_config(), run))


@pytest.fixture(scope="package")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run of `tiny_learner(seeds=2)` with `tiny_config()`, to be compared with."""
    run = tiny_run(tmp_path_factory.mktemp("two_seeds"))
    return Trained(run, fit(tiny_learner(seeds=2), tiny_data(), tiny_config(), run))
