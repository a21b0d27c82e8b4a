"""Offsets of MuJoCo's fields against the addresses that its own bindings give their arrays."""

import ctypes

import mujoco
import pytest

from poise.sim.layout import field_offset, struct_size


def _pointer(address: int) -> int:
    return ctypes.c_size_t.from_address(address).value or 0


@pytest.mark.parametrize(
    "field", ["geom_user", "geom_size", "geom_dataid", "hfield_size", "hfield_nrow", "hfield_data"]
)
def test_model_pointers_are_where_the_bindings_point(model: mujoco.MjModel, field: str) -> None:
    array = getattr(model, field)
    assert _pointer(model._address + field_offset("mjModel", field)) == array.ctypes.data


@pytest.mark.parametrize("field", ["qpos", "geom_xpos", "geom_xmat", "xfrc_applied", "sensordata"])
def test_data_pointers_are_where_the_bindings_point(model: mujoco.MjModel, field: str) -> None:
    data = mujoco.MjData(model)
    assert _pointer(data._address + field_offset("mjData", field)) == getattr(data, field).ctypes.data


def test_counts_are_read_as_they_are_declared(model: mujoco.MjModel) -> None:
    for field in ("nq", "ngeom", "nuser_geom"):
        assert ctypes.c_int64.from_address(model._address + field_offset("mjModel", field)).value == getattr(
            model, field
        )


def test_a_contact_before_its_narrow_phase_is_ten_numbers() -> None:
    assert [field_offset("mjPreContact", name) // 8 for name in ("dist", "pos", "normal", "tangent")] == [0, 1, 4, 7]
    assert struct_size("mjPreContact") == 80


def test_unknown_fields_raise() -> None:
    with pytest.raises(AttributeError):
        field_offset("mjModel", "no_such_field")
    with pytest.raises(KeyError):
        field_offset("mjNoSuchStruct", "field")
