"""The DQN family: five changes to ``dqn.py``, each a function or two, and all of them together.

``dqn.train`` takes the parts of an agent as arguments; a member of the family is a choice of parts, for
instance ``dqn.train(config, seed, **MEMBERS["double"])``.

Papers: van Hasselt, Guez & Silver, *Deep reinforcement learning with double Q-learning*, 2016; Wang et al.,
*Dueling network architectures for deep reinforcement learning*, 2016; Schaul et al., *Prioritized
experience replay*, 2016; Bellemare, Dabney & Munos, *A distributional perspective on reinforcement
learning*, 2017; Hessel et al., *Rainbow: combining improvements in deep reinforcement learning*, 2018.

Book: algorithms/dqn_family
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.algorithms import dqn
from rlworkshop.algorithms.dqn import Learner
from rlworkshop.replay import Replay, Transitions
from rlworkshop.runs.training import command


@dataclass(frozen=True)
class FamilyConfig(dqn.Config):
    """Hyper-parameters of DQN and of what its family adds.

    Book: algorithms/dqn_family
    """

    n: int = 3
    """steps that an n-step transition joins"""
    alpha: float = 0.6
    """how much priorities count: 0 draws all alike, 1 in proportion to their errors"""
    beta: float = 0.4
    """how much of the unequal drawing importance weights take back at first; in the end it is 1, all of it"""
    atoms: int = 51
    """Z, values among which a distribution spreads its probability"""
    v_min: float = 0.0
    """the lowest of them"""
    v_max: float = 100.0
    """the highest; no return should lie outside"""

    def __post_init__(self):
        super().__post_init__()
        if self.n < 1 or self.atoms < 2 or not self.v_min < self.v_max:
            raise ValueError("n is at least 1, atoms at least 2, and v_min below v_max")
        if not (self.alpha >= 0 and 0 <= self.beta <= 1):
            raise ValueError("alpha is at least 0, and beta lies between 0 and 1")


# ---------------------------------------------------------------------------------------------- double


def double_target(
    reward: torch.Tensor, discount: torch.Tensor, online_q: torch.Tensor, next_q: torch.Tensor
) -> torch.Tensor:
    """What Q of the action taken should be (B,): one network says which next action, the other its worth.

    ``online_q`` and ``next_q`` (B, A) are the network's and the target network's values of the next state.

    Book: algorithms/dqn_family
    """
    best = online_q.argmax(dim=1, keepdim=True)  # (B, 1)
    return reward + discount * next_q.gather(1, best)[:, 0]  # (eq-family-double)


def double_errors(learner: Learner, batch: Transitions) -> torch.Tensor:
    """How far Q of the actions taken is from its double target (B,); the gradient flows through Q alone.

    Book: algorithms/dqn_family
    """
    obs, action, reward, next_obs, discount = learner.tensors(batch)
    with torch.no_grad():  # the target is a number to be reached: nothing in it is to be moved
        online_q = learner.agent.q(next_obs)  # (B, A)
        target = double_target(reward, discount, online_q, learner.target(next_obs))  # (B,)
    q = learner.agent.q(obs).gather(1, action[:, None])[:, 0]  # (B,), of the actions that were taken
    return q - target


def double_losses(learner: Learner, batch: Transitions, config: FamilyConfig) -> torch.Tensor:
    """Half the square of each double TD error (B,).

    Book: algorithms/dqn_family
    """
    return 0.5 * double_errors(learner, batch) ** 2


# --------------------------------------------------------------------------------------------- dueling


def duel(value: torch.Tensor, advantage: torch.Tensor) -> torch.Tensor:
    """Q (B, A, ...) of a value (B, 1, ...) and advantages (B, A, ...), whose mean over actions is removed.

    Book: algorithms/dqn_family
    """
    return value + advantage - advantage.mean(dim=1, keepdim=True)  # (eq-family-dueling)


class Dueling(nn.Module):
    """A body with two heads, one for how good the state is, one for how the actions differ.

    Book: algorithms/dqn_family
    """

    def __init__(self, inputs: int, actions: int, config: dqn.Config, generator: torch.Generator):
        super().__init__()
        sizes = [inputs, *config.hidden]
        self.body = nn.Sequential(nets.mlp(sizes, generator, activation="relu"), nn.ReLU())
        self.value = nets.mlp([sizes[-1], 1], generator)
        self.advantage = nets.mlp([sizes[-1], actions], generator)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Q of all actions (B, A) for observations (B, D)."""
        features = self.body(obs)  # (B, H)
        return duel(self.value(features), self.advantage(features))


def dueling_q(
    obs_space: gym.Space, action_space: gym.Space, config: dqn.Config, generator: torch.Generator
) -> nn.Module:
    """A dueling network; ``config.hidden`` are the widths of its body.

    Raises:
        ValueError: observations are not a vector, or there is no hidden layer to share.

    Book: algorithms/dqn_family
    """
    if not config.hidden:
        raise ValueError("a dueling network needs a hidden layer: two heads on nothing are one head")
    return Dueling(rl_envs.vector_length(obs_space), int(action_space.n), config, generator)


# --------------------------------------------------------------------------------- prioritised replay


class SumTree:
    """Numbers that are not negative, drawn from in proportion in logarithmic time.

    A binary tree in one array: the numbers are its leaves, and every other node is the sum of its two
    children. Node k has the children 2k and 2k + 1; the root, node 1, is the total.

    Raises:
        ValueError: ``capacity`` is below 1.

    Book: algorithms/dqn_family
    """

    def __init__(self, capacity: int):
        if capacity < 1:
            raise ValueError(f"a sum tree has at least 1 leaf, not {capacity}")
        self.capacity = capacity
        self.leaves = 1 << (capacity - 1).bit_length()  # a power of two: all leaves are equally deep
        self.nodes = np.zeros(2 * self.leaves)

    @property
    def total(self) -> float:
        """The sum of all numbers."""
        return float(self.nodes[1])

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """The numbers in these rows."""
        return self.nodes[self.leaves : self.leaves + self.capacity][rows]

    def __setitem__(self, rows: np.ndarray, numbers: np.ndarray) -> None:
        """Put ``numbers`` (B,) into ``rows`` (B,), and mend the sums above them."""
        node = self.leaves + np.asarray(rows)  # (B,)
        self.nodes[node] = numbers
        while node[0] > 1:  # all leaves are equally deep: all paths reach the root together
            node = node // 2
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1]  # (eq-family-tree)

    def find(self, mass: np.ndarray) -> np.ndarray:
        """The rows (B,) in which the running sum of the numbers passes each ``mass`` (B,) below the total."""
        node, mass = np.ones(len(mass), np.int64), mass.copy()
        while node[0] < self.leaves:
            node = 2 * node  # the left child
            left = self.nodes[node]
            # rounding may leave a little mass where the right side is empty: nobody may end up there
            right = (mass >= left) & (self.nodes[node + 1] > 0)
            mass -= np.where(right, left, 0.0)
            node += right
        return node - self.leaves


class PrioritizedReplay(Replay):
    """A replay buffer that draws transitions in proportion to a priority; new ones get the highest so far.

    Raises:
        ValueError: as ``Replay``.

    Book: algorithms/dqn_family
    """

    FLOOR = 1e-2  # no error is so small that its transition is never drawn again

    def __init__(self, capacity: int, *shape: Any, alpha: float, **kwargs: Any):
        super().__init__(capacity, *shape, **kwargs)
        self.tree, self.alpha, self.highest = SumTree(capacity), alpha, 1.0

    def add(self, *transitions: np.ndarray) -> np.ndarray:
        """Take in transitions, as ``Replay.add``; their errors are not known: they count as the largest."""
        rows = super().add(*transitions)
        if len(rows):
            self.tree[rows] = self.highest
        return rows

    def draw(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Rows (B,), drawn in proportion to their priorities: one from each of B equal slices of the total.

        Raises:
            ValueError: the buffer is empty.
        """
        if self.size == 0:
            raise ValueError("the replay buffer is empty: add transitions before sampling")
        mass = (np.arange(batch_size) + rng.random(batch_size)) / batch_size * self.tree.total
        return self.tree.find(mass)

    def weights(self, rows: np.ndarray, beta: float) -> np.ndarray:
        """Importance weights (B,) of drawn ``rows``, float32, the largest that any transition has being 1."""
        weight = (self.tree[rows] / self.tree[: self.size].min()) ** -beta  # (eq-family-weights)
        return weight.astype(np.float32)

    def prioritize(self, rows: np.ndarray, errors: np.ndarray) -> None:
        """Set the priorities of ``rows`` (B,) by the sizes of their ``errors`` (B,)."""
        priority = (np.abs(errors) + self.FLOOR) ** self.alpha  # (eq-family-priority)
        self.tree[rows] = priority
        self.highest = max(self.highest, float(priority.max()))


def prioritized_replay(config: FamilyConfig, envs: gym.vector.VectorEnv) -> PrioritizedReplay:
    """An empty prioritised replay buffer for the transitions of ``envs``."""
    space = envs.single_observation_space
    return PrioritizedReplay(config.buffer_size, space.shape, obs_dtype=space.dtype, alpha=config.alpha)


def beta_at(replay: Replay, config: FamilyConfig) -> float:
    """From ``config.beta`` to 1, as the transitions come in.

    Book: algorithms/dqn_family
    """
    passed = min(1.0, replay.added / config.total_steps)
    return config.beta + passed * (1 - config.beta)


def prioritized_update(
    learner: Learner,
    replay: PrioritizedReplay,
    config: FamilyConfig,
    rng: np.random.Generator,
    losses: Callable,
) -> float:
    """One gradient step on a batch drawn by priority, weighted for it; the drawn get new priorities.

    Book: algorithms/dqn_family
    """
    rows = replay.draw(config.batch_size, rng)  # (B,)
    weights = torch.from_numpy(replay.weights(rows, beta_at(replay, config))).to(learner.device)
    each = losses(learner, replay[rows], config)  # (B,)
    loss = (weights * each).mean()  # (eq-family-weighted)
    learner.step(loss, config)
    # a loss of half the squared error gives back the error's size; C51's distance fits the same formula
    replay.prioritize(rows, (2 * each.detach().clamp(min=0)).sqrt().cpu().numpy())
    return loss.item()


# --------------------------------------------------------------------------------------------- n steps


def join(first: Transitions, then: Transitions) -> Transitions:
    """Transitions that do what ``first`` did and ``then`` what came next, as one step: (B, ...) each.

    Book: algorithms/dqn_family
    """
    return first._replace(
        reward=first.reward + first.discount * then.reward,  # (eq-family-join)
        next_obs=then.next_obs,
        discount=first.discount * then.discount,
    )


class NStepReplay(Replay):
    """A replay buffer that keeps transitions of up to ``n`` steps; none goes over the end of its episode.

    Raises:
        ValueError: ``n`` is below 1, or as ``Replay``.

    Book: algorithms/dqn_family
    """

    def __init__(self, *args: Any, n: int, **kwargs: Any):
        if n < 1:
            raise ValueError(f"n is at least 1 step, not {n}")
        super().__init__(*args, **kwargs)
        self.n = n
        self.pending: list[tuple[Transitions, np.ndarray]] = []  # joined rows, oldest first; still open (N,)?

    def step(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> None:
        """Take in the ``valid`` (N,) of N environments' rows; what is n steps long, or ended, is kept."""
        grown = [(join(Transitions(*old), rows), still) for old, still in self.pending]
        self.pending = [*grown, (rows, valid)]
        full = len(self.pending) == self.n
        for age, (joined, still) in enumerate(self.pending):
            done = still if full and age == 0 else still & ended  # (N,)
            self.add(*(column[done] for column in joined))
        self.pending = [(joined, still & ~ended) for joined, still in self.pending[full:]]

    def forget_unfinished(self) -> None:
        """Drop what is pending: all environments begin anew."""
        self.pending = []


def n_step_replay(config: FamilyConfig, envs: gym.vector.VectorEnv) -> NStepReplay:
    """An empty replay buffer for the transitions of ``envs``, ``config.n`` steps long."""
    space = envs.single_observation_space
    return NStepReplay(config.buffer_size, space.shape, obs_dtype=space.dtype, n=config.n)


# --------------------------------------------------------------------------------- distributional (C51)


def project(
    probs: torch.Tensor, reward: torch.Tensor, discount: torch.Tensor, support: torch.Tensor
) -> torch.Tensor:
    """A distribution, discounted and moved by a reward, brought back onto the atoms: (B, Z).

    What lands between two atoms is shared between them, more to the nearer one; what lands outside goes to
    the atom at the edge.

    Args:
        probs: (B, Z), of the returns from the next state on. reward, discount: (B,).
        support: (Z,), the atoms, equally spaced.

    Book: algorithms/rainbow
    """
    spacing = support[1] - support[0]
    landed = reward[:, None] + discount[:, None] * support  # (B, Z)
    place = ((landed - support[0]) / spacing).clamp(0, len(support) - 1)  # in atoms from the lowest
    below = place.floor().clamp(max=len(support) - 2).long()  # so that below + 1 is an atom, too
    share = place - below  # of the atom above; exactly 0 or 1 where an atom is hit
    out = torch.zeros_like(probs).scatter_add_(1, below, probs * (1 - share))
    return out.scatter_add_(1, below + 1, probs * share)  # (eq-family-project)


class Categorical(nn.Module):
    """A network that gives each action a distribution over atoms; as Q it answers with their means.

    Book: algorithms/rainbow
    """

    def __init__(self, logits: nn.Module, config: FamilyConfig):
        super().__init__()
        self.logits = logits
        self.register_buffer("support", torch.linspace(config.v_min, config.v_max, config.atoms))

    def log_probs(self, obs: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of all atoms (B, A, Z) for observations (B, D)."""
        return self.logits(obs).unflatten(1, (-1, len(self.support))).log_softmax(dim=2)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Q of all actions (B, A), so that whoever acts on it needs to know nothing else."""
        return self.log_probs(obs).exp() @ self.support  # (eq-family-mean)


def categorical_q(
    obs_space: gym.Space, action_space: gym.Space, config: FamilyConfig, generator: torch.Generator
) -> nn.Module:
    """A network that gives distributions.

    Raises:
        ValueError: observations are not a vector.

    Book: algorithms/rainbow
    """
    sizes = [rl_envs.vector_length(obs_space), *config.hidden, int(action_space.n) * config.atoms]
    # a small head: at first all atoms are about equally likely
    return Categorical(nets.mlp(sizes, generator, activation="relu", head_gain=0.1), config)


def categorical_losses(learner: Learner, batch: Transitions, config: FamilyConfig) -> torch.Tensor:
    """How far the distributions of the actions taken are from their targets (B,): Kullback-Leibler.

    Book: algorithms/rainbow
    """
    obs, action, reward, next_obs, discount = learner.tensors(batch)
    rows = torch.arange(len(action), device=learner.device)
    with torch.no_grad():
        best = learner.target(next_obs).argmax(dim=1)  # (B,)
        probs = learner.target.log_probs(next_obs)[rows, best].exp()  # (B, Z)
        goal = project(probs, reward, discount, learner.target.support)  # (B, Z)
    logp = learner.agent.q.log_probs(obs)[rows, action]  # (B, Z)
    return (torch.xlogy(goal, goal) - goal * logp).sum(dim=1)  # (eq-family-kl)


# ----------------------------------------------------------------------------------------- all of them


def double_categorical_losses(learner: Learner, batch: Transitions, config: FamilyConfig) -> torch.Tensor:
    """As ``categorical_losses``, but the network, not the target network, says which action comes next.

    Book: algorithms/rainbow
    """
    obs, action, reward, next_obs, discount = learner.tensors(batch)
    rows = torch.arange(len(action), device=learner.device)
    with torch.no_grad():
        best = learner.agent.q(next_obs).argmax(dim=1)  # (B,)
        probs = learner.target.log_probs(next_obs)[rows, best].exp()  # (B, Z)
        goal = project(probs, reward, discount, learner.target.support)  # (B, Z)
    logp = learner.agent.q.log_probs(obs)[rows, action]  # (B, Z)
    return (torch.xlogy(goal, goal) - goal * logp).sum(dim=1)


class DuelingLogits(nn.Module):
    """A dueling network whose value and advantages are Z numbers each.

    Book: algorithms/rainbow
    """

    def __init__(self, inputs: int, actions: int, config: FamilyConfig, generator: torch.Generator):
        super().__init__()
        sizes, Z = [inputs, *config.hidden], config.atoms
        self.body = nn.Sequential(nets.mlp(sizes, generator, activation="relu"), nn.ReLU())
        self.value = nets.mlp([sizes[-1], Z], generator, head_gain=0.1)
        self.advantage = nets.mlp([sizes[-1], actions * Z], generator, head_gain=0.1)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Logits of all atoms of all actions, laid end to end: (B, A * Z)."""
        features = self.body(obs)  # (B, H)
        value = self.value(features)[:, None]  # (B, 1, Z)
        advantage = self.advantage(features).unflatten(1, (-1, value.shape[2]))  # (B, A, Z)
        return duel(value, advantage).flatten(1)


def dueling_categorical_q(
    obs_space: gym.Space, action_space: gym.Space, config: FamilyConfig, generator: torch.Generator
) -> nn.Module:
    """A dueling network that gives distributions.

    Raises:
        ValueError: as ``dueling_q``.

    Book: algorithms/dqn_family
    """
    if not config.hidden:
        raise ValueError("a dueling network needs a hidden layer: two heads on nothing are one head")
    logits = DuelingLogits(rl_envs.vector_length(obs_space), int(action_space.n), config, generator)
    return Categorical(logits, config)


class PrioritizedNStepReplay(NStepReplay, PrioritizedReplay):
    """Joins steps, as the one, and draws by priority, as the other.

    Book: algorithms/rainbow
    """


def prioritized_n_step_replay(config: FamilyConfig, envs: gym.vector.VectorEnv) -> PrioritizedNStepReplay:
    """An empty prioritised replay buffer for transitions ``config.n`` steps long."""
    space = envs.single_observation_space
    return PrioritizedNStepReplay(
        config.buffer_size, space.shape, obs_dtype=space.dtype, n=config.n, alpha=config.alpha
    )


RAINBOW = {  # without noisy networks: it explores as the others do
    "losses": double_categorical_losses,
    "make_q": dueling_categorical_q,
    "make_replay": prioritized_n_step_replay,
    "update": prioritized_update,
}
MEMBERS = {
    "plain": {},
    "double": {"losses": double_losses},
    "dueling": {"make_q": dueling_q},
    "prioritized": {"make_replay": prioritized_replay, "update": prioritized_update},
    "n-step": {"make_replay": n_step_replay},
    "categorical": {"make_q": categorical_q, "losses": categorical_losses},
    "rainbow": RAINBOW,
}


@dataclass(frozen=True)
class MemberConfig(FamilyConfig):
    """Hyper-parameters of the family, and the member that they are for."""

    member: Literal[tuple(MEMBERS)] = "rainbow"
    """which changes to DQN are made"""


def train_member(config: MemberConfig, seed: int, **options: Any) -> runs.Run:
    """Train a member of the family; ``options`` are those of ``dqn.train``."""
    return dqn.train(config, seed, **MEMBERS[config.member], **options)


def load_member(run: runs.Run, device: str = "cpu") -> dqn.Agent:
    """The trained agent of a run of ``train_member``: ``.act(obs)``.

    Raises:
        ValueError: the run is of another algorithm.
    """
    network = MEMBERS[run.config.get("member", "plain")].get("make_q", dqn.make_q)
    return dqn.load_policy(run, network, device)


if __name__ == "__main__":
    command(train_member, load_member, MemberConfig)
