"""Evaluate a policy while looking inside, and again with each of its modalities silenced."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from poise.config import load_yaml, parse
from poise.envs import BALLBOT_IDS, BallbotOptions
from poise.errors import InvalidValueError, did_you_mean
from poise.fusion.modalities import ImageTokens
from poise.fusion.scales import dwarfed
from poise.inspection.findings import Findings, Sensed, gradient_shares, silence, statistics
from poise.inspection.groups import BY, By, Group, Groups, groups_of, together
from poise.inspection.reconstruction import redraw
from poise.inspection.recording import Record, RecordingAgent
from poise.inspection.silencing import Instead, Silenced, training_means, withholds
from poise.perception import load_decoder
from poise.policies import ActorCritic, Agent, PolicyAgent
from poise.policies.baselines import BASELINES
from poise.policies.fusing import FusionMixin
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env
from poise.training.evaluation import Evaluation, evaluate
from poise.training.progress import ProgressBar
from poise.training.trained import ENCODER, TrainedPolicy

_PARALLEL = 100
"""Episodes side by side."""


class Plan(NamedTuple):
    """A silencing that is to be measured."""

    name: str
    instead: Instead
    group: Group
    withheld: tuple[str, ...] = ()


def check_inspectable(path: Path) -> None:
    """Refuse, by what it is, what is no trained policy.

    Raises:
        InvalidValueError: it is a controller, or a configuration.
    """
    if str(path) in BASELINES and not path.exists():
        raise InvalidValueError(f"'{path}' is a controller; there is nothing to look into but a trained policy")
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        mutex = parse(RunConfig, load_yaml(path), str(path)).policy.mutex
        if mutex is not None:
            places = ", ".join(mutex.sub_policies.values())
            raise InvalidValueError(f"{path} puts finished policies together; look into one of them: {places}")
        raise InvalidValueError(
            f"{path} is a configuration and not a trained policy; name a run, such as models/ballbot"
        )


def inspect_policy(
    trained: TrainedPolicy, options: dict[str, Any], episodes: int = 20, seed: int = 0, by: By | None = None
) -> Findings:
    """Look inside a policy over the episodes of the seeds `seed ... seed + episodes - 1`, under a progress bar.

    Args:
        trained: the policy.
        options: of its environment.
        episodes: of each evaluation.
        seed: of the first.
        by: what is told apart; by default what says most, see `groups_of`.

    Raises:
        InvalidValueError: the policy does not fit the environment.
    """
    if by is not None and by not in BY:
        raise InvalidValueError(f"cannot tell apart by '{by}'{did_you_mean(by, BY)}; expected one of {', '.join(BY)}")
    bench = _Bench(trained, options, episodes, seed)
    policy, step_seconds = bench.policy_and_step()
    groups, record = groups_of(policy, by), Record()
    plans = list(plan(policy, groups, episodes))

    def recording(env: VectorEnv[Any, Any, Any]) -> Agent:
        shows, stack = not record.moments, _stack(trained, options)
        return RecordingAgent(trained.agent_for(env), env, groups.apart, record, shows, stack)

    with ProgressBar(episodes * (1 + len(plans)), "inspect", unit="episodes") as bar:
        intact = bench.evaluate(recording, bar)
        means = _means(policy, record)
        silences = []
        for each in plans:
            agent_for = partial(_silenced_agent, trained, each, means)
            silences.append(silence(each.name, each.instead, intact, bench.evaluate(agent_for, bar)))
    features = statistics(record, groups)
    attended = record.mean_attention()
    return Findings(
        groups=groups,
        intact=intact,
        silences=silences,
        sensed=_sensed(policy, record),
        features=features,
        dwarfed=dwarfed({name: each.rms for name, each in features.items()}) if groups.by == "modality" else [],
        gradient=gradient_shares(record, groups),
        attention={name: float(values.sum()) for name, values in attended.items()},
        tokens={name: values.tolist() for name, values in attended.items()},
        reconstructions=redraw(record, _decoders(trained, policy, record)),
        record=record,
        step_seconds=step_seconds,
        fusion=None if policy.config.fusion is None else policy.config.fusion.name,
        grids=_grids(policy),
        constants=list(_constants(policy, record)),
    )


def plan(policy: ActorCritic, groups: Groups, episodes: int) -> Iterator[Plan]:
    """What is to be silenced, and what the policy is to be told in its place."""
    chosen: dict[str, tuple[Group, tuple[str, ...]]]
    chosen = {name: (group, (name,)) for name, group in groups.members.items() if group.components}
    if len(groups.cameras) > 1:
        chosen[" + ".join(groups.cameras)] = together([groups.members[name] for name in groups.cameras]), groups.cameras
    for name, (group, withheld) in chosen.items():
        yield Plan(name, "mean", group)
        if episodes > 1:
            yield Plan(name, "another's", group)
        if groups.by == "modality" and all(withholds(policy, each) for each in withheld):
            yield Plan(name, "withheld", group, withheld)


class _Bench:
    """The same episodes for whoever is put in charge."""

    def __init__(self, trained: TrainedPolicy, options: dict[str, Any], episodes: int, seed: int) -> None:
        self._trained, self._options, self._episodes, self._seed = trained, options, episodes, seed
        self._done = 0

    def policy_and_step(self) -> tuple[ActorCritic, float | None]:
        """The policy, and the time between its decisions, s, if the environment says it."""
        env = self._make(1)
        try:
            policy: ActorCritic = self._trained.agent_for(env).policy  # type: ignore[assignment]
            return policy, getattr(getattr(env, "options", None), "control_step", None)
        finally:
            env.close()

    def evaluate(self, agent_for: Callable[[VectorEnv[Any, Any, Any]], Agent], bar: ProgressBar) -> Evaluation:
        """In parts of nearly equal size: no robot is left alone, with nobody whose senses it could be told."""
        torch.manual_seed(self._seed)
        parallel, before = -(-self._episodes // -(-self._episodes // _PARALLEL)), self._done
        result = evaluate(
            agent_for, self._make, self._episodes, self._seed, parallel, lambda done: bar.update(before + done)
        )
        self._done += self._episodes
        return result

    def _make(self, count: int) -> VectorEnv[Any, Any, Any]:
        return make_vector_env(self._trained.config.env.id, count, self._options, self._trained.config.threads)


def _silenced_agent(
    trained: TrainedPolicy, planned: Plan, means: dict[str, Tensor], env: VectorEnv[Any, Any, Any]
) -> PolicyAgent:
    agent = trained.agent_for(env)
    policy: ActorCritic = agent.policy  # type: ignore[assignment]
    silent = Silenced(policy, planned.group, planned.instead, means, planned.withheld)
    return PolicyAgent(silent, agent.sensing)


def _means(policy: ActorCritic, record: Record) -> dict[str, Tensor]:
    """{component: (*shape)}: of the training where they are known, and of the evaluation elsewhere."""
    shapes = policy.segments["actor"].shapes
    here = {
        name: torch.from_numpy(moments.mean.astype(np.float32)).view(shapes[name])
        for name, moments in record.sensed.items()
        if name in shapes
    }
    return here | training_means(policy)


def _sensed(policy: ActorCritic, record: Record) -> dict[str, Sensed]:
    normalizer, segments = policy.extractor.normalizer, policy.segments["actor"]
    result = {}
    for name in segments.shapes:
        if name not in record.sensed:  # estimates stand for it
            continue
        moments, shift = record.sensed[name], None
        if normalizer is not None:
            part = segments.slice(name)
            mean, scale = normalizer.mean[part].numpy(), normalizer.std[part].numpy() + normalizer.eps
            shift = float(np.sqrt(np.mean(((moments.mean - mean) / scale) ** 2)))
        overall = float(moments.mean.mean())
        result[name] = Sensed(
            len(moments.mean),
            overall,
            float(np.sqrt(max(moments.square.mean() - overall**2, 0.0))),
            float(moments.lowest.min()),
            float(moments.highest.max()),
            float(moments.at_limit.mean()),
            shift,
        )
    return result


def _decoders(trained: TrainedPolicy, policy: ActorCritic, record: Record) -> dict[str, Callable[[Tensor], Tensor]]:
    """Of the cameras that the frozen encoder encodes, where the decoder was kept with it."""
    encoder = trained.seeing
    decoder = None if encoder is None else load_decoder(trained.run / ENCODER)
    if encoder is None or decoder is None or not record.shown.items:
        return {}
    shapes, latent = policy.segments["actor"].shapes, encoder.spec.latent
    cameras = [name for name in record.shown.items[0].pictures if len(shapes[name]) == 1]
    return dict.fromkeys(cameras, lambda codes: decoder(codes[:, :latent]))  # of a stack, the latest comes first


def _stack(trained: TrainedPolicy, options: dict[str, Any]) -> int:
    """Images that a camera shows at a time."""
    return parse(BallbotOptions, options).cameras.stack if trained.config.env.id in BALLBOT_IDS else 1


def _grids(policy: ActorCritic) -> dict[str, tuple[int, int]]:
    """{modality: (rows, columns)} of images whose places are tokens of their own."""
    if not isinstance(policy, FusionMixin):
        return {}
    encoders = policy.fusion.modalities.encoders.items()
    return {name: each.grid for name, each in encoders if isinstance(each, ImageTokens) and each.spatial}


def _constants(policy: ActorCritic, record: Record) -> Iterator[str]:
    """Numbers that never changed, of vectors one by one."""
    for name in policy.segments["actor"].shapes:
        if name in record.sensed:
            constant = record.sensed[name].constant
            if constant.all():
                yield name
            else:
                yield from (f"{name}[{i}]" for i in np.flatnonzero(constant))
