"""What was found inside a policy, in numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from poise.fusion.scales import Dwarfed
from poise.inspection.groups import Groups
from poise.inspection.reconstruction import Redrawn
from poise.inspection.recording import Record
from poise.inspection.silencing import Instead
from poise.training.evaluation import Evaluation
from poise.training.statistics import Interval, mean_interval


class Statistics(NamedTuple):
    """Of a group's features, over an evaluation.

    Attributes:
        numbers: how many features.
        mean: of all of them.
        spread: their standard deviation over time and robots, root mean square of the features'.
        rms: their root mean square.
        constant: share of the features that never change.
        dead: share that are never anything but zero.
    """

    numbers: int
    mean: float
    spread: float
    rms: float
    constant: float
    dead: float


class Sensed(NamedTuple):
    """Of a component as it was sensed, over an evaluation.

    Attributes:
        numbers: how many.
        mean, std: of all samples of all numbers.
        least, greatest: of them.
        at_limit: share of them at a limit of the sensor, or, of a frozen encoder's codes, within 1 % of one.
        shift: root mean square distance of the means from those of the training, in its standard deviations; None where
            nothing was normalised.
    """

    numbers: int
    mean: float
    std: float
    least: float
    greatest: float
    at_limit: float
    shift: float | None


class Silence(NamedTuple):
    """What silencing did.

    Attributes:
        name: of what was silenced.
        instead: what the policy was told in its place.
        evaluation: of the same seeds.
        lost: mean return lost, episode by episode on the same seeds.
        interval: of that, 95 %.
    """

    name: str
    instead: Instead
    evaluation: Evaluation
    lost: float
    interval: Interval


@dataclass(frozen=True)
class Findings:
    """Everything that a page of a policy tells.

    Attributes:
        groups: what is told apart.
        intact: the policy as it is.
        silences: what it is worth without.
        sensed: by component.
        features: by group.
        dwarfed: modalities whose features are much smaller than others'.
        gradient: {group: share}; see `gradient_shares`.
        attention: {modality: share} of what the fusion looks at; empty where nothing attends.
        tokens: {modality: (n,)} the same by token.
        reconstructions: by camera.
        record: of the evaluation.
        step_seconds: time between decisions; None if the environment does not say.
        fusion: name of the way of fusing; None without.
        grids: {modality: (rows, columns)} of the places of an image that are tokens of their own.
        constants: numbers that never changed while they were sensed.
    """

    groups: Groups
    intact: Evaluation
    silences: list[Silence]
    sensed: dict[str, Sensed]
    features: dict[str, Statistics]
    dwarfed: list[Dwarfed]
    gradient: dict[str, float]
    attention: dict[str, float]
    tokens: dict[str, list[float]]
    reconstructions: dict[str, Redrawn]
    record: Record
    step_seconds: float | None
    fusion: str | None
    grids: dict[str, tuple[int, int]]
    constants: list[str]

    def to_json(self) -> dict[str, Any]:
        """All numbers, without values JSON does not know."""
        return {
            "by": self.groups.by,
            "fusion": self.fusion,
            "groups": {
                name: list(dict.fromkeys(part.name for part in group.components))
                for name, group in self.groups.members.items()
            },
            "intact": self.intact.to_json(),
            "silenced": [
                {
                    "name": each.name,
                    "instead": each.instead,
                    "return_lost": finite({"mean": each.lost, "low": each.interval.low, "high": each.interval.high}),
                    **each.evaluation.to_json(),
                }
                for each in self.silences
            ],
            "sensed": {name: finite(each._asdict()) for name, each in self.sensed.items()},
            "features": {name: finite(each._asdict()) for name, each in self.features.items()},
            "constant": self.constants,
            "dwarfed": [finite(each._asdict()) for each in self.dwarfed],
            "gradient_share": finite(self.gradient),
            "attention_share": finite(self.attention),
            "attention_by_token": self.tokens,
            "reconstructions": {
                name: finite({key: value for key, value in each._asdict().items() if key != "draw"})
                for name, each in self.reconstructions.items()
            },
            "episode": self._episode(),
        }

    def _episode(self) -> dict[str, Any]:
        """The first one, over time."""
        shares = gradient_over_time(self.record, self.groups)
        return {
            "seed": self.intact.seed,
            "seconds_per_decision": self.step_seconds,
            "decision": [moment.decision for moment in self.record.moments],
            "gradient_share": {name: finite(values.tolist()) for name, values in shares.items()},
            "attention_share": {name: values.tolist() for name, values in attention_over_time(self.record).items()},
        }


def statistics(record: Record, groups: Groups) -> dict[str, Statistics]:
    """Of each group's features where modalities meet."""
    result = {}
    for name, group in groups.members.items():
        known = record.features
        mean, var, square, constant, dead = (
            group.columns({key: getattr(value, part) for key, value in known.items()})
            for part in ("mean", "var", "square", "constant", "dead")
        )
        shares = float(constant.mean()), float(dead.mean())
        rms = float(np.sqrt(square.mean()))
        result[name] = Statistics(len(mean), float(mean.mean()), float(np.sqrt(var.mean())), rms, *shares)
    return result


def gradient_shares(record: Record, groups: Groups) -> dict[str, float]:
    """{group: share} of how far each would move the actions, were its features alone to vary as they do.

        strength = sqrt(sum over actions a and features i of E[(da/df_i)²] sd(f_i)²),      divided by the sum of all

    For a linear policy and features that do not depend on each other it is the standard deviation of a group's part of
    the actions, of several actions the root of the sum of squares.
    """
    squares = record.mean_squares()
    weighted = {name: squares[name] * moments.var for name, moments in record.features.items()}
    strengths = {name: math.sqrt(float(group.columns(weighted).sum())) for name, group in groups.members.items()}
    return _shares(strengths)


def gradient_over_time(record: Record, groups: Groups) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """{group: (T,)} the same at each decision of the robot that is shown."""
    variances = {name: moments.var for name, moments in record.features.items()}
    rows: dict[str, list[float]] = {name: [] for name in groups.members}
    for moment in record.moments:
        weighted = {name: moment.squares[name].astype(np.float64) * var for name, var in variances.items()}
        strengths = {name: math.sqrt(float(group.columns(weighted).sum())) for name, group in groups.members.items()}
        for name, share in _shares(strengths).items():
            rows[name].append(share)
    return {name: np.array(values) for name, values in rows.items()}


def attention_over_time(record: Record) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """{modality: (T,)} what the fusion looks at, at each decision of the robot that is shown."""
    if not record.attention:
        return {}
    return {
        name: np.array([moment.weights[name].sum(dtype=np.float64) for moment in record.moments])
        for name in record.attention
    }


def silence(name: str, instead: Instead, intact: Evaluation, evaluation: Evaluation) -> Silence:
    """Compare evaluations of the same seeds, episode by episode."""
    lost = np.subtract(intact.returns, evaluation.returns)
    return Silence(name, instead, evaluation, float(lost.mean()), mean_interval(lost))


def finite(value: Any) -> Any:
    """Without numbers that JSON does not know, which become null."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shares(strengths: Mapping[str, float]) -> dict[str, float]:
    """Divided by their sum; not a number where all are zero."""
    total = sum(strengths.values())
    return {name: strength / total if total > 0 else math.nan for name, strength in strengths.items()}
