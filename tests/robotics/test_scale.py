"""V-trace against its definition, and an actor-critic whose actors lag behind."""

import dataclasses

import numpy as np
import pytest
import torch

from rlworkshop import collectors, envs, nets
from rlworkshop.algorithms import vpg
from rlworkshop.robotics import scale

T, N, GAMMA, LAM = 12, 3, 0.9, 0.8
SMALL = scale.Config(num_envs=4, num_steps=16, total_steps=64 * 6, hidden=(8,))
PUCK = "rlworkshop.robotics.reality_gap:Puck-v0"


def rows(seed: int = 0, ends: bool = True):
    """Rewards, values, ratios, flags of T rows of N environments; an end of each kind where asked for."""
    rng = np.random.default_rng(seed)
    rewards, values = rng.normal(size=(T, N)), rng.normal(size=(T + 1, N))
    ratio = np.exp(rng.normal(size=(T, N)))
    terminated, truncated = np.zeros((T, N), bool), np.zeros((T, N), bool)
    if ends:
        terminated[4, 0] = truncated[6, 1] = terminated[T - 1, 2] = True
    return rewards, values, ratio, terminated, truncated


def by_the_sum(rewards, values, ratio, terminated, truncated, rho_bar, c_bar):
    """Equation 1 of Espeholt et al., term by term."""
    targets = np.empty((T, N))
    for n in range(N):
        for s in range(T):
            total, product = values[s, n], 1.0
            for t in range(s, T):
                after = 0.0 if terminated[t, n] else values[t + 1, n]
                delta = min(rho_bar, ratio[t, n]) * (rewards[t, n] + GAMMA * after - values[t, n])
                total += GAMMA ** (t - s) * product * delta
                if terminated[t, n] or truncated[t, n]:
                    break
                product *= LAM * min(c_bar, ratio[t, n])
            targets[s, n] = total
    return targets


@pytest.mark.parametrize(("rho_bar", "c_bar"), [(1.0, 1.0), (2.0, 0.7), (np.inf, np.inf)])
def test_targets_are_the_sum_that_defines_them(rho_bar, c_bar):
    given = rows()
    targets, _ = scale.vtrace(*given, GAMMA, LAM, rho_bar, c_bar)
    assert targets == pytest.approx(by_the_sum(*given, rho_bar, c_bar))


def test_the_gradient_is_weighted_by_the_target_of_the_next_state():
    given = rewards, values, ratio, terminated, truncated = rows()
    targets, advantages = scale.vtrace(*given, GAMMA, LAM)
    following = np.concatenate([targets[1:], values[-1:]])
    following = np.where(terminated, 0.0, np.where(truncated, values[1:], following))
    expected = np.minimum(1, ratio) * (rewards + GAMMA * following - values[:-1])
    assert advantages == pytest.approx(expected)


@pytest.mark.parametrize("ends", [False, True])
def test_on_policy_the_targets_are_lambda_returns(ends):
    rewards, values, ratio, *flags = rows(ends=ends)
    targets, _ = scale.vtrace(rewards, values, np.ones_like(ratio), *flags, GAMMA, LAM)
    assert targets == pytest.approx(values[:-1] + vpg.gae(rewards, values, *flags, GAMMA, LAM))


def test_on_policy_with_lambda_one_targets_are_n_step_returns_and_advantages_gae():
    rewards, values, ratio, *flags = rows(ends=False)
    targets, advantages = scale.vtrace(rewards, values, np.ones_like(ratio), *flags, GAMMA, 1.0)
    powers = GAMMA ** np.arange(T)
    assert targets[0] == pytest.approx(powers @ rewards + GAMMA**T * values[-1])
    assert advantages == pytest.approx(vpg.gae(rewards, values, *flags, GAMMA, 1.0))


def test_uncorrected_heeds_no_ratio_and_the_unclipped_ones_all_of_it():
    given = rewards, values, ratio, *flags = rows()
    ones = rewards, values, np.ones_like(ratio), *flags
    for found, expected in (
        (scale.uncorrected(*given, GAMMA, LAM), scale.vtrace(*ones, GAMMA, LAM)),
        (scale.unclipped(*given, GAMMA, LAM), scale.vtrace(*given, GAMMA, LAM, 1e9, 1e9)),
        (scale.rho_unclipped(*given, GAMMA, LAM), scale.vtrace(*given, GAMMA, LAM, 1e9, 1.0)),
    ):
        assert found[0] == pytest.approx(expected[0]) and found[1] == pytest.approx(expected[1])


def test_what_was_likelier_for_the_learner_is_not_counted_more_than_once():
    rewards, values, ratio, *flags = rows()
    more = scale.vtrace(rewards, values, np.maximum(1, ratio) * 5, *flags, GAMMA, LAM)
    assert more[0] == pytest.approx(scale.uncorrected(rewards, values, ratio, *flags, GAMMA, LAM)[0])


def test_precision_is_kept():
    given = [x.astype(np.float32) if x.dtype == float else x for x in rows()]
    assert {x.dtype for x in scale.vtrace(*given, GAMMA, LAM)} == {np.dtype(np.float32)}


def tables(S: int = 3, A: int = 2):
    rng = np.random.default_rng(3)
    P, R = rng.dirichlet(np.ones(S), (S, A)), rng.normal(size=(S, A))
    acts, judged = rng.dirichlet(np.ones(A), S), rng.dirichlet(np.ones(A), S)
    return P, R, acts, judged


def value_of(P, R, policy):
    own = np.einsum("sa,sat->st", policy, P)
    return np.linalg.solve(np.eye(len(R)) - GAMMA * own, (policy * R).sum(axis=1))


@pytest.mark.parametrize("rho_bar", [0.3, 1.0, 1.5, 100.0])
def test_what_v_trace_converges_to_is_the_value_of_the_truncated_policy(rho_bar):
    """One step from each state, action and next state, weighed by how often the behaviour makes it."""
    P, R, acts, judged = tables()
    S, A = R.shape
    s, a, t = (x.ravel() for x in np.indices((S, A, S)))
    V, flags = np.zeros(S), np.zeros((1, len(s)), bool)
    weight = acts[s, a] * P[s, a, t]
    for _ in range(800):
        values = np.stack([V[s], V[t]])
        targets, _ = scale.vtrace(
            R[s, a][None], values, (judged / acts)[s, a][None], flags, flags, GAMMA, LAM, rho_bar
        )
        V = np.bincount(s, weight * targets[0])
    truncated = scale.truncated_policy(judged, acts, rho_bar)
    assert pytest.approx(value_of(P, R, truncated), abs=1e-6) == V
    near = np.allclose(value_of(P, R, truncated), value_of(P, R, judged))
    assert near == (rho_bar == 100.0)


def test_a_truncated_policy_is_the_judged_one_or_the_one_that_acts_at_the_two_ends():
    _, _, acts, judged = tables()
    assert scale.truncated_policy(judged, acts, 1e9) == pytest.approx(judged)
    assert scale.truncated_policy(judged, acts, 1e-9) == pytest.approx(acts)
    assert scale.truncated_policy(judged, acts, 1.0).sum(axis=1) == pytest.approx(1)


# ---------------------------------------------------------------- arithmetic of scale


def test_amdahl():
    assert scale.speedup(1, 0.3) == 1 and scale.speedup(10, 1.0) == 10
    assert scale.speedup(2, 0.5) == pytest.approx(4 / 3)
    assert scale.speedup(1e9, 0.95) == pytest.approx(20)


def test_a_pipeline_runs_at_the_pace_of_its_slower_end():
    workers = np.array([1, 4, 10, 20])
    found = scale.fragments_per_second(workers, play=1.0, learn=0.1, overlap=True)
    assert found == pytest.approx([1, 4, 10, 10])
    waiting = scale.fragments_per_second(workers, play=1.0, learn=0.1, overlap=False)
    assert waiting == pytest.approx(workers / (1 + 0.1 * workers)) and (waiting < found).all()
    serial = waiting / waiting[0]
    assert serial == pytest.approx(scale.speedup(workers, 1 / 1.1))


# ---------------------------------------------------------------- learning


def played(config: scale.Config, learns: int = 0):
    """A learner, and a fragment that its policy of ``learns`` updates ago has played."""
    world = envs.make(config.env_id, config.num_envs)
    learner = scale.make_learner(world, config, nets.generator(0))
    obs, rng = envs.reset(world, 0), np.random.default_rng(0)
    sent = scale.snapshot(learner.agent, 0)
    episodes = envs.Episodes(config.num_envs)
    fragment = collectors.collect(world, sent, obs, episodes, rng, config.num_steps)
    for _ in range(learns):
        scale.update(learner, fragment, config)
    return learner, fragment


@pytest.mark.parametrize("env_id", ["CartPole-v1", PUCK])
def test_a_snapshot_is_the_policy_with_its_log_probabilities(env_id):
    learner, fragment = played(dataclasses.replace(SMALL, env_id=env_id))
    obs, actions = torch.from_numpy(fragment.obs[:-1]), torch.from_numpy(fragment.actions)
    with torch.no_grad():
        logp, _ = learner.agent.policy.log_prob(obs.flatten(0, 1), actions.flatten(0, 1))
    assert fragment.logp.ravel() == pytest.approx(logp.numpy(), abs=1e-4)


def test_a_snapshot_does_not_change_with_the_policy():
    learner, fragment = played(SMALL)
    sent = scale.snapshot(learner.agent, 3)
    kept = [x.copy() for x in (*sent.weights, *sent.biases)]
    scale.update(learner, fragment, SMALL)
    assert all(np.array_equal(a, b) for a, b in zip(kept, (*sent.weights, *sent.biases), strict=True))
    now = scale.snapshot(learner.agent, 4)
    assert not np.array_equal(now.weights[0], sent.weights[0]) and (sent.version, now.version) == (3, 4)


def gradients(learner) -> torch.Tensor:
    (group,) = learner.optimizer.param_groups
    return torch.cat([p.grad.flatten() for p in group["params"]])


@pytest.mark.parametrize("learns", [0, 5])
def test_an_update_is_along_the_gradient_of_the_papers_objective(learns):
    config = dataclasses.replace(SMALL, num_steps=60, max_grad_norm=0.0, ent_coef=0.1, lr=0.02, env_id=PUCK)
    config = dataclasses.replace(config, num_steps=160, total_steps=100_000)  # an end in it
    learner, fragment = played(config, learns)
    policy, value = learner.agent.policy, learner.value
    obs, actions = torch.from_numpy(fragment.obs), torch.from_numpy(fragment.actions)
    logp, entropy = policy.log_prob(obs[:-1].flatten(0, 1), actions.flatten(0, 1))
    ratio = np.exp(logp.detach().numpy().reshape(fragment.logp.shape) - fragment.logp)
    V = value(obs).squeeze(-1)
    targets, advantages = scale.vtrace(
        fragment.rewards, V.detach().numpy(), ratio, fragment.terminated, fragment.truncated, 0.99, 1.0
    )
    real = torch.from_numpy(fragment.valid)
    total = 0.0
    for t, n in zip(*np.nonzero(fragment.valid), strict=True):
        index = t * config.num_envs + n
        total = total - logp[index] * float(advantages[t, n]) - 0.1 * entropy[index]
        total = total + 0.5 * (V[t, n] - float(targets[t, n])) ** 2
    (group,) = learner.optimizer.param_groups
    expected = torch.autograd.grad(total / int(real.sum()), group["params"])
    found = scale.update(learner, fragment, config)
    wanted = torch.cat([x.flatten() for x in expected])
    assert torch.allclose(gradients(learner), wanted, rtol=1e-3, atol=1e-4)
    assert (found["ratio"] < 1e-4) == (learns == 0) and not fragment.valid.all()


def test_reset_rows_are_not_learned_from():
    config = dataclasses.replace(SMALL, env_id=PUCK, num_steps=160, total_steps=10_000)
    found = []
    for wrong in (0.0, 50.0):
        learner, fragment = played(config)
        fragment.rewards[~fragment.valid] = fragment.actions[~fragment.valid] = wrong
        found.append(scale.update(learner, fragment, config)["policy_loss"])
    assert found[0] == found[1] and not fragment.valid.all()


def test_the_gradient_is_shortened():
    config = dataclasses.replace(SMALL, max_grad_norm=1e-3)
    learner, fragment = played(config)
    scale.update(learner, fragment, config)
    assert gradients(learner).norm() <= 1.01e-3


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_fragments_are_as_old_as_the_lag_says(lag):
    run = scale.train(dataclasses.replace(SMALL, lag=lag), 0)
    assert run.metrics["lag"].tolist() == [min(lag, k) for k in range(6)]
    # the policy has not moved yet in the first update, whatever the lag, and then has only where there is one
    assert run.metrics["ratio"][0] < 1e-5 and (run.metrics["ratio"][3:] > 1e-5).all() == (lag > 0)


def test_without_lag_corrected_and_uncorrected_are_the_same_training():
    one, two = (
        scale.train(SMALL, 0, targets=targets).metrics["value_loss"]
        for targets in (scale.vtrace, scale.uncorrected)
    )
    assert one == pytest.approx(two, rel=1e-3)
    lagged = dataclasses.replace(SMALL, lag=3, lr=0.03)
    one, two = (
        scale.train(lagged, 0, targets=targets).metrics["value_loss"]
        for targets in (scale.vtrace, scale.uncorrected)
    )
    assert one[-1] != pytest.approx(two[-1], rel=1e-3)


def test_it_learns_to_balance():
    config = scale.Config(num_envs=16, num_steps=32, total_steps=60_000, lr=5e-3, gae_lambda=0.95)
    returns = scale.train(config, 0).metrics["return"]
    assert returns[-20:].mean() > 3 * returns[:20].mean()


def test_a_run_gives_its_policy_back():
    run = scale.train(SMALL, 0)
    agent = scale.load_policy(run)
    assert agent.act(np.zeros((5, 4), np.float32)).shape == (5,)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lag": -1}, "lag not negative"),
        ({"total_steps": 10}, "less than one batch"),
        ({"gae_lambda": 1.5}, "between 0 and 1"),
        ({"lr": 0.0}, "above 0"),
        ({"vf_coef": -1.0}, "not negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **changed)
