"""Typed configuration: YAML in, a checked pydantic model out, and one readable sentence when they do not fit.

`load_yaml` and `parse_cli_overrides` read what the user wrote, `apply_overrides` merges them, `parse` checks the result
against a `Config`, and `save_yaml` writes it back resolved.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from poise.config_errors import describe
from poise.errors import InvalidValueError, MissingFileError, did_you_mean
from poise.files import explained, write_atomically

BASE = "base"
"""Key of the file that a configuration rests on."""

LARGEST_CONFIGURATION = 4 << 20  # bytes; whatever is larger is a model or a log offered by mistake


class Config(BaseModel):
    """Base of every configuration: unknown keys refused, values immutable, defaults checked, infinities refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
        ser_json_inf_nan="constants",  # else infinities among free options would be saved as null
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_truth_as_number(cls, values: Any) -> Any:
        """`num_envs: true` is a slip of the pen, though Python would count it as one robot: it is read as text."""
        if not isinstance(values, Mapping):
            return values
        numeric = {name for name, field in cls.model_fields.items() if _is_numeric(field.annotation)}
        return {
            name: str(value).lower() if name in numeric and isinstance(value, bool) else value
            for name, value in values.items()
        }


def _is_numeric(annotation: Any) -> bool:
    kinds = set(_alternatives(annotation))
    return bool(kinds & {int, float}) and bool not in kinds


def _alternatives(annotation: Any) -> Iterator[Any]:
    """`Annotated[int, Gt(0)] | None` to `int, NoneType`."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


C = TypeVar("C", bound=Config)


def parse(cls: type[C], mapping: Mapping[str, Any], where: str = "configuration") -> C:
    """Check `mapping` against the configuration `cls`. `where` names its origin in the error, e.g. the file's path."""
    if not isinstance(mapping, Mapping):
        raise InvalidValueError(f"{where}: expected a mapping of keys to values, got {type(mapping).__name__}")
    try:
        return cls.model_validate(dict(mapping))
    except ValidationError as error:
        raise InvalidValueError(describe(error, cls, mapping, where)) from None


# --- YAML ---------------------------------------------------------------------------------------------------------
# PyYAML follows YAML 1.1, where `1e-3` is text, `on` is true, `012` is ten and `1:30` is ninety. These are the rules of
# YAML 1.2 instead, with underscores allowed between digits (`total_steps: 1_000_000`).

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (rf"[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        rf"[-+]?(?:\.{_DIGITS}|{_DIGITS}\.(?:{_DIGITS})?|{_DIGITS}(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    """Plain data with the scalars of YAML 1.2; keys are text as written, and none may stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a single word", problem_mark=key.start_mark)
            if key.value in mapping:
                raise yaml.MarkedYAMLError(problem=f"duplicate key '{key.value}'", problem_mark=key.start_mark)
            mapping[key.value] = self.construct_object(value, deep=deep)
        return mapping

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = node.value.replace("_", "")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        text = node.value.replace("_", "").lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))


class _Dumper(yaml.SafeDumper):
    """Block style, but lists of plain values on one line; nothing shared by alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Iterable[Any]) -> yaml.SequenceNode:
        plain = not any(isinstance(item, (list, dict)) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        rare_line_break = any(character in data for character in "\x85\u2028\u2029")  # PyYAML escapes it in quotes only
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if rare_line_break else None)


_Loader.yaml_implicit_resolvers = {}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_str)
for _name, (_pattern, _first) in _SCALARS.items():
    # The dumper keeps the rules of YAML 1.1 beside ours, so that it quotes what either version would misread.
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), _first)


def load_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML file that holds one mapping. Only plain data is built; tags that would name Python objects fail.

    With `base: other.yaml`, a path as seen from this file, it holds only what differs from another: mappings are
    merged key by key, everything else replaces what the other says, and so does a mapping whose `name` is another. A
    key set to null is as if the other had never set it.
    """
    return _load_with_base(Path(path), ())


def _load_with_base(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    document = _load_document(path)
    if BASE not in document:
        return document
    base = document.pop(BASE)
    if not isinstance(base, str):
        raise InvalidValueError(f"{path}: {BASE} must be the path of another configuration, got {base!r}")
    above = (*above, path.resolve())
    source = path.parent / base
    if source.resolve() in above:
        raise InvalidValueError(f"{path}: {BASE} leads back to {source}, which cannot rest on itself")
    try:
        return _merged(_load_with_base(source, above), document)
    except MissingFileError as error:
        raise MissingFileError(f"{path}, {BASE}: {error}") from None


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` put upon it, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        if value is None and key in base:
            del result[key]
        else:
            result[key] = _merged(result[key], value) if _same_kind(result.get(key), value) else value
    return result


def _same_kind(before: Any, after: Any) -> bool:
    """Whether these are mappings, of which one can be put upon the other."""
    both = isinstance(before, dict) and isinstance(after, dict)
    return both and after.get("name", before.get("name")) == before.get("name")


def _load_document(path: Path) -> dict[str, Any]:
    if not path.exists():
        here = did_you_mean(path.name, (other.name for other in path.parent.glob("*.yaml")))
        if not here and path.parts[:1] == ("configs",):
            here = "; those that come with poise are in the folder of its clone"
        raise MissingFileError(f"{path} does not exist; expected a YAML configuration file{here}")
    if not path.is_file():
        raise InvalidValueError(f"{path} is a folder; expected a YAML configuration file")
    with explained(f"read {path}"), path.open("rb") as file:
        content = file.read(LARGEST_CONFIGURATION + 1)
    if len(content) > LARGEST_CONFIGURATION:
        raise InvalidValueError(f"{path} is larger than {LARGEST_CONFIGURATION >> 20} MiB; expected a configuration")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidValueError(f"{path} is a binary file; expected a YAML configuration (UTF-8 text)")
    document = _read_yaml(text, str(path))
    if not isinstance(document, dict):
        found = "nothing" if document is None else f"a {type(document).__name__}"
        raise InvalidValueError(f"{path}: expected a mapping of keys to values ('key: value'), found {found}")
    return document


def _read_yaml(text: str, where: str) -> Any:
    try:
        document = yaml.load(text, _Loader)  # a SafeLoader: builds plain data only
    except yaml.MarkedYAMLError as error:
        raise InvalidValueError(f"{where}{_line(error.problem_mark)}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InvalidValueError(f"{where}: not valid YAML ({str(error).splitlines()[0]})") from None
    except (RecursionError, ValueError):
        raise InvalidValueError(f"{where}: nested too deeply, or a number too long, to be a configuration") from None
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):  # a few lines of them can stand for gigabytes
            place = where + _line(event.start_mark)
            raise InvalidValueError(f"{place}: the alias *{event.anchor} is not supported, write its value out")
    return document


def _line(mark: Any) -> str:
    return f", line {mark.line + 1}" if mark else ""


def save_yaml(path: Path | str, config: Config) -> None:
    """Write `config`, every field resolved, in the order of its class; `parse(cls, load_yaml(path))` equals it."""
    write_atomically(Path(path), to_yaml(config))


def to_yaml(config: Config) -> str:
    """The text `save_yaml` writes."""
    values = config.model_dump(mode="json")
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


# --- the command line ---------------------------------------------------------------------------------------------


def parse_cli_overrides(args: Sequence[str]) -> dict[str, str]:
    """`["--algorithm.learning-rate", "1e-3"]` to `{"algorithm.learning_rate": "1e-3"}`.

    `--key=value` and `--key value` mean the same, a negative number is a value, and a key given twice counts once, the
    last time, so that a script can append to a command.
    """
    overrides = {}
    remaining = list(args)
    while remaining:
        argument = remaining.pop(0)
        flag, equals, value = argument.partition("=")
        if not re.match(r"--[A-Za-z_]", flag):
            raise InvalidValueError(f"unexpected argument '{argument}'; settings are written '--key value'")
        if not equals:
            if not remaining or remaining[0].startswith("--"):
                raise InvalidValueError(f"'{flag}' needs a value; write '{flag} value'")
            value = remaining.pop(0)
        overrides[flag.removeprefix("--").replace("-", "_")] = value
    return overrides


def apply_overrides(mapping: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    """A copy of `mapping` with values replaced at dotted keys, e.g. `{"algorithm.gamma": "0.9"}`.

    A value that starts with a bracket, a brace or a quote is read as YAML; any other is one plain scalar, so that
    `note: this #1` needs no quoting. Missing parents are made. Null takes a mapping away, as it does in a file.
    """
    result = copy.deepcopy(dict(mapping))
    for dotted, text in overrides.items():
        *parents, last = dotted.split(".")
        if not all([*parents, last]):
            raise InvalidValueError(f"'{dotted}' is not a key; expected names joined by single dots, such as 'env.id'")
        place = result
        for depth, name in enumerate(parents, start=1):
            if place.get(name) is None:
                place[name] = {}
            place = place[name]
            if not isinstance(place, dict):
                parent = ".".join(parents[:depth])
                raise InvalidValueError(f"cannot set '{dotted}': '{parent}' is {place!r}, which holds no keys")
        value = _read_value(text, dotted)
        if value is None and isinstance(place.get(last), dict):
            del place[last]
        else:
            place[last] = value
    return result


def _read_value(text: str, key: str) -> Any:
    is_yaml = text.lstrip()[:1] in ("[", "{", '"', "'")
    if is_yaml or any(text and re.fullmatch(pattern, text) for pattern, _ in _SCALARS.values()):
        return _read_yaml(text, f"value of '{key}'")
    return text
