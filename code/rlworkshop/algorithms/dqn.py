"""Deep Q-network (DQN): Q-learning with a network, a replay buffer, and a target network that stands still.

Act ε-greedily on Q, keep the transitions, and in rounds draw some of them at random and move Q towards
the reward plus what a frozen copy of Q says of the next state.

Papers: Mnih et al., *Human-level control through deep reinforcement learning*, 2015; Watkins & Dayan,
*Q-learning*, 1992; Lin, *Self-improving reactive agents based on reinforcement learning, planning and
teaching*, 1992 (replay).

Book: algorithms/dqn
"""

import copy
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, provenance, runs
from rlworkshop.replay import Replay, Transitions

ALGORITHM = "rlworkshop.algorithms.dqn"


@dataclass(frozen=True)
class Config:
    """What there is to choose."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete"""
    num_envs: int = 8
    """N, environments stepped together"""
    total_steps: int = 50_000
    """environment steps in all"""
    gamma: float = 0.99
    """discount factor"""
    lr: float = 1e-3
    """learning rate"""
    annealing: float = 0.5
    """the last part of ``total_steps``, over which it falls linearly to 0"""
    batch_size: int = 128
    """B, transitions that one update learns from"""
    capacity: int = 50_000
    """transitions that the replay buffer keeps"""
    learning_starts: int = 1_000
    """environment steps before the first update"""
    train_every: int = 64
    """environment steps between two rounds of learning"""
    updates: int = 32
    """gradient steps in a round"""
    target_every: int = 32
    """gradient steps after which the target network becomes a copy of the network"""
    epsilon: float = 0.1
    """probability of a random action in the end"""
    exploration: float = 0.12
    """the part of ``total_steps`` over which that probability falls from 1 to ``epsilon``"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers"""
    normalize_obs: bool = True
    """shift and scale observations by their running mean and standard deviation"""

    def __post_init__(self):
        whole = (self.num_envs, self.total_steps, self.batch_size, self.learning_starts, self.train_every)
        if min(*whole, self.updates, self.target_every) < 1:
            raise ValueError("numbers of steps, environments, transitions and updates must be at least 1")
        if self.capacity < max(self.learning_starts, self.num_envs):
            raise ValueError("capacity must hold learning_starts and a step of all environments")
        if not (0 <= self.gamma <= 1 and 0 <= self.epsilon <= 1 and self.lr > 0):
            raise ValueError("gamma and epsilon lie between 0 and 1, lr above 0")
        if not (0 < self.exploration <= 1 and 0 < self.annealing <= 1):
            raise ValueError("exploration and annealing are parts of total_steps, above 0, at most 1")


# ------------------------------------------------------------------------------------ the mathematics


def epsilon_at(step: int, config: Config) -> float:
    """Probability of a random action at an environment step: from 1 down to ``config.epsilon``.

    Book: algorithms/dqn
    """
    passed = min(1.0, step / (config.exploration * config.total_steps))
    return 1 + passed * (config.epsilon - 1)  # (eq-dqn-epsilon)


def lr_at(step: int, config: Config) -> float:
    """Learning rate at an environment step: ``config.lr``, and at last down to 0.

    Book: algorithms/dqn
    """
    left = 1 - step / config.total_steps
    return config.lr * min(1.0, left / config.annealing)


def td_target(reward: torch.Tensor, discount: torch.Tensor, next_q: torch.Tensor) -> torch.Tensor:
    """What Q of the action taken should be (B,): its reward, and the best that the next state offers.

    ``discount`` (B,) is γ, or 0 where the transition terminated; ``next_q`` (B, A) are the target network's.

    Book: algorithms/dqn
    """
    return reward + discount * next_q.max(dim=1).values  # (eq-dqn-target)


def td_errors(learner: "Learner", batch: Transitions) -> torch.Tensor:
    """How far Q of the actions taken is from its target (B,); the gradient flows through Q alone.

    Book: algorithms/dqn
    """
    obs, action, reward, next_obs, discount = learner.tensors(batch)
    with torch.no_grad():  # the target is a number to be reached: nothing in it is to be moved
        target = td_target(reward, discount, learner.target(next_obs))  # (B,)
    q = learner.agent.q(obs).gather(1, action[:, None])[:, 0]  # (B,), of the actions that were taken
    return q - target  # (eq-dqn-error)


def squared_losses(learner: "Learner", batch: Transitions, config: Config) -> torch.Tensor:
    """Half the square of each TD error (B,).

    Book: algorithms/dqn
    """
    return 0.5 * td_errors(learner, batch) ** 2  # (eq-dqn-loss)


def huber_losses(learner: "Learner", batch: Transitions, config: Config) -> torch.Tensor:
    """Half the square of small TD errors, a straight line beyond 1 (B,): no error pulls harder than 1 does.

    Book: algorithms/dqn
    """
    error = td_errors(learner, batch)
    size = error.abs()
    return torch.where(size <= 1, 0.5 * error**2, size - 0.5)  # (eq-dqn-huber)


# ------------------------------------------------------------------------------------------- the agent


def make_q(
    obs_space: gym.Space, action_space: gym.Space, config: Config, generator: torch.Generator
) -> nn.Module:
    """A network that gives Q of all actions (B, A) for observations (B, D).

    Raises:
        ValueError: observations are not a vector.

    Book: algorithms/dqn
    """
    if not isinstance(obs_space, gym.spaces.Box) or len(obs_space.shape) != 1:
        raise ValueError(f"observations must be a Box with one axis, not {obs_space}: flatten or encode them")
    sizes = [obs_space.shape[0], *config.hidden, int(action_space.n)]
    return nets.mlp(sizes, generator, activation="relu")


@dataclass
class Agent:
    """Acts on a network's Q values. ``norm`` is the observation normaliser (``None``: raw observations).

    Book: algorithms/dqn
    """

    q: nn.Module
    norm: rl_envs.ObsNorm | None
    actions: int
    """A, how many there are"""

    def __post_init__(self):
        try:
            self._forward = nets.numpy_forward(self.q)  # on a handful of rows four times faster than torch
        except TypeError:  # it has other layers than those of nets.mlp
            self._forward = self._torch_forward

    @torch.no_grad()
    def _torch_forward(self, obs: np.ndarray) -> np.ndarray:
        return self.q(torch.from_numpy(obs)).numpy()

    def see(self, obs: np.ndarray) -> np.ndarray:
        """Observations (B, ...) as the network takes them, float32."""
        return obs.astype(np.float32) if self.norm is None else self.norm(obs)

    def values(self, obs: np.ndarray) -> np.ndarray:
        """Q of all actions (N, A) for raw observations ``obs`` (N, ...)."""
        return self._forward(self.see(obs))

    def act(self, obs: np.ndarray) -> np.ndarray:
        """The best actions (N,) for raw observations ``obs`` (N, ...)."""
        return self.values(obs).argmax(axis=1)

    def explore(self, obs: np.ndarray, epsilon: float, rng: np.random.Generator) -> np.ndarray:
        """The best actions (N,) for raw observations, but with probability ``epsilon`` any."""
        anything = rng.integers(self.actions, size=len(obs))
        return np.where(rng.random(len(obs)) < epsilon, anything, self.act(obs))


@dataclass
class Learner:
    """The agent, the target network, and the optimiser.

    Book: algorithms/dqn
    """

    agent: Agent
    target: nn.Module
    optimizer: torch.optim.Optimizer
    updates: int = 0
    """gradient steps so far"""

    def tensors(self, batch: Transitions) -> Transitions:
        """A batch of arrays as tensors, observations as the network takes them."""
        batch = batch._replace(obs=self.agent.see(batch.obs), next_obs=self.agent.see(batch.next_obs))
        return Transitions(*map(torch.from_numpy, batch))

    def step(self, loss: torch.Tensor, config: Config) -> None:
        """One gradient step down ``loss``; the target network is copied when its time has come."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        if self.updates % config.target_every == 0:
            self.target.load_state_dict(self.agent.q.state_dict())

    def get_state(self) -> dict[str, Any]:
        """Parameters, the optimiser's memory and the normaliser as a tree of arrays."""
        return {
            "q": nets.to_tree(self.agent.q.state_dict()),
            "target": nets.to_tree(self.target.state_dict()),
            "optimizer": nets.optimizer_to_tree(self.optimizer),
            "updates": self.updates,
            "norm": self.agent.norm and self.agent.norm.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave."""
        self.agent.q.load_state_dict(nets.from_tree(state["q"]))
        self.target.load_state_dict(nets.from_tree(state["target"]))
        nets.load_optimizer(self.optimizer, state["optimizer"])
        self.updates = state["updates"]
        if self.agent.norm:
            self.agent.norm.set_state(state["norm"])


def make_agent(
    envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator, make_q: Callable = make_q
) -> Agent:
    """A fresh agent for ``envs``.

    Raises:
        ValueError: actions are not ``Discrete`` from 0, or what ``make_q`` raises.
    """
    space = envs.single_action_space
    if not isinstance(space, gym.spaces.Discrete) or space.start != 0:
        raise ValueError(f"actions must be Discrete from 0, not {space}: DQN takes a maximum over them")
    q = make_q(envs.single_observation_space, space, config, generator)
    norm = rl_envs.ObsNorm(envs.single_observation_space.shape) if config.normalize_obs else None
    return Agent(q, norm, int(space.n))


def make_learner(envs: gym.vector.VectorEnv, config: Config, seed: int, make_q: Callable = make_q) -> Learner:
    """A fresh network, its copy and an optimiser; the same ``seed`` gives the same weights."""
    agent = make_agent(envs, config, torch.Generator().manual_seed(seed), make_q)
    # the copy begins equal, gets no gradient, and is unknown to the optimiser
    target = copy.deepcopy(agent.q).requires_grad_(False)
    return Learner(agent, target, torch.optim.Adam(agent.q.parameters(), config.lr, fused=True))


def make_replay(config: Config, envs: gym.vector.VectorEnv) -> Replay:
    """An empty replay buffer for the transitions of ``envs``."""
    space = envs.single_observation_space
    return Replay(config.capacity, space.shape, obs_dtype=space.dtype)


def update(
    learner: Learner, replay: Replay, config: Config, rng: np.random.Generator, losses: Callable
) -> float:
    """One gradient step on a batch drawn from ``replay``; the loss.

    Book: algorithms/dqn
    """
    batch = replay.sample(config.batch_size, rng)
    loss = losses(learner, batch, config).mean()
    learner.step(loss, config)
    return loss.item()


# ---------------------------------------------------------------------------------------- training


def train(
    config: Config,
    seed: int,
    *,
    losses: Callable[[Learner, Transitions, Config], torch.Tensor] = squared_losses,
    update: Callable[..., float] = update,
    make_q: Callable[..., nn.Module] = make_q,
    make_replay: Callable[..., Replay] = make_replay,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 100,
    callback: Callable[[int, Agent], Any] | None = None,
) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        losses: of a batch, one for each transition (B,).
        update, make_q, make_replay: functions like those of this file: the family's variants differ in them.
        checkpoint: a file that holds the whole state every ``checkpoint_every`` rounds. If it exists the
            training goes on from there; it is removed at the end.
        callback: called after each round with the environment steps so far and the agent.

    Raises:
        ValueError: the environment does not exist or its spaces do not fit.
        RunFileError: the checkpoint is broken, or that of another training.

    Book: algorithms/dqn
    """
    envs = rl_envs.make(config.env_id, config.num_envs)
    learner = make_learner(envs, config, seed, make_q)
    replay = make_replay(config, envs)
    episodes = rl_envs.Episodes(config.num_envs)
    rng = np.random.default_rng(seed)
    metrics: dict[str, list[float]] = {}
    notes: list[str] = []
    digest = provenance.code_digest(ALGORITHM)
    parts = {"losses": losses, "update": update, "make_q": make_q, "make_replay": make_replay}
    about = {**runs.plain_config(config), **{name: _named(part) for name, part in parts.items()}}
    identity = {
        "algorithm": ALGORITHM,
        "config": about,
        "seed": seed,
        "code": digest,
        "versions": runs.versions(),
    }
    saved = runs.Checkpoint(checkpoint, identity, checkpoint_every)

    obs, _ = envs.reset(seed=seed)  # (N, ...)
    if state := saved.load():
        learner.set_state(state["learner"])
        replay.set_state(state["replay"])
        episodes.set_state(state["episodes"])
        rng.bit_generator.state = state["rng"]
        metrics, notes = {k: v.tolist() for k, v in state["metrics"].items()}, state["notes"]
        obs = runs.resume_envs(envs, state["envs"], episodes, notes, seed)
    rounds = len(metrics.get("update_step", ()))
    due = metrics["update_step"][-1] + config.train_every if rounds else config.learning_starts

    # region: loop
    while episodes.steps + config.num_envs <= config.total_steps:
        action = learner.agent.explore(obs, epsilon_at(episodes.steps, config), rng)
        next_obs, reward, terminated, truncated, _ = envs.step(action)
        valid = episodes.step(reward, terminated, truncated)  # reset rows are no transitions
        # a terminal state is worth nothing; a time limit is no terminal state: its value still counts
        discount = config.gamma * ~terminated
        rows = Transitions(obs, action, reward, next_obs, discount)
        replay.step(rows, valid, ended=terminated | truncated)
        if learner.agent.norm:
            learner.agent.norm.update(obs[valid])
        obs = next_obs
        if episodes.steps < due:
            continue
        due = episodes.steps + config.train_every
        learner.optimizer.param_groups[0]["lr"] = lr_at(episodes.steps, config)
        loss = [update(learner, replay, config, rng, losses) for _ in range(config.updates)]
        # endregion
        rounds += 1
        q = learner.agent.values(obs).max(axis=1).mean()
        for name, value in {"update_step": episodes.steps, "loss": np.mean(loss), "q": q}.items():
            metrics.setdefault(name, []).append(float(value))
        if callback is not None:
            callback(episodes.steps, learner.agent)
        if saved.due(rounds):
            saved.save(
                {
                    "learner": learner.get_state(),
                    "replay": replay.get_state(),
                    "episodes": episodes.get_state(),
                    "rng": rng.bit_generator.state,
                    "metrics": {k: np.array(v) for k, v in metrics.items()},
                    "notes": notes,
                    "envs": runs.envs_state(envs, obs),
                }
            )
    envs.close()
    finished = {"step": episodes.ends, "return": episodes.returns, "length": episodes.lengths}
    policy = learner.get_state()
    run = runs.Run(
        algorithm=ALGORITHM,
        env_id=config.env_id,
        config=about,
        seed=seed,
        metrics={name: np.array(values) for name, values in {**finished, **metrics}.items()},
        policy={"q": policy["q"], "norm": policy["norm"]},
        digest=digest,
        notes=notes,
    )
    saved.remove()
    return run


def _named(part: Callable) -> str:
    return f"{part.__module__}.{part.__qualname__}"


def load_policy(run: runs.Run, make_q: Callable[..., nn.Module] = make_q) -> Agent:
    """The trained agent of a run: ``.act(obs)``. ``make_q`` is the one that it was trained with.

    Raises:
        ValueError: the run is of another algorithm, or has another network.

    Book: algorithms/dqn
    """
    if run.algorithm != ALGORITHM:
        raise ValueError(f"this run is of {run.algorithm}: load it with that module's load_policy")
    # by its name alone: where this code was copied to, its module has another one
    if not run.config["make_q"].endswith(f".{make_q.__qualname__}"):
        raise ValueError(f"this run's network was made by {run.config['make_q']}: pass that as make_q")
    config = types.SimpleNamespace(**run.config)  # a variant's Config has more in it than this file's
    envs = rl_envs.make(run.env_id)
    agent = make_agent(envs, config, torch.Generator(), make_q)
    envs.close()
    agent.q.load_state_dict(nets.from_tree(run.policy["q"]))
    if agent.norm:
        agent.norm.set_state(run.policy["norm"])
    return agent


def main(config: Config, seed: int = 0, out: Path = Path("dqn.npz")) -> None:
    """Train a deep Q-network, print a summary, save the run to ``out``."""
    torch.set_num_threads(1)  # networks this small lose time on a second thread
    run = train(config, seed, checkpoint=out.with_suffix(".checkpoint.npz"))
    run.save(out)
    scores = rl_envs.evaluate(load_policy(run).act, run.env_id, 30, seed + 1)
    print(f"{run.env_id}, seed {seed}: {len(run.metrics['return'])} episodes of training; ", end="")
    print(f"deterministic evaluation over 30 episodes {scores.mean():.1f} ± {scores.std():.1f}; saved {out}")


if __name__ == "__main__":
    import tyro

    tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))
