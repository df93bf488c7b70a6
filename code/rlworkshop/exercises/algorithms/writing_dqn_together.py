"""The eight stages of writing DQN together: what a file has to do at the end of each.

The solutions are derived from the annotated file ``rlworkshop.algorithms.writing_dqn_together``.

Book: algorithms/writing_dqn_together
"""

import copy
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np
import torch

from rlworkshop.algorithms import writing_dqn_together as finished
from rlworkshop.check import Stage, Wrong

PAGE = "algorithms/writing_dqn_together"


def _stage(number: int, title: str, section: str, *asks: str) -> Stage:
    about = f"dqn-stage-{number}", title, PAGE, section
    return Stage.of(finished, number, *about, asks=asks, file="my_dqn.py")


# ------------------------------------------------------------------------------- worlds to be tried in


class _Script(gym.Env):
    """An episode as it is written down; observations are the number of the step, episodes 100 apart."""

    def __init__(self, *rows: tuple[float, bool, bool]):
        self.rows, self.episode, self.at, self.seeds = rows, -1, 0, []
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
        self.action_space = gym.spaces.Discrete(2)

    def _obs(self) -> np.ndarray:
        return np.full(4, 100 * self.episode + self.at, np.float32)

    def reset(self, *, seed=None, options=None):
        """The next episode."""
        self.seeds.append(seed)
        self.episode, self.at = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action):
        """The next row."""
        if self.at == len(self.rows):
            ending = "terminated" if self.rows[-1][1] else "truncated"
            raise Wrong(f"the episode is over ({ending}), and the loop goes on stepping")
        reward, terminated, truncated = self.rows[self.at]
        self.at += 1
        return self._obs(), reward, terminated, truncated, {}


class _Lights(gym.Env):
    """A light shows which of two buttons pays 1; a wrong one ends the episode, step 20 cuts it off."""

    made: list["_Lights"] = []

    def __init__(self):
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
        self.action_space = gym.spaces.Discrete(2)
        self.firsts = []
        self.made.append(self)

    def _obs(self) -> np.ndarray:
        noise = self.np_random.normal(0, 0.1, 2)
        return np.array([self.light * 2.0 - 1, *noise, self.at / 20], np.float32)

    def reset(self, *, seed=None, options=None):
        """A first light."""
        super().reset(seed=seed)
        self.light, self.at = int(self.np_random.integers(2)), 0
        self.firsts.append(self._obs())
        return self.firsts[-1], {}

    def step(self, action):
        """Press a button."""
        right = int(action) == self.light
        self.light, self.at = int(self.np_random.integers(2)), self.at + 1
        return self._obs(), float(right), not right, right and self.at == 20, {}


class _Buttons(_Lights):
    """The same with a third button, which is never right."""

    def __init__(self):
        super().__init__()
        self.action_space = gym.spaces.Discrete(3)


if "Lights-v0" not in gym.registry:
    gym.register("Buttons-v0", entry_point=_Buttons)
    gym.register("Lights-v0", entry_point=_Lights)


class _Table(torch.nn.Module):
    """Q values from a table: observation k is the k-th unit vector."""

    def __init__(self, rows: list[list[float]]):
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(rows))

    def forward(self, obs):
        """Q of all actions."""
        return obs @ self.table


def _units(*rows: int, size: int = 4) -> torch.Tensor:
    return torch.eye(size)[list(rows)]


def _numbers(got: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """``got`` as an array of floats, if it is a tensor of that shape."""
    if not isinstance(got, torch.Tensor):
        raise Wrong(f"{what} should be a tensor; it is of type {type(got).__name__}")
    if tuple(got.shape) != shape:
        if got.ndim == 2 and tuple(got.shape) in [(*shape, 1), (1, *shape)]:
            kind = "column" if got.shape[1] == 1 else "table of one row"
            raise Wrong(
                f"{what} should be one number for each, {shape}; this is a {kind}, {tuple(got.shape)}"
            )
        if len(shape) == 1 and got.ndim == 2:
            table = f"a column (B, 1) met a row (B,), and PyTorch made a table {tuple(got.shape)} of them"
            raise Wrong(f"{table}; {what} should be one number for each: {shape}")
        raise Wrong(f"{what} should have the shape {shape}; it has {tuple(got.shape)}")
    return got.detach().numpy().astype(float)


def _compare(got: np.ndarray, want: Any, about: str, mistakes: dict[str, Any]) -> None:
    if np.allclose(got, want, atol=1e-4):
        return
    for said, other in mistakes.items():
        if np.allclose(got, other, atol=1e-4):
            message, *hints = said if isinstance(said, tuple) else (said,)
            raise Wrong(message, tuple(hints))
    raise Wrong(f"{about}: it should be {np.round(want, 3)}, and is {np.round(got, 3)}")


def _unpacked(obs: Any, who: str) -> None:
    if isinstance(obs, tuple):
        raise Wrong(
            f"{who} a pair, an observation and a dictionary: that is what `env.reset` returns",
            ("Take the pair apart: `obs, _ = env.reset(...)`.",),
        )


def _whole(got: Any, what: str) -> int:
    if not isinstance(got, int | np.integer):
        raise Wrong(f"{what} should be a whole number (an int); it is of type {type(got).__name__}")
    return int(got)


# --------------------------------------------------------------------------------------------- 1: the loop

ONE = _stage(1, "An agent that guesses", "Stage 1: an agent that guesses", "play")
FALL, TIME = (1.0, True, False), (1.0, False, True)


@ONE.probe(
    "the return is the sum of all rewards of the episode", "Begin with 0.0, and add each step's reward."
)
def _sum(answer: ModuleType) -> None:
    rows = [(2.0, False, False), (4.0, False, False), (7.0, True, False)]
    got = answer.play(_Script(*rows), lambda obs: 0)
    mistakes = {
        7.0: "is the last reward",
        3.0: "counts steps instead of rewards",
        2.0: "is the first reward",
        6.0: "leaves the last reward out",
        11.0: "leaves the first reward out",
    }
    if got != 13.0:
        said = next((words for number, words in mistakes.items() if got == number), f"is {got}")
        raise Wrong(f"three steps paid 2, 4 and 7; their sum is 13, and what you return {said}")


@ONE.probe("an episode also ends when it is truncated", "It is over when `terminated or truncated`.")
def _both_ends(answer: ModuleType) -> None:
    answer.play(_Script((1.0, False, False), TIME), lambda obs: 0)


@ONE.probe(
    "the agent acts on what it saw last",
    "What does step return first? That is the observation to act on next.",
)
def _newest(answer: ModuleType) -> None:
    seen: list[float] = []

    def act(obs):
        _unpacked(obs, "`act` is shown")
        seen.append(float(obs[0]))
        return 0

    answer.play(_Script(*[(1.0, False, False)] * 3, FALL), act)
    if seen == [0, 0, 0, 0]:
        raise Wrong("`act` is shown the first observation of the episode again and again")
    if seen != [0, 1, 2, 3]:
        raise Wrong(f"`act` should be shown the observations 0, 1, 2, 3 in turn; it was shown {seen}")


@ONE.probe("the seed reaches the environment", "env.reset(seed=seed): the same seed gives the same start.")
def _seeded(answer: ModuleType) -> None:
    env = _Script(FALL)
    answer.play(env, lambda obs: 0, 42)
    if env.seeds != [42]:
        raise Wrong(
            f"`play(env, act, 42)` should reset once, with seed 42; the seeds of its resets: {env.seeds}"
        )


# --------------------------------------------------------------------------------------------- 2: replay

TWO = _stage(2, "Remember", "Stage 2: remember", "Replay", "collect")


def _filled(answer: ModuleType, capacity: int, rows: int) -> Any:
    """Row k: obs k, action k % 2, reward k, next_obs k + 1, terminated where k % 3 is 0."""
    replay = answer.Replay(capacity, 4)
    for k in range(rows):
        obs, next_obs = np.full(4, k, np.float32), np.full(4, k + 1, np.float32)
        replay.add(obs, k % 2, float(k), next_obs, k % 3 == 0)
    return replay


def _drawn(replay: Any, size: int, seed: int = 0) -> list[np.ndarray]:
    """Five arrays: the observations' first numbers, and the others as they are."""
    try:
        batch = replay.sample(size, np.random.default_rng(seed))
    except ValueError as error:
        if "arger" not in str(error) or "sample" not in str(error).lower():
            raise
        raise Wrong(
            f"`sample` was asked for {size} rows, refuses to draw a row twice, and has too few",
            ("A row may be drawn twice: leave `replace=False` out, or use rng.integers.",),
        ) from error
    if not isinstance(batch, list | tuple) or len(batch) != 5:
        raise Wrong("`sample` should return five tensors: obs, action, reward, next_obs, terminated")
    shapes = [(size, 4), (size,), (size,), (size, 4), (size,)]
    names = ["obs", "action", "reward", "next_obs", "terminated"]
    columns = [_numbers(c, s, f"`{n}` of a batch") for c, s, n in zip(batch, shapes, names, strict=True)]
    kinds = [torch.float32, torch.int64, torch.float32, torch.float32, torch.bool]
    for column, kind, name in zip(batch, kinds, names, strict=True):
        if column.dtype != kind:
            raise Wrong(
                f"`{name}` of a batch should be {kind}; it is {column.dtype}",
                (
                    "The array decides: observations and rewards are np.float32, actions np.int64, "
                    "terminated is bool; torch.from_numpy keeps the kind.",
                ),
            )
    return [c[:, 0] if c.ndim == 2 else c for c in columns]


@TWO.probe(
    "what is drawn together was added together",
    "Draw the row numbers once, and use them for all five arrays.",
)
def _together(answer: ModuleType) -> None:
    obs, action, reward, next_obs, terminated = _drawn(_filled(answer, 50, 50), 200)
    if not np.array_equal(next_obs, obs + 1):
        raise Wrong("`obs` and `next_obs` of a drawn row come from different transitions")
    if not (np.array_equal(reward, obs) and np.array_equal(action, obs % 2)):
        raise Wrong("the action or the reward of a drawn row belongs to another observation")
    if not np.array_equal(terminated, obs % 3 == 0):
        raise Wrong("`terminated` of a drawn row is not what was added with it")


@TWO.probe("empty rows are not drawn", "As long as it is not full, draw below `added`, not below `capacity`.")
def _not_empty(answer: ModuleType) -> None:
    if set(_drawn(_filled(answer, 100, 3), 200)[3]) - {1, 2, 3}:
        raise Wrong(
            "three transitions were added to a buffer for 100, and sample draws rows that are still empty"
        )


@TWO.probe("the newest take the place of the oldest", "The row to write to: `self.added % self.capacity`.")
def _round(answer: ModuleType) -> None:
    kept = {int(k) for k in _drawn(_filled(answer, 5, 7), 400)[0]}
    told = {
        (0, 1, 2, 3, 4): "what comes after it is full is lost",
        (0, 1, 2, 3, 4, 5, 6): "it keeps more than its capacity",
        (0, 1, 2, 3, 6): "the newest always writes over the last row",
    }
    if kept != {2, 3, 4, 5, 6}:
        why = told.get(tuple(sorted(kept)), f"it keeps {sorted(kept)}")
        raise Wrong(f"of seven transitions a buffer for five should keep the last five; {why}")


@TWO.probe("it counts in `added` what it was given", "self.added = 0 in __init__, self.added += 1 in add.")
def _counts(answer: ModuleType) -> None:
    replay = _filled(answer, 100, 3)
    if not hasattr(replay, "added"):
        raise Wrong("the replay has no `added`: the last lines of the file, and later stages, ask for it")
    if replay.added != 3:
        raise Wrong(f"three transitions were added, and `added` says {replay.added}")
    if not hasattr(replay, "terminated"):
        raise Wrong("the replay has no `terminated`: the last lines of the file sum up that array")


@TWO.probe("the draw is random, and only by rng", "rng.integers(how_many, size=batch_size)")
def _random(answer: ModuleType) -> None:
    replay = _filled(answer, 50, 50)
    first, again, other = (_drawn(replay, 20, seed)[0] for seed in (0, 0, 1))
    if not np.array_equal(first, again):
        raise Wrong("the same rng gives another batch: draw with the rng that sample is given, and no other")
    if np.array_equal(first, other):
        raise Wrong("another rng gives the same batch: nothing is drawn at random")
    if all(_neighbours(_drawn(replay, 10, seed)[0]) for seed in (0, 1, 2)):
        raise Wrong(
            "each batch is one block of neighbours, only its beginning is drawn: such rows are nearly alike",
            ("Draw every row by itself: rng.integers(how_many, size=batch_size).",),
        )


def _neighbours(rows: np.ndarray) -> bool:
    """Ten rows of fifty: do they stand side by side, in whatever order, the first after the last?"""
    there = np.isin(np.arange(50), rows)
    return there.sum() == 10 and np.count_nonzero(there != np.roll(there, 1)) == 2


def _rows(replay: Any) -> list[tuple]:
    """Spy on add: obs and next_obs (first numbers), terminated, action and reward of each call."""
    rows, add = [], replay.add

    def spy(obs, action, reward, next_obs, terminated):
        _unpacked(obs, "`replay.add` is given as obs")
        rows.append((float(obs[0]), float(next_obs[0]), bool(terminated), action, reward))
        add(obs, action, reward, next_obs, terminated)

    replay.add = spy
    return rows


FORGOTTEN = (
    "`next_obs` of one row is not `obs` of the next, though the episode went on: `obs = next_obs` is missing"
)


@TWO.probe(
    "each transition begins where the last one ended",
    "Look at two rows in a row: where should the second one begin?",
    "In play, step overwrote obs. Here the buffer needs both, so who moves obs on?",
)
def _chain(answer: ModuleType) -> None:
    env, replay = _Script(*[(1.0, False, False)] * 9, FALL), answer.Replay(20, 4)
    rows = _rows(replay)
    answer.collect(env, env.reset()[0], lambda obs: 0, replay, 5)
    if len(rows) != 5:
        raise Wrong(f"five steps were asked for; replay.add was called {len(rows)} times")
    if [obs for obs, *_ in rows] == [1, 2, 3, 4, 5]:
        raise Wrong("`obs` of each row is what came after the action: keep it apart until it is added")
    if [next_obs for _, next_obs, *_ in rows] != [1, 2, 3, 4, 5]:
        raise Wrong("`next_obs` of each row should be what env.step returned")
    if [obs for obs, *_ in rows] != [0, 1, 2, 3, 4]:
        raise Wrong(FORGOTTEN)


@TWO.probe(
    "what was done and what it paid stand in their places", "replay.add(obs, action, reward, next_obs, ...)"
)
def _done_and_paid(answer: ModuleType) -> None:
    env, replay = _Script(*[(5.0, False, False)] * 9, FALL), answer.Replay(20, 4)
    rows = _rows(replay)
    answer.collect(env, env.reset()[0], lambda obs: int(obs[0]) % 2, replay, 4)
    if [(action, reward) for *_, action, reward in rows] != [(0, 5), (1, 5), (0, 5), (1, 5)]:
        told = ", ".join(f"({action}, {reward:g})" for *_, action, reward in rows)
        raise Wrong(f"the actions were 0, 1, 0, 1 and each paid 5; the buffer was given the pairs {told}")


@TWO.probe(
    "after an end of either kind a new episode begins",
    "Two things end an episode; only one of them is kept. Which one says that nothing comes after?",
)
def _ends(answer: ModuleType) -> None:
    for row, kind in ((FALL, "terminated"), (TIME, "truncated")):
        env, replay = _Script((1.0, False, False), row), answer.Replay(20, 4)
        rows = _rows(replay)
        answer.collect(env, env.reset()[0], lambda obs: 0, replay, 4)
        if [row[2] for row in rows] != [False, kind == "terminated"] * 2:
            flags = [row[2] for row in rows]
            raise Wrong(f"episodes of two steps that are {kind} are kept with terminated = {flags}")
        if rows[1][1] == 100:
            raise Wrong("`next_obs` of an episode's last row is the first observation of the next episode")
        if [obs for obs, *_ in rows] != [0, 1, 100, 101]:
            raise Wrong(
                f"after an episode that is {kind} the next row does not begin with the reset's observation"
            )
        given = [seed for seed in env.seeds[1:] if seed is not None]
        if len(set(given)) < len(given):
            raise Wrong(
                f"after each end it resets with the seed {given[0]}, so all episodes begin alike",
                ("Only the first reset of a run is seeded: here it is `env.reset()`.",),
            )


@TWO.probe(
    "it can be called again and goes on", "Return the observation that the next call has to begin with."
)
def _goes_on(answer: ModuleType) -> None:
    env, replay = _Script(*[(1.0, False, False)] * 9, FALL), answer.Replay(20, 4)
    obs = answer.collect(env, env.reset()[0], lambda obs: 0, replay, 3)
    _unpacked(obs, "`collect` returns")
    if obs is None or float(np.ravel(obs)[0]) != 3:
        raise Wrong(f"after three steps `collect` should return the observation 3; it returns {obs}")
    env = _Script((1.0, False, False), FALL)
    obs = answer.collect(env, env.reset()[0], lambda obs: 0, answer.Replay(20, 4), 2)
    _unpacked(obs, "`collect` returns")
    if obs is not None and float(np.ravel(obs)[0]) == 2:
        raise Wrong(
            "the last step asked for ended an episode, and `collect` returns that end, not the reset's "
            "observation: the next call would go on from a state that is over",
            ("Return the variable that the reset writes to.",),
        )
    if obs is None or float(np.ravel(obs)[0]) != 100:
        raise Wrong(f"when the last step ends an episode, `collect` should return the reset's obs, not {obs}")


# --------------------------------------------------------------------------------------------- 3: network

THREE = _stage(3, "A network that says what actions are worth", "Stage 3: a network", "make_q", "greedy")


def _nets(answer: ModuleType) -> Iterator[torch.nn.Module]:
    for seed in range(10):
        torch.manual_seed(seed)
        yield answer.make_q(4, 2)


@THREE.probe(
    "a Q value for each action of each observation", "The last layer has as many outputs as actions."
)
def _shapes(answer: ModuleType) -> None:
    q = answer.make_q(4, 3)
    if not isinstance(q, torch.nn.Module):
        raise Wrong(f"`make_q` should return a network (torch.nn.Module); it returns {type(q).__name__}")
    values = q(torch.zeros(5, 4))
    if values.shape[-1] != 3:
        raise Wrong(f"`make_q(4, 3)` is for three actions, and gives {values.shape[-1]} Q value(s)")
    _numbers(values, (5, 3), "Q of five observations, with three actions,")


@THREE.probe("it is no straight line", "Put a ReLU between each two linear layers.")
def _bends(answer: ModuleType) -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    for q in _nets(answer):
        if torch.allclose(q(x) + q(-x), 2 * q(0 * x), atol=1e-4):
            raise Wrong("the network is linear: without a ReLU between them, two layers are one")


@THREE.probe("two hidden layers, a ReLU after each", "In order: Scale, Linear, ReLU, Linear, ReLU, Linear.")
def _layers(answer: ModuleType) -> None:
    q = answer.make_q(4, 2)
    if not isinstance(q, torch.nn.Sequential):
        raise Wrong(f"`make_q` should return a torch.nn.Sequential; it returns {type(q).__name__}")
    linear = [isinstance(layer, torch.nn.Linear) for layer in q.modules() if not [*layer.children()]]
    if sum(linear) != 3:
        raise Wrong(
            f"the number of linear layers is {sum(linear)}; two hidden ones and the one that gives the Q "
            "values make three"
        )
    if any(one and next_one for one, next_one in zip(linear[:-1], linear[1:], strict=True)):
        raise Wrong("two of the linear layers follow each other with no ReLU between: these two are one")


@THREE.probe("Q can be below zero", "The last layer is linear: nothing comes after it.")
def _signs(answer: ModuleType) -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    if not any((q(x) < 0).any() for q in _nets(answer)):
        raise Wrong("the network never says anything below zero: does a ReLU follow the last layer?")


@THREE.probe("the small angle counts as well", "The first layer of the network is Scale().")
def _scaled(answer: ModuleType) -> None:
    moved = torch.zeros(4)
    for q in _nets(answer):
        x = torch.zeros(1, 4, requires_grad=True)
        q(x).sum().backward()
        moved += x.grad[0].abs()
    if moved[2] < 3 * moved[0]:
        raise Wrong("an angle of 0.1 moves Q no more than a position of 0.1: the numbers are not scaled")


@THREE.probe(
    "greedy takes the action with the larger Q", "argmax gives its place; int(...) makes it a number."
)
def _largest(answer: ModuleType) -> None:
    q = _Table([[1.0, 2.0], [5.0, -3.0], [0.0, 0.5], [-1.0, -2.0]])
    got = [_whole(answer.greedy(q, np.eye(4, dtype=np.float32)[k]), "an action") for k in range(4)]
    if got == [0, 1, 0, 1]:
        raise Wrong("`greedy` takes the action with the *smallest* Q value")
    if got != [1, 0, 1, 0]:
        raise Wrong(
            "for Q values of (1, 2), (5, -3), (0, 0.5) and (-1, -2) the greedy actions are 1, 0, 1, 0; "
            f"yours are {got}"
        )


# --------------------------------------------------------------------------------------------- 4: target

FOUR = _stage(4, "What it should have said", "Stage 4: the target", "td_target")
KNOWN = [[1.0, 3.0], [5.0, -3.0], [0.0, 0.5], [-1.0, -2.0]]
BEST = np.array([3.0, 5.0, 0.5, -1.0])
PAID = np.array([1.0, 0.0, 2.0, 1.0])


def _target(answer: ModuleType, *over: int) -> tuple[np.ndarray, torch.Tensor, float]:
    terminated = torch.tensor([k in over for k in range(4)])
    q, reward = _Table(KNOWN), torch.tensor(PAID, dtype=torch.float32)
    got = answer.td_target(q, reward, _units(0, 1, 2, 3), terminated)
    gamma = float(answer.td_target.__globals__.get("GAMMA", 0.99))
    return _numbers(got, (4,), "the targets of four transitions"), got, gamma


@FOUR.probe(
    "a reward, and what the next state is worth",
    "The best that the next state offers: the largest of its Q values, row by row (dim=1).",
)
def _reward_and_value(answer: ModuleType) -> None:
    got, _, gamma = _target(answer)
    mistakes = {
        "gamma is not used: a value one step later counts as much as one now": PAID + BEST,
        "the rewards are missing": gamma * BEST,
        "that is the mean over the actions, not the largest": PAID + gamma * np.mean(KNOWN, axis=1),
        "the rewards are discounted as well: only what comes later is": gamma * (PAID + BEST),
        "values count only where the episode ended: `terminated` is the wrong way round": PAID,
    }
    _compare(got, PAID + gamma * BEST, "four transitions that go on", mistakes)


@FOUR.probe(
    "after the end there is nothing",
    "Where `terminated` is True, the target is the reward alone. `~terminated` turns a flag round.",
)
def _nothing_after(answer: ModuleType) -> None:
    got, _, gamma = _target(answer, 1, 3)
    mistakes = {
        "a fallen pole still has a future: `terminated` is not looked at": PAID + gamma * BEST,
        "where the episode ends, the last reward is lost too": (PAID + gamma * BEST) * [1, 0, 1, 0],
    }
    _compare(got, PAID + gamma * BEST * [1, 0, 1, 0], "the second and the fourth transition ended", mistakes)


@FOUR.probe("no gradient flows into the target", "with torch.no_grad(): around all of it.")
def _still(answer: ModuleType) -> None:
    if _target(answer)[1].requires_grad:
        raise Wrong("the target carries a gradient: learning would move what it aims at towards itself")


# --------------------------------------------------------------------------------------------- 5: learning

FIVE = _stage(5, "Learn, from a target that stands still", "Stage 5: learn", "update", "catch_up")
HERE = [[1.0, 0.0], [0.0, 2.0], [3.0, 1.0], [0.0, 0.0]]


def _batch() -> list[torch.Tensor]:
    """Two transitions: from 0 with action 1 to 1, paid 1; from 2 with action 0 to 3, paid 1, terminated."""
    return [
        _units(0, 2),
        torch.tensor([1, 0]),
        torch.ones(2),
        _units(1, 3),
        torch.tensor([False, True]),
    ]


def _updated(answer: ModuleType, times: int = 1) -> tuple[Any, _Table, _Table]:
    q, target = _Table(HERE), _Table(KNOWN)
    optimizer = torch.optim.SGD(q.parameters(), lr=0.1)
    loss = 0.0
    for _ in range(times):
        loss = answer.update(q, target, optimizer, _batch())
    return loss, q, target


def _descended(times: int, keep: bool = False) -> np.ndarray:
    """The table after so many steps by hand; ``keep``: gradients pile up."""
    table, gradient = np.array(HERE), np.zeros((4, 2))
    for _ in range(times):
        gradient *= keep
        gradient[0, 1] += table[0, 1] - (1 + 0.99 * 5)  # 2 * error / 2 rows
        gradient[2, 0] += table[2, 0] - 1
        table = table - 0.1 * gradient
    return table


MEAN_SQUARE = "The loss of the page is ((said - wanted) ** 2).mean(), nothing before it and nothing else."


@FIVE.probe(
    "the loss is the mean squared distance from the targets",
    "q says Q of the actions that were *taken*: gather(1, action[:, None])[:, 0].",
    "The targets come from the network called target, by td_target; the loss is "
    "((said - wanted) ** 2).mean(), with two rows of one shape, (B,).",
)
def _loss(answer: ModuleType) -> None:
    loss = _updated(answer)[0]
    if not isinstance(loss, float):
        raise Wrong(
            f"`update` should return the loss as a float, by loss.item(); it returns {type(loss).__name__}"
        )
    mistakes = {
        "the target was made with q: it should come from the network that stands still": (2.98**2 + 4) / 2,
        "Q of the best action is compared, and not of the one that was taken": (4.95**2 + 4) / 2,
        ("this is the sum over the batch, not its mean", MEAN_SQUARE): 5.95**2 + 4,
        ("this is half of the mean square", MEAN_SQUARE): (5.95**2 + 4) / 4,
        ("the distances are not squared", MEAN_SQUARE): (5.95 + 2) / 2,
        "a column (B, 1) minus a row (B,) is a table (B, B), of each prediction with each target; take the "
        "column out of what `gather` gives, with [:, 0]": (5.95**2 + 1 + 2.95**2 + 4) / 4,
        "`gather(0, ...)` picks along the batch; the actions lie along dimension 1": 2.95**2 / 2,
        "`gather(0, ...)` picks along the batch, and the actions lie along dimension 1": (2.95**2 + 1) / 2,
        ("this is smooth_l1 (the Huber loss), which is not squared for large distances", MEAN_SQUARE): (
            (5.45 + 1.5) / 2
        ),
    }
    _compare(np.array(loss), (5.95**2 + 4) / 2, "the loss of two known transitions", mistakes)


@FIVE.probe(
    "each update is one step downhill",
    "Three lines, in this order: optimizer.zero_grad(), loss.backward(), optimizer.step().",
)
def _downhill(answer: ModuleType) -> None:
    for times in (1, 2):
        q = _updated(answer, times)[1].table.detach().numpy()
        mistakes = {
            "`q` has not moved: is there a loss.backward() and an optimizer.step()?": np.array(HERE),
            "the second step still carries the first one's gradient": _descended(times, keep=True),
        }
        _compare(q, _descended(times), f"the Q table after {times} step(s)", mistakes)


@FIVE.probe(
    "the target network is left alone",
    "Nothing in update may change target, nor leave a gradient in it: td_target has no_grad.",
)
def _alone(answer: ModuleType) -> None:
    target = _updated(answer)[2]
    if not np.allclose(target.table.detach().numpy(), KNOWN):
        raise Wrong("`update` moves the target network: that is for catch_up, once in a while")
    if target.table.grad is not None:
        raise Wrong("the gradient flows into the target network: the target has to be made without gradient")


@FIVE.probe(
    "when it catches up it is equal, and then stands still again",
    "target.load_state_dict(q.state_dict()) copies the numbers; `target = q` changes nothing outside.",
)
def _caught_up(answer: ModuleType) -> None:
    q, target = _Table(HERE), _Table(KNOWN)
    answer.catch_up(target, q)
    if np.allclose(q.table.detach().numpy(), KNOWN):
        raise Wrong("it is `q` that became a copy of target: the other way round")
    if not np.allclose(target.table.detach().numpy(), HERE):
        raise Wrong("after `catch_up(target, q)` the target network does not say what q says")
    with torch.no_grad():
        q.table += 1
    if not np.allclose(target.table.detach().numpy(), HERE):
        raise Wrong("`target` now moves whenever q does: the two share their weights")


# --------------------------------------------------------------------------------------------- 6: exploring

SIX = _stage(6, "Dare, less and less", "Stage 6: dare", "epsilon_at", "explore")


@SIX.probe(
    "epsilon falls from 1 to 0.02, in a straight line, and stays",
    "Which part of the way is done: step / (0.5 * steps). Then 1 - 0.98 of that, but at least 0.02.",
)
def _falls(answer: ModuleType) -> None:
    at = (0, 1_000, 2_000, 4_000)
    got = [answer.epsilon_at(step, 4_000) for step in at]
    mistakes = {
        "epsilon never falls": [1] * 4,
        "it falls over all of the steps; it should be down at half of them": [1, 0.755, 0.51, 0.02],
        "it goes on falling, below 0": [1, 0.51, 0.02, -0.96],
        "it falls to 0: a little curiosity should be left": [1, 0.5, 0, 0],
        "it rises instead of falling": [0.02, 0.51, 1, 1],
    }
    _compare(np.array(got, float), [1, 0.51, 0.02, 0.02], f"epsilon at {at} of 4000 steps", mistakes)


@SIX.probe(
    "with epsilon 0 it is greedy, with 1 it guesses, in between as often as epsilon says",
    "rng.random() < epsilon is True with probability epsilon.",
)
def _dares(answer: ModuleType) -> None:
    q = torch.nn.Sequential(torch.nn.Linear(4, 2))
    torch.nn.init.zeros_(q[0].weight)
    q[0].bias.data = torch.tensor([0.0, 1.0])  # action 1 is the better one, everywhere
    zeros, rng = np.zeros(4, np.float32), np.random.default_rng(0)

    def share(epsilon: float) -> float:
        return np.mean([_whole(answer.explore(q, zeros, epsilon, rng), "an action") for _ in range(600)])

    never, always, half = share(0.0), share(1.0), share(0.5)
    if abs(never - 0.5) < 0.1 and always == 1:
        raise Wrong("it is turned round: with epsilon 1 it is always greedy, with 0 it guesses")
    if never != 1:
        raise Wrong("with epsilon 0 it should always be greedy, and is not")
    if always == 0:
        raise Wrong("with epsilon 1 it always takes the same action: it should draw any of them")
    if abs(always - 0.5) > 0.1 or abs(half - 0.75) > 0.08:
        raise Wrong(
            f"with epsilon 1 and 0.5 the better action is taken in {always:.2f} and {half:.2f} of all cases; "
            "of two actions it should be about 0.50 and 0.75"
        )


@SIX.probe("chance comes from rng alone", "Use rng for both: to decide, and to draw the action.")
def _same_chance(answer: ModuleType) -> None:
    q, zeros = torch.nn.Sequential(torch.nn.Linear(4, 2)), np.zeros(4, np.float32)
    runs = []
    for _ in range(2):
        rng = np.random.default_rng(7)
        runs.append([answer.explore(q, zeros, 0.7, rng) for _ in range(60)])
    if runs[0] != runs[1]:
        raise Wrong("the same rng gives other actions: some chance comes from elsewhere")


@SIX.probe(
    "with three actions it draws any of the three",
    "How many there are, the last layer says: q[-1].out_features.",
)
def _any_action(answer: ModuleType) -> None:
    q = torch.nn.Sequential(torch.nn.Linear(4, 7), torch.nn.Linear(7, 3))
    rng = np.random.default_rng(0)
    drawn = {int(answer.explore(q, np.zeros(4, np.float32), 1.0, rng)) for _ in range(200)}
    if drawn != {0, 1, 2}:
        raise Wrong(f"of a network with three actions, always exploring draws {sorted(drawn)}")


# --------------------------------------------------------------------------------------------- 7: evaluation

SEVEN = _stage(7, "Judge it", "Stage 7: judge it", "evaluate")


def _reader(sign: float = 1.0) -> torch.nn.Module:
    """A network that reads the lights as they are (or, with -1, all wrong)."""
    q = torch.nn.Sequential(torch.nn.Linear(4, 2))
    q[0].weight.data = sign * torch.tensor([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]])
    torch.nn.init.zeros_(q[0].bias)
    return q


def _evaluated(
    answer: ModuleType, q: torch.nn.Module, seed: int = 0, episodes: int = 4
) -> tuple[np.ndarray, list]:
    before, space, epsilons = len(_Lights.made), getattr(answer.evaluate, "__globals__", {}), [0.0]
    real = space.get("explore")

    def explore(q, obs, epsilon, rng):
        epsilons.append(epsilon)
        return real(q, obs, epsilon, rng)

    with mock.patch.dict(space, {"explore": explore} if real else {}):
        got = answer.evaluate(q, "Lights-v0", episodes, seed)
    if not isinstance(got, np.ndarray) or got.shape != (episodes,):
        raise Wrong(f"`evaluate` should return an array with each episode's return, here ({episodes},)")
    if max(epsilons) > 0:
        raise Wrong(f"`evaluate` calls `explore` with epsilon {max(epsilons):g}: judge the network, greedily")
    return got, [first for env in _Lights.made[before:] for first in env.firsts]


@SEVEN.probe(
    "whole episodes, played greedily",
    "play(env, act, seed) plays one; which act is greedy? A lambda obs: ... can be handed over.",
)
def _greedily(answer: ModuleType) -> None:
    for sign, want in ((1, 20.0), (-1, 0.0)):
        got, _ = _evaluated(answer, _reader(sign))
        if sign == 1 and (got > 0).all() and (got <= 1).all():
            raise Wrong("these are rewards of a single step, not returns of whole episodes")
        if sign == 1 and np.allclose(got, 20 / 4):
            raise Wrong("the sum of each episode was divided by their number: return them one by one")
        if not (got == want).all():
            raise Wrong(
                f"greedy episodes would have returned {want:g} here; yours: {got}. Does it still explore?"
            )


@SEVEN.probe("each episode has a start of its own", "Give each episode its own seed: seed + i.")
def _own_start(answer: ModuleType) -> None:
    _, firsts = _evaluated(answer, _reader(), episodes=12)
    different = len({tuple(first) for first in firsts})
    if different == 1:
        raise Wrong("all episodes begin alike: the same seed was given to each")
    if different < 12:
        raise Wrong(f"of twelve episodes only {different} begin differently: some have the same seed")


@SEVEN.probe("the same seed gives the same judgement", "Hand the seed on to play.")
def _repeatable(answer: ModuleType) -> None:
    (_, first), (_, again), (_, other) = (_evaluated(answer, _reader(), seed) for seed in (5, 5, 905))
    if not np.array_equal(first, again):
        raise Wrong("evaluating twice with the same seed begins in other states: the seed is not used")
    if np.array_equal(first, other):
        raise Wrong("another seed changes nothing: the episodes have fixed seeds")
    if not np.array_equal(first, _evaluated(answer, _reader(-1), 5)[1]):
        raise Wrong(
            "two networks, judged with one seed, do not begin in the same states: only some episodes have "
            "a seed, and the others begin where the ones before left the environment's chance"
        )


# --------------------------------------------------------------------------------------------- 8: training

EIGHT = _stage(8, "Put it together", "Stage 8: put it together", "train")


class _Watch:
    """What a training did, seen from the functions of earlier stages that it calls."""

    def __init__(
        self,
        answer: ModuleType,
        steps: int = 2_048,
        judged: list[float] | None = None,
        updates: int = 32,
        world: str = "Lights-v0",
    ):
        for name in ("Replay", "collect", "td_target", "update", "explore", "evaluate"):
            if not hasattr(answer, name):
                raise Wrong(f"your file has no `{name}` any more, which an earlier stage wrote")
        space = answer.collect.__globals__  # where the functions of the file look for each other
        self.rows, self.epsilons, self.targets, self.judged = [], [], [], []
        self.batches, self.optimizers, self.astray = [], [], False
        self.batch = space.get("BATCH", 128)

        class Replay(space["Replay"]):
            def __init__(spy, *args, **named):
                super().__init__(*args, **named)
                self.replay = spy

            def add(spy, obs, action, reward, next_obs, terminated):
                self.rows.append((obs.copy(), next_obs.copy(), bool(terminated)))
                super().add(obs, action, reward, next_obs, terminated)

        def explore(q, obs, epsilon, rng):
            self.epsilons.append(epsilon)
            return real["explore"](q, obs, epsilon, rng)

        def update(q, target, optimizer, batch):
            self.batches.append(len(batch[1]))
            if not any(optimizer is known for known in self.optimizers):
                self.optimizers.append(optimizer)
            moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
            self.astray |= moved.isdisjoint(id(p) for p in q.parameters())
            return real["update"](q, target, optimizer, batch)

        def td_target(q, reward, next_obs, terminated):
            weights = np.concatenate([p.detach().numpy().ravel() for p in q.parameters()])
            self.targets.append(float(np.abs(weights).sum()))
            return real["td_target"](q, reward, next_obs, terminated)

        def evaluate(q, env_id, episodes, seed):
            self.judged.append(copy.deepcopy(q.state_dict()))
            if judged is None:
                return real["evaluate"](q, env_id, episodes, seed)
            return np.full(episodes, judged[min(len(self.judged), len(judged)) - 1])

        spies = {"Replay": Replay, "explore": explore, "update": update, "td_target": td_target}
        spies["evaluate"] = evaluate
        real = {name: space[name] for name in spies}
        shorter = {"UPDATES": updates} if "UPDATES" in space else {}  # so that checking takes seconds
        with mock.patch.dict(space, spies | shorter):
            got = answer.train(world, steps, 3)
        if not isinstance(got, tuple) or len(got) != 2 or not isinstance(got[0], torch.nn.Module):
            raise Wrong("`train` should return two things: the best network, and the list of judgements")
        self.best, self.scores = got


def _watched(answer: ModuleType) -> _Watch:
    """One training, for all probes that only look."""
    if not hasattr(answer, "_watch"):
        answer._watch = _Watch(answer)
    return answer._watch


@EIGHT.probe(
    "as many steps as were asked for, all in the buffer",
    "Each round of collect adds ROUND transitions; go on while replay.added < steps.",
)
def _all_steps(answer: ModuleType) -> None:
    watch = _watched(answer)
    if len(watch.rows) != 2_048:
        raise Wrong(f"of 2048 steps, {len(watch.rows)} transitions reached the buffer")


@EIGHT.probe(
    "the first steps are still in the buffer at the end", "Replay(steps, len(obs)) has room for all."
)
def _remembers(answer: ModuleType) -> None:
    watch, found = _watched(answer), set()
    rng = np.random.default_rng(0)
    for _ in range(40):
        found |= {row.tobytes() for row in watch.replay.sample(128, rng)[0].numpy()}
    if not any(np.asarray(obs, np.float32).tobytes() in found for obs, _, _ in watch.rows[:100]):
        raise Wrong("what came first is no longer in the buffer: it has room for fewer than all the steps")


@EIGHT.probe(
    "the transitions are a chain",
    "Print obs and next_obs of a few rows in a row. Where does the chain break?",
    "Within collect `obs = next_obs` moves on; from one call of collect to the next, what it returns does.",
)
def _chained(answer: ModuleType) -> None:
    rows = _watched(answer).rows
    broken = sum(
        not (
            over or next_obs[3] == 1 or np.array_equal(next_obs, obs)
        )  # the episode went on, the chain did not
        for (_, next_obs, over), (obs, _, _) in zip(rows[:-1], rows[1:], strict=True)
    )
    if broken > 100:
        raise Wrong(FORGOTTEN)
    if broken:
        raise Wrong(f"the chain of transitions breaks {broken} times: is what collect returns thrown away?")


@EIGHT.probe(
    "epsilon falls while it plays", "epsilon_at(replay.added, steps): the steps so far, and all of them."
)
def _dares_less(answer: ModuleType) -> None:
    epsilons = _watched(answer).epsilons
    if not epsilons:
        raise Wrong("`train` never calls `explore`: who chooses the actions while it learns?")
    if epsilons[0] < 0.9:
        raise Wrong(f"it begins with epsilon {epsilons[0]:.2f}; at first everything should be tried")
    if epsilons[-1] > 0.1:
        raise Wrong(f"at the end epsilon is still {epsilons[-1]:.2f}")


@EIGHT.probe(
    "the target network stands still, and catches up now and then",
    "It begins as copy.deepcopy(q), and catch_up(target, q) comes after each burst.",
)
def _now_and_then(answer: ModuleType) -> None:
    targets = _watched(answer).targets
    moves = int(np.count_nonzero(np.diff(targets)))
    if len(targets) < 200:
        raise Wrong(f"in 2048 steps there were {len(targets)} updates; a burst follows each round of play")
    if _watched(answer).astray:
        raise Wrong("the optimizer moves another network than `q`: was it made with `q.parameters()`?")
    if moves == 0:
        raise Wrong("the target network never catches up: it says for ever what it said untaught")
    if moves > len(targets) / 4:
        raise Wrong("the target network moves with almost every update: is it q itself, or copied too often?")


@EIGHT.probe(
    "each gradient step learns from a whole batch, and one optimizer makes them all",
    "replay.sample(BATCH, rng), and the optimizer is made once, before the loop: Adam remembers its steps.",
)
def _whole_batches(answer: ModuleType) -> None:
    watch = _watched(answer)
    if watch.batches and min(watch.batches) < watch.batch / 2:
        raise Wrong(f"a gradient step learns from {min(watch.batches)} transitions; BATCH is {watch.batch}")
    if len(watch.optimizers) > 1:
        raise Wrong(
            f"there were {len(watch.optimizers)} optimizers: each new Adam has forgotten how large the "
            "gradients were"
        )


@EIGHT.probe(
    "the best network on the way is the one that is returned",
    "Keep a copy in `best`, and copy q into it whenever it is judged at least as good as ever before.",
)
def _keeps_best(answer: ModuleType) -> None:
    watch = _Watch(answer, judged=[9.0, 1.0], updates=2)
    if len(watch.judged) < 2:
        raise Wrong("`train` hardly judges: in 2048 steps there should be an evaluation every JUDGE steps")
    best = watch.best.state_dict()
    like = [all(torch.equal(best[k], kept[k]) for k in best) for kept in watch.judged]
    if like[-1] and not like[0]:
        raise Wrong("the network returned is the last one judged, though an earlier one was judged better")
    if not like[0]:
        raise Wrong("the network returned is none of those that were judged best")
    if len(watch.scores) != len(watch.judged) or watch.scores[0][1] != 9.0:
        raise Wrong(
            f"the judgements should be (step, mean return) pairs, all of them; they are {watch.scores}"
        )


@EIGHT.probe(
    "it learns which button the light means", "All parts are right by now: in which order are they called?"
)
def _learns(answer: ModuleType) -> None:
    score = finished.evaluate(_watched(answer).best, "Lights-v0", 20, seed=900).mean()
    if score < 15:
        raise Wrong(
            f"after 2048 steps in a world of two lights and two buttons it gets {score:.1f} of 20, "
            "where guessing gets 1"
        )


@EIGHT.probe(
    "the same seed gives the same training", "Three sources of chance: torch.manual_seed, rng, env.reset."
)
def _same_again(answer: ModuleType) -> None:
    first, again = (_Watch(answer, 1_024, judged=[1.0], updates=2) for _ in range(2))

    def alike(rows: int) -> bool:
        pairs = zip(first.rows[:rows], again.rows[:rows], strict=True)
        return all(np.array_equal(a[0], b[0]) for a, b in pairs)

    if first.targets[0] != again.targets[0]:
        raise Wrong("with the same seed the network begins with other weights: is torch.manual_seed called?")
    if not alike(100):
        raise Wrong("training twice with the same seed plays other games: some chance has no seed")
    ends = [watch.judged[-1].values() for watch in (first, again)]
    if not alike(1_024) or not all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*ends, strict=True)):
        raise Wrong(
            "training twice with the same seed begins alike and then learns something else: are the batches "
            "drawn with `rng`?"
        )


@EIGHT.probe(
    "how many actions there are it reads from the environment",
    "env.action_space.n is their number, len(obs) that of the numbers in an observation.",
)
def _reads_sizes(answer: ModuleType) -> None:
    best = _Watch(answer, steps=512, judged=[1.0], updates=1, world="Buttons-v0").best
    values = best(torch.zeros(1, 4)).shape[-1]
    if values != 3:
        raise Wrong(f"in a world with three actions the network has {values} Q values")
