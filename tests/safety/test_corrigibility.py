"""Off switches, interruptions, side effects, assistance and proxies: closed forms and exact values."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop.foundations.key_concepts import state_values
from rlworkshop.rngs import Rngs
from rlworkshop.safety import corrigibility as cor

CORRIDOR = cor.corridor()
ALWAYS_LEFT = np.tile(np.eye(3)[cor.LEFT], (14, 1))

# ---------------------------------------------------------------- off-switch game


def test_a_human_is_rational_in_the_limit_and_never_overflows():
    utility = np.array([-1e6, -0.1, 0.0, 0.1, 1e6])
    assert np.array_equal(cor.lets_act(utility, 0.0), [0, 0, 0, 1, 1])
    assert cor.lets_act(utility, 1e-4) == pytest.approx([0, 0, 0.5, 1, 1])
    assert cor.lets_act(np.array([2.0]), 1.0) == pytest.approx(1 / (1 + np.exp(-2)))


def test_the_mean_of_the_positive_part_is_that_of_many_draws():
    draws = np.random.default_rng(0).normal(0.7, 1.3, 400_000)
    assert cor.positive_part(0.7, 1.3) == pytest.approx(np.maximum(draws, 0).mean(), abs=0.01)
    assert cor.positive_part(1.0, 1.0) == pytest.approx(1.0833, abs=1e-4)


def test_the_integral_comes_to_the_closed_form_as_the_human_gets_rational():
    exact = cor.incentive_to_wait(0.8, 1.2, 0.0)
    assert cor.incentive_to_wait(0.8, 1.2, 1e-3) == pytest.approx(exact, abs=1e-4)
    assert exact == pytest.approx(cor.positive_part(0.8, 1.2) - 0.8)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(0.05, 3))
def test_waiting_pays_exactly_where_the_human_is_likelier_to_be_right(mean, std, temperature):
    found = float(cor.incentive_to_wait(mean, std, temperature))
    odds = std**2 - 2 * abs(mean) * temperature
    assert found * odds >= -1e-6
    assert found == pytest.approx(float(cor.incentive_to_wait(-mean, std, temperature)), abs=1e-8)


def test_a_sure_robot_has_nothing_to_gain_and_loses_what_a_noisy_human_spoils():
    assert abs(cor.incentive_to_wait(1.0, 0.01, 0.0)) < 1e-6
    sure = cor.incentive_to_wait(1.0, 0.01, 1.0)  # the human says no with probability 1 / (1 + e)
    assert sure == pytest.approx(-1 / (1 + np.e), abs=1e-3)


def test_break_even_is_twice_mean_times_temperature():
    noise = np.array([0.1, 0.5, 2.0])
    assert cor.break_even(1.5, noise) == pytest.approx(np.sqrt(3 * noise), rel=1e-5)


def test_bad_beliefs_are_refused():
    for std, temperature in ((0.0, 1.0), (1.0, -0.1)):
        with pytest.raises(ValueError, match="std has to be positive"):
            cor.incentive_to_wait(1.0, std, temperature)


# ---------------------------------------------------------------- interruptions


def cost(policy, held):
    """Steps from the start under a policy (14, 3) that is overridden."""
    return -state_values(CORRIDOR, cor.carried_out(policy, held, cor.STILL), 1.0)[cor.START]


def test_being_held_costs_odds_and_the_button_ends_it():
    detour = ALWAYS_LEFT.copy()
    detour[cor.START : cor.BUTTON] = np.eye(3)[cor.RIGHT]
    for p in (0.0, 0.5, 0.9):
        held = cor.holds(p)
        assert cost(ALWAYS_LEFT, held) == pytest.approx(4 + p / (1 - p))
        assert cost(detour, held) == pytest.approx(8)


def test_an_override_mixes_the_policy_with_stay_in_held_states_only():
    held, policy = cor.holds(0.9), np.full((14, 3), 1 / 3)
    done = cor.carried_out(policy, held, cor.STILL)
    assert done[cor.HOLD] == pytest.approx([0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3])
    assert np.array_equal(np.delete(done, cor.HOLD, 0), np.delete(policy, cor.HOLD, 0))
    assert done.sum(axis=1) == pytest.approx(np.ones(14))


def test_worth_is_the_best_the_executed_or_the_chosen_action():
    Q = np.array([[1.0, 5.0, 3.0], [4.0, 0.0, 2.0]])
    chosen, executed = np.array([2, 2]), np.array([0, 1])
    assert np.array_equal(cor.q_learning_worth(Q, chosen, executed), [5, 4])
    assert np.array_equal(cor.sarsa_worth(Q, chosen, executed), [1, 0])
    assert np.array_equal(cor.safe_sarsa_worth(Q, chosen, executed), [3, 2])


def learned(worth, held, world=CORRIDOR, steps=5000):
    return cor.learn_held(world, held, worth, Rngs(range(8)), steps)


def test_q_learning_learns_the_corridor_without_the_person():
    Q = learned(cor.q_learning_worth, cor.holds(0.9))
    assert Q[:, cor.START].max(axis=1) == pytest.approx(np.full(8, -4.0), abs=0.05)
    assert (Q[:, cor.START].argmax(axis=1) == cor.LEFT).all()
    assert Q[:, cor.HOLD, cor.LEFT] == pytest.approx(np.full(8, -2.0), abs=0.05)


@pytest.mark.parametrize(
    ("worth", "probability", "goes"),
    [
        (cor.sarsa_worth, 0.9, cor.RIGHT),
        (cor.safe_sarsa_worth, 0.9, cor.LEFT),
        (cor.sarsa_worth, 0.0, cor.LEFT),
    ],
)
def test_sarsa_flees_from_the_person_and_safe_sarsa_does_not(worth, probability, goes):
    assert (learned(worth, cor.holds(probability))[:, cor.START].argmax(axis=1) == goes).all()


def test_sarsa_comes_to_the_value_of_what_is_carried_out():
    held = cor.holds(0.5)
    Q = cor.learn_held(CORRIDOR, held, cor.sarsa_worth, Rngs(range(8)), 7000, alpha=0.03, epsilon=0.0)
    assert Q[:, cor.START, cor.LEFT].mean() == pytest.approx(-5, abs=0.3)


def test_held_has_to_be_a_probability_for_each_state():
    for held in (np.zeros(13), np.full(14, 1.5)):
        with pytest.raises(ValueError, match="14 probabilities"):
            cor.learn_held(CORRIDOR, held, cor.sarsa_worth, Rngs([0]), 1)


# ---------------------------------------------------------------- rooms


def walk(world, actions):
    """The drawing after some actions: u, r, d, l, or . to stay."""
    state, to = 0, cor.successors(world)
    for action in actions:
        state = to[state, "urdl.".index(action)]
    return state, world.drawings[state]


def test_a_crate_is_pushed_and_stuck_in_the_corner():
    world = cor.crate_room()
    state, drawn = walk(world, "d")
    assert drawn == "######\n###..#\n#..@.#\n#..o##\n#G.###\n######" and world.harm[state] == 10
    assert walk(world, "dd") == (state, drawn)  # against the wall it does not move
    back, drawn = walk(world, "rdldllur")
    assert world.harm[back] == 0 and drawn.split("\n")[2] == "#.@o.#"  # pushed, walked around, pushed back


def test_the_belt_runs_and_pushing_off_it_pays_once():
    sushi, vase = cor.sushi_belt(), cor.vase_belt()
    assert walk(vase, ".")[1].split("\n")[1] == ">o>x"
    gone, drawn = walk(vase, "...")
    assert (
        drawn == "..@.\n>>>x\n....\n...." and vase.harm[gone] == 10 and sushi.harm[walk(sushi, "...")[0]] == 0
    )
    to = cor.successors(vase)
    waits, _ = walk(vase, "..")
    assert vase.r[waits, 2] == pytest.approx(50 - 0.1) and vase.r[waits, 4] == 0
    saved, drawn = walk(vase, "..d")
    assert drawn == "....\n>>@x\n..o.\n...." and vase.harm[saved] == 0
    assert to[saved, 4] == saved and vase.r[saved].max() == 0  # it stays off, and nothing more is paid
    broken, drawn = walk(vase, "..dlddru")
    assert vase.harm[broken] == 10 and "o" not in drawn


def test_a_thing_rides_beneath_the_robot():
    vase = cor.vase_belt()
    state, drawn = walk(vase, "d")  # the robot enters the belt, the vase comes to the cell before it
    assert drawn.split("\n")[1] == ">o@x"
    assert vase.harm[walk(vase, "d..")[0]] == 10


def test_the_goal_pays_for_each_step_that_ends_there():
    sushi = cor.sushi_belt()
    arrives, _ = walk(sushi, "r")
    assert sushi.r[0, 1] == pytest.approx(4.9) and sushi.r[arrives, 4] == 5 and sushi.r[0, 4] == 0


# ---------------------------------------------------------------- deviations and plans


def test_reachability_is_gamma_to_the_number_of_steps():
    R = cor.reachability(CORRIDOR, 0.9)
    assert R[cor.START, cor.GOAL] == pytest.approx(0.9**4) and R[3, 3] == 1
    assert R[cor.START, 7 + cor.START] == pytest.approx(0.9**4)  # to the button and back
    assert R[7 + cor.START, cor.START] == 0  # a button that is pressed stays so


def test_deviations_by_hand():
    R = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.25, 0.5, 1.0]])
    d = cor.relative_reachability(R)
    assert d[0, 2] == pytest.approx(1 / 3) and d[2, 0] == pytest.approx(0.25)
    assert d[0, 1] == pytest.approx(0.5 / 3) and not np.diag(d).any()
    assert cor.unreachability(R)[0, 2] == 1 and cor.unreachability(R)[2, 0] == 0.75
    V = np.array([[1.0, 2.0], [3.0, 1.0]])
    assert cor.attainable_utility(V) == pytest.approx(np.array([[0, 1.5], [1.5, 0]]))


def test_attainable_values_are_weighted_means_of_rewards():
    world = cor.vase_belt()
    rewards = np.stack([np.ones(len(world.r)), np.eye(len(world.r))[0]], axis=1)
    V = cor.attainable(world, rewards, 0.9)
    assert V[:, 0] == pytest.approx(np.ones(len(V)), abs=1e-9)
    assert V[0, 1] == pytest.approx(0.1) and V[1:, 1].max() == 0  # the vase moves on: one visit and no more


def test_baselines_are_start_inaction_and_this_steps_inaction():
    world, S = cor.vase_belt(), len(cor.vase_belt().r)
    idle = [walk(world, "." * t)[0] for t in range(5)]
    assert (cor.from_start(world, 4) == 0).all() and cor.from_start(world, 4).shape == (4, S)
    assert np.array_equal(cor.from_inaction(world, 4), np.repeat([idle[1:]], S, axis=0).T)
    assert np.array_equal(cor.stepwise(world, 4)[2], cor.successors(world)[:, 4])


def ends(world, deviation, baseline, beta, horizon=24):
    states = cor.plan(world, deviation, baseline(world, horizon), beta)
    return world.harm[states[-1]], world.drawings[states[-1]]


def test_each_baseline_fails_in_its_own_way():
    crate, sushi, vase = cor.crate_room(), cor.sushi_belt(), cor.vase_belt()
    d = {w: cor.relative_reachability(cor.reachability(w, 0.996)) for w in (crate, sushi, vase)}
    assert (
        ends(crate, d[crate], cor.stepwise, 0.0)[0] == 10 and ends(crate, d[crate], cor.stepwise, 100)[0] == 0
    )
    assert ends(sushi, d[sushi], cor.from_start, 10)[0] == 10  # takes the sushi off the belt
    assert ends(sushi, d[sushi], cor.from_inaction, 10)[0] == 0
    assert ends(vase, d[vase], cor.from_inaction, 100)[0] == 10  # saves the vase, then breaks it
    assert ends(vase, d[vase], cor.stepwise, 100)[0] == 0


def test_a_plan_without_a_penalty_is_the_best_there_is():
    world = cor.sushi_belt()
    states = cor.plan(world, np.zeros((len(world.r),) * 2), cor.stepwise(world, 6), 0.0)
    assert len(states) == 7 and world.drawings[states[1]] == "...@\n>o>x\n....\n...."
    assert (np.array([world.drawings[s][3] for s in states[1:]]) == "@").all()


# ---------------------------------------------------------------- assistance games


def staples(M=2000):
    theta = (np.arange(M) + 0.5) / M
    worth = np.stack([theta, 1 - theta], axis=1)
    human, robot = np.array([[2, 0], [1, 1], [0, 2]]), np.array([[90, 0], [50, 50], [0, 90]])
    return theta, worth @ human.T, np.einsum("mi,hri->mhr", worth, human[:, None] + robot[None, :])


def test_teaching_beats_demonstrating_by_what_the_integral_says():
    theta, alone, payoff = staples()
    prior = np.full(2000, 1 / 2000)
    expert, learner = cor.demonstrated(payoff, prior, alone)
    teacher, pupil = cor.best_team(payoff, prior)
    assert cor.team_value(payoff, prior, expert, learner) == pytest.approx(69, abs=1e-3)
    gain = 2 * (5 * 5 / 92 - 46 * (5 / 92) ** 2)
    assert cor.team_value(payoff, prior, teacher, pupil) == pytest.approx(69 + gain, abs=1e-3)
    assert np.array_equal(pupil, [0, 1, 2]) and np.array_equal(np.unique(expert), [0, 2])
    assert theta[teacher == 1].min() == pytest.approx(41 / 92, abs=1e-3)


def test_what_nobody_does_is_answered_from_the_prior():
    _, alone, payoff = staples()
    sure = np.linspace(0.2, 0, 2000) ** 4
    _, learner = cor.demonstrated(payoff, sure / sure.sum(), alone)
    assert learner[1] == 2  # staples are likely, and one of each says nothing


# ---------------------------------------------------------------- inverse reward design


def test_the_best_way_is_that_of_brute_force_on_tiny_maps():
    rng, weights = np.random.default_rng(0), np.array([-1.0, -2.5, -9.0])
    ground = cor.grounds(rng, 30, 0.3, side=3)
    ground[:, 1, 1] = rng.integers(3, size=30)
    cells = cor.cells_of(ground, cor.best_way(ground, weights))

    def best(one, here, seen):
        if here == (0, 2):
            return 0.0
        near = [(here[0] + r, here[1] + c) for r, c in cor.STEPS[:4]]
        near = [n for n in near if min(n) >= 0 and max(n) < 3 and n not in seen]
        return max((weights[one[n]] + best(one, n, seen | {n}) for n in near), default=-np.inf)

    exact = [best(one, (2, 0), {(2, 0)}) for one in ground]
    assert cells @ weights == pytest.approx(exact)


def test_gardens_can_be_crossed_on_the_grass_or_with_a_detour():
    gardens = cor.gardens()
    cheap = cor.cells_of(gardens, cor.best_way(gardens, np.array([-1.0, -1.5, -1.0])))
    dear = cor.cells_of(gardens, cor.best_way(gardens, np.array([-1.0, -50.0, -1.0])))
    assert np.array_equal(cheap[:, cor.GRASS], [1, 1, 1]) and np.array_equal(cheap.sum(axis=1), [14] * 3)
    assert not dear[:, cor.GRASS].any() and np.array_equal(dear.sum(axis=1), [16, 18, 20])
    assert not (gardens == cor.LAVA).any()


def test_ground_that_costs_nothing_is_refused():
    with pytest.raises(ValueError, match="below 0"):
        cor.best_way(cor.gardens(), np.array([-1.0, 0.0, -1.0]))


def test_shares_of_ground_are_as_asked_for():
    ground = cor.grounds(np.random.default_rng(0), 400, 0.15)
    shares = [(ground == kind).mean() for kind in (cor.PATH, cor.GRASS, cor.LAVA)]
    assert shares == pytest.approx([0.36, 0.49, 0.145], abs=0.02)
    assert (ground[:, 7, 0] == cor.PATH).all() and (ground[:, 0, 7] == cor.PATH).all()


def test_a_posterior_by_hand():
    weights, counts = np.array([[-1.0], [-2.0]]), np.array([[3.0], [1.0]])
    likelihood = [1 / (1 + np.exp(2)), 1 / (1 + np.exp(4))]  # each: returns -3 against -1, -6 against -2
    found = cor.designer_posterior(counts, weights, 0, temperature=1.0)
    assert found == pytest.approx(np.array(likelihood) / sum(likelihood))
    half = [1 / (1 + np.exp(1)), 1 / (1 + np.exp(2))]
    assert cor.designer_posterior(counts, weights, 0, 2.0) == pytest.approx(np.array(half) / sum(half))


def test_what_never_occurred_stays_as_likely_as_it_was():
    weights = np.array([[-g, -lava] for g in (1.0, 2.0) for lava in (1.0, 8.0, 64.0)])
    counts = np.array([[3.0, 0.0]] * 3 + [[1.0, 0.0]] * 3)
    found = cor.designer_posterior(counts, weights, 0, 1.0).reshape(2, 3)
    assert found.sum(axis=0) == pytest.approx([1 / 3] * 3) and found.sum() == pytest.approx(1)


def test_caution_takes_the_lowest_weight_that_is_not_ruled_out():
    weights = np.array([[-1.0, -8.0], [-2.0, -1.0], [-9.0, -1.0]])
    posterior = np.array([0.5, 0.47, 0.03])
    assert np.array_equal(cor.cautious(weights, posterior, 0.05), [-2, -8])
    assert np.array_equal(cor.cautious(weights, posterior, 0.01), [-9, -8])
    assert np.array_equal(cor.cautious(weights, posterior, 0.6), [-1, -1])


# ---------------------------------------------------------------- environments

NAMES = ("Corridor", "CrateRoom", "SushiBelt", "VaseBelt")


@pytest.mark.parametrize("name", NAMES)
def test_they_keep_to_the_rules_of_gymnasium(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        check_env(gym.make(f"{name}-v0", render_mode="rgb_array").unwrapped)


def test_the_corridor_says_what_was_carried_out_and_what_it_did_not_pay_for():
    env = gym.make("Corridor-v0").unwrapped
    env.reset(seed=0)
    env.state = cor.HOLD
    carried = []
    for _ in range(400):
        env.state = cor.HOLD
        state, reward, *_, info = env.step(cor.LEFT)
        assert reward == -1 and state == cor.HOLD - (info["executed"] == cor.LEFT)
        carried.append(info["executed"])
    assert 0.85 < np.mean(np.array(carried) == cor.STILL) < 0.95
    env.state = cor.BUTTON - 1
    state, reward, *_, info = env.step(cor.RIGHT)
    assert state == 7 + cor.BUTTON and reward == -1 and info["performance"] == -11
    env.state = 1
    assert env.step(cor.LEFT)[2]  # the goal ends it


def test_an_episode_is_truncated_at_its_limit():
    env = gym.make("VaseBelt-v0").unwrapped
    env.reset(seed=0)
    cuts = [env.step(4)[3] for _ in range(20)]
    assert cuts == [False] * 19 + [True]


def test_a_picture_shows_robot_thing_and_belt():
    frame = cor.picture("..@\n>o>")
    assert frame.shape == (80, 120, 3)
    assert tuple(frame[20, 100]) == (40, 60, 110) and tuple(frame[60, 60]) == (160, 60, 120)
    assert tuple(frame[60, 20]) == (205, 215, 230)
