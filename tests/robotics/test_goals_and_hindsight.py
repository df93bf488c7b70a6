"""Tasks with goals: their rules and rewards. Hindsight replay: whose goals it hands out, and at what pay."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs, runs
from rlworkshop.algorithms import ddpg, dqn
from rlworkshop.replay import Transitions
from rlworkshop.robotics import goals_and_hindsight as gh

TASKS = {"BitFlip": gh.BitFlipEnvs, "Reach": gh.ReachEnvs, "Toss": gh.TossEnvs}
DQN = dqn.Config(
    env_id="rlworkshop.robotics.goals_and_hindsight:BitFlipFlat-v0", num_envs=4, total_steps=600, hidden=(8,),
    batch_size=16, learning_starts=100, train_freq=50, gradient_steps=5, buffer_size=1000,
)  # fmt: skip
DDPG = ddpg.Config(
    env_id="rlworkshop.robotics.goals_and_hindsight:ReachFlat-v0", num_envs=4, total_steps=500, hidden=(8,),
    batch_size=16, learning_starts=200, train_freq=100, gradient_steps=5, buffer_size=1000,
)  # fmt: skip


def rows(task, steps: int, seed: int = 0):
    """What random actions meet, step by step: transitions, which of them are real, and which end."""
    obs = envs.reset(task, seed)
    task.action_space.seed(seed)
    valid = np.ones(task.num_envs, bool)
    for _ in range(steps):
        action = task.action_space.sample()
        after, reward, terminated, truncated, _ = task.step(action)
        yield Transitions(obs, action, reward, after, 0.9 * ~terminated), valid, terminated | truncated
        obs, valid = after, ~(terminated | truncated)


def filled(task, steps: int, capacity: int = 10_000, **kwargs) -> gh.HindsightReplay:
    """A hindsight replay of random actions."""
    replay = gh.hindsight_replay(task, capacity, **kwargs)
    for one in rows(task, steps):
        replay.step(*one)
    return replay


def numbered(lengths, capacity: int = 100, **kwargs) -> gh.HindsightReplay:
    """A replay of episodes whose steps are numbered on: step i achieves goal i, all desire goal 1000."""
    task = gh.ReachEnvs(flat=True)
    replay, done = gh.hindsight_replay(task, capacity, **kwargs), 0
    for length in lengths:
        goal = np.arange(done, done + length)
        obs = np.zeros((length, 6), np.float32)
        obs[:, task.desired] = 1000
        after = obs.copy()
        after[:, task.achieved] = goal[:, None]
        action, reward = np.zeros((length, 2), np.float32), np.full(length, -1, np.float32)
        replay.add(obs, action, reward, after, np.full(length, 0.9, np.float32))
        done += length
    return replay


# ---------------------------------------------------------------- tasks


@pytest.mark.parametrize("name", [f"{task}{flat}-v0" for task in TASKS for flat in ("", "Flat")])
def test_tasks_keep_to_the_rules_of_gymnasium(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", message=".*infinity.*")
        check_env(gym.make(name, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("name", TASKS)
def test_what_is_seen_has_the_three_parts_and_flat_they_stand_side_by_side(name):
    task, flat = TASKS[name](3), TASKS[name](3, flat=True)
    obs, wide = envs.reset(task, 1), envs.reset(flat, 1)
    assert {*task.single_observation_space.spaces} == {*gh.PARTS} == {*obs}
    assert task.observation_space.contains(obs) and flat.observation_space.contains(wide)
    assert np.array_equal(wide, np.concatenate([obs[part] for part in gh.PARTS], axis=1))
    assert np.array_equal(wide[:, flat.achieved], obs["achieved_goal"])
    assert np.array_equal(wide[:, flat.desired], obs["desired_goal"])


@pytest.mark.parametrize("name", TASKS)
def test_rewards_and_ends_can_be_computed_again_to_the_bit(name):
    task = TASKS[name](50, flat=True)
    for (_, _, reward, after, discount), valid, _ in rows(task, 80):
        goals = after[:, task.achieved], after[:, task.desired]
        again = task.compute_reward(*goals, {})
        assert again.dtype == np.float32 and np.array_equal(again[valid], reward[valid])
        assert np.array_equal(task.compute_terminated(*goals, {})[valid], discount[valid] == 0)
        assert not reward[~valid].any()


def test_rewards_are_computed_for_any_number_of_pairs():
    task, goals = gh.ReachEnvs(), np.array([[0.0, 0.0], [0.03, 0.03], [0.3, 0.4]])
    assert np.array_equal(task.compute_reward(goals, np.zeros(2), {}), [0, 0, -1])
    assert np.array_equal(task.compute_reward(goals[:, None], goals, {}).shape, (3, 3))
    assert task.compute_reward(goals[2], goals[0], {}) == -1
    dense = gh.ReachEnvs(dense=True).compute_reward(goals, np.zeros(2), {})
    assert dense == pytest.approx([0, -0.03 * 2**0.5, -0.5])


@pytest.mark.parametrize("name", ["BitFlip", "Reach"])
def test_one_as_a_single_environment_is_the_batch_of_one_step_for_step(name):
    one, many = gym.make(f"{name}-v0").unwrapped, TASKS[name](1)
    obs, _ = one.reset(seed=3)
    seen, _ = many.reset(seed=3)
    one.action_space.seed(0)
    over = False
    for _ in range(130):
        assert all(np.array_equal(obs[part], seen[part][0]) for part in gh.PARTS)
        action = one.action_space.sample()
        if over:
            (obs, info), reward, over = one.reset(), 0.0, False
        else:
            obs, reward, terminated, truncated, info = one.step(action)
            over = terminated or truncated
            assert reward == one.compute_reward(obs["achieved_goal"], obs["desired_goal"], info)
            assert terminated == one.compute_terminated(obs["achieved_goal"], obs["desired_goal"], info)
        seen, rewards, ends, cut, infos = many.step(np.asarray(action)[None])
        assert (reward, over, info["is_success"]) == (rewards[0], ends[0] | cut[0], infos["is_success"][0])


@pytest.mark.parametrize("name", TASKS)
def test_a_saved_state_goes_on_bit_for_bit(name):
    task, other = TASKS[name](4, flat=True), TASKS[name](4, flat=True)
    for _ in rows(task, 33):
        pass
    envs.set_state(other, envs.get_state(task))
    for _ in range(60):
        action = task.action_space.sample()
        one, two = task.step(action), other.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(one[:4], two[:4], strict=True))
    with pytest.raises(ValueError, match="4 copies does not fit 2"):
        TASKS[name](2).set_state(task.get_state())


def test_flipping_the_bits_that_differ_reaches_the_goal_in_as_many_steps():
    task = gh.BitFlipEnvs(2000, n=6)
    obs = envs.reset(task, 0)
    apart = (obs["observation"] != obs["desired_goal"]).sum(axis=1)
    assert {*apart} == {*range(7)}
    for step in range(1, 7):
        flip = (obs["observation"] != obs["desired_goal"]).argmax(axis=1)
        going = apart >= step
        obs, reward, terminated, truncated, info = task.step(flip)
        assert np.array_equal(terminated[going], (apart == step)[going])
        assert np.array_equal(info["is_success"][going], terminated[going])
        assert np.array_equal(reward[going], -1.0 * (apart > step)[going])
        assert not truncated[going].any()


def test_an_episode_of_bits_is_cut_off_after_n_steps():
    task = gh.BitFlipEnvs(1, n=4)
    task.reset(seed=0)
    task.state[:], task.goal[:] = 0, 1
    ends = [task.step(np.zeros(1, int))[2:4] for _ in range(6)]
    assert [bool(cut[0]) for _, cut in ends] == [False, False, False, True, False, False]
    assert not any(bool(end[0]) for end, _ in ends[:5])


def test_a_puck_comes_to_a_speed_of_three_and_slides_on():
    task = gh.ReachEnvs(1)
    task.reset(seed=0)
    task.state[:] = [0.5, 0, 0, 0]
    obs, *_ = task.step(np.array([[0.5, -3.0]]))  # what is beyond the box counts as its edge
    assert task.state[0] == pytest.approx([0.53, -0.06, 0.3, -0.6])
    assert obs["observation"][0] == pytest.approx([0.15, -0.3])
    assert obs["achieved_goal"][0] == pytest.approx([0.53, -0.06])
    for _ in range(27):
        task.step(np.array([[1.0, 0.0]]))
    assert task.state[0, 2:] == pytest.approx([3 - 2.7 * 0.8**27, -0.6 * 0.8**27])


def test_a_puck_at_its_goal_is_paid_and_the_episode_goes_on():
    task = gh.ReachEnvs(2)
    task.reset(seed=0)
    task.state[:] = 0
    task.goal[:] = [[0.0, 0.08], [0.0, 0.12]]
    _, reward, terminated, _, info = task.step(np.zeros((2, 2)))
    assert reward.tolist() == [0, -1] and info["is_success"].tolist() == [True, False]
    assert not terminated.any()


def test_starts_and_goals_are_all_over_the_table():
    task = gh.ReachEnvs(500)
    obs = envs.reset(task, 0)
    for part in ("desired_goal", "achieved_goal"):
        assert np.abs(obs[part]).max() <= 1 and np.abs(obs[part].mean(axis=0)).max() < 0.1
        assert len(np.unique(obs[part], axis=0)) == 500
    assert not obs["observation"].any()


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_a_ball_that_is_tossed_arrives_as_often_as_said_and_one_that_is_carried_always(p):
    task = gh.TossEnvs(4000, p=p)
    task.reset(seed=0)
    actions = np.arange(4000) % 2
    obs, reward, terminated, *_ = task.step(actions)
    place = obs["achieved_goal"].argmax(axis=1)
    assert (place[actions == 0] == gh.HALF_WAY).all()
    assert {*place[actions == 1]} <= {gh.BASKET, gh.LOST}
    assert (place[actions == 1] == gh.BASKET).mean() == pytest.approx(p, abs=0.03)
    assert np.array_equal(terminated, place == gh.BASKET) and np.array_equal(reward == 0, terminated)
    _, reward, ends, *_ = task.step(actions)
    assert ends[actions == 0].all() and not ends[place == gh.LOST].any()
    assert (reward[place == gh.LOST] == -1).all()


def test_pictures_show_what_is_achieved_above_what_is_desired():
    task = gh.BitFlipEnvs(2, n=3)
    task.reset(seed=0)
    task.state[:], task.goal[:] = [1, 0, 0], [0, 0, 1]
    picture = task.render()[1]
    assert picture.shape == (20, 60, 3)
    assert (picture[:10, :, 0].mean(axis=0)[::20] == [45, 245, 245]).all()
    assert (picture[10:, :, 0].mean(axis=0)[::20] == [245, 245, 45]).all()


def test_a_picture_of_a_table_shows_puck_and_goal():
    task = gh.ReachEnvs(2)
    task.reset(seed=0)
    task.state[:], task.goal[:] = [0.65, 0, 0, 0], [-0.5, -0.5]
    picture = task.render()[1]
    for colour, (x, y) in (((40, 60, 110), (0.65, 0.0)), ((200, 60, 50), (-0.5, -0.5))):
        row, column = (axis.mean() for axis in np.nonzero((picture == colour).all(axis=-1)))
        assert [column, row] == pytest.approx([(x + 1.3) / 2.6 * 159, (1.3 - y) / 2.6 * 159], abs=1)


@pytest.mark.parametrize(
    ("make", "message"), [(lambda: gh.BitFlipEnvs(n=0), "1 bit"), (lambda: gh.TossEnvs(p=1.5), "not 1.5")]
)
def test_worlds_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------- whose goals


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(12, 60), st.integers(0, 2**31))
def test_goals_come_from_where_the_strategy_says_and_never_from_another_episode(lengths, capacity, seed):
    ends = np.cumsum(lengths)
    begins, rng = ends - lengths, np.random.default_rng(seed)
    for strategy in gh.STRATEGIES:
        replay = numbered(lengths, capacity, strategy=strategy)
        oldest, chosen = max(0, ends[-1] - capacity), rng.integers(replay.size, size=300)
        now = replay[chosen].next_obs[:, replay.task.achieved][:, 0]
        goal = replay.goals(chosen, rng)[:, 0]
        own = np.searchsorted(ends, now, side="right")
        assert (goal >= oldest).all()
        if strategy != "random":
            assert np.array_equal(np.searchsorted(ends, goal, side="right"), own)
        if strategy == "final":
            assert np.array_equal(goal, ends[own] - 1)
        if strategy == "future":
            assert (goal >= now).all()
        if strategy == "episode":
            assert (goal >= begins[own]).all()


@pytest.mark.parametrize(
    ("strategy", "where"), [("future", range(4, 10)), ("episode", range(10)), ("random", range(13))]
)
def test_goals_are_drawn_evenly_from_all_that_there_are(strategy, where):
    replay = numbered([10, 3], strategy=strategy)
    goal = replay.goals(np.full(6000, 4), np.random.default_rng(0))[:, 0]
    count = np.bincount(goal.astype(int), minlength=13)
    assert {*np.flatnonzero(count)} == {*where}
    assert np.abs(count[list(where)] / 6000 * len(where) - 1).max() < 0.25


def test_episodes_of_copies_side_by_side_are_kept_apart():
    task = gh.BitFlipEnvs(5, n=3, flat=True)  # they end at different times
    replay, seen = gh.hindsight_replay(task, 1000), [[] for _ in range(5)]
    ended = []
    for (obs, action, reward, after, discount), valid, ends in rows(task, 60):
        replay.step(Transitions(obs, action, reward, after, discount), valid, ends)
        for i in np.flatnonzero(valid):
            seen[i].append(after[i])
            if ends[i]:
                ended.append(np.array(seen[i]))
                seen[i] = []
    assert replay.size == sum(len(one) for one in ended)
    done = 0
    for one in ended:
        where = np.arange(done, done := done + len(one))
        assert np.array_equal(replay[where].next_obs, one)
        assert (replay.last[where] == where[-1]).all() and (replay.first[where] == where[0]).all()


def test_nothing_is_learned_from_episodes_that_have_not_ended():
    task = gh.ReachEnvs(3, flat=True)
    replay = filled(task, 29)
    assert replay.size == 0
    with pytest.raises(ValueError, match="no episode has ended"):
        replay.sample(4, np.random.default_rng(0))
    replay.forget_unfinished()
    for one in rows(task, 29):
        replay.step(*one)
    assert replay.size == 0 and len(replay.pending) == 29
    assert filled(task, 32).size == 90


# ---------------------------------------------------------------- relabelling


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("strategy", gh.STRATEGIES)
def test_what_is_relabelled_is_what_the_task_would_have_paid(name, strategy):
    task = TASKS[name](20, flat=True)
    replay = filled(task, 80, strategy=strategy)
    batch = replay.sample(500, np.random.default_rng(0))
    achieved, desired = batch.next_obs[:, task.achieved], batch.next_obs[:, task.desired]
    assert np.array_equal(batch.obs[:, task.desired], desired)
    assert np.array_equal(batch.reward, task.compute_reward(achieved, desired, {}))
    ends = task.compute_terminated(achieved, desired, {})
    assert np.array_equal(batch.discount, np.where(ends, 0, 0.9).astype(np.float32))
    assert batch.reward.dtype == batch.discount.dtype == np.float32


def test_an_episode_of_one_step_does_not_change_what_later_steps_count():
    replay = numbered([3])
    one = replay[np.array([0])]
    replay.add(*one._replace(discount=np.zeros(1, np.float32)))
    kept = replay.sample(200, np.random.default_rng(0))
    assert {*kept.discount.round(6).tolist()} == {0.0, np.float32(0.9).round(6).item()}


def test_relabelling_changes_goals_and_nothing_else_of_what_is_seen():
    task = gh.ReachEnvs(20, flat=True)
    replay = filled(task, 80)
    kept = replay[np.arange(30)]
    before = [column.copy() for column in kept]
    new = gh.relabel(kept, np.full((30, 2), 7.0, np.float32), task, 0.9)
    assert (new.obs[:, task.desired] == 7).all() and (new.next_obs[:, task.desired] == 7).all()
    assert np.array_equal(new.obs[:, :4], kept.obs[:, :4])
    assert np.array_equal(new.next_obs[:, :4], kept.next_obs[:, :4])
    assert np.array_equal(new.action, kept.action) and (new.reward == -1).all()
    assert all(np.array_equal(a, b) for a, b in zip(kept, before, strict=True))


def test_who_has_reached_the_old_goal_goes_on_with_the_new_one_and_who_fell_does_not():
    task = gh.BitFlipEnvs(flat=True, n=2)
    bits = np.array([[0, 1], [0, 1], [1, 1]], np.float32)  # achieved
    old = np.array([[0, 1], [1, 0], [0, 0]], np.float32)  # reached; not; not, but it ended
    obs = np.concatenate([bits, bits, old], axis=1)
    batch = Transitions(obs, np.zeros(3, int), np.zeros(3), obs, np.array([0, 0.9, 0]))
    new = gh.relabel(batch, np.array([[1, 1], [0, 1], [1, 0]], np.float32), task, 0.9)
    assert new.reward.tolist() == [-1, 0, -1]
    assert new.discount == pytest.approx([0.9, 0, 0])


@pytest.mark.parametrize("k", [0, 1, 4, 0.5])
def test_a_share_of_k_in_k_plus_one_is_relabelled(k):
    replay = numbered([20] * 3, k=k)
    goal = replay.sample(6000, np.random.default_rng(0)).obs[:, replay.task.desired][:, 0]
    assert (goal != 1000).mean() == pytest.approx(k / (1 + k), abs=0.03)


@pytest.mark.parametrize(("kwargs", "message"), [({"strategy": "past"}, "'past'"), ({"k": -1}, "-1")])
def test_other_strategies_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        gh.hindsight_replay(gh.ReachEnvs(flat=True), 10, **kwargs)


@pytest.mark.parametrize("world", [gh.ReachEnvs(), envs.make("CartPole-v1", 2)])
def test_worlds_without_goals_or_not_flat_are_refused(world):
    with pytest.raises(ValueError, match="flat=True"):
        gh.hindsight_replay(world, 10)


# ---------------------------------------------------------------- at work


def test_play_says_which_episodes_end_at_their_goal():
    bits = gh.BitFlipEnvs(64, n=5, flat=True)
    assert gh.play(lambda obs: (obs[:, :5] != obs[:, 10:]).argmax(axis=1), bits, 0).all()
    assert gh.play(lambda obs: np.zeros(64, int), bits, 0).mean() < 0.3
    pucks = gh.ReachEnvs(2, flat=True)
    pucks._start = lambda which, some: (pucks.state.fill(0), pucks.goal.__setitem__(0, [0, 0.15]))
    assert gh.play(lambda obs: np.zeros((2, 2)), pucks, 0).tolist() == [False, True]


def test_a_puck_that_only_passes_its_goal_has_not_reached_it():
    pucks = gh.ReachEnvs(1, flat=True)
    pucks._start = lambda which, some: (pucks.state.fill(0), pucks.goal.fill(0.2))
    assert not gh.play(lambda obs: np.ones((1, 2)), pucks, 0).any()


@pytest.mark.parametrize(
    ("module", "config", "make_replay"), [(dqn, DQN, gh.dqn_replay), (ddpg, DDPG, gh.hindsight_replay)]
)
def test_a_training_goes_on_from_its_checkpoint_bit_for_bit(module, config, make_replay, tmp_path):
    options = {"make_replay": make_replay, "callback": gh.watch}
    whole = module.train(config, 3, **options)

    def interrupted(session):
        gh.watch(session)
        if session.steps > 300:
            raise KeyboardInterrupt

    kept = {"checkpoint": tmp_path / "kept", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        module.train(config, 3, **{**options, "callback": interrupted}, **kept)
    again = module.train(config, 3, **options, **kept)
    assert np.array_equal(whole.metrics["return"], again.metrics["return"])
    assert all(np.array_equal(a, b) for a, b in zip(_weights(whole), _weights(again), strict=True))


def _weights(run: runs.Run) -> list[np.ndarray]:
    tree = run.policy.get("q", run.policy.get("actor"))
    return [np.asarray(value) for value in tree.values()]


def test_watch_keeps_how_many_of_a_hundred_fresh_episodes_succeed():
    run = dqn.train(DQN, 0, make_replay=gh.dqn_replay, callback=gh.watch, env_kwargs={"n": 2})
    assert run.metrics["watched"].tolist() == run.metrics["update_step"][4::5].tolist()
    assert ((run.metrics["success"] * 100) % 1 < 1e-9).all() and run.metrics["success"].max() > 0.5


# ---------------------------------------------------------------- bias


@pytest.mark.parametrize("k", [0, 1, 4])
def test_hindsight_multiplies_the_odds_by_one_and_k(k):
    p = np.array([0.1, 0.5, 0.75])
    seen = gh.odds_in_hindsight(p, k)
    assert seen / (1 - seen) == pytest.approx((1 + k) * p / (1 - p))
    assert gh.odds_in_hindsight(np.array([0.0, 1.0]), k).tolist() == [0, 1]


@pytest.mark.parametrize("strategy", ["final", "future"])
def test_the_replay_shows_a_toss_to_succeed_as_often_as_the_formula_says(strategy):
    task = gh.TossEnvs(400, p=0.6, flat=True)
    replay = filled(task, 20, strategy=strategy)
    batch = replay.sample(40_000, np.random.default_rng(0))
    tossed = (
        (batch.obs[:, gh.HAND] == 1) & (batch.action == 1) & (batch.obs[:, task.desired][:, gh.BASKET] == 1)
    )
    assert (batch.reward[tossed] == 0).mean() == pytest.approx(gh.odds_in_hindsight(0.6, 4), abs=0.03)
