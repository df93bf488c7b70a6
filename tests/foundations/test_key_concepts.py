"""Small worlds: what is drawn, what linear algebra says of it, and what is played must agree."""

import itertools

import numpy as np
import pytest

from rlworkshop.foundations import key_concepts as kc
from rlworkshop.rngs import Rngs

ROOM = """
.G
S#
"""


def random_mdp(rng, S=5, A=3):
    """States that are visited again and again, two first states, one terminal state."""
    P = rng.dirichlet(np.ones(S), size=(S, A))
    P[-1] = 0
    return kc.MDP(P, rng.normal(size=(S, A, S)), start=np.array([0.7, 0.3, *np.zeros(S - 2)]))


def example(seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng)
    return mdp, rng.dirichlet(np.ones(3), size=5)


# ---------------------------------------------------------------------------------------- worlds


def test_a_drawing_becomes_the_moves_it_shows():
    world = kc.gridworld(ROOM, {"G": 5.0}, step=-1.0)
    assert world.cells.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert world.start.tolist() == [0, 0, 1] and world.terminal.tolist() == [False, True, False]
    to = np.where(world.terminal[:, None], -1, world.P.argmax(axis=2))
    #          up right down left
    assert to.tolist() == [[0, 1, 2, 0], [-1, -1, -1, -1], [0, 2, 2, 2]]
    assert world.r.tolist() == [[-1, 5, -1, -1], [0, 0, 0, 0], [-1, -1, -1, -1]]


def test_a_slip_goes_to_both_sides_and_never_back():
    world = kc.gridworld(ROOM, {"G": 5.0}, step=-1.0, slip=0.2)
    assert world.P[0, 2] == pytest.approx([0.1, 0.1, 0.8])  # down: to the right lies G, left is the edge
    assert world.R[0, 2] == pytest.approx([-1, 5, -1])
    assert world.P[2, 0] == pytest.approx([0.8, 0, 0.2])  # up: both sides are blocked
    assert world.r[0, 1] == pytest.approx(0.8 * 5 - 0.2)


def test_what_leads_back_leads_to_all_starts_alike():
    world = kc.gridworld("SCG\nS..", {"C": -9.0, "G": 0.0}, step=-1.0)
    assert world.cells.tolist() == [[0, 0], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert world.P[0, 1] == pytest.approx([0.5, 0, 0.5, 0, 0]) and world.r[0, 1] == -9
    assert world.P[3, 0] == pytest.approx([0.5, 0, 0.5, 0, 0])


def test_two_ways_to_one_place_pay_their_mean():
    world = kc.gridworld("SCG\n...", {"C": -9.0, "G": 0.0}, step=-1.0, slip=0.5)
    # left from S: 0.5 against the edge, 0.25 up against the edge, 0.25 down; right: 0.5 by C back to S
    assert world.P[0, 1, 0] == pytest.approx(0.75) and world.r[0, 1] == pytest.approx(-4.5 - 0.5)
    assert world.R[0, 1, 0] == pytest.approx((0.5 * -9 + 0.25 * -1) / 0.75)


@pytest.mark.parametrize("slip", [0.0, 0.3, 1.0])
def test_from_everywhere_probabilities_add_up(slip):
    world = kc.gridworld("..#G\nS.CH\nS...", {"G": 1, "H": -1, "C": -3}, slip=slip)
    rows = world.P.sum(axis=2)
    assert np.allclose(rows, np.where(world.terminal[:, None], 0, 1))


@pytest.mark.parametrize(
    "layout, change, message",
    [
        ("S.\n.", {}, "one length"),
        ("..\n.G", {}, "at least one S"),
        ("S.\n?G", {}, "without a meaning in the layout: ?"),
        ("S.\n.G", {"slip": 1.5}, "slip is a probability"),
    ],
)
def test_a_drawing_that_is_none_is_refused(layout, change, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        kc.gridworld(layout, {"G": 1.0}, **change)


def test_maps_have_states_at_their_cells_and_nothing_elsewhere():
    world = kc.gridworld(ROOM, {"G": 5.0})
    assert np.array_equal(world.on_map(np.array([1.0, 2.0, 3.0])), [[1, 2], [3, np.nan]], equal_nan=True)
    moves = world.moves(np.full((3, 4), 0.25))
    assert moves.shape == (2, 2, 4) and np.isnan(moves[0, 1]).all() and np.isnan(moves[1, 1]).all()
    assert (moves[0, 0] == 0.25).all()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(start=np.ones(4)), "must be"),
        (dict(R=np.zeros((5, 3))), "must be"),
        (dict(start=np.ones(5)), "distributions"),
        (dict(P=random_mdp(np.random.default_rng(0)).P * 0.9), "distributions"),
    ],
)
def test_a_problem_that_is_none_is_refused(change, message):
    good = random_mdp(np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        kc.MDP(**{"P": good.P, "R": good.R, "start": good.start, **change})


# --------------------------------------------------------------------------------- what is true


def by_power_series(mdp, policy, gamma, start, payoff, steps=2000):
    """Σ γ^t start · chain^t · payoff, step by step."""
    at, total = start.astype(float), 0.0
    for t in range(steps):
        total += gamma**t * at @ payoff
        at = np.array(
            [
                sum(at[s] * policy[s, a] * mdp.P[s, a, to] for s, a in itertools.product(range(5), range(3)))
                for to in range(5)
            ]
        )
        if at.sum() < 1e-14:
            break
    return total


@pytest.mark.parametrize("seed, gamma", [(0, 1.0), (1, 0.9), (2, 0.0)])
def test_values_and_visits_are_sums_over_time(seed, gamma):
    mdp, policy = example(seed)
    r = np.array([sum(policy[s, a] * mdp.P[s, a] @ mdp.R[s, a] for a in range(3)) for s in range(5)])
    V, d = kc.state_values(mdp, policy, gamma), kc.visits(mdp, policy, gamma)
    for s in range(5):
        assert V[s] == pytest.approx(by_power_series(mdp, policy, gamma, np.eye(5)[s], r))
        here = np.eye(5)[s] * ~mdp.terminal
        assert d[s] == pytest.approx(by_power_series(mdp, policy, gamma, mdp.start, here))
    assert d @ r == pytest.approx(mdp.start @ V)


def test_the_policys_mean_of_q_is_v():
    mdp, policy = example(3)
    V = kc.state_values(mdp, policy, 0.8)
    Q = kc.action_values(mdp, V, 0.8)
    assert (policy * Q).sum(axis=1) == pytest.approx(V)
    for s, a in itertools.product(range(5), range(3)):
        backup = sum(mdp.P[s, a, to] * (mdp.R[s, a, to] + 0.8 * V[to]) for to in range(5))
        assert Q[s, a] == pytest.approx(backup)


def test_without_an_end_there_must_be_a_discount():
    world = kc.gridworld(ROOM, {"G": 1.0}, step=-1.0)
    stuck = np.tile([0.0, 0.0, 0.0, 1.0], (3, 1))  # to the left, for ever
    for function in (kc.state_values, kc.visits):
        with pytest.raises(ValueError, match="able to reach a terminal one; from state 0 this"):
            function(world, stuck, 1.0)
        with pytest.raises(ValueError, match="gamma lies between 0 and 1"):
            function(world, stuck, 1.1)
    assert kc.state_values(world, stuck, 0.9) == pytest.approx([-10, 0, -10])


# ------------------------------------------------------------------------------------ experience


def test_what_is_played_has_the_probabilities_of_the_world():
    mdp, policy = example(4)
    N = 40_000
    simulator = kc.Simulator(mdp, Rngs([np.random.default_rng(1)], each=N))
    for s, a in [(0, 0), (3, 2)]:
        rewards, following = simulator.step(np.full(N, s), np.full(N, a))
        often = np.bincount(following, minlength=5) / N
        assert np.abs(often - mdp.P[s, a]).max() < 0.0125  # five standard deviations
        assert np.array_equal(rewards, mdp.R[s, a, following])
    assert np.abs(np.bincount(simulator.start(), minlength=5) / N - mdp.start).max() < 0.0125
    acted = np.bincount(simulator.act(policy, np.full(N, 2)), minlength=3) / N
    assert np.abs(acted - policy[2]).max() < 0.0125


def test_a_terminal_state_pays_nothing_and_stays():
    mdp, _ = example(5)
    rewards, following = kc.Simulator(mdp, Rngs([0, 1])).step(np.array([4, 4]), np.array([0, 2]))
    assert rewards.tolist() == [0, 0] and following.tolist() == [4, 4]


def test_a_learner_plays_the_same_alone_and_among_others():
    mdp, policy = example(6)
    together = kc.play(kc.Simulator(mdp, Rngs([3, 8, 9])), policy)
    alone = kc.play(kc.Simulator(mdp, Rngs([8])), policy)
    T = alone.lengths[0]
    assert together.lengths[1] == T and np.array_equal(together.states[: T + 1, 1], alone.states[: T + 1, 0])
    assert np.array_equal(together.rewards[:T, 1], alone.rewards[:T, 0])


def test_episodes_are_what_happened_and_padded_behind_their_end():
    mdp, policy = example(7)
    batch = kc.play(kc.Simulator(mdp, Rngs(range(50))), policy)
    T = len(batch.actions)
    assert batch.lengths.max() == T and len(set(batch.lengths)) > 3
    for i, length in enumerate(batch.lengths):
        s, a = batch.states[:, i], batch.actions[:, i]
        assert batch.alive[:, i].tolist() == [t < length for t in range(T + 1)]
        assert (s[:length] != 4).all() and (s[length:] == 4).all()
        paid = [mdp.R[s[t], a[t], s[t + 1]] for t in range(length)]
        assert batch.rewards[:, i].tolist() == paid + [0.0] * (T - length)


def test_a_limit_cuts_episodes_that_are_still_alive():
    mdp, policy = example(7)
    whole = kc.play(kc.Simulator(mdp, Rngs(range(50))), policy)
    cut = kc.play(kc.Simulator(mdp, Rngs(range(50))), policy, limit=3)
    assert cut.actions.shape == (3, 50) and np.array_equal(cut.states, whole.states[:4])
    assert np.array_equal(cut.alive[-1], whole.lengths > 3)
    assert np.array_equal(cut.lengths, np.minimum(whole.lengths, 3))
    assert kc.play(kc.Simulator(mdp, Rngs([0])), policy, limit=0).actions.shape == (0, 1)


def test_without_a_limit_episodes_must_be_able_to_end():
    world = kc.gridworld(ROOM, {"G": 1.0})
    with pytest.raises(ValueError, match="able to reach"):
        kc.play(kc.Simulator(world, Rngs([0])), np.tile([0.0, 0.0, 0.0, 1.0], (3, 1)))


def test_mean_returns_are_the_values():
    mdp, policy = example(8)
    batch = kc.play(kc.Simulator(mdp, Rngs([np.random.default_rng(2)], each=20_000)), policy)
    returns = kc.discounted_return(batch.rewards, 0.9)
    error = returns.mean() - mdp.start @ kc.state_values(mdp, policy, 0.9)
    assert abs(error) < 5 * returns.std() / np.sqrt(20_000)


def test_a_discounted_return_by_hand():
    rewards = np.array([[1.0, 0.0], [2.0, 3.0], [4.0, 0.0]])
    assert kc.discounted_return(rewards, 0.5).tolist() == [3.0, 1.5]
    assert kc.discounted_return(rewards, 0.0).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("dtype, fits", [(float, True), (np.float32, True), (int, False), (bool, False)])
def test_a_table_that_learns_in_place_has_to_hold_fractions(dtype, fits):
    table = np.zeros(2, dtype)
    if fits:
        kc.must_be_floats(table)
    else:
        with pytest.raises(TypeError, match=f"not {table.dtype}"):
            kc.must_be_floats(table)
