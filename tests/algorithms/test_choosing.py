"""Choosing an algorithm: what a success costs, against simulated tries, and the decision list."""

import numpy as np
import pytest

from rlworkshop.algorithms import choosing
from rlworkshop.algorithms.choosing import Situation

NAN = np.nan


def test_the_expected_steps_are_those_of_the_example_by_hand():
    steps = np.array([4e3, 4e3, 5e3, 6e3, NAN])
    assert choosing.expected_steps(steps, 1e4) == pytest.approx(7250)
    assert choosing.expected_steps(steps[:4], 1e4) == 4750
    assert choosing.expected_steps(np.array([NAN, NAN]), 1e4) == np.inf


@pytest.mark.parametrize("seed", range(3))
def test_beginning_anew_until_a_run_succeeds_takes_the_expected_steps(seed):
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(6) < 0.6, rng.uniform(10, 90, 6), NAN)
    steps[0] = 50.0
    tries = steps[rng.integers(6, size=(40_000, 60))]  # (trials, tries)
    first = np.isfinite(tries).argmax(axis=1)  # the try that succeeds
    spent = np.where(np.isfinite(tries), tries, 100.0).cumsum(axis=1)
    mean = spent[np.arange(len(first)), first].mean()
    assert choosing.expected_steps(steps, 100.0) == pytest.approx(mean, rel=0.02)


def test_at_the_break_even_price_both_cost_the_same_and_beyond_it_the_frugal_one_less():
    frugal, hasty = (5e3, 1e-3), (1e5, 1e-5)
    price = choosing.break_even(frugal, hasty)
    cost = [choosing.expected_cost(*one, np.array([price / 2, price, 2 * price])) for one in (frugal, hasty)]
    assert price == pytest.approx(4 / 95e3) and cost[0][1] == pytest.approx(cost[1][1])
    assert cost[0][0] > cost[1][0] and cost[0][2] < cost[1][2]


def test_who_needs_fewer_steps_and_less_computing_is_the_cheaper_one_at_any_price():
    assert choosing.break_even((10, 1.0), (100, 0.5)) == 0
    with pytest.raises(ValueError, match="fewer steps, and 100 is not below 10"):
        choosing.break_even((100, 1.0), (10, 1.0))


def test_a_run_has_reached_the_goal_at_its_first_good_evaluation():
    looks = np.array([[0, 3, 1, 5], [0, 1, 2, 2], [7, 0, 0, 0]])
    found = choosing.reached(np.array([10, 20, 30, 40]), looks, 3)
    assert found[[0, 2]].tolist() == [20, 10] and np.isnan(found[1])


def test_normalised_scores_put_a_random_agent_at_0_and_the_reference_at_1():
    assert choosing.normalized(np.array([-1200.0, -150.0, -675.0]), -1200, -150).tolist() == [0, 1, 0.5]


def test_ranks_flip_as_often_as_the_normal_distribution_says():
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 1, 5_000), rng.normal(0, 1, 5_000)
    for seeds, expected in ((1, 0.2398), (4, 0.0786)):  # P(Z > sqrt(seeds / 2))
        assert choosing.rank_flips(x, y, seeds, 20_000, rng) == pytest.approx(expected, abs=0.02)
        assert choosing.rank_flips(y, x, seeds, 20_000, rng) == pytest.approx(expected, abs=0.02)
    assert choosing.rank_flips(np.ones(3), np.zeros(3), 1, 100, rng) == 0
    assert choosing.rank_flips(np.ones(3), np.array([1.0, 1, 0.9]), 1, 20_000, rng) == pytest.approx(
        1 / 3, abs=0.02
    )


BREAK_EVEN = 1e-3
PPO, DQN = "PPO or TRPO, with many copies", "DQN with n-step targets, and TRPO beside it"


@pytest.mark.parametrize(
    "situation, advice",
    [
        (Situation(), PPO),
        (Situation(step_seconds=0.05), "SAC or TD3"),
        (Situation(step_seconds=0.05, actions="discrete"), DQN),
        (Situation(step_seconds=0.05, copies=1000), PPO),  # many copies make a step cheap
        (Situation(step_seconds=BREAK_EVEN), PPO),
        (Situation(machines=8, step_seconds=0.05), "actors that lag, corrected: V-trace"),
        (Situation(pixels=True, actions="discrete"), "DQN with a convolutional network"),
        (Situation(pixels=True), PPO),
        (Situation(harm=True, pixels=True), "learn in a simulator, with a limit as a constraint"),
        (Situation(only_data=True, harm=True), "imitate, if the recordings are good; else offline RL"),
    ],
)  # fmt: skip
def test_the_first_question_answered_with_yes_decides(situation, advice):
    assert choosing.advise(situation, BREAK_EVEN).advice == advice


def test_every_rule_is_the_first_for_somebody():
    everybody = [
        Situation(actions, pixels, data, harm, seconds, 1, machines)
        for actions in ("discrete", "continuous")
        for pixels in (False, True)
        for data in (False, True)
        for harm in (False, True)
        for seconds in (1e-6, 1.0)
        for machines in (1, 9)
    ]
    assert {choosing.advise(each, BREAK_EVEN) for each in everybody} == {*choosing.RULES}
