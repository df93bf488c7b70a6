"""Deployment: the other simulator against closed forms, the contract, each check, and the watchdog."""

import dataclasses

import numpy as np
import pytest

from rlworkshop.robotics import reality_gap as gap
from rlworkshop.robotics import sim_to_sim as deployed
from rlworkshop.robotics.sim_to_sim import Contract, ContractError, Table

SHEET = np.zeros((3, 6))


def act(obs: np.ndarray) -> np.ndarray:
    """A controller that is good enough: towards the goal, and against the velocity."""
    return np.clip(4 * obs[:, 4:6] - 4 * obs[:, 2:4], -1, 1).astype(np.float32)


def seen(n: int = 50) -> np.ndarray:
    """Observations (M, 8) of the training simulator."""
    made = gap.PuckEnvs(n)
    (obs, _), rows = made.reset(seed=0), []
    for _ in range(gap.EPISODE):
        rows.append(obs)
        obs, *_ = made.step(act(obs))
    return np.concatenate(rows)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return deployed.draw_up(act, seen())


# ---------------------------------------------------------------- the other simulator


@pytest.mark.parametrize("p", [-1.0, 0.0, 1.0])
def test_without_push_velocity_falls_exponentially(p):
    table = Table(np.tile([0, p, 0, 0, 0, 0], (2, 1)))
    table.velocity[:] = [1.0, -0.5]
    start, c = table.position.copy(), 2 * 2**p
    table.advance(0.5, np.zeros((2, 2)))
    assert table.velocity == pytest.approx(np.array([[1.0, -0.5]] * 2) * np.exp(-c * 0.5), rel=1e-6)
    assert table.position - start == pytest.approx(
        np.array([[1.0, -0.5]] * 2) * (1 - np.exp(-c * 0.5)) / c, rel=1e-6
    )
    assert table.time == pytest.approx(0.5)


def test_the_error_falls_with_the_fourth_power_of_the_step():
    errors = []
    for step in (0.1, 0.05):
        table = Table(SHEET[:1])
        table.STEP = step
        table.late, table.sent = np.zeros(1, int), np.zeros((1, 1, 2))
        table.advance(1.0, np.array([[1.0, 0.0]]))
        errors.append(abs(table.velocity[0, 0] - 3 * (1 - np.exp(-2))))
    assert 14 < errors[0] / errors[1] < 18


@pytest.mark.parametrize("p", [0.0, 2 / 4.5, 1.0])
def test_a_push_arrives_after_the_latency_in_seconds(p):
    table = Table(np.array([[0, 0, 0, 0, 0, p], [0, 0, 0, 0, 0, 0]]))
    late = np.rint(4.5 * p) * gap.DT
    moved = []
    for _ in range(50):
        table.advance(0.005, np.ones((2, 2)))
        moved.append(table.velocity.any(axis=1))
    first = np.argmax(np.array(moved), axis=0)
    assert first[0] * 0.005 == pytest.approx(late) and first[1] == 0


def test_it_senses_in_millimetres():
    table = Table(SHEET)
    table.position[0], table.goal[0], table.velocity[0] = [0.1, -0.2], [0.3, 0.4], [0.5, -0.6]
    found = table.sense()
    assert set(found) == {"puck_x", "puck_y", "speed_x", "speed_y", "goal_x", "goal_y"}
    wanted = {"puck_x": 100, "puck_y": -200, "goal_x": 300, "goal_y": 400, "speed_x": 500, "speed_y": -600}
    assert {name: value[0] for name, value in found.items()} == pytest.approx(wanted)


def test_a_goal_counts_after_a_quarter_of_a_second_near_it():
    table = Table(SHEET)
    table.goal[:] = table.position
    for step in range(1, 49):
        table.advance(0.005, np.zeros((3, 2)))
        assert (table.goals == (step >= 48)).all()


def test_time_near_a_goal_counts_anew_after_the_puck_has_left_it():
    table, still = Table(SHEET), np.zeros((3, 2))
    table.goal[:] = table.position
    table.advance(0.2, still)
    table.goal[:] += 1
    table.advance(0.01, still)
    table.goal[:] -= 1
    table.advance(0.2, still)
    assert not table.goals.any()
    table.advance(0.05, still)
    assert (table.goals == 1).all()


def test_what_is_read_is_what_the_training_simulator_shows():
    made = gap.PuckEnvs(3)
    made.reset(seed=0)
    obs, *_ = made.step(np.full((3, 2), 0.4))
    table = Table(SHEET)
    table.position, table.velocity, table.goal = made.position, made.velocity, made.goal
    assert deployed.read(table.sense(), np.full((3, 2), 0.4)) == pytest.approx(obs, abs=1e-6)


def test_deployment_logs_a_decision_each_period_and_reaches_goals():
    log = deployed.deploy(act, Table(np.zeros((50, 6))))
    assert log["obs"].shape == (150, 50, 8) and log["action"].shape == (150, 50, 2)
    assert np.diff(log["time"]) == pytest.approx(0.04) and log["goals"].mean() > 3
    assert np.array_equal(log["obs"][1:, :, 6:], log["action"][:-1])
    slow = deployed.deploy(act, Table(np.zeros((50, 6))), period=0.08, seconds=2.0)
    assert len(slow["time"]) == 25


# ---------------------------------------------------------------- the contract


def test_the_right_deployment_keeps_it(contract):
    log = deployed.deploy(act, Table(np.zeros((50, 6))))
    deployed.check_reader(contract, deployed.read)
    deployed.check_policy(contract, act)
    deployed.check_period(contract, log["time"])
    deployed.check_range(contract, log["obs"])


def test_it_survives_its_file(contract, tmp_path):
    contract.save(tmp_path / "contract.json")
    assert Contract.load(tmp_path / "contract.json") == contract


@pytest.mark.parametrize(
    "text", ["no json", "{}", '{"names": 3}', '{"names": [], "low": [], "high": [], "x": 1}']
)
def test_what_is_no_contract_is_refused(text, tmp_path):
    (tmp_path / "wrong.json").write_text(text)
    with pytest.raises(ContractError, match="is no contract"):
        Contract.load(tmp_path / "wrong.json")
    with pytest.raises(ContractError, match="is no contract"):
        Contract.load(tmp_path / "missing.json")


def wrong_order(channels, last):
    return deployed.read(channels, last)[:, [0, 1, 4, 5, 2, 3, 6, 7]]


def wrong_unit(channels, last):
    return deployed.read({name: 1000 * value for name, value in channels.items()}, last)


def wrong_sign(channels, last):
    return deployed.read(channels, last) * [1, 1, 1, 1, -1, -1, 1, 1]


def no_memory(channels, last):
    return deployed.read(channels, 0 * last)


def too_short(channels, last):
    return deployed.read(channels, last)[:, :6]


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (wrong_order, r"half velocity x"),
        (wrong_unit, r"position x"),
        (wrong_sign, r"way to goal x"),
        (no_memory, r"last push x"),
        (too_short, r"shape \(20, 6\), not \(20, 8\)"),
    ],
)
def test_a_reader_that_is_wrong_is_named(contract, reader, message):
    with pytest.raises(ContractError, match=message):
        deployed.check_reader(contract, reader)


def test_other_weights_are_noticed(contract):
    with pytest.raises(ContractError, match="other weights or normaliser"):
        deployed.check_policy(contract, lambda obs: act(obs) + 0.01)


@pytest.mark.parametrize("period", [0.02, 0.05, 0.08])
def test_another_rate_is_noticed(contract, period):
    with pytest.raises(ContractError, match="trained with 0.04 s"):
        deployed.check_period(contract, np.arange(20) * period)
    deployed.check_period(contract, np.arange(20) * 0.04 + 0.03 * (np.arange(20) > 9))  # one that was late


def test_implausible_observations_are_noticed(contract):
    obs = np.zeros((1000, 8))
    obs[:11, 3] = 99
    with pytest.raises(ContractError, match=r"1% of half velocity y"):
        deployed.check_range(contract, obs)
    obs[:2, 3] = 0
    deployed.check_range(contract, obs)
    obs[5, 2] = np.nan
    with pytest.raises(ContractError, match="half velocity x .* is not finite"):
        deployed.check_range(contract, obs)


def test_the_bounds_are_the_extremes_and_a_fifth(contract):
    obs = seen()
    low, high = obs.min(axis=0), obs.max(axis=0)
    assert contract.low == pytest.approx(low - 0.2 * (high - low), rel=1e-5)
    assert contract.high == pytest.approx(high + 0.2 * (high - low), rel=1e-5)
    assert np.shape(contract.obs) == (20, 8) and np.shape(contract.actions) == (20, 2)


# ---------------------------------------------------------------- the watchdog


def test_it_acts_as_the_policy_while_nothing_is_wrong(contract):
    dog, rows = deployed.Watchdog(act, contract, np.zeros(2)), seen(4).reshape(-1, 4, 8)
    for obs in rows:
        assert np.array_equal(dog(obs), act(obs))
    assert dog.tripped == {}


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "not finite"), (np.inf, "not finite"), (99.0, "implausible")]
)
def test_a_bad_value_stops_its_robot_for_good(contract, value, reason):
    dog, good = deployed.Watchdog(act, contract, np.array([0.0, 0.0])), seen(3)[:3]
    bad = good.copy()
    bad[1, 0] = value
    dog(good)
    for obs in (bad, good + 0.001, good + 0.002):
        found = dog(obs)
        assert np.array_equal(found[[0, 2]], act(obs)[[0, 2]]) and not found[1].any()
    assert dog.tripped == {1: reason}
    dog.release()
    assert np.array_equal(dog(good), act(good)) and dog.tripped == {}


def test_a_sensor_that_stands_still_stops_its_robot(contract):
    dog, good = deployed.Watchdog(act, contract, np.zeros(2), frozen=3), seen(2)[:2]
    for t in range(4):
        obs = good.copy()
        obs[0, :6] += 0.001 * t  # this one moves
        obs[:, 6:] = 0.1 * t  # the last action is no sensor's
        stopped = not dog(obs)[1].any()
        assert stopped == (t >= 3)
    assert dog.tripped == {1: "frozen"}


def test_whoever_is_stopped_stays_stopped_when_another_follows(contract):
    dog, good = deployed.Watchdog(act, contract, np.zeros(2)), seen(3)[:3]
    for i in (2, 0):
        bad = good + 0.001 * i
        bad[i, 1] = np.nan
        dog(bad)
    assert dog.tripped == {2: "not finite", 0: "not finite"}
    assert not dog(good + 0.005)[[0, 2]].any() and dog(good + 0.006)[1].any()


def test_stopping_is_not_always_zero(contract):
    dog, obs = deployed.Watchdog(act, contract, np.array([0.3, -0.3])), np.full((1, 8), np.nan)
    assert dog(obs)[0] == pytest.approx([0.3, -0.3])


def test_a_contract_is_not_changed_by_accident(contract):
    with pytest.raises(dataclasses.FrozenInstanceError):
        contract.period = 1.0
