"""Plausible wrong answers to the exercises on recurrent policies, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import torch

from rlworkshop import envs
from rlworkshop.exercises.robotics import memory as page
from rlworkshop.robotics import memory

# ---- sequence


def without_state(obs, first, inward, onward):
    return np.tanh(obs @ inward.T)


def turned_round(obs, first, inward, onward):
    return page.sequence(obs, first, inward, onward.T)


def without_tanh(obs, first, inward, onward):
    return page._linear(obs, inward, onward)


def never_emptied(obs, first, inward, onward):
    return page._plain(obs, inward, onward)


def all_emptied(obs, first, inward, onward):
    return page.sequence(obs, first | first.any(axis=1)[:, None], inward, onward)


def emptied_late(obs, first, inward, onward):
    return page.sequence(obs, np.concatenate([first[:1], first[:-1]]), inward, onward)


# ---- first


def one_early(terminated, truncated):
    over = terminated | truncated
    return np.concatenate([np.ones((1, over.shape[1])), over])


def not_the_start(terminated, truncated):
    first = page.first_flags(terminated, truncated)
    first[0] = 0
    return first


def terminated_alone(terminated, truncated):
    return page.first_flags(terminated, np.zeros_like(truncated))


def only_the_start(terminated, truncated):
    return page.first_flags(np.zeros_like(terminated), np.zeros_like(truncated))


def the_last_row_too(terminated, truncated):
    first = page.first_flags(terminated, truncated)
    first[-1] = np.maximum(first[-1], (terminated | truncated)[-1])
    return first


WRONG = {
    "memory-sequence": [
        (without_state, "nothing is remembered"),
        (turned_round, "turned round"),
        (without_tanh, "tanh is missing"),
        (never_emptied, "nothing is forgotten"),
        (all_emptied, "of all environments"),
        (emptied_late, "so that one is lost"),
    ],
    "memory-first": [
        (one_early, "the last one of the old episode"),
        (not_the_start, "observation 0 begins"),
        (terminated_alone, "as after any other end"),
        (only_the_start, "nothing begins here"),
        (the_last_row_too, "observation 4 is the last"),
    ],
}


def test_the_flags_are_those_of_a_rollout():
    config = memory.Config(
        env_id="Pendulum-v1", num_envs=3, num_steps=410, total_steps=5000, num_minibatches=1
    )
    world = envs.make(config.env_id, 3)
    learner = memory.make_learner(world, config, torch.Generator().manual_seed(0))
    start, episodes, rng = envs.reset(world, 0), envs.Episodes(3), np.random.default_rng(0)
    batch = memory.collect(world, learner.agent.actor, learner.memory, start, episodes, rng, config)
    assert np.array_equal(page.first_flags(batch.terminated, batch.truncated), batch.first)
    assert batch.first.sum() == 9
