"""Plausible wrong answers to the exercises on projects of one's own, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import gymnasium as gym
import numpy as np
import pytest

from rlworkshop.exercises.practice import use_it_in_your_project as page

# ---- endings


def limit_is_an_end(failed, steps, limit):
    over = steps >= limit
    return np.stack([failed | over, over & ~failed]).astype(float)


def end_is_a_cut(failed, steps, limit):
    over = steps >= limit
    return np.stack([failed & ~over, over]).astype(float)


def exchanged(failed, steps, limit):
    return page.endings(failed, steps, limit)[::-1]


def late(failed, steps, limit):
    return page.endings(failed, steps, limit + 1)


def both(failed, steps, limit):
    return np.stack([failed, steps >= limit]).astype(float)


def just_then(failed, steps, limit):
    return np.stack([failed, (steps == limit) & ~failed]).astype(float)


def always_five(failed, steps, limit):
    return page.endings(failed, steps, 5)


def a_pair(failed, steps, limit):
    return tuple(page.endings(failed, steps, limit))


# ---- rules


def a_truth(first, again, obs, low, high, ends):
    return bool(ends.any())


def strictly_within(first, again, obs, low, high, ends):
    if (first != again).any():
        return "seed"
    if not ((obs > low) & (obs < high)).all():
        return "space"
    return "fine" if ends.any() else "never ends"


def first_number_alone(first, again, obs, low, high, ends):
    return page.broken_rule(first[:1], again[:1], obs, low, high, ends)


def blind_to_infinity(first, again, obs, low, high, ends):
    if (first != again).any():
        return "seed"
    if not ((obs >= low) & (obs <= high)).all():
        return "space"
    return "fine" if ends.any() else "never ends"


def blind_to_nan(first, again, obs, low, high, ends):
    return page.broken_rule(first, again, np.nan_to_num(obs, neginf=-99, posinf=99), low, high, ends)


def ends_first(first, again, obs, low, high, ends):
    return page.broken_rule(first, again, obs, low, high, ends) if ends.any() else "never ends"


def never_asks_for_an_end(first, again, obs, low, high, ends):
    return page.broken_rule(first, again, obs, low, high, np.ones(3, bool))


# ---- export


def hidden(seen, W0, b0):
    return np.tanh(seen @ W0 + b0)


def raw(obs, mean, scale, W0, b0, W1, b1, low, high):
    return np.clip(hidden(obs, W0, b0) @ W1 + b1, low, high)


def divided(obs, mean, scale, W0, b0, W1, b1, low, high):
    return page.act(obs, mean, 1 / scale, W0, b0, W1, b1, low, high)


def unbounded(obs, mean, scale, W0, b0, W1, b1, low, high):
    return page.act(obs, mean, scale, W0, b0, W1, b1, low - np.inf, high + np.inf)


def squashed(obs, mean, scale, W0, b0, W1, b1, low, high):
    seen = np.clip((obs - mean) * scale, -10, 10)
    return np.clip(np.tanh(hidden(seen, W0, b0) @ W1 + b1), low, high)


def not_cut(obs, mean, scale, W0, b0, W1, b1, low, high):
    return np.clip(hidden((obs - mean) * scale, W0, b0) @ W1 + b1, low, high)


def without_bias(obs, mean, scale, W0, b0, W1, b1, low, high):
    return page.act(obs, mean, scale, W0, 0 * b0, W1, b1, low, high)


WRONG = {
    "use-it-in-your-project-endings": [
        (limit_is_an_end, "the limit is taken for an end of the world"),
        (end_is_a_cut, "is taken for a cut"),
        (exchanged, "the rows are exchanged"),
        (late, "one step late"),
        (both, "both at once"),
        (just_then, "what has slipped past it"),
        (always_five, "with a limit of 3"),
        (a_pair, "should be an array (2, 5)"),
    ],
    "use-it-in-your-project-rules": [
        (a_truth, "it returns a bool"),
        (strictly_within, "touches its bounds"),
        (first_number_alone, "two resets with one seed"),
        (blind_to_infinity, "number 2 has -inf"),
        (blind_to_nan, "number 1 has nan"),
        (ends_first, "nothing ends, and an observation lies outside"),
        (never_asks_for_an_end, "no episode has ended"),
    ],
    "use-it-in-your-project-export": [
        (raw, "the network is given raw observations"),
        (divided, "multiply with it"),
        (unbounded, "the bounds of the actions are not kept"),
        (squashed, "tanh is applied to the output"),
        (not_cut, "nothing is cut off"),
        (without_bias, "Three observations"),
    ],
}


@pytest.mark.parametrize("limit, after", [(3, None), (5, 3), (3, 3), (4, 4)])
def test_the_solution_ends_as_gymnasiums_wrapper_does_but_never_twice(limit, after):
    class World(gym.Env):
        observation_space, action_space = gym.spaces.Box(0, 1, (1,)), gym.spaces.Discrete(1)

        def reset(self, *, seed=None, options=None):
            self.t = 0
            return np.zeros(1, np.float32), {}

        def step(self, action):
            self.t += 1
            return np.zeros(1, np.float32), 0.0, self.t == after, False, {}

    env = gym.wrappers.TimeLimit(World(), limit)
    env.reset()
    for step in range(1, min(limit, after or limit) + 1):
        _, _, terminated, truncated, _ = env.step(0)
        ours = page.endings(np.array([step == after]), np.array([step]), limit)
        assert ours.tolist() == [[terminated], [truncated and not terminated]]
