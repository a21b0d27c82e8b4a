"""Configuration: YAML and command line in, a checked model out, one sentence per mistake."""

from __future__ import annotations

import math
import pickle
import random
from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest
import yaml
from pydantic import Field, model_validator

from poise.config import Config, apply_overrides, load_yaml, parse, parse_cli_overrides, save_yaml, to_yaml
from poise.errors import InvalidValueError, MissingFileError


class Constant(Config):
    kind: Literal["constant"] = "constant"
    value: float = 1.0


class Linear(Config):
    kind: Literal["linear"] = "linear"
    start: float = 1.0
    end: float = 0.0


class Algorithm(Config):
    name: Literal["ppo", "sac"] = "ppo"
    gamma: float = Field(0.99, gt=0, le=1)
    learning_rate: float = Field(3e-4, gt=0)
    epochs: int = Field(4, ge=1)
    target_kl: float | None = Field(None, gt=0)
    hidden: tuple[int, ...] = (128, 128)
    schedule: Constant | Linear = Field(Constant(), discriminator="kind")


class Env(Config):
    id: str
    num_envs: int = 8
    cameras: bool = True
    options: dict[str, Any] = Field(default_factory=dict)


class Run(Config):
    env: Env
    seed: int = 0
    algorithm: Algorithm = Algorithm()
    phases: list[Algorithm] = Field(default_factory=list)

    @model_validator(mode="after")
    def _minibatches_divide(self) -> Run:
        if self.env.num_envs % 2:
            raise ValueError(f"env.num_envs must be even to be halved, got {self.env.num_envs}")
        return self


GOOD = {"env": {"id": "poise/Ballbot-v0"}}


def message(mapping: Any, where: str = "configs/x.yaml") -> str:
    with pytest.raises(InvalidValueError) as caught:
        parse(Run, mapping, where)
    return str(caught.value)


# --- parse --------------------------------------------------------------------------------------------------------


def test_good_mapping_is_parsed_and_immutable() -> None:
    run = parse(Run, {**GOOD, "algorithm": {"hidden": [64], "schedule": {"kind": "linear", "end": 0.5}}})
    assert run.algorithm.hidden == (64,)
    assert run.algorithm.schedule == Linear(end=0.5)
    assert run.env.num_envs == 8
    with pytest.raises(pydantic.ValidationError):
        run.seed = 3


def test_whole_numbers_may_be_written_with_an_exponent() -> None:
    assert parse(Run, {**GOOD, "seed": 1e6}).seed == 1_000_000


ALGORITHM_KEYS = "epochs, gamma, hidden, learning_rate, name, schedule, target_kl"


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        (
            {**GOOD, "algorithm": {"gama": 0.9}},
            f"unknown key 'algorithm.gama'; did you mean 'gamma'? Known keys: {ALGORITHM_KEYS}",
        ),
        (
            {**GOOD, "gamma": 0.9},
            "unknown key 'gamma'; did you mean 'algorithm.gamma'? Known keys: algorithm, env, phases, seed",
        ),
        ({**GOOD, "xyzzy": 1}, "unknown key 'xyzzy'. Known keys: algorithm, env, phases, seed"),
        ({**GOOD, 3: 1}, "unknown key '3'. Known keys: algorithm, env, phases, seed"),
        (
            {**GOOD, "algorithm": {"schedule": {"kind": "linear", "starts": 1}}},
            "unknown key 'algorithm.schedule.starts'; did you mean 'start'? Known keys: end, kind, start",
        ),
        (
            {**GOOD, "algorithm": {"schedule": {"kind": "linear", "value": 1}}},
            "unknown key 'algorithm.schedule.value', which goes with kind 'constant' and not with 'linear'; remove it, "
            'or set all of algorithm.schedule anew: "{kind: linear}". Known keys: end, kind, start',
        ),
        (
            {**GOOD, "phases": [{}, {"epoch": 1}]},
            f"unknown key 'phases[1].epoch'; did you mean 'epochs'? Known keys: {ALGORITHM_KEYS}",
        ),
        ({}, "missing key 'env'"),
        ({"env": {}}, "missing key 'env.id'"),
        ({**GOOD, "algorithm": {"learning_rate": -1}}, "algorithm.learning_rate must be greater than 0, got -1"),
        ({**GOOD, "algorithm": {"gamma": 1.5}}, "algorithm.gamma must be at most 1, got 1.5"),
        ({**GOOD, "algorithm": {"epochs": 0}}, "algorithm.epochs must be at least 1, got 0"),
        ({**GOOD, "algorithm": {"epochs": 1.5}}, "algorithm.epochs must be a whole number, got 1.5"),
        ({**GOOD, "algorithm": {"target_kl": "small"}}, "algorithm.target_kl must be a number, got 'small'"),
        ({**GOOD, "algorithm": {"target_kl": True}}, "algorithm.target_kl must be a number, got 'true'"),
        ({**GOOD, "seed": True}, "seed must be a whole number, got 'true'"),
        ({**GOOD, "seed": None}, "seed must be a whole number, got null"),
        ({**GOOD, "algorithm": {"gamma": math.nan}}, "algorithm.gamma must be a finite number, got nan"),
        (
            {**GOOD, "algorithm": {"learning_rate": math.inf}},
            "algorithm.learning_rate must be a finite number, got inf",
        ),
        (
            {**GOOD, "algorithm": {"name": "pp0"}},
            "algorithm.name must be 'ppo' or 'sac', got 'pp0'; did you mean 'ppo'?",
        ),
        ({**GOOD, "algorithm": {"hidden": [64, "x"]}}, "algorithm.hidden[1] must be a whole number, got 'x'"),
        ({**GOOD, "algorithm": {"hidden": 64}}, "algorithm.hidden must be a list, got 64"),
        ({**GOOD, "algorithm": "ppo"}, "algorithm must be a mapping of keys to values, got 'ppo'"),
        ({"env": {"id": 3}}, "env.id must be text, got 3"),
        ({"env": {"id": "x", "cameras": "perhaps"}}, "env.cameras must be true or false, got 'perhaps'"),
        ({"env": {"id": "x", "options": [1]}}, "env.options must be a mapping of keys to values, got [1]"),
        ({"env": {"id": "x", "num_envs": 3}}, "env.num_envs must be even to be halved, got 3"),
    ],
)
def test_one_sentence_per_mistake(mapping: Any, sentence: str) -> None:
    assert message(mapping) == f"configs/x.yaml: {sentence}"


def test_what_has_no_origin_is_told_without_one() -> None:
    assert message({}, where="") == "missing key 'env'"
    assert message({"env": {}, "seed": "?"}, where="").startswith(
        "there are 2 problems: (1) missing key 'env.id'; (2) "
    )


def test_several_mistakes_are_told_together() -> None:
    assert message({"env": {"id": "x", "num_env": 4}, "seed": "?"}) == (
        "configs/x.yaml has 2 problems: (1) unknown key 'env.num_env'; did you mean 'num_envs'? "
        "Known keys: cameras, id, num_envs, options; (2) seed must be a whole number, got '?'"
    )


def test_an_unknown_member_of_a_union_is_named() -> None:
    text = message({**GOOD, "algorithm": {"schedule": {"kind": "cosine"}}})
    assert text.startswith("configs/x.yaml: algorithm.schedule.kind must be one of")
    assert "'constant', 'linear'" in text
    assert "cosine" in text


@pytest.mark.parametrize("mapping", [None, 3, [1], "text"])
def test_not_a_mapping(mapping: Any) -> None:
    assert "expected a mapping of keys to values" in message(mapping)


def test_a_long_value_is_cut() -> None:
    assert len(message({**GOOD, "seed": "a" * 10_000})) < 150


def test_a_default_that_cannot_be_is_refused() -> None:
    class Wrong(Config):
        rate: float = Field(-1.0, gt=0)

    with pytest.raises(InvalidValueError, match=r"^configuration: rate must be greater than 0, got -1\.0$"):
        parse(Wrong, {})


# --- load_yaml ----------------------------------------------------------------------------------------------------


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "x.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E6", 1e6),
        ("-2e+2", -200.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.5e3", 1500.0),
        ("1_000_000", 1_000_000),
        ("+12", 12),
        ("012", 12),
        ("0x1f", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e", "1e"),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("e5", "e5"),
        ("-.inf", -math.inf),
        ("'1e-3'", "1e-3"),
        ("[1, 1e-3, on]", [1, 1e-3, "on"]),
    ],
)
def test_scalars_follow_yaml_1_2(tmp_path: Path, text: str, value: Any) -> None:
    loaded = load_yaml(write(tmp_path, f"key: {text}\n"))["key"]
    assert (type(loaded), loaded) == (type(value), value)


def test_nan_and_keys_as_written(tmp_path: Path) -> None:
    loaded = load_yaml(write(tmp_path, "on: .nan\nyes: 2\n3: 4\ntrue: 5\n1e-3: 6\n"))
    assert list(loaded) == ["on", "yes", "3", "true", "1e-3"]
    assert math.isnan(loaded["on"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "x.yaml, line 3: "),
        ("a: 1\n\tb: 2\n", "x.yaml, line 2: "),
        ("a: 1\nb: 2\na: 3\n", "x.yaml, line 3: duplicate key 'a'"),
        ("a:\n  b: 1\n  b: 1\n", "x.yaml, line 3: duplicate key 'b'"),
        ("? [1, 2]\n: 3\n", "x.yaml, line 1: a key must be a single word"),
        ("a: &x 1\nb: *x\n", "x.yaml, line 2: the alias *x is not supported"),
        ("a: &x [*x]\n", "x.yaml, line 1: the alias *x is not supported"),
        ("a: 1\n---\nb: 2\n", "x.yaml, line 2: "),
        ("- 1\n- 2\n", "expected a mapping of keys to values ('key: value'), found a list"),
        ("just text\n", "expected a mapping of keys to values ('key: value'), found a str"),
        ("", "found nothing"),
        ("# only a comment\n", "found nothing"),
        ("a: \x07\n", "not valid YAML"),
        (b"\xff\xfe\x00a", "is a binary file"),
        (pickle.dumps({"a": 1}), "is a binary file"),
        ("PK\x03\x04\0\0", "is a binary file"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("a: " + "9" * 5000, "a number too long"),
        ("a: !!python/object/apply:os.system ['touch hacked']\n", "x.yaml, line 1: could not determine a constructor"),
        ("a: " + "x" * (5 << 20), "is larger than 4 MiB"),
    ],
)
def test_bad_files_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, content)
    before = path.read_bytes()
    with pytest.raises(InvalidValueError) as caught:
        load_yaml(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="does not exist"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(InvalidValueError, match="is a folder"):
        load_yaml(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, b"\xef\xbb\xbfa: 1\n")) == {"a": 1}


def test_a_base_is_read_first_and_changed_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "ground.yaml").write_text("a: 1\nb: {c: [1, 2], d: {e: 5, f: 6}}\ng: {h: 1}\nj: {name: x, k: 1}\n")
    (tmp_path / "deep" / "middle.yaml").write_text("base: ../ground.yaml\nb: {d: {e: 50}}\ng: 7\n")
    (tmp_path / "top.yaml").write_text("base: deep/middle.yaml\na: null\nb: {c: [3]}\ni: 9\nj: {name: y, l: 2}\n")
    expected = {"b": {"c": [3], "d": {"e": 50, "f": 6}}, "g": 7, "i": 9, "j": {"name": "y", "l": 2}}
    assert load_yaml(tmp_path / "top.yaml") == expected


def test_null_takes_a_mapping_away_on_the_command_line_as_in_a_file() -> None:
    before = {"a": {"b": {"c": 1}, "d": 2}}
    assert apply_overrides(before, {"a.b": "null"}) == {"a": {"d": 2}}
    assert apply_overrides(before, {"a.d": "null", "e": "null"}) == {"a": {"b": {"c": 1}, "d": None}, "e": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base: self.yaml", "leads back to"),
        ("base: other.yaml", "leads back to"),
        ("base: 3", "base must be the path of another configuration, got 3"),
        ("base: nowhere.yaml", "self.yaml, base: .*nowhere.yaml does not exist"),
    ],
)
def test_a_base_that_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "self.yaml").write_text(text)
    (tmp_path / "other.yaml").write_text("base: self.yaml")
    with pytest.raises((InvalidValueError, MissingFileError), match=words):
        load_yaml(tmp_path / "self.yaml")


# --- save_yaml ----------------------------------------------------------------------------------------------------


def test_saved_configuration_is_readable_and_in_field_order(tmp_path: Path) -> None:
    run = parse(Run, {**GOOD, "algorithm": {"learning_rate": 1e-5, "schedule": {"kind": "linear"}}})
    save_yaml(tmp_path / "config.yaml", run)
    assert (tmp_path / "config.yaml").read_text() == (
        "env:\n  id: poise/Ballbot-v0\n  num_envs: 8\n  cameras: true\n  options: {}\n"
        "seed: 0\n"
        "algorithm:\n  name: ppo\n  gamma: 0.99\n  learning_rate: 1.0e-05\n  epochs: 4\n  target_kl: null\n"
        "  hidden: [128, 128]\n  schedule:\n    kind: linear\n    start: 1.0\n    end: 0.0\n"
        "phases: []\n"
    )
    assert parse(Run, load_yaml(tmp_path / "config.yaml")) == run
    assert list(tmp_path.iterdir()) == [tmp_path / "config.yaml"]


def test_shared_objects_are_written_out(tmp_path: Path) -> None:
    shared = [1, 2]
    text = to_yaml(parse(Run, {"env": {"id": "x", "options": {"a": shared, "b": shared}}}))
    assert "a: [1, 2]" in text
    assert "b: [1, 2]" in text


AWKWARD = [
    *("", "1e-3", "1_000", "on", "No", "null", "~", ".inf", "0o7", "012", "1:30", "2026-01-01", "true", "<<", "="),
    *("a: b", "a #b", "#a", "- a", "'", '"', "[", "{", "*a", "&a", "!a", "%a", "@a", "`", "|", ">", "?", ":", "---"),
    *(" a ", "a\nb", "a\n", "\n", "\t", "ä ☃ 🤖", "\x00", "\x85", "\u2028", "...", "x" * 300, "two words " * 30),
]


def test_every_free_option_survives_a_round_trip(tmp_path: Path) -> None:
    generator = random.Random(0)

    def value(depth: int) -> Any:
        kind = generator.randrange(8 if depth < 3 else 6)
        leaves = [
            generator.choice(AWKWARD),
            generator.uniform(-1, 1) * 10.0 ** generator.randrange(-300, 300),
            generator.choice([0.0, 1e16, 1e-5, 1e22, math.inf, -math.inf, 5e-324, 0.1]),
            generator.randrange(-(2**70), 2**70),
            generator.random() < 0.5,
            None,
        ]
        if kind < len(leaves):
            return leaves[kind]
        items = [value(depth + 1) for _ in range(generator.randrange(4))]
        return items if kind == 6 else {generator.choice(AWKWARD): item for item in items}

    for _ in range(100):
        run = parse(
            Run, {"env": {"id": generator.choice(AWKWARD), "options": {word: value(0) for word in AWKWARD[::6]}}}
        )
        save_yaml(tmp_path / "config.yaml", run)
        again = parse(Run, load_yaml(tmp_path / "config.yaml"))
        assert again == run
        assert repr(again) == repr(run)  # 1 == 1.0 == True, their texts differ


def test_what_other_tools_would_misread_is_quoted() -> None:
    run = parse(Run, {"env": {"id": "off", "options": {"a": "1e-3", "b": "1:30"}}})
    assert yaml.safe_load(to_yaml(run))["env"] == {
        "id": "off",
        "num_envs": 8,
        "cameras": True,
        "options": {"a": "1e-3", "b": "1:30"},
    }


# --- overrides ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "overrides"),
    [
        ([], {}),
        (["--seed", "3"], {"seed": "3"}),
        (["--seed=3"], {"seed": "3"}),
        (["--algorithm.learning-rate", "-1e-3"], {"algorithm.learning_rate": "-1e-3"}),
        (["--a-b.c_d=x=y"], {"a_b.c_d": "x=y"}),
        (["--a", "-"], {"a": "-"}),
        (["--a="], {"a": ""}),
        (["--a", ""], {"a": ""}),
        (["--a=--b"], {"a": "--b"}),
        (["--a", "[1, -2]"], {"a": "[1, -2]"}),
        (["--a", "1", "--a", "2"], {"a": "2"}),
        (["--env.id", "poise/Ballbot-v0"], {"env.id": "poise/Ballbot-v0"}),
    ],
)
def test_command_line_overrides(args: list[str], overrides: dict[str, str]) -> None:
    before = list(args)
    assert parse_cli_overrides(args) == overrides
    assert args == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--seed"], "'--seed' needs a value"),
        (["--seed", "--gamma", "1"], "'--seed' needs a value"),
        (["seed", "3"], "unexpected argument 'seed'"),
        (["--seed", "3", "4"], "unexpected argument '4'"),
        (["-s", "3"], "unexpected argument '-s'"),
        (["--"], "unexpected argument '--'"),
        (["--=3"], "unexpected argument '--=3'"),
        (["---seed", "3"], "unexpected argument '---seed'"),
        ([""], "unexpected argument ''"),
    ],
)
def test_bad_command_lines(args: list[str], words: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_cli_overrides(args)
    assert words in str(caught.value)


def test_overrides_are_read_as_yaml_and_leave_the_original_alone() -> None:
    original = {"a": {"b": 1, "keep": [1]}, "empty": None}
    overrides = {
        "a.b": "1e-3",
        "a.c": "[64, 1e-3, on]",
        "new.deep.key": "true",
        "empty.x": "-1",
        "note": "this: #1, really",
        "text": '"5"',
        "mapping": "{x: 1}",
        "nothing": "null",
        "blank": "",
        "glob": "*.png",
        "million": "1_000_000",
    }
    assert apply_overrides(original, overrides) == {
        "a": {"b": 1e-3, "keep": [1], "c": [64, 1e-3, "on"]},
        "empty": {"x": -1},
        "new": {"deep": {"key": True}},
        "note": "this: #1, really",
        "text": "5",
        "mapping": {"x": 1},
        "nothing": None,
        "blank": "",
        "glob": "*.png",
        "million": 1_000_000,
    }
    assert original == {"a": {"b": 1, "keep": [1]}, "empty": None}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"seed.x": "1"}, "cannot set 'seed.x': 'seed' is 3, which holds no keys"),
        ({"list.0": "1"}, "cannot set 'list.0': 'list' is [1], which holds no keys"),
        ({"a.b.c.d": "1"}, "cannot set 'a.b.c.d': 'a.b' is 1, which holds no keys"),
        ({"a..b": "1"}, "'a..b' is not a key"),
        ({".a": "1"}, "'.a' is not a key"),
        ({"": "1"}, "'' is not a key"),
        ({"a": "[1, 2"}, "value of 'a', line 1: "),
        ({"a": "{b: 1, b: 2}"}, "value of 'a', line 1: duplicate key 'b'"),
        ({"a": "9" * 5000}, "value of 'a': nested too deeply, or a number too long"),
    ],
)
def test_bad_overrides(overrides: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        apply_overrides({"seed": 3, "list": [1], "a": {"b": 1}}, overrides)
    assert words in str(caught.value)


def test_from_command_line_to_configuration() -> None:
    args = ["--env.id=x", "--algorithm.hidden", "[32, 32]", "--algorithm.target-kl", "1e-2", "--env.cameras", "off"]
    run = parse(Run, apply_overrides({}, parse_cli_overrides(args)))
    assert run == Run(env=Env(id="x", cameras=False), algorithm=Algorithm(hidden=(32, 32), target_kl=0.01))
