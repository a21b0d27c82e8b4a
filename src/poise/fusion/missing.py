"""Which modalities give nothing, as the environment tells of its cameras."""

from collections.abc import Mapping

import torch
from torch import Tensor

from poise.envs.options import CAMERAS
from poise.envs.vision import MISSING_CAMERAS
from poise.errors import InvalidValueError
from poise.fusion.segments import ObsSegments


def told_missing(observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{camera: (...,) bool} in which samples it gives nothing, if the environment tells; else {}.

    Raises:
        InvalidValueError: it tells of more cameras than there are, or of fewer.
    """
    if MISSING_CAMERAS not in observation:
        return {}
    told = observation[MISSING_CAMERAS]
    if told.shape[-1:] != (len(CAMERAS),):
        raise InvalidValueError(
            f"'{MISSING_CAMERAS}' must be of shape (..., {len(CAMERAS)}), for {', '.join(CAMERAS)}, "
            f"got {tuple(told.shape)}"
        )
    return dict(zip(CAMERAS, told.bool().unbind(-1), strict=True))


def missing_modalities(observation: Mapping[str, Tensor], groups: Mapping[str, ObsSegments]) -> Tensor | None:
    """(..., M) bool which modalities give nothing, those of missing cameras alone; None if nobody tells."""
    missing = told_missing(observation)
    if not missing:
        return None
    well = torch.zeros_like(next(iter(missing.values())))
    gone = [torch.stack([missing.get(name, well) for name in group.shapes]).all(dim=0) for group in groups.values()]
    return torch.stack(gone, dim=-1)
