"""The DQN family on tasks that separate its members: each part alone, all together, all but one.

Every member is trained with the same seeds and, on one task, with the same numbers; nothing was tuned for
one of them. A run's score is taken over the whole training, not at its end, where most are right:

- on the probes, whose answers are known: the exact worth of the greedy policy after each round of learning,
  on a scale from 0 (what one gets who falls for the trap) to 1 (the best), averaged over the training;
- on CartPole-v1 and on Catch, a light pixel game (three pictures of 10 x 10, flattened for a network
  without convolutions): the return of a training episode, on the scale from the lowest to the highest,
  averaged likewise.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dqn_ablation.py --seeds 0..9 --processes 2

``--tasks`` runs some of them only, and ``--name`` keeps the results under another name.
"""

import argparse
import dataclasses
import time
from concurrent.futures import ProcessPoolExecutor

import gymnasium as gym
import numpy as np
import torch

from rlworkshop import runs, stats
from rlworkshop.algorithms import dqn
from rlworkshop.algorithms import dqn_family as family
from rlworkshop.envs import games, probes

DOUBLE = {"losses": family.double_losses}
DUELING = {"make_q": family.dueling_q}
PRIORITIES = {"make_replay": family.prioritized_replay, "update": family.prioritized_update}
N_STEP = {"make_replay": family.n_step_replay}
C51 = {"make_q": family.categorical_q, "losses": family.categorical_losses}
MEMBERS = {
    "plain": {},
    "double": DOUBLE,
    "dueling": DUELING,
    "priorities": PRIORITIES,
    "n steps": N_STEP,
    "C51": C51,
    "all": family.RAINBOW,
    "all but double": {**family.RAINBOW, "losses": family.categorical_losses},
    "all but dueling": {**family.RAINBOW, "make_q": family.categorical_q},
    "all but priorities": {**family.RAINBOW, "make_replay": family.n_step_replay, "update": dqn.update},
    "all but n steps": {**family.RAINBOW, "make_replay": family.prioritized_replay},
    "all but C51": {**family.RAINBOW, **DOUBLE, **DUELING},
}

PROBE = family.FamilyConfig(
    env_id="LongChain-v0", num_envs=8, total_steps=3000, gamma=0.99, lr=5e-3, lr_decay_fraction=1.0,
    batch_size=32, buffer_size=3000, learning_starts=256, train_freq=64, gradient_steps=32,
    target_update_interval=32, final_epsilon=0.2, exploration_fraction=0.5, hidden=(32,),
    normalize_obs=False, n=3, alpha=0.6, beta=0.4, atoms=31, v_min=-2.0, v_max=2.0,
)  # fmt: skip
MANY = dataclasses.replace(PROBE, env_id="ManyActions-v0")
NOISY = dataclasses.replace(PROBE, env_id="NoisyChoice-v0", target_update_interval=320)
SPARSE = dataclasses.replace(PROBE, env_id="SparseChain-v0", total_steps=4000, buffer_size=4000)
CARTPOLE = family.FamilyConfig(
    env_id="CartPole-v1", num_envs=8, total_steps=8000, gamma=0.99, lr=1e-3, lr_decay_fraction=0.3,
    batch_size=64, buffer_size=8000, learning_starts=512, train_freq=64, gradient_steps=32,
    target_update_interval=32, final_epsilon=0.04, exploration_fraction=0.2, hidden=(64, 64),
    normalize_obs=True, n=3, alpha=0.6, beta=0.4, atoms=31, v_min=0.0, v_max=100.0,
)  # fmt: skip
PIXELS = dataclasses.replace(
    CARTPOLE, env_id="FlatCatch-v0", total_steps=6000, buffer_size=6000, gamma=0.95, lr_decay_fraction=1.0,
    final_epsilon=0.05, exploration_fraction=0.3, hidden=(64,), normalize_obs=False, v_min=-1.0, v_max=1.0,
)  # fmt: skip
# the scale of each score: what one gets who falls for the trap (the sure 0.4; a play in every room that there
# is; nothing), and the best; or the lowest and the highest return
TASKS = {
    "long chain": (PROBE, probes.LongChain, 0.4, 1.0),
    "many actions": (MANY, probes.ManyActions, 0.4, 1.0),
    "noisy choice": (NOISY, probes.NoisyChoice, -0.6, 0.0),
    "sparse chain": (SPARSE, probes.SparseChain, 0.0, 1.0),
    "CartPole": (CARTPOLE, None, 0.0, 500.0),
    "Catch": (PIXELS, None, -1.0, 1.0),
}


def flat_catch(num_envs: int):
    """The game with its pictures laid end to end: what ``dqn.make_q`` and the family's networks take."""
    return gym.wrappers.vector.FlattenObservation(games.Catch(num_envs))


gym.register("FlatCatch-v0", vector_entry_point=flat_catch)


def one(task: str, member: str, seed: int) -> dict:
    """One training: its score, and the seconds of processor time that it took."""
    torch.set_num_threads(1)
    config, world, low, high = TASKS[task]
    worth, obs = [], None
    if world is not None:
        known = world()
        obs = known.observations()

    def watch(session):
        if obs is not None:
            worth.append((session.steps, known.worth(session.agent.act(obs))))

    began = time.process_time()
    run = dqn.train(config, seed, callback=watch, **MEMBERS[member])
    seconds = time.process_time() - began
    grid = np.linspace(config.learning_starts, config.total_steps, 50)
    if world is not None:
        score = np.interp(grid, *np.array(worth).T).mean()
    else:
        score = stats.on_grid(run.metrics["step"], run.metrics["return"], grid, window=1000).mean()
    score = (score - low) / (high - low)
    return {"task": task, "member": member, "seed": seed, "score": round(float(score), 4),
            "seconds": round(seconds, 2)}  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    ask.add_argument("--seeds", default="0..9", help="the first and the last, as 0..9")
    ask.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    ask.add_argument("--processes", type=int, default=2)
    ask.add_argument("--name", default="dqn_ablation")
    given = ask.parse_args()
    first, last = map(int, given.seeds.split(".."))
    jobs = [(t, m, s) for t in given.tasks for m in MEMBERS for s in range(first, last + 1)]
    with ProcessPoolExecutor(given.processes) as pool:
        rows = list(pool.map(one, *zip(*jobs, strict=True)))
    results = {"runs": rows, "members": list(MEMBERS), "tasks": given.tasks}
    for task in given.tasks:
        for member in MEMBERS:
            mine = [r for r in rows if (r["task"], r["member"]) == (task, member)]
            mean = np.mean([r["score"] for r in mine])
            spread = np.std([r["score"] for r in mine])
            seconds = np.mean([r["seconds"] for r in mine])
            print(f"{task:14s} {member:18s} {mean:.3f} ± {spread:.3f}   {seconds:.1f} s a run", flush=True)
    modules = ["rlworkshop.algorithms.dqn_family", "rlworkshop.envs.probes", "rlworkshop.envs.games"]
    runs.store(given.name, results, range(first, last + 1), modules, __file__)


if __name__ == "__main__":
    main()
