"""What a policy's class has to do with its configuration."""

from collections.abc import Iterable, Mapping

from torch import nn

from poise.errors import InvalidValueError, did_you_mean
from poise.fusion import ObsSegments
from poise.nn.settings import can_name_network
from poise.policies.config import MemoryConfig, PolicyConfig
from poise.policies.look import AnyObservation, TensorObservation, as_tensor, tensors

SECTIONS = ("memory", "encoders", "memories", "fusion", "estimator", "adaptor", "amp_discriminator")
"""Of the configuration, each of which is for a class or a mixin."""


class Configured(nn.Module):
    """A policy that does what its configuration says, no less and no more.

    Raises:
        InvalidValueError: the configuration asks for what the class does not do, or not for what it does.
    """

    section: str | None = None
    """What a class or a mixin does of `SECTIONS`."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self._vector = None if config.obs_segments is None else ObsSegments(config.obs_segments)
        does = {base.__dict__["section"] for base in type(self).__mro__ if base.__dict__.get("section")}
        name = type(self).__name__
        for section in SECTIONS:
            asked = bool(getattr(config, section))
            if asked and section not in does:
                raise InvalidValueError(
                    f"{name} does nothing with policy.{section}; build_policy makes a class that does"
                )
            if not asked and section in does and section != "memory":
                raise InvalidValueError(f"{name} needs policy.{section}")

    @property
    def memory_config(self) -> MemoryConfig | None:
        """What it remembers with; None without memory."""
        return None

    def named(self, observation: AnyObservation) -> TensorObservation:
        """An observation's components by name, as tensors; of a vector, those that `config.obs_segments` names.

        Raises:
            InvalidValueError: it is a vector, and nothing names its numbers, or those of another length.
        """
        if isinstance(observation, Mapping):
            return tensors(observation)
        observation = as_tensor(observation)
        if self._vector is None:
            raise InvalidValueError(
                f"the observation is a vector of {observation.shape[-1]} numbers; name them in policy.obs_segments"
            )
        return self._vector.split(observation)


def check_networks(section: str, names: Iterable[str], seen: Iterable[ObsSegments]) -> None:
    """Refuse networks of single components, by their names, for what nobody sees.

    Raises:
        InvalidValueError: there is one.
    """
    known = {name: None for segments in seen for name in segments.shapes}
    for name in names:
        if name not in known:
            raise InvalidValueError(
                f"policy.{section} has one for '{name}'{did_you_mean(name, known)}; the policy sees {', '.join(known)}"
            )
        if not can_name_network(name):
            raise InvalidValueError(
                f"policy.{section}: torch can keep no network called '{name}'; rename the component"
            )
