"""The contact of a sphere with a heightfield, against a search over all triangles."""

import mujoco
import numpy as np
import pytest

from poise.sim.contacts import CONTACT_MARK, install_contacts
from poise.sim.terrain_contact import closest_on_terrain, sphere_terrain

_SIZE = (1.1, 0.8, 0.35)


@pytest.fixture
def heights() -> np.ndarray:
    return np.random.default_rng(0).random((9, 12)).astype(np.float32)


def _triangles(heights: np.ndarray) -> np.ndarray:
    """(T, 3, 3) corners, m."""
    rows, cols = heights.shape
    x, y = np.meshgrid(np.linspace(-_SIZE[0], _SIZE[0], cols), np.linspace(-_SIZE[1], _SIZE[1], rows))
    nodes = np.stack([x, y, _SIZE[2] * heights.astype(np.float64)], -1)
    low, high = nodes[:-1, :-1], nodes[1:, 1:]
    halves = [np.stack([low, corner, high], 2) for corner in (nodes[:-1, 1:], nodes[1:, :-1])]
    return np.concatenate([half.reshape(-1, 3, 3) for half in halves])


def _closest_on_segments(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = ((p - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1)
    return a + np.clip(along, 0.0, 1.0)[:, None] * (b - a)


def _closest(p: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(3,) the closest point: on the edges, or at the foot of the perpendicular where that lies inside."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    candidates = [_closest_on_segments(p, s, e) for s, e in ((a, b), (b, c), (c, a))]
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    foot = p - ((p - a) * normal).sum(1, keepdims=True) * normal
    sides = [(np.cross(e - s, foot - s) * normal).sum(1) >= 0.0 for s, e in ((a, b), (b, c), (c, a))]
    candidates.append(foot[np.all(sides, axis=0)])
    points = np.concatenate(candidates)
    return np.asarray(points[np.linalg.norm(points - p, axis=1).argmin()])


def _surface(heights: np.ndarray, triangles: np.ndarray, p: np.ndarray) -> float | None:
    """Height of the surface at p's place, None off the map."""
    for a, b, c in triangles:
        shares = np.linalg.solve(np.array([[*a[:2], 1.0], [*b[:2], 1.0], [*c[:2], 1.0]]).T, [*p[:2], 1.0])
        if shares.min() >= -1e-12:
            return float(shares @ (a[2], b[2], c[2]))
    return None


def test_closest_point_equals_a_search_over_all_triangles(heights: np.ndarray) -> None:
    triangles = _triangles(heights)
    rng = np.random.default_rng(1)
    below, off = 0, 0
    for _ in range(400):
        p = rng.uniform((-1.5, -1.2, -0.2), (1.5, 1.2, 0.7))
        distance, point = closest_on_terrain(heights, _SIZE, tuple(p), 5.0)
        expected = _closest(p, triangles)
        surface = _surface(heights, triangles, p)
        off += surface is None
        below += surface is not None and p[2] < surface
        sign = -1.0 if surface is not None and p[2] < surface else 1.0
        assert distance == pytest.approx(sign * np.linalg.norm(p - expected), abs=1e-9)
        assert np.linalg.norm(p - point) == pytest.approx(abs(distance), abs=1e-9)
    assert min(below, off) > 40


def test_a_short_reach_finds_the_same_or_nothing(heights: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        p = tuple(rng.uniform((-1.3, -1.0, 0.3), (1.3, 1.0, 0.7)))
        far, _ = closest_on_terrain(heights, _SIZE, p, 5.0)
        near, _ = closest_on_terrain(heights, _SIZE, p, 0.1)
        if far < 0.1:
            assert near == pytest.approx(far, abs=1e-12)
        else:
            assert near == np.inf


def test_deep_below_the_surface_the_way_out_is_up(heights: np.ndarray) -> None:
    distance, point = closest_on_terrain(heights, _SIZE, (0.05, 0.02, -3.0), 0.1)
    assert distance == pytest.approx(-3.0 - point[2])
    assert point[:2] == (0.05, 0.02)


def test_contact_of_a_turned_and_shifted_field_with_a_sphere() -> None:
    """A plane that rises by 0.35 over 2.2 m along the field's x axis."""
    nodes = np.tile(np.linspace(0.0, 1.0, 12, dtype=np.float32), (9, 1))
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.array([0.9, 0.1, -0.2, 0.3]) / np.linalg.norm([0.9, 0.1, -0.2, 0.3]))
    turn = rotation.reshape(3, 3)
    origin = np.array([0.4, -0.3, 1.0])
    normal = np.array([-0.35, 0.0, 2.2]) / np.hypot(0.35, 2.2)
    centre = origin + turn @ (np.array([0.0, 0.0, 0.175]) + 0.18 * normal)
    contact = np.full(10, np.nan)
    assert sphere_terrain(contact, nodes, _SIZE, origin, rotation, centre, 0.2, 0.0) == 1
    assert contact[0] == pytest.approx(-0.02, abs=1e-7)
    np.testing.assert_allclose(contact[4:7], turn @ normal, atol=1e-6)
    np.testing.assert_allclose(contact[1:4], centre - 0.19 * (turn @ normal), atol=1e-6)
    assert not contact[7:].any()
    assert sphere_terrain(contact, nodes, _SIZE, origin, rotation, centre, 0.179, 0.0) == 0
    assert sphere_terrain(contact, nodes, _SIZE, origin, rotation, centre, 0.179, 0.01) == 1


def test_a_sphere_comes_to_rest_on_a_plane() -> None:
    install_contacts()
    model = mujoco.MjModel.from_xml_string(f"""
    <mujoco><size nuser_geom="1"/><option cone="elliptic"/>
      <asset><hfield name="f" nrow="11" ncol="11" size="1 1 0.1 0.1"/></asset>
      <worldbody><geom type="hfield" hfield="f" user="{CONTACT_MARK}"/>
        <body pos="0.03 0.01 0.12"><freejoint/><geom type="sphere" size="0.1" user="{CONTACT_MARK}"/></body>
      </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, nstep=1000)
    assert data.ncon == 1
    np.testing.assert_allclose(data.qpos[:3], [0.03, 0.01, 0.1], atol=1e-3)
    np.testing.assert_allclose(data.qvel, 0.0, atol=1e-6)
    np.testing.assert_allclose(data.contact[0].frame[:3], [0.0, 0.0, 1.0], atol=1e-9)
    assert data.contact[0].pos[2] == pytest.approx(0.0, abs=1e-3)
