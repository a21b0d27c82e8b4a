"""Every kind of policy that a configuration can describe, of components that all the tests share."""

from typing import Any

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
    "everything": {
        "adaptor": ADAPTS,
        "estimator": ESTIMATES | {"replace_prob": 0.5},
        "encoders": ENCODERS,
        "critic_encoders": "shared",
    }
    | LSTM,
}
