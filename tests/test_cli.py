"""The command line: every verb does its work, and the help tells all there is to choose."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import poise
from poise import cli
from poise.cli import VERBS, main
from poise.cli_help import Parser, describe_settings
from poise.cli_learning import _play_seed
from poise.config import load_yaml
from poise.envs import BallbotOptions
from poise.envs.push import PushOptions
from poise.perception import ImageDatasetWriter, load_encoder
from poise.perception.pretrain import Epoch
from poise.policies.baselines import BASELINES
from poise.training.cloning_config import parse_run
from poise.training.comparison import Contender, contender
from poise.training.config import RunConfig

TINY = """
total_steps: 128
threads: 1
tensorboard: false
env: {num_envs: 2, options: {cameras: {enabled: false}, decimation: 5, max_steps: 200, terrain: {kind: flat, nodes: 9}}}
algorithm: {num_steps: 32}
policy: {actor: {hidden_sizes: [4]}, critic: {hidden_sizes: [4]}}
evaluation: {every: 64, episodes: 2}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.yaml").write_text(TINY)
    assert main(["train", str(folder / "tiny.yaml"), "--algorithm.gamma=0.9", "--out", str(folder / "run")]) == 0
    return folder / "run"


def told(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """What a command line that succeeds prints."""
    capsys.readouterr()
    assert main(arguments) == 0
    written = capsys.readouterr()
    assert written.err == ""
    return written.out


# --- verbs --------------------------------------------------------------------------------------------------------


def test_train_resolves_its_configuration_and_says_what_became_of_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = load_yaml(run / "config.yaml")
    assert (saved["algorithm"]["gamma"], saved["env"]["num_envs"]) == (0.9, 2)
    lines = told(capsys, ["train", str(run.parent / "tiny.yaml"), "--out", str(tmp_path / "new")]).splitlines()
    assert lines[0] == f"training in {tmp_path / 'new'}"
    assert "all steps done, at step 128" in lines
    assert any(line.startswith("last evaluation, at step 128: return ") for line in lines)
    assert f"best policy in {tmp_path / 'new' / 'best'}" in lines


def test_train_names_its_folder_after_configuration_and_time(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(run.parent / "tiny.yaml"), "--evaluation.every", "0"]) == 0
    [folder] = Path("runs").iterdir()
    assert time.strptime(folder.name, "tiny-%Y%m%d-%H%M%S")
    assert (folder / "config.yaml").exists()


@pytest.mark.parametrize("again", [[], ["tiny.yaml", "--algorithm.gamma", "0.9"]])
def test_train_resumes(run: Path, again: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    named = [str(run.parent / word) if word.endswith(".yaml") else word for word in again]
    assert "all steps done, at step 128" in told(capsys, ["train", *named, "--resume", str(run)])


@pytest.mark.parametrize("verb", ["evaluate", "play"])
def test_the_expert_is_told_where_it_acts(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "expert"]) == 2
    assert "name a configuration of it, such as '--config configs/push/expert.yaml'" in capsys.readouterr().err


def test_evaluate_prints_a_table_and_writes_every_episode(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evaluation.json"
    arguments = ["evaluate", str(run), "--episodes", "3", "--seed", "7", "--baselines", "--json", str(path)]
    table = told(capsys, arguments)
    content = json.loads(path.read_text())
    assert list(content["policies"]) == [str(run), "do-nothing", "random", "pid", "lqr"]
    assert content["environment"]["options"]["max_steps"] == 200
    for name, policy in content["policies"].items():
        summary, episodes = policy["summary"], policy["episodes"]
        assert summary["seed"] == 7
        assert summary["return"]["mean"] == pytest.approx(sum(episodes["returns"]) / 3)
        assert summary["success_rate"]["mean"] == pytest.approx(sum(episodes["successes"]) / 3)
        assert f"{summary['return']['mean']:.1f}" in table
        assert name[:5] in table
    assert "3 episodes on seeds 7 to 9" in table


def test_a_baseline_is_measured_in_the_environment_of_a_configuration(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = str(run.parent / "tiny.yaml"), tmp_path / "evaluation.json"
    told(capsys, ["evaluate", "do-nothing", "--config", config, "--episodes", "2", "--json", str(path)])
    [policy] = json.loads(path.read_text())["policies"].values()
    assert max(policy["episodes"]["lengths"]) <= 200


def test_play_makes_a_video(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.mp4"
    said = told(capsys, ["play", str(run), "--out", str(out), "--seconds", "0.1", "--seed", "5"])
    assert f"video in {out}" in said
    assert re.search(r"seed 5: return \d\.\d in 0\.1 s, \d\.\d\d m from where it began: did not fall", said)
    assert out.read_bytes()[4:8] == b"ftyp"


def test_a_video_of_another_name_is_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "nowhere", "--out", "x.avi"]) == 2
    assert capsys.readouterr().err == "error: x.avi must end in .mp4, the only kind of video written\n"


@pytest.mark.parametrize("options", [[], ["--out", "my demo"]])
def test_a_demo_that_is_interrupted_tells_how_to_go_on(
    options: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("poise.training.demo.run_demo", interrupt)
    assert main(["demo", *options]) == 130
    again = "poise demo --out 'my demo'" if options else "poise demo"
    assert capsys.readouterr().out.splitlines()[-1] == f"  {again}"


def test_collect_and_pretrain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, encoder = str(tmp_path / "images"), str(tmp_path / "encoder")
    small = ["--height", "16", "--width=16", "--seconds", "0.2", "--terrain.nodes", "33", "--images-per-episode", "5"]
    assert "20 depth images of 2 episodes" in told(capsys, ["collect", "--out", images, "--episodes", "2", *small])
    assert main(["pretrain", images, "--out", encoder, "--epochs", "1"]) == 0
    said = capsys.readouterr()
    assert "best encoder, of epoch 1" in said.out
    assert "always guessing the average image" in said.out
    assert said.err.startswith("warning: this encoder tells nothing about an image")  # of 20, in one epoch
    assert "poise train" not in said.out
    assert f"more images, with settings as before: poise collect --out {images} --episodes 4" in said.out
    assert (tmp_path / "encoder" / "encoder" / "encoder.safetensors").exists()
    assert (tmp_path / "encoder" / "reconstructions.png").exists()


def test_pretraining_by_what_was_felt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, encoder = str(tmp_path / "images"), str(tmp_path / "encoder")
    small = ["--height", "8", "--width=8", "--seconds", "0.2", "--terrain.nodes", "33", "--images-per-episode", "5"]
    told(capsys, ["collect", "--out", images, "--episodes", "6", *small])
    wanted = ["--objective", "both", "--batch-size", "3", "--validation-fraction", "0.5", "--epochs", "1"]
    assert main(["pretrain", images, "--out", encoder, *wanted]) == 0
    said = capsys.readouterr().out.splitlines()
    found = r"the right body is found for \d+ %, temperature 0\.07\d; held-out error \d+\.\d mm"
    assert re.fullmatch(f"epoch 1: {found}", said[0])
    assert re.fullmatch(f"among 3 held-out moments of different episodes, {found}; guessing: 33 %", said[2])
    assert load_encoder(tmp_path / "encoder").spec == (8, 8, 1, 20)


def test_ctrl_c_in_pretraining_keeps_the_best_encoder_and_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ImageDatasetWriter(tmp_path / "images", ("rgbd_0",), 8, 8)
    for episode in range(2):
        writer.write(episode, {"rgbd_0": np.full((4, 8, 8), 0.5, np.float32)}, seed=episode, driver="random")

    def interrupted_epochs(*arguments: Any) -> Iterator[Epoch]:
        yield Epoch(1, 0.5, 0.5, 10.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["poise.perception.pretrain"], "_epochs", interrupted_epochs)
    assert main(["pretrain", str(tmp_path / "images"), "--out", str(tmp_path / "encoder")]) == 130
    said = capsys.readouterr().out
    assert said.endswith("interrupted, after epoch 1 of 10\n")
    assert "next:" not in said
    load_encoder(tmp_path / "encoder")


def test_plot_and_report(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves, report = tmp_path / "curves.png", tmp_path / "report.html"
    assert f"curves in {curves}" in told(capsys, ["plot", str(run), str(run), "--out", str(curves)])
    assert curves.read_bytes().startswith(b"\x89PNG")
    said = told(capsys, ["report", str(run), "--out", str(report)])
    assert f"report in {report}\nwithout an evaluation, a video\n" in said
    assert said.splitlines()[-1] == f"  poise report {run} --evaluation evaluation.json --video {run.name}.mp4"
    assert "<html" in report.read_text()
    (tmp_path / "v.mp4").write_bytes(b"film")
    told(capsys, ["report", str(run), "--out", str(report), "--video", str(tmp_path / "v.mp4")])
    assert "<video" in report.read_text()


def test_inspect_writes_a_page_and_its_numbers(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "inside.html"
    arguments = ["inspect", str(run), "--episodes", "2", "--seed", "7", "--out", str(page)]
    said = told(capsys, [*arguments, "--env.options.max_steps", "50"]).splitlines()
    assert said[-1] == f"page in {page}, numbers in {tmp_path / 'inside.json'}"
    assert said[-2].startswith("Over 2 episodes it returns ")
    numbers = json.loads((tmp_path / "inside.json").read_text())
    assert (numbers["by"], numbers["intact"]["summary"]["seed"]) == ("component", 7)
    assert max(numbers["intact"]["episodes"]["lengths"]) <= 50
    assert f"poise inspect {run} --episodes 2 --seed 7 --env.options.max_steps 50" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lqr"], "'lqr' is a controller; there is nothing to look into but a trained policy"),
        (["mutex.yaml"], "mutex.yaml puts finished policies together; look into one of them: a, b"),
        (["tiny.yaml"], "tiny.yaml is a configuration and not a trained policy"),
        (["nowhere"], "nowhere does not exist"),
        (["RUN", "--out", "x.pdf"], "x.pdf must end in .html"),
        (["RUN", "--by", "modalty"], "--by: invalid choice: 'modalty'"),
        (["RUN", "--json", "no/where.json"], "the folder no does not exist"),
        (["RUN", "--algorithm.gamma", "0.9"], "unknown setting 'algorithm.gamma'"),
    ],
)
def test_what_cannot_be_inspected(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    Path("mutex.yaml").write_text("policy: {mutex: {sub_policies: {flat: a, rough: b}}}")
    assert main(["inspect", *(str(run) if word == "RUN" else word for word in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_info_tells_what_a_bug_report_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("poise.sim.opengl.opengl_available", lambda: (False, "MuJoCo finds no OpenGL; install one"))
    lines = dict(line.split(maxsplit=1) for line in told(capsys, ["info"]).splitlines() if len(line.split()[0]) < 16)
    assert lines["poise"] == poise.__version__
    assert lines["mujoco"].startswith("4.")
    assert lines["contacts"] == "corrected, and found so on a probe model"
    assert lines["OpenGL"] == "no, so videos are drawn without it: MuJoCo finds no OpenGL; install one"
    assert "OMP_NUM_THREADS=1" in lines["thread"]
    assert lines["cores"].split()[1] == "usable"


# --- help ---------------------------------------------------------------------------------------------------------


def test_overview_names_every_verb_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(f"  {name} " in told(capsys, ["--help"]) for name in VERBS)
    assert told(capsys, []) == told(capsys, ["-h"])
    assert told(capsys, ["--version"]) == f"poise {poise.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, [verb, "--help"])
    assert text.startswith(f"usage: poise {verb} [-h]")
    assert VERBS[verb].summary.split()[0] in text
    assert VERBS[verb].examples.partition("\n")[0] in text
    explained = entries(text)
    assert ("-h,", "show this help message and exit") in explained
    assert [name for name, meaning in explained if not meaning] == []


def entries(text: str) -> list[tuple[str, str]]:
    """Each option, argument and setting in a help text, with its meaning beside it or below, without its default."""
    found = re.findall(r"^  (\S+)(?: \S+)*(.*(?:\n {20,}.*)*)", text.partition("\nexamples:")[0], re.MULTILINE)
    return [(name, said.partition("(")[0].strip()) for name, said in found]


def test_help_lists_every_key_with_type_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, ["train", "--help"])
    lines = text.splitlines()
    assert any(line.split() == ["--algorithm.gamma", "NUMBER", "discount", "factor", "(0.99)"] for line in lines)
    assert "--policy.encoder_precision float32|bfloat16" in text
    assert "--policy.actor.hidden_sizes [INT, ...]" in text
    assert "--algorithm.learning_rate NUMBER|{kind, values, fractions}" in text
    for key in [*leaves(RunConfig()), *(f"env.options.{key}" for key in leaves(BallbotOptions()))]:
        assert f"  --{key} " in text
    assert max(map(len, lines)) <= 130


@pytest.mark.parametrize("verb", ["evaluate", "play"])
def test_help_names_whoever_can_act_and_what_can_be_chosen_of_worlds(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(capsys, [verb, "--help"])
    assert f"baselines: {', '.join(BASELINES)}\n" in text
    for key in [*leaves(BallbotOptions()), *leaves(PushOptions())]:
        assert f"  --env.options.{key} " in text


def leaves(config: object, prefix: str = "") -> list[str]:
    """Dotted names of everything in a configuration that is not a mapping of its own."""
    found = []
    for name, value in config:  # type: ignore[attr-defined]
        inner = hasattr(value, "model_fields_set")
        found += leaves(value, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return found


def test_help_shows_the_defaults_in_force() -> None:
    """A nested configuration's defaults are those of the field that holds it, not those of its class."""
    text = describe_settings(RunConfig, defaults=RunConfig(env={"num_envs": 7}))
    assert "environments side by side (7)" in text


def test_help_is_quick_because_it_imports_little() -> None:
    script = "import sys; from poise.cli import main; main(['--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_settings_are_told_from_options_wherever_they_stand() -> None:
    parser = Parser(prog="x")
    parser.add_argument("config")
    parser.add_argument("--out")
    parser.add_argument("--fast", action="store_true")
    words = "--a.b -0.5 --fast c.yaml --seed=3 --out d --flag"
    assert parser.split_settings(words.split()) == (
        ["--fast", "c.yaml", "--out", "d"],
        ["--a.b", "-0.5", "--seed=3", "--flag"],
    )
    assert parser.split_settings(["--ouut", "d"]) == (["--ouut", "d"], [])


# --- ends ---------------------------------------------------------------------------------------------------------


def fails(error: BaseException) -> cli.Verb:
    def run(options: object) -> None:
        raise error

    return cli.Verb(run, lambda parser: None, "fails")


@pytest.mark.parametrize(
    ("error", "code", "written"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (OSError(28, "No space left on device", "x"), 2, "error: x: no space left on device; free some space"),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: /x: permission denied\n"),
        (poise.errors.PoiseError("two\nlines"), 2, "error: two lines\n"),
        (MemoryError(), 2, "error: not enough memory; use fewer environments"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 2, "error: not enough memory; "),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"), 2, "error: not enough memory; "),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, written: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VERBS, "fail", fails(error))
    assert main(["fail"]) == code
    assert capsys.readouterr().err.startswith(written)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERBS, "fail", fails(RuntimeError("a bug of ours")))
    with pytest.raises(RuntimeError, match="a bug of ours"):
        main(["fail"])


def test_warnings_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    verb = cli.Verb(lambda options: warnings.warn("look out", stacklevel=1), lambda parser: None, "warns")
    monkeypatch.setitem(VERBS, "warn", verb)
    assert main(["warn"]) == 0
    assert capsys.readouterr().err == "warning: look out\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "poise", "--help"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="signals are a matter of POSIX")
def test_ctrl_c_saves_and_the_run_can_go_on(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "long"
    command = [sys.executable, "-m", "poise", "train", str(run.parent / "tiny.yaml"), "--out", str(out)]
    settings = ["--total_steps", "1_000_000", "--evaluation.every", "0"]
    with subprocess.Popen([*command, *settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (out / "progress.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        told, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (130, "")
    assert "interrupted, at step " in told
    assert f"poise train --resume {out}" in told
    assert list((out / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("settings", "seed"),
    [({"env": {"id": "poise/Push-v0"}}, 87), (load_yaml(Path("configs/push/bc.yaml")), 800_000)],
)
def test_what_learned_from_demonstrations_is_not_filmed_where_it_learned(settings: dict[str, Any], seed: int) -> None:
    known = contender("do-nothing")
    assert _play_seed(Contender("one", known.agent_for, parse_run(settings, "it"))) == seed
