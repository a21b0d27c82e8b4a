"""Actor-critics that see, and those that never explore."""

from torch import Tensor

from poise.errors import InvalidValueError
from poise.fusion import ObsSegments
from poise.policies.actor_critic import ActorCritic, Role, Shapes
from poise.policies.encoders import EncoderActorCriticMixin
from poise.policies.look import Look, TensorObservation
from poise.policies.recurrent import ActorCriticRecurrent


class DeterministicPolicyMixin(ActorCritic):
    """Acts by the mean of the distribution, also where it would sample."""

    def _act(self, look: Look) -> Tensor:
        super()._act(look)
        return self.action_mean


class VisualActorCriticMixin(EncoderActorCriticMixin):
    """Encodes images to latents without a last nonlinearity, which several policies can share.

    Raises:
        InvalidValueError: an encoder is not `linear`.
    """

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        bent = [name for name, encoder in self.config.encoders.items() if not encoder.linear]
        if bent or not self.config.encoders:
            what = f"policy.encoders.{bent[0]}.linear" if bent else "an encoder in policy.encoders"
            raise InvalidValueError(f"{type(self).__name__} leaves latents as they are; set {what}")
        return super().build_transform(segments, role)

    def embed_visual_latent(self, observation: TensorObservation) -> dict[str, Tensor]:
        """An observation with the actor's latents (..., latent) in place of the images."""
        latents = {name: self.get_encoder_latent(observation, name) for name in self._encoded("actor")}
        return dict(observation) | latents

    def act_with_embedded_latent(self, observation: TensorObservation) -> Tensor:
        """`act` on what `embed_visual_latent` gave, without encoding anew."""
        images = self._encoded("actor")
        shapes = self.segments["actor"].shapes
        blank = {
            name: value.new_zeros(*value.shape[:-1], *shapes[name])
            for name, value in observation.items()
            if name in images
        }
        look = Look({**observation, **blank}, self.hidden_states)
        for name in images:
            look.knows(self._known_as(name, "actor"), observation[name])
        return self._act(look)


class VisualDeterministicAC(DeterministicPolicyMixin, VisualActorCriticMixin, ActorCritic):
    """Sees, and acts by the mean."""


class VisualDeterministicRecurrent(DeterministicPolicyMixin, VisualActorCriticMixin, ActorCriticRecurrent):
    """Sees, remembers, and acts by the mean."""
