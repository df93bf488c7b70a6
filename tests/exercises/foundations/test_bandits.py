"""Plausible wrong answers to the exercises on bandits, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import check, exercises
from rlworkshop.exercises.foundations import bandits
from rlworkshop.foundations import bandits as chapter

# ---- what an estimate is made of


def by_the_past(step_sizes):
    kept = np.cumprod(1 - step_sizes)
    return np.append(kept[-1], step_sizes * np.append(1.0, kept[:-1]))


def newest_first(step_sizes):
    right = bandits.weights(step_sizes)
    return np.append(right[0], right[:0:-1])


def own_update_too(step_sizes):
    kept = np.cumprod(1 - step_sizes[::-1])[::-1]
    return np.append(kept[0], step_sizes * kept)


def always_the_last(step_sizes):
    return bandits.weights(np.full(len(step_sizes), step_sizes[-1]))


def no_guess(step_sizes):
    right = bandits.weights(step_sizes)
    return np.append(0.0, right[1:])


def by_division(step_sizes):
    kept = np.cumprod(1 - step_sizes)
    return np.append(kept[-1], step_sizes * kept[-1] / kept)


# ---- the bound for coins


def _coins(cost=lambda gap: gap, kl=None, keep=lambda p: p < p.max()):
    """The solution with a part exchanged."""

    def divergence(p, q):
        return p * np.log(np.maximum(p, 1e-300) / q) + (1 - p) * np.log((1 - p) / (1 - q))

    def bernoulli_bound(p):
        worse, best = p[keep(p)], p.max()
        return (cost(best - worse) / (kl or divergence)(worse, best)).sum()

    return bernoulli_bound


def from_the_best(p, q):
    return q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))


def without_care(p, q):
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def all_but_one(p):
    return np.arange(len(p)) != p.argmax()


# ---- the mean to mend


def over_all_arms(Q, n, actions, rewards):
    rows, new = np.arange(len(Q)), Q.copy()
    new[rows, actions] += (rewards - Q[rows, actions]) / (n.sum(axis=1) + 1)
    return new


def pulls_before(Q, n, actions, rewards):
    rows, new = np.arange(len(Q)), Q.copy()
    new[rows, actions] += (rewards - Q[rows, actions]) / n[rows, actions]
    return new


def at_least_one(Q, n, actions, rewards):
    return pulls_before(Q, np.maximum(n, 1), actions, rewards)


def every_arm(Q, n, actions, rewards):
    return Q + (rewards[:, None] - Q) / (n + 1)


# ---- how sure


def _judge(size, high, low=-np.inf):
    def verdict(truth, mean, std):
        found = size(truth, mean, std)
        return "too sure" if found > high else "too shy" if found < low else "honest"

    return verdict


def _excess(truth, mean, std):
    return (np.mean(((truth - mean) / std) ** 2) - 1) / np.sqrt(2 / len(truth))


def turned_round(truth, mean, std):
    said = bandits.verdict(truth, mean, std)
    return {"too sure": "too shy", "too shy": "too sure"}.get(said, said)


def as_a_bool(truth, mean, std):
    return bandits.verdict(truth, mean, std) == "too sure"


def squared(truth, mean, std):
    return _judge(lambda *a: np.mean(((truth - mean) / std**2) ** 2), 1.2, 0.8)(truth, mean, std)


WRONG = {
    "bandits-weights": [
        (by_the_past, "weighed by the updates *before* them"),
        (newest_first, "the newest comes first"),
        (own_update_too, "shrunk by its own update as well"),
        (always_the_last, "all step sizes are taken to be the last one"),
        (no_guess, "the weights do not add up to one"),
        (by_division, "divided by 1 − α"),
    ],
    "bandits-bernoulli-bound": [
        (_coins(kl=from_the_best), "changed places in kl"),
        (_coins(cost=lambda gap: 1.0), "this is the number of pulls"),
        (lambda p: chapter.lai_robbins(p[None])[0], "normal rewards of variance 1"),
        (_coins(keep=lambda p: p > -1), "the best arm is in the sum"),
        (_coins(keep=all_but_one), "one best arm is left out"),
        (_coins(kl=without_care), "came out as NaN"),
        (_coins(keep=lambda p: (p < p.max()) & (p > 0)), "the arm that never pays is left out"),
    ],
    "bandits-mend-mean": [
        (over_all_arms, "one over the pulls of *all* arms"),
        (pulls_before, "the pulls *before* this one"),
        (every_arm, "all arms are moved"),
        (at_least_one, "thrown away at its second pull"),
    ],
    "bandits-too-sure": [
        (squared, "it calls honest beliefs too sure: their truths"),
        (_judge(lambda t, m, s: np.mean(np.abs((t - m) / s)), 1.1, 0.9), "honest beliefs too shy: their"),
        (as_a_bool, "should return one of"),
        (turned_round, "directions mixed up"),
        (_judge(lambda t, m, s: abs(np.mean((t - m) / s)) * np.sqrt(len(t)), 4), "average to zero"),
        (_judge(_excess, 3), "a fifth too wide"),
        (_judge(lambda t, m, s: np.mean((t - m) ** 2 - s**2), 0.01, -0.01), "a verdict has no unit"),
        (_judge(lambda t, m, s: np.mean(((t - m) / s) ** 2), 1.1, 0.9), "thirty honest beliefs"),
    ],
}


def test_the_stub_of_the_mean_to_mend_runs_and_is_told_what_is_wrong():
    space: dict = {}
    exec(exercises.find("bandits-mend-mean").stub, space)
    with pytest.raises(check.Wrong, match="pulls of \\*all\\* arms"):
        exercises.find("bandits-mend-mean").check(space["updated"])


def test_the_weights_are_what_the_update_does():
    rng = np.random.default_rng(0)
    step_sizes, rewards, estimate = rng.uniform(size=20), rng.normal(size=20), 3.0
    for alpha, r in zip(step_sizes, rewards, strict=True):
        estimate += alpha * (r - estimate)
    assert bandits.weights(step_sizes) @ np.append(3.0, rewards) == pytest.approx(estimate)


def test_coins_that_differ_little_are_as_hard_as_normal_rewards_of_their_variance():
    p = np.array([0.3, 0.301])
    variance = 0.3 * 0.7
    assert bandits.bernoulli_bound(p) == pytest.approx(variance * chapter.lai_robbins(p[None])[0], rel=0.01)


def test_the_share_inside_the_interval_is_a_right_way_to_judge_too():
    def verdict(truth, mean, std):
        inside = (np.abs(truth - mean) < std).mean()  # 68.3 % of them
        luck = np.sqrt(0.683 * 0.317 / len(truth))
        return (
            "too sure" if inside < 0.683 - 4 * luck else "too shy" if inside > 0.683 + 4 * luck else "honest"
        )

    assert exercises.find("bandits-too-sure").check(verdict) == []


def test_estimates_that_begin_as_whole_numbers_get_fractions():
    Q, n = np.array([[1, 0]]), np.array([[1, 0]])
    assert bandits.updated(Q, n, np.array([0]), np.array([2])).tolist() == [[1.5, 0.0]]
    assert Q.tolist() == [[1, 0]]
