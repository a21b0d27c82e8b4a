"""What becomes of a policy when its cameras fail: the same policy in worlds that differ by what befalls them."""

from collections.abc import Mapping
from dataclasses import replace

from poise.envs import BALLBOT_IDS
from poise.envs.options import CAMERAS
from poise.errors import InvalidValueError
from poise.training.comparison import Contender

_FAULTS = "env.options.cameras.faults"


def _fault(kind: str, cameras: str, **more: str) -> dict[str, str]:
    """Settings of a fault in all episodes."""
    settings = {"share": "1", "cameras": f"[{cameras}]"} | more
    return {f"{_FAULTS}.{kind}.{name}": value for name, value in settings.items()}


_BOTH = ", ".join(CAMERAS)
CONDITIONS: Mapping[str, Mapping[str, str]] = {
    **{f"{camera} dead": _fault("dropout", camera) for camera in CAMERAS},
    **{f"{camera} fails at 1 to 5 s": _fault("dropout", camera, onset="[1, 5]") for camera in CAMERAS},
    "both dead": _fault("dropout", _BOTH),
    "both hang at 1 to 5 s": _fault("freeze", _BOTH, onset="[1, 5]"),
    "images 0.1 s late": {"env.options.cameras.lag": "0.1"},
    "images 0.3 s late": {"env.options.cameras.lag": "0.3"},
    "depth noise of 0.02 m": _fault("noise", _BOTH, std="0.02"),
    "depth noise of 0.1 m": _fault("noise", _BOTH, std="0.1"),
}
"""Settings of the environment by what befalls the cameras."""


def failing(rival: Contender) -> list[Contender]:
    """A policy under each of `CONDITIONS`, named by it.

    Raises:
        InvalidValueError: it has no cameras that could fail.
    """
    cameras = rival.env_options.get("cameras", {})
    if rival.config.env.id not in BALLBOT_IDS or not rival.has_eyes or cameras.get("enabled") is False:
        raise InvalidValueError(f"'{rival.name}' has no cameras that could fail; --failures is for ballbots that see")
    return [replace(rival, name=name, changes={**rival.changes, **change}) for name, change in CONDITIONS.items()]
