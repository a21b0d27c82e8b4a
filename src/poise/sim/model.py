"""The ballbot's MuJoCo model, compiled from `assets/ballbot.xml` with the terrain and integrator asked for."""

from importlib.resources import files
from typing import Literal

import mujoco

from poise.sim.contacts import install_contacts
from poise.sim.terrain import TerrainOptions

Integrator = Literal["implicitfast", "rk4"]

_INTEGRATORS = {
    "implicitfast": mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    "rk4": mujoco.mjtIntegrator.mjINT_RK4,
}


def ballbot_model(
    terrain: TerrainOptions | None = None, timestep: float = 0.002, integrator: Integrator = "implicitfast"
) -> mujoco.MjModel:
    """Compile the ballbot on a flat field of the given geometry, with its contacts corrected.

    A state that diverges stays visible: MuJoCo's silent reset of bad states is off.

    Raises:
        ContactLayoutError: the installed MuJoCo cannot be corrected.
    """
    install_contacts()
    terrain = terrain or TerrainOptions()
    spec = mujoco.MjSpec.from_string(files("poise.sim").joinpath("assets/ballbot.xml").read_text())
    field = spec.hfield("terrain")
    field.nrow = field.ncol = terrain.nodes
    field.size = [terrain.half_size, terrain.half_size, terrain.height, 0.1]
    field.userdata = [0.0] * (terrain.nodes * terrain.nodes)
    spec.option.timestep = timestep
    spec.option.integrator = _INTEGRATORS[integrator]
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    return spec.compile()
