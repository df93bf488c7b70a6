"""Two small games in pixels: all copies of a game are stepped together, by arithmetic on arrays.

``Breakout-v0`` and ``Catch-v0`` show channels, one for each kind of thing, in which one picture tells all
there is to know. ``BreakoutPicture-v0`` and ``CatchPicture-v0`` are the same games as one plain grey picture,
which hides where the ball is going. ``BreakoutCamera-v0`` is the game as a colour camera sees it.
``BreakoutStack2-v0`` shows its last 2 pictures, ``BreakoutFilm2-v0`` the last 2 that the camera took, small
and grey; there are stacks and films of 1, 2 and 4, of Catch as well.

The board of 10 x 10 cells, the channels and Breakout's wall are in the manner of MinAtar (Young & Tian,
*MinAtar: an Atari-inspired testbed*, 2019), with rules of our own where the docstrings say so.

Book: algorithms/pixels
"""

import functools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from rlworkshop.envs import wrappers

SIZE = 10  # cells a side
CELL, SCORE_ROWS = 4, 4  # the camera's pixels for each side of a cell; its rows above the board
GREY = {"paddle": 170, "ball": 255, "brick": 85}
COLOUR = {
    "paddle": ((90, 160, 230),),
    "ball": ((250, 240, 210),),
    "brick": ((214, 90, 80), (222, 150, 60), (110, 170, 90)),  # from the top row down
}
LEFT_OR_RIGHT = np.array([0, -1, 1])  # what the actions do to the paddle: stay, left, right

View = Callable[["Game"], np.ndarray]


def channels(game: "Game") -> np.ndarray:
    """One channel for each kind of thing (N, C, 10, 10), 1 where it is: the whole state of the game.

    Book: algorithms/pixels
    """
    things = {**game.things(), "trail": game.cells(*(game.ball - game.velocity).clip(0, SIZE - 1).T)}
    return np.stack([things[name] for name in game.channel_names], axis=1).astype(np.uint8)


def picture(game: "Game") -> np.ndarray:
    """A grey picture (N, 1, 10, 10), 0 to 255, without trail: nothing in it says where the ball is going.

    Book: algorithms/pixels
    """
    shown = np.zeros((game.num_envs, SIZE, SIZE), np.uint8)
    for name, there in game.things().items():
        shown[there] = GREY[name]
    return shown[:, None]


def camera(game: "Game") -> np.ndarray:
    """A colour picture (N, 44, 40, 3), 0 to 255: a bar with the score, and the board in 4 x 4 pixels a cell.

    Book: algorithms/pixels
    """
    cells = np.zeros((game.num_envs, SIZE, SIZE, 3), np.uint8)
    for name, there in game.things().items():
        n, row, column = np.nonzero(there)
        colours = np.array(COLOUR[name], np.uint8)
        cells[n, row, column] = colours[(row - 1) % len(colours)]
    board = cells.repeat(CELL, axis=1).repeat(CELL, axis=2)  # (N, 40, 40, 3)
    points = np.arange(SIZE * CELL) < (game.score % (SIZE * CELL))[:, None]  # (N, 40)
    bar = np.where(points[:, None, :, None], np.uint8(255), np.uint8(60))  # (N, 1, 40, 1)
    bar = np.broadcast_to(bar, (game.num_envs, SCORE_ROWS, SIZE * CELL, 3))
    return np.concatenate([bar, board], axis=1)


def bounce(column: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where balls are after a step of ``right`` (N,) columns, which side walls turn round in place: (N,).

    Book: algorithms/pixels
    """
    column = column + right
    out = (column < 0) | (column >= SIZE)
    right[out] *= -1
    # the wall is a mirror at the outer edge of the outermost cell: -1 becomes 0, and 10 becomes 9
    return np.where(column < 0, -1 - column, np.where(column >= SIZE, 2 * SIZE - 1 - column, column))


class Game(VectorEnv):
    """N games of one kind, stepped together under NEXT_STEP. A kind defines ``begin``, ``play``, ``things``.

    Attributes:
        ball, velocity: (N, 2) row and column; cells, and cells a step.
        paddle: (N,) the column of its middle, in the lowest row.
        score: (N,) sum of the rewards of this episode. steps: (N,) its length so far.

    Args:
        num_envs: N. view: what an observation shows, a function of the game like ``channels``.
        max_episode_steps: steps after which an episode is truncated.
        render_mode: ``"rgb_array"`` or None.

    Raises:
        ValueError: fewer than one game or step; at ``step``, actions that are not one of 0, 1, 2 for each.

    Book: algorithms/pixels
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10, "autoreset_mode": AutoresetMode.NEXT_STEP}
    channel_names = ("paddle", "ball", "trail")
    limit = 500  # steps
    reach = 0  # cells of the paddle to either side of its middle

    def __init__(
        self,
        num_envs: int = 1,
        view: View = channels,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ):
        self.max_episode_steps = self.limit if max_episode_steps is None else max_episode_steps
        if min(num_envs, self.max_episode_steps) < 1:
            raise ValueError("a game needs at least one copy and one step")
        self.num_envs, self.view, self.render_mode = num_envs, view, render_mode
        whole = {"ball": (num_envs, 2), "velocity": (num_envs, 2), "paddle": num_envs, "steps": num_envs}
        self._arrays = {name: np.zeros(shape, np.int64) for name, shape in whole.items()}
        self._arrays["score"] = np.zeros(num_envs)
        self._arrays["over"] = np.zeros(num_envs, bool)
        self._arrays.update(self.more_arrays())
        vars(self).update(self._arrays)
        shown = view(self)
        top = 1 if view is channels else 255
        self.single_observation_space = gym.spaces.Box(0, top, shown.shape[1:], np.uint8)
        self.single_action_space = gym.spaces.Discrete(len(LEFT_OR_RIGHT))
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)

    # -------------------------------------------------------------------- what a kind of game defines

    def more_arrays(self) -> dict[str, np.ndarray]:
        """Further arrays of the state, by name."""
        return {}

    def begin(self, rows: np.ndarray) -> None:
        """Begin new episodes in the games ``rows``, an index array."""
        raise NotImplementedError

    def play(self, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step of all balls, after the paddles have ``moved`` (N,): reward and terminated (N,)."""
        raise NotImplementedError

    def things(self) -> dict[str, np.ndarray]:
        """Where each kind of thing is: (N, 10, 10) bool by name; what comes later hides what came before."""
        paddle = np.zeros((self.num_envs, SIZE, SIZE), bool)
        paddle[:, SIZE - 1] = np.abs(np.arange(SIZE) - self.paddle[:, None]) <= self.reach
        return {"paddle": paddle, "ball": self.cells(*self.ball.T)}

    # -------------------------------------------------------------------- the same for all

    def cells(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """One cell in each game as a board (N, 10, 10) bool."""
        board = np.zeros((self.num_envs, SIZE, SIZE), bool)
        board[np.arange(self.num_envs), row, column] = True
        return board

    def caught(self, column: np.ndarray) -> np.ndarray:
        """Whether the paddles stand where balls land (N,), bool."""
        return np.abs(column - self.paddle) <= self.reach

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode in every game: the observations (N, ...), and nothing else to tell."""
        super().reset(seed=seed)
        self._begin(np.arange(self.num_envs))
        return self.view(self), {}

    def _begin(self, rows: np.ndarray) -> None:
        self.steps[rows], self.score[rows], self.over[rows] = 0, 0, False
        self.begin(rows)

    def step(self, action: np.ndarray):
        """One step of every game; those that have ended begin anew, with reward 0, whatever the action."""
        action = np.asarray(action)
        whole = action.shape == (self.num_envs,) and action.dtype.kind in "iu"
        if not whole or not np.isin(action, (0, 1, 2)).all():
            raise ValueError(f"actions are {self.num_envs} of 0 (stay), 1 (left), 2 (right), not {action!r}")
        ended = np.flatnonzero(self.over)  # these only begin anew: what is computed for them is thrown away
        before = self.paddle.copy()
        self.paddle[:] = (before + LEFT_OR_RIGHT[action]).clip(0, SIZE - 1)
        reward, terminated = self.play(self.paddle - before)
        self.steps += 1
        self.score += reward
        truncated = (self.steps >= self.max_episode_steps) & ~terminated
        if len(ended):
            reward[ended], terminated[ended], truncated[ended] = 0, False, False
            self._begin(ended)
        self.over[:] = terminated | truncated
        return self.view(self), reward, terminated, truncated, {}

    def render(self) -> tuple[np.ndarray, ...]:
        """A frame (352, 320, 3) of each game, as the camera sees it."""
        return tuple(camera(self).repeat(8, axis=1).repeat(8, axis=2))

    def get_state(self) -> dict[str, Any]:
        """All that decides how the games go on, as a tree of arrays."""
        arrays = {name: array.copy() for name, array in self._arrays.items()}
        return {"rng": self.np_random.bit_generator.state, "arrays": arrays}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave.

        Raises:
            ValueError: it is the state of another number of games.
        """
        n = len(state["arrays"]["paddle"])
        if n != self.num_envs:
            raise ValueError(f"a state of {n} games does not fit {self.num_envs}")
        for name, array in self._arrays.items():
            array[...] = state["arrays"][name]
        self.np_random.bit_generator.state = state["rng"]


class Breakout(Game):
    """A ball, a paddle, a wall of three rows of bricks: a brick pays 1, and a missed ball ends the episode.

    The ball moves one cell diagonally a step and is thrown back by walls, ceiling, bricks and paddle. A brick
    that throws it back is gone; once the wall is gone, the paddle's next catch puts up a new one.
    A caught ball leaves in the direction in which the paddle was moving, if it was.
    Unlike MinAtar's: the ball starts below the wall, in any column and either direction; the paddle must
    stand where the ball lands; the trail is the cell behind the ball; no action is ever repeated by chance.

    Book: algorithms/pixels
    """

    channel_names = ("paddle", "ball", "trail", "brick")
    wall = slice(1, 4)  # the rows of bricks

    def more_arrays(self):
        """The wall."""
        return {"bricks": np.zeros((self.num_envs, SIZE, SIZE), bool)}

    def begin(self, rows):
        """A whole wall, and a ball below it."""
        n = len(rows)
        self.ball[rows] = np.stack([np.full(n, 4), self.np_random.integers(SIZE, size=n)], axis=1)
        self.velocity[rows] = np.stack([np.ones(n, int), 2 * self.np_random.integers(2, size=n) - 1], axis=1)
        self.paddle[rows] = SIZE // 2
        self.bricks[rows] = False
        self.bricks[rows, self.wall] = True

    def play(self, moved):
        """The ball flies on, or is thrown back."""
        each = np.arange(self.num_envs)
        down, right = self.velocity.T  # views: what is written to them is written to the velocity
        column = bounce(self.ball[:, 1], right)
        row = self.ball[:, 0] + down
        hit = self.bricks[each, row % SIZE, column]  # rows 0 and 9 have none: 10 and -1 are safe
        self.bricks[each[hit], row[hit], column[hit]] = False
        low = row == SIZE - 1
        caught = low & self.caught(column)
        right[:] = np.where(caught & (moved != 0), moved, right)
        back = hit | caught | (row < 0)  # thrown back: it stays in its row for this step
        row = np.where(back, self.ball[:, 0], row)
        down[back] *= -1
        self.ball[:] = np.stack([row, column], axis=1)
        self.bricks[caught & ~self.bricks.any(axis=(1, 2)), self.wall] = True
        return hit.astype(float), low & ~caught

    def things(self):
        """The wall as well; the paddle and the ball hide it."""
        return {"brick": self.bricks, **super().things()}


class Catch(Game):
    """A ball falls slantwise, from wall to wall; where it lands, the paddle should be: 1 if it is, -1 if not.

    It begins in the highest row, in any column, and moves one cell down and two to a side a step; the paddle,
    three cells wide and half as quick, begins in the middle. The episode ends when the ball lands, nine
    steps later.

    Book: algorithms/pixels
    """

    limit = 50
    reach = 1

    def begin(self, rows):
        """A ball in the highest row."""
        n = len(rows)
        self.ball[rows] = np.stack([np.zeros(n, int), self.np_random.integers(SIZE, size=n)], axis=1)
        self.velocity[rows] = np.stack([np.ones(n, int), 4 * self.np_random.integers(2, size=n) - 2], axis=1)
        self.paddle[rows] = SIZE // 2

    def play(self, moved):
        """The ball falls on."""
        self.ball[:, 0] = (self.ball[:, 0] + 1).clip(0, SIZE - 1)
        self.ball[:, 1] = bounce(self.ball[:, 1], self.velocity[:, 1])
        landed = self.ball[:, 0] == SIZE - 1
        return landed * np.where(self.caught(self.ball[:, 1]), 1.0, -1.0), landed


def preprocess(frames: np.ndarray) -> np.ndarray:
    """The camera's frames (N, 44, 40, 3) as one small grey channel (N, 1, 10, 10).

    Book: algorithms/pixels
    """
    return wrappers.shrink(wrappers.grey(wrappers.crop(frames, SCORE_ROWS)), CELL)[:, None]


def stacked(game: type[Game], k: int, num_envs: int = 1, **kwargs: Any) -> gym.vector.VectorEnv:
    """A game's plain pictures, the last ``k`` of them.

    Book: algorithms/pixels
    """
    return wrappers.FrameStack(game(num_envs, view=picture, **kwargs), k)


def filmed(game: type[Game], k: int, num_envs: int = 1, **kwargs: Any) -> gym.vector.VectorEnv:
    """A game's camera, its frames made small and grey, the last ``k`` of them.

    Book: algorithms/pixels
    """
    return wrappers.FrameStack(wrappers.Preprocess(game(num_envs, view=camera, **kwargs), preprocess), k)


class Single(gym.Env):
    """One game of a vector environment as an environment of its own: what films and wrappers want.

    Book: algorithms/pixels
    """

    def __init__(self, envs: VectorEnv):
        self.envs, self.metadata, self.render_mode = envs, envs.metadata, envs.render_mode
        self.observation_space, self.action_space = envs.single_observation_space, envs.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode."""
        super().reset(seed=seed)
        obs, info = self.envs.reset(seed=seed)
        return obs[0], info

    def step(self, action):
        """One step; it says ``terminated`` or ``truncated`` once, then wants a reset."""
        obs, reward, terminated, truncated, info = self.envs.step(np.array([action]))
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> np.ndarray:
        """A frame (H, W, 3)."""
        return self.envs.render()[0]

    def get_state(self) -> dict[str, Any]:
        """State of the game, for ``set_state``."""
        return self.envs.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``get_state`` gave."""
        self.envs.set_state(state)


def register(name: str, vector: Callable[..., VectorEnv]) -> None:
    """Make ``vector(num_envs=N, **kwargs)`` known to Gymnasium as ``name``, as N games and as a single one.

    Book: algorithms/pixels
    """
    # gym.make imports what stands before a colon and looks up the rest; gym.spec looks up the whole
    for env_id in (name, f"{__name__}:{name}"):
        if env_id not in gym.registry:
            gym.register(env_id, lambda **kwargs: Single(vector(**kwargs)), vector_entry_point=vector)


def register_games() -> None:
    """Make every game known to Gymnasium, with each of its views; importing this module does.

    Book: reference/environments
    """
    for game in (Breakout, Catch):
        for suffix, view in {"": channels, "Picture": picture, "Camera": camera}.items():
            register(f"{game.__name__}{suffix}-v0", functools.partial(game, view=view))
        for suffix, make in {"Stack": stacked, "Film": filmed}.items():
            for k in (1, 2, 4):
                register(f"{game.__name__}{suffix}{k}-v0", functools.partial(make, game, k))


# standalone: apart
register_games()
