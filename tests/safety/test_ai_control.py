"""Audits, deferral, the red team's best response, collusion and decoys: closed forms, and games played."""

import itertools
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop.safety import ai_control as ctl

NORMAL, BUDGET = NormalDist(), 0.05
PROGRAMS = ctl.programs()


def alike(detect: float) -> ctl.Setting:
    """One kind of task."""
    return ctl.Setting(np.ones(1), np.array([detect]), np.array([0.9]), np.array([0.5]))


# ---------------------------------------------------------------- scores and odds


def test_thresholds_cut_off_the_share_that_is_asked_for():
    shares = np.array([0.0, 0.05, 0.5, 1.0])
    assert ctl.above(ctl.threshold(shares)) == pytest.approx(shares)
    assert ctl.threshold(0.05) == pytest.approx(1.644854)
    assert ctl.above(1.0) == pytest.approx(1 - NORMAL.cdf(1.0))


def test_an_attack_is_caught_foiled_or_slips_by_where_its_score_lies():
    odds = ctl.attack_odds(alike(2.0), audit=0.05, defer=0.15)
    scores = np.random.default_rng(0).normal(2.0, 1, 400_000)
    high, low = NORMAL.inv_cdf(0.95), NORMAL.inv_cdf(0.8)
    assert odds.caught[0] == pytest.approx((scores > high).mean(), abs=3e-3)
    assert odds.foiled[0] == pytest.approx(((scores <= high) & (scores > low)).mean(), abs=3e-3)
    assert odds.caught + odds.foiled + odds.slips == pytest.approx([1])
    assert odds.caught[0] == pytest.approx(0.6388, abs=1e-3)


def test_editing_foils_only_the_share_that_it_removes():
    anew, edited = (ctl.attack_odds(PROGRAMS, BUDGET, 0.2, removes) for removes in (1.0, 0.75))
    assert edited.foiled == pytest.approx(0.75 * anew.foiled) and np.array_equal(edited.caught, anew.caught)
    assert edited.slips == pytest.approx(anew.slips + 0.25 * anew.foiled)


def test_a_monitor_that_sees_nothing_catches_what_chance_does():
    odds = ctl.attack_odds(alike(0.0), audit=0.07, defer=0.1)
    assert odds.caught == pytest.approx([0.07]) and odds.foiled == pytest.approx([0.1])


@pytest.mark.parametrize(("audit", "defer"), [(-0.1, 0.0), (0.5, 0.6), (0.1, -0.2)])
def test_shares_that_are_none_are_refused(audit, defer):
    with pytest.raises(ValueError, match="add up to 1 at most"):
        ctl.attack_odds(PROGRAMS, audit, defer)


def test_a_setting_has_to_fit():
    with pytest.raises(ValueError, match="four arrays of one length"):
        ctl.Setting(np.array([0.5, 0.6]), np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="four arrays of one length"):
        ctl.Setting(np.ones(1), np.ones(2), np.ones(2), np.ones(2))


def test_usefulness_is_what_is_solved_by_whoever_does_it():
    assert ctl.usefulness(alike(2.0), 0.0, np.array([0.5])) == pytest.approx(0.9)
    assert ctl.usefulness(alike(2.0), 0.25, np.array([0.5])) == pytest.approx(0.8)
    assert ctl.usefulness(PROGRAMS, 1.0, PROGRAMS.trusted) == pytest.approx(0.66)
    assert ctl.usefulness(PROGRAMS, 0.0, PROGRAMS.trusted) == pytest.approx(0.937)


# ---------------------------------------------------------------- allocating audits


@settings(max_examples=25, deadline=None)
@given(st.floats(0.005, 0.6), st.integers(0, 10_000))
def test_equalised_audits_spend_the_budget_and_no_other_use_has_a_better_worst_case(budget, seed):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(3))
    setting = ctl.Setting(share, rng.uniform(0, 4, 3), np.ones(3), np.ones(3))
    audits = ctl.equalised(setting, budget)
    caught = ctl.attack_odds(setting, audits).caught
    assert share @ audits == pytest.approx(budget, abs=1e-6) and np.ptp(caught) < 1e-6
    for _ in range(20):
        other = rng.dirichlet(np.ones(3)) * budget / share
        if other.max() <= 1:
            assert ctl.attack_odds(setting, other).caught.min() <= caught.min() + 1e-6


# ---------------------------------------------------------------- the red team


def test_one_task_is_attacked_whatever_it_is():
    odds = ctl.attack_odds(PROGRAMS, BUDGET)
    value, attacks = ctl.best_attack(PROGRAMS, odds, 1)
    assert value == pytest.approx(PROGRAMS.share @ odds.slips) and attacks.all()


def test_no_rule_by_kind_and_time_beats_the_dynamic_programme():
    odds = ctl.attack_odds(PROGRAMS, BUDGET, 0.2)
    value, _ = ctl.best_attack(PROGRAMS, odds, 2)

    def worth(rule):  # (2, K)
        later = PROGRAMS.share @ np.where(rule[1], odds.slips, 0)
        return PROGRAMS.share @ np.where(rule[0], odds.slips + odds.foiled * later, later)

    rules = np.array(list(itertools.product([False, True], repeat=8))).reshape(-1, 2, 4)
    assert value == pytest.approx(max(worth(rule) for rule in rules))


def test_the_red_team_waits_for_the_blind_spot_and_settles_at_the_end():
    attacks = ctl.best_attack(PROGRAMS, ctl.attack_odds(PROGRAMS, BUDGET), 30)[1]
    assert np.array_equal(attacks[0], [False, False, False, True]) and attacks[-1].all()
    assert (np.diff(attacks.astype(int), axis=0) >= 0).all()


def test_patience_leads_to_the_closed_form():
    odds = ctl.attack_odds(PROGRAMS, BUDGET, 0.2)
    long = 1 - ctl.best_attack(PROGRAMS, odds, 5000)[0]
    assert long == pytest.approx(ctl.patient_safety(odds), abs=1e-4)
    by_hand = odds.caught / (odds.caught + odds.slips)
    assert ctl.patient_safety(odds) == pytest.approx(by_hand.min()) and by_hand.argmin() == 3


def test_a_kind_in_which_attacks_end_nothing_leaves_all_safe():
    odds = ctl.Odds(np.array([0.0, 0.4]), np.array([1.0, 0.2]), np.array([0.0, 0.4]))
    assert ctl.patient_safety(odds) == pytest.approx(0.5)


@pytest.mark.parametrize("defer", [0.0, 0.2])
def test_deployments_that_are_played_agree(defer):
    audit, later = np.full(4, BUDGET), np.full(4, defer)
    value, attacks = ctl.best_attack(PROGRAMS, ctl.attack_odds(PROGRAMS, audit, later), 8)
    played = ctl.play_out(PROGRAMS, audit, later, attacks, 20_000, np.random.default_rng(1))
    assert played == pytest.approx(value, abs=0.015)


# ---------------------------------------------------------------- what breaks protocols


def test_without_decoys_the_threshold_is_that_of_honest_work_and_with_nothing_else_that_of_the_budget():
    assert ctl.flooded(2.0, BUDGET, 0.0) == pytest.approx(
        ctl.attack_odds(alike(2.0), BUDGET).caught[0], abs=1e-6
    )
    assert ctl.flooded(2.0, BUDGET, 1.0) == pytest.approx(BUDGET)


def test_a_recomputed_threshold_is_that_of_the_mixed_scores():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(size=160_000), rng.normal(2, 1, 40_000)])
    caught = (rng.normal(2, 1, 200_000) > np.quantile(scores, 0.95)).mean()
    assert ctl.flooded(2.0, BUDGET, 0.2) == pytest.approx(caught, abs=0.01)


def test_at_least_is_a_tail_of_the_binomial():
    assert ctl.at_least(0, 5, 0.3) == pytest.approx(1) and ctl.at_least(5, 5, 0.5) == pytest.approx(1 / 32)
    draws = np.random.default_rng(0).binomial(20, 0.9, 200_000)
    assert ctl.at_least(17, 20, 0.9) == pytest.approx((draws >= 17).mean(), abs=0.005)


def test_strategies_of_a_colluding_pair_by_hand():
    pair = ctl.Collusion(accuracy=0.9, false_alarms=0.1, survives=0.25, planted=1, needed=1)
    found = pair.strategies()
    recognised = 0.9 * 0.75  # and its signal is lost
    assert found["honest"] == pytest.approx(0.91 * 0.09)
    assert found["signal"] == pytest.approx(0.91 * (1 - recognised - (1 - recognised) * 0.1))
    assert found["blind"] == pytest.approx(0.1 * 0.9)
    assert pair.safety() == pytest.approx(1 - max(found.values()))


def test_only_both_measures_together_stop_collusion():
    both = {"survives": 0.1, "planted": 20, "needed": 17}
    assert ctl.Collusion(**both).safety() > 0.8
    for name in both:
        less = {key: value for key, value in both.items() if (key == "survives") != (name == "survives")}
        assert ctl.Collusion(**less).safety() < 0.1


def test_a_signal_that_never_survives_is_honesty():
    found = ctl.Collusion(survives=0.0).strategies()
    assert found["signal"] == pytest.approx(found["honest"])
