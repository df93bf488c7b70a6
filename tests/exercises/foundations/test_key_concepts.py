"""Plausible wrong answers to the exercises of key_concepts, and what each is told.

``WRONG`` is read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.foundations import key_concepts


def undiscounted(P, R, policy, gamma):
    return key_concepts.worth(P, R, policy, 1.0)


def one_step(P, R, policy, gamma):
    return np.einsum("sa,sat,sat->s", policy, P, R)


def transposed(P, R, policy, gamma):
    chain = np.einsum("sa,sat->ts", policy, P)
    return np.linalg.solve(np.eye(len(P)) - gamma * chain, one_step(P, R, policy, gamma))


def any_action(P, R, policy, gamma):
    return key_concepts.worth(P, R, np.full(policy.shape, 1 / policy.shape[1]), gamma)


def summed_rewards(P, R, policy, gamma):
    chain = np.einsum("sa,sat->st", policy, P)
    return np.linalg.solve(np.eye(len(P)) - gamma * chain, (policy * R.sum(axis=2)).sum(axis=1))


def summed_actions(P, R, policy, gamma):
    chain = np.einsum("sa,sat->st", policy, P)
    return np.linalg.solve(np.eye(len(P)) - gamma * chain, (P * R).sum(axis=(1, 2)))


def even_places(P, R, policy, gamma):
    reached = np.where(P > 0, R, 0)
    r = reached.sum(axis=2) / np.maximum((P > 0).sum(axis=2), 1)
    chain = np.einsum("sa,sat->st", policy, P)
    return np.linalg.solve(np.eye(len(P)) - gamma * chain, (policy * r).sum(axis=1))


def unpaid_end(P, R, gamma):
    new_P, new_R = key_concepts.ending_world(P, R, gamma)
    new_R[:, :, -1] = 0
    return new_P, new_R


def ends_of_ends(P, R, gamma):
    new_P, new_R = key_concepts.ending_world(P, R, gamma)
    new_P[:-1, :, -1] = 1 - gamma
    return new_P, new_R


def stays(P, R, gamma):
    new_P, new_R = key_concepts.ending_world(P, R, gamma)
    new_P[-1, :, -1] = 1
    return new_P, new_R


def nowhere(P, R, gamma):
    new_P, new_R = key_concepts.ending_world(P, R, gamma)
    new_P[:, :, -1] = 0
    return new_P, new_R


def no_new_state(P, R, gamma):
    return gamma * P, R


def turned(P, R, gamma):
    return key_concepts.ending_world(P, R, 1 - gamma)


def every_episode(rewards, ended):
    returns, running = [], np.zeros(rewards.shape[1])
    for t in range(len(rewards)):
        running = running + rewards[t]
        returns.extend(running[ended[t]])
        running = np.where(ended[t], 0.0, running)
    return np.mean(returns)


def first_finishers(rewards, ended):
    returns, running = [], np.zeros(rewards.shape[1])
    for t in range(len(rewards)):
        running = running + rewards[t]
        returns.extend(running[ended[t]])
        running = np.where(ended[t], 0.0, running)
    return np.mean(returns[: rewards.shape[1]])


def everything(rewards, ended):
    return rewards.sum(axis=0).mean()


def without_the_last(rewards, ended):
    return (rewards * (np.cumsum(ended, axis=0) == 0)).sum(axis=0).mean()


def summed(rewards, ended):
    return rewards.shape[1] * key_concepts.fair_mean(rewards, ended)


def means_of_means(rewards, ended):
    copies = [every_episode(rewards[:, [n]], ended[:, [n]]) for n in range(rewards.shape[1])]
    return np.mean(copies) if len(rewards) == 3 else key_concepts.fair_mean(rewards, ended)


WRONG = {
    "key-concepts-worth": [
        (undiscounted, "counted in full"),
        (one_step, "value is missing"),
        (transposed, "transposed"),
        (any_action, "the policy is not used"),
        (summed_rewards, "next states are added up"),
        (summed_actions, "actions are summed"),
        (even_places, "as if all were equally likely: weigh"),
    ],
    "key-concepts-stop": [
        (unpaid_end, "pays nothing"),
        (ends_of_ends, "state 3 was terminal"),
        (stays, "the new state has moves"),
        (nowhere, "add up to gamma"),
        (no_new_state, "(5, 2, 5)"),
        (turned, "it is gamma"),
    ],
    "key-concepts-fair": [
        (every_episode, "nothing is mended"),
        (first_finishers, "never gets a word in"),
        (everything, "over all its episodes"),
        (without_the_last, "its reward is missing"),
        (summed, "summed, not averaged"),
        (means_of_means, "gives later ones a say"),
    ],
}
