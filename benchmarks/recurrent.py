"""Steps per second of recurrent PPO, against sb3-contrib's RecurrentPPO: same network, task and hyper-parameters.

    python benchmarks/recurrent.py [--steps 30000] [--repeats 3] [--json FILE]

CartPole without velocities, 8 environments of 128 steps, 10 epochs of 4 minibatches, an LSTM of 64 for the actor and
one for the critic, a layer of 64 behind each. Both train from the start, in turn; a figure is the median over the
repeats of whole trainings, environments included.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from _table import report

from poise.config import load_yaml, parse
from poise.training.config import RunConfig

THREADS = 1
"""Of torch for sb3-contrib: with two it is slower."""
CONFIG = Path(__file__).parents[1] / "configs" / "classic" / "cart_pole_without_velocities.yaml"


def time_ours(steps: int) -> float:
    """Steps per second of our runner."""
    from poise.training.runs import start_run

    settings = {"total_steps": steps, "tensorboard": False, "checkpoint": {"every": 0}, "evaluation": {"every": 0}}
    with TemporaryDirectory() as folder:
        config = parse(RunConfig, load_yaml(CONFIG) | settings)
        runner = start_run(config, Path(folder, "run"))
        began = time.perf_counter()
        runner.train()
        return runner.step / (time.perf_counter() - began)


def time_theirs(steps: int) -> float:
    """Steps per second of sb3-contrib."""
    import poise.envs  # noqa: F401  (registers the task)

    # isort: split
    import torch
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.env_util import make_vec_env

    config = parse(RunConfig, load_yaml(CONFIG))
    torch.set_num_threads(THREADS)
    algorithm, memory = config.algorithm, config.policy.memory
    assert memory is not None
    model = RecurrentPPO(
        "MlpLstmPolicy",
        make_vec_env(config.env.id, config.env.num_envs),
        n_steps=algorithm.num_steps,
        batch_size=config.env.num_envs * algorithm.num_steps // algorithm.num_minibatches,
        n_epochs=algorithm.num_epochs,
        learning_rate=2e-3,
        gamma=algorithm.gamma,
        gae_lambda=algorithm.gae_lambda,
        max_grad_norm=algorithm.max_grad_norm,
        device="cpu",
        policy_kwargs={
            "lstm_hidden_size": memory.hidden_size,
            "net_arch": {"pi": [64], "vf": [64]},
            "activation_fn": torch.nn.Tanh,
        },
    )
    began = time.perf_counter()
    model.learn(steps)
    return float(model.num_timesteps / (time.perf_counter() - began))


SIDES = {"poise": time_ours, "sb3-contrib": time_theirs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30_000, help="of each training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--side", choices=SIDES, help="time one of the two once, and print its rate")
    args = parser.parse_args()
    if args.side:
        sys.stdout.write(f"\n{SIDES[args.side](args.steps)}\n")
        return
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(args.repeats):
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--steps", str(args.steps)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rates[side].append(float(printed.split()[-1]))
    medians = {side: median(values) for side, values in rates.items()}
    ratio = medians["poise"] / medians["sb3-contrib"]
    rows = [[side, value] for side, value in medians.items()] + [["ratio", ratio]]
    packages = ("poise", "torch", "stable-baselines3", "sb3-contrib")
    results = {"steps_per_second": medians, "all": rates, "ratio": ratio}
    report("Recurrent PPO on CartPole without velocities", ["", "steps/s"], rows, results, args.json, packages)


if __name__ == "__main__":
    main()
