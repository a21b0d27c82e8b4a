"""Vector environments as training and evaluation want them: native where there is one, resets within the same step."""

import importlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

import poise.envs  # noqa: F401  (registers the ballbot)
from poise.errors import InvalidValueError, PoiseError, did_you_mean
from poise.perception import FrozenDepthEncoder
from poise.policies import PolicyConfig, Sensing


def make_vector_env(env_id: str, num_envs: int, options: dict[str, Any], threads: int = 0) -> VectorEnv[Any, Any, Any]:
    """`num_envs` environments that reset in the step that ends an episode.

    Args:
        env_id: gymnasium's id; with `module:` before it, that module is imported first, to register it.
        num_envs: how many.
        options: keyword arguments of the environment.
        threads: for environments of poise.

    Raises:
        InvalidValueError: the id is unknown, or the environment refuses its options or lacks something to run.
    """
    env_id = _registered(env_id)
    native = gym.spec(env_id).vector_entry_point
    try:
        if isinstance(native, str) and native.startswith("poise."):
            return gym.make_vec(env_id, num_envs=num_envs, threads=threads, **options)
        same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
        return gym.make_vec(env_id, num_envs=num_envs, vectorization_mode="sync", vector_kwargs=same_step, **options)
    except PoiseError:
        raise
    except TypeError as error:
        raise InvalidValueError(_refused_options(env_id, options, error)) from error
    except (gym.error.Error, ImportError) as error:  # what it needs is not installed, as a rule
        raise InvalidValueError(f"the environment '{env_id}' cannot be made: {error}") from error


def most_side_by_side(env_id: str) -> int:
    """As many environments as an evaluation should make at a time: 100, or what a native one asks for.

    Raises:
        InvalidValueError: the id is unknown.
    """
    native = gym.spec(_registered(env_id)).vector_entry_point
    known = load_env_creator(native) if isinstance(native, str) else native
    return int(getattr(known, "most_side_by_side", 100))


def retire(env: VectorEnv[Any, Any, Any], which: NDArray[np.bool_]) -> None:
    """Nobody watches these (N,) until the next reset: let them stand still, if the environment can."""
    if hasattr(env, "retire"):
        env.retire(which)


def _refused_options(env_id: str, options: Mapping[str, Any], error: TypeError) -> str:
    """What to say of keyword arguments: those that the environment does not have, or else what it says itself."""
    unknown = _unknown_arguments(env_id, options)
    if not unknown:
        said = str(error).partition(" was raised from the environment creator")[0]
        return f"the environment '{env_id}' refuses env.options ({', '.join(options)}): {said}"
    shown = ", ".join(unknown[:6]) + (", …" if len(unknown) > 6 else "")
    return (
        f"the configuration's env.options (or evaluation.options) are no keyword arguments of '{env_id}': {shown}; "
        "remove them there, or leave all out with --env.options {} --evaluation.options {}"
    )


def _unknown_arguments(env_id: str, options: Mapping[str, Any]) -> list[str]:
    """Options that are neither keyword arguments of an environment nor of `gymnasium.make`, as far as can be told."""
    creator = gym.spec(env_id).entry_point
    if creator is None:
        return []
    known = inspect.signature(load_env_creator(creator) if isinstance(creator, str) else creator).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return []
    return [name for name in options if name not in known.keys() | inspect.signature(gym.make).parameters.keys()]


def _registered(env_id: str) -> str:
    """The id without its module, once it is known."""
    if not env_id:
        raise InvalidValueError(
            "no environment is named: set env.id, or take one from another configuration with '--config FILE'"
        )
    module, colon, name = env_id.rpartition(":")
    if colon:
        _import(module, env_id)
    if name not in gym.registry:
        unversioned = re.sub(r"-v\d+$", "", name)  # that both end in -v1 makes no likeness
        raise InvalidValueError(f"unknown environment '{env_id}'{did_you_mean(unversioned, gym.registry)}")
    return name


def _import(module: str, env_id: str) -> None:
    """Import what registers an environment; a module of somebody else's may raise anything."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise InvalidValueError(f"unknown environment '{env_id}': {error}") from error
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
        raise InvalidValueError(f"the module '{module}' of '{env_id}' failed when it was imported: {raised}") from error


def set_reward_weights(env: VectorEnv[Any, Any, Any], weights: Mapping[str, float]) -> None:
    """Change weights of the environment's reward, by name.

    Raises:
        InvalidValueError: the environment has none of that name, or none that can be changed.
    """
    if not weights:
        return
    if not hasattr(env, "set_reward_weights"):
        raise InvalidValueError("reward_weights: this environment's reward has no weights to change; leave them out")
    env.set_reward_weights(weights)


def control_step(env: VectorEnv[Any, Any, Any]) -> float:
    """Time between two observations, s; 1 for environments that do not say."""
    options = getattr(env, "options", None)
    return float(getattr(options, "control_step", 1.0))


def decisions_per_second(env: VectorEnv[Any, Any, Any]) -> float:
    """Of its time, or of its videos' where it does not tell that; 1 if it tells neither."""
    if hasattr(getattr(env, "options", None), "control_step"):
        return 1.0 / control_step(env)
    return float((env.metadata or {}).get("render_fps") or 1.0)


def sensing_for(
    env: VectorEnv[Any, Any, Any],
    policy: PolicyConfig,
    encoder: FrozenDepthEncoder | None,
    names: tuple[str, ...] | None,
    threads: int,
) -> Sensing:
    """What prepares an environment's observations for a policy: components of these names, or all of them.

    Raises:
        InvalidValueError: there is no such component, or no encoder for its images.
    """
    space, segments = env.single_observation_space, policy.obs_segments
    learned = set(policy.encoders)
    if policy.fusion is not None and encoder is None:
        learned |= set(Sensing.component_names(space, segments))
    return Sensing(space, encoder, env.num_envs, control_step(env), names, threads, segments, learned)


def steps_per_action(env: VectorEnv[Any, Any, Any]) -> int:
    """Time steps of the physics for each action; 1 for environments that do not say."""
    return int(getattr(getattr(env, "options", None), "decimation", 1))


def told_of_step(info: Mapping[str, Any], name: str, default: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) what the information says of the step just made; `default` where it does not say.

    Where that step ended an episode gymnasium keeps it in `final_info`, and `info` is of the episode that follows.
    """
    told, final = _told(info, name, default), info.get("final_info", {})
    return np.where(info["_final_info"], _told(final, name, default), told) if name in final else told


def tells(info: Mapping[str, Any], name: str) -> bool:
    """Whether the information says something by that name of the step just made."""
    return name in info or name in info.get("final_info", {})


def _told(info: Mapping[str, Any], name: str, default: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) of information as gymnasium gathers it: who says nothing has no number, or None, and a mask tells of it."""
    if name not in info:
        return np.asarray(default, np.float64)
    values, who = np.asarray(info[name]), info.get(f"_{name}")
    return np.asarray(values if who is None else np.where(who, values, default), np.float64)


_SUCCESS_KEYS = ("success", "is_success")
"""What environments call whether an episode has succeeded: ours, and the family of goal-conditioned ones."""


def _success_key(info: Mapping[str, Any]) -> str | None:
    return next((name for name in _SUCCESS_KEYS if tells(info, name)), None)


def tells_of_success(info: Mapping[str, Any]) -> bool:
    """Whether an environment says of the step just made if the episode succeeded."""
    return _success_key(info) is not None


def successes_of_step(info: Mapping[str, Any], default: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) whether the episodes that the step just made ends have succeeded; `default` if nobody says."""
    name = _success_key(info)
    told = default if name is None else told_of_step(info, name, np.zeros(len(default)))
    return told.astype(np.bool_)


def within_bounds(actions: NDArray[Any], env: VectorEnv[Any, Any, Any]) -> NDArray[Any]:
    """Continuous actions clipped to what the environment accepts."""
    space = env.single_action_space
    low, high = getattr(space, "low", None), getattr(space, "high", None)
    return actions if low is None else np.clip(actions, low, high)
