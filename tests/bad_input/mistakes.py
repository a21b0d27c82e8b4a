"""What the tests of mistakes share."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

SEES = "--env.options.cameras.enabled=true"
CANARY = "canary"
Complaint = Callable[[list[str]], str]


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder; folders count too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def train(*settings: str) -> list[str]:
    """A small training with other settings."""
    return ["train", "tiny.yaml", "--out", "new", *settings]
