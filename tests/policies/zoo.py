"""Every kind of policy that a configuration can describe, of components that all the tests share, and what holds."""

from typing import Any

import torch
from torch.testing import assert_close

from poise.algorithms import PPO
from poise.algorithms.ppo import COLUMNS
from poise.storage import Minibatch, Rollout

SHAPES = {"position": (2,), "speed": (), "heights": (3, 4), "wind": (2,)}
SMALL = {"hidden_sizes": [16]}
LSTM = {"memory": {"hidden_size": 8, "num_layers": 2}}
CHANGES = {"memory": {"hidden_size": 8, "changes": True}}
GRU = {"memory": {"type": "gru", "hidden_size": 8}}
ENCODERS = {
    "heights": {"latent_size": 4, "channels": [3], "kernel_sizes": [2], "strides": [1], "hidden_sizes": [6]},
    "wind": {"latent_size": 3, "hidden_sizes": [5]},
}
ESTIMATES = {"observations": ["position", "heights"], "targets": ["speed", "wind"], "hidden_sizes": [7]}
ADAPTS = {"observations": ["speed"], "targets": ["heights"], "hidden_sizes": [7], "replace_prob": 0.3}
APART = {"observations": ["position", "heights"], "critic_observations": ["wind", "heights", "speed"]}
STYLE = {"observations": ["position", "speed"], "hidden_sizes": [9]}
FUSES = {"modalities": {"body": ["position", "speed"], "ground": ["heights"], "air": ["wind"]}}
ATTENDS = FUSES | {"width": 8, "num_heads": 2}
WITHHOLDS = {"dropout": {"prob": 0.4, "spare": ["body"]}}
ZOO: dict[str, dict[str, Any]] = {
    "plain": {},
    "lstm": LSTM,
    "gru": GRU,
    "critic sees otherwise": APART | LSTM,
    "memory of changes": CHANGES,
    "memory of changes, critic sees otherwise": APART | CHANGES,
    "memory of changes, encoders": {"encoders": ENCODERS} | CHANGES,
    "encoders": {"encoders": ENCODERS},
    "shared encoders": {"encoders": ENCODERS, "critic_encoders": "shared"} | GRU,
    "encoders of the actor": {"encoders": ENCODERS, "critic_encoders": "none"} | LSTM,
    "shared encoders, critic sees otherwise": {"encoders": {"heights": ENCODERS["heights"]}, **APART}
    | {"critic_encoders": "shared"},
    "estimator": {"estimator": ESTIMATES},
    "estimator that replaces": {"estimator": ESTIMATES | {"replace_prob": 1.0}},
    "estimator that replaces some": {"estimator": ESTIMATES | {"replace_prob": 0.5}},
    "estimator with memory that replaces some": {"estimator": ESTIMATES | {"replace_prob": 0.5}} | LSTM,
    "estimator on the actor's memory": {"estimator": ESTIMATES | {"observations": [], "use_actor_rnn": True}} | GRU,
    "estimator with memory of changes": {"estimator": ESTIMATES | {"replace_prob": 1.0}} | CHANGES,
    "estimator on the actor's memory of changes": {"estimator": ESTIMATES | {"observations": [], "use_actor_rnn": True}}
    | CHANGES,
    "adaptor": {"adaptor": ADAPTS},
    "motion prior": {"amp_discriminator": STYLE},
    "motion prior, encoders and memory": {"amp_discriminator": STYLE, "encoders": ENCODERS} | LSTM,
    "concatenation": {"fusion": FUSES | {"name": "concat", "hidden_sizes": [5]}},
    "early fusion": {"fusion": FUSES | {"name": "early", "hidden_sizes": [9, 7]}},
    "weighted sum, memory": {"fusion": FUSES | WITHHOLDS | {"name": "weighted_sum", "width": 6}} | GRU,
    "shared encoder": {"fusion": FUSES | {"name": "shared_encoder", "width": 6, "head_size": 4, "missing": "zeros"}},
    "cross attention, withheld": {"fusion": ATTENDS | WITHHOLDS | {"name": "cross_attention"}},
    "hierarchical attention": {"fusion": ATTENDS | {"name": "hierarchical_attention"}, "critic_encoders": "shared"},
    "transformer, withheld, memory": {"fusion": ATTENDS | WITHHOLDS | {"name": "transformer", "pooling": "attention"}}
    | LSTM,
    "transformer, withheld from the actor, shared": {
        "fusion": ATTENDS | WITHHOLDS | {"name": "transformer"},
        "critic_encoders": "shared",
    },
    "vision, language and action, withheld": {
        "fusion": ATTENDS
        | {"name": "vision_language_action", "language": "air", "dropout": {"prob": 0.4, "spare": ["air", "body"]}}
    },
    "vision, language and action, memory, critic without": {
        "fusion": ATTENDS | {"name": "vision_language_action", "language": "air"},
        "critic_observations": ["position", "speed", "heights"],
        "critic_encoders": "none",
    }
    | LSTM,
    "shared encoders, estimates for the actor": {"encoders": ENCODERS, "critic_encoders": "shared"}
    | {"estimator": ESTIMATES | {"replace_prob": 1.0}},
    "transformer of codes, critic sees otherwise": {
        "fusion": ATTENDS | WITHHOLDS | {"name": "transformer", "modalities": {"body": ["position"], "h": ["heights"]}},
        "encoders": {"heights": ENCODERS["heights"]},
    }
    | APART,
    "fusion of the actor, estimates": {"fusion": ATTENDS | {"name": "cross_attention"}, "critic_encoders": "none"}
    | {"estimator": ESTIMATES | {"replace_prob": 0.5}},
    "memories of components": {"memories": {"heights": GRU["memory"], "speed": {"hidden_size": 3}}},
    "memories of latents, shared": {"memories": {"heights": GRU["memory"]}, "encoders": ENCODERS}
    | {"critic_encoders": "shared"},
    "memories of the actor, fused, and a memory": {"memories": {"heights": GRU["memory"]}, "critic_encoders": "none"}
    | {"fusion": FUSES | WITHHOLDS | {"name": "weighted_sum", "width": 6}}
    | LSTM,
    "everything": {
        "adaptor": ADAPTS,
        "estimator": ESTIMATES | {"replace_prob": 0.5},
        "encoders": ENCODERS,
        "critic_encoders": "shared",
    }
    | LSTM,
    "everything, fused": {
        "adaptor": ADAPTS,
        "estimator": ESTIMATES | {"replace_prob": 0.5},
        "encoders": ENCODERS,
        "fusion": ATTENDS | WITHHOLDS | {"name": "transformer"},
        "amp_discriminator": STYLE,
    }
    | GRU,
}


def assert_judged_as_at_the_time(ppo: PPO, rollout: Rollout) -> None:
    """A ratio of one in the first minibatches, and the values that were."""
    with torch.no_grad():
        for batch in minibatches(ppo, rollout, count=3):
            log_probs, _, values = ppo.policy.evaluate_actions(batch.observations, batch.actions, batch.sequences)
            ratio = torch.exp(log_probs - batch.log_probs)
            assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)
            assert_close(ppo.policy.value_scale.denormalize(values), batch.values, atol=1e-4, rtol=1e-4)


def minibatches(ppo: PPO, rollout: Rollout, count: int) -> list[Minibatch]:
    """Of a rollout, with returns that mean nothing."""
    shape = rollout.num_steps, rollout.num_envs
    rollout.fill(advantages=torch.randn(shape), returns=torch.randn(shape))
    return list(rollout.minibatches(COLUMNS, count, 1, sequences=ppo.policy.is_recurrent))
