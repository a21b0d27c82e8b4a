"""Robots that are told what to do, with a stand-in for the text encoder: meaning is not what is tested here."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from poise.envs import BallbotEnv, BallbotOptions, BallbotVectorEnv
from poise.errors import InvalidValueError
from poise.language import COMMANDS, EMBEDDING_SIZE, Command, encoder, meaning, reading, sentences

MakeRobots = Callable[..., BallbotVectorEnv]
MakeRobot = Callable[..., BallbotEnv]
TOLD = {"instruction": {"enabled": True, "command": True}, "frame": "heading", "terrain": {"kind": "flat", "nodes": 5}}


class StandIn:
    """Numbers that depend on the sentence alone."""

    def encode(self, texts: Iterable[str]) -> Any:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
        return np.stack([np.random.default_rng(seed).standard_normal(EMBEDDING_SIZE) for seed in seeds]) / 512**0.5


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def forget() -> None:
        encoder.embeddings.cache_clear()
        reading._line.cache_clear()

    forget()
    monkeypatch.setattr(encoder, "_encoder", StandIn)
    yield
    forget()


def test_what_is_sensed_is_what_is_told(make_robots: MakeRobots) -> None:
    env = make_robots(20, **TOLD, start={"yaw": 180.0})
    seen, _ = env.reset(seed=3)
    commands = [meaning(text) for text in env.instructions()]
    assert all(command is not None for command in commands)
    assert set(env.instructions()) <= {text for told in sentences("train").values() for text in told}
    np.testing.assert_allclose(seen["instruction"], encoder.embed(env.instructions()), rtol=1e-6)
    asked = np.array([np.multiply(command.speed, command.heading) for command in commands if command])
    north, east = seen["compass"], np.stack([seen["compass"][:, 1], -seen["compass"][:, 0]], axis=1)
    np.testing.assert_allclose(np.linalg.norm(north, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(seen["command"], asked[:, :1] * east + asked[:, 1:] * north, atol=1e-6)
    assert env.single_observation_space.contains({name: value[0] for name, value in seen.items()})
    *_, info = env.step(np.zeros((20, 3)))
    np.testing.assert_allclose(info["command"], asked, atol=1e-12)


def test_north_is_along_y_whichever_way_it_faces(make_robot: MakeRobot) -> None:
    env = make_robot(**TOLD)
    seen, _ = env.reset(seed=0)
    np.testing.assert_allclose(seen["compass"], [0.0, 1.0], atol=1e-6)  # it faces east
    assert "compass" not in make_robot(**TOLD | {"frame": "world"}).observation_space.spaces  # which tells by itself


@pytest.mark.parametrize(
    ("text", "command"),
    [("Go north quickly", (0.0, 0.3)), ("go southwest slowly", (-0.1 / 2**0.5, -0.1 / 2**0.5)), ("stop", (0.0, 0.0))],
)
def test_the_reward_follows_by_hand(make_robot: MakeRobot, text: str, command: tuple[float, float]) -> None:
    env = make_robot(**TOLD | {"instruction": {"enabled": True, "text": text}}, start={"speed": 0.5})
    env.reset(seed=1)
    assert env.instruction() == text
    base = env.task.simulation.base_qpos
    before = env.task.simulation.qpos[0, base : base + 2].copy()
    *_, info = env.step(np.zeros(3))
    velocity = (env.task.simulation.qpos[0, base : base + 2] - before) / 0.002
    missed = np.hypot(*(velocity - command))
    assert missed > 0.05
    assert info["reward_directional"] == pytest.approx(0.01 * (np.hypot(*command) - missed))


def test_draws_are_each_robots_own_and_of_all_commands(make_robots: MakeRobots) -> None:
    env, single = make_robots(60, **TOLD), make_robots(1, **TOLD)
    seen = set()
    env.reset(seed=10)
    for _ in range(6):
        seen |= {meaning(text) for text in env.instructions()}
        env.reset()
    assert seen == set(COMMANDS)
    env.reset(seed=10)
    single.reset(seed=17)
    for _ in range(3):
        assert single.instructions()[0] == env.instructions()[7]
        env.reset()
        single.reset()


def test_what_is_drawn_can_be_chosen(make_robots: MakeRobots) -> None:
    chosen = {"enabled": True, "split": "held_out", "directions": ["west"], "paces": ["slowly"], "stop": 0.5}
    env = make_robots(50, **TOLD | {"instruction": chosen})
    env.reset(seed=0)
    told = sentences("held_out")
    assert set(env.instructions()) <= {*told[Command("west", "slowly")], *told[Command(None)]}
    assert {meaning(text) for text in env.instructions()} == {Command("west", "slowly"), Command(None)}


def test_the_same_is_told_in_other_words(make_robots: MakeRobots) -> None:
    env = make_robots(4, **TOLD | {"instruction": {"enabled": True, "reword": 1.0, "stop": 0.5}})
    env.reset(seed=3)
    told = [env.instructions()]
    commands = [meaning(text) for text in told[0]]
    for _ in range(20):
        _, _, _, _, info = env.step(np.zeros((4, 3)))
        told.append(env.instructions())
        assert [meaning(text) for text in told[-1]] == commands
        for robot, command in enumerate(commands):
            assert command is not None
            np.testing.assert_allclose(info["command"][robot], command.speed * np.array(command.heading), atol=1e-12)
    assert all(len({texts[robot] for texts in told}) > 10 for robot in range(4))
    env.set_instruction("go west quickly, my friend")
    env.step(np.zeros((4, 3)))
    assert set(env.instructions()) == {"go west quickly, my friend"}  # one's own words stay


def test_noise_is_new_with_every_step_and_stays_in_between(make_robots: MakeRobots) -> None:
    env = make_robots(4, **TOLD | {"instruction": {"enabled": True, "noise": 0.5}})
    first, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.task.observe()["instruction"], first["instruction"])
    second, *_ = env.step(np.zeros((4, 3)))
    clean = encoder.embed(env.instructions())
    noise = np.stack([first["instruction"] - clean, second["instruction"] - clean])
    assert noise.std() == pytest.approx(0.5, rel=0.05)
    assert abs(np.corrcoef(noise.reshape(2, -1))[0, 1]) < 0.1


def test_it_goes_on_bit_for_bit(make_robots: MakeRobots) -> None:
    options = TOLD | {"instruction": {"enabled": True, "noise": 0.5}, "max_steps": 4}
    env, other = make_robots(3, **options), make_robots(3, **options)
    env.reset(seed=0)
    env.set_instruction(["wander about", "stop", "go west"])
    for _ in range(3):
        env.step(np.full((3, 3), 0.1))
    saved = env.state()
    assert json.loads(json.dumps(saved["instructions"]["texts"])) == ["wander about", "stop", "go west"]
    other.load_state(saved)
    for _ in range(3):
        one, two = env.step(np.full((3, 3), 0.1)), other.step(np.full((3, 3), 0.1))
        for name in one[0]:
            np.testing.assert_array_equal(one[0][name], two[0][name])
        np.testing.assert_array_equal(one[1], two[1])
    assert env.instructions() == other.instructions() != ("wander about", "stop", "go west")


def test_an_instruction_of_ones_own_holds_until_the_episode_ends(make_robots: MakeRobots) -> None:
    env = make_robots(2, **TOLD)
    env.reset(seed=0)
    env.set_instruction("Go south.")
    assert env.instructions() == ("Go south.", "Go south.")
    assert env.task.goal(1) == pytest.approx((0.0, -1.0))
    *_, info = env.step(np.zeros((2, 3)))
    np.testing.assert_allclose(info["command"], [[0.0, -0.2]] * 2, atol=1e-12)
    env.reset()
    assert "Go south." not in env.instructions()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instruction": {"directions": ["nroth"]}}, "must be of east, .*, got 'nroth'.*did you mean 'north'"),
        ({"instruction": {"paces": ["fast"]}}, "must be of slowly, normally, quickly, got 'fast'"),
        ({"instruction": {"split": "heldout"}}, "'held_out'"),
        ({"instruction": {"enabled": True}, "goal": {"kind": "sampled"}}, "an instruction sets the goal"),
        ({"instruction": {"enabled": True}, "rewards": {"top_speed": 0.3}}, "set rewards.top_speed to null"),
    ],
)
def test_wrong_options_are_named(make_robot: MakeRobot, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        make_robot(**options)


def test_wrong_use_is_named(make_robots: MakeRobots) -> None:
    env = make_robots(2, **TOLD)
    with pytest.raises(InvalidValueError, match="an instruction for each of 2 robots, got 3"):
        env.set_instruction(["stop"] * 3)
    with pytest.raises(InvalidValueError, match="must have words, such as 'go north slowly'"):
        env.set_instruction("  ")
    with pytest.raises(InvalidValueError, match="use set_instruction"):
        env.set_goal(np.array([1.0, 0.0]))
    with pytest.raises(InvalidValueError, match=r"set instruction.enabled to true"):
        make_robots(1).set_instruction("stop")


def test_who_is_told_in_words_does_not_know_the_goal() -> None:
    assert BallbotOptions(frame="world").knows_goal
    assert not BallbotOptions.model_validate({"instruction": {"enabled": True}}).knows_goal


def test_robots_are_told_by_anything_that_holds_a_sentence_for_each() -> None:
    env = BallbotVectorEnv(2, instruction={"enabled": True}, cameras={"enabled": False})
    env.reset(seed=0)
    for each in (("go west", "stop"), np.array(["go west", "stop"]), iter(["go west", "stop"])):
        env.set_instruction(each)  # type: ignore[arg-type]
        assert list(env.instructions()) == ["go west", "stop"]
    with pytest.raises(InvalidValueError, match="must have words"):
        env.set_instruction(5)  # type: ignore[arg-type]
    env.close()
