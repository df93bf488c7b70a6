"""Linear value functions: linear algebra, listed transitions, hand-worked steps and samples must agree."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from rlworkshop.foundations import function_approximation as fa
from rlworkshop.rngs import Rngs


def random_task(seed, S=5, D=3, gamma=0.9):
    """Each state ends with a probability of its own; states are updated as often as chance wills."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(S + 1), size=S)[:, :S]
    return fa.Task(P, rng.normal(size=S), rng.normal(size=(S, D)), rng.dirichlet(np.ones(S)), gamma)


def transitions(task):
    """(probability, features, reward, next features) of everything that can happen."""
    for s, row in enumerate(task.P):
        ends = 1 - row.sum()
        for p, following in [*zip(row, task.X, strict=True), (ends, np.zeros(task.X.shape[1]))]:
            yield task.d[s] * p, task.X[s], task.r[s], following


def rows(*numbers):
    return [np.atleast_1d(np.array(n, float))[None] for n in numbers]


# ---------------------------------------------------------------------------------------- tile coding


def test_tiles_by_hand():
    coder = fa.TileCoder((0.0,), (1.0,), tiles=2, tilings=2)  # the second one is shifted by half a tile
    points = np.array([[0.0], [0.2], [0.3], [0.5], [0.8], [1.0]])
    assert coder(points).tolist() == [[0, 3], [0, 3], [0, 4], [1, 4], [1, 5], [2, 5]]
    assert coder.features == 6
    assert coder(np.array([[-3.0], [7.0]])).tolist() == [[0, 3], [2, 5]]


@pytest.mark.parametrize("tiles, tilings", [(8, 8), (3, 4), (10, 1)])
def test_a_point_is_in_one_tile_of_each_tiling(tiles, tilings):
    coder = fa.TileCoder((-1.2, -0.07), (0.5, 0.07), tiles, tilings)
    rng = np.random.default_rng(0)
    corners = np.array([[-1.2, -0.07], [0.5, 0.07], [-1.2, 0.07], [0.5, -0.07]])
    points = np.vstack([corners, rng.uniform(coder.low, coder.high, size=(20_000, 2))])
    active = coder(points)
    assert np.array_equal(active // (tiles + 1) ** 2, np.tile(np.arange(tilings), (len(points), 1)))
    assert active.max() < coder.features
    X = np.zeros((len(points), coder.features))
    np.put_along_axis(X, active, 1.0, axis=1)
    assert (X.sum(axis=1) == tilings).all()


@pytest.mark.parametrize("dimension", [0, 1])
@pytest.mark.parametrize("k", range(10))
def test_points_share_one_tile_less_for_each_eighth_of_a_tile_between_them(dimension, k):
    coder = fa.TileCoder((0.0, 0.0), (8.0, 8.0))
    points = np.random.default_rng(1).uniform(1, 6, size=(200, 2))
    moved = points + np.eye(2)[dimension] * k / 8
    shared = (coder(points) == coder(moved)).sum(axis=1)
    assert (shared == max(0, 8 - k)).all()


def test_the_shifts_of_two_dimensions_are_one_and_three_parts_of_a_tile():
    coder = fa.TileCoder((0.0, 0.0), (8.0, 8.0))
    grids = coder(np.array([[3.0, 3.0]]))[0] % 81
    for i in range(8):
        corner = np.array([3.0 - i / 8, 3.0 - 3 * i / 8 % 1])  # the tile's lower corner in this tiling
        inside = coder(np.array([corner + 1e-9, corner + 1 - 1e-9]))[:, i] % 81
        assert (inside == grids[i]).all()
        outside = coder(np.array([corner - [1e-6, -0.5], corner - [-0.5, 1e-6]]))[:, i] % 81
        assert (outside != grids[i]).all()


def test_bad_boxes_are_refused():
    with pytest.raises(ValueError, match="high above low"):
        fa.TileCoder((0.0, 1.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="at least one tile"):
        fa.TileCoder((0.0,), (1.0,), tilings=0)


# ---------------------------------------------------------------------------------------- update rules


def test_a_gradient_step_follows_half_the_squared_error():
    rng = np.random.default_rng(0)
    w, x, target = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
    step = fa.gradient_step(w, x, target, 0.1) - w

    def half(w):
        return ((target - (w * x).sum(axis=1)) ** 2 / 2).sum()

    slope = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        e = np.zeros_like(w)
        e[i] = 1e-6
        slope[i] = (half(w + e) - half(w - e)) / 2e-6
    assert np.allclose(step, -0.1 * slope)


def test_td_by_hand():
    w, x, reward, following = rows([1, 2], [1, 1], 5, [0, 3])
    # δ = 5 + 0.5 · 6 − 3 = 5
    assert fa.semi_gradient_td(w, x, reward[0], following, 0.1, 0.5).tolist() == [[1.5, 2.5]]
    assert fa.semi_gradient_td(w, x, reward[0], following, 0.1, 0.5, rho=2.0).tolist() == [[2, 3]]
    assert fa.semi_gradient_td(w, x, reward[0], 0 * following, 0.1, 0.5).tolist() == [[1.2, 2.2]]
    assert fa.semi_gradient_td(w, x, reward[0], following, 0.1, 0.5, rho=np.zeros(1)).tolist() == [[1, 2]]


def test_tdc_by_hand():
    w, h, x, reward, following = rows([1, 2], [1, 0], [1, 1], 5, [0, 3])
    # δ = 5, the helper expects 1: the step is 0.1 · (2 · 5 · (1, 1) − 0.5 · 2 · 1 · (0, 3))
    new_w, new_h = fa.tdc(w, h, x, reward[0], following, 0.1, 0.5, 0.5, rho=2.0)
    assert np.allclose(new_w, [[2.0, 2.7]])
    assert np.allclose(new_h, [[1 + 0.5 * 9, 0.5 * 9]])


def test_sarsa_by_hand():
    w = np.zeros((2, 4, 3))
    w[:, 0, 1], w[:, 1, 1], w[:, 2, 2] = 1.0, 2.0, 10.0
    active, after = np.array([[0, 1], [0, 1]]), np.array([[1, 2], [1, 2]])
    before = w.copy()
    action, next_action = np.array([1, 1]), np.array([2, 2])
    terminated, alpha = np.array([False, True]), np.array([0.5, 0.1])
    delta = fa.sarsa_update(w, active, action, -1.0, after, next_action, terminated, alpha)
    assert delta.tolist() == [-1 + 10 - 3, -1 - 3]
    change = np.zeros_like(w)
    change[0, [0, 1], 1], change[1, [0, 1], 1] = 3.0, -0.4
    assert np.allclose(w - before, change)


# ---------------------------------------------------------------------------------- prediction, exactly


@pytest.mark.parametrize("seed", range(5))
def test_a_td_step_moves_by_b_minus_aw_on_average(seed):
    task, w = random_task(seed), np.random.default_rng(seed).normal(size=3)
    mean = np.zeros(3)
    for p, x, r, following in transitions(task):
        mean += p * (fa.semi_gradient_td(w[None], x[None], np.array([r]), following[None], 0.1, 0.9)[0] - w)
    A, b = fa.td_system(task)
    assert np.allclose(mean, 0.1 * (b - A @ w))
    assert np.allclose(A @ fa.td_fixed_point(task), b)


@pytest.mark.parametrize("seed", range(3))
def test_td_lambda_is_the_sum_over_all_later_td_errors(seed):
    task, w = random_task(seed), np.random.default_rng(seed).normal(size=3)
    delta = task.r + 0.9 * task.P @ task.X @ w - task.X @ w
    later, term = np.zeros(5), delta
    for _ in range(400):
        later, term = later + term, 0.9 * 0.7 * task.P @ term
    A, b = fa.td_system(task, lam=0.7)
    assert np.allclose(b - A @ w, (task.X.T * task.d) @ later)
    assert np.allclose(fa.td_fixed_point(task, lam=1.0), fa.best_weights(task))


@pytest.mark.parametrize("seed", range(3))
def test_the_best_weights_have_the_least_value_error(seed):
    task, rng = random_task(seed), np.random.default_rng(seed)
    best = fa.best_weights(task)
    near = best + 0.01 * rng.normal(size=(50, 3))
    assert (fa.value_error(task, near) > fa.value_error(task, best)).all()
    V = fa.true_values(task)
    assert np.allclose(V, task.r + 0.9 * task.P @ V)
    assert fa.value_error(task, best) == pytest.approx(sum(task.d * (V - task.X @ best) ** 2))


def test_with_a_table_td_finds_the_true_values():
    task = replace(random_task(1), X=np.eye(5))
    assert np.allclose(fa.td_fixed_point(task), fa.true_values(task))
    assert np.allclose(fa.best_weights(task), fa.true_values(task))


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(5))
def test_on_policy_the_td_error_is_within_its_bound(seed, gamma):
    mdp = fa.random_walk(20, 5)
    X = np.random.default_rng(seed).normal(size=(20, 3))
    task = fa.on_policy(mdp, np.ones((22, 1)), X, gamma)
    best, fixed = fa.value_error(task, fa.best_weights(task)), fa.value_error(task, fa.td_fixed_point(task))
    assert best <= fixed <= best / (1 - gamma)
    assert fa.divergence(task) < 0


def mean_squared_td_error(task, w):
    return sum(p * (r + task.gamma * x2 @ w - x @ w) ** 2 for p, x, r, x2 in transitions(task))


@pytest.mark.parametrize("seed", range(3))
def test_what_the_squared_errors_have_as_their_lowest_points(seed):
    task, rng = random_task(seed), np.random.default_rng(seed)
    w = fa.least_td_error(task)
    least = mean_squared_td_error(task, w)
    assert all(mean_squared_td_error(task, w + d) > least for d in 0.01 * rng.normal(size=(30, 3)))

    def bellman(w):
        return (task.r + task.gamma * task.P @ task.X @ w - task.X @ w) ** 2 @ task.d

    w = fa.least_bellman_error(task)
    assert all(bellman(w + d) > bellman(w) for d in 0.01 * rng.normal(size=(30, 3)))


def test_the_a_split_and_the_a_presplit_example():
    """Sutton & Barto (2018), examples 11.2 and 11.3."""
    P = np.array([[0, 0.5, 0.5], [0, 0, 0], [0, 0, 0]])
    split = fa.Task(P, np.array([0.0, 1, 0]), np.eye(3), np.array([0.5, 0.25, 0.25]), 1.0)
    assert np.allclose(fa.td_fixed_point(split), [1 / 2, 1, 0])
    assert np.allclose(fa.least_td_error(split), [1 / 2, 3 / 4, 1 / 4])
    assert np.allclose(fa.least_bellman_error(split), [1 / 2, 1, 0])
    P = np.array([[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    shared = np.eye(3)[[0, 0, 1, 2]]
    presplit = fa.Task(P, np.array([0.0, 0, 1, 0]), shared, np.full(4, 1 / 4), 1.0)
    assert np.allclose(fa.td_fixed_point(presplit), [1 / 2, 1, 0])
    assert np.allclose(fa.least_bellman_error(presplit), [1 / 2, 3 / 4, 1 / 4])


def test_a_task_that_is_none_is_refused():
    task = random_task(0)
    with pytest.raises(ValueError, match="needs P"):
        replace(task, r=np.zeros(4))
    with pytest.raises(ValueError, match="add up to at most 1"):
        replace(task, P=np.ones((5, 5)))
    with pytest.raises(ValueError, match="distribution over states"):
        replace(task, d=np.ones(5))


# ------------------------------------------------------------------------------------------ stability


@pytest.mark.parametrize("freeze", [1, 2, 7])
def test_frozen_targets_are_those_of_an_update_after_the_other(freeze):
    task, rng = random_task(3), np.random.default_rng(0)
    fixed = fa.td_fixed_point(task)
    w = start = rng.normal(size=3)
    for _ in range(freeze):
        target = task.r + 0.9 * task.P @ task.X @ start
        w = w + 0.3 * (task.X.T * task.d) @ (target - task.X @ w)
    assert np.allclose(fa.iteration_matrix(task, 0.3, freeze) @ (start - fixed), w - fixed)
    with pytest.raises(ValueError, match="at least one update"):
        fa.iteration_matrix(task, 0.3, 0)


def test_frozen_long_enough_a_table_does_value_iteration():
    task = replace(random_task(2), X=np.eye(5))
    assert np.allclose(fa.iteration_matrix(task, 1.0, 3_000), 0.9 * task.P)


def test_visible_weights_give_the_same_values_and_are_as_few_as_can_be():
    star = fa.baird()
    seen = fa.visible(star)
    assert seen.X.shape == (7, 7)
    assert np.allclose(seen.X @ seen.X.T, star.X @ star.X.T)
    few = fa.visible(replace(star, X=np.ones((7, 3))))
    assert few.X.shape == (7, 1)


def test_the_two_states_of_tsitsiklis_and_van_roy():
    """Updated alike, values w and 2w diverge where γ > 5/6; refitted, they grow by 6 γ / 5."""
    P, X = np.array([[0, 1.0], [0, 1]]), np.array([[1.0], [2]])
    for gamma in (0.5, 0.8, 0.9):
        task = fa.Task(P, np.zeros(2), X, np.array([0.5, 0.5]), gamma)
        assert fa.divergence(task) == pytest.approx((6 * gamma - 5) / 2)
        assert fa.spectral_radius(fa.iteration_matrix(task, 0.1, 200)) == pytest.approx(6 * gamma / 5)


@pytest.mark.parametrize("solid, own, lam", list(np.ndindex(2, 2, 2)))
def test_the_star_diverges_with_all_three_and_with_none_fewer(solid, own, lam):
    rate = fa.divergence(fa.baird(solid=[fa.SOLID, 1.0][solid], own=own), lam)
    assert (rate > 0.2) if (solid, own, lam) == (1, 0, 0) else (rate < 0)


def test_the_spectral_radius_is_the_growth_of_the_expected_weights():
    M = fa.iteration_matrix(fa.baird(), 0.01)
    w, sizes = fa.BAIRD_START, []
    for _ in range(4_000):
        w = M @ w
        sizes.append(np.linalg.norm(w))
    growth = fa.spectral_radius(fa.iteration_matrix(fa.visible(fa.baird()), 0.01))
    assert sizes[-1] / sizes[-2] == pytest.approx(growth, abs=1e-5)
    assert growth > 1.002


@pytest.mark.parametrize("seed", range(3))
def test_an_expected_step_of_tdc_is_what_its_matrix_says(seed):
    task, rng = random_task(seed), np.random.default_rng(seed)
    w, h = rng.normal(size=(2, 3))
    mean = np.zeros(6)
    for p, x, r, x2 in transitions(task):
        new_w, new_h = fa.tdc(w[None], h[None], x[None], np.array([r]), x2[None], 0.1, 0.3, 0.9)
        mean += p * np.concatenate([new_w[0], new_h[0]])
    fixed = np.concatenate([fa.td_fixed_point(task), np.zeros(3)])
    assert np.allclose(mean - fixed, fa.tdc_matrix(task, 0.1, 0.3) @ (np.concatenate([w, h]) - fixed))


def test_tdc_converges_where_td_does_not():
    star = fa.visible(fa.baird())
    assert fa.spectral_radius(fa.iteration_matrix(star, 0.005)) > 1
    assert fa.spectral_radius(fa.tdc_matrix(star, 0.005, 0.05)) < 1


# -------------------------------------------------------------------------------------------- worlds


def test_the_random_walk_by_hand():
    mdp = fa.random_walk()
    assert mdp.P.shape == (1002, 1, 1002) and mdp.terminal.sum() == 2
    assert mdp.start[500] == 1
    assert mdp.P[30, 0, 0] == pytest.approx(71 / 200)  # jumps of 30 … 100 to the left
    assert mdp.P[970, 0, 1001] == pytest.approx(70 / 200)
    assert mdp.P[500, 0, [399, 400, 500, 501, 600, 601]].tolist() == [0, 0.005, 0, 0.005, 0.005, 0]
    assert mdp.r[30, 0] == pytest.approx(-71 / 200) and mdp.r[970, 0] == pytest.approx(70 / 200)
    assert mdp.r[500, 0] == 0


def test_aggregation_is_a_table_of_neighbours():
    assert fa.aggregation(6, 2).tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    with pytest.raises(ValueError, match="equal groups"):
        fa.aggregation(10, 3)


def test_on_policy_weights_are_how_often_a_stream_is_there():
    mdp = fa.random_walk(10, 2)
    task = fa.on_policy(mdp, np.ones((12, 1)), np.eye(10), 0.9)
    states, rewards, following = fa.stream(mdp, 400, range(100))
    often = np.bincount(states.ravel() - 1, minlength=10) / states.size
    assert np.allclose(often, task.d, atol=0.01)
    ended = mdp.terminal[following]
    assert (states[1:][ended[:-1]] == 5).all() and (states[1:] == following[:-1])[~ended[:-1]].all()
    assert np.array_equal(rewards, mdp.R[states, 0, following])
    assert np.array_equal(np.unique(rewards[ended]), [-1, 1]) and not rewards[~ended].any()


def test_a_walker_alone_walks_as_among_others():
    mdp = fa.random_walk(10, 2)
    together, alone = fa.stream(mdp, 50, [3, 4, 5]), fa.stream(mdp, 50, [4])
    assert all(np.array_equal(x[:, 1], y[:, 0]) for x, y in zip(together, alone, strict=True))


def test_returns_stop_at_ends_and_are_unknown_where_the_stream_was_cut():
    rewards = np.array([[1.0], [2.0], [4.0], [8.0]])
    ended = np.array([[False], [True], [True], [False]])
    assert np.array_equal(fa.returns(rewards, ended), [[3], [2], [4], [np.nan]], equal_nan=True)
    assert fa.returns(rewards, ended, 0.5)[0] == 2.0


def test_the_star_by_hand():
    star = fa.baird()
    assert star.X[2].tolist() == [0, 0, 2, 0, 0, 0, 0, 1] and star.X[6].tolist() == [0, 0, 0, 0, 0, 0, 1, 2]
    assert (
        np.array_equal(star.P, np.tile(np.eye(7)[6], (7, 1)))
        and np.allclose(star.d, 1 / 7)
        and not star.r.any()
    )
    assert np.allclose(fa.baird(solid=fa.SOLID).P, 1 / 7)
    assert np.allclose(fa.baird(often=0.4).d, [0.1] * 6 + [0.4])
    half = fa.baird(own=0.5).X
    assert np.allclose(half @ half.T, (star.X @ star.X.T + np.eye(7)) / 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        fa.baird(own=2)


def test_what_the_behaviour_policy_sees_has_the_stars_expectations():
    states, following, rho = fa.baird_experience(200, range(500))
    assert np.array_equal(states[1:], following[:-1])
    assert np.array_equal(rho > 0, following == 6) and set(np.unique(rho)) == {0, 7}
    for s in (0, 6):
        assert rho[states == s].mean() == pytest.approx(1, abs=0.1)
    assert np.allclose(np.bincount(states.ravel()) / states.size, 1 / 7, atol=0.01)


# -------------------------------------------------------------------------------------- mountain car


def test_the_car_drives_like_gymnasiums():
    env = gymnasium.make("MountainCar-v0").unwrapped
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    ends = 0
    for k in range(2_000):
        state = rng.uniform([-1.2, -0.07], [0.5, 0.07]) if k % 2 else rng.uniform([0.4, 0.0], [0.5, 0.07])
        action = rng.integers(3)
        env.state = tuple(state)
        (position, velocity), _, terminated, _, _ = env.step(int(action))
        ours = fa.mountain_car(state[:1], state[1:], np.array([action]))
        assert terminated == ours[2][0]
        assert ours[0][0] == pytest.approx(min(position, 0.5), abs=1e-6)  # gymnasium's hill ends at 0.6
        assert ours[1][0] == pytest.approx(velocity, abs=1e-7)
        ends += terminated
    assert ends > 50


def test_the_car_stops_at_the_wall():
    position, velocity, over = fa.mountain_car(np.array([-1.19]), np.array([-0.05]), np.array([0]))
    assert (position[0], velocity[0], over[0]) == (-1.2, 0.0, False)


def slow_sarsa(coder, alpha, seed, episodes, limit):
    """One learner, one episode after the other, one weight after the other; draws dice as ``drive`` does."""
    rngs, w, lengths, losses = Rngs([seed]), np.zeros((coder.features, 3)), [], []

    def look(position, velocity):
        tiles = [int(i) for i in coder(np.array([[position, velocity]]))[0]]
        return tiles, [sum(w[i, a] for i in tiles) for a in range(3)]

    for _ in range(episodes):
        position, velocity = -0.6 + 0.2 * rngs.uniform()[0], 0.0
        tiles, q = look(position, velocity)
        action, loss = rngs.argmax(np.array([q]))[0], 0.0
        steps, terminated = 0, False
        while not terminated and steps < limit:
            steps += 1
            car = fa.mountain_car(np.array([position]), np.array([velocity]), np.array([action]))
            position, velocity, terminated = (x[0] for x in car)
            rngs.uniform()
            after, q = look(position, velocity)
            following = rngs.argmax(np.array([q]))[0]
            delta = -1 + (0 if terminated else q[following]) - sum(w[i, action] for i in tiles)
            loss += delta**2
            for i in tiles:
                w[i, action] += alpha * delta
            tiles, action = after, following
        lengths.append(steps)
        losses.append(loss / steps)
    return lengths, losses, w


def test_learners_side_by_side_learn_as_one_alone_step_by_step():
    coder = fa.car_tiles(4, 4)
    runs = fa.drive(coder, np.array([0.1, 0.12]), [0, 1], episodes=6, limit=400)
    for n, alpha in enumerate((0.1, 0.12)):
        lengths, losses, w = slow_sarsa(coder, alpha, n, 6, 400)
        assert runs.lengths[n].tolist() == lengths
        assert np.allclose(runs.losses[n], losses)
        assert np.allclose(runs.weights[n], w)
    assert (runs.lengths == 400).any() and (runs.lengths < 400).any()
    assert (runs.predicted[:, 0] == 0).all() and (runs.predicted[:, 1:] < 0).all()


def test_drivers_need_a_step_size_each():
    with pytest.raises(ValueError, match="2 seeds need step sizes"):
        fa.drive(fa.car_tiles(), np.array([0.1]), [0, 1], 1)


def test_weights_that_learn_in_place_are_floats():
    w, one = np.zeros((1, 4, 2), int), np.ones(1, int)
    with pytest.raises(TypeError, match=r"astype\(float\)"):
        fa.sarsa_update(w, one[:, None], one, 1.0, one[:, None], one, one > 0, np.array([0.5]))
