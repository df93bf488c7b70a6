"""Rules on a map as arrays, as many copies and as an environment: all three tell the same."""

from math import comb

import numpy as np
import pytest

from rlworkshop.envs import gridworlds as g

RIGHT, LEFT = g.RIGHT, g.LEFT


class Ice(g.Rules):
    """A corridor: a step to the right slips in one case of four; the end pays 1, and means 2.

    At the start a second, hidden switch says whether left is carried out as right.
    """

    MAP = """
        ######
        #S..G#
        ######"""
    limit = 6

    def starts(self):
        return [(0.25, (self.find("S"), True)), (0.75, (self.find("S"), False))]

    def seen(self, state):
        return state[0]

    def executed(self, state, action):
        return RIGHT if state[1] and action == LEFT else action

    def outcomes(self, state, action):
        cell = self.walk(state[0], action)
        there = self[cell] == "G"
        moved = g.Outcome((cell, state[1]), 1.0 * there, 2.0 * there, there, 0.75 if action == RIGHT else 1.0)
        return [moved] + [g.Outcome(state, 0.0, 0.0, False, 0.25)] * (action == RIGHT)


class Known(g.Rules):
    """One step to either side; others remember which."""

    MAP = """
        #####
        #LS.#
        #####"""
    habits = 1

    def habit(self, state):
        return 0, float(self[state[0]] == ".")

    def chances(self, habits):
        return np.stack([habits[:, 0] <= 0.5, habits[:, 0] > 0.5], axis=1).astype(float)

    def starts(self):
        return [(0.5, (self.find("S"), side)) for side in ("left", "right")]

    def outcomes(self, state, action):
        cell = self.walk(state[0], action)
        return [g.Outcome((cell, state[1]), 0.0, 0.0, cell != state[0])]


def test_tables_hold_each_state_that_can_be_reached_and_what_is_seen_there():
    t = g.Tables(Ice())
    assert len(t.states) == 8 and t.observations == 4
    for i, j in np.ndindex(8, 8):
        assert (t.seen[i] == t.seen[j]) == (t.states[i][0] == t.states[j][0])
    assert [t.states[i][1] for i in t.starts] == [True, False]


def test_tables_hold_outcomes_with_their_chances_and_the_action_that_is_carried_out():
    t = g.Tables(Ice())
    s = t.states.index(((1, 3), False))
    assert t.chance[s, RIGHT].tolist() == [0.75, 0.25] and t.chance[s, LEFT].tolist() == [1, 0]
    assert t.reward[s, RIGHT, 0] == 1 and t.performance[s, RIGHT, 0] == 2 and t.over[s, RIGHT, 0]
    assert not t.over[s, RIGHT, 1] and t.following[s, RIGHT, 1] == s
    assert [t.executed[t.starts[k], LEFT] for k in (0, 1)] == [RIGHT, LEFT]


def test_a_state_that_ends_one_way_and_goes_on_another_is_expanded():
    class Both(Ice):
        def outcomes(self, state, action):
            cell = self.walk(state[0], action)
            return [g.Outcome((cell, state[1]), 0.0, 0.0, over, 0.5) for over in (True, False)]

    assert not g.Tables(Both()).over.all()
    assert len(g.Tables(Both()).states) == 8


def test_copies_move_as_their_number_says_and_are_cut_off_at_the_limit():
    copies = g.Copies(Ice(), 3)
    copies.begin(np.ones(3, bool), np.array([0.2, 0.3, 0.9]))
    assert [copies.tables.states[s][1] for s in copies.state] == [True, False, False]
    before = copies.state.copy()
    copies.step(np.full(3, RIGHT), np.array([0.74, 0.76, 0.0]))
    assert (copies.state == before).tolist() == [False, True, False]
    cuts = [copies.step(np.full(3, LEFT), np.zeros(3))[3].tolist() for _ in range(5)]
    assert cuts == [[False] * 3] * 4 + [[True] * 3]


def test_an_end_is_no_cut_off_even_at_the_limit():
    copies = g.Copies(Ice(), 1)
    copies.begin(np.ones(1, bool), np.ones(1) * 0.5)
    for action in (LEFT, LEFT, LEFT, RIGHT, RIGHT):
        copies.step(np.array([action]), np.zeros(1))
    reward, performance, over, cut = copies.step(np.array([RIGHT]), np.zeros(1))
    assert (reward[0], performance[0], over[0], cut[0]) == (1, 2, True, False)


def test_only_the_copies_that_are_told_begin_anew():
    copies = g.Copies(Ice(), 2)
    copies.begin(np.ones(2, bool), np.full(2, 0.5))
    copies.step(np.full(2, RIGHT), np.zeros(2))
    moved = copies.state[0]
    copies.begin(np.array([False, True]), np.full(2, 0.5))
    assert copies.state[0] == moved and copies.clock.tolist() == [1, 0]


def test_habits_outlive_episodes_and_decide_the_next_start():
    copies = g.Copies(Known(), 2)
    copies.begin(np.ones(2, bool), np.full(2, 0.5))
    assert [copies.tables.states[s][1] for s in copies.state] == ["left", "left"]
    copies.step(np.array([RIGHT, LEFT]), np.zeros(2))
    assert copies.habits[:, 0].tolist() == [0.625, 0.375]
    copies.begin(np.ones(2, bool), np.full(2, 0.5))
    assert [copies.tables.states[s][1] for s in copies.state] == ["right", "left"]


def test_the_best_is_found_by_looking_ahead_and_knows_what_is_hidden():
    # six steps with a chance of 3/4 to move, three moves needed: 1 minus P(fewer than 3 in 6)
    enough = 1 - sum(comb(6, k) * 0.75**k * 0.25 ** (6 - k) for k in range(3))
    assert g.best(Ice(), "reward") == pytest.approx(enough)
    assert g.best(Ice()) == pytest.approx(2 * enough)
    with pytest.raises(ValueError, match="remembers"):
        g.best(Known())


def test_the_best_counts_no_step_after_an_end():
    class Coin(Ice):
        def outcomes(self, state, action):
            return [g.Outcome(state, 1.0, 1.0, over, 0.5) for over in (True, False)]

    assert g.best(Coin()) == pytest.approx(sum(0.5**k for k in range(6)))


def test_the_environment_tells_what_was_meant_and_what_was_carried_out():
    env = g.Gridworld(Ice())
    told = set()
    for seed in range(20):
        assert env.reset(seed=seed)[0] == env.reset(seed=seed)[0]
        hidden = env.state[1]
        _, reward, over, cut, info = env.step(LEFT)
        assert info["executed"] == (RIGHT if hidden else LEFT)
        told.add(hidden)
        while not (over or cut):
            _, reward, over, cut, info = env.step(RIGHT)
        assert info["performance"] == 2 * reward and info["cost"] == 0 and over == (reward == 1)
    assert told == {True, False}
    with pytest.raises(ValueError, match="an action is 0"):
        env.step(4)


def test_cost_is_a_step_into_lava():
    env = g.Gridworld(Known())
    env.reset(seed=0)
    assert env.step(LEFT)[4]["cost"] == 1
    env.reset(seed=0)
    assert env.step(RIGHT)[4]["cost"] == 0


def test_a_picture_has_a_tile_for_each_cell_the_agent_on_its_own():
    rules = Known()
    seen = g.picture(rules, ((1, 2), "left"))
    assert seen.shape == (96, 160, 3) and seen.dtype == np.uint8
    tiles = seen.reshape(3, 32, 5, 32, 3).swapaxes(1, 2)  # (3, 5, 32, 32, 3)
    blue = (tiles == np.array([0, 0x72, 0xB2])).all(axis=-1).any(axis=(2, 3))
    assert np.argwhere(blue).tolist() == [[1, 2]]
    assert not np.array_equal(tiles[1, 1], tiles[1, 3])  # lava and floor


def test_arrows_point_where_they_say():
    blue = {c: (g.tile(c) == g.colour("#5b87a6")).all(axis=-1) for c in "^>v<"}  # (8, 8) each
    assert blue["^"].sum(axis=1).tolist() == [2, 4, 6, 8, 2, 2, 2, 2]  # the point, and the shaft below it
    assert blue[">"].sum(axis=0).tolist() == [2, 2, 2, 2, 8, 6, 4, 2]
    assert blue["v"].sum(axis=1).tolist() == [2, 2, 2, 2, 8, 6, 4, 2]
    assert blue["<"].sum(axis=0).tolist() == [2, 4, 6, 8, 2, 2, 2, 2]
