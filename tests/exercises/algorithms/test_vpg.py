"""Plausible wrong answers to the exercises of the vanilla policy gradient, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop import check, exercises
from rlworkshop.algorithms import vpg as algorithm
from rlworkshop.exercises.algorithms import vpg

# ---- score


def only_the_chosen_logit(logits, actions):
    return np.eye(logits.shape[1])[actions]


def downhill(logits, actions):
    return -vpg.score(logits, actions)


def of_the_probability(logits, actions):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p[np.arange(len(p)), actions][:, None] * (np.eye(logits.shape[1])[actions] - p)


def uniform_baseline(logits, actions):
    exact = vpg.score(logits, actions)
    return exact if len(logits) == 1 else np.eye(logits.shape[1])[actions] - 1 / logits.shape[1]


def softmax_over_the_batch(logits, actions):
    powers = np.exp(logits - logits.max())
    p = powers / powers.sum(axis=0 if len(set(map(tuple, logits))) > 1 else 1, keepdims=True)
    return np.eye(logits.shape[1])[actions] - p


def overflows(logits, actions):
    powers = np.exp(logits)
    return np.eye(logits.shape[1])[actions] - powers / powers.sum(axis=1, keepdims=True)


# ---- reward-to-go


def the_past(rewards, ends, gamma):
    return np.cumsum(rewards, axis=0)


def whole_return(rewards, ends, gamma):
    return np.broadcast_to(rewards.sum(axis=0), rewards.shape).copy()


def without_discount(rewards, ends, gamma):
    return vpg.reward_to_go(rewards, ends, 1.0)


def discount_from_the_start(rewards, ends, gamma):
    weights = gamma ** np.arange(len(rewards))[:, None]
    return np.cumsum((weights * rewards)[::-1], axis=0)[::-1]


def over_the_end(rewards, ends, gamma):
    return vpg.reward_to_go(rewards, np.zeros_like(ends), gamma)


def one_row_early(rewards, ends, gamma):
    returns, running = np.zeros_like(rewards), np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        after = ends[t + 1] if t + 1 < len(rewards) and len(rewards) > 3 else ends[t]
        returns[t] = running = rewards[t] + gamma * ~after * running
    return returns


def ends_for_all(rewards, ends, gamma):
    return vpg.reward_to_go(rewards, np.repeat(ends.any(axis=1, keepdims=True), ends.shape[1], 1), gamma)


def unfinished_gets_nothing(rewards, ends, gamma):
    known = np.cumsum(ends[::-1], axis=0)[::-1] > 0
    return np.where(known, vpg.reward_to_go(rewards, ends, gamma), 0.0)


def fills_the_rewards(rewards, ends, gamma):
    for t in reversed(range(len(rewards) - 1)):
        rewards[t] += gamma * ~ends[t] * rewards[t + 1]
    return rewards


# ---- λ-returns


def through_advantages(rewards, values, terminated, truncated, gamma, lam):
    return algorithm.gae(rewards, values, terminated, truncated, gamma, lam)


def dial_turned_round(rewards, values, terminated, truncated, gamma, lam):
    return vpg.lambda_return(rewards, values, terminated, truncated, gamma, 1 - lam)


def worth_after_the_end(rewards, values, terminated, truncated, gamma, lam):
    return vpg.lambda_return(rewards, values, np.zeros_like(terminated), terminated | truncated, gamma, lam)


def cut_is_over(rewards, values, terminated, truncated, gamma, lam):
    return vpg.lambda_return(rewards, values, terminated | truncated, truncated, gamma, lam)


def half_a_value_at_the_cut(rewards, values, terminated, truncated, gamma, lam):
    returns, running = np.zeros_like(rewards), values[-1]
    for t in reversed(range(len(rewards))):
        ahead = (1 - lam) * values[t + 1] + lam * ~truncated[t] * running
        returns[t] = running = rewards[t] + gamma * ~terminated[t] * ahead
    return returns


def nothing_after_the_batch(rewards, values, terminated, truncated, gamma, lam):
    values = np.append(values[:-1], 0 * values[-1:], axis=0) if not (terminated | truncated).any() and (
        0 < lam < 1) else values  # fmt: skip
    return vpg.lambda_return(rewards, values, terminated, truncated, gamma, lam)


def begins_with_zero(rewards, values, terminated, truncated, gamma, lam):
    returns, running = np.zeros_like(rewards), np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        ahead = np.where(truncated[t], values[t + 1], (1 - lam) * values[t + 1] + lam * running)
        returns[t] = running = rewards[t] + gamma * ~terminated[t] * ahead
    return returns


def flows_over_the_cut(rewards, values, terminated, truncated, gamma, lam):
    returns, running = np.zeros_like(rewards), values[-1]
    for t in reversed(range(len(rewards))):
        ahead = (1 - lam) * values[t + 1] + lam * running
        ahead = np.where(truncated[t] & (t == len(rewards) - 1), values[t + 1], ahead)
        returns[t] = running = rewards[t] + gamma * ~terminated[t] * ahead
    return returns


# ---- the policy's loss


def uphill(logp, advantages, valid):
    return (logp[valid] * advantages.detach()[valid]).mean()


def divided_by_all(logp, advantages, valid):
    return -(logp * advantages.detach())[valid].sum() / valid.numel()


def resets_and_all(logp, advantages, valid):
    return -(logp * advantages.detach()).mean()


def summed(logp, advantages, valid):
    return -(logp[valid] * advantages.detach()[valid]).sum()


def masked_by_multiplying(logp, advantages, valid):
    return -(logp * advantages.detach() * valid).sum() / valid.sum()


def masked_by_where(logp, advantages, valid):
    return -torch.where(valid, logp * advantages.detach(), 0).sum() / valid.sum()


def trains_the_judge(logp, advantages, valid):
    return -(logp[valid] * advantages[valid]).mean()


def normalised_again(logp, advantages, valid):
    return -(logp[valid] * algorithm.normalize(advantages.detach()[valid])).mean()


def detached(logp, advantages, valid):
    return vpg.masked_policy_loss(logp.detach(), advantages, valid) + 0 * advantages[valid].sum()


def a_plain_number(logp, advantages, valid):
    return vpg.masked_policy_loss(logp, advantages, valid).item()


# ---- the estimator to mend


def _mended(read):
    def gae(rewards, values, terminated, truncated, gamma, lam):
        advantages, running = np.zeros_like(values[:-1]), np.zeros_like(values[0])
        for t in reversed(range(len(rewards))):
            alive, flows = read(terminated, truncated, t)
            delta = rewards[t] + gamma * values[t + 1] * alive - values[t]
            advantages[t] = running = delta + gamma * lam * flows * running
        return advantages

    return gae


def _after(flags, t):
    return flags[min(t + 1, len(flags) - 1)]


too_far = _mended(lambda over, cut, t: (~over[t - 1], ~(over[t - 1] | cut[t - 1])))
only_the_value = _mended(lambda over, cut, t: (~over[t], ~(_after(over, t) | _after(cut, t))))
cut_as_a_fall = _mended(lambda over, cut, t: 2 * (~(over[t] | cut[t]),))
only_falls_stop = _mended(lambda over, cut, t: 2 * (~over[t],))

# ---- the test to write


def always(estimator):
    return True


def never(estimator):
    return False


def _detector(zeros=False, over=True, cut=True, tolerance=1e-4, goes_on=True, kind=bool):
    """The solution with something left out; ``goes_on=False``: no row follows the ends."""

    def is_broken(estimator):
        rng = np.random.default_rng(0)
        rewards, values = rng.normal(size=(12, 3)), (not zeros) * rng.normal(size=(13, 3))
        last = 5 if goes_on else 11
        terminated, truncated = np.zeros((2, 12, 3), bool)
        terminated[last, 0], truncated[last, 1] = over, cut
        returns = estimator(rewards, values, terminated, truncated, 0.9, 1.0) + values[:-1]
        worst = 0.0
        for i, end in enumerate((last if over else 11, last if cut else 11, 11)):
            collected = 0.0 if terminated[end, i] else values[end + 1, i]
            for t in reversed(range(end + 1)):
                collected = rewards[t, i] + 0.9 * collected
                worst = max(worst, abs(returns[t, i] - collected))
        return kind(worst > tolerance)

    return is_broken


WRONG = {
    "vpg-score": [
        (only_the_chosen_logit, "gradient of z_a alone"),
        (downhill, "sign is turned round"),
        (of_the_probability, "not of log π(a)"),
        (uniform_baseline, "same for every action"),
        (softmax_over_the_batch, "over the batch"),
        (overflows, "overflows"),
    ],
    "vpg-reward-to-go": [
        (the_past, "*before* each step"),
        (whole_return, "whole episode"),
        (without_discount, "gamma is not used"),
        (discount_from_the_start, "counts from the first row"),
        (over_the_end, "`ends` is not looked at"),
        (one_row_early, "one row early"),
        (ends_for_all, "cuts the sums of all"),
        (unfinished_gets_nothing, "that the batch cuts off get nothing"),
        (fills_the_rewards, "changes its argument `rewards`"),
    ],
    "vpg-lambda-return": [
        (through_advantages, "these are advantages"),
        (dial_turned_round, "mixed up"),
        (worth_after_the_end, "terminal state is given a value"),
        (cut_is_over, "treated as termination"),
        (half_a_value_at_the_cut, "only (1 − λ) of the value"),
        (nothing_after_the_batch, "treated as over"),
        (begins_with_zero, "begins with 0"),
        (flows_over_the_cut, "flows back over an end that is `truncated`"),
    ],
    "vpg-policy-loss": [
        (uphill, "sign is turned round"),
        (summed, "this is a sum"),
        (resets_and_all, "`valid` is not looked at"),
        (divided_by_all, "number of all rows"),
        (masked_by_multiplying, "makes the loss nan"),
        (masked_by_where, "its gradient is nan"),
        (trains_the_judge, "flows into the advantages"),
        (normalised_again, "normalised first"),
        (detached, "is logp detached?"),
        (a_plain_number, "it is a float"),
    ],
    "vpg-mend-gae": [
        (too_far, "one row too late"),
        (only_the_value, "the flow is cut one row too early"),
        (cut_as_a_fall, "treated as a fall"),
        (only_falls_stop, "what follows a time limit flows back"),
    ],
    "vpg-is-broken": [
        (always, "always rings"),
        (never, "compares a state with itself"),
        (_detector(zeros=True), "compares a state with itself"),
        (_detector(tolerance=1e-12), "rounds to float32"),
        (_detector(over=False), "gives a terminal state a value"),
        (_detector(cut=False), "time limit as a fall"),
        (_detector(goes_on=False), "next episode flow back"),
        (_detector(kind=int), "returns a int"),
    ],
}


def test_the_stub_of_the_estimator_to_mend_runs_and_is_told_what_is_wrong():
    space: dict = {}
    exec(exercises.find("vpg-mend-gae").stub, space)
    with pytest.raises(check.Wrong, match="felt one row too early"):
        exercises.find("vpg-mend-gae").check(space["gae"])


@pytest.mark.parametrize("seed", range(5))
def test_the_lambda_return_is_advantage_plus_value(seed):
    """Against the chapter's own estimator, which was tested on its own."""
    *batch, valid = vpg._random_batch(np.random.default_rng(seed))
    expected = algorithm.gae(*batch, 0.95, 0.8) + batch[1][:-1]
    found = vpg.lambda_return(*batch, 0.95, 0.8)
    assert np.allclose(found[valid], expected[valid])
    assert np.allclose(vpg._by_definition(*batch, valid, 0.95, 0.8)[valid], expected[valid])


def test_the_mended_estimator_is_the_chapters_own():
    *batch, _ = vpg._random_batch(np.random.default_rng(9))
    assert np.array_equal(vpg.gae(*batch, 0.95, 0.8), algorithm.gae(*batch, 0.95, 0.8))


def test_whole_numbers_and_flags_of_0_and_1_do_no_harm():
    rewards, values = np.ones((3, 1), int), np.array([[5], [3], [2], [4]])
    over, cut = np.array([[0], [0], [1]]), np.zeros((3, 1), int)
    assert vpg.reward_to_go(rewards, over, 0.5).ravel().tolist() == [1.75, 1.5, 1.0]
    for solution in (vpg.lambda_return, vpg.gae):
        found = solution(rewards, values, over, cut, 0.5, 0.5)
        floats = rewards.astype(float), values.astype(float), over > 0, cut > 0
        assert np.array_equal(found, solution(*floats, 0.5, 0.5)) and (found % 1 != 0).any()
