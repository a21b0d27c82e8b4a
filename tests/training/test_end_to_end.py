"""Images that the policy learns to encode: held once, encoded once, and otherwise as if every sample had its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import ballbot
from torch import Tensor, nn
from torch.testing import assert_close

from poise.config import parse
from poise.fusion.modalities import ImageTokens
from poise.nn.frames import Frames, dense
from poise.policies import Sensing
from poise.training.config import RunConfig
from poise.training.runner import Runner
from poise.training.runs import start_run

CONVOLUTIONS = {"channels": [4], "kernel_sizes": [4], "strides": [4]}
NETWORKS = {"actor": {"hidden_sizes": [8]}, "critic": {"hidden_sizes": [8]}}
POLICIES: dict[str, dict[str, Any]] = {
    "fusion": {"fusion": {"name": "concat", "images": CONVOLUTIONS}, "critic_encoders": "shared"},
    "encoders": {"encoders": {name: CONVOLUTIONS | {"latent_size": 4} for name in ("rgbd_0", "rgbd_1")}},
    "recurrent": {"fusion": {"name": "early", "hidden_sizes": [8]}, "memory": {"hidden_size": 8}},
}
policies = pytest.mark.parametrize("name", POLICIES)


def begun(name: str, folder: Path) -> Runner:
    """A training that has collected its first rollout."""
    torch.manual_seed(0)
    config = ballbot(folder)
    runner = start_run(parse(RunConfig, config | {"policy": NETWORKS | POLICIES[name]}), folder / "run")
    runner.collector.start(list(range(runner.env.num_envs)))
    runner.collector.warm_up_normalization()
    return runner


@policies
def test_every_sample_sees_its_image(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = begun(name, tmp_path).collector
    once.collect()
    monkeypatch.setattr(Sensing, "as_frames", lambda self, components, fresh=None: components)
    always = begun(name, tmp_path / "always").collector
    always.collect()
    held, stored = (each.rollout.observations["rgbd_0"] for each in (once, always))
    assert isinstance(held, Frames)
    assert not isinstance(stored, Frames)
    assert len(held.images) < 0.6 * stored.shape[0] * stored.shape[1]  # at 40 images and 125 decisions a second
    assert_close(dense(held), stored, atol=1e-4, rtol=0)
    assert_close(once.rollout.log_probs, always.rollout.log_probs, atol=1e-3, rtol=0)


@policies
def test_the_first_minibatch_sees_a_ratio_of_one(name: str, tmp_path: Path) -> None:
    """Also after an update, when what was remembered of images is no longer true."""
    runner = begun(name, tmp_path)
    for _ in range(2):
        rollout, policy = runner.collector.rollout, runner.algorithm.policy
        last_values = runner.collector.collect()
        columns = ("actions", "log_probs")
        for batch in rollout.minibatches(columns, 2, epochs=1, sequences=policy.is_recurrent):
            log_probs = policy.judge(batch.observations, batch.actions, batch.sequences).log_probs
            assert_close(torch.exp(log_probs - batch.log_probs), torch.ones_like(log_probs), atol=1e-5, rtol=0)
        runner.algorithm.update(rollout, last_values, 0.0)


def test_acting_encodes_new_images_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = begun("fusion", tmp_path)
    encoded = 0
    forward = ImageTokens.forward

    def counting(self: nn.Module, images: Tensor) -> Tensor:
        nonlocal encoded
        encoded += len(images) * (getattr(self, "name", "") == "rgbd_0")
        return forward(self, images)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageTokens, "forward", counting)
    monkeypatch.setattr(runner.algorithm, "evaluate", lambda observation, rows=None: torch.zeros(len(rows or ())))
    runner.collector.collect()
    frames: Any = runner.collector.rollout.observations["rgbd_0"]
    assert encoded == len(frames.images)  # for actor and critic together, who share the encoder
