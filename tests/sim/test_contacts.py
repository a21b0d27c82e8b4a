"""The corrected contacts, in `mj_step` and in `mujoco.batch`, and that nothing else is touched."""

import subprocess
import sys
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from poise.sim.contacts import CONTACT_MARK, install_contacts, set_contacts
from poise.sim.model import ballbot_model
from poise.sim.terrain import TerrainOptions

_SCENE = """
<mujoco>
  <option cone="elliptic"/>
  <size nuser_geom="1"/>
  <asset><hfield name="f" nrow="9" ncol="9" size="2 2 0.3 0.1"/></asset>
  <worldbody>
    <geom type="hfield" hfield="f" {mark}/>
    <body pos="0.1 0.2 0.9"><freejoint/><geom name="s" type="sphere" size="0.2" {mark}/></body>
    <body pos="0.2 0.25 1.4" euler="20 70 10"><freejoint/><geom name="c" type="capsule" size="0.1 0.3" {mark}/></body>
  </worldbody>
</mujoco>
"""


@pytest.fixture(autouse=True)
def _corrected() -> Iterator[None]:
    install_contacts()
    yield
    set_contacts()


def _wheel_misalignments(model: mujoco.MjModel, data: mujoco.MjData) -> list[float]:
    """Sines between each wheel contact's first tangent and its capsule's axis in the tangent plane."""
    wheels = {model.geom(f"wheel_{i}").id for i in range(3)}
    sines = []
    for contact in data.contact:
        wheel = wheels & set(contact.geom)
        if wheel:
            axis = data.geom_xmat[wheel.pop()].reshape(3, 3)[:, 2]
            normal = contact.frame[:3]
            along = axis - normal * (axis @ normal)
            along /= np.linalg.norm(along)
            sines.append(float(np.linalg.norm(np.cross(along, contact.frame[3:6]))))
    return sines


def _lifted(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    data.qpos[[2, model.joint("ball").qposadr[0] + 2]] += 0.11


def test_friction_axes_follow_the_wheels_in_mj_step(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    _lifted(model, data)
    data.ctrl[:] = 0.3, -0.1, 0.2
    seen = 0
    for _ in range(100):
        mujoco.mj_step(model, data)
        mujoco.mj_forward(model, data)
        sines = _wheel_misalignments(model, data)
        assert all(sine < 1e-12 for sine in sines)
        seen += len(sines)
    assert seen > 200


def test_stock_friction_axes_are_wrong(model: mujoco.MjModel) -> None:
    set_contacts(omniwheels=False)
    data = mujoco.MjData(model)
    _lifted(model, data)
    mujoco.mj_forward(model, data)
    assert max(_wheel_misalignments(model, data)) > 0.5


def test_friction_axes_follow_the_wheels_in_a_batch_of_two_threads(model: mujoco.MjModel) -> None:
    batch = Batch(model, nsim=4, nthread=2, persistent=True)
    qpos, ctrl = batch.bind("qpos"), batch.bind("ctrl")
    start = mujoco.MjData(model)
    _lifted(model, start)
    qpos[:] = start.qpos
    ctrl[:] = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 3))
    singles = []
    for torque in ctrl.copy():
        data = mujoco.MjData(model)
        _lifted(model, data)
        data.ctrl[:] = torque
        mujoco.mj_step(model, data, nstep=60)
        singles.append(data.qpos.copy())
    batch.step(nstep=60)
    np.testing.assert_array_equal(qpos, singles)
    for i in range(4):
        sines = _wheel_misalignments(model, batch.get_data(i))
        assert len(sines) == 3
        assert max(sines) < 1e-12


def _fall(mark: str, steps: int = 600) -> tuple[np.ndarray, int]:
    model = mujoco.MjModel.from_xml_string(_SCENE.format(mark=mark))
    model.hfield_data[:] = np.random.default_rng(1).random(81)
    data = mujoco.MjData(model)
    states, contacts = [], 0
    for _ in range(steps):
        mujoco.mj_step(model, data)
        states.append(np.concatenate([data.qpos, data.qvel]))
        contacts += data.ncon
    return np.array(states), contacts


def test_unmarked_geoms_move_as_in_stock_mujoco_bit_for_bit() -> None:
    corrected, contacts = _fall("")
    set_contacts(omniwheels=False, terrain=False)
    stock, _ = _fall("")
    assert contacts > 100
    np.testing.assert_array_equal(corrected, stock)


def test_marked_geoms_do_not_move_as_in_stock_mujoco() -> None:
    marked, _ = _fall(f'user="{CONTACT_MARK}"')
    stock, _ = _fall("")
    assert np.abs(marked - stock).max() > 1e-3


def test_a_ball_touches_the_terrain_once(model: mujoco.MjModel) -> None:
    terrain, ball = model.geom("terrain").id, model.geom("ball").id
    counts = {}
    for own in (True, False):
        set_contacts(terrain=own)
        data = mujoco.MjData(model)
        data.qpos[[2, model.joint("ball").qposadr[0] + 2]] += 0.05
        mujoco.mj_step(model, data, nstep=200)
        counts[own] = sum(set(contact.geom) == {terrain, ball} for contact in data.contact)
    assert counts[True] == 1
    assert counts[False] > 1


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.3])
def test_the_single_contact_is_as_stiff_as_mujocos_five(slope: float) -> None:
    heights = {}
    for own in (True, False):
        set_contacts(terrain=own)
        model = ballbot_model(TerrainOptions(half_size=1.0, nodes=59, height=2.0 * max(slope, 0.01)))
        if not own:
            model.geom("terrain").priority = 0
            model.geom("terrain").solimp = mujoco.MjSpec().default.geom.solimp
        if slope:
            model.hfield_data[:] = np.tile(np.linspace(0.0, 1.0, 59), 59)  # rises along x by 2 * slope over 2 m
        data = mujoco.MjData(model)
        ball = model.joint("ball").qposadr[0] + 2
        data.qpos[[2, ball]] += slope
        mujoco.mj_step(model, data, nstep=60)
        track = []
        for _ in range(60):
            mujoco.mj_step(model, data)
            track.append(data.qpos[ball])
        heights[own] = np.array(track)
    np.testing.assert_allclose(heights[True], heights[False], atol=1e-3)  # as soft as by default it sinks 7 mm more


@pytest.mark.parametrize(
    "sabotage",
    [
        'offset - 24 * ((s, f) == ("mjPreContact", "tangent"))',
        'offset + 8 * ((s, f) == ("mjModel", "geom_user"))',
        '{}[f] if f == "geom_xmat" else offset',
    ],
    ids=["another field", "an empty array's pointer", "a field that is gone"],
)
def test_another_layout_fails_loudly_and_leaves_stock_contacts(sabotage: str) -> None:
    script = f"""
import mujoco
from poise.sim import contacts
honest = contacts.field_offset
def dishonest(s, f):
    offset = honest(s, f)
    return {sabotage}
contacts.field_offset = dishonest
before = [contacts._entry(*pair).value for pair in ((2, 3), (1, 2))]
try:
    contacts.install_contacts()
except contacts.ContactLayoutError as error:
    assert before == [contacts._entry(*pair).value for pair in ((2, 3), (1, 2))]
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "install the version named in constraints.txt" in result.stdout
