"""A warning while a policy learns: one modality's features dwarf another's."""

from __future__ import annotations

from poise.fusion.config import ConcatFusionConfig
from poise.fusion.scales import Dwarfed, dwarfed, root_mean_squares
from poise.policies.config import PolicyConfig
from poise.policies.watching import meeting_features
from poise.training.callbacks import Callback, is_due
from poise.training.loop import Loop
from poise.training.runner import Runner

_CHECKS = 20
"""In a whole training; the first is after the first iteration."""


class FeatureScalesCallback(Callback):
    """Logs the root mean square of each modality's features where they meet, and warns once of each that is dwarfed.

    They are of the latest observations of all robots: one more look of the actor, twenty times in a training.
    """

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def on_iteration(self, runner: Loop, before: int) -> None:
        assert isinstance(runner, Runner)  # only what learns by reinforcement is watched
        if before > 0 and not is_due(before, runner.step, -(-runner.config.total_steps // _CHECKS)):
            return
        scales = root_mean_squares(meeting_features(runner.algorithm.policy, runner.collector.observation))
        if len(scales) < 2:
            return
        runner.logger.log(runner.step, {f"features/{name}": scale for name, scale in scales.items()})
        for each in dwarfed(scales):
            if each.small not in self._warned:
                self._warned.add(each.small)
                runner.say(f"warning: at step {runner.step:,} {each}{advice(runner.config.policy, each)}")


def advice(policy: PolicyConfig, found: Dwarfed) -> str:
    """What can be done about it."""
    if found.ratio == float("inf"):
        return ", so it tells the actor nothing"
    if not policy.normalize_observations:
        remedy = "set policy.normalize_observations to true"
    elif policy.fusion is None:
        remedy = "a policy.fusion with a network for each modality brings them to one scale"
    elif isinstance(policy.fusion, ConcatFusionConfig) and not policy.fusion.hidden_sizes:
        remedy = "policy.fusion.hidden_sizes gives each modality a network, which brings them to one scale"
    else:
        remedy = "that is what their networks have made of them; a lower learning rate keeps them closer"
    return f", so '{found.small}' hardly counts; {remedy}"
