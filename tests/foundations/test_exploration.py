"""Exploration against closed forms, exact values, brute force and updates worked by hand."""

import itertools

import numpy as np
import pytest

from rlworkshop.foundations import exploration as ex
from rlworkshop.foundations.dynamic_programming import greedy, optimal_values
from rlworkshop.foundations.key_concepts import MDP
from rlworkshop.rngs import Rngs


def sea_of(size, learners=3, slip=0.0):
    return ex.deep_sea(size, Rngs(range(learners)), slip)


def follow(sea, wanted):
    """Q (N, H, C, A) whose greedy policy wants to the right where ``wanted`` (H,) says so, row by row."""
    actions = np.where(np.asarray(wanted)[:, None], sea.right, 1 - sea.right)  # (N, H, C)
    return np.eye(2)[actions]


# ---- the sea


@pytest.mark.parametrize("slip", [0.0, 0.3])
def test_the_best_value_of_a_sea_is_the_treasure_less_the_way_to_it(slip):
    sea = sea_of(5, slip=slip)
    V, _ = optimal_values(ex.sea_as_mdp(sea, 1), gamma=1.0)
    if slip == 0:
        assert V[0] == pytest.approx(1 - ex.COST)
        assert V[4 * 5 + 4] == pytest.approx(1 - ex.COST / 5)
    else:  # one wants to the right as long as one stands on the diagonal
        paid = sum(0.7**h for h in range(5)) * ex.COST / 5
        assert V[0] == pytest.approx(0.7**5 - paid)


def test_a_dive_pays_what_the_mdp_says():
    sea, rngs = sea_of(6, learners=4), Rngs([7, 8, 9, 10])
    Q = rngs.uniform(6, 6, 2)
    seen = ex.dive(sea, Q, rngs)
    for n in range(4):
        mdp = ex.sea_as_mdp(sea, n)
        states = [*(np.arange(6) * 6 + seen.columns[n]), 36]
        steps = list(zip(states, seen.actions[n], states[1:], strict=False))
        assert all(mdp.P[step] == 1 for step in steps)
        assert [mdp.R[step] for step in steps] == pytest.approx(seen.rewards[n])
        assert all(Q[n, h, c].argmax() == seen.actions[n, h] for h, c in enumerate(seen.columns[n]))


def test_only_right_in_every_step_finds_the_treasure():
    for wanted in itertools.product([True, False], repeat=3):
        sea = sea_of(3)
        seen = ex.dive(sea, follow(sea, wanted), Rngs(range(3)))
        assert (seen.found == all(wanted)).all()
        assert seen.rewards.sum(axis=1) == pytest.approx(all(wanted) - ex.COST * np.mean(wanted))


def test_the_current_carries_to_the_left_as_often_as_it_should_and_costs_all_the_same():
    sea = sea_of(4, learners=4000, slip=0.25)
    seen = ex.dive(sea, follow(sea, [True] * 4), Rngs(range(4000)))
    assert seen.went_right[:, 0].mean() == pytest.approx(0.75, abs=0.03)
    assert seen.rewards[:, 0] == pytest.approx(-ex.COST / 4)
    assert seen.found.mean() == pytest.approx(0.75**4, abs=0.03)


@pytest.mark.parametrize("size, slip", [(0, 0.0), (3, -0.1), (3, 1.5)])
def test_no_sea_without_rows_and_no_slip_that_is_no_probability(size, slip):
    with pytest.raises(ValueError, match="at least one row|slip is a probability"):
        sea_of(size, slip=slip)


# ---- dithering


def test_uniform_play_needs_two_to_the_size():
    assert [ex.expected_episodes(n, 1.0) for n in range(1, 9)] == [2**n for n in range(1, 9)]


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 1.1])
def test_the_law_needs_an_epsilon(epsilon):
    with pytest.raises(ValueError, match="epsilon lies above 0"):
        ex.expected_episodes(3, epsilon)


@pytest.mark.parametrize("size, epsilon", [(1, 0.2), (2, 0.3), (4, 0.7), (3, 1.0)])
def test_epsilon_greedy_learners_need_what_the_law_says(size, epsilon):
    rngs = Rngs(range(500))
    sea = ex.deep_sea(size, rngs)
    waited = ex.q_learning(sea, rngs, 5000, epsilon=epsilon, times=1).until(1)
    noise = waited.std() / np.sqrt(len(waited))
    assert abs(waited.mean() - ex.expected_episodes(size, epsilon)) < 4 * noise


# ---- learning from dives


def test_a_backup_worked_by_hand():
    sea = ex.DeepSea(np.ones((1, 3, 3), int))
    seen = ex.dive(sea, follow(sea, [True, False, True]), Rngs([0]))
    assert seen.columns[0].tolist() == [0, 1, 0] and seen.actions[0].tolist() == [1, 0, 1]
    Q = np.full((1, 3, 3, 2), 0.5)
    Q[0, 2, 0] = 0.8, 4.0
    ex.back_up(Q, seen, np.array([[0.1, 0.2, 0.3]]), alpha=np.array([[1.0, 0.5, 0.5]]), ceiling=2.0)
    last = 4.0 + 0.5 * (0.3 - 4.0)  # 2.15: the end is worth nothing
    middle = 0.5 + 0.5 * (0.2 + 2.0 - 0.5)  # the ceiling cuts 2.15
    assert Q[0, 2, 0].tolist() == pytest.approx([0.8, last])
    assert Q[0, 1, 1].tolist() == pytest.approx([middle, 0.5])
    assert Q[0, 0, 0].tolist() == pytest.approx([0.5, 0.1 + middle])
    Q[0, 2, 0], Q[0, 1, 1], Q[0, 0, 0] = 0.5, 0.5, 0.5
    assert (Q == 0.5).all(), "nothing else has moved"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_optimistic_values_waste_exactly_one_dive_a_cell(size):
    rngs = Rngs(range(20))
    diary = ex.q_learning(ex.deep_sea(size, rngs), rngs, 200, initial=1.0, times=10)
    assert (diary.wasted() == size * (size + 1) / 2).all()


def test_optimistic_values_stay_above_the_true_ones():
    rngs = Rngs(range(5))
    sea = ex.deep_sea(5, rngs)
    Q = np.ones((5, 5, 5, 2))
    true = [optimal_values(ex.sea_as_mdp(sea, n), 1.0)[1][:-1].reshape(5, 5, 2) for n in range(5)]
    for _ in range(60):
        seen = ex.dive(sea, Q, rngs)
        ex.back_up(Q, seen, seen.rewards, alpha=1.0, ceiling=np.inf)
        assert (np.array(true) - 1e-12 <= Q).all()
    assert seen.found.all()


def test_a_diary_counts_treasures_and_cells():
    diary = ex.Diary(np.array([[1, 0], [0, 0], [1, 1]], bool), np.zeros((2, 1, 1)))
    assert diary.until(1).tolist() == [1, 3] and diary.until(2).tolist() == [3, np.inf]
    assert diary.wasted(2).tolist() == [1, np.inf]
    rngs = Rngs([0, 1])
    diary = ex.q_learning(ex.deep_sea(4, rngs), rngs, 7, initial=1.0)
    assert diary.found.shape == (7, 2) and (diary.visits.sum(axis=2) == 7).all()
    assert (diary.visits[:, 0, 0] == 7).all()


def test_learners_are_the_same_alone_and_among_others():
    def alone(seeds):
        rngs = Rngs(seeds)
        return ex.rlsvi(ex.deep_sea(4, rngs), rngs, 30, sigma=0.2, times=99).found

    assert np.array_equal(alone([3, 4, 5])[:, 1], alone([4])[:, 0])


def test_the_step_of_jin_forgets_the_start_and_gives_the_last_horizon_most_of_the_weight():
    step = ex.jin_step(np.arange(1, 101), horizon=9)
    assert step[0] == 1 and step[1] == 10 / 11 and (np.diff(step) < 0).all()
    weight = step * np.append(np.cumprod((1 - step)[:0:-1])[::-1], 1.0)  # of each of 100 targets
    assert weight.sum() == pytest.approx(1) and weight[-10:].sum() > 0.6  # a plain mean would say 0.1


def test_a_ucb_learner_goes_on_trying_what_pays_less_in_one_row():
    """With one row, no cost to speak of and a large bonus, both actions are taken again and again."""
    rngs = Rngs(range(20))
    often = ex.q_learning_ucb(ex.deep_sea(1, rngs), rngs, 400, beta=4.0, times=400).found.mean()
    seldom = ex.q_learning_ucb(ex.deep_sea(1, rngs), rngs, 400, beta=0.0, times=400).found.mean()
    assert often < 0.98 and seldom > 0.99


# ---- bonuses and plans


def test_the_bonus_shrinks_with_the_root_and_hopes_for_what_is_untried():
    bonus = ex.count_bonus(np.array([0, 1, 4, 100]), beta=0.6, untried=7.0)
    assert bonus.tolist() == pytest.approx([7.0, 0.6, 0.3, 0.06])


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_a_plan_with_the_true_numbers_is_optimal(slip):
    sea = sea_of(5, slip=slip)
    is_right = np.arange(2) == sea.right[..., None]  # (N, H, C, A)
    r = -ex.COST / 5 * is_right
    r[:, 4, 4] += (1 - slip) * is_right[:, 4, 4]
    Q = ex.plan_dive(r, is_right * (1 - slip))
    for n in range(3):
        exact = optimal_values(ex.sea_as_mdp(sea, n), 1.0)[1][:-1]
        assert np.allclose(Q[n].reshape(-1, 2), exact)
    assert np.allclose(ex.plan_dive(r + 5, is_right * 1.0, ceiling=0.25), 0.25)
    kept = np.random.default_rng(1).uniform(size=r.shape)
    last, before = ex.plan_dive(r, is_right * 1.0, kept=kept)[:, -1], ex.plan_dive(r, is_right * 1.0)[:, -1]
    assert np.array_equal(last, before)  # nothing comes after the last row
    assert np.allclose(ex.plan_dive(r, is_right * 1.0, kept=0.0), r)


def test_a_model_counts_dives():
    sea = ex.DeepSea(np.ones((1, 2, 2), int))
    model, seen = ex.SeaModel(sea), ex.dive(sea, follow(sea, [True, False]), Rngs([0]))
    model.add(seen)
    model.add(seen)
    assert model.n[0, 0, 0].tolist() == [0, 2] and model.n[0, 1, 1].tolist() == [2, 0]
    assert model.to_right[0, 0, 0].tolist() == [0.5, 1] and model.to_right[0, 1, 1].tolist() == [0, 0.5]
    assert model.r[0, 0, 0].tolist() == pytest.approx([0, -ex.COST / 2])


DEEP = {
    "bonus": lambda sea, rngs, seeds: ex.planned_bonus(sea, rngs, 250, beta=0.05),
    "ucb": lambda sea, rngs, seeds: ex.q_learning_ucb(sea, rngs, 250, beta=0.05),
    "rlsvi": lambda sea, rngs, seeds: ex.rlsvi(sea, rngs, 250, sigma=0.1),
    "psrl": lambda sea, rngs, seeds: ex.posterior_sampling(sea, seeds, 250, prior=0.1, sigma=0.1),
    "curious": lambda sea, rngs, seeds: ex.curious(sea, rngs, 250, beta=0.1),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_explorers_learn_a_sea_in_which_dithering_would_take_hundreds_of_dives(name):
    seeds = range(8)
    rngs = Rngs(seeds)
    assert (DEEP[name](ex.deep_sea(8, rngs), rngs, seeds).until(10) < 250).all()


def test_the_same_bonus_is_slower_where_it_does_not_travel():
    rngs = Rngs(range(8))
    sea = ex.deep_sea(7, rngs)
    deep = ex.planned_bonus(sea, rngs, 400, beta=0.05, times=1).until(1)
    shallow = ex.shallow_bonus(sea, rngs, 400, beta=0.05, times=1).until(1)
    assert np.median(shallow) > 4 * np.median(deep)


def test_a_bonus_brings_learners_back_whom_the_current_has_carried_away():
    rngs = Rngs(range(30))
    sea = ex.deep_sea(6, rngs, slip=1 / 6)
    with_bonus = ex.planned_bonus(sea, rngs, 250, beta=0.1).until(10)
    without = ex.planned_bonus(sea, rngs, 250, beta=0.0).until(10)
    assert np.isfinite(with_bonus).all() and np.isinf(without).mean() > 0.3


def test_rows_of_a_dirichlet_draw_have_the_posteriors_mean_and_spread():
    counts = np.tile([3.0, 1.0, 0.1], (4000, 1))
    drawn = ex.dirichlet(counts, [np.random.default_rng(s) for s in range(4000)])
    mean = counts[0] / 4.1
    assert np.allclose(drawn.sum(axis=1), 1)
    assert np.allclose(drawn.mean(axis=0), mean, atol=0.015)
    assert np.allclose(drawn.var(axis=0), mean * (1 - mean) / 5.1, atol=0.005)


# ---- what surprises, what teaches


def test_a_forecast_expects_the_error_that_it_makes():
    counts = np.array([3.0, 0.0, 1.0])
    guess = ex.predictor(counts, prior=0.5)
    assert guess.tolist() == pytest.approx([3.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5])
    assert ex.prediction_error(counts, 0.5) == pytest.approx(guess @ (1 - guess))


def test_the_change_of_forecast_is_the_mean_divergence_listed_one_by_one():
    counts, prior = np.array([3.0, 0.0, 1.0]), 0.5
    before, listed = ex.predictor(counts, prior), 0.0
    for k in range(3):
        after = ex.predictor(counts + np.eye(3)[k], prior)
        listed += before[k] * (after * np.log(after / before)).sum()
    assert ex.forecast_change(counts, prior) == pytest.approx(listed)


def test_a_fair_die_goes_on_surprising_and_stops_teaching():
    seen = np.array([10.0, 100.0, 1000.0])[:, None] * np.ones(8)
    error, learned = ex.prediction_error(seen), ex.forecast_change(seen)
    assert error == pytest.approx([7 / 8] * 3)
    assert (learned[1:] < learned[:-1] / 9).all()


# ---- lives without an end


def by_enumeration(mdp):
    """The largest gain of all deterministic policies, each from its stationary distribution."""
    S, A = mdp.r.shape
    best = -np.inf
    for actions in itertools.product(range(A), repeat=S):
        chain = mdp.P[np.arange(S), actions]
        share = np.full(S, 1 / S) @ np.linalg.matrix_power(0.5 * (chain + np.eye(S)), 1 << 14)
        best = max(best, share @ mdp.r[np.arange(S), actions])
    return best


def test_the_best_gain_of_the_river_is_that_of_swimming_always():
    river = ex.river_swim()
    policy = greedy(optimal_values(river, 0.95)[1])
    assert (policy[:, 1] == 1).all()
    g, _ = ex.gain_and_bias(river, policy)
    assert g == pytest.approx(by_enumeration(river))
    share = np.array([1, 3, 9, 27, 81, 81 * 3 / 7])  # detailed balance, step by step
    assert g == pytest.approx(share[-1] / share.sum() * 0.3 * 10_000)


def test_gaps_are_zero_along_the_best_policy_and_add_up_to_what_was_lost():
    river = ex.river_swim()
    best, T = greedy(optimal_values(river, 0.95)[1]), 50
    (g, h), gap = ex.gain_and_bias(river, best), ex.gaps(river, best)
    assert np.allclose(gap[:, 1], 0, atol=1e-8) and (gap[:, 0] > 100).all()
    other = np.tile([0.4, 0.6], (6, 1))
    chain, at, lost, earned = np.einsum("sa,sat->st", other, river.P), river.start, 0.0, 0.0
    for _ in range(T):
        lost += at @ (other * gap).sum(axis=1)
        earned += at @ (other * river.r).sum(axis=1)
        at = at @ chain
    assert T * g - earned == pytest.approx(lost + (at - river.start) @ h)


def test_a_gain_needs_a_life_without_an_end_and_one_long_run():
    stuck = MDP(np.tile(np.eye(2)[:, None], (1, 1, 1)), np.ones((2, 1, 2)), np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="depends on where it starts"):
        ex.gain_and_bias(stuck, np.ones((2, 1)))
    sea = ex.sea_as_mdp(sea_of(2), 0)
    with pytest.raises(ValueError, match="without an end"):
        ex.gain_and_bias(sea, np.full((5, 2), 0.5))


def test_the_river_and_the_house_are_what_they_are_said_to_be():
    river, home = ex.river_swim(), ex.house(rooms=3, channels=4, wage=0.5)
    assert river.P[2, 1].tolist() == [0, 0.1, 0.6, 0.3, 0, 0]
    assert river.P[0, 1].tolist() == pytest.approx([0.7, 0.3, 0, 0, 0, 0])
    assert river.P[5, 1].tolist() == pytest.approx([0, 0, 0, 0, 0.7, 0.3])
    assert (river.P[range(6), 0].argmax(axis=1) == [0, 0, 1, 2, 3, 4]).all()
    assert home.P[0, 0].tolist() == [0, 0, 0, 0.25, 0.25, 0.25, 0.25]
    assert (home.P[3:, 1, 0] == 1).all() and home.R.sum() == home.R[2, 1, 2] == 0.5
    with pytest.raises(ValueError, match="two rooms or more"):
        ex.house(rooms=1)


def test_beliefs_worked_by_hand():
    model = ex.Model(1, ex.river_swim())
    for following in (0, 1):
        model.add(np.array([0]), np.array([1]), np.array([3.0]), np.array([following]))
    r, P = ex.as_counted(model)
    assert r[0, 0].tolist() == [0, 3] and P[0, 0, 1].tolist() == [0.5, 0.5, 0, 0, 0, 0]
    assert not P[0, 0, 0].any()
    r, _ = ex.mbie_eb(model, beta=2.0, best=50.0)
    assert r[0, 0].tolist() == pytest.approx([50, 3 + 2 / np.sqrt(2)])


def test_a_drawn_world_is_near_what_was_counted_often_and_far_from_it_elsewhere():
    model = ex.Model(2000, ex.river_swim())
    model.n[:, 0, 1], model.paid[:, 0, 1], model.led[:, 0, 1, 0] = 99, 297.0, 99
    r, P = ex.posterior_draw(model, [np.random.default_rng(s) for s in range(2000)], 0.2, sigma=4.0)
    assert r[:, 0, 1].mean() == pytest.approx(2.97, abs=0.05) and r[:, 0, 1].std() == pytest.approx(
        0.4, rel=0.1
    )
    assert abs(r[:, 3, 0].mean()) < 0.4 and r[:, 3, 0].std() == pytest.approx(4.0, rel=0.1)
    assert P[:, 0, 1, 0].mean() == pytest.approx(99.2 / 100.2, abs=0.005)
    assert P[:, 3, 0].mean(axis=0) == pytest.approx(np.full(6, 1 / 6), abs=0.04)


def test_a_life_with_the_truth_as_its_belief_is_the_best_one():
    river = ex.river_swim()
    truth = np.tile(river.r, (20, 1, 1)), np.tile(river.P, (20, 1, 1, 1))
    life = ex.live(river, Rngs(range(20)), 400, lambda model: truth, gamma=0.95, every=400, sweeps=300)
    assert (life.actions == 1).all()
    assert life.model.n.sum() == life.model.led.sum() == 8000
    assert life.model.paid.sum() == pytest.approx(life.rewards.sum())
    assert (life.states[0] <= 2).all() and (np.abs(np.diff(life.states, axis=0)) <= 1).all()


def test_optimism_crosses_the_river_and_dithering_does_not():
    river, best = ex.river_swim(), 10_000 / (1 - 0.95)
    optimist = ex.live(
        river, Rngs(range(10)), 800, lambda m: ex.mbie_eb(m, 2000.0, best), gamma=0.95, ceiling=best
    )
    ditherer = ex.live(river, Rngs(range(10)), 800, ex.as_counted, gamma=0.95, epsilon=0.1)
    assert (optimist.states == 5).any(axis=0).all()
    assert (ditherer.states <= 2).mean() > 0.99


def test_values_that_learn_in_place_are_floats():
    seen = ex.dive(sea_of(3, learners=1), np.zeros((1, 3, 3, 2)), Rngs(range(1)))
    with pytest.raises(TypeError, match=r"astype\(float\)"):
        ex.back_up(np.zeros((1, 3, 3, 2), int), seen, seen.rewards, alpha=0.5, ceiling=1.0)
