"""Demonstrations by an expert: which are kept, and that it does not matter how they were made."""

import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from worlds import Counting

from poise.cli import main
from poise.config import parse
from poise.errors import InvalidValueError, PoiseError
from poise.imitation import Demonstration, Demonstrations, DemonstrationWriter
from poise.training.comparison import Contender, contender
from poise.training.config import RunConfig
from poise.training.demos import DemosConfig, demonstrate
from poise.training.recording import writer_for

PUSH: dict[str, Any] = {"env": {"id": "poise/Push-v0", "options": {"camera": {"enabled": False}}}}


def expert(name: str = "expert", **options: Any) -> Contender:
    env = {"id": "poise/Push-v0", "options": PUSH["env"]["options"] | options}
    known = contender(name)
    return Contender(name, known.agent_for, parse(RunConfig, {"env": env}))


def test_interrupted_or_not_and_however_many_at_once_they_are_the_same(tmp_path: Path) -> None:
    noisy = {"seed": 40, "noise": 0.6}
    whole = demonstrate(DemosConfig(episodes=7, side_by_side=7, **noisy), expert(), tmp_path / "whole", threads=1)
    seen: list[int] = []
    demonstrate(DemosConfig(episodes=3, side_by_side=2, **noisy), expert(), tmp_path / "parts", threads=2)
    parts = demonstrate(
        DemosConfig(episodes=7, side_by_side=3, **noisy), expert(), tmp_path / "parts", threads=1, progress=seen.append
    )
    assert parts == whole
    assert seen[0] == 3, "it begins with what is there"
    assert whole.tried > 7  # with so much noise some fail, and are left out
    assert seen[-1] == 7
    one, other = (Demonstrations(tmp_path / name).load() for name in ("whole", "parts"))
    for a, b in zip(one, other, strict=True):
        assert (a.actions == b.actions).all()
        assert all((a.observation[name] == b.observation[name]).all() for name in a.observation)


def test_what_is_noted_is_what_the_expert_would_do_there_and_it_succeeds(tmp_path: Path) -> None:
    demonstrate(DemosConfig(episodes=3, seed=8, noise=0.3), expert(), tmp_path / "demos", threads=1)
    policy = contender("expert").agent_for(_env())
    for one in Demonstrations(tmp_path / "demos").load():
        assert one.actions == pytest.approx(policy.act(one.observation), abs=1e-6)
        last = np.linalg.norm(one.observation["cube"][-1] - one.observation["goal"][-1])
        assert 0.05 <= last < 0.1  # the decision that solved it is the last that is kept


def _env() -> Any:
    from poise.training.environments import make_vector_env

    return make_vector_env("poise/Push-v0", 1, PUSH["env"]["options"], threads=1)


def test_solved_starts_are_counted(tmp_path: Path) -> None:
    env = _env()
    redrawn = [int(env.reset(seed=seed)[1]["redrawn"][0]) for seed in range(200)]
    first = next(seed for seed, count in enumerate(redrawn) if count)
    made = demonstrate(DemosConfig(episodes=3, seed=first, side_by_side=3), expert(), tmp_path / "demos", threads=1)
    assert made.redrawn == sum(redrawn[first : first + made.tried]) >= 1


def test_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    demonstrate(DemosConfig(episodes=1), expert(), tmp_path / "demos", threads=1)
    with pytest.raises(InvalidValueError, match="made with another noise"):
        demonstrate(DemosConfig(episodes=2, noise=0.1), expert(), tmp_path / "demos", threads=1)
    with pytest.raises(InvalidValueError, match="made with another options"):
        demonstrate(DemosConfig(episodes=2), expert(max_steps=30), tmp_path / "demos", threads=1)
    assert len(Demonstrations(tmp_path / "demos")) == 1


def test_who_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    """Or else nobody else could demonstrate there."""
    out = tmp_path / "demos"
    with pytest.raises(InvalidValueError, match="ballbot"):
        demonstrate(DemosConfig(episodes=1), expert("lqr"), out, threads=1)
    assert not out.exists()
    with pytest.raises(PoiseError, match="do-nothing succeeded in 0 of"):
        demonstrate(DemosConfig(episodes=100, side_by_side=100), expert("do-nothing", max_steps=1), out, threads=1)
    assert not out.exists()
    assert demonstrate(DemosConfig(episodes=1), expert(), out, threads=1).episodes == 1


def test_who_never_succeeds_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="do-nothing succeeded in 0 of"):
        demonstrate(
            DemosConfig(episodes=10, side_by_side=10), expert("do-nothing", max_steps=1), tmp_path / "demos", threads=1
        )


def test_what_is_there_and_damaged_is_warned_of_and_added_to(tmp_path: Path) -> None:
    out = tmp_path / "demos"
    demonstrate(DemosConfig(episodes=2, side_by_side=2), expert(), out, threads=1)
    demonstrate(DemosConfig(episodes=3, side_by_side=2), expert(), out, threads=1)
    file = out / "data/chunk-000/file-000.parquet"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.warns(
        UserWarning,
        match=r"when they are read, 2 of the demonstrations in .* \(episodes 0-1: .*file-000.parquet is damaged",
    ):
        assert demonstrate(DemosConfig(episodes=4, side_by_side=2), expert(), out, threads=1).episodes == 4
    for other in out.glob("data/*/*.parquet"):
        other.write_bytes(other.read_bytes()[:-200])
    with pytest.warns(UserWarning, match="no demonstration that can be used: episodes 0-1: .*; episode 2: "):
        assert demonstrate(DemosConfig(episodes=5, side_by_side=2), expert(), out, threads=1).episodes == 5


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(InvalidValueError, match=r"is not empty, and holds no demonstrations; choose another '--out'"):
        demonstrate(DemosConfig(episodes=1), expert(), tmp_path, threads=1)
    with pytest.raises(InvalidValueError, match="note is a file, expected a folder"):
        demonstrate(DemosConfig(episodes=1), expert(), tmp_path / "note", threads=1)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_crash_before_the_first_are_told_of_is_gone_on_from(tmp_path: Path) -> None:
    out = tmp_path / "demos"
    demonstrate(DemosConfig(episodes=1), expert(), out, threads=1)
    (out / "meta/info.json").unlink()
    assert demonstrate(DemosConfig(episodes=1), expert(), out, threads=1).episodes == 1


def test_the_command_tells_what_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demos"
    command = ["demos", "configs/push/expert.yaml", "--out", str(out), "--env.options.camera.enabled", "false"]
    few = [*command, "--side_by_side", "2", "--episodes"]
    assert main([*few, "2"]) == 0
    capsys.readouterr()
    assert main([*few, "2"]) == 0
    assert "demos: 2/2 demonstrations (100 %)" in capsys.readouterr().out
    assert main([*few, "3", "--noise", "1"]) == 2
    assert "demonstrations (" not in capsys.readouterr().out, "who is refused has not begun"
    write, kept = DemonstrationWriter.write, [1, 1]

    def interrupted(writer: DemonstrationWriter, demonstrations: Any) -> None:
        kept.pop()
        write(writer, demonstrations)
        if not kept:
            raise KeyboardInterrupt

    monkeypatch.setattr(DemonstrationWriter, "write", interrupted)
    assert main([*few, "9"]) == 130
    told = capsys.readouterr()
    assert f"6 demonstrations are kept in {out}; the same command goes on" in told.out
    assert told.err == "interrupted\n"


def test_the_commands_help_tells_of_the_environments_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demos", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--env.options.camera.height" in told
    assert "--env.options.terrain.height" in told


def test_the_command_makes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demos"
    command = [
        "demos",
        "configs/push/expert.yaml",
        "--out",
        str(out),
        "--episodes",
        "2",
        "--env.options.camera.height",
        "48",
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "2 demonstrations of" in said
    assert "0 of 2 tries failed; 0 starts were solved already" in said
    (one, _) = Demonstrations(out).load()
    assert one.observation["image"].shape[1:] == (3, 48, 84)
    assert main([*command[:4], "--episodes", "2", "--noise", "1"]) == 2
    shutil.rmtree(out)


def test_data_that_it_did_not_make_are_not_gone_on_with(tmp_path: Path) -> None:
    config = DemosConfig(episodes=1)
    demonstrate(config, expert(), tmp_path / "own", threads=1)
    own = Demonstrations(tmp_path / "own").load()[0]
    env = _env()
    writer = writer_for(env, tmp_path / "other", "poise/Push-v0")
    env.close()
    writer.write([Demonstration(own.observation, own.actions, {"round": 1})])
    with pytest.raises(InvalidValueError, match="demonstrations that 'poise demos' did not make.*another '--out'"):
        demonstrate(DemosConfig(episodes=3), expert(), tmp_path / "other", threads=1)
    assert len(Demonstrations(tmp_path / "other").load()) == 1


def test_who_does_not_tell_of_success_is_told_what_counts(tmp_path: Path) -> None:
    class Silent(Counting):
        """Says nothing."""

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return (*super().step(action)[:4], {})

    gym.register("Silent-v0", Silent)
    try:
        config = parse(RunConfig, {"env": {"id": "Silent-v0", "options": {"mapping": True}}})
        still = Contender("do-nothing", contender("do-nothing").agent_for, config)
        with pytest.warns(UserWarning, match="'Silent-v0' does not say whether an episode succeeded"):
            demonstrate(DemosConfig(episodes=2), still, tmp_path, threads=1)
    finally:
        del gym.registry["Silent-v0"]
    assert len(Demonstrations(tmp_path).load()) == 2
