"""The two contacts of a ballbot that stock MuJoCo gets wrong or slow, corrected at run time.

**Omniwheels.** Rollers let a wheel slide along its axis and grip across it: friction along the capsule's axis 0.001,
across it 1.0. The two numbers of a contact pair belong to the two tangents of the contact frame, and MuJoCo chooses
those tangents arbitrarily. `mjCOLLISIONFUNC`, the table of narrow-phase functions, is exported by the library, and its
functions fill an `mjPreContact` whose `tangent` is the first tangent: the entry for sphere and capsule is replaced by a
compiled function that calls the built-in one and then writes the capsule's axis there.

**Terrain.** The entry for heightfield and sphere is replaced by `poise.sim.terrain_contact`, one contact instead of
five. Five share a load, so the terrain's `solimp` in `assets/ballbot.xml` makes the one as stiff as they are together:
on level ground the ball settles 0.8 mm deep with either, and 4.4 mm deep with the one at MuJoCo's defaults.

Only geoms that carry `CONTACT_MARK` as their first user value are treated so; every other model in the process runs as
before.
"""

import ctypes
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from poise.errors import PoiseError
from poise.sim.layout import field_offset, struct_size
from poise.sim.terrain_contact import sphere_terrain

CONTACT_MARK = 40960.25
"""First user value of the geoms (`<geom user="...">`) whose contacts are corrected."""

_HFIELD = int(mujoco.mjtGeom.mjGEOM_HFIELD)
_SPHERE = int(mujoco.mjtGeom.mjGEOM_SPHERE)
_CAPSULE = int(mujoco.mjtGeom.mjGEOM_CAPSULE)
_NUM_TYPES = int(mujoco.mjtGeom.mjNGEOMTYPES)

# int collide(const mjModel* m, mjData* d, mjPreContact* contact, int geom1, int geom2, mjtNum margin), pointers as
# integers
_COLLIDE = types.int32(types.intp, types.intp, types.intp, types.int32, types.int32, types.float64)
_CollideC = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_int, ctypes.c_int, ctypes.c_double
)


class ContactLayoutError(PoiseError):
    """This MuJoCo does not keep its contacts where the corrected contact functions expect them."""


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    """An integer address as a pointer that `numba.carray` accepts."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.intp), generate


@njit(inline="always")
def _array(struct: int, offset: int, length: int, dtype: Any) -> Any:
    """The array that the pointer field at byte `offset` of `struct` points to."""
    address = carray(_pointer(struct + offset), 1, np.int64)[0]
    return carray(_pointer(address), length, dtype)


@cache
def _library() -> ctypes.CDLL:
    """The MuJoCo library that Python's bindings have loaded."""
    folder = Path(mujoco.__file__).parent
    found = [path for path in folder.iterdir() if re.match(r"(lib)?mujoco\b.*\.(so|dylib|dll)", path.name)]
    if not found:
        raise ContactLayoutError(f"no MuJoCo library lies in {folder}; reinstall the 'mujoco' package")
    return ctypes.CDLL(str(found[0]))


def _entry(type1: int, type2: int) -> ctypes.c_void_p:
    """The entry of `mjCOLLISIONFUNC` for two geom types, as a reference into the library's memory."""
    row = ctypes.c_void_p * _NUM_TYPES
    table = (row * _NUM_TYPES).in_dll(_library(), "mjCOLLISIONFUNC")
    return ctypes.c_void_p.from_buffer(table, (type1 * _NUM_TYPES + type2) * ctypes.sizeof(ctypes.c_void_p))


def _is_marked_function() -> Callable[[int, int], bool]:
    nuser = field_offset("mjModel", "nuser_geom")
    user = field_offset("mjModel", "geom_user")

    @njit(error_model="numpy")
    def is_marked(model: int, geom: int) -> bool:
        count = carray(_pointer(model + nuser), 1, np.int64)[0]
        return count > 0 and _array(model, user, count * (geom + 1), np.float64)[count * geom] == CONTACT_MARK

    return is_marked


def _aligned_sphere_capsule(stock: Any, is_marked: Callable[[int, int], bool]) -> Any:
    """`mjc_SphereCapsule` with the capsule's axis as the first tangent of a marked capsule's contact."""
    xmat = field_offset("mjData", "geom_xmat")
    length = struct_size("mjPreContact") // 8
    tangent = field_offset("mjPreContact", "tangent") // 8

    @cfunc(_COLLIDE, error_model="numpy")
    def collide(model: int, data: int, contact: int, sphere: int, capsule: int, margin: float) -> int:
        count = stock(model, data, contact, sphere, capsule, margin)
        if count > 0 and is_marked(model, capsule):
            rotation = _array(data, xmat, 9 * (capsule + 1), np.float64)[9 * capsule :]
            written = carray(_pointer(contact), length, np.float64)
            for i in range(3):
                written[tangent + i] = rotation[3 * i + 2]
        return count

    return collide


def _single_hfield_sphere(stock: Any, is_marked: Callable[[int, int], bool]) -> Any:
    """One contact at the closest point between a marked sphere and a marked heightfield, else MuJoCo's own."""
    length = struct_size("mjPreContact") // 8
    xpos = field_offset("mjData", "geom_xpos")
    xmat = field_offset("mjData", "geom_xmat")
    geom_size = field_offset("mjModel", "geom_size")
    dataid = field_offset("mjModel", "geom_dataid")
    size = field_offset("mjModel", "hfield_size")
    nrow = field_offset("mjModel", "hfield_nrow")
    ncol = field_offset("mjModel", "hfield_ncol")
    adr = field_offset("mjModel", "hfield_adr")
    heights = field_offset("mjModel", "hfield_data")

    @cfunc(_COLLIDE, error_model="numpy")
    def collide(model: int, data: int, contact: int, hfield: int, sphere: int, margin: float) -> int:
        if not (is_marked(model, hfield) and is_marked(model, sphere)):
            return stock(model, data, contact, hfield, sphere, margin)
        field = _array(model, dataid, hfield + 1, np.int32)[hfield]
        rows = _array(model, nrow, field + 1, np.int32)[field]
        cols = _array(model, ncol, field + 1, np.int32)[field]
        start = _array(model, adr, field + 1, np.int32)[field]
        extent = _array(model, size, 4 * (field + 1), np.float64)[4 * field :]
        nodes = _array(model, heights, start + rows * cols, np.float32)[start:]
        positions = _array(data, xpos, 3 * (max(hfield, sphere) + 1), np.float64)
        return sphere_terrain(
            carray(_pointer(contact), length, np.float64),
            nodes.reshape((rows, cols)),
            (extent[0], extent[1], extent[2]),
            positions[3 * hfield : 3 * hfield + 3],
            _array(data, xmat, 9 * (hfield + 1), np.float64)[9 * hfield :],
            positions[3 * sphere : 3 * sphere + 3],
            _array(model, geom_size, 3 * (sphere + 1), np.float64)[3 * sphere],
            margin,
        )

    return collide


@cache
def _compiled() -> dict[tuple[int, int], tuple[int, Any]]:
    """For each corrected entry of the table: the stock function's address and the compiled replacement."""
    is_marked = _is_marked_function()
    built = {}
    for types_, build in (
        ((_SPHERE, _CAPSULE), _aligned_sphere_capsule),
        ((_HFIELD, _SPHERE), _single_hfield_sphere),
    ):
        address = _entry(*types_).value
        if not address:
            raise ContactLayoutError("MuJoCo has no contact function where sphere, capsule and heightfield meet")
        built[types_] = (address, build(_CollideC(address), is_marked))
    return built


def set_contacts(omniwheels: bool = True, terrain: bool = True) -> None:
    """Choose between the corrected and the stock contact functions, for the whole process.

    Args:
        omniwheels: align the friction axes of marked capsules.
        terrain: one contact between marked heightfields and spheres.

    Raises:
        ContactLayoutError: the installed MuJoCo is not laid out as expected.
    """
    wanted = {(_SPHERE, _CAPSULE): omniwheels, (_HFIELD, _SPHERE): terrain}
    for types_, (stock, replacement) in _compiled().items():
        _entry(*types_).value = replacement.address if wanted[types_] else stock


@cache
def install_contacts() -> None:
    """Correct the contacts once per process, and try them on a probe model first.

    Raises:
        ContactLayoutError: the installed MuJoCo is not laid out as expected; nothing is left changed.
    """
    try:
        set_contacts()
        _probe()
    except (ContactLayoutError, AttributeError, KeyError, ValueError) as error:
        if _compiled.cache_info().currsize:  # else nothing was built, and nothing replaced
            set_contacts(omniwheels=False, terrain=False)
        raise ContactLayoutError(
            f"the contact functions of mujoco {mujoco.__version__} differ from those that poise knows ({error}); "
            "install the version named in constraints.txt"
        ) from error


_PROBE = f"""
<mujoco>
  <option cone="elliptic"/>
  <size nuser_geom="1"/>
  <asset><hfield name="f" nrow="5" ncol="7" size="3 2 0.5 0.1"/></asset>
  <worldbody>
    <geom type="hfield" hfield="f" pos="0.3 -0.2 0.1" euler="0 0 20" user="{CONTACT_MARK}"/>
    <body pos="0.2 0.1 0.8"><freejoint/><geom name="s" type="sphere" size="0.5" user="{CONTACT_MARK}"/></body>
    <body pos="0.2 0.4 1.3" euler="20 50 10"><freejoint/>
      <geom name="c" type="capsule" size="0.2 0.3" user="{CONTACT_MARK}" contype="0" conaffinity="0"/></body>
  </worldbody>
  <contact><pair geom1="s" geom2="c" condim="3" friction="0.001 1"/></contact>
</mujoco>
"""


def _probe() -> None:
    """Contacts of a small scene against what they must be: axes to 1e-9, the terrain's normal and depth to 1e-6."""
    model = mujoco.MjModel.from_xml_string(_PROBE)
    nodes = np.add.outer(np.zeros(5), np.linspace(0.0, 1.0, 7)).astype(np.float32)
    model.hfield_data[:] = nodes.ravel()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    if data.ncon != 2:
        raise ContactLayoutError(f"a probe model has {data.ncon} contacts instead of 2")
    for contact in data.contact:
        if set(contact.geom) == {0, 1}:
            _probe_terrain(model, data, contact)
        else:
            axis = data.geom("c").xmat.reshape(3, 3)[:, 2]
            normal = contact.frame[:3]
            tangent = axis - normal * (axis @ normal)
            off = np.linalg.norm(tangent) - abs(tangent @ contact.frame[3:6])
            if not off < 1e-9 < np.linalg.norm(tangent):
                raise ContactLayoutError("a wheel's contact is not aligned with its axis")


def _probe_terrain(model: Any, data: Any, contact: Any) -> None:
    """The probe's field is a plane that rises by 0.5 m over 6 m along its x axis."""
    rotation = data.geom_xmat[0].reshape(3, 3)
    normal = rotation @ (np.array([-0.5, 0.0, 6.0]) / np.hypot(0.5, 6.0))
    on_plane = data.geom_xpos[0] + np.array([0.0, 0.0, 0.25])
    distance = (data.geom("s").xpos - on_plane) @ normal - model.geom("s").size[0]
    if not (np.abs(contact.frame[:3] - normal).max() < 1e-6 and abs(contact.dist - distance) < 1e-6):
        raise ContactLayoutError("a ball's contact with the terrain is not where it should be")
