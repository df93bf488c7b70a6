"""The whole state of an environment, saved and restored: what a training needs to be resumed bit for bit.

Book: start/how_to_use
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv

from rlworkshop.envs.vector import Checked

# wrappers that remember nothing from step to step
STATELESS = (
    Checked,
    gym.wrappers.FlattenObservation,
    gym.wrappers.ClipAction,
    gym.wrappers.RescaleAction,
    gym.wrappers.DtypeObservation,
)


def get_state(envs: VectorEnv) -> dict[str, Any]:
    """All that decides how ``envs`` goes on, as a tree of plain values and arrays.

    Known: CartPole's native vector environment, loops over classic control and MuJoCo, the commonest
    wrappers, and whatever has ``get_state`` and ``set_state`` methods of its own.

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
    if isinstance(layer, STATELESS):
        return {}
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
    elif state:
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
