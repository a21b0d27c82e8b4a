"""Memory of a training run with depth: peak of the resident set, in a process of its own.

    python benchmarks/memory.py [--num-envs 64] [--iterations 12] [--json FILE]

The run does all that runs do: rollouts and updates, TensorBoard, checkpoints, and evaluations of 20 robots of their own
beside those that learn.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from _encoder import fresh_encoder
from _table import report

NUM_STEPS = 32


def peak() -> float:
    """Largest resident set of this process so far, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run(num_envs: int, iterations: int, folder: Path) -> dict[str, float]:
    """Train, and say how much memory it took up to each point, MB."""
    from poise.config import parse
    from poise.training.config import RunConfig
    from poise.training.runs import start_run

    peaks = {"imports": peak()}
    samples = num_envs * NUM_STEPS
    config = {
        "total_steps": iterations * samples,
        "env": {"num_envs": num_envs},
        "policy": {"encoder": str(fresh_encoder(folder / "encoder"))},
        "algorithm": {"num_steps": NUM_STEPS},
        "evaluation": {"every": iterations * samples // 2, "episodes": 20, "options": {"max_steps": 200}},
        "checkpoint": {"every": iterations * samples // 3},
    }
    runner = start_run(parse(RunConfig, config), folder / "run")
    peaks["robots and policy"] = peak()
    runner.train()
    peaks["training"] = peak()
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--in-this-process", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_this_process is not None:
        peaks = run(arguments.num_envs, arguments.iterations, arguments.in_this_process)
        (arguments.in_this_process / "peaks.json").write_text(json.dumps(peaks))
        return
    with TemporaryDirectory() as temporary:
        same = [f"--num-envs={arguments.num_envs}", f"--iterations={arguments.iterations}"]
        subprocess.run([sys.executable, __file__, *same, f"--in-this-process={temporary}"], check=True)
        peaks = json.loads(Path(temporary, "peaks.json").read_text())
    report(
        f"Peak memory of training {arguments.num_envs} robots with depth",
        ["up to", "MB"],
        [[name, round(megabytes)] for name, megabytes in peaks.items()],
        {"num_envs": arguments.num_envs, "peak_mb": peaks},
        arguments.json,
        ("poise", "mujoco", "torch", "numba"),
    )


if __name__ == "__main__":
    main()
