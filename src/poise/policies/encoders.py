"""Actor-critics that encode components of what they see before they act on it.

components ──► {velocity, heights, ...} ──► velocity ───────────────────► features
                                       └──► heights ──► encoder ──► latent ──┘ where the heights stood
"""

import math

from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion import ObsSegments
from poise.fusion.segments import AnyComponent
from poise.nn import Conv2dHeadModel, MlpModel, has_channels_last
from poise.nn.frames import encode
from poise.policies.actor_critic import ActorCritic, Components, Shapes
from poise.policies.config import EncoderConfig
from poise.policies.configured import check_networks
from poise.policies.look import AnyObservation, Look
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.sharing import Role, are_shared, check_shared, has_its_own, takes_part


class ComponentEncoder(nn.Module):
    """A component (..., *shape) to a latent (..., latent_size), after a last nonlinearity unless it is to be linear."""

    def __init__(self, name: str, shape: tuple[int, ...], config: EncoderConfig) -> None:
        super().__init__()
        self.shape = shape
        self.output_size = config.latent_size
        self._images = bool(config.channels)
        hidden, output = [*config.hidden_sizes, config.latent_size], None
        if config.linear:
            hidden, output = list(config.hidden_sizes), config.latent_size
        self.model: nn.Module
        if not self._images:
            self.model = MlpModel(math.prod(shape), hidden, output, config.activation)
            return
        if len(shape) not in (2, 3):
            raise InvalidValueError(f"policy.encoders.{name} has channels, but '{name}' of shape {shape} is no image")
        image = shape if len(shape) == 3 else (1, *shape)
        channels_last = has_channels_last(image)
        layers = config.channels, config.kernel_sizes, config.strides
        try:
            self.model = Conv2dHeadModel(
                image, *layers, hidden, output, nonlinearity=config.activation, channels_last=channels_last
            )
        except InvalidValueError as error:
            raise InvalidValueError(f"policy.encoders.{name}: {error}") from None

    def forward(self, component: Tensor) -> Tensor:
        """(..., *shape) to (..., latent_size)."""
        if not self._images:
            component = component.flatten(-len(self.shape)) if self.shape else component[..., None]
        elif len(self.shape) == 2:
            component = component.unsqueeze(-3)
        latent: Tensor = self.model(component)
        return latent


class EncoderActorCriticMixin(ActorCritic):
    """Replaces components by latents of encoders that learn with the policy, as `config.encoders` says.

    The critic's encoders are its own, the actor's ("shared"), or there are none, as `config.critic_encoders` says.
    """

    section = "encoders"

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        if role == "actor":
            self.encoders, self.critic_encoders = nn.ModuleDict(), nn.ModuleDict()
            self._actors_shapes: dict[str, tuple[int, ...]] = {}
            check_networks("encoders", self.config.encoders, self.segments.values())
        shapes = dict(segments.shapes)
        for name in self._encoded(role):
            if role == "actor":
                self._actors_shapes[name] = shapes[name]
            if has_its_own(self.config, role):
                self._encoders_of(role)[name] = ComponentEncoder(name, shapes[name], self.config.encoders[name])
            else:
                check_shared(f"'{name}'", shapes[name], self._actors_shapes.get(name))
            shapes[name] = (self.config.encoders[name].latent_size,)
        return super().build_transform(ObsSegments(shapes), role)

    def transform(self, components: Components, look: Look, role: Role) -> Components:
        latents = {name: self._latent(name, components[name], look, role) for name in self._encoded(role)}
        return super().transform(components | latents, look, role)

    def get_encoder_latent(self, observation: AnyObservation, name: str, critic: bool = False) -> Tensor:
        """(..., latent) of one component of an observation.

        Raises:
            InvalidValueError: it is not encoded.
        """
        role: Role = "critic" if critic else "actor"
        if name not in self._encoded(role):
            raise InvalidValueError(f"the {role} does not encode '{name}'; it does {', '.join(self._encoded(role))}")
        look = self._look(observation, {})
        return self._latent(name, self.normalized(look, role)[name], look, role)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _encoded(self, role: Role) -> list[str]:
        """Components that are encoded."""
        encodes = takes_part(self.config, role)
        return [name for name in self.segments[role].shapes if encodes and name in self.config.encoders]

    def _encoders_of(self, role: Role) -> nn.ModuleDict:
        """That encode for a role."""
        return self.critic_encoders if role == "critic" and has_its_own(self.config, role) else self.encoders

    def _latent(self, name: str, component: AnyComponent, look: Look, role: Role) -> Tensor:
        """A component's latent, worked out once where actor and critic share what they see and the encoder."""
        encoder = self._encoders_of(role)[name]
        return look.once(self._known_as(name, role), lambda: encode(component, encoder))

    def _known_as(self, name: str, role: Role) -> str:
        """What a look calls a component's latent."""
        reader = "both" if are_shared(self.config) and self.reads_alike else role
        return f"latent of {name} for {reader}"

    def critic_modules(self) -> list[nn.Module]:
        return [*super().critic_modules(), self.critic_encoders]


class EncoderActorCritic(EncoderActorCriticMixin, ActorCritic):
    """Encodes some of what it sees."""


class EncoderActorCriticRecurrent(EncoderActorCriticMixin, ActorCriticRecurrent):
    """Encodes some of what it sees, and remembers."""
