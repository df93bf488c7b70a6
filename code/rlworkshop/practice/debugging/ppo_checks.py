"""Checks of the pieces of somebody's PPO: advantages, their normalisation, and the two losses.

Book: practice/debugging
"""

import numpy as np
import torch
from torch import nn

from rlworkshop.practice.debugging.checks import Check, Objection, Reviewed, digits, named

PIECES = {
    "gae": "gae(rewards, values, next_values, terminated, truncated, gamma, lam) -> advantages (T, N); all "
    "arrays (T, N), and next_values is what the value function says of where a transition led, at ends, too",
    "normalize": "normalize(advantages) -> the advantages (B,) of a minibatch, as the loss takes them",
    "policy_loss": "policy_loss(logp, old_logp, advantages, clip_range) -> the loss; all tensors (B,)",
    "value_loss": "value_loss(critic, obs, returns) -> the loss, one number; critic is a torch module "
    "(B, D) -> (B, 1), returns (B,) a tensor",
}
GAMMA, LAM = 0.9, 0.7


def double_sum(deltas: np.ndarray, ended: np.ndarray, gamma: float = GAMMA, lam: float = LAM) -> np.ndarray:
    """GAE (T, N) by its definition: the discounted sum of TD errors up to the end of each episode."""
    T, found = len(deltas), np.zeros_like(deltas)
    for t in range(T):
        alive = np.ones(deltas.shape[1])
        for k in range(t, T):
            found[t] += (gamma * lam) ** (k - t) * alive * deltas[k]
            alive = alive * ~ended[k]
    return found


def advantages(reviewed: Reviewed) -> str:
    """Advantages are those of the definition, over ends and cuts, on random batches."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        r, v, later = rng.normal(size=(3, 12, 4))
        end = rng.random((12, 4)) < 0.2
        cut = (rng.random((12, 4)) < 0.2) & ~end
        later[:-1] = np.where(
            (end | cut)[:-1], later[:-1], v[1:]
        )  # within an episode they are one and the same
        seen = np.asarray(reviewed.piece("gae")(r, v, later, end, cut, GAMMA, LAM), float)
        if seen.shape != r.shape:
            raise Objection(
                f"advantages of shape {seen.shape}",
                f"{r.shape}",
                "an axis is lost, or the axes are exchanged",
            )
        following = np.concatenate([v[1:], later[-1:]])

        def sums(ended=end | cut, value=later, on=~end, lam=LAM, r=r, v=v) -> np.ndarray:
            return double_sum(r + GAMMA * on * value - v, ended, GAMMA, lam)

        right, none = sums(), np.zeros_like(end)
        likely = named(seen, {
            "a cut is taken for an end: the value of the last observation is masked": sums(on=~(end | cut)),
            "a value is added after the end: `terminated` is not asked": sums(on=~none),
            "the sum goes on over a cut, into the next episode": sums(ended=end),
            "the sum goes on over ends and cuts, into the next episode": sums(ended=none),
            "at a cut, the first value of the next episode stands for that of the last observation":
                sums(value=following),
            "λ is missing": sums(lam=1.0),
            "the sum is missing: these are the TD errors": sums(lam=0.0),
            "the values are not subtracted: these are returns": right + v,
            "ends are filed a step late": sums(
                np.roll(end | cut, 1, axis=0), on=~np.roll(end, 1, axis=0)),
        })  # fmt: skip
        if not np.allclose(seen, right, atol=1e-4):
            t, n = np.unravel_index(np.abs(seen - right).argmax(), seen.shape)
            raise Objection(
                f"{seen[t, n]:.3f} at step {t} of episode column {n}", f"{right[t, n]:.3f}",
                likely or "none of the usual mistakes gives this",
                "write the double sum of the definition and compare, on batches with both kinds of ends",
            )  # fmt: skip
    return "equal to the double sum on three random batches"


def normalized(reviewed: Reviewed) -> str:
    """Normalised advantages have mean 0 and deviation 1, and a batch that cannot be normalised survives."""
    normalize, some = reviewed.piece("normalize"), torch.tensor([1.0, 2.0, 4.0, 9.0])
    found = np.asarray(normalize(some.clone()), float)
    off = np.abs(found - (some.numpy() - 4) / np.sqrt(9.5)).max()  # with n; torch's own divides by n - 1
    unbiased = np.abs(found - (some.numpy() - 4) / some.numpy().std(ddof=1)).max()
    if min(off, unbiased) > 1e-3:
        raise Objection(
            f"{digits(found)} of 1, 2, 4, 9: mean {found.mean():.2g}, deviation {found.std():.2g}",
            "mean 0, deviation 1", "the mean or the deviation of another axis, or of another batch",
            "try it on four numbers",
        )  # fmt: skip
    for what, batch in {"of one": torch.tensor([3.0]), "of equal numbers": torch.full((4,), 3.0)}.items():
        if not np.isfinite(np.asarray(normalize(batch), float)).all():
            raise Objection(
                f"nan from a batch {what}", "finite numbers",
                "a deviation of 0, or of fewer than two numbers: every weight becomes nan in one step",
                "add 1e-8 to the deviation, and leave fewer than two numbers as they are",
            )  # fmt: skip
    return "mean 0, deviation 1; batches of one and of equal numbers survive"


def clipped(reviewed: Reviewed) -> str:
    """A push ends where the ratio has moved far enough, and nowhere else."""
    ratio = np.array([1.0, 1.1, 1.5, 0.5, 1.0, 0.9, 1.5, 0.5])
    gain, eps = np.array([2.0, 2, 2, 2, -2, -2, -2, -2]), 0.2
    old = torch.full((8,), -1.0)
    logp = (old + torch.from_numpy(np.log(ratio).astype(np.float32))).requires_grad_()
    loss = reviewed.piece("policy_loss")(logp, old, torch.from_numpy(gain.astype(np.float32)), eps)
    if loss.numel() != 1:
        raise Objection(
            f"a loss of shape {tuple(loss.shape)}", "one number", "an axis was kept: (B, 1) and (B,)"
        )
    loss.sum().backward()
    seen = -logp.grad.numpy()
    inside = np.where(gain > 0, ratio <= 1 + eps, ratio >= 1 - eps)
    right = ratio * gain * inside
    within = (ratio >= 1 - eps) & (ratio <= 1 + eps)
    pushes = seen / (seen[0] / 2) if seen[0] else seen  # up to a factor: mean or sum
    turned = np.where(gain > 0, 1 / ratio <= 1 + eps, 1 / ratio >= 1 - eps)
    likely = named(pushes, {
        "nothing is clipped": ratio * gain,
        "the ratio is clipped and the minimum is missing: what moved the wrong way finds no way back":
            ratio * gain * within,
        "the maximum stands for the minimum":
            ratio * gain * np.where(gain > 0, ratio >= 1 - eps, ratio <= 1 + eps),
        "there is no ratio: this is the plain policy gradient": gain,
        "the ratio is turned round, old over new": gain / ratio * turned,
        "the minus sign is missing: optimisers minimise": right,
    })  # fmt: skip
    if not seen.any():
        likely = "both log-probabilities are of the present policy: the ratio is 1 whatever the policy does"
    if seen[0] <= 0 or not np.allclose(pushes, right, atol=1e-3):
        raise Objection(
            f"pushes {digits(seen)} at ratios {digits(ratio)}, advantages 2 and -2",
            f"a multiple of {digits(right)}", likely or "none of the usual mistakes gives this",
            "draw the objective over the ratio, for an advantage above 0 and one below",
        )  # fmt: skip
    return f"pushes in the proportion {digits(right)}"


def own_values(reviewed: Reviewed) -> str:
    """Each value is drawn to its own return."""
    critic, obs = nn.Linear(6, 1, bias=False), torch.eye(6)
    critic.weight.data = torch.linspace(-1, 1, 6)[None]
    returns, found = torch.tensor([0.3, -0.2, 0.9, 0.0, -0.8, 0.4]), []
    for shift in (0.0, 0.5):
        critic.weight.grad = None
        reviewed.piece("value_loss")(critic, obs, returns + shift * obs[0]).mean().backward()
        found.append(critic.weight.grad.numpy()[0].copy())
    moved, error = np.abs(found[1] - found[0])[1:].max(), np.linspace(-1, 1, 6) - returns.numpy()
    if moved > 1e-6:
        raise Objection(
            f"a higher return of transition 0 moves gradients of other transitions, by {moved:.2g}",
            "no change: each value has a return of its own",
            "the critic gives (B, 1) and the returns are (B,): their difference is (B, B), and every value "
            "is drawn to the mean return",
            "squeeze the critic's last axis, and print both shapes in front of the subtraction",
        )
    scale = float(found[0] @ error / (error @ error))
    if scale <= 0 or not np.allclose(found[0], scale * error, atol=1e-3 * abs(scale)):
        raise Objection(
            f"gradients {digits(found[0])}", f"a multiple of value less return, {digits(error)}",
            "the sign of the error, or returns that are changed on their way",
            "call it with one transition: the value must move towards its return",
        )  # fmt: skip
    return "no gradient depends on another transition's return"


CHECKS = [
    Check("gae", "advantages are those of the definition, over ends and cuts", ("gae",), advantages),
    Check("normalize", "advantages get mean 0 and deviation 1, and no nan", ("normalize",), normalized),
    Check(
        "policy loss", "who is pushed, and how hard, is as the clipped objective says",
        ("policy_loss",), clipped,
    ),
    Check("value loss", "each value is drawn to its own return", ("value_loss",), own_values),
]  # fmt: skip
"""checks of PPO's pieces, in the order in which faults are to be mended"""
