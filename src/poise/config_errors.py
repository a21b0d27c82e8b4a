"""pydantic's complaints, told in the words of someone who wrote a YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from poise.errors import did_you_mean

Location = tuple[int | str, ...]

# pydantic error type -> what to say after the key; `{name}` is taken from the error's context.
_EXPECTED = {
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "too_short": "must have at least {min_length} of them",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}


def describe(error: ValidationError, cls: type[BaseModel], mapping: Mapping[str, Any], where: str) -> str:
    """All problems of `mapping` as a `cls`, in one paragraph that starts with `where`, unless that is empty."""
    problems = list(dict.fromkeys(_problems(error.errors(include_url=False), cls, mapping)))
    if len(problems) == 1:
        return f"{where}: {problems[0]}" if where else problems[0]
    return f"{f'{where} has' if where else 'there are'} {len(problems)} problems: " + "; ".join(
        f"({number}) {problem}" for number, problem in enumerate(problems, start=1)
    )


def _problems(details: list[ErrorDetails], cls: type[BaseModel], mapping: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each mistake. Of a value that may be of several kinds, pydantic says what it lacks to be each."""
    by_key: dict[str, list[ErrorDetails]] = {}
    for detail in details:
        by_key.setdefault(_key(detail["loc"], mapping), []).append(detail)
    for key, here in by_key.items():
        unfit = [detail for detail in here if detail["type"] in _EXPECTED]
        closer = [detail for detail in here if detail["type"] not in _EXPECTED]
        is_of_a_kind = closer or any(other.startswith((f"{key}.", f"{key}[")) for other in by_key)
        if unfit and not is_of_a_kind:
            yield _fits_nothing(key, unfit, cls) if len(unfit) > 1 else _problem(unfit[0], cls, mapping)
        yield from (_problem(detail, cls, mapping) for detail in closer)


def _fits_nothing(key: str, details: list[ErrorDetails], cls: type[BaseModel]) -> str:
    """The sentence for a value that is of none of the kinds it may be of."""
    first, *others = dict.fromkeys(_kind(detail, cls) for detail in details)
    alternatives = "".join(f" or {kind.removeprefix('be ')}" for kind in others)
    return f"{key} must {first}{alternatives}, got {_shown(details[0]['input'])}"


def _kind(detail: ErrorDetails, cls: type[BaseModel]) -> str:
    """What a value was expected to be, after `must`; a mapping by the name of its class and the keys that it needs."""
    models = _models_at(cls, detail["loc"])
    if detail["type"] not in ("model_type", "model_attributes_type") or len(models) != 1:
        return _EXPECTED[detail["type"]].format(**detail.get("ctx", {})).removeprefix("must ")
    needed = {name: field.annotation for name, field in models[0].model_fields.items() if field.is_required()}
    keys = [f"{name}: {'[...]' if get_origin(kind) in (tuple, list) else '...'}" for name, kind in needed.items()]
    return f"be a {models[0].__name__.lower()} {{{', '.join(keys)}}}"


def _problem(detail: ErrorDetails, cls: type[BaseModel], mapping: Mapping[str, Any]) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    key = _key(detail["loc"], mapping)
    if kind in ("extra_forbidden", "invalid_key"):
        return _unknown_key(key, detail["loc"], cls)
    if kind == "missing":
        return f"missing key '{_dotted(_key(detail['loc'][:-1], mapping), detail['loc'][-1])}'"
    if kind in ("value_error", "assertion_error"):
        return _complaint(key, str(context["error"]), value)
    if kind == "union_tag_invalid":
        choices, tag = context["expected_tags"], context["tag"]
        discriminator = context["discriminator"]  # a key in quotes, or a function of ours that looks at `name`
        told_by = discriminator.strip("'") if discriminator.startswith("'") else "name"
        hint = did_you_mean(tag, choices.split("'")[1::2])
        return f"{key}.{told_by} must be one of {choices}, got {_shown(tag)}{hint}"
    if kind == "union_tag_not_found":
        told_by = context["discriminator"].strip("'")
        models = _models_at(cls, detail["loc"])
        names = [name for model in models for name in get_args(model.model_fields[told_by].annotation)]
        return f"{key}.{told_by} must be one of {', '.join(map(repr, names))}, and is missing"
    if kind in _EXPECTED:
        expected = _EXPECTED[kind].format(**context)
    else:
        expected = detail["msg"].replace("Input should", "must").replace("must be a valid", "must be a")
    is_choice = kind in ("literal_error", "enum") and isinstance(value, str)
    hint = did_you_mean(value, expected.split("'")[1::2]) if is_choice else ""
    return f"{key} {expected}, got {_shown(value)}{hint}"


def _complaint(key: str, message: str, value: Any) -> str:
    """What a validator of ours said: `must be even` becomes `env.grid must be even, got 5`."""
    if not key:
        return message
    if not message.startswith("must "):
        return f"{key}: {message}"
    got = "" if "got " in message or isinstance(value, (Mapping, BaseModel)) else f", got {_shown(value)}"
    return f"{key} {message}{got}"


def _unknown_key(key: str, location: Location, cls: type[BaseModel]) -> str:
    """The sentence for a key that no class knows: its neighbours' names, or what or where it does go with."""
    name = str(location[-1])
    known = sorted({field for model in _models_at(cls, location[:-1]) for field in model.model_fields})
    elsewhere = next((path for path in _paths(cls) if path.split(".")[-1] == name and path != key), None)
    hint = _of_other_kinds(key, location, cls)
    hint = hint or (f"; did you mean '{elsewhere}'?" if elsewhere else did_you_mean(name, known) or ".")
    return f"unknown key '{key}'{hint} Known keys: {', '.join(known)}"


def _of_other_kinds(key: str, location: Location, cls: type[BaseModel]) -> str:
    """The clause for a key that its mapping has with another `name`, as is left when the name alone is changed."""
    if len(location) < 2:
        return ""
    *above, chosen, name = location
    siblings = _models_at(cls, tuple(above))
    told_by = next((field for model in siblings for field in model.model_fields if _only(model, field) == chosen), None)
    others = [_only(model, told_by) for model in siblings if told_by and name in model.model_fields]
    if not others:
        return ""
    return (
        f", which goes with {told_by} {' or '.join(map(repr, others))} and not with '{chosen}'; remove it, or set all "
        f'of {key.rpartition(".")[0]} anew: "{{{told_by}: {chosen}}}".'
    )


def _only(model: type[BaseModel], field: str) -> Any:
    """What a field must always be, if there is but one thing: such tell the members of a union apart."""
    annotation = model.model_fields[field].annotation if field in model.model_fields else None
    values = get_args(annotation) if get_origin(annotation) is Literal else ()
    return values[0] if len(values) == 1 else None


def _key(location: Location, mapping: Any) -> str:
    """The dotted key of an error. pydantic's locations also name the member of a union, which nobody wrote."""
    key, place = "", mapping
    for index, part in enumerate(location):
        if isinstance(place, Mapping) and part in place:
            key, place = _dotted(key, part), place[part]
        elif isinstance(place, (list, tuple)) and isinstance(part, int):
            key, place = f"{key}[{part}]", place[part] if part < len(place) else None
        elif index == 0:
            key = str(part)  # a default that fails its own check is nowhere in the mapping
    return key


def _dotted(key: str, part: int | str) -> str:
    return f"{key}.{part}" if key else str(part)


def _models_at(cls: type[BaseModel], location: Location) -> list[type[BaseModel]]:
    """The classes that may stand at `location`; more than one below a union."""
    models = [cls]
    for part in location:
        below = [
            found
            for model in models
            if part in model.model_fields
            for found in _models_in(model.model_fields[str(part)].annotation)
        ]
        chosen = [model for model in models if part in _tags(model)]
        models = below or chosen or models
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _tags(model: type[BaseModel]) -> set[Any]:
    """How pydantic names a member of a union: by its class, or by the value of its discriminating field."""
    tags: set[Any] = {model.__name__}
    for field in model.model_fields.values():
        tags |= set(get_args(field.annotation)) if get_origin(field.annotation) is Literal else set()
    return tags


def _paths(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in cls.model_fields.items():
        yield prefix + name
        for model in _models_in(field.annotation):
            if model is not cls:
                yield from _paths(model, f"{prefix}{name}.")


def _shown(value: Any) -> str:
    """A value as YAML would write it, cut to a readable length."""
    text = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
