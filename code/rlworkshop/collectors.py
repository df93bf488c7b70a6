"""Collectors: who plays the environments, in this process, in others, or on other machines.

A *worker* has environments of its own and plays them with a policy that it is sent; what comes back is a
*fragment*, T rows of each environment. The three collectors have one interface, ``Collector``, and none of
them needs torch where it plays: a policy travels as plain arrays. What a worker plays hangs on the seed, on
its number, on how often it was replaced and on how many fragments came before, never on who was faster.

Book: robotics/scale
"""

import contextlib
import dataclasses
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from rlworkshop import envs as rl_envs

PATIENCE = 120.0  # seconds to wait for a fragment before something must be wrong
LIVES = 5  # times that workers may die without a fragment in between


class WorkerError(RuntimeError):
    """A worker cannot work: its environment raised an error, or it dies again and again."""


# ------------------------------------------------------------------------------------ what is shipped


@dataclasses.dataclass
class Snapshot:
    """A policy of L linear layers with tanh between them, as plain arrays.

    Book: robotics/scale
    """

    version: int
    """how many updates it has had"""
    weights: list[np.ndarray]
    """of each layer (n_in, n_out)"""
    biases: list[np.ndarray]
    """of each layer (n_out,)"""
    log_std: np.ndarray | None = None
    """(K,) of a normal distribution around the last layer; ``None``: that gives logits of actions"""

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Random actions (N,) or (N, K) at ``obs`` (N, D), and their log-probabilities (N,) float32."""
        x = obs.astype(np.float32)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.tanh(x @ weight + bias)
        out = x @ self.weights[-1] + self.biases[-1]  # (N, A) or (N, K)
        if self.log_std is None:
            top = out.max(axis=1, keepdims=True)
            logps = out - top - np.log(np.exp(out - top).sum(axis=1, keepdims=True))  # (N, A)
            actions = (logps + rng.gumbel(size=out.shape)).argmax(axis=1)
            return actions, logps[np.arange(len(out)), actions].astype(np.float32)
        noise = rng.standard_normal(out.shape)  # (N, K)
        actions = (out + np.exp(self.log_std) * noise).astype(np.float32)
        logp = -(0.5 * noise**2 + self.log_std + 0.5 * np.log(2 * np.pi)).sum(axis=1)
        return actions, logp.astype(np.float32)


@dataclasses.dataclass
class Fragment:
    """T rows of each of N environments, played by one policy; reset rows included, told apart by ``valid``.

    Book: robotics/scale
    """

    obs: np.ndarray  # (T+1, N, D) float32
    actions: np.ndarray  # (T, N) or (T, N, K), as sampled: not clipped
    logp: np.ndarray  # (T, N) float32, log-probabilities under the policy that played
    rewards: np.ndarray  # (T, N) float32
    terminated: np.ndarray  # (T, N) bool
    truncated: np.ndarray  # (T, N) bool
    valid: np.ndarray  # (T, N) bool, False on reset rows
    version: int = 0  # of the policy that played
    worker: int = 0
    life: int = 0  # how many workers had this place before
    number: int = 0  # of this worker's fragments, from 0


def collect(
    envs: gym.vector.VectorEnv,
    policy: Snapshot,
    obs: np.ndarray,
    episodes: rl_envs.Episodes,
    rng: np.random.Generator,
    steps: int,
) -> Fragment:
    """Step ``envs`` on from ``obs`` (N, D) for ``steps`` rows; ``episodes`` counts along.

    Book: robotics/scale
    """
    n, space = envs.num_envs, envs.single_action_space
    fragment = Fragment(
        obs=np.empty((steps + 1, *obs.shape), np.float32),
        actions=np.empty((steps, n, *space.shape), np.int64 if space.shape == () else np.float32),
        logp=np.empty((steps, n), np.float32),
        rewards=np.empty((steps, n), np.float32),
        terminated=np.empty((steps, n), bool),
        truncated=np.empty((steps, n), bool),
        valid=np.empty((steps, n), bool),
        version=policy.version,
    )
    fragment.obs[0] = obs
    # region: rollout
    for t in range(steps):
        fragment.actions[t], fragment.logp[t] = policy.sample(fragment.obs[t], rng)
        action = rl_envs.to_env(envs.action_space, fragment.actions[t])
        obs, reward, fragment.terminated[t], fragment.truncated[t], _ = envs.step(action)
        fragment.obs[t + 1], fragment.rewards[t] = obs, reward
        fragment.valid[t] = episodes.step(obs, reward, fragment.terminated[t], fragment.truncated[t])
    # endregion
    return fragment


# ------------------------------------------------------------------------------------ who plays


@dataclasses.dataclass(frozen=True)
class Work:
    """What each worker plays.

    Book: robotics/scale
    """

    env_id: str | Callable[[], gym.Env]
    """as ``envs.make`` takes it: ``module:Id-v0`` imports the module first, on whatever machine"""
    num_envs: int = 8
    """N, environments of each worker"""
    num_steps: int = 64
    """T, rows of a fragment"""
    seed: int = 0
    """of all random numbers"""

    def __post_init__(self):
        if min(self.num_envs, self.num_steps) < 1:
            raise ValueError("num_envs and num_steps must be at least 1")


class Worker:
    """Environments of one worker, which go on from fragment to fragment.

    Its random numbers are independent of all other workers', and of those of its predecessors in the same
    place.

    Book: robotics/scale
    """

    def __init__(self, work: Work, worker: int = 0, life: int = 0):
        self.work, self.worker, self.life, self.number = work, worker, life, 0
        self.envs = rl_envs.make(work.env_id, work.num_envs)
        self.episodes = rl_envs.Episodes(work.num_envs)
        self.obs = rl_envs.reset(self.envs, work.seed, "training", worker, life)  # (N, D)

    def play(self, policy: Snapshot) -> Fragment:
        """The next fragment."""
        place = self.worker, self.life, self.number
        rng = np.random.default_rng(rl_envs.seeds(self.work.seed, 4, "policy", *place))
        fragment = collect(self.envs, policy, self.obs, self.episodes, rng, self.work.num_steps)
        fragment.worker, fragment.life, fragment.number = place
        self.obs, self.number = fragment.obs[-1], self.number + 1
        return fragment

    def pid(self) -> int:
        """The process that it is in."""
        return os.getpid()


class Collector(Protocol):
    """Workers that are asked for fragments. Close it when done, or use it in ``with``.

    Book: robotics/scale
    """

    workers: int
    """how many there are"""
    deaths: int
    """how many have died and been replaced"""

    def ask(self, worker: int, policy: Snapshot) -> None:
        """Have a worker play its next fragment with ``policy``. Does not wait for it.

        Raises:
            ValueError: there is no such worker, or it has not delivered its last fragment.
        """

    def next(self) -> Fragment:
        """A fragment that was asked for, whichever is ready first.

        Raises:
            WorkerError: an environment raised an error, or workers die again and again.
            TimeoutError: none came in time.
            ValueError: none was asked for.
        """

    def close(self) -> None:
        """End all workers."""


# region: loops
def together(collector: Collector, policy: Snapshot) -> list[Fragment]:
    """Synchronous: a fragment of each worker, all by one policy; all wait for the slowest.

    Book: robotics/scale
    """
    for worker in range(collector.workers):
        collector.ask(worker, policy)
    fragments = [collector.next() for _ in range(collector.workers)]
    return sorted(fragments, key=lambda fragment: fragment.worker)


def stream(collector: Collector, latest: Callable[[], Snapshot]) -> Iterator[Fragment]:
    """Asynchronous: fragments as they come. Who has delivered goes on at once, with the ``latest`` policy.

    Book: robotics/scale
    """
    for worker in range(collector.workers):
        collector.ask(worker, latest())
    while True:
        fragment = collector.next()
        collector.ask(fragment.worker, latest())  # it plays while the learner learns from what it sent
        yield fragment


# endregion


class _Collector:
    """What the collectors share: how many workers there are, who owes a fragment, who has died."""

    def __init__(self, workers: int, work: Work):
        if workers < 1:
            raise ValueError(f"a collector needs at least 1 worker, not {workers}")
        self.workers, self.work, self.deaths, self._in_a_row = workers, work, 0, 0
        self.owed: dict[int, Snapshot] = {}  # what workers were asked to play with, the first one first

    def ask(self, worker: int, policy: Snapshot) -> None:
        """Have a worker play its next fragment with ``policy``. Does not wait for it.

        Raises:
            ValueError: there is no such worker, or it has not delivered its last fragment.
        """
        if not 0 <= worker < self.workers:
            raise ValueError(f"workers are numbered from 0 to {self.workers - 1}, not {worker}")
        if worker in self.owed:
            raise ValueError(f"worker {worker} has not delivered its last fragment: call next first")
        self.owed[worker] = policy
        self._send(worker)

    def next(self) -> Fragment:
        """A fragment that was asked for, whichever is ready first.

        Raises:
            WorkerError, TimeoutError, ValueError: as ``Collector`` says.
        """
        if not self.owed:
            raise ValueError("no worker was asked for a fragment")
        worker, fragment = self._receive()
        del self.owed[worker]
        self._in_a_row = 0
        return fragment

    def _send(self, worker: int) -> None:
        """Tell a worker what it owes."""

    def _died(self, worker: int, why: str) -> None:
        self.deaths, self._in_a_row = self.deaths + 1, self._in_a_row + 1
        if self._in_a_row > LIVES:
            raise WorkerError(
                f"workers have died {self._in_a_row} times without a fragment, worker {worker} at last: does "
                f"{self.work.env_id} crash its process, or is there too little memory?\n{why}"
            )

    def _late(self, seconds: float) -> TimeoutError:
        return TimeoutError(
            f"no fragment within {seconds:g} seconds: raise timeout, or play fewer steps at once; with Ray, "
            "see whether actors wait for CPUs that others hold (num_cpus=0 holds none)"
        )

    def close(self) -> None:
        """End all workers."""

    def __enter__(self):
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class LocalCollector(_Collector):
    """All workers in this process, one after the other: what the other collectors must agree with.

    Book: robotics/scale
    """

    def __init__(self, workers: int, work: Work):
        super().__init__(workers, work)
        self.each = [Worker(work, worker) for worker in range(workers)]

    def _receive(self) -> tuple[int, Fragment]:
        """Play what was asked for first."""
        worker, policy = next(iter(self.owed.items()))
        return worker, self.each[worker].play(policy)


# ------------------------------------------------------------------------------------ other processes


def serve(line: Connection, work: Work, worker: int, life: int) -> None:
    """A worker's process: a fragment for each policy that comes, an error's text for an error."""
    try:
        own = Worker(work, worker, life)
        while True:
            line.send(own.play(line.recv()))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return  # nobody is there any more
    except Exception:
        line.send(traceback.format_exc())


class ProcessCollector(_Collector):
    """Workers in processes of their own on this machine. One that dies is replaced, and asked again.

    A script that makes one has to be guarded by ``if __name__ == "__main__":``, as with all that
    ``multiprocessing`` spawns.

    Args:
        timeout: seconds that ``next`` waits at most.

    Book: robotics/scale
    """

    def __init__(self, workers: int, work: Work, timeout: float = PATIENCE):
        super().__init__(workers, work)
        self.timeout, self.context = timeout, multiprocessing.get_context("spawn")
        self.lines: list[Any] = [None] * workers
        self.processes: list[Any] = [None] * workers
        self.lives = [0] * workers
        for worker in range(workers):
            self._start(worker)

    def _start(self, worker: int) -> None:
        self.lines[worker], theirs = self.context.Pipe()
        place = theirs, self.work, worker, self.lives[worker]
        self.processes[worker] = self.context.Process(target=serve, args=place, daemon=True)
        self.processes[worker].start()
        theirs.close()  # so that we see the end of the line when the worker dies

    def _send(self, worker: int) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # dead: ``_receive`` will see it
            self.lines[worker].send(self.owed[worker])

    def _receive(self) -> tuple[int, Fragment]:
        while ready := wait([self.lines[worker] for worker in self.owed], self.timeout):
            worker = self.lines.index(ready[0])
            try:
                answer = ready[0].recv()
            except (EOFError, ConnectionResetError) as error:
                self._replace(worker, repr(error))
                continue
            if isinstance(answer, str):
                raise WorkerError(f"worker {worker} failed:\n{answer}")
            return worker, answer
        raise self._late(self.timeout)

    def _replace(self, worker: int, why: str) -> None:
        """Another worker in the place of one that has died, asked for what this one owed."""
        self._died(worker, why)
        self.lines[worker].close()
        self.processes[worker].join(1)
        self.lives[worker] += 1
        self._start(worker)
        self._send(worker)

    def pids(self) -> list[int]:
        """The processes of the workers."""
        return [process.pid for process in self.processes]

    def close(self) -> None:
        """End all workers."""
        for line, process in zip(self.lines, self.processes, strict=True):
            line.close()
            process.terminate()
            process.join(5)


# ------------------------------------------------------------------------------------ other machines


def start_ray(address: str | None = None) -> Callable[[], None]:
    """Start Ray on this machine, or join the cluster at ``address``; the answer ends it again.

    A Ray of this machine has no dashboard, reports nothing to anybody, and keeps its files in a folder of
    its own, whose path is short because sockets in it may have no long names.

    Raises:
        ImportError: Ray is not installed.

    Book: robotics/scale
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError("RayCollector needs Ray: pip install 'rlworkshop[scale]'") from error
    if ray.is_initialized():
        return lambda: None  # whoever has started it will end it
    if address is not None:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
        return ray.shutdown
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp" if os.path.isdir("/tmp") else None)
    # that connections need its token, Ray's default, is announced at length
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # workers find what we find
    try:
        ray.init(
            address="local",
            _node_ip_address="127.0.0.1",
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=128 * 2**20,
            _temp_dir=folder,
        )
    finally:
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path

    def end() -> None:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

    return end


class RayCollector(_Collector):
    """Workers as actors of Ray, on this machine or a cluster. One that dies is replaced, and asked again.

    Actors hold no CPU by default: two that held one each would have all of a small machine, and whatever else
    Ray is asked to run would wait for ever.

    Args:
        timeout: seconds that ``next`` waits at most.
        address: of a cluster that runs already, such as ``"auto"``; ``None``: this machine.
        num_cpus: what each actor holds.

    Raises:
        ImportError: Ray is not installed.

    Book: robotics/scale
    """

    def __init__(
        self,
        workers: int,
        work: Work,
        timeout: float = PATIENCE,
        address: str | None = None,
        num_cpus: float = 0,
    ):
        super().__init__(workers, work)
        self.timeout, self.end = timeout, start_ray(address)
        import ray

        self.ray, options = ray, {"num_cpus": num_cpus, "scheduling_strategy": "SPREAD"}
        self.actor = ray.remote(Worker).options(**options)
        self.lives = [0] * workers
        self.actors = [self.actor.remote(work, worker) for worker in range(workers)]
        self.coming: dict[Any, int] = {}  # what is on its way, and from whom

    def _send(self, worker: int) -> None:
        self.coming[self.actors[worker].play.remote(self.owed[worker])] = worker

    def _receive(self) -> tuple[int, Fragment]:
        while ready := self.ray.wait([*self.coming], num_returns=1, timeout=self.timeout)[0]:
            worker = self.coming.pop(ready[0])
            try:
                return worker, self.ray.get(ready[0], timeout=self.timeout)
            except self.ray.exceptions.RayActorError as error:
                self._replace(worker, str(error))
            except self.ray.exceptions.RayTaskError as error:
                raise WorkerError(f"worker {worker} failed:\n{error}") from error
        raise self._late(self.timeout)

    def _replace(self, worker: int, why: str) -> None:
        """Another actor in the place of one that has died, asked for what this one owed."""
        self._died(worker, why)
        self.lives[worker] += 1
        self.actors[worker] = self.actor.remote(self.work, worker, self.lives[worker])
        self._send(worker)

    def pids(self) -> list[int]:
        """The processes of the workers."""
        return self.ray.get([actor.pid.remote() for actor in self.actors], timeout=self.timeout)

    def close(self) -> None:
        """End all workers, and Ray if this collector has started it."""
        for actor in self.actors:
            self.ray.kill(actor)
        self.end()
