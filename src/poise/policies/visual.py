"""Actor-critics that see, and those that never explore."""

from torch import Tensor

from poise.errors import InvalidValueError
from poise.fusion import ObsSegments
from poise.fusion.segments import checked
from poise.policies.actor_critic import ActorCritic, Shapes
from poise.policies.encoders import EncoderActorCriticMixin
from poise.policies.look import AnyObservation, Look, TensorObservation
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.sharing import Role


class DeterministicPolicyMixin(ActorCritic):
    """`act` acts by the mean of the distribution, too; what learns still draws from the distribution of `step`."""

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
        if bent:
            raise InvalidValueError(
                f"{type(self).__name__} leaves latents as they are; set policy.encoders.{bent[0]}.linear to true"
            )
        return super().build_transform(segments, role)

    def embed_visual_latent(self, observation: AnyObservation) -> dict[str, Tensor]:
        """An observation with the actor's latents (..., latent) in place of the images."""
        latents = {name: self.get_encoder_latent(observation, name) for name in self._encoded("actor")}
        return dict(self.named(observation)) | latents

    def act_with_embedded_latent(self, observation: TensorObservation) -> Tensor:
        """`act` on what `embed_visual_latent` gave, without encoding anew.

        Raises:
            InvalidValueError: an estimator looks at the images themselves, or a latent is missing.
        """
        images = self._encoded("actor")
        for name in images:
            checked(name, observation, (self.config.encoders[name].latent_size,))
        for config in (self.config.estimator, self.config.adaptor):
            read = [name for name in images if config is not None and name in config.observations]
            if read:
                raise InvalidValueError(f"an estimator looks at '{read[0]}' itself, and not at its latent; use act")
        shapes = self.segments["actor"].shapes
        blank = {
            name: value.new_zeros(*value.shape[:-1], *shapes[name])
            for name, value in observation.items()
            if name in images
        }
        look = self._look(self.prepare({**observation, **blank}), self.hidden_states)
        for name in images:
            look.knows(self._known_as(name, "actor"), observation[name])
        return self._act(look)


class VisualDeterministicAC(DeterministicPolicyMixin, VisualActorCriticMixin, ActorCritic):
    """Sees, and acts by the mean."""


class VisualDeterministicRecurrent(DeterministicPolicyMixin, VisualActorCriticMixin, ActorCriticRecurrent):
    """Sees, remembers, and acts by the mean."""
