"""What can be chosen about the ballbot's task. The defaults are those of the data sheet."""

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from poise.config import Config
from poise.errors import did_you_mean
from poise.language.vocabulary import DIRECTIONS, SPEEDS, Split
from poise.sim.terrain import TerrainOptions


class RewardOptions(Config):
    """Weights of the reward's terms, each counted once per time step of the physics."""

    directional: float = Field(0.01, description="per m/s of the base along the goal")
    effort: float = Field(0.0001, ge=0, description="cost per squared norm of the action")
    survival: float = Field(0.02, ge=0, description="for each step within the tilt limit")
    failure: float = Field(0.0, ge=0, description="cost of an episode that ends before its step limit, paid once")
    top_speed: float | None = Field(
        None, gt=0, description="speed along the goal that pays most, m/s; beyond it the pay falls as it rose"
    )


class GoalOptions(Config):
    """Where to go: one direction, a new one every episode, or one commanded from outside through `set_goal`."""

    kind: Literal["fixed", "sampled", "commanded"] = Field(
        "fixed", description="one direction, a new one for each episode, or set_goal's"
    )
    direction: tuple[float, float] = Field(
        (0.0, 1.0), description="of a fixed goal, and a commanded one's first; x and y, world frame"
    )
    observed: bool | None = Field(
        None, description="add it to the observation as 'goal'; by default unless it is fixed"
    )
    distance: float | None = Field(
        None,
        gt=0,
        description="along the goal from the map's centre, m: an episode ends there, and only that is a success; "
        "by default lasting to the step limit is",
    )

    @field_validator("direction")
    @classmethod
    def _not_zero(cls, direction: tuple[float, float]) -> tuple[float, float]:
        if not any(direction):
            raise ValueError("must not be (0, 0): a direction has a length")
        return direction

    @property
    def is_observed(self) -> bool:
        """Whether the observation holds the goal."""
        return self.kind != "fixed" if self.observed is None else self.observed


class InstructionOptions(Config):
    """Where to go and how fast, told in plain English: the goal and its speed are those of a sentence's."""

    enabled: bool = Field(False, description="add the sentence's embedding to the observation as 'instruction'")
    split: Split = Field(
        "train",
        description="whose sentences are drawn; no wording of one occurs in another, but those of two in the last",
    )
    directions: tuple[str, ...] = Field(DIRECTIONS, min_length=1, description="that are drawn, of the compass")
    paces: tuple[str, ...] = Field(tuple(SPEEDS), min_length=1, description="that are drawn: 0.1, 0.2, 0.3 m/s")
    stop: float = Field(0.1, ge=0, le=1, description="share of the episodes whose instruction is to stand still")
    text: str | None = Field(None, min_length=1, description="one sentence for all episodes, in words of your own")
    noise: float = Field(
        0.0, ge=0, description="standard deviation of noise on each number of the embedding, whose mean square is 1"
    )
    reword: float = Field(
        0.0, ge=0, le=1, description="share of the steps in which other words for the same take a sentence's place"
    )
    command: bool = Field(
        False, description="add what it says to the observation as 'command', m/s, for critics and what estimates it"
    )
    compass: bool | None = Field(
        None, description="add where north is, as 'compass'; by default where frame 'heading' does not tell"
    )

    @model_validator(mode="after")
    def _heard(self) -> Self:
        if self.text is not None and not self.enabled:
            raise ValueError(f"text is told with enabled: true only, got '{self.text}'")
        return self

    @field_validator("directions", "paces")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known: tuple[str, ...] = DIRECTIONS if info.field_name == "directions" else tuple(SPEEDS)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"must be of {', '.join(known)}, got '{unknown[0]}'{did_you_mean(unknown[0], known)}")
        return names


class RetryOptions(Config):
    """Falls that are followed by an episode which begins shortly before the fall, on the same terrain.

    Such an episode has all its steps before it, and does not count in `terrain.episodes_per_terrain`.
    """

    share: float = Field(0.0, ge=0, le=1, description="of the falls; the others are followed by a start as usual")
    shortest: float = Field(0.4, ge=0, description="time before the fall, s, at least, drawn between this ...")
    longest: float = Field(1.6, gt=0, le=60, description="... and this; where so much has not passed, a usual start")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must not exceed longest ({self.longest})")
        return self


class StartOptions(Config):
    """How an episode starts: upright, at rest and facing along x, or spread about that."""

    tilt: float = Field(
        0.0, ge=0, lt=90, description="largest initial tilt, degrees; direction and size drawn uniformly"
    )
    yaw: float = Field(0.0, ge=0, le=180, description="largest initial heading either way, degrees")
    speed: float = Field(0.0, ge=0, description="largest initial horizontal speed of robot and ball, m/s")
    share: float = Field(1.0, ge=0, le=1, description="of the episodes that start spread; the others start upright")
    retry: RetryOptions = RetryOptions()


Camera = Literal["rgbd_0", "rgbd_1"]
CAMERAS: tuple[Camera, Camera] = ("rgbd_0", "rgbd_1")


class FaultOptions(Config):
    """How often a camera has a fault, and when."""

    share: float = Field(0.0, ge=0, le=1, description="of the episodes in which a camera has it, each camera apart")
    cameras: tuple[Camera, ...] = Field(CAMERAS, description="that can have it")
    onset: tuple[float, float] = Field((0.0, 0.0), description="when it begins, s: drawn between the two")
    duration: float | None = Field(None, gt=0, description="s; null for the rest of the episode")

    @field_validator("onset")
    @classmethod
    def _in_order(cls, onset: tuple[float, float]) -> tuple[float, float]:
        if not 0.0 <= onset[0] <= onset[1]:
            raise ValueError(f"must be [earliest, latest] of at least 0, got {list(onset)}")
        return onset


class NoiseFaultOptions(FaultOptions):
    """A fault that makes images noisy."""

    std: float = Field(0.1, ge=0, description="standard deviation of the depth, m")


class CameraFaultOptions(Config):
    """What befalls cameras. Of dropouts alone the robot is told, by `missing_cameras`, (2,) ones where there is one."""

    dropout: FaultOptions = FaultOptions()
    freeze: FaultOptions = FaultOptions()
    noise: NoiseFaultOptions = NoiseFaultOptions()


class CameraOptions(Config):
    """The two depth cameras."""

    enabled: bool = Field(True, description="whether robots have them; false leaves them blind")
    height: int = Field(64, ge=4, le=1024, description="pixels")
    width: int = Field(64, ge=4, le=1024, description="pixels")
    rate: float = Field(
        90.0, gt=0, description="frames a second asked for; a new image comes with the first step that is due"
    )
    max_depth: float = Field(1.0, gt=0, description="clip, m")
    rgb: bool = Field(False, description="4 channels (red, green, blue, depth) through MuJoCo's renderer; needs OpenGL")
    stack: int = Field(
        1, ge=1, le=32, description="images of each camera that are told, along the channels, the latest first"
    )
    lag: float = Field(0.0, ge=0, le=2, description="between the moment an image shows and its arrival, s")
    faults: CameraFaultOptions = CameraFaultOptions()


class HeightScanOptions(Config):
    """Ground heights around the robot, told as they are: for critics and teachers, no robot has them."""

    enabled: bool = Field(False, description="add them to the observation as 'heights'")
    size: int = Field(7, ge=1, le=65, description="points along each side of a square grid centred below the ball, odd")
    spacing: float = Field(0.1, gt=0, le=1, description="distance of neighbouring points, m")

    @field_validator("size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"must be odd, so that a point lies below the ball, got {size}")
        return size


ENGAGING_BLOCK = "engaging_block"
"""Name of the component that tells the field ahead."""


class FieldAheadOptions(Config):
    """The field of a course ahead as `engaging_block`, one-hot: flat, rough, uphill, downhill."""

    enabled: bool = Field(False, description="add it to the observation; needs terrain.kind 'course'")
    distance: float = Field(0.2, ge=0, le=5, description="from the ball along y, m")
    signed: bool = Field(
        False, description="flat, rough, slope, and then the slope's rise, m, negative downhill, for a climb mutex"
    )


Felt = Literal["orientation", "angular_vel", "vel", "motor_state", "actions"]


class HistoryOptions(Config):
    """What was felt in the steps before, as further components `vel_history`, ..., (steps, 3), latest first."""

    steps: int = Field(0, ge=0, le=1000, description="steps of the environment before the present one; 0 for none")
    components: tuple[Felt, ...] = Field(("vel", "actions"), min_length=1, description="whose past is told")

    @property
    def kept(self) -> tuple[Felt, ...]:
        """Components whose past is told, if any is."""
        return tuple(dict.fromkeys(self.components)) if self.steps else ()


class NoiseOptions(Config):
    """Standard deviations of Gaussian sensor noise."""

    orientation: float = Field(0.0, ge=0, description="rad")
    angular_vel: float = Field(0.0, ge=0, description="rad/s")
    vel: float = Field(0.0, ge=0, description="m/s")
    motor_state: float = Field(0.0, ge=0, description="units of the observation, 10 rad/s")
    depth: float = Field(0.0, ge=0, description="m")


class PushOptions(Config):
    """Sudden changes of the base's horizontal velocity, to be recovered from."""

    speed: float = Field(0.0, ge=0, description="size of each push, m/s, in a direction drawn uniformly; 0 for none")
    interval: float = Field(2.0, gt=0, description="mean time between pushes, s")


class BallbotOptions(Config):
    """The ballbot's task."""

    terrain: TerrainOptions = TerrainOptions()
    rewards: RewardOptions = RewardOptions()
    goal: GoalOptions = GoalOptions()
    instruction: InstructionOptions = InstructionOptions()
    start: StartOptions = StartOptions()
    cameras: CameraOptions = CameraOptions()
    heights: HeightScanOptions = HeightScanOptions()
    field_ahead: FieldAheadOptions = FieldAheadOptions()
    history: HistoryOptions = HistoryOptions()
    noise: NoiseOptions = NoiseOptions()
    pushes: PushOptions = PushOptions()
    max_steps: int = Field(4000, ge=1, description="time steps of the physics after which an episode is truncated")
    max_tilt: float = Field(20.0, gt=0, le=90, description="tilt beyond which an episode ends, degrees")
    decimation: int = Field(1, ge=1, le=100, description="time steps of the physics for each action")
    action_increment: float | None = Field(
        None,
        gt=0,
        le=2,
        description="if given, an action of 1 raises the motors' command by this instead of setting it",
    )
    latency: int = Field(
        0, ge=0, le=100, description="actions that are under way before the motors obey, in steps of the environment"
    )
    frame: Literal["world", "heading"] = Field(
        "world", description="of orientation, velocity and goal: the world's, or turned with the robot's heading"
    )
    orientation: Literal["rotation_vector", "euler"] = Field(
        "rotation_vector", description="how orientation is given, rad"
    )
    timestep: float = Field(0.002, gt=0, le=0.01, description="of the physics, s")
    integrator: Literal["implicitfast", "rk4"] = Field(
        "implicitfast", description="of the physics; rk4, the finer one, costs 3-4 times as much"
    )

    @model_validator(mode="after")
    def _fields_are_there(self) -> Self:
        if self.field_ahead.enabled and self.terrain.kind != "course":
            raise ValueError("field_ahead tells the field of a course; set terrain.kind to 'course'")
        if self.field_ahead.enabled and self.goal.kind == "sampled":
            raise ValueError("field_ahead tells what is ahead along y, where fields change; set goal.kind to 'fixed'")
        return self

    @model_validator(mode="after")
    def _one_command(self) -> Self:
        if self.instruction.enabled and self.goal.kind != "fixed":
            raise ValueError(f"an instruction sets the goal; leave goal.kind at 'fixed', got '{self.goal.kind}'")
        if self.instruction.enabled and self.rewards.top_speed is not None:
            raise ValueError("an instruction sets the speed that pays most; set rewards.top_speed to null")
        if self.instruction.enabled and self.field_ahead.enabled:
            raise ValueError("field_ahead tells what is ahead along y, and an instruction may lead elsewhere")
        return self

    @property
    def tells_compass(self) -> bool:
        """Whether the observation holds where north is."""
        told = self.instruction.compass
        return self.instruction.enabled and (self.frame == "heading" if told is None else told)

    @property
    def knows_goal(self) -> bool:
        """Whether what is sensed tells where to go: the goal itself, or a fixed one in the frame it is fixed in."""
        fixed = self.goal.kind == "fixed" and not self.instruction.enabled
        return self.goal.is_observed or (fixed and self.frame == "world")

    @property
    def control_step(self) -> float:
        """Time between actions, s."""
        return self.timestep * self.decimation
