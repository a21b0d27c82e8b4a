"""Where MuJoCo keeps its numbers: byte offsets of the fields of its C structs.

Compiled contact functions read `mjModel` and `mjData` through raw pointers. Their layouts belong to one version of
MuJoCo, so the offsets are computed from the declarations that the installed version publishes (`mujoco.introspect`),
never written down here. `poise.sim.contacts` tries the result on a probe model before any simulation runs.
"""

import ctypes
from functools import cache
from typing import Any

from mujoco.introspect import ast_nodes, structs

_C_TYPES: dict[str, Any] = {
    "mjtNum": ctypes.c_double,
    "mjtSize": ctypes.c_int64,
    "mjtBool": ctypes.c_bool,
    "int": ctypes.c_int,
    "float": ctypes.c_float,
    "size_t": ctypes.c_size_t,
    "uintptr_t": ctypes.c_size_t,
    "uint64_t": ctypes.c_uint64,
    "unsigned int": ctypes.c_uint,
}


@cache
def _structure(name: str) -> type[ctypes.Structure]:
    """The named MuJoCo struct as a ctypes structure, laid out by the platform's C rules."""
    fields = [(field.name, _c_type(field.type)) for field in structs.STRUCTS[name].fields]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _c_type(declared: Any) -> Any:
    if isinstance(declared, ast_nodes.PointerType):
        return ctypes.c_void_p
    if isinstance(declared, ast_nodes.ArrayType):
        length = 1
        for extent in declared.extents:
            length *= extent
        return _c_type(declared.inner_type) * length
    if isinstance(declared, ast_nodes.AnonymousStructDecl):
        fields = [(field.name, _c_type(field.type)) for field in declared.fields]
        return type("anonymous", (ctypes.Structure,), {"_fields_": fields})
    if declared.name in structs.STRUCTS:
        return _structure(declared.name)
    return _C_TYPES[declared.name]


def field_offset(struct: str, field: str) -> int:
    """Offset of `field` in `struct`, in bytes. Raises KeyError or AttributeError when this MuJoCo has no such field."""
    return int(getattr(_structure(struct), field).offset)


def struct_size(struct: str) -> int:
    """Size of `struct`, in bytes."""
    return ctypes.sizeof(_structure(struct))
