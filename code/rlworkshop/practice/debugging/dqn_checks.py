"""Checks of the pieces of somebody's DQN: its loss, its actions, its exploration, its replay buffer.

The networks that the pieces are tried with are tables, so that every gradient is known by hand.

Book: practice/debugging
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from rlworkshop.practice.debugging.checks import Check, Objection, Reviewed, digits, named

PIECES = {
    "loss": "loss(q, target_q, batch, gamma) -> the loss of a batch, one number or one for each transition; "
    "q and target_q are torch modules (B, D) -> (B, A), and batch has the tensors obs (B, D), action (B,), "
    "reward (B,), next_obs (B, D), terminated (B,) and truncated (B,) by name",
    "act": "act(q, obs, epsilon) -> the action for one observation (D,), an array",
    "epsilon": "epsilon(step, total_steps) -> the probability of a random action",
    "make_replay": "make_replay(capacity, obs_size) -> an object with add(obs, action, reward, next_obs, "
    "terminated) and sample(batch_size), which gives these five again, each with a row for each transition",
}
B, A, GAMMA = 6, 3, 0.8


class Batch(NamedTuple):
    """Six transitions; the second and the fifth terminated, the third was cut off."""

    obs: torch.Tensor  # (B, D)
    action: torch.Tensor  # (B,)
    reward: torch.Tensor  # (B,)
    next_obs: torch.Tensor  # (B, D)
    terminated: torch.Tensor  # (B,) bool
    truncated: torch.Tensor  # (B,) bool


def tried() -> tuple[nn.Linear, nn.Linear, Batch]:
    """Two tables of 12 states as networks, and a batch from the first six states to the others.

    All numbers are so small that Huber's loss is a square here.
    """
    rng, tables = np.random.default_rng(3), []
    for _ in range(2):
        table = nn.Linear(2 * B, A, bias=False)
        table.weight.data = torch.from_numpy(rng.uniform(-0.25, 0.25, (A, 2 * B)).astype(np.float32))
        tables.append(table)
    eye, end, cut = torch.eye(2 * B), torch.zeros(B, dtype=torch.bool), torch.zeros(B, dtype=torch.bool)
    end[[1, 4]], cut[2] = True, True
    reward = torch.from_numpy(rng.uniform(-0.3, 0.3, B).astype(np.float32))
    return *tables, Batch(eye[:B], torch.tensor([0, 1, 2, 0, 1, 2]), reward, eye[B:], end, cut)


def slopes(loss: Callable, q: nn.Linear, target_q: nn.Linear, batch: Batch, gamma: float) -> np.ndarray:
    """Gradient (12, A) of somebody's loss with respect to the table ``q``.

    Raises:
        Objection: the loss is neither one number nor one for each transition.
    """
    for net in (q, target_q):
        net.weight.grad = None
    found = loss(q, target_q, batch, gamma)
    if tuple(found.shape) not in ((), (1,), (B,)):
        raise Objection(
            f"a loss of shape {tuple(found.shape)} from a batch of {B}",
            f"one number, or ({B},)",
            "Q of the actions taken has the shape (B, 1) and the targets (B,): their difference is (B, B)",
            "print both shapes in front of the subtraction; take [:, 0] of what gather gives",
        )
    found.mean().backward()
    if q.weight.grad is None:
        raise Objection(
            "no gradient reaches q", "a gradient for each action taken", "q is evaluated under no_grad"
        )
    return q.weight.grad.numpy().T.copy()


def own_errors(reviewed: Reviewed) -> str:
    """Each transition has an error of its own."""
    q, target_q, batch = tried()
    before = slopes(reviewed.piece("loss"), q, target_q, batch, GAMMA)
    other = batch._replace(reward=batch.reward + 0.1 * torch.eye(B)[0])
    moved = np.abs(slopes(reviewed.piece("loss"), q, target_q, other, GAMMA) - before)[1:B].max()
    if moved > 1e-6:
        raise Objection(
            f"a higher reward of transition 0 moves gradients of other transitions, by {moved:.2g}",
            "no change: each value has a target of its own",
            "Q of the actions taken has the shape (B, 1) and the targets (B,): their difference is (B, B), "
            "and every value is drawn to the mean target",
            f"print both shapes in front of the subtraction: each must be ({B},)",
        )
    return "no gradient depends on another transition's reward"


def taken(reviewed: Reviewed) -> str:
    """Only the value of the action taken is moved."""
    q, target_q, batch = tried()
    slope = slopes(reviewed.piece("loss"), q, target_q, batch, GAMMA)[:B]
    slope[np.arange(B), batch.action.numpy()] = 0
    if np.abs(slope).max() > 1e-6:
        raise Objection(
            f"a gradient of {np.abs(slope).max():.2g} at an action that was not taken",
            "0",
            "the target is compared with all actions, or with the best one, not with the one that was taken",
            "pick Q by `gather(1, action[:, None])`, and try a batch with a single transition",
        )
    return "no other action gets a gradient"


def target(reviewed: Reviewed) -> str:
    """The target is the reward plus the discounted best value of the next state, by the target network."""
    q, target_q, batch = tried()
    rows, action, r = np.arange(B), batch.action.numpy(), batch.reward.numpy()
    now, later, online = (w.detach().numpy().T for w in (q.weight, target_q.weight, q.weight))
    end, cut = batch.terminated.numpy(), batch.truncated.numpy()
    mine, later, online = now[rows, action], later[B:], online[B:]

    def errors(gamma: float) -> np.ndarray:
        return slopes(reviewed.piece("loss"), q, target_q, batch, gamma)[rows, action]

    plain = errors(0.0)
    scale = float(plain @ (mine - r) / ((mine - r) @ (mine - r)))  # of the loss: mean or sum, half or whole
    if scale <= 0 or not np.allclose(plain, scale * (mine - r), atol=1e-4 * abs(scale)):
        raise Objection(
            f"with γ = 0, gradients {digits(plain)}",
            f"a multiple of value less reward, {digits(mine - r)}",
            "the sign of the error, or a reward that is changed on its way",
            "call the loss with γ = 0 and one transition: the value must move towards its reward",
        )
    seen, on = mine - errors(GAMMA) / scale, GAMMA * ~end
    best = later.max(axis=1)
    right = r + on * best
    if np.allclose(seen, r + on * later[rows, online.argmax(axis=1)], atol=1e-3) and not np.allclose(
        seen, right, atol=1e-3
    ):
        return "targets of double DQN: q chooses, target_q says what that is worth"
    likely = named(seen, {
        "`terminated` is not asked: a value is added after the end": r + GAMMA * best,
        "`done = terminated or truncated` masks the value: a cut is taken for an end":
            r + GAMMA * ~(end | cut) * best,
        "`truncated` is asked in the place of `terminated`": r + GAMMA * ~cut * best,
        "the mask is turned round: a value is added only after the end": r + GAMMA * end * best,
        "the next state is valued by q itself: target_q is not used": r + on * online.max(axis=1),
        "the value of the action just taken stands for the best one": r + on * later[rows, action],
        "the mean over the actions stands for the best one": r + on * later.mean(axis=1),
        "the smallest value stands for the largest": r + on * later.min(axis=1),
        "γ is missing": r + ~end * best,
        "the reward is masked or discounted together with the value": (r + GAMMA * best) * ~end,
        "the reward is missing": on * best,
        "the present observations are valued in the place of the next ones":
            r + on * target_q.weight.detach().numpy().T[:B].max(axis=1),
    })  # fmt: skip
    if not np.allclose(seen, right, atol=1e-3):
        raise Objection(
            f"targets {digits(seen)}", digits(right), likely or "none of the usual mistakes gives this",
            "compute the targets of these six transitions by hand: the second and fifth terminated, the "
            "third was cut off",
        )  # fmt: skip
    return f"targets {digits(seen)}"


def held(reviewed: Reviewed) -> str:
    """No gradient flows through the target."""
    q, target_q, batch = tried()
    slopes(reviewed.piece("loss"), q, target_q, batch, GAMMA)
    reached = target_q.weight.grad
    through = 0.0 if reached is None else float(reached.abs().max())
    same = float(np.abs(slopes(reviewed.piece("loss"), q, q, batch, GAMMA)[B:]).max())
    if max(through, same) > 1e-6:
        raise Objection(
            f"a gradient of {max(through, same):.2g} at next states",
            "0",
            "the target is computed with its graph: the update also pulls the next state down to the present",
            "wrap the computation of the target in `torch.no_grad()`, or `detach` it",
        )
    return "none at next states"


def schedule(reviewed: Reviewed) -> str:
    """Exploration begins high, never rises, and ends low."""
    found = np.array([float(reviewed.piece("epsilon")(step, 1000)) for step in range(0, 1000, 10)])
    told = f"{found[0]:.2f} at first, {found[-1]:.2f} at last"
    if found.min() < 0 or found.max() > 1:
        likely = "it is no probability: a schedule that is not cut off at its end"
    elif found[0] < 0.5:
        likely = "hardly anything is tried at first"
    elif (np.diff(found) > 1e-9).any():
        likely = "it rises somewhere: what goes on beyond the end of the schedule?"
    elif found[-1] > 0.3:
        likely = "it hardly falls: the fraction is of other steps than those of the training"
    else:
        return told
    raise Objection(told, "from about 1 down to at most 0.3", likely, "plot it over the steps of a training")


def actions(reviewed: Reviewed) -> str:
    """With ε = 0 the best action is taken, with ε = 1 any, and between them in proportion."""
    q, _, batch = tried()
    best = q.weight.detach().numpy().argmax(axis=0)[:B]

    def share(epsilon: float, n: int) -> np.ndarray:
        obs = batch.obs.numpy()[np.arange(n) % B]
        drawn = np.array([int(reviewed.piece("act")(q, one, epsilon)) for one in obs])
        return (drawn - best[np.arange(n) % B]) % A  # 0: the best

    greedy, n = share(0.0, 60), 900
    if (greedy != 0).any():
        raise Objection(
            f"with ε = 0, {(greedy == 0).mean():.0%} best actions", "100 %",
            "ε is not the argument's, or another than the largest value is picked",
            "call it with ε = 0 on one state and compare with q's values",
        )  # fmt: skip
    for epsilon in (1.0, 0.5):
        found, want = np.bincount(share(epsilon, n), minlength=A) / n, np.full(A, epsilon / A)
        want[0] += 1 - epsilon
        if np.abs(found - want).max() > 5 * 0.5 / n**0.5:
            raise Objection(
                f"with ε = {epsilon:g}, shares {digits(found)} of the best action and the others",
                digits(want),
                "the coin is turned round, or random actions leave some out",
                "count the actions of a thousand calls in one state",
            )
    return "shares as they should be at ε = 0, 0.5 and 1"


def drawn(replay: Any, times: int) -> list[np.ndarray]:
    """Rows of a replay buffer, drawn three at a time."""
    batches = [replay.sample(3) for _ in range(times)]
    return [
        np.concatenate([np.asarray(batch[k], float).reshape(3, -1) for batch in batches]) for k in range(5)
    ]


def fill(replay: Any, first: int, last: int) -> Any:
    """Add transitions that can be told apart, from an environment that uses its arrays again."""
    obs, next_obs = np.zeros((2, 2), np.float32)
    for i in range(first, last):
        obs[:], next_obs[:] = i, i + 0.5
        replay.add(obs, i % 2, float(10 * i), next_obs, i % 3 == 0)
    return replay


def rows(reviewed: Reviewed) -> str:
    """What is drawn is what was put in, row by row."""
    obs, action, reward, next_obs, end = drawn(fill(reviewed.piece("make_replay")(5, 2), 1, 6), 40)
    i = reward[:, 0] / 10
    wrong = {
        "obs": np.abs(obs - i[:, None]).max(), "action": np.abs(action[:, 0] - i % 2).max(),
        "next_obs": np.abs(next_obs - i[:, None] - 0.5).max(),
        "terminated": np.abs(end[:, 0] - (i % 3 == 0)).max(),
    }  # fmt: skip
    if bad := [name for name, off in wrong.items() if off > 1e-3]:
        likely = named(next_obs[:, 0] - obs[:, 0], {
            "obs and next_obs are the same array: one is overwritten by the other": 0.0,
            "next_obs belongs to another transition": 1.5,
        })  # fmt: skip
        if len(np.unique(obs)) == 1 and len(np.unique(i)) > 1:
            likely = "the buffer keeps references, not copies: an environment that writes into its array "
            likely += "again changes all that was kept"
        raise Objection(
            f"with reward {reward[0, 0]:g}: obs {obs[0, 0]:g}, next_obs {next_obs[0, 0]:g}, action "
            f"{action[0, 0]:g}, terminated {end[0, 0]:g}",
            f"obs {i[0]:g}, next_obs {i[0] + 0.5:g}, action {i[0] % 2:g}, "
            f"terminated {float(i[0] % 3 == 0):g}",
            likely or f"{' and '.join(bad)} of another transition",
            "add three transitions whose numbers say which they are, and print one draw",
        )
    return f"{len(i)} rows drawn, all of one piece"


def ring(reviewed: Reviewed) -> str:
    """The oldest transitions make room, none is lost before, and nothing is drawn that was never put in."""
    replay = fill(reviewed.piece("make_replay")(5, 2), 1, 4)
    young = {int(r) // 10 for r in drawn(replay, 30)[2][:, 0]}
    full = {int(r) // 10 for r in drawn(fill(replay, 4, 9), 60)[2][:, 0]}
    if young != {1, 2, 3} or full != {4, 5, 6, 7, 8}:
        likely = "the place of the next transition does not go round, or by the wrong number"
        if 0 in young | full:
            likely = "rows that hold nothing yet are drawn: draw from as many as were added"
        elif full > {4, 5, 6, 7, 8}:
            likely = "old transitions are not replaced"
        raise Objection(
            f"of a buffer for 5, after 3 transitions {sorted(young)}, after 8 {sorted(full)}",
            "[1, 2, 3], then the last five, [4, 5, 6, 7, 8]",
            likely, "fill a buffer of 5 with 8 and list what it holds",
        )  # fmt: skip
    return "after 8 in a buffer of 5: 4 … 8"


CHECKS = [
    Check("loss: own errors", "each transition has an error of its own", ("loss",), own_errors),
    Check(
        "loss: taken", "only the value of the action taken is moved",
        ("loss",), taken, ("loss: own errors",),
    ),
    Check(
        "loss: target", "the target is reward plus discounted best next value, by the target network",
        ("loss",), target, ("loss: own errors", "loss: taken"),
    ),
    Check("loss: held", "no gradient flows through the target", ("loss",), held, ("loss: own errors",)),
    Check("act", "ε decides between the best action and any", ("act",), actions),
    Check("epsilon", "exploration begins high, never rises, and ends low", ("epsilon",), schedule),
    Check("replay: rows", "what is drawn is what was put in, row by row", ("make_replay",), rows),
    Check(
        "replay: ring", "the oldest make room, and nothing is drawn that was never there",
        ("make_replay",), ring,
    ),
]  # fmt: skip
"""checks of DQN's pieces, in the order in which faults are to be mended"""
