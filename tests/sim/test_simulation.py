"""Many robots on many terrains: each as MuJoCo alone would have it."""

from collections.abc import Callable, Iterator

import mujoco
import numpy as np
import pytest

from poise.cores import available_cores
from poise.sim.simulation import Simulation
from poise.sim.terrain import TerrainOptions

TERRAIN = TerrainOptions(nodes=65, half_size=1.0, scale=8.0)
MakeSimulation = Callable[..., Simulation]


@pytest.fixture
def simulate() -> Iterator[MakeSimulation]:
    made: list[Simulation] = []

    def make(num_robots: int, threads: int = 1, terrain: TerrainOptions = TERRAIN, **options: object) -> Simulation:
        made.append(Simulation(num_robots, terrain, threads=threads, **options))
        made[-1].reset(np.arange(num_robots), range(num_robots))
        return made[-1]

    yield make
    for simulation in made:
        simulation.close()


def actions_for(step: int, count: int) -> np.ndarray:
    return np.random.default_rng(step).uniform(-1, 1, (8, 3))[:count]


@pytest.mark.parametrize("integrator", ["implicitfast", "rk4"])
def test_a_robot_moves_as_in_a_loop_of_mj_step(simulate: MakeSimulation, integrator: str) -> None:
    simulation = simulate(3, threads=2, integrator=integrator)
    model = simulation._models[1]
    data = mujoco.MjData(model)
    data.qpos[:] = simulation.qpos[1]
    for step in range(40):
        actions = actions_for(step, 3)
        simulation.step(actions, substeps=2)
        data.ctrl[:] = -10.0 * actions[1]
        mujoco.mj_step(model, data, 2)
    np.testing.assert_array_equal(simulation.qpos[1], data.qpos)
    np.testing.assert_array_equal(simulation.qvel[1], data.qvel)


def test_substeps_are_steps_under_the_same_action(simulate: MakeSimulation) -> None:
    one_by_one, at_once = simulate(2), simulate(2)
    for _ in range(10):
        one_by_one.step(actions_for(0, 2))
    at_once.step(actions_for(0, 2), substeps=10)
    np.testing.assert_array_equal(one_by_one.qpos, at_once.qpos)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_change_results(simulate: MakeSimulation, threads: int) -> None:
    first, second = simulate(5, threads=1), simulate(5, threads=threads)
    for step in range(30):
        for simulation in (first, second):
            simulation.step(actions_for(step, 5))
    np.testing.assert_array_equal(first.qpos, second.qpos)
    np.testing.assert_array_equal(first.heights, second.heights)


def test_the_heights_are_those_that_mujoco_collides_with(simulate: MakeSimulation) -> None:
    simulation = simulate(3)
    for robot in range(3):
        np.testing.assert_array_equal(simulation.heights[robot], TERRAIN.generate(robot))
        np.testing.assert_array_equal(simulation._models[robot].hfield_data, simulation.heights[robot].ravel())
    assert simulation.terrain_seeds.tolist() == [0, 1, 2]


def test_reset_touches_only_the_robots_named(simulate: MakeSimulation) -> None:
    simulation = simulate(4)
    for step in range(5):
        simulation.step(actions_for(step, 4))
    before, heights = simulation.qpos.copy(), simulation.heights.copy()
    simulation.reset(np.array([1, 3]), [10, 3])
    np.testing.assert_array_equal(simulation.qpos[[0, 2]], before[[0, 2]])
    np.testing.assert_array_equal(simulation.heights[[0, 2, 3]], heights[[0, 2, 3]])
    assert (simulation.heights[1] != heights[1]).any()
    assert simulation.terrain_seeds.tolist() == [0, 10, 2, 3]
    assert (simulation.qpos[[1, 3]] != before[[1, 3]]).any(axis=1).all()
    np.testing.assert_array_equal(simulation.qvel[[1, 3]], 0.0)


def test_a_state_continues_in_another_simulation(simulate: MakeSimulation) -> None:
    simulation, other = simulate(3, threads=2), simulate(3)
    simulation.reset(np.array([1]), [77])
    for step in range(10):
        simulation.step(actions_for(step, 3))
    other.load_state(simulation.state())
    np.testing.assert_array_equal(simulation.heights, other.heights)
    for step in range(10, 20):
        for each in (simulation, other):
            each.step(actions_for(step, 3))
    np.testing.assert_array_equal(simulation.qpos, other.qpos)
    np.testing.assert_array_equal(simulation.qvel, other.qvel)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e4])
@pytest.mark.parametrize("field", ["qpos", "qvel"])
def test_divergence_is_seen(simulate: MakeSimulation, value: float, field: str) -> None:
    simulation = simulate(3)
    assert not simulation.diverged().any()
    getattr(simulation, field)[2, 5] = value
    assert simulation.diverged().tolist() == [False, False, True]


def test_flat_ground_and_the_end_of_the_threads() -> None:
    with_threads = Simulation(1, TerrainOptions(kind="flat", nodes=3))
    assert with_threads.threads == available_cores()
    with_threads.reset(np.arange(1), [0])
    assert not with_threads.heights.any()
    with_threads.close()
    with pytest.raises(RuntimeError):
        with_threads.reset(np.arange(1), [1])
