import numpy as np
import pytest
import torch
from gymnasium import spaces

from poise.errors import DivergedError
from poise.policies import ActorCritic, PolicyAgent, PolicyConfig, Sensing


def test_it_takes_the_most_likely_actions() -> None:
    torch.manual_seed(0)
    space = spaces.Dict({"a": spaces.Box(-1.0, 1.0, (3,)), "b": spaces.Box(-1.0, 1.0, (2,))})
    sensing = Sensing(space, None, 4, 1.0)
    policy = ActorCritic(sensing.shapes, spaces.Box(-1.0, 1.0, (2,)), PolicyConfig())
    agent = PolicyAgent(policy, sensing)
    observation = {"a": np.ones((4, 3), np.float32), "b": np.zeros((4, 2), np.float32)}
    actions = agent.act(observation)
    expected = policy.act_inference({name: torch.from_numpy(value) for name, value in observation.items()})
    assert isinstance(actions, np.ndarray)
    np.testing.assert_array_equal(actions, expected.detach().numpy())
    agent.reset(np.array([True, False, False, True]))
    np.testing.assert_array_equal(agent.act(observation), actions)


def test_it_refuses_to_act_without_a_reason() -> None:
    space = spaces.Box(-1.0, 1.0, (3,))
    sensing = Sensing(space, None, 2, 1.0)
    agent = PolicyAgent(ActorCritic(sensing.shapes, spaces.Box(-1.0, 1.0, (2,)), PolicyConfig()), sensing)
    with pytest.raises(DivergedError, match="actions are not finite"):
        agent.act(np.full((2, 3), np.nan, np.float32))  # type: ignore[arg-type]
