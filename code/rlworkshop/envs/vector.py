"""Vector environments: making, stepping, counting, normalising, evaluating, filming.

Every vector environment of the book works in Gymnasium's NEXT_STEP mode. The step that ends an episode
returns its true last observation; the *next* step ignores that sub-environment's action and returns the
first observation of a new episode, with reward 0. Such a *reset row* is no transition: ``Episodes`` says
which rows are real, and nothing may learn from, or count, the others.

Book: start/how_to_use
"""

import difflib
import functools
import importlib
import numbers
import re
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

Act = Callable[[np.ndarray], np.ndarray]  # observations (N, ...) -> actions (N, ...)

EXTRAS = {"box2d": "box2d", "mujoco": "mujoco", "pygame": "classic-control"}  # word in an error -> pip extra


STREAMS = {"training": 0, "policy": 1, "network": 2, "evaluation": 3, "film": 4}  # of random numbers
ENDLESS = 100_000  # steps after which an episode is said never to end
ENDLESS_HINT = "register it with max_episode_steps, wrap it in TimeLimit, or raise max_steps"
FILM_HINT = 'to be filmed it has to take render_mode="rgb_array", and then render pictures (H, W, 3) of bytes'


def plain_make(env_id: Any, num_envs: int = 1, **kwargs: Any) -> VectorEnv:
    """``num_envs`` copies of an environment under NEXT_STEP: ``make`` for a file that was taken along."""
    if isinstance(env_id, str):
        return gym.make_vec(env_id, num_envs, **kwargs)  # the native vector version where there is one
    if isinstance(env_id, VectorEnv):
        return env_id
    return SyncVectorEnv([functools.partial(env_id, **kwargs)] * num_envs)


# standalone: plain_make
def make(env_id: str | Callable[[], gym.Env] | VectorEnv, num_envs: int = 1, **kwargs: Any) -> VectorEnv:
    """``num_envs`` copies of an environment, stepped together under NEXT_STEP.

    ``env_id`` is an id as ``gym.make`` takes it (``module:Id-v0`` imports the module first), a function that
    makes one environment, or a vector environment, which is taken as it is. A native vector version is used
    where one is registered (CartPole: 10 times faster than a loop); ``kwargs`` go to the environment itself.

    Raises:
        ValueError: ``num_envs`` is below 1, no environment has that id (the closest ids are named), or a
            vector environment resets in another mode.
        ImportError: the environment needs a package that is not installed (the extra to install is named).

    Book: start/how_to_use
    """
    if num_envs < 1:
        raise ValueError(f"num_envs must be at least 1, not {num_envs}")
    try:
        if isinstance(env_id, gym.Env):
            raise ValueError(
                "it is one environment, made already: give its class, or a function that makes it"
            )
        if isinstance(env_id, VectorEnv):
            if kwargs:
                raise ValueError(f"it is made already, and takes no {', '.join(kwargs)}")
            envs = env_id
        elif isinstance(env_id, str) and spec(env_id).vector_entry_point is not None:
            envs = gym.make_vec(env_id, num_envs, vectorization_mode="vector_entry_point", **kwargs)
        else:
            one = functools.partial(_make_one, env_id, **kwargs)
            envs = SyncVectorEnv([one] * num_envs, autoreset_mode=AutoresetMode.NEXT_STEP)
    except Exception as error:
        raise _explained(str(env_id), error) from error
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise ValueError(f"{env_id} resets in mode {mode}; the book's algorithms need NEXT_STEP")
    return envs


def spec(env_id: str) -> gym.envs.registration.EnvSpec:
    """How an environment is registered; the module of ``module:Id-v0`` is imported first."""
    module, _, name = env_id.rpartition(":")
    if module:  # unlike ``gym.make``, ``gym.spec`` does not know this form
        importlib.import_module(module)
    return gym.spec(name)


def _make_one(env_id: str | Callable[[], gym.Env], **kwargs: Any) -> gym.Env:
    made = env_id(**kwargs) if callable(env_id) else gym.make(env_id, disable_env_checker=True, **kwargs)
    return Checked(made)


class Checked(gym.Wrapper):
    """Says so where an environment breaks the rules, which a vector of them would not, or not in words."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        space = env.observation_space
        self.obs_shape = space.shape if isinstance(space, gym.spaces.Box) else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode.

        Raises:
            ValueError: it takes no seed, or does not return an observation of its space and a dictionary.
        """
        try:
            made = self.env.reset(seed=seed, options=options)
        except TypeError as error:
            if "reset() got an unexpected keyword argument" not in str(error):
                raise
            how = (
                "def reset(self, *, seed=None, options=None), with super().reset(seed=seed) as its first line"
            )
            raise ValueError(f"the reset of {self.env} takes no seed and options: write {how}") from error
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], dict)):
            raise ValueError(f"the reset of {self.env} must return two things: an observation, a dictionary")
        self._check(made[0])
        return made

    def step(self, action):
        """Step the environment.

        Raises:
            ValueError: it does not return five things, its observation has another shape than its space, or
                the reward is not a number.
        """
        try:
            obs, reward, terminated, truncated, info = self.env.step(action)
        except (ValueError, TypeError) as error:
            if not re.search(r"unpack \(expected 5|cannot unpack non-iterable", str(error)):
                raise
            five = "observation, reward, terminated, truncated and a dictionary"
            raise ValueError(f"the step of {self.env} must return five things: {five} ({error})") from error
        self._check(obs)
        if not isinstance(reward, numbers.Real | np.bool_):
            array = isinstance(reward, np.ndarray) and reward.size == 1 and reward.dtype.kind in "fiub"
            if not array:
                raise ValueError(f"{self.env} returned the reward {reward!r}: it must be one number")
            reward = reward.item()
        return obs, reward, terminated, truncated, info

    def _check(self, obs: Any) -> None:
        if self.obs_shape is not None and np.shape(obs) != self.obs_shape:
            shapes = f"shape {np.shape(obs)}, its observation_space {self.obs_shape}"
            raise ValueError(f"an observation of {self.env} has the {shapes}")


def seeds(seed: int, n: int, stream: str, *more: int) -> list[int]:
    """``n`` seeds; those of different ``seed``, ``stream`` (of ``STREAMS``) or ``more`` are independent.

    Counting up from ``seed`` instead would give neighbouring seeds the same environments.
    """
    return np.random.SeedSequence(seed, spawn_key=(STREAMS[stream], *more)).generate_state(n).tolist()


def reset(envs: VectorEnv, seed: int, stream: str = "training", *more: int) -> np.ndarray:
    """First observations (N, ...) of ``envs``, each sub-environment seeded by itself where that can be."""
    each = seeds(seed, envs.num_envs, stream, *more)
    obs, _ = envs.reset(seed=each if isinstance(envs.unwrapped, SyncVectorEnv | AsyncVectorEnv) else each[0])
    return obs


def policy_rng(seed: int) -> np.random.Generator:
    """Random numbers for actions and batches, independent of the environments' for the same ``seed``."""
    return np.random.default_rng(seeds(seed, 4, "policy"))


def to_env(space: gym.Space, action: np.ndarray) -> np.ndarray:
    """Actions as the environment takes them: clipped to a box, whole numbers otherwise.

    The policy's own action stays as it was: its log-probability belongs to the unclipped one.
    """
    if isinstance(space, gym.spaces.Box):
        return np.clip(action, space.low, space.high).astype(space.dtype)
    action = np.asarray(action)
    if not np.can_cast(action.dtype, space.dtype, "same_kind"):
        raise ValueError(f"actions of {space} are whole numbers, not {action.dtype}: {action[:1]}")
    return action.astype(space.dtype)


def batched(space: gym.Space, obs: np.ndarray) -> tuple[np.ndarray, bool]:
    """Observations (N, ...) of ``space``, and whether ``obs`` was a single one.

    Raises:
        ValueError: ``obs`` is neither one observation nor a batch of them.
    """
    obs = np.asarray(obs)
    if obs.shape[obs.ndim - len(space.shape) :] == space.shape and obs.ndim - len(space.shape) in (0, 1):
        return (obs, False) if obs.ndim > len(space.shape) else (obs[None], True)
    raise ValueError(f"an observation has shape {space.shape}, a batch (N, *{space.shape}); not {obs.shape}")


def vector_length(space: gym.Space) -> int:
    """The length D of observations that are vectors.

    Raises:
        ValueError: they are not.
    """
    if isinstance(space, gym.spaces.Box) and len(space.shape) == 1:
        return space.shape[0]
    raise ValueError(
        f"observations must be a Box with one axis, not {space}: use wrappers.FlattenObservation"
    )


def plain_wrong_actions(space: gym.Space, wanted: str) -> ValueError:
    """The error for actions of ``space``, where ``wanted`` are."""
    return ValueError(f"actions must be {wanted}, not {space}: wrap the environment")


# standalone: plain_wrong_actions
def wrong_actions(space: gym.Space, wanted: str) -> ValueError:
    """The error for actions of ``space``, where ``wanted`` are: it says how to wrap the environment."""
    advice = "wrap the environment"
    if isinstance(space, gym.spaces.MultiDiscrete | gym.spaces.MultiBinary):
        advice = (
            "wrap it in rlworkshop.practice.use_it_in_your_project.JointActions, which numbers all of them"
        )
    elif isinstance(space, gym.spaces.Discrete):
        advice = f"number them from 0, and add {space.start} in a gymnasium.wrappers.TransformAction"
    return ValueError(f"actions must be {wanted}, not {space}: {advice}")


def space_to_tree(space: gym.Space) -> dict[str, Any]:
    """A ``Box`` or ``Discrete`` as plain values and arrays.

    Raises:
        ValueError: it is another space.
    """
    if isinstance(space, gym.spaces.Box):
        return {"low": space.low, "high": space.high, "dtype": str(space.dtype)}
    if isinstance(space, gym.spaces.Discrete):
        return {"n": int(space.n), "start": int(space.start)}
    raise ValueError(f"spaces are Box or Discrete, not {space}: wrap the environment")


def space_from_tree(tree: dict[str, Any]) -> gym.Space:
    """The way back from ``space_to_tree``."""
    if "n" in tree:
        return gym.spaces.Discrete(tree["n"], start=tree["start"])
    return gym.spaces.Box(tree["low"], tree["high"], dtype=np.dtype(tree["dtype"]))


class Episodes:
    """Counts real steps and collects finished episodes of ``num_envs`` sub-environments.

    Attributes:
        steps: real transitions so far, over all sub-environments.
        returns, lengths, ends: of each finished episode its undiscounted return, its length, and the
            value of ``steps`` when it ended (in the order in which they ended).
        who: its sub-environment. running: steps (N,) of the episodes that have not ended.
        obs: the last observations (N, ...); ``None`` before the first step.

    Book: start/how_to_use
    """

    def __init__(self, num_envs: int):
        self.steps, self.obs = 0, None
        self.returns, self.lengths, self.ends, self.who = [], [], [], []
        self.forget_unfinished(num_envs)

    def step(
        self, obs: np.ndarray, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
    ) -> np.ndarray:
        """Take in what ``envs.step`` returned, each (N, ...); the answer (N,) is False on reset rows.

        Raises:
            ValueError: a reward or an observation is no finite number.
        """
        valid = ~self._done
        for what, values in (("reward", reward), ("observation", obs)):
            kind = values.dtype.kind
            if not (kind in "iub" or (kind == "f" and np.isfinite(values.sum()))):
                _check_numbers(what, values, valid, self.steps)
        self.steps += int(np.count_nonzero(valid))
        self.obs = obs
        self._return += np.where(valid, reward, 0.0)
        self.running += valid
        self._done = valid & (terminated | truncated)
        for i in np.flatnonzero(self._done):
            self.returns.append(float(self._return[i]))
            self.lengths.append(int(self.running[i]))
            self.ends.append(self.steps)
            self.who.append(int(i))
            self._return[i] = self.running[i] = 0
        return valid

    def forget_unfinished(self, num_envs: int | None = None) -> None:
        """Drop what is known of episodes that have not ended; all sub-environments begin anew."""
        n = num_envs or len(self._done)
        self._return, self.running, self._done = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, bool)


def _check_numbers(what: str, values: np.ndarray, valid: np.ndarray, steps: int) -> None:
    """Raise where a real row is not finite; it may be the sum that has overflowed."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"the environment's {what} must be numbers, not {values.dtype}: {values[:1]!r}")
    for i, row in enumerate(values):
        if not np.isfinite(row).all() and (valid[i] or what == "observation"):
            where = f"sub-environment {i}, after {steps} steps in all"
            raise ValueError(f"the environment returned the {what} {row} ({where}): it must be finite")


class ObsNorm:
    """Observations shifted and scaled to mean 0 and variance 1, clipped to ±10.

    The statistics change in ``update`` only: they belong to the policy, are saved with it, and stand
    still whenever it is evaluated. Mean and variance are merged batch by batch (Chan, Golub & LeVeque,
    1979), which stays exact where a running sum of squares loses digits.

    Book: start/how_to_use
    """

    CLIP = 10.0

    def __init__(self, shape: tuple[int, ...]):
        self._set(0, np.zeros(shape), np.zeros(shape))

    def _set(self, count: int, mean: np.ndarray, m2: np.ndarray) -> None:
        self.count, self.mean, self.m2 = count, mean, m2  # m2: summed squared deviations
        self._scale = 1.0 / np.sqrt((m2 / count if count else np.ones_like(m2)) + 1e-8)

    @property
    def scale(self) -> np.ndarray:
        """What deviations from the mean are multiplied with (*shape): one over the standard deviation."""
        return self._scale

    def update(self, obs: np.ndarray) -> None:
        """Take in a batch of raw observations (B, *shape); an empty batch changes nothing."""
        if len(obs) == 0:
            return
        obs = np.asarray(obs, dtype=np.float64)
        mean, n, total = obs.mean(axis=0), len(obs), self.count + len(obs)
        delta = mean - self.mean
        m2 = self.m2 + ((obs - mean) ** 2).sum(axis=0) + delta**2 * self.count * n / total
        self._set(total, self.mean + delta * n / total, m2)

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Normalised observations, float32, of the shape of ``obs`` (..., *shape)."""
        scaled = (obs - self.mean) * self._scale
        return np.minimum(np.maximum(scaled, -self.CLIP), self.CLIP).astype(np.float32)


def plain_evaluate(act: Act, env_id: str, episodes: int, seed: int) -> np.ndarray:
    """Undiscounted returns (episodes,) of episodes one after the other: ``evaluate`` in brief."""
    envs, played, forget = make(env_id), Episodes(1), getattr(act, "forget", lambda first: None)
    obs = reset(envs, seed, "evaluation")
    while len(played.returns) < episodes:
        obs, reward, terminated, truncated, _ = envs.step(to_env(envs.action_space, act(obs)))
        forget(~played.step(obs, reward, terminated, truncated))
    return np.array(played.returns)


def forgetting(act: Act) -> Callable[[np.ndarray], Any]:
    """What tells a policy with a memory which observations (N,) bool begin an episode: its ``forget``."""
    return getattr(act, "forget", lambda first: None)


# standalone: plain_evaluate
def evaluate(
    act: Act,
    env_id: str,
    episodes: int,
    seed: int,
    num_envs: int = 20,
    max_steps: int = ENDLESS,
    **kwargs: Any,
) -> np.ndarray:
    """Undiscounted returns (episodes,) of exactly ``episodes`` fresh episodes.

    No training of the same seed has met their first states.

    Every sub-environment plays a quota fixed beforehand. Taking the first episodes to finish would
    favour the short ones: the classic way to a wrong score. A policy with a memory has a method ``forget``,
    which is told which of the next observations (N,) begin an episode.

    Raises:
        ValueError: fewer than one episode, one that does not end within ``max_steps``, or as ``make``.

    Book: start/how_to_use
    """
    if episodes < 1:
        raise ValueError(f"evaluate needs at least 1 episode, not {episodes}")
    envs = make(env_id, min(num_envs, episodes), **kwargs)
    n, played = envs.num_envs, Episodes(envs.num_envs)
    quota = episodes // n + (np.arange(n) < episodes % n)  # (N,)
    scores: list[list[float]] = [[] for _ in range(n)]
    obs, forget = reset(envs, seed, "evaluation"), forgetting(act)
    while any(len(own) < wanted for own, wanted in zip(scores, quota, strict=True)):
        obs, reward, terminated, truncated, _ = envs.step(to_env(envs.action_space, act(obs)))
        before = len(played.returns)
        forget(~played.step(obs, reward, terminated, truncated))
        for i, score in zip(played.who[before:], played.returns[before:], strict=True):
            scores[i].append(score)
        if played.running.max() >= max_steps:
            raise ValueError(f"an episode of {env_id} goes on after {max_steps} steps: {ENDLESS_HINT}")
    envs.close()
    return np.array([x for own, wanted in zip(scores, quota, strict=True) for x in own[:wanted]])


def record(
    act: Act, env_id: str, seed: int, max_steps: int = 500, size: int = 320, **kwargs: Any
) -> tuple[np.ndarray, float]:
    """Film one episode: frames (T, H, W, 3) uint8, at most ``size`` pixels wide, and its return.

    Raises:
        ValueError: the environment cannot draw itself, or what ``make`` raises.

    Book: start/first_agent
    """
    try:
        one = functools.partial(_make_one, env_id, render_mode="rgb_array", **kwargs)
        envs = SyncVectorEnv([one], autoreset_mode=AutoresetMode.NEXT_STEP)  # one path for one and for many
    except TypeError as error:
        raise ValueError(f"cannot make {env_id}: {error}; {FILM_HINT}") from error
    except Exception as error:
        raise _explained(str(env_id), error) from error
    frames, total, ended = [], 0.0, np.zeros(1, bool)
    try:
        obs = reset(envs, seed, "film")
        while len(frames) < max_steps and not ended[0]:
            frames.append(_shrunk(_picture(envs, env_id), size))
            obs, reward, terminated, truncated, _ = envs.step(to_env(envs.action_space, act(obs)))
            total, ended = total + float(reward[0]), terminated | truncated
        if ended[0]:
            frames.append(_shrunk(_picture(envs, env_id), size))
    finally:
        envs.close()
    return np.stack(frames), total


def _picture(envs: VectorEnv, env_id: Any) -> np.ndarray:
    """What the first environment draws of itself (H, W, 3), uint8."""
    try:
        frame = envs.render()[0]
    except NotImplementedError:
        frame = None
    if isinstance(frame, np.ndarray) and frame.ndim == 3 and frame.dtype == np.uint8:
        return frame
    given = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else f"a {type(frame).__name__}"
    raise ValueError(f"{env_id} draws itself as {given}; {FILM_HINT}")


def _shrunk(frame: np.ndarray, size: int) -> np.ndarray:
    """Whole-number reduction by averaging blocks: smooth, and needs no image library."""
    k = -(-frame.shape[1] // size)
    if k <= 1:
        return np.array(frame)
    h, w = frame.shape[0] // k, frame.shape[1] // k
    blocks = frame[: h * k, : w * k].reshape(h, k, w, k, -1)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def _explained(env_id: str, error: Exception) -> Exception:
    """The error that says what to do about ``error``."""
    text = str(error)
    if isinstance(error, gym.error.NamespaceNotFound) and env_id.startswith("ALE/"):
        return ImportError(f"{env_id} needs Atari: pip install 'gymnasium[atari]', then import ale_py")
    if isinstance(error, gym.error.UnregisteredEnv):
        close = difflib.get_close_matches(env_id, gym.registry, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "see gymnasium.pprint_registry()"
        own = (
            ""
            if ":" in env_id
            else f" Your own? Import the module that registers it, or ask for module:{env_id}."
        )
        return ValueError(f"no environment is called {env_id!r}: {hint}{own}")
    module = env_id.rpartition(":")[0]
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return ImportError(f"{env_id}: Python finds no module {module!r}: start in its folder, or install it")
    if isinstance(error, gym.error.DependencyNotInstalled | ImportError):
        extra = next((e for word, e in EXTRAS.items() if word in text.lower()), None)
        hint = f"pip install 'gymnasium[{extra}]'" if extra else text
        return ImportError(f"{env_id} needs a package that is not installed: {hint}")
    return ValueError(f"cannot make {env_id}: {error}")
