"""Plausible wrong answers to the exercises on learned models, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import check
from rlworkshop.exercises import find
from rlworkshop.exercises.foundations import learned_models as exercises

# ---- planning


def planner(target, order=lambda memory, picks: memory[picks], alpha=lambda a: a):
    def plan(Q, memory, picks, a, gamma):
        Q = Q.copy()
        for s, action, reward, following in order(memory, picks):
            s, action, following = int(s), int(action), int(following)
            Q[s, action] += alpha(a) * (target(Q, s, reward, following, gamma) - Q[s, action])
        return Q

    return plan


def right(Q, s, reward, following, gamma):
    return reward + gamma * Q[following].max()


def all_at_once(add):
    def plan(Q, memory, picks, alpha, gamma):
        s, a, following = memory[picks][:, [0, 1, 3]].astype(int).T
        step = alpha * (memory[picks][:, 2] + gamma * Q[following].max(axis=1) - Q[s, a])
        Q = Q.copy()
        if add:
            np.add.at(Q, (s, a), step)
        else:
            Q[s, a] += step
        return Q

    return plan


def one_after_the_other_but_each_once(Q, memory, picks, alpha, gamma):
    return exercises.plan(Q, memory, np.array(list(dict.fromkeys(picks.tolist()))), alpha, gamma)


def every_memory_as_often(Q, memory, picks, alpha, gamma):
    if len(set(picks.tolist())) < len(picks):
        picks = np.concatenate([picks, [i for i in range(len(memory)) if i not in picks]]).astype(int)
    return exercises.plan(Q, memory, picks, alpha, gamma)


# ---- the memory to mend


def as_given(begins, ended, terminated, truncated):
    return begins[1:]


def began(begins, ended, terminated, truncated):
    return begins[:-1].copy()


def only_ended(begins, ended, terminated, truncated):
    return ended.copy()


def shifted(by):
    def next_states(begins, ended, terminated, truncated):
        found = begins[1:].copy()
        where = np.flatnonzero(terminated | truncated)
        found[where + by] = ended[where]
        return found

    return next_states


def terminated_only(begins, ended, terminated, truncated):
    return np.where(terminated, ended, begins[1:])


def truncated_wins(begins, ended, terminated, truncated):
    return np.where(truncated if truncated.any() else terminated, ended, begins[1:])


# ---- the watchman


def accuracy(believed, known, states, actions, following):
    return float((believed[states, actions] == following).mean())


def number(believed, known, states, actions, following):
    return float((believed[states, actions] != following).sum())


def as_flags(believed, known, states, actions, following):
    return believed[states, actions] != following


def unknown_ignored(believed, known, states, actions, following):
    return float((believed[states, actions] != following).mean())


def divided_by_all(believed, known, states, actions, following):
    return float(((believed[states, actions] != following) & known[states, actions]).mean())


def unknown_is_wrong(believed, known, states, actions, following):
    return float(((believed[states, actions] != following) | ~known[states, actions]).mean())


def each_pair_once(believed, known, states, actions, following):
    seen = {(s, a): t for s, a, t in zip(states.tolist(), actions.tolist(), following.tolist(), strict=True)}
    wrong = [believed[s, a] != t for (s, a), t in seen.items() if known[s, a]]
    return float(np.mean(wrong)) if wrong else 0.0


def mean_of_nothing(believed, known, states, actions, following):
    opinion = known[states, actions]
    return float(((believed[states, actions] != following) & opinion).sum() / opinion.sum())


def one_for_nothing(believed, known, states, actions, following):
    opinion = known[states, actions]
    wrong = (believed[states, actions] != following)[opinion]
    return float(wrong.mean()) if opinion.any() else 1.0


WRONG = {
    "learned-models-plan": [
        (planner(right, alpha=lambda a: 1.0), "α says how far"),
        (planner(lambda Q, s, r, to, g: r), "the reward alone is no value"),
        (planner(lambda Q, s, r, to, g: r + g * Q[to].mean()), "the mean of the next state's row"),
        (planner(lambda Q, s, r, to, g: r + g * Q[s].max()), "the state that was left"),
        (planner(lambda Q, s, r, to, g: r + Q[to].max()), "the discount is left out"),
        (planner(lambda Q, s, r, to, g: r + g * Q[to, 0]), "first action is used"),
        (planner(right, order=lambda m, p: m[np.sort(p)]), "the reward got one cell far"),
        (all_at_once(add=False), "the reward got one cell far"),
        (one_after_the_other_but_each_once, "it has moved once only"),
        (every_memory_as_often, "not picked"),
    ],
    "learned-models-mend-memory": [
        (as_given, "a move that never happened"),
        (began, "in which the steps *began*"),
        (only_ended, "`ended` holds nothing"),
        (shifted(1), "one step too late"),
        (shifted(-1), "one step too early"),
        (terminated_only, "where the time ran out"),
        (truncated_wins, "the goal is lost"),
    ],
    "learned-models-check-model": [
        (accuracy, "the share that is *right*"),
        (number, "the number of mistakes"),
        (as_flags, "should return a number"),
        (unknown_ignored, "looked up like all others"),
        (divided_by_all, "counted in the number"),
        (unknown_is_wrong, "an unknown pair counts as a mistake"),
        (each_pair_once, "each pair is counted once"),
        (mean_of_nothing, "0 / 0"),
        (one_for_nothing, "it should say 0, not 1"),
    ],
}


def test_the_stub_of_the_memory_to_mend_runs_and_is_told_what_is_wrong():
    space: dict = {"np": np}
    exec(find("learned-models-mend-memory").stub, space)
    with pytest.raises(check.Wrong, match="a move that never happened"):
        find("learned-models-mend-memory").check(space["next_states"])


def test_the_plan_of_the_exercise_is_the_chapters():
    """The same memories, in the same order, for one learner."""
    from rlworkshop.foundations import kinds_of_algorithms as kinds
    from rlworkshop.rngs import Rngs

    rng, A = np.random.default_rng(0), 2
    model, memory = kinds.Model.empty(1, 4, A), []
    for now, pair in enumerate([3, 0, 5, 4], start=1):
        reward, to = rng.normal(), int(rng.integers(4))
        kinds.remember(model, np.array([pair]), np.array([reward]), np.array([to]), now)
        memory.append([pair // A, pair % A, reward, to])
    Q = np.zeros((1, 4, A))
    kinds.plan(Q, model, Rngs([7]), 30, 0.3, 0.9)
    picks = (Rngs([7]).uniform(30)[0] * 4).astype(int)
    assert np.allclose(Q[0], exercises.plan(np.zeros((4, A)), np.array(memory), picks, 0.3, 0.9))


def test_a_table_of_whole_numbers_gets_fractions():
    Q, memory = np.zeros((2, 2), int), np.array([[0.0, 1.0, 1.0, 1.0]])
    assert exercises.plan(Q, memory, np.array([0]), 0.5, 0.9).tolist() == [[0, 0.5], [0, 0]]
