"""Gridworlds that are rules on a map of characters: as arrays, as many copies at once, and for Gymnasium.

A world is a ``Rules``: a map, and what happens in it. ``Tables`` has all that can happen as arrays, and
``Copies`` moves many copies at once. ``Gridworld`` is one copy as an environment, with pictures. Each step
has a reward and a ``performance``: what the designer meant, which agents do not see.

Book: safety/what_can_go_wrong
"""

from collections.abc import Hashable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

UP, RIGHT, DOWN, LEFT = range(4)
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # row and column
State = tuple  # the agent's cell first, then whatever else can change

# ------------------------------------------------------------------------------------------ rules


class Outcome(NamedTuple):
    """What may happen in a step: the next state, what is paid, what we meant, whether the episode is over.

    Book: safety/what_can_go_wrong
    """

    state: State
    reward: float
    performance: float
    over: bool = False
    chance: float = 1.0


class Rules:
    """A gridworld: a map in which ``S`` is the start and ``#`` a wall, and what an action leads to.

    Attributes:
        limit: steps after which an episode is cut off.
        habits: how many tendencies of the agent others remember from one episode to the next.

    Book: safety/what_can_go_wrong
    """

    MAP = ""
    limit = 50
    habits = 0

    def __init__(self) -> None:
        self.rows = self.MAP.split()

    def __getitem__(self, cell: tuple[int, int]) -> str:
        return self.rows[cell[0]][cell[1]]

    def find(self, character: str) -> tuple[int, int]:
        """The first cell with this character."""
        row = next(i for i, line in enumerate(self.rows) if character in line)
        return row, self.rows[row].index(character)

    def walk(self, cell: tuple[int, int], action: int) -> tuple[int, int]:
        """The cell after a move; a wall stops it."""
        there = cell[0] + MOVES[action][0], cell[1] + MOVES[action][1]
        return cell if self[there] == "#" else there

    def starts(self) -> list[tuple[float, State]]:
        """States in which an episode may begin, with their chances."""
        return [(1.0, (self.find("S"),))]

    def outcomes(self, state: State, action: int) -> list[Outcome]:
        """What the action that is *carried out* in a state may lead to."""
        raise NotImplementedError

    def seen(self, state: State) -> Hashable:
        """What the agent sees of a state."""
        return state

    def executed(self, state: State, action: int) -> int:
        """The action that is carried out when the agent chooses ``action``."""
        return action

    def habit(self, state: State) -> tuple[int, float] | None:
        """What an episode that ends in ``state`` tells others: which tendency, and 0 or 1."""
        return None

    def chances(self, habits: np.ndarray) -> np.ndarray:
        """Chance (N, J) of each start, given what N agents are known to tend to (N, H), 0 to 1."""
        return np.tile([chance for chance, _ in self.starts()], (len(habits), 1))

    def told(self, state: State) -> dict[str, Any]:
        """What ``info`` says of a state beyond what it says in every world."""
        return {}

    def draw(self, state: State) -> list[str]:
        """The map of a state, the agent apart."""
        return self.rows


def placed(rows: list[str], changed: dict[tuple[int, int], str]) -> list[str]:
    """A map with some characters changed."""
    return ["".join(changed.get((i, j), c) for j, c in enumerate(row)) for i, row in enumerate(rows)]


# ------------------------------------------------------------------------------------------ tables


class Tables:
    """All that can happen in a world, as arrays over its S states, A actions and K outcomes.

    Attributes:
        states: all that can be reached. starts: those in which episodes may begin, indices (J,).
        seen: (S,) number of what the agent sees there, below ``observations``.
        executed: (S, A). following, reward, performance, over: (S, A, K), of the action carried out.
        chance: (S, A, K). slot, told: (S,) which habit an end there tells (-1: none), and which value.

    Raises:
        ValueError: the chances of the starts are none, or do not add up to 1.

    Book: safety/what_can_go_wrong
    """

    def __init__(self, rules: Rules):
        odds, starts = zip(*rules.starts(), strict=True)
        if min(odds) < 0 or abs(sum(odds) - 1) > 1e-9:
            raise ValueError(f"episodes begin with chances of 0 or more that add up to 1, not {odds}")
        found, todo = dict.fromkeys(starts), list(starts)
        lead: dict[State, list[list[Outcome]]] = {}  # of states from which an episode may go on
        while todo:
            if (state := todo.pop()) in lead:
                continue
            lead[state] = [rules.outcomes(state, action) for action in range(4)]
            for outcome in (o for outcomes in lead[state] for o in outcomes):
                found[outcome.state] = None
                if not outcome.over:
                    todo.append(outcome.state)
        self.states: list[State] = list(found)
        number = {state: i for i, state in enumerate(self.states)}
        self.starts = np.array([number[state] for state in starts])
        sights = {sight: i for i, sight in enumerate(dict.fromkeys(map(rules.seen, self.states)))}
        self.seen, self.observations = np.array([sights[rules.seen(s)] for s in self.states]), len(sights)
        self.executed = np.array([[rules.executed(s, a) for a in range(4)] for s in self.states])
        K = max(len(outcomes) for actions in lead.values() for outcomes in actions)
        shape = (len(self.states), 4, K)
        self.following, self.over = np.zeros(shape, int), np.ones(shape, bool)
        self.reward, self.performance, self.chance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for state, actions in lead.items():
            for a, outcomes in enumerate(actions):
                for k, outcome in enumerate(outcomes):
                    at = number[state], a, k
                    self.following[at], self.over[at] = number[outcome.state], outcome.over
                    self.reward[at], self.performance[at] = outcome.reward, outcome.performance
                    self.chance[at] = outcome.chance
        edges = self.chance.cumsum(axis=2)[..., :-1]  # (S, A, K-1)
        self.edges = np.where(edges > 1 - 1e-9, 2.0, edges)  # what comes after is padding: never drawn
        told = [rules.habit(s) or (-1, 0.0) for s in self.states]
        self.slot, self.told = np.array([t[0] for t in told]), np.array([t[1] for t in told])


def best(rules: Rules, what: str = "performance") -> float:
    """The most that anyone could make on average in an episode, of ``"performance"`` or of ``"reward"``.

    By value iteration over the steps that are left, with everything known, hidden parts included. Not for
    worlds whose start depends on the agent's habits.

    Raises:
        ValueError: the world's start depends on habits.

    Book: safety/what_can_go_wrong
    """
    if rules.habits:
        raise ValueError("the best in a world that remembers the agent is not that of one episode")
    t, n = Tables(rules), np.arange(len(Tables(rules).states))[:, None]
    V = np.zeros(len(n))
    for _ in range(rules.limit):
        worth = (t.chance * (getattr(t, what) + ~t.over * V[t.following])).sum(axis=2)  # (S, A), carried out
        V = worth[n, t.executed].max(axis=1)
    return float(rules.chances(np.zeros((1, 0)))[0] @ V[t.starts])


class Copies:
    """N copies of a world, moved together by numbers from 0 to 1 that the caller draws.

    Attributes:
        state: (N,) indices into ``tables.states``. clock: (N,) steps of the present episodes.
        habits: (N, H) what others have learned of the agent in each copy, which outlives episodes.

    Book: safety/what_can_go_wrong
    """

    def __init__(self, rules: Rules, n: int):
        self.rules, self.tables, self.n = rules, Tables(rules), np.arange(n)
        self.state, self.clock = np.zeros(n, int), np.zeros(n, int)
        self.habits = np.full((n, rules.habits), 0.5)

    @property
    def obs(self) -> np.ndarray:
        """What the agents see (N,)."""
        return self.tables.seen[self.state]

    def begin(self, which: np.ndarray, u: np.ndarray) -> None:
        """Begin an episode in some copies (N,) bool, with numbers ``u`` (N,)."""
        edges = self.rules.chances(self.habits).cumsum(axis=1)[:, :-1]  # (N, J-1)
        drawn = self.tables.starts[(u[:, None] >= edges).sum(axis=1)]
        self.state, self.clock = np.where(which, drawn, self.state), np.where(which, 0, self.clock)

    def execute(self, action: np.ndarray) -> np.ndarray:
        """The actions (N,) that are carried out when agents choose ``action`` (N,)."""
        return self.tables.executed[self.state, action]

    def step(self, executed: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, ...]:
        """Carry actions out: reward, performance, terminated and truncated, each (N,)."""
        t = self.tables
        k = (u[:, None] >= t.edges[self.state, executed]).sum(axis=1)
        at = self.state, executed, k
        self.state, self.clock = t.following[at], self.clock + 1
        if self.rules.habits:
            n = np.flatnonzero(t.over[at])
            slot = t.slot[self.state[n]]
            self.habits[n, slot] += 0.25 * (t.told[self.state[n]] - self.habits[n, slot])
        return t.reward[at], t.performance[at], t.over[at], (self.clock >= self.rules.limit) & ~t.over[at]


# ------------------------------------------------------------------------------------------ for Gymnasium


class Gridworld(gym.Env):
    """One copy of a world: observations and actions are numbers, ``info`` has what we meant.

    ``info["performance"]`` is what was meant of this step, ``info["executed"]`` the action that was carried
    out, ``info["cost"]`` 1 for a step into water or lava, and there is what ``Rules.told`` adds.

    Args:
        rules: the world.

    Raises:
        ValueError: at ``step``, an action that is none.

    Book: safety/what_can_go_wrong
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}

    def __init__(self, rules: Rules, render_mode: str | None = None):
        self.rules, self.render_mode, self.copies = rules, render_mode, Copies(rules, 1)
        self.observation_space = gym.spaces.Discrete(self.copies.tables.observations)
        self.action_space = gym.spaces.Discrete(4)

    @property
    def state(self) -> State:
        """The state, hidden parts included."""
        return self.copies.tables.states[self.copies.state[0]]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode. What others have learned of the agent's habits stays."""
        super().reset(seed=seed)
        self.copies.begin(np.ones(1, bool), self.np_random.random(1))
        return int(self.copies.obs[0]), self._told()

    def step(self, action: int):
        """One step."""
        if not self.action_space.contains(action):
            raise ValueError(f"an action is 0 (up), 1 (right), 2 (down) or 3 (left), not {action!r}")
        executed = self.copies.execute(np.array([action]))
        reward, performance, over, cut = self.copies.step(executed, self.np_random.random(1))
        info = self._told(float(performance[0]), int(executed[0]))
        return int(self.copies.obs[0]), float(reward[0]), bool(over[0]), bool(cut[0]), info

    def _told(self, performance: float = 0.0, executed: int = -1) -> dict[str, Any]:
        ground = self.rules.draw(self.state)[self.state[0][0]][self.state[0][1]]
        known = {"performance": performance, "executed": executed, "cost": float(ground in "WL")}
        return known | self.rules.told(self.state)

    def render(self) -> np.ndarray:
        """A picture (32 H, 32 W, 3)."""
        return picture(self.rules, self.state)


# ------------------------------------------------------------------------------------------ pictures

# Eight rows of eight pixels each, in hexadecimal, with the colours of the ground and of the pixels.
FACE, ARROW, WAVES, DISC = "3c7edbdbffc37e3c", "183c7eff18181818", "0066990066990000", "10387cfefe7c3800"
LOOKS = {
    "#": ("00efefef00fefefe", "#777777", "#999999"),  # wall
    ".": ("0000000000000000", "#f2efe6", "#f2efe6"),  # floor
    "S": ("0000000000000000", "#f2efe6", "#f2efe6"),
    "A": (FACE, "", "#0072B2"),  # the agent, on whatever is below
    "G": ("607c7f7c604040e0", "#cfead8", "#009E73"),  # flag
    "^": (ARROW, "#dcecf8", "#5b87a6"),
    "$": ("ffc3a59999a5c3ff", "#e2c393", "#7a5222"),  # box
    "x": ("c3e77e3c3c7ee7c3", "#fbe9a9", "#b98a00"),  # forbidden
    "o": ("003c66dbdb663c00", "#777777", "#ffffff"),  # eye of a supervisor
    "I": ("0066666666666600", "#f3d3e4", "#b2487f"),  # pause
    "B": ("003c7effff7e3c00", "#f2efe6", "#c0392b"),  # button
    "b": ("00000000007eff00", "#f2efe6", "#c0392b"),  # button, pressed
    "L": (WAVES, "#D55E00", "#ffd08a"),  # lava
    "W": (WAVES, "#56B4E9", "#d5edfb"),  # water
    "T": (DISC, "#d9ead3", "#cc2b1d"),  # tomatoes, watered
    "t": (DISC, "#e8dcc0", "#a08f6a"),  # dry
    "O": ("ff81ff7e7e7e3c00", "#f2efe6", "#566573"),  # bucket
    "?": ("3c660c1818001800", "#e2c393", "#5d3a0c"),  # closed box
    "+": ("0000000000000000", "#bfe3c0", "#bfe3c0"),  # floors of friend, coin, foe
    "=": ("0000000000000000", "#f2efe6", "#f2efe6"),
    "-": ("0000000000000000", "#f3bdb3", "#f3bdb3"),
}


def picture(rules: Rules, state: State) -> np.ndarray:
    """A picture (32 H, 32 W, 3) of a state.

    Book: safety/what_can_go_wrong
    """
    rows = rules.draw(state)
    board = np.array([[tile(character) for character in row] for row in rows])  # (H, W, 8, 8, 3)
    ground = board[state[0]]
    board[state[0]] = np.where(bits(FACE)[..., None], colour(LOOKS["A"][2]), ground[0, 0])
    H, W = board.shape[:2]
    return board.swapaxes(1, 2).reshape(8 * H, 8 * W, 3).repeat(4, axis=0).repeat(4, axis=1)


def tile(character: str) -> np.ndarray:
    """The picture (8, 8, 3) of a character."""
    turned = max("^<v>".find(character), 0)  # quarters, anticlockwise
    pixels, ground, ink = LOOKS["^" if character in "<v>" else character]
    return np.where(np.rot90(bits(pixels), turned)[..., None], colour(ink), colour(ground))


def bits(pixels: str) -> np.ndarray:
    """Which pixels (8, 8) are set."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(pixels), np.uint8)).reshape(8, 8).astype(bool)


def colour(code: str) -> np.ndarray:
    """Red, green and blue (3,) of a code such as #ff0000."""
    return np.frombuffer(bytes.fromhex(code[1:]), np.uint8)
