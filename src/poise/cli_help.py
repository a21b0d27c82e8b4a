"""The command line's own half of `argparse`: errors of one sentence, and a help that lists every configuration key."""

from __future__ import annotations

import argparse
import difflib
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from poise.errors import InvalidValueError, did_you_mean

_WIDTH, _COLUMN = 110, 45
_SLIP = 0.8  # likeness of words, as difflib counts it; '--seed' and '--resume' have 0.57
_TYPES = {int: "INT", float: "NUMBER", str: "TEXT", bool: "BOOL", dict: "{key: value}"}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with the nearest known option, instead of printing the usage."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raise `InvalidValueError`; argparse itself would print and leave the process."""
        command = f"'{self.prog} --help'"
        if message.startswith("the following arguments are required: "):
            raise InvalidValueError(f"{self.prog} needs {message.split(': ')[1]}; {command} explains it")
        raise InvalidValueError(f"{message.removeprefix('argument ')}; {command} lists what can be given")

    def parse_all(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse arguments; one that is not known is refused with the nearest that is."""
        known, unknown = self.parse_known_args(arguments)
        if unknown:
            word = unknown[0].partition("=")[0]
            kind = "option" if word.startswith("-") else "argument"
            hint = did_you_mean(word, self._option_string_actions)
            raise InvalidValueError(f"unknown {kind} '{word}'{hint}; '{self.prog} --help' lists what can be given")
        return known

    def announce_settings(self) -> None:
        """Show in the usage line that settings may follow."""
        self.usage = self.format_usage().removeprefix("usage: ").strip() + " [--key value ...]"

    def split_settings(self, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
        """This parser's own arguments, and the `--key value` pairs that set a configuration.

        argparse would take the value of an option it does not know for a positional argument.
        """
        own, settings, remaining = list[str](), list[str](), list(arguments)
        while remaining:
            word = remaining.pop(0)
            flag, equals, _ = word.partition("=")
            action = self._option_string_actions.get(flag)
            is_setting = action is None and flag.startswith("--") and flag != "--"
            target = settings if is_setting and not self._is_slip(flag) else own
            target.append(word)
            takes_value = flag.startswith("-") and not equals and (action is None or action.nargs != 0)
            if takes_value and remaining and not remaining[0].startswith("--"):
                target.append(remaining.pop(0))
        return own, settings

    def _is_slip(self, flag: str) -> bool:
        """Whether a flag is rather one of the parser's own options, mistyped, than a setting such as `--seed`."""
        own = difflib.get_close_matches(flag, self._option_string_actions, n=1, cutoff=_SLIP)
        return bool(own)


def overview(verbs: Mapping[str, str]) -> str:
    """What `poise --help` prints: every verb with its summary."""
    lines = [f"  {name:<10} {summary}" for name, summary in verbs.items()]
    start = ["usage: poise VERB ...   ('poise VERB --help' explains a verb)", ""]
    return "\n".join([*start, *lines, "", "  --version  print the version", "", "start with: poise demo"])


def epilog(settings: str, examples: str) -> str:
    """What follows the options in a verb's help: its settings and examples, where it has any."""
    shown = ["examples:", *examples.splitlines()] if examples else []
    return "\n\n".join(part for part in (settings, "\n  ".join(shown)) if part)


def describe_settings(
    model: type[BaseModel], prefix: str = "", title: str = "settings:", defaults: BaseModel | None = None
) -> str:
    """Every key of a configuration with its type, default and meaning, grouped by the mapping it stands in."""
    own, groups = [], []
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        default = field.default if defaults is None else getattr(defaults, name)
        nested = _nested(field.annotation)
        if not nested or not isinstance(default, BaseModel):
            own.append(_entry(f"--{key}", _type_name(field.annotation), field, default))
        for alternative in nested:
            summary = (alternative.__doc__ or "").strip().partition("\n")[0]
            inner = default if isinstance(default, alternative) else None
            which = f" with name {_shown(alternative.model_fields['name'].annotation)}" if len(nested) > 1 else ""
            place = f"{key}.NAME" if get_origin(field.annotation) is dict else key
            groups.append(describe_settings(alternative, f"{place}.", f"{place}{which}: {summary}", inner))
    whole = "\n\n".join(["\n".join([title, *own]), *groups] if own else groups)
    return "\n\n".join(dict.fromkeys(whole.split("\n\n")))  # what alternatives share is told once


def _entry(flag: str, kind: str, field: FieldInfo, default: Any) -> str:
    """One key: `  --algorithm.gamma NUMBER   discount factor (0.99)`."""
    head = f"  {flag} {kind}"
    note = "(required)" if field.is_required() else "" if field.default_factory else f"({_shown(default)})"
    lines = textwrap.wrap(f"{field.description or ''} {note}", _WIDTH - _COLUMN - 1) or [""]
    if len(head) < _COLUMN:
        lines[0] = f"{head:<{_COLUMN}} {lines[0]}"
        rest = lines[1:]
    else:
        rest, lines = lines, [head]
    return "\n".join([lines[0], *(f"{'':<{_COLUMN}} {line.strip()}" for line in rest)])


def _shown(value: Any) -> str:
    """A default as one would write it on the command line."""
    if get_origin(value) is Literal:
        return str(get_args(value)[0])
    if isinstance(value, BaseModel):
        return f"{{{', '.join(f'{name}: {_shown(part)}' for name, part in value if name in value.model_fields_set)}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _type_name(annotation: Any) -> str:
    """`int | None` to `INT`; `tuple[int, ...]` to `[INT, ...]`; the choices themselves for a Literal."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin in (Union, UnionType):
        return "|".join(_type_name(member) for member in arguments if member is not NoneType)
    if origin is tuple:
        return f"[{', '.join('...' if member is Ellipsis else _type_name(member) for member in arguments)}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        names = ", ".join(annotation.model_fields)
        return f"{{{names if len(names) <= 60 else '...'}}}"
    return _TYPES.get(origin or annotation, "VALUE")


def _nested(annotation: Any) -> list[type[BaseModel]]:
    """The configuration classes, of which one must stand there, or null; none where other things may, too.

    Of a mapping of names to configurations, those.
    """
    if get_origin(annotation) is Annotated:
        return _nested(get_args(annotation)[0])
    if get_origin(annotation) is dict:
        return _nested(get_args(annotation)[1])
    if get_origin(annotation) in (Union, UnionType):
        members = [_nested(member) for member in get_args(annotation) if member is not NoneType]
        return [found for member in members for found in member] if all(members) else []
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def whole(least: int) -> Callable[[str], int]:
    """A type for `add_argument`: whole numbers from `least` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, got '{text}'")
        return number

    return read


def positive(text: str) -> float:
    """A type for `add_argument`: numbers above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got '{text}'")
    return number


def add_out(parser: Parser, kind: str, default: Path, meaning: str) -> None:
    """`--out`, a DIR or a FILE."""
    parser.add_argument(
        "--out", metavar=kind, type=Path, default=default, help=f"{meaning} (default: {default.as_posix()})"
    )
