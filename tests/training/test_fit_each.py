"""Several learners in one run: parts of it, resumed and stopped as one."""

import importlib
import os
import signal
from pathlib import Path

import pytest

from dl_jax.errors import UsageError
from dl_jax.runs import Interrupted, Run, RunOptions, open_run
from dl_jax.training import Fitted, fit_each, metric_curve
from experiments.quickstart import Config
from tests.training.tiny import assert_same_bits, tiny_config, tiny_data, tiny_learner


def opened(tmp_path: Path, *, resume: bool = False, **changes):
    options = RunOptions(out=tmp_path, name="run", resume=resume)
    config = Config(fit=tiny_config(**changes), run=options)
    return open_run("quickstart", config, options), config.fit


def learners():
    return {"With rate 0.01": tiny_learner(seeds=2), "faster": tiny_learner(seeds=2, rate=0.1)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Fitted]]:
    """An undisturbed run of both."""
    run, config = opened(tmp_path_factory.mktemp("whole"))
    return run, fit_each(learners(), tiny_data(), config, run)


def test_each_is_trained_in_a_folder_of_its_own(whole: tuple[Run, dict[str, Fitted]]):
    run, fitted = whole
    assert (run.directory / "with_rate_0.01" / "metrics.jsonl").is_file()
    assert (run.directory / "faster" / "metrics.jsonl").is_file()
    steps, losses = metric_curve(fitted["faster"], "loss", "validation")
    assert steps.tolist() == [8, 16, 24]
    assert losses.shape == (2, 3)


@pytest.mark.parametrize(
    ("chunk", "end_of_it"), [(8, 9), (21, 24)], ids=["in the middle", "in the last chunk"]
)
def test_a_run_stopped_in_one_part_resumes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole, chunk: int, end_of_it: int
):
    """The command that is printed resumes the whole, not the part."""
    module = importlib.import_module("dl_jax.training.session")
    original, begun = module.make_train_chunk, []

    def signalling(*arguments, **options):
        advance = original(*arguments, **options)
        begun.append(1)
        first = len(begun) == 1

        def both(state, start, stop, asked_to_stop):
            if first and start == chunk:
                os.kill(os.getpid(), signal.SIGTERM)
                return advance(state, start, stop, lambda: False)
            return advance(state, start, stop, asked_to_stop)

        return both

    run, config = opened(tmp_path / "stopped")
    with monkeypatch.context() as patch:
        patch.setattr(module, "make_train_chunk", signalling)
        with pytest.raises(Interrupted) as end:
            fit_each(learners(), tiny_data(), config, run)
    assert f"--out {tmp_path / 'stopped'} --name run --resume" in str(end.value)
    assert f"saved at step {end_of_it};" in str(end.value)
    assert len(begun) == 1  # the second did not begin
    again, config = opened(tmp_path / "stopped", resume=True)
    resumed = fit_each(learners(), tiny_data(), config, again)
    for name, undisturbed in whole[1].items():
        assert_same_bits(resumed[name].state, undisturbed.state)


def test_what_is_refused_leaves_no_directory(tmp_path: Path):
    run, config = opened(tmp_path, monitor="acc")
    with pytest.raises(UsageError, match="monitor is 'acc'"):
        fit_each(learners(), tiny_data(), config, run)
    assert not run.directory.exists()
