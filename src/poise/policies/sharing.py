"""What a critic reads through: networks of its own, the actor's, or none, as `policy.critic_encoders` says."""

from typing import Literal

from poise.errors import InvalidValueError
from poise.policies.config import PolicyConfig

Role = Literal["actor", "critic"]


def takes_part(config: PolicyConfig, role: Role) -> bool:
    """Whether there are networks for a role at all."""
    return role == "actor" or config.critic_encoders != "none"


def has_its_own(config: PolicyConfig, role: Role) -> bool:
    """Whether they are its own; if not, and it takes part, they are the actor's."""
    return role == "actor" or config.critic_encoders == "own"


def are_shared(config: PolicyConfig) -> bool:
    """Whether actor and critic use the same networks."""
    return config.critic_encoders == "shared"


def check_shared(what: str, critics: object, actors: object) -> None:
    """Networks that both use must read the same of both.

    Raises:
        InvalidValueError: they do not.
    """
    if critics != actors:
        raise InvalidValueError(
            f"policy.critic_encoders is 'shared', but {what} is {critics} to the critic and {actors or 'not there'} to "
            "the actor; set it to 'own' or 'none'"
        )
