"""What becomes of a policy when its cameras fail: the same policy in worlds that differ by what befalls them."""

from collections.abc import Mapping
from dataclasses import replace

from poise.envs import BALLBOT_IDS
from poise.envs.options import CAMERAS
from poise.errors import InvalidValueError
from poise.training.comparison import Contender

_CAMERAS = "env.options.cameras"
_WELL = {f"{_CAMERAS}.faults": "{}", f"{_CAMERAS}.lag": "0"}


def _fault(kind: str, cameras: str, **more: str) -> dict[str, str]:
    """Settings of a fault in all episodes, and of nothing else."""
    settings = {"share": "1", "cameras": f"[{cameras}]"} | more
    return _WELL | {f"{_CAMERAS}.faults.{kind}.{name}": value for name, value in settings.items()}


_BOTH = ", ".join(CAMERAS)
WELL = "all well"
CONDITIONS: Mapping[str, Mapping[str, str]] = {
    WELL: _WELL,
    **{f"{camera} dead": _fault("dropout", camera) for camera in CAMERAS},
    **{f"{camera} fails at 1 to 5 s": _fault("dropout", camera, onset="[1, 5]") for camera in CAMERAS},
    "both dead": _fault("dropout", _BOTH),
    "both hang at 1 to 5 s": _fault("freeze", _BOTH, onset="[1, 5]"),
    "images 0.1 s late": _WELL | {f"{_CAMERAS}.lag": "0.1"},
    "images 0.3 s late": _WELL | {f"{_CAMERAS}.lag": "0.3"},
    "depth noise of 0.02 m": _fault("noise", _BOTH, std="0.02"),
    "depth noise of 0.1 m": _fault("noise", _BOTH, std="0.1"),
}
"""Settings of the environment by what befalls the cameras, whatever befell them in training; the first is nothing."""


def failing(rival: Contender) -> list[Contender]:
    """A policy under each of `CONDITIONS`, named by it, the first with cameras that are well.

    Raises:
        InvalidValueError: it has no cameras that could fail.
    """
    cameras = rival.env_options.get("cameras", {})
    if rival.config.env.id not in BALLBOT_IDS or not rival.has_eyes or cameras.get("enabled") is False:
        raise InvalidValueError(f"'{rival.name}' has no cameras that could fail; --failures is for ballbots that see")
    others = {key: value for key, value in rival.changes.items() if not key.startswith(tuple(_WELL))}
    return [replace(rival, name=name, changes=others | dict(change)) for name, change in CONDITIONS.items()]
