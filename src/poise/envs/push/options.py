"""What can be chosen about the push task."""

from typing import Self

from pydantic import Field, model_validator

from poise.config import Config

CONTROL_STEP = 0.04
"""Time between two decisions, s: panda-gym's."""

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""


class PushCameraOptions(Config):
    """The camera, beside the arm and over its shoulder, from where the hand hides the cube and its goal least."""

    enabled: bool = Field(True, description="add its picture to the observation as 'image'")
    height: int = Field(84, ge=8, le=1024, description="of the picture, pixels")
    width: int = Field(84, ge=8, le=1024, description="of the picture, pixels")
    distance: float = Field(0.8, gt=0.1, description="from what it looks at, m")
    yaw: float = Field(-45.0, description="about the vertical, degrees; 90 faces the arm, -90 looks as it does")
    pitch: float = Field(-25.0, ge=-90, le=90, description="degrees; -90 looks straight down")
    field_of_view: float = Field(37.0, gt=0, lt=170, description="vertical, degrees")
    target: tuple[float, float, float] = Field((-0.05, -0.05, 0.03), description="what it looks at, world frame, m")
    arm: bool = Field(
        False,
        description="draw the whole arm and not its hand alone, which takes five times as long, mostly off picture",
    )


class PushColourOptions(Config):
    """Colours that tell things apart; the task's own cube and goal are of one green."""

    cube: Colour = Field((0.1, 0.2, 0.9), description="of what is pushed")
    goal: Colour = Field((0.1, 0.9, 0.1), description="of where it is to go")
    hand: Colour = Field((0.9, 0.1, 0.1), description="of what pushes")
    table: Colour = Field((0.6, 0.6, 0.6), description="of what all stands on")


class PushCorruptionOptions(Config):
    """What is wrong with the pictures, drawn anew for each episode: to be tested, or to be trained with."""

    distractor: bool = Field(False, description="another cube, magenta, is seen on the table, and not touched")
    occlusion: float = Field(0.0, ge=0, lt=1, description="side of a grey square that hides a part, of the picture's")
    brightness: float = Field(0.0, ge=0, lt=1, description="largest change, either way, as a share")
    shift: float = Field(0.0, ge=0, description="largest shift of the camera along each axis, m")
    noise: float = Field(0.0, ge=0, description="standard deviation of noise on each value, of full scale")


class PushOptions(Config):
    """The push task."""

    max_steps: int = Field(50, ge=1, description="of an episode, 0.04 s each")
    allow_solved: bool = Field(
        False,
        description="let episodes start with the cube at its goal, as some 3 to 6 % would; else starts are redrawn",
    )
    camera: PushCameraOptions = PushCameraOptions()
    colours: PushColourOptions = PushColourOptions()
    corruptions: PushCorruptionOptions = PushCorruptionOptions()

    @property
    def control_step(self) -> float:
        """Time between two decisions, s."""
        return CONTROL_STEP

    @model_validator(mode="after")
    def _corrupts_something(self) -> Self:
        chosen = self.corruptions.model_dump(exclude_defaults=True)
        if chosen and not self.camera.enabled:
            raise ValueError(f"corruptions.{next(iter(chosen))} needs camera.enabled: there is no picture to corrupt")
        return self
