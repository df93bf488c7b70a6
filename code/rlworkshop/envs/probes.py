"""Tiny worlds with known answers, to probe an agent: each asks one question, and says what is right.

All are tables: S states in which one acts, A actions, and the end. So the best values, and the exact worth
of any policy, can be computed to the last digit, and an agent's estimates compared with them. They are
native vector environments under NEXT_STEP; importing this module registers them with Gymnasium.

Book: algorithms/dqn_family
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class TabularEnv(VectorEnv):
    """A world given by tables; an observation (S,) says, by a one, which state it is.

    Args:
        num_envs: N, copies that are stepped together.
        following: (S, A) integers, the state that each action leads to; S is the end. States are in order:
            no action leads back, or to where it began.
        reward: (S, A), the mean reward of each action.
        spread: (S, A), the standard deviation of each reward.
        start: the states in which episodes begin, all alike.
        chance: rewards have one of two values, the higher one with this probability; ``None``: they are
            normally distributed.

    Raises:
        ValueError: the tables do not fit each other, or an action leads back.

    Book: algorithms/dqn_family
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int,
        following: np.ndarray,
        reward: np.ndarray,
        spread: np.ndarray | None = None,
        start: tuple[int, ...] = (0,),
        chance: float | None = None,
    ):
        S, A = following.shape
        self.following, self.reward = following, np.asarray(reward, float)
        self.spread = np.zeros((S, A)) if spread is None else np.asarray(spread, float)
        if not self.reward.shape == self.spread.shape == (S, A):
            raise ValueError(f"tables must be ({S}, {A}), not {self.reward.shape} and {self.spread.shape}")
        if (following <= np.arange(S)[:, None]).any() or (following > S).any():
            raise ValueError("each action leads to a later state, or to S, the end")
        self.num_envs, self.start, self.chance = num_envs, np.array(start), chance
        self.single_observation_space = gym.spaces.Box(0, 1, (S,), np.float32)
        self.single_action_space = gym.spaces.Discrete(A)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state = np.full(num_envs, S)  # (N,); S: over, the next step begins anew

    def observations(self) -> np.ndarray:
        """The observations of all states, in their order: (S, S) float32."""
        return np.eye(len(self.following), dtype=np.float32)

    def optimal_q(self, gamma: float) -> np.ndarray:
        """What each action is worth when the best ones follow: (S, A)."""
        q = np.zeros((len(self.following) + 1, self.following.shape[1]))  # the end is worth nothing
        for s in reversed(range(len(self.following))):  # states are in order: those after s are known
            q[s] = self.reward[s] + gamma * q[self.following[s]].max(axis=1)
        return q[:-1]

    def worth(self, actions: np.ndarray, gamma: float = 1.0) -> float:
        """Expected return of the policy that takes ``actions`` (S,), from where episodes begin."""
        S = len(self.following)
        value = np.zeros(S + 1)
        for s in reversed(range(S)):
            value[s] = self.reward[s, actions[s]] + gamma * value[self.following[s, actions[s]]]
        return float(value[self.start].mean())

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode in each copy; their observations (N, S)."""
        super().reset(seed=seed)
        self.state = self._begin(self.num_envs)
        return self._seen(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each copy; where an episode was over, a new one begins instead."""
        S = len(self.following)
        over = self.state == S  # (N,)
        at = np.where(over, 0, self.state), np.asarray(actions)
        reward = np.where(over, 0.0, self.reward[at] + self.spread[at] * self._luck())
        self.state = np.where(over, self._begin(self.num_envs), self.following[at])
        never = np.zeros(self.num_envs, bool)
        return self._seen(), reward.astype(np.float32), self.state == S, never, {}

    def get_state(self) -> dict[str, Any]:
        """All that decides how it goes on."""
        return {"state": self.state.copy(), "rng": self.np_random.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave.

        Raises:
            ValueError: it is the state of another number of copies.
        """
        if len(state["state"]) != self.num_envs:
            raise ValueError(f"a state of {len(state['state'])} copies does not fit {self.num_envs}")
        self.state = state["state"].copy()
        self.np_random.bit_generator.state = state["rng"]

    def _luck(self) -> np.ndarray:
        """Random numbers (N,) of mean 0 and standard deviation 1."""
        if self.chance is None:
            return self.np_random.normal(size=self.num_envs)
        odds = (1 - self.chance) / self.chance
        return np.where(self.np_random.random(self.num_envs) < self.chance, odds**0.5, -(odds**-0.5))

    def _begin(self, n: int) -> np.ndarray:
        return self.np_random.choice(self.start, size=n)

    def _seen(self) -> np.ndarray:
        # the end is no state: it is seen as zeros, and nothing may be learned from there
        S = len(self.following)
        return (self.state[:, None] == np.arange(S)).astype(np.float32)


class LongChain(TabularEnv):
    """Does news travel? At a fork, 0 is paid ``sure`` at once; 1 is paid 1, but ``length`` steps later.

    Beyond the fork lie two tunnels, in which no action matters. Best: 1, worth γ to the power ``length``.
    Where there are more ``actions``, they do what 1 does.

    Book: algorithms/dqn_family
    """

    def __init__(self, num_envs: int = 1, length: int = 20, sure: float = 0.4, actions: int = 2):
        S = 1 + 2 * length  # the fork, then the tunnels: 1 … length, and length + 1 … 2 length
        following, reward = np.tile(np.arange(1, S + 1)[:, None], (1, actions)), np.zeros((S, actions))
        following[0] = [1] + (actions - 1) * [length + 1]
        following[length] = S
        reward[0, 0], reward[S - 1] = sure, 1.0
        super().__init__(num_envs, following, reward)


class ManyActions(LongChain):
    """Is what actions share learned for all at once? The long chain with twelve actions: 1 … 11 do the same.

    Book: algorithms/dqn_family
    """

    def __init__(self, num_envs: int = 1, length: int = 20, sure: float = 0.4, actions: int = 12):
        super().__init__(num_envs, length, sure, actions)


class SparseChain(TabularEnv):
    """Is what is rare learned from? Of two actions one goes on and one ends all; 1 is paid after the last.

    The way on is action 0 in even states and 1 in odd ones. Acting at random gets there once in
    2 to the power ``length`` episodes. Best: go on, worth γ to the power ``length - 1`` at the start.
    (The *blind cliffwalk* of Schaul et al., 2016.)

    Book: algorithms/dqn_family
    """

    def __init__(self, num_envs: int = 1, length: int = 8):
        S = np.arange(length)
        following, reward = np.full((length, 2), length), np.zeros((length, 2))
        following[S, S % 2] = S + 1
        reward[-1, S[-1] % 2] = 1.0
        super().__init__(num_envs, following, reward)


class NoisyChoice(TabularEnv):
    """Is luck taken for worth? In each of some rooms, 0 leaves with nothing; the others play and go on.

    A play is paid ``mean`` on average, below 0, with a standard deviation of ``spread``. An episode begins
    in any room. Best: leave at once. All rooms are worth 0, every play ``mean``.

    Book: algorithms/dqn_family
    """

    def __init__(
        self, num_envs: int = 1, rooms: int = 5, machines: int = 10, mean: float = -0.2, spread: float = 1.0
    ):
        following = np.tile(np.arange(1, rooms + 1)[:, None], (1, machines + 1))
        following[:, 0] = rooms
        reward, width = np.full(following.shape, mean), np.full(following.shape, spread)
        reward[:, 0], width[:, 0] = 0.0, 0.0
        super().__init__(num_envs, following, reward, width, start=tuple(range(rooms)))


class Gamble(TabularEnv):
    """What can happen, not only on average? 0 takes ``sure``; 1 bets: some tosses of a coin, each ±1.

    A bet is worth 0, and its return is one of 2 to the power ``tosses`` values (see ``outcomes``), all
    equally likely. Best: take what is sure.

    Book: algorithms/dqn_family
    """

    def __init__(self, num_envs: int = 1, tosses: int = 2, sure: float = 0.1):
        following = np.tile(np.arange(1, tosses + 1)[:, None], (1, 2))
        reward, spread = np.zeros((tosses, 2)), np.ones((tosses, 2))
        following[0, 0], reward[0, 0], spread[0, 0] = tosses, sure, 0.0
        super().__init__(num_envs, following, reward, spread, chance=0.5)
        self.tosses = tosses

    def outcomes(self, gamma: float) -> np.ndarray:
        """The returns of a bet (2**tosses,), in order; each is as likely as the others."""
        signs = 1 - 2.0 * (np.arange(2**self.tosses)[:, None] >> np.arange(self.tosses) & 1)
        return np.sort(signs @ gamma ** np.arange(self.tosses))


class Lottery(TabularEnv):
    """Is the rare taken for the usual? 0 is paid ``sure``; 1 buys a ticket, which seldom wins ``prize``.

    A ticket is worth ``chance * prize``, less than what is sure. Best: buy none.

    Book: algorithms/dqn_family
    """

    def __init__(self, num_envs: int = 1, chance: float = 0.1, prize: float = 1.0, sure: float = 0.15):
        reward = np.array([[sure, chance * prize]])
        spread = np.array([[0.0, prize * (chance * (1 - chance)) ** 0.5]])
        super().__init__(num_envs, np.ones((1, 2), int), reward, spread, chance=chance)


for _world in (LongChain, ManyActions, SparseChain, NoisyChoice, Gamble, Lottery):
    for _name in (f"{_world.__name__}-v0", f"{__name__}:{_world.__name__}-v0"):  # looked up as either
        gym.register(_name, vector_entry_point=f"{__name__}:{_world.__name__}")
