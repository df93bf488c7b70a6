"""Sweeps against linear algebra, loops, brute force and numbers worked by hand."""

import numpy as np
import pytest

from rlworkshop.foundations import dynamic_programming as dp
from rlworkshop.foundations.key_concepts import MDP, action_values, gridworld, must_end, state_values


def worlds(n=5, S=6, A=3, successors=3):
    return [dp.random_mdp(np.random.default_rng(s), S, A, successors) for s in range(n)]


def some_policy(mdp, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(mdp.r.shape[1]), size=len(mdp.r))


def corridor(cells):
    """``cells`` in a row with the goal at the right end, which pays 1; no slip."""
    return gridworld("S" * cells + "G", {"G": 1.0})


def fair_walk(n):
    """n states in a row, left or right with equal chance whatever one does, an end at either side."""
    P = np.zeros((n + 2, 1, n + 2))
    for s in range(1, n + 1):
        P[s, 0, s - 1] = P[s, 0, s + 1] = 0.5
    return MDP(P, np.ones(P.shape), np.eye(n + 2)[1])


# ---- worlds


def test_worlds_side_by_side_are_each_as_if_alone():
    mazes = [dp.random_maze(np.random.default_rng(s), 5) for s in range(4)]
    together = dp.side_by_side(mazes)
    S = max(len(m.r) for m in mazes)
    assert together.P.shape == (4, S, 4, S) and len({len(m.r) for m in mazes}) > 1
    V = np.random.default_rng(0).normal(size=(4, S))
    for n, maze in enumerate(mazes):
        V[n, len(maze.r) :] = 0
        alone = dp.optimality_sweep(maze, V[n, : len(maze.r)], 0.9)
        assert np.allclose(dp.optimality_sweep(together, V, 0.9)[n, : len(maze.r)], alone)
        assert np.allclose(dp.optimality_sweep(together, V, 0.9)[n, len(maze.r) :], 0)
        assert np.array_equal(together.terminal[n, : len(maze.r)], maze.terminal)
        assert together.terminal[n, len(maze.r) :].all()


def test_worlds_side_by_side_need_the_same_actions():
    for mdps in ([], [worlds(1)[0], worlds(1, A=2)[0]]):
        with pytest.raises(ValueError, match="as many actions in each"):
            dp.side_by_side(mdps)


def test_random_worlds_have_as_many_successors_as_asked_for():
    mdp = dp.random_mdp(np.random.default_rng(0), 30, 4, 3)
    assert ((mdp.P > 0).sum(axis=2) == 3).all() and not mdp.terminal.any()
    assert abs(mdp.r.mean()) < 0.3 and 0.8 < mdp.r.std() < 1.2
    assert 0.3 < mdp.P.max(axis=2).mean() < 0.75  # of three even parts the largest is 11/18 on average


@pytest.mark.parametrize("seed", range(5))
def test_in_a_random_maze_every_cell_can_reach_the_goal(seed):
    maze = dp.random_maze(np.random.default_rng(seed), 8, prize=2.0, step=-0.5)
    must_end(maze, np.full(maze.r.shape, 0.25))
    assert maze.terminal.sum() == 1 and tuple(maze.cells[maze.terminal][0]) == (7, 7)
    assert len(maze.r) >= 32
    assert set(np.unique(maze.R[maze.P > 0])) == {-0.5, 2.0}
    assert (maze.R[..., maze.terminal][maze.P[..., maze.terminal] > 0] == 2).all()


def test_a_gambler_who_must_win_four_times_his_pocket():
    """Capital 1 of 4: heads twice in a row. Capital 3: heads, or tails and then heads."""
    V, Q = dp.optimal_values(dp.gambler(0.4, goal=4), 1.0)
    assert np.allclose(V, [0, 0.16, 0.4, 0.4 + 0.6 * 0.4, 0])
    assert np.allclose(Q[1], 0.16) and np.allclose(Q[2], [0.4 * 0.64 + 0.6 * 0.16, 0.4])
    assert np.allclose(Q[3], [0.64, 0.64]), "nobody stakes more than is missing"


def test_with_a_fair_coin_every_stake_is_as_good():
    V, Q = dp.optimal_values(dp.gambler(0.5, goal=20), 1.0)
    assert np.allclose(V[:-1], np.arange(20) / 20)
    assert np.allclose(Q[:-1], V[:-1, None])


def test_a_gambler_with_the_better_coin_stakes_little():
    """Stakes of 1: the ruin formula (1 - x^s) / (1 - x^n) with x the odds against heads."""
    V, _ = dp.optimal_values(dp.gambler(0.6, goal=20), 1.0)
    x = 0.4 / 0.6
    assert np.allclose(V[:-1], (1 - x ** np.arange(20)) / (1 - x**20))


@pytest.mark.parametrize("arguments", [(-0.1,), (1.1,), (0.4, 1)])
def test_a_gambler_needs_a_coin_and_a_goal(arguments):
    with pytest.raises(ValueError, match="p_heads lies between 0 and 1"):
        dp.gambler(*arguments)


def test_the_world_of_russell_and_norvig_has_their_utilities():
    world = dp.four_by_three()
    drawn = world.on_map(dp.optimal_values(world, 1.0)[0]) - 0.04  # they count the reward of where one is
    assert np.allclose(drawn[0, :3], [0.812, 0.868, 0.918], atol=5e-4)
    assert np.allclose(drawn[1, [0, 2]], [0.762, 0.660], atol=5e-4)
    assert np.allclose(drawn[2], [0.705, 0.655, 0.611, 0.388], atol=5e-4)


# ---- one sweep


def test_a_sweep_is_bellmans_sum_in_every_state():
    for mdp in worlds():
        V, policy, gamma = np.random.default_rng(1).normal(size=6), some_policy(mdp), 0.8
        Q = [
            [sum(mdp.P[s, a, t] * (mdp.R[s, a, t] + gamma * V[t]) for t in range(6)) for a in range(3)]
            for s in range(6)
        ]
        assert np.allclose(dp.lookahead(mdp, V, gamma), Q)
        assert np.allclose(dp.optimality_sweep(mdp, V, gamma), np.max(Q, axis=1))
        assert np.allclose(dp.evaluation_sweep(mdp, policy, V, gamma), (policy * Q).sum(axis=1))


def test_sweeps_over_the_grid_of_the_textbook():
    grid, V = dp.corners(), np.zeros(16)
    even = np.full((16, 4), 0.25)
    for row in ([0, -1, -1, -1], [0, -1.75, -2, -2], [0, -2.4375, -2.9375, -3]):
        V = dp.evaluation_sweep(grid, even, V, 1.0)
        assert np.allclose(grid.on_map(V)[0], row)
    for _ in range(1000):
        V = dp.evaluation_sweep(grid, even, V, 1.0)
    assert np.allclose(
        grid.on_map(V), [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    )


def test_true_values_are_what_a_sweep_leaves_alone():
    for mdp in worlds():
        policy, (V, Q) = some_policy(mdp), dp.optimal_values(mdp, 0.9)
        assert np.allclose(dp.optimality_sweep(mdp, V, 0.9), V)
        assert np.allclose(dp.lookahead(mdp, V, 0.9), Q)
        true = state_values(mdp, policy, 0.9)
        assert np.allclose(dp.evaluation_sweep(mdp, policy, true, 0.9), true)


@pytest.mark.parametrize("gamma", [0.5, 0.99, 1.0])
def test_no_two_values_are_further_apart_after_a_sweep_than_gamma_times_before(gamma):
    rng = np.random.default_rng(0)
    for mdp in worlds():
        U, V, policy = rng.normal(size=6), rng.normal(size=6), some_policy(mdp)
        for sweep in (
            lambda x, mdp=mdp: dp.optimality_sweep(mdp, x, gamma),
            lambda x, mdp=mdp, policy=policy: dp.evaluation_sweep(mdp, policy, x, gamma),
        ):
            assert np.abs(sweep(U) - sweep(V)).max() <= gamma * np.abs(U - V).max() + 1e-12
            assert np.allclose(sweep(V + 2) - sweep(V), 2 * gamma), "a constant shrinks by gamma exactly"


# ---- in place, and by priority


def test_a_backup_in_place_sees_those_before_it():
    mdps = worlds(4)
    V = np.random.default_rng(2).normal(size=(4, 6))
    order = np.random.default_rng(3).random((4, 6)).argsort(axis=1)
    found = dp.in_place_sweep(dp.side_by_side(mdps), V, order, 0.9)
    for n, mdp in enumerate(mdps):
        by_hand = V[n].copy()
        for s in order[n]:
            by_hand[s] = action_values(mdp, by_hand, 0.9)[s].max()
        assert np.allclose(found[n], by_hand)
    first = dp.backup(dp.side_by_side(mdps), V, order[:, 0], 0.9)
    assert np.allclose(first, dp.optimality_sweep(dp.side_by_side(mdps), V, 0.9)[np.arange(4), order[:, 0]])


def test_in_a_corridor_one_sweep_from_the_goal_does_and_one_towards_it_moves_a_cell():
    world = dp.side_by_side([corridor(5)])
    zero = np.zeros((1, 6))
    from_goal = dp.in_place_sweep(world, zero, np.array([[5, 4, 3, 2, 1, 0]]), 0.5)
    assert np.allclose(from_goal, [[1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 0]])
    towards = dp.in_place_sweep(world, zero, np.array([[0, 1, 2, 3, 4, 5]]), 0.5)
    assert np.allclose(towards, [[0, 0, 0, 0, 1, 0]])
    assert np.allclose(zero, 0), "the argument is left alone"


def test_priorities_worked_by_hand():
    """Two corridors: in each the cell before the goal is the only urgent one, and wakes those beside it."""
    world = dp.side_by_side([corridor(3), corridor(3)])
    zero = np.zeros((2, 4))
    urgent = np.abs(dp.optimality_sweep(world, zero, 0.5) - zero)
    assert np.allclose(urgent, [[0, 0, 1, 0]] * 2)
    V, urgent = dp.prioritised_backup(world, zero, urgent, 0.5)
    assert np.allclose(V, [[0, 0, 1, 0]] * 2)
    assert np.allclose(urgent, [[0, 0.5, 0.5, 0]] * 2), "bumping into a wall, the cell gets to itself"
    V, urgent = dp.prioritised_backup(world, V, urgent, 0.5)
    assert np.allclose(V, [[0, 0.5, 1, 0]] * 2)
    assert np.allclose(urgent, [[0.25, 0.25, 0.5, 0]] * 2), "the third could change by 0.25: it keeps 0.5"


def test_priority_is_the_chance_times_the_change_and_is_never_lowered_by_another():
    P = np.zeros((1, 4, 1, 4))
    P[0, 0, 0] = [0, 0.1, 0.9, 0]
    P[0, 1, 0] = [0, 0, 0.2, 0.8]
    P[0, 2, 0, 3] = 1
    world = dp.Worlds(P, np.array([[[0.0], [0.0], [10.0], [0.0]]]), np.array([[False] * 3 + [True]]))
    V, urgent = dp.prioritised_backup(world, np.zeros((1, 4)), np.array([[3.0, 7.0, 10.0, 0.0]]), 0.5)
    assert np.allclose(V, [[0, 0, 10, 0]])
    assert np.allclose(urgent, [[4.5, 7.0, 0, 0]])


def test_by_priority_values_get_right_until_nothing_is_urgent():
    mazes = [dp.random_maze(np.random.default_rng(s), 4) for s in range(3)]
    world = dp.side_by_side(mazes)
    V = np.zeros(world.terminal.shape)
    urgent = np.abs(dp.optimality_sweep(world, V, 0.9))
    for _ in range(1500):
        V, urgent = dp.prioritised_backup(world, V, urgent, 0.9)
    assert urgent.max() < 1e-9
    for n, maze in enumerate(mazes):
        assert np.allclose(V[n, : len(maze.r)], dp.optimal_values(maze, 0.9)[0])


# ---- the best policy


def test_greedy_shares_among_ties():
    Q = np.array([[1.0, 3.0, 3.0 - 1e-12], [2.0, 1.0, 1.9]])
    assert np.allclose(dp.greedy(Q), [[0, 0.5, 0.5], [1, 0, 0]])
    assert np.allclose(dp.greedy(Q, tolerance=0.2), [[0, 0.5, 0.5], [0.5, 0, 0.5]])
    assert np.allclose(dp.greedy(np.stack([Q, Q])), np.stack([dp.greedy(Q)] * 2))


def test_every_policy_is_listed_with_its_values():
    mdp = worlds(1, S=4, A=3)[0]
    V = dp.every_policy(mdp, 0.9)
    assert V.shape == (81, 4)
    for i in (0, 5, 46, 80):
        actions = [i % 3, i // 3 % 3, i // 9 % 3, i // 27]
        assert np.allclose(V[i], state_values(mdp, np.eye(3)[actions], 0.9))


def test_terminal_states_have_no_say_in_the_list_of_policies():
    V = dp.every_policy(corridor(3), 0.5)
    assert V.shape == (64, 4) and np.allclose(V[:, 3], 0)
    assert np.allclose(V.max(axis=0), [0.25, 0.5, 1, 0])


def test_there_is_no_list_of_too_many_policies():
    for mdp, gamma in ((dp.corners(), 0.9), (corridor(3), 1.0)):
        with pytest.raises(ValueError, match="policies at most a million"):
            dp.every_policy(mdp, gamma)


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_policy_iteration_finds_the_best_of_all_policies(gamma):
    for mdp in worlds():
        best = dp.every_policy(mdp, gamma).max(axis=0)
        policies, values = dp.policy_iteration(mdp, gamma)
        assert np.allclose(values[-1], best) and np.allclose(dp.optimal_values(mdp, gamma)[0], best)
        assert np.allclose(policies[0], 1 / 3) and len(policies) == len(values)
        for policy, V in zip(policies, values, strict=True):
            assert np.allclose(state_values(mdp, policy, gamma), V)
        assert all((later >= sooner - 1e-9).all() for sooner, later in zip(values, values[1:], strict=False))


def test_policy_iteration_begins_where_it_is_told_to():
    mdp = worlds(1)[0]
    best = dp.greedy(dp.optimal_values(mdp, 0.9)[1])
    policies, values = dp.policy_iteration(mdp, 0.9, best)
    assert len(policies) == 1 and policies[0] is best
    assert np.allclose(values[0], dp.optimal_values(mdp, 0.9)[0])


def test_policy_iteration_stops_where_all_policies_are_equal_and_where_numbers_are_large():
    policies, _ = dp.policy_iteration(dp.gambler(0.5), 1.0)
    assert len(policies) == 1
    mdp = worlds(1)[0]
    large = MDP(mdp.P, 1e9 * mdp.R, mdp.start)
    assert np.allclose(dp.optimal_values(large, 0.999)[0], 1e9 * dp.optimal_values(mdp, 0.999)[0])


@pytest.mark.parametrize(("gamma", "tolerance"), [(0.5, 1e-6), (0.9, 1e-2), (0.99, 1e-3)])
def test_value_iteration_is_as_exact_as_it_says(gamma, tolerance):
    for mdp in worlds():
        V, sweeps = dp.value_iteration(mdp, gamma, tolerance)
        off = np.abs(V - dp.optimal_values(mdp, gamma)[0]).max()
        assert off <= tolerance
        assert dp.value_iteration(mdp, gamma, 2 * tolerance)[1] <= sweeps


def test_sweeps_of_value_iteration_counted_by_hand():
    """One state that pays 1 for ever, gamma 1/2: after k sweeps 2 - 2^(1-k), and the bound is the error."""
    forever = MDP(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones(1))
    V, sweeps = dp.value_iteration(forever, 0.5, 0.25)
    assert sweeps == 3 and np.allclose(V, 1.75)
    assert dp.error_bound(np.array([1.75]), np.array([1.5]), 0.5) == pytest.approx(0.25)


@pytest.mark.parametrize(("gamma", "tolerance"), [(1.0, 1e-3), (-0.1, 1e-3), (0.9, 0.0)])
def test_value_iteration_refuses_what_it_cannot_promise(gamma, tolerance):
    with pytest.raises(ValueError, match="value_iteration needs"):
        dp.value_iteration(worlds(1)[0], gamma, tolerance)


# ---- what is certain


def test_the_bound_holds_after_every_sweep_of_either_kind():
    for mdp in worlds():
        policy = some_policy(mdp)
        for sweep, truth in (
            (lambda V, mdp=mdp: dp.optimality_sweep(mdp, V, 0.9), dp.optimal_values(mdp, 0.9)[0]),
            (
                lambda V, mdp=mdp, policy=policy: dp.evaluation_sweep(mdp, policy, V, 0.9),
                state_values(mdp, policy, 0.9),
            ),
        ):
            V = np.zeros(6)
            for _ in range(40):
                before, V = V, sweep(V)
                assert np.abs(V - truth).max() <= dp.error_bound(V, before, 0.9) + 1e-12


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_rate_of_a_walk_between_two_ends_is_a_cosine(n):
    walk = fair_walk(n)
    assert dp.sweep_rate(walk, np.ones((n + 2, 1)), 0.9) == pytest.approx(0.9 * np.cos(np.pi / (n + 1)))


def test_without_an_end_the_rate_is_gamma_and_sweeps_keep_to_it():
    mdp, gamma = worlds(1)[0], 0.9
    policy = some_policy(mdp)
    truth, V = state_values(mdp, policy, gamma), np.zeros(6)
    for _ in range(60):
        before, V = V, dp.evaluation_sweep(mdp, policy, V, gamma)
    assert dp.sweep_rate(mdp, policy, gamma) == pytest.approx(gamma)
    assert np.abs(V - truth).max() / np.abs(before - truth).max() == pytest.approx(gamma)


def test_with_an_end_and_no_discount_sweeps_keep_to_the_rate():
    grid, even = dp.corners(), np.full((16, 4), 0.25)
    truth, V = state_values(grid, even, 1.0), np.zeros(16)
    for _ in range(200):
        before, V = V, dp.evaluation_sweep(grid, even, V, 1.0)
    assert dp.sweep_rate(grid, even, 1.0) == pytest.approx(
        np.abs(V - truth).max() / np.abs(before - truth).max()
    )


def test_values_that_begin_as_whole_numbers_get_fractions():
    world, whole = dp.side_by_side([corridor(5)]), np.zeros((1, 6), int)
    swept = dp.in_place_sweep(world, whole, np.array([[5, 4, 3, 2, 1, 0]]), 0.5)
    assert np.allclose(swept, [[1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 0]]) and not whole.any()
    V, urgent = whole, np.array([[0, 0, 0, 0, 1, 0]])
    for _ in range(2):
        V, urgent = dp.prioritised_backup(world, V, urgent, 0.5)
    assert np.allclose(V, [[0, 0, 0, 0.5, 1, 0]])
