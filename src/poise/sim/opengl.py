"""OpenGL, where there is some: which backend works here, and MuJoCo's own renderer on it.

Asking can crash: a broken driver aborts the process. So each backend is tried in a process of its own, once.
"""

import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from poise.errors import PoiseError

_OFF = ("disable", "disabled", "off", "false", "0")
_MODULES = {"egl": "mujoco.egl", "osmesa": "mujoco.osmesa", "glfw": "mujoco.glfw", "cgl": "mujoco.cgl"}
_TRIAL = """
import importlib, mujoco
context = importlib.import_module("{module}").GLContext(16, 16)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100.value)
"""
_TRIAL_SECONDS = 60.0

Strokes = Sequence[tuple[NDArray[np.float64], float, tuple[float, float, float, float]]]
"""Lines to draw: points (M, 3), m, half the width, m, and colour."""


class OpenGLError(PoiseError):
    """There is no OpenGL to draw with."""


@cache
def opengl_available() -> tuple[bool, str]:
    """Whether MuJoCo can draw here, and the backend's name, or why not and what to do about it.

    The backend is the one that the environment variable MUJOCO_GL asks for, otherwise the first that works.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in _OFF:
        return False, f"OpenGL is switched off by MUJOCO_GL={asked}; unset it to draw with MuJoCo's renderer"
    failures = []
    for backend in [asked] if asked in _MODULES else _candidates():
        failure = _try(backend)
        if failure is None:
            return True, backend
        failures.append(f"{backend}: {failure}")
    advice = (
        "on Debian or Ubuntu 'apt-get install libegl1 libgl1-mesa-dri' (MUJOCO_GL=egl) or 'apt-get install libosmesa6' "
        "(MUJOCO_GL=osmesa) provides one that needs no screen"
        if platform.system() == "Linux"
        else "install a graphics driver, or run where there is a screen"
    )
    return False, f"MuJoCo finds no OpenGL ({'; '.join(failures)}); {advice}"


def _candidates() -> list[str]:
    if platform.system() == "Darwin":
        return ["cgl", "glfw"]
    if platform.system() == "Linux":
        screen = ["glfw"] if "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ else []
        return ["egl", "osmesa", *screen]
    return ["glfw"]


def _try(backend: str) -> str | None:
    """None if the backend can draw, else the last line of its complaint."""
    script = _TRIAL.format(module=_MODULES[backend])
    environment = os.environ | {"MUJOCO_GL": backend}
    try:
        trial = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=_TRIAL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return "does not answer"
    if trial.returncode == 0:
        return None
    return (trial.stderr.strip().splitlines() or [f"ended with status {trial.returncode}"])[-1]


class OpenGLRenderer:
    """MuJoCo's renderer of one model, drawing colours and depth in one pass. Use from one thread.

    Args:
        model: copied; the copy's terrain follows `set_terrain`.
        height, width: of the images, pixels.

    Raises:
        OpenGLError: there is no OpenGL, with what to install.
    """

    def __init__(self, model: mujoco.MjModel, height: int, width: int) -> None:
        available, detail = opengl_available()
        if not available:
            raise OpenGLError(detail)
        self.model = model.__copy__()
        self.model.vis.global_.offheight = height
        self.model.vis.global_.offwidth = width
        self.data = mujoco.MjData(self.model)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._context: Any = importlib.import_module(_MODULES[detail]).GLContext(width, height)
        self._context.make_current()
        self._draw: Any = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._draw)
        self._draw.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZERONEAR
        self.scene = mujoco.MjvScene(self.model, maxgeom=1000)
        self._options = mujoco.MjvOption()

    def set_terrain(self, heights: NDArray[np.float32]) -> None:
        """Draw on other ground from now on: (rows, cols) node heights in [0, 1]."""
        if not np.array_equal(self.model.hfield_data, heights.ravel()):
            self.model.hfield_data[:] = heights.ravel()
            self._context.make_current()
            mujoco.mjr_uploadHField(self.model, self._draw, 0)

    def render(
        self, qpos: NDArray[np.float64], camera: mujoco.MjvCamera, strokes: Strokes = ()
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Draw a configuration (nq,) and lines beside it. Colours (H, W, 3), depth (H, W) m."""
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, self.data, self._options, None, camera, everything, self.scene)
        for points, radius, color in strokes:
            for ends in pairwise(points):
                self._add_line(*ends, radius, color)
        self._context.make_current()
        mujoco.mjr_render(self._rectangle, self.scene, self._draw)
        shape = (self._rectangle.height, self._rectangle.width)
        colors = np.empty((*shape, 3), np.uint8)
        depth = np.empty(shape, np.float32)
        mujoco.mjr_readPixels(colors, depth, self._rectangle, self._draw)
        return np.ascontiguousarray(colors[::-1]), self._metres(depth[::-1])

    def close(self) -> None:
        """Give the context back."""
        if self._draw is not None:
            self._context.make_current()
            self._draw.free()
            self._context.free()
            self._draw = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add_line(
        self,
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        radius: float,
        color: tuple[float, float, float, float],
    ) -> None:
        if self.scene.ngeom == self.scene.maxgeom:
            return
        geom = self.scene.geoms[self.scene.ngeom]
        kind = mujoco.mjtGeom.mjGEOM_CAPSULE.value
        mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), np.eye(3).ravel(), np.array(color, np.float32))
        mujoco.mjv_connector(geom, kind, radius, start, end)
        self.scene.ngeom += 1

    def _metres(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """From OpenGL's depth, hyperbolic in [0, 1] between the clipping planes, to metres."""
        near = self.model.vis.map.znear * self.model.stat.extent
        far = self.model.vis.map.zfar * self.model.stat.extent
        metres = near / (1.0 - depth.astype(np.float64) * (1.0 - near / far))
        return metres.astype(np.float32)
