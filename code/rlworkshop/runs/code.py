"""Which code a training really runs: what it was given by name is followed to its file.

Book: start/how_to_use
"""

import functools
import importlib
import importlib.metadata
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gymnasium as gym

from rlworkshop import envs, provenance

OWN = (__package__.partition(".")[0], "__main__")


class UnknownCodeError(TypeError):
    """The code of something that was passed in cannot be found, so nobody can tell whether it has changed."""


def code_files(*used: Any, env_id: str = "") -> set[Path]:
    """The files of functions and classes, of a registered environment's entry points, and of their imports.

    What belongs to an installed package counts by the package's version and has no file here.

    Raises:
        UnknownCodeError: something was made by hand or in a notebook and lies in no file.
    """
    found: set[Path] = set()
    for one in [*(one for given in used for one in _within(given)), *_entry_points(env_id)]:
        module = one.split(":")[0] if isinstance(one, str) else getattr(one, "__module__", None)
        found |= _module_closure(module, one)
    return found


def named(function: Callable) -> str:
    """Where a function or class is to be found again: ``module:name``.

    Raises:
        UnknownCodeError: it is not at the top of a module that can be imported by name.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    found = getattr(sys.modules.get(module), name, None) if module != "__main__" else None
    if not isinstance(function, types.FunctionType | type) or found is not function:
        raise UnknownCodeError(
            f"a function is known by module and name, and {name or function!r} has none that lasts: "
            "move it to the top of a module and import it from there"
        )
    return f"{module}:{name}"


def registered(env_id: str) -> dict[str, Any]:
    """What decides how a registered environment behaves besides its code, as plain values.

    Raises:
        UnknownCodeError: it was registered with values that have no plain form.
    """
    spec = _spec(env_id)
    if spec is None:
        return {}
    given = {name: _plain(env_id, value) for name, value in spec.kwargs.items()}
    wrappers = [f"{w.entry_point} {_plain(env_id, w.kwargs)}" for w in spec.additional_wrappers]
    limits = {"kwargs": given, "max_episode_steps": spec.max_episode_steps, "wrappers": wrappers}
    return {**limits, "packages": _packages(_entry_points(env_id))}


def _packages(points: Iterable[Any]) -> list[str]:
    """The installed packages that entry points are of, with versions; Gymnasium's is in ``versions``."""
    modules = {p if isinstance(p, str) else getattr(p, "__module__", None) or "" for p in points}
    tops = {module.partition(":")[0].partition(".")[0] for module in modules} - {"", "gymnasium", *OWN}
    names = {name for top in tops for name in _distributions().get(top, [])}
    return sorted(f"{name} {importlib.metadata.version(name)}" for name in names)


_distributions = functools.cache(importlib.metadata.packages_distributions)  # it reads all that is installed


def _plain(env_id: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(env_id, one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(env_id, one) for name, one in value.items()}
    if isinstance(value, types.FunctionType | type):
        return named(value)
    raise UnknownCodeError(f"{env_id} was registered with {value!r}: register it with plain values")


def _spec(env_id: str) -> Any:
    """How an environment is registered; ``None`` where it is not: making it will say so."""
    try:
        return envs.spec(env_id)
    except (gym.error.Error, ImportError):
        return None


def _entry_points(env_id: str) -> Iterable[Any]:
    spec = _spec(env_id) if env_id else None
    if spec is None:
        return []
    given = [value for value in spec.kwargs.values() if isinstance(value, types.FunctionType | type)]
    points = [spec.entry_point, spec.vector_entry_point, *(w.entry_point for w in spec.additional_wrappers)]
    return [one for point in [*points, *given] if point for one in _within(point)]


def _within(point: Any) -> list[Any]:
    """A function, or those that ``functools.partial`` has tied together."""
    if not isinstance(point, functools.partial):
        return [point]
    tied = [point.func, *point.args, *point.keywords.values()]
    return [one for part in tied if callable(part) for one in _within(part)]


def _module_closure(name: str | None, what: Any) -> set[Path]:
    if name is None:
        raise UnknownCodeError(f"{what!r} has no module: pass a function or class of a module")
    if name.split(".")[0] in ("builtins", "gymnasium"):
        return set()
    try:
        module = sys.modules.get(name) or importlib.import_module(name)
    except ImportError as error:
        raise UnknownCodeError(f"{name}, which {what!r} needs, cannot be imported ({error})") from None
    file = getattr(module, "__file__", None)
    if not file or not Path(file).is_file():
        raise UnknownCodeError(
            f"{getattr(what, '__qualname__', what)} of {name} lies in no file, so that nobody can tell "
            "whether it has changed: move it to a module and import it from there"
        )
    file = Path(file).resolve()
    depth = 0 if name == "__main__" else name.count(".") + (file.name == "__init__.py")
    root = provenance.ROOT if file.is_relative_to(provenance.ROOT) else file.parents[depth]
    if root.name in ("site-packages", "dist-packages") and root != provenance.ROOT:
        return {file}
    own = provenance.closure([file], root)
    return own | provenance.closure(own, provenance.ROOT)
