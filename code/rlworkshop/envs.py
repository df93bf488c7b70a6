"""Environments: making, counting, normalising, evaluating, filming, saving.

Every vector environment of the book works in Gymnasium's NEXT_STEP mode. The step that ends an episode
returns its true last observation; the *next* step ignores that sub-environment's action and returns the
first observation of a new episode, with reward 0. Such a *reset row* is no transition: ``Episodes`` says
which rows are real, and nothing may learn from, or count, the others.

Book: start/how_to_use
"""

import difflib
import functools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

Act = Callable[[np.ndarray], np.ndarray]  # observations (N, ...) -> actions (N, ...)

EXTRAS = {"box2d": "box2d", "mujoco": "mujoco", "pygame": "classic-control"}  # word in an error -> pip extra


def make(env_id: str, num_envs: int = 1, **kwargs: Any) -> VectorEnv:
    """``num_envs`` copies of an environment, stepped together under NEXT_STEP.

    A native vector version is used where one is registered (CartPole: 10 times faster than a loop);
    ``kwargs`` go to the environment itself.

    Raises:
        ValueError: ``num_envs`` is below 1, or no environment has that id (the closest ids are named).
        ImportError: the environment needs a package that is not installed (the extra to install is named).

    Book: start/how_to_use
    """
    if num_envs < 1:
        raise ValueError(f"num_envs must be at least 1, not {num_envs}")
    try:
        spec = gym.spec(env_id)
        if spec.vector_entry_point is not None:
            envs = gym.make_vec(env_id, num_envs, vectorization_mode="vector_entry_point", **kwargs)
        else:
            one = functools.partial(gym.make, env_id, disable_env_checker=True, **kwargs)
            envs = SyncVectorEnv([one] * num_envs, autoreset_mode=AutoresetMode.NEXT_STEP)
    except Exception as error:
        raise _explained(env_id, error) from error
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise ValueError(f"{env_id} resets in mode {mode}; the book's algorithms need NEXT_STEP")
    return envs


def to_env(space: gym.Space, action: np.ndarray) -> np.ndarray:
    """Actions as the environment takes them: clipped to a box, whole numbers otherwise.

    The policy's own action stays as it was: its log-probability belongs to the unclipped one.
    """
    if isinstance(space, gym.spaces.Box):
        return np.clip(action, space.low, space.high).astype(space.dtype)
    return np.asarray(action, dtype=space.dtype)


class Episodes:
    """Counts real steps and collects finished episodes of ``num_envs`` sub-environments.

    Attributes:
        steps: real transitions so far, over all sub-environments.
        returns, lengths, ends: of each finished episode its undiscounted return, its length, and the
            value of ``steps`` when it ended (in the order in which they ended).

    Book: start/how_to_use
    """

    def __init__(self, num_envs: int):
        self.steps = 0
        self.returns: list[float] = []
        self.lengths: list[int] = []
        self.ends: list[int] = []
        self._return = np.zeros(num_envs)
        self._length = np.zeros(num_envs, dtype=np.int64)
        self._done = np.zeros(num_envs, dtype=bool)

    def step(self, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray) -> np.ndarray:
        """Take in what ``envs.step`` returned, each (N,); the answer (N,) is False on reset rows."""
        valid = ~self._done
        self.steps += int(np.count_nonzero(valid))
        self._return += np.where(valid, reward, 0.0)
        self._length += valid
        self._done = valid & (terminated | truncated)
        if self._done.any():
            for i in np.flatnonzero(self._done):
                self.returns.append(float(self._return[i]))
                self.lengths.append(int(self._length[i]))
                self.ends.append(self.steps)
            self._return[self._done] = 0
            self._length[self._done] = 0
        return valid

    def forget_unfinished(self) -> None:
        """Drop what is known of episodes that have not ended; all sub-environments begin anew."""
        self._return[:], self._length[:], self._done[:] = 0, 0, False

    def get_state(self) -> dict[str, Any]:
        """Everything there is, as a tree of plain values and arrays."""
        finished = {"returns": np.array(self.returns), "lengths": np.array(self.lengths, np.int64)}
        running = {"return": self._return.copy(), "length": self._length.copy(), "done": self._done.copy()}
        return {"steps": self.steps, "ends": np.array(self.ends, np.int64), **finished, **running}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave."""
        self.steps = state["steps"]
        self.returns, self.lengths, self.ends = (state[k].tolist() for k in ("returns", "lengths", "ends"))
        self._return, self._length, self._done = (state[k].copy() for k in ("return", "length", "done"))


class ObsNorm:
    """Observations shifted and scaled to mean 0 and variance 1, clipped to ±10.

    The statistics change in ``update`` only: they belong to the policy, are saved with it, and stand
    still whenever it is evaluated. Mean and variance are merged batch by batch (Chan, Golub & LeVeque,
    1979), which stays exact where a running sum of squares loses digits.

    Book: start/how_to_use
    """

    CLIP = 10.0

    def __init__(self, shape: tuple[int, ...]):
        self.set_state({"count": 0, "mean": np.zeros(shape), "m2": np.zeros(shape)})

    def update(self, obs: np.ndarray) -> None:
        """Take in a batch of raw observations (B, *shape); an empty batch changes nothing."""
        if len(obs) == 0:
            return
        obs = np.asarray(obs, dtype=np.float64)
        mean, n, total = obs.mean(axis=0), len(obs), self.count + len(obs)
        delta = mean - self.mean
        m2 = self.m2 + ((obs - mean) ** 2).sum(axis=0) + delta**2 * self.count * n / total
        self.set_state({"count": total, "mean": self.mean + delta * n / total, "m2": m2})

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Normalised observations, float32, of the shape of ``obs`` (..., *shape)."""
        scaled = (obs - self._shift) * self._scale
        return np.minimum(np.maximum(scaled, -self.CLIP), self.CLIP).astype(np.float32)

    def get_state(self) -> dict[str, Any]:
        """Count, mean and summed squared deviations."""
        return {"count": self.count, "mean": self.mean.copy(), "m2": self.m2.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave."""
        self.count, self.mean, self.m2 = int(state["count"]), state["mean"].copy(), state["m2"].copy()
        variance = self.m2 / self.count if self.count else np.ones_like(self.m2)
        self._shift, self._scale = self.mean, 1.0 / np.sqrt(variance + 1e-8)


def evaluate(
    act: Act, env_id: str, episodes: int, seed: int, num_envs: int = 20, **kwargs: Any
) -> np.ndarray:
    """Undiscounted returns (episodes,) of exactly ``episodes`` fresh episodes.

    Every sub-environment plays a quota fixed beforehand. Taking the first episodes to finish would
    favour the short ones: the classic way to a wrong score.

    Raises:
        ValueError: fewer than one episode, or what ``make`` raises.

    Book: start/how_to_use
    """
    if episodes < 1:
        raise ValueError(f"evaluate needs at least 1 episode, not {episodes}")
    n = min(num_envs, episodes)
    quota = episodes // n + (np.arange(n) < episodes % n)  # (N,)
    envs = make(env_id, n, **kwargs)
    try:
        obs, _ = envs.reset(seed=seed)
        running, finished = np.zeros(n), [[] for _ in range(n)]
        played, done = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
        while (played < quota).any():
            obs, reward, terminated, truncated, _ = envs.step(to_env(envs.action_space, act(obs)))
            running += np.where(done, 0.0, reward)
            done = ~done & (terminated | truncated)
            for i in np.flatnonzero(done & (played < quota)):
                finished[i].append(running[i])
            played += done
            running[done] = 0.0
    finally:
        envs.close()
    return np.array([score for scores in finished for score in scores])


def record(
    act: Act, env_id: str, seed: int, max_steps: int = 500, size: int = 320, **kwargs: Any
) -> tuple[np.ndarray, float]:
    """Film one episode: frames (T, H, W, 3) uint8, at most ``size`` pixels wide, and its return.

    Raises:
        ValueError: the environment cannot draw itself, or what ``make`` raises.

    Book: start/first_agent
    """
    try:
        env = gym.make(env_id, render_mode="rgb_array", disable_env_checker=True, **kwargs)
    except Exception as error:
        raise _explained(env_id, error) from error
    frames, total = [], 0.0
    try:
        obs, _ = env.reset(seed=seed)
        for _ in range(max_steps):
            frames.append(_shrunk(env.render(), size))
            action = to_env(env.action_space, act(np.asarray(obs)[None])[0])
            obs, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            if terminated or truncated:
                frames.append(_shrunk(env.render(), size))
                break
    finally:
        env.close()
    return np.stack(frames), total


def get_state(envs: VectorEnv) -> dict[str, Any]:
    """All that decides how ``envs`` goes on, as a tree of plain values and arrays.

    Known: CartPole's native vector environment, loops over classic control and MuJoCo, and whatever has
    ``get_state`` and ``set_state`` methods of its own.

    Raises:
        NotImplementedError: the state of this environment, or of a wrapper around it, is not known.
    """
    if _has_own(envs):
        return {"own": envs.get_state()}
    if isinstance(envs, SyncVectorEnv):
        subs = [[_layer_state(layer) for layer in _layers(env)] for env in envs.envs]
        return {"autoreset": envs._autoreset_envs.copy(), "envs": subs}
    if type(envs).__name__ == "CartPoleVectorEnv":
        return _plain_state(envs)
    raise NotImplementedError(f"cannot save the state of {type(envs).__name__}")


def set_state(envs: VectorEnv, state: dict[str, Any]) -> None:
    """Put ``envs`` (of the same kind and number) into a state from ``get_state``: it goes on bit for bit.

    Raises:
        NotImplementedError: as ``get_state``.
        ValueError: the state is that of another number of sub-environments.
    """
    if _has_own(envs):
        envs.set_state(state["own"])
    elif isinstance(envs, SyncVectorEnv):
        if len(state["envs"]) != envs.num_envs:
            raise ValueError(f"a state of {len(state['envs'])} sub-environments does not fit {envs.num_envs}")
        envs._autoreset_envs = state["autoreset"].copy()
        for env, layers in zip(envs.envs, state["envs"], strict=True):
            for layer, layer_state in zip(_layers(env), layers, strict=True):
                _set_layer_state(layer, layer_state)
    elif type(envs).__name__ == "CartPoleVectorEnv":
        if len(state["plain"]["steps"]) != envs.num_envs:
            raise ValueError(f"a state of {len(state['plain']['steps'])} carts does not fit {envs.num_envs}")
        _set_plain_state(envs, state)
    else:
        raise NotImplementedError(f"cannot restore the state of {type(envs).__name__}")


def _layers(env: gym.Env) -> list[gym.Env]:
    layers = [env]
    while isinstance(layers[-1], gym.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _layer_state(layer: gym.Env) -> dict[str, Any]:
    if _has_own(layer):
        return {"own": layer.get_state()}
    if isinstance(layer, gym.wrappers.TimeLimit):
        return {"elapsed": layer._elapsed_steps}
    if isinstance(layer, gym.wrappers.OrderEnforcing):
        return {"reset": layer._has_reset}
    module = type(layer).__module__
    if module.startswith("gymnasium.envs.classic_control."):
        return _plain_state(layer)
    if module.startswith("gymnasium.envs.mujoco."):
        return {**_plain_state(layer), "physics": _physics(layer), "data": _data_arrays(layer.data)}
    raise NotImplementedError(f"cannot save {type(layer).__name__}: give it get_state and set_state")


def _set_layer_state(layer: gym.Env, state: dict[str, Any]) -> None:
    if "own" in state:
        layer.set_state(state["own"])
    elif "elapsed" in state:
        layer._elapsed_steps = state["elapsed"]
    elif "reset" in state:
        layer._has_reset = state["reset"]
    else:
        _set_plain_state(layer, state)
        if "physics" in state:
            import mujoco

            mujoco.mj_setState(layer.model, layer.data, state["physics"], mujoco.mjtState.mjSTATE_INTEGRATION)
            for name, array in state["data"].items():
                target = getattr(layer.data, name)
                # lists of contacts and the like change their length: each step makes them anew
                if target.shape == array.shape:
                    target[...] = array


def _plain_state(env: Any) -> dict[str, Any]:
    """Random generator and every attribute that is plain data (constants too, which does no harm)."""
    plain = {k: v for k, v in vars(env).items() if _is_plain(v) and k not in ("render_mode", "fullpath")}
    plain = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in plain.items()}
    return {"rng": env.np_random.bit_generator.state, "plain": plain}


def _set_plain_state(env: Any, state: dict[str, Any]) -> None:
    for name, value in state["plain"].items():
        setattr(env, name, value.copy() if isinstance(value, np.ndarray) else value)
    env.np_random.bit_generator.state = state["rng"]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, bool | int | float | np.ndarray | np.generic)


def _physics(env: Any) -> np.ndarray:
    import mujoco

    spec = mujoco.mjtState.mjSTATE_INTEGRATION  # includes the solver's warm start
    state = np.empty(mujoco.mj_stateSize(env.model, spec))
    mujoco.mj_getState(env.model, env.data, state, spec)
    return state


def _data_arrays(data: Any) -> dict[str, np.ndarray]:
    """Derived quantities. After a step they lag behind qpos, and rewards (Ant, Humanoid) read them as they
    are: recomputing them from the physics state would change the next reward.
    """
    names = [n for n in dir(data) if not n.startswith(("_", "efc_", "iefc_", "contact"))]
    arrays = {n: getattr(data, n) for n in names if isinstance(getattr(data, n), np.ndarray)}
    return {n: a.copy() for n, a in arrays.items() if a.flags.writeable and a.size}


def _has_own(env: Any) -> bool:
    return hasattr(type(env), "get_state") and hasattr(type(env), "set_state")


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
        return ValueError(f"no environment is called {env_id!r}: {hint}")
    if isinstance(error, gym.error.DependencyNotInstalled | ImportError):
        extra = next((e for word, e in EXTRAS.items() if word in text.lower()), None)
        hint = f"pip install 'gymnasium[{extra}]'" if extra else text
        return ImportError(f"{env_id} needs a package that is not installed: {hint}")
    return ValueError(f"cannot make {env_id}: {error}")
