"""The README's code runs, and its table says what the result files say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from results.__main__ import ROOT, rows, with_table

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["experiment", "flax", "transformations"])
def test_the_code_runs(tmp_path: Path, block: str):
    script = tmp_path / "script.py"
    script.write_text(block)
    options = ["--steps", "3", "--out", str(tmp_path)] if "launch" in block else []
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    result = subprocess.run(
        [sys.executable, str(script), *options],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_the_table_is_made_from_the_results():
    assert with_table(README, rows(ROOT / "results")) == README


def test_results_name_no_place_of_a_machine():
    for path in (ROOT / "results").glob("*.json"):
        assert not re.search(r'"/|--out|--data-dir|--name', path.read_text()), path
