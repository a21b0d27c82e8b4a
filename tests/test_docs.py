"""The examples of the guide run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["README.md", "docs/concepts.md", "docs/policies/index.md", "docs/fusion.md"])
def test_python_examples(page: str) -> None:
    run_examples(page, ROOT)


def test_python_examples_that_write(tmp_path: Path) -> None:
    run_examples("docs/imitation.md", tmp_path)


def run_examples(page: str, folder: Path) -> None:
    """All of a page, one after another, in a folder."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert examples
    subprocess.run([sys.executable, "-c", "\n".join(examples)], cwd=folder, check=True)
