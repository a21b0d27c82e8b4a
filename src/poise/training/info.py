"""What a bug report needs: versions, the machine, its threads, and whether pictures and contacts work here."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from poise.errors import PoiseError

_PACKAGES = ("torch", "mujoco", "numpy", "numba", "gymnasium", "pydantic", "safetensors", "tensorboard")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def describe_installation() -> dict[str, str]:
    """What to write into a bug report, line by line."""
    return dict(_lines())


def _lines() -> Iterator[tuple[str, str]]:
    yield "poise", _version("poise")
    yield "Python", f"{platform.python_version()} ({sys.executable})"
    yield "system", platform.platform()
    yield "processor", processor()
    yield "cores", f"{_cores()} usable of {os.cpu_count()}"
    yield "memory", _memory()
    for package in _PACKAGES:
        yield package, _version(package)
    yield "torch threads", _torch_threads()
    settings = [f"{name}={os.environ[name]}" for name in _THREAD_VARIABLES if name in os.environ]
    yield "thread settings", ", ".join(settings) or "none in the environment"
    yield "contacts", _contacts()
    yield "OpenGL", _opengl()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The model's name; Linux alone hides it in a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _cores() -> int:
    from poise.cores import available_cores

    return available_cores()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):  # not on Windows
        return "unknown"


def _torch_threads() -> str:
    import torch

    return f"{torch.get_num_threads()} within an operation, {torch.get_num_interop_threads()} between them"


def _contacts() -> str:
    """Whether MuJoCo's contact functions could be corrected, which is checked on a probe model."""
    from poise.sim.model import ballbot_model

    try:
        ballbot_model()
    except PoiseError as error:
        return f"NOT corrected: {error}"
    return "corrected, and found so on a probe model"


def _opengl() -> str:
    from poise.sim.opengl import opengl_available

    available, detail = opengl_available()
    return f"yes, through {detail}" if available else f"no, so videos are drawn without it: {detail}"
