"""The session around a training loop: what it counts, shows, keeps, and leaves behind.

A ``train`` function makes its parts, calls ``begin`` with them, steps its environments while there is room
(``running``), tells ``episodes`` of each step and the session of each update (``updated``). Metrics,
callbacks, progress, logs, checkpoints, resuming and the final ``Run`` are the session's.

Book: start/how_to_use
"""

import dataclasses
import functools
import hashlib
import json
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from rlworkshop import envs as rl_envs
from rlworkshop import nets, provenance
from rlworkshop.runs.code import UnknownCodeError, code_files, registered
from rlworkshop.runs.progress import Progress
from rlworkshop.runs.run import Run, RunFileError, load_tree, plain_config, save_tree, versions


class Outcome(types.SimpleNamespace):
    """What is left of a training in a file that was taken along: stands in for ``Run`` there."""

    def save(self, path: str | Path) -> None:
        """Write it to ``path``."""
        torch.save(nets.from_tree(vars(self)), path)

    @classmethod
    def load(cls, path: str | Path) -> "Outcome":
        """Read what ``save`` wrote; no code from the file is run."""
        return cls(**nets.to_tree(torch.load(path, weights_only=True)))


class Session:
    """Counts what a training does and prints how it goes; in a file that was taken along, all there is."""

    def __init__(self, algorithm: str, config: Any, seed: int, parts=None, callback=None, envs=None):
        self.algorithm, self.config, self.seed, self.callback = algorithm, config, seed, callback
        self.parts = {name: f"{part.__module__}:{part.__qualname__}" for name, part in (parts or {}).items()}
        self.envs = rl_envs.make(config.env_id if envs is None else envs, config.num_envs)
        self.episodes, self.metrics, self.stopped = rl_envs.Episodes(self.envs.num_envs), {}, False
        self.rng, self.generator = rl_envs.policy_rng(seed), nets.generator(seed)

    @property
    def steps(self) -> int:
        """Environment steps so far."""
        return self.episodes.steps

    def begin(self, agent: Any, **kept: Any) -> np.ndarray:
        """The first observations (N, ...)."""
        self.agent = agent
        return rl_envs.reset(self.envs, self.seed)

    def running(self, steps: int) -> bool:
        """Whether there is room for ``steps`` more environment steps, and nobody has called ``stop``."""
        return not self.stopped and self.steps + steps <= self.config.total_steps

    def due(self, first: int, every: int) -> bool:
        """Whether it is time for an update: at step ``first``, then every so many steps."""
        done = self.metrics.get("update_step")
        return self.steps >= (done[-1] + every if done else first)

    def updated(self, obs: np.ndarray, **numbers: float) -> None:
        """Take in the diagnostics of an update; ``obs`` (N, ...) is where the training goes on."""
        for name, value in {"update_step": self.steps, **numbers}.items():
            self.metrics.setdefault(name, []).append(float(value))
        self.show()
        if self.callback:
            self.callback(self)

    def show(self) -> None:
        """Print a line now and then."""
        if len(self.metrics["update_step"]) % 100 == 0:
            print(f"step {self.steps}: return {np.mean(self.episodes.returns[-20:] or np.nan):.1f}")

    def stop(self) -> None:
        """End the training here and keep its run."""
        self.stopped = True

    def end(self) -> Run:
        """Close the environments; what the training leaves behind."""
        self.envs.close()
        episodes, config = self.episodes, {**dataclasses.asdict(self.config), **self.parts}
        finished = {"step": episodes.ends, "return": episodes.returns, "length": episodes.lengths}
        metrics = {name: np.array(values) for name, values in {**finished, **self.metrics}.items()}
        about = {"algorithm": self.algorithm, "env_id": self.config.env_id, "config": config}
        return Run(**about, seed=self.seed, metrics=metrics, policy=nets.get_state(self.agent))


def plain_command(train: Callable, load_policy: Callable, config: type, default: Any = None) -> None:
    """Train as the command line says, save the run, print what its policy scores."""

    def main(config: config = default or config(), seed: int = 0, out: Path = Path("run.pt")) -> None:  # noqa: B008
        run = train(config, seed)
        run.save(out)
        scores = rl_envs.evaluate(load_policy(run).act, run.env_id, 30, seed)
        print(f"{run.env_id}, seed {seed}: evaluation {scores.mean():.1f} ± {scores.std():.1f}; saved {out}")

    torch.set_num_threads(1)  # networks this small lose time on a second thread
    tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))


# standalone: Session
class Training(Session):
    """One training of ``algorithm`` (a dotted module name), from its first reset to its ``Run``.

    Args:
        parts: functions that the algorithm was given, by name.
        callback: called with this session after each update: it sees ``steps``, ``agent``, ``metrics`` and
            ``episodes``, and may call ``stop``.
        envs: instead of ``config.env_id``'s a vector environment (NEXT_STEP), or a function that makes one
            environment. env_kwargs: arguments of the environment.
        checkpoint: a file that holds the whole state every ``checkpoint_every`` updates. If it exists the
            training goes on from there, bit for bit. It is removed at the end, unless ``keep_checkpoint``:
            then the same training with a larger ``total_steps`` continues from it.
        log_dir: a folder for ``metrics.csv`` and TensorBoard's event files.
        progress: show episodes, return, speed and time left: a bar on a terminal, else a line now and then.

    Attributes:
        rng, generator: numpy's and torch's random numbers, independent of the environments'.
        episodes, metrics: finished episodes, and what ``updated`` was told, lists by name.
        notes: what a reader of the numbers must know.

    Raises:
        ValueError: there is no such environment, or ``checkpoint_every`` is below 1.
        TypeError: a part is no function or class, or ``config.env_id`` no text.

    Book: start/how_to_use
    """

    def __init__(
        self,
        algorithm: str,
        config: Any,
        seed: int,
        parts: dict[str, Callable] | None = None,
        callback: Callable[["Training"], Any] | None = None,
        envs: Any = None,
        *,
        env_kwargs: dict[str, Any] | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 100,
        keep_checkpoint: bool = False,
        log_dir: str | Path | None = None,
        progress: bool = False,
    ):
        if checkpoint_every < 1:
            raise ValueError(f"a checkpoint is written every 1 or more updates, not every {checkpoint_every}")
        for name, part in (parts or {}).items():
            if not hasattr(part, "__qualname__"):
                raise TypeError(f"{name} must be a function or a class, which has a name; not {part!r}")
        given = config.env_id if envs is None else envs
        if not isinstance(config.env_id, str):
            raise TypeError(f"env_id is an id, a text: hand {config.env_id!r} to train, as envs=")
        made = rl_envs.make(given, config.num_envs, **(env_kwargs or {}))
        super().__init__(algorithm, config, seed, parts, callback, made)
        self.about = {**plain_config(config), **self.parts}
        if env_kwargs:
            self.about["env_kwargs"] = env_kwargs
        self.used, self.env_id = [*(parts or {}).values()], config.env_id
        self.registered = config.env_id if envs is None else ""
        if envs is not None:  # what was given is what the run is of, not what ``config`` says
            given = envs if callable(envs) else type(made.unwrapped)
            self.used.append(given)
            self.env_id = self.about["env_id"] = _name(given)
        self.notes: list[str] = []
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.checkpoint_every, self.keep_checkpoint = checkpoint_every, keep_checkpoint
        self.progress = Progress(config.total_steps, log_dir, progress)

    def begin(self, agent: Any, **kept: Any) -> np.ndarray:
        """The first observations (N, ...); ``kept`` is all that a checkpoint must hold (``nets.get_state``).

        Raises:
            RunFileError: the checkpoint is broken, of another training, or of code that lies in no file.
        """
        obs = super().begin(agent)
        self.kept = {"episodes": self.episodes, "rng": self.rng, "generator": self.generator, **kept}
        self.first = json.dumps(nets.get_state(agent), default=_digest)
        if self.checkpoint and self.checkpoint.exists():
            obs = self._resume(load_tree(self.checkpoint, kind="checkpoint"))
        return obs

    def updated(self, obs: np.ndarray, **numbers: float) -> None:
        """Take in the diagnostics of an update; ``obs`` (N, ...) is where the training goes on."""
        super().updated(obs, **numbers)
        if self.checkpoint and len(self.metrics["update_step"]) % self.checkpoint_every == 0:
            self._save(obs)

    def show(self) -> None:
        """Show and log how it goes, if that was asked for."""
        self.progress.update(self.episodes, {name: values[-1] for name, values in self.metrics.items()})

    def end(self) -> Run:
        """Close the environments; what the training leaves behind. What went wrong in silence is said."""
        updates, returns = len(self.metrics.get("update_step", ())), self.episodes.returns
        if self.checkpoint and self.keep_checkpoint and updates:
            self._save(self.episodes.obs)  # later than those of the last update
        # what is said from here on is true of this run, not of one that continues it
        if not updates:
            self._say("the agent was never updated: total_steps are over before the first update is due")
        elif json.dumps(nets.get_state(self.agent), default=_digest) == self.first:
            self._say("the policy has not changed: is the learning rate 0, or every reward the same?")
        if not returns:
            hint = "max_episode_steps= in its registration, or gymnasium.wrappers.TimeLimit, would"
            self._say(
                f"no episode has ended in {self.steps} steps: does the environment ever end one? {hint}"
            )
        whole = {"env_id": self.env_id, "config": self.about, "notes": self.notes, "digest": self._digest()}
        run = dataclasses.replace(super().end(), **whole)
        self.progress.close()
        if self.checkpoint and not self.keep_checkpoint:
            self.checkpoint.unlink(missing_ok=True)
        return run

    def _say(self, note: str) -> None:
        self.notes.append(note)
        warnings.warn(f"{self.env_id}, seed {self.seed}: {note}", stacklevel=4)

    # ---- checkpoints

    def _digest(self) -> str:
        """Digest of all code that this training runs, as far as it lies in files; empty where it does not."""
        try:
            return provenance.digest(code_files(self.algorithm, *self.used, env_id=self.registered))
        except UnknownCodeError:
            return ""

    def _identity(self) -> dict[str, Any]:
        world = registered(self.registered) if self.registered else None
        about = {"config": self.about, "environment": world, "versions": versions()}
        plain = json.loads(json.dumps(about))
        return {"algorithm": self.algorithm, "seed": self.seed, "code": self._digest(), **plain}

    def _save(self, obs: np.ndarray) -> None:
        """Write the whole state in place of the last one, whole or not at all."""
        try:
            place = {"obs": obs, "state": rl_envs.get_state(self.envs)}
        except NotImplementedError:
            place = None
        state = {name: nets.get_state(part) for name, part in self.kept.items()}
        metrics = {name: np.array(values) for name, values in self.metrics.items()}
        tree = {"state": state, "metrics": metrics, "notes": self.notes, "envs": place}
        save_tree(self.checkpoint, {"identity": self._identity(), **tree}, kind="checkpoint")

    def _resume(self, saved: dict[str, Any]) -> np.ndarray:
        """Go on from a checkpoint; the observations (N, ...) to go on from."""
        ours, theirs = self._identity(), saved["identity"]
        before = theirs["config"]["total_steps"]
        if before < self.config.total_steps:
            theirs["config"]["total_steps"] = self.config.total_steps
        differ = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
        if differ or not ours["code"]:
            reason = (
                f"other {', '.join(differ)}" if differ else "its code lies in no file, and may have changed"
            )
            raise RunFileError(
                f"{self.checkpoint} is the checkpoint of another training ({reason}): delete it or choose "
                "another path"
            )
        for name, part in self.kept.items():
            nets.set_state(part, saved["state"][name])
        self.metrics = {name: values.tolist() for name, values in saved["metrics"].items()}
        self.notes += saved["notes"]
        if before < self.config.total_steps:
            self.notes.append(f"continued at step {self.steps}: schedules are parts of the new total_steps")
        if saved["envs"] is not None:
            rl_envs.set_state(self.envs, saved["envs"]["state"])
            return saved["envs"]["obs"]
        self.notes.append(
            f"resumed at step {self.steps} with fresh episodes: the environment cannot be saved"
        )
        for part in self.kept.values():
            if hasattr(part, "forget_unfinished"):
                part.forget_unfinished()
        return rl_envs.reset(self.envs, self.seed, "training", self.steps)


# standalone: plain_command
def command(
    train: Callable[..., Run],
    load_policy: Callable,
    config: type,
    default: Any = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """The command line of an algorithm: train, save the run, evaluate its policy, print a line.

    ``arguments`` are those of the command line where they are not given. A mistake in them is one line.
    """
    name = (
        train.__module__.rpartition(".")[2]
        if train.__module__ != "__main__"
        else Path(sys.argv[0]).stem.split()[-1]
    )

    def main(
        config: config = default or config(),  # noqa: B008
        seed: int = 0,
        out: Path = Path(f"{name}.npz"),
        log_dir: Path | None = None,
        keep_checkpoint: bool = False,
    ) -> None:
        """Train an agent, print a summary, save the run to ``out``.

        Args:
            config: of the algorithm.
            seed: of all random numbers.
            out: where the run goes; an interrupted training goes on from the checkpoint beside it.
            log_dir: a folder for metrics.csv and TensorBoard's event files.
            keep_checkpoint: keep it at the end, to continue with a larger total_steps.
        """
        options = {"checkpoint": out.with_suffix(".checkpoint.npz"), "keep_checkpoint": keep_checkpoint}
        run = train(config, seed, log_dir=log_dir, progress=True, **options)
        run.save(out)
        returns = run.metrics["return"]
        print(f"{run.env_id}, seed {seed}: {len(returns)} episodes of training; ", end="")
        scores = rl_envs.evaluate(load_policy(run).act, run.env_id, 30, seed)
        print(f"evaluation over 30 episodes {scores.mean():.1f} ± {scores.std():.1f}; saved {out}")
        half = len(returns) // 2
        if half and returns[half:].mean() <= returns[:half].mean():
            means = f"first half {returns[:half].mean():.1f}, second half {returns[half:].mean():.1f}"
            print(f"The return has not improved ({means}): try other seeds, more steps, another lr.")

    torch.set_num_threads(1)  # networks this small lose time on a second thread
    try:
        tyro.cli(main, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
    except (ValueError, ImportError, RunFileError) as error:
        sys.exit(f"{name}: {error}")


def _name(given: Any) -> str:
    """What a class or function that makes an environment is called."""
    while isinstance(given, functools.partial):
        given = given.func
    return f"{given.__module__}:{given.__qualname__}"


def _digest(value: Any) -> str:
    """What stands for an array in a text that only has to differ where arrays do."""
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
