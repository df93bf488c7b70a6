"""Gold, proxies and policies whose means and divergences are known in closed form."""

import math

import numpy as np
import pytest
import torch

from rlworkshop.safety import overoptimization as oo

DRAWS = [0, 1, 2]


def bent(rows=2):
    """A policy that is not the reference."""
    policy = oo.Policy(rows)
    policy.mean[:, :3] = torch.tensor([1.0, -0.5, 2.0])
    policy.log_std[:, 1:3] = torch.tensor([-1.2, 0.3])
    return policy


# ---- random numbers


def test_a_row_draws_the_same_numbers_alone_and_among_others():
    alone, among = oo.Draws([7]), oo.Draws([3, 7])
    for draw in (lambda d: d.normal(4, 2), lambda d: d.uniform(3), lambda d: d.integers(9, 5)):
        assert torch.equal(draw(alone)[0], draw(among)[1])
    with pytest.raises(ValueError, match="at least one seed"):
        oo.Draws([])


# ---- policies


def test_the_divergence_is_that_of_torch_and_of_samples():
    policy, other = bent(), oo.Policy(2)
    other.mean[:, 0], other.log_std[:, 4] = 0.4, 0.2
    normal = [torch.distributions.Normal(p.mean, p.log_std.exp()) for p in (policy, other)]
    exact = torch.distributions.kl_divergence(*normal).sum(dim=1)
    assert torch.allclose(oo.gaussian_kl(policy, other), exact, rtol=1e-5)
    assert not torch.allclose(oo.gaussian_kl(other, policy), exact, rtol=0.1), "the direction matters"
    x = policy.sample(20_000, oo.Draws([0, 1]))
    assert torch.allclose((policy.log_prob(x) - other.log_prob(x)).mean(dim=1), exact, rtol=0.05)
    assert torch.equal(oo.gaussian_kl(policy, policy), torch.zeros(2))


def test_a_shift_by_hand():
    policy = oo.Policy(1)
    policy.mean[0, 0] = 2.0
    assert oo.gaussian_kl(policy, oo.Policy(1)).item() == 2.0  # half of the squared shift


def test_the_gradient_is_that_of_autograd():
    policy, draws = bent(), oo.Draws([0, 1])
    x, weight = policy.sample(50, draws), draws.normal(50)
    slopes = policy.gradient(x, weight)
    leaves = [policy.mean.requires_grad_(), policy.log_std.requires_grad_()]
    found = torch.autograd.grad((weight * policy.log_prob(x)).mean(dim=1).sum(), leaves)
    for ours, theirs in zip(slopes, found, strict=True):
        assert torch.allclose(ours.detach(), theirs, atol=1e-4)


# ---- gold


def test_the_mean_gold_score_is_exact():
    draws = oo.Draws(DRAWS)
    gold, policy = oo.Gold(draws), bent(3)
    sampled = gold(policy.sample(40_000, draws)).mean(dim=1)
    assert torch.allclose(gold.expected(policy), sampled, atol=0.03)
    assert torch.allclose(gold.expected(oo.Policy(3)), torch.zeros(3), atol=1e-5)


def test_gold_is_in_units_of_the_reference():
    draws = oo.Draws(DRAWS)
    spread = oo.Gold(draws, far=0.0)(draws.normal(8000, oo.RESPONSE)).std(dim=1)
    assert torch.allclose(spread, torch.ones(3), atol=0.1)


def test_far_away_a_response_loses_what_far_says():
    near, far = (oo.Gold(oo.Draws(DRAWS), far=f) for f in (0.0, 0.0))
    far.far = 0.5
    x = oo.Draws(DRAWS).normal(6, oo.RESPONSE)
    x = x / (x**2).mean(dim=2, keepdim=True).sqrt() * math.sqrt(2)  # twice the usual squared length
    assert torch.allclose(near(x) - far(x), torch.full((3, 6), 0.5), atol=1e-4)


# ---- answers and proxies


def test_people_prefer_the_better_one_with_the_odds_of_bradley_and_terry():
    left, right = torch.full((2, 40_000), 0.4), torch.zeros(2, 40_000)
    share = oo.answers(left, right, oo.Draws([0, 1]), sharpness=2.0).mean(dim=1)
    assert torch.allclose(share, torch.sigmoid(torch.tensor([0.8, 0.8])), atol=0.01)


def compared(gold, draws, n):
    left, right = draws.normal(n, oo.RESPONSE), draws.normal(n, oo.RESPONSE)
    return left, right, oo.answers(gold(left), gold(right), draws)


def test_proxies_rank_as_the_gold_score_and_are_centred():
    draws = oo.Draws([0, 1])
    gold = oo.Gold(draws)
    proxies = oo.fit_proxies(*compared(gold, draws, 800), draws, members=2, steps=100)
    x = draws.normal(3000, oo.RESPONSE)
    scores, value = proxies(x), gold(x)
    assert scores.shape == (2, 2, 3000)
    assert scores.mean(dim=2).abs().max() < 0.1
    for row in range(2):
        assert np.corrcoef(scores[row, 0], scores[row, 1])[0, 1] < 0.999, "members are no copies"
        for member in scores[row]:
            assert np.corrcoef(member, value[row])[0, 1] > 0.6
    with pytest.raises(ValueError, match="no comparisons"):
        oo.fit_proxies(*compared(gold, draws, 0), draws)


def test_each_member_scores_its_own_row():
    draws = oo.Draws([0, 1])
    proxies = oo.Proxies(draws, members=3)
    x = draws.normal(5, oo.RESPONSE)
    scores = proxies(x)
    again = proxies(x.flip(0)).flip(0)  # another row's networks: other scores
    assert not torch.allclose(scores, again)
    own = x[:, None].expand(-1, 3, -1, -1)
    assert torch.allclose(proxies.own(own), scores)
    w1, b1, w2, b2, w3, b3 = (w[4] for w in proxies.weights)  # row 1, member 1
    by_hand = torch.tanh(torch.tanh(x[1] @ w1 + b1) @ w2 + b2) @ w3 + b3
    assert torch.allclose(by_hand[:, 0], scores[1, 1], atol=1e-5)


def test_conservative_scores():
    scores = torch.tensor([[[1.0, 4.0], [3.0, 4.0]]])  # two members, two responses
    assert oo.worst_case(scores).tolist() == [[1.0, 4.0]]
    assert oo.uncertainty_weighted(scores, 0.5).tolist() == [[1.5, 4.0]]  # variance 1 and 0


# ---- best of n


def test_the_divergence_of_best_of_n_is_exact_for_scores_that_differ():
    n, u = 7, (np.arange(200_000) + 0.5) / 200_000  # ranks from 0 to 1; the best of n has density n u^(n-1)
    density = n * u ** (n - 1)
    assert oo.best_of_n_kl(n) == pytest.approx((density * np.log(density)).mean(), abs=1e-3)
    assert oo.best_of_n_kl(1) == 0


def test_the_divergence_of_best_of_n_is_a_bound_where_scores_are_few():
    p, n = np.array([0.5, 0.3, 0.2]), 5
    above, below = p.cumsum(), p.cumsum() - p
    chosen = above**n - below**n
    exact = (chosen * np.log(chosen / p)).sum()
    assert exact < oo.best_of_n_kl(n)
    assert exact <= -math.log(0.2), "no policy over these three is further away than this"


def test_best_of_n_is_what_drawing_finds():
    rng = np.random.default_rng(0)
    proxy, value = torch.from_numpy(rng.normal(size=(2, 2, 30))).float()
    found = oo.best_of_n(proxy, value, 4)
    for row in range(2):
        picks = np.array([rng.choice(30, 4, replace=False) for _ in range(20_000)])
        best = picks[np.arange(20_000), proxy[row].numpy()[picks].argmax(axis=1)]
        assert found[row].item() == pytest.approx(value[row].numpy()[best].mean(), abs=0.03)
    assert torch.allclose(oo.best_of_n(proxy, value, 1).float(), value.mean(dim=1))
    assert torch.allclose(oo.best_of_n(proxy, proxy, 30).float(), proxy.amax(dim=1))
    with pytest.raises(ValueError, match="pool of 30"):
        oo.best_of_n(proxy, value, 31)


# ---- RL


class Slope:
    """A gold score that is a coordinate: the policy's mean there."""

    def __call__(self, x):
        return x[..., 0]

    def expected(self, policy):
        return policy.mean[:, 0]


def test_rl_climbs_and_all_is_recorded():
    slope = Slope()
    path = oo.optimise(slope, slope, oo.Draws(DRAWS), steps=60, lr=0.05)
    assert path.kl.shape == path.proxy.shape == path.gold.shape == path.logged.shape == (60, 3)
    assert (path.kl[0] == 0).all() and (path.gold[-1] > 1.5).all()
    assert np.allclose(path.proxy[-1], path.gold[-1], atol=0.4)
    assert np.allclose(path.logged[-1], path.kl[-1], rtol=0.2), "the log-ratio estimates the divergence"


def test_the_penalty_stops_where_theory_says():
    """For a score x and a normal reference the optimum is the reference shifted by 1 / beta."""
    slope, beta = Slope(), 0.8
    path = oo.optimise(slope, slope, oo.Draws(DRAWS), beta=beta, steps=400, lr=0.02)
    assert np.allclose(path.gold[-50:].mean(axis=0), 1 / beta, atol=0.12)
    assert np.allclose(path.kl[-50:].mean(axis=0), 0.5 / beta**2, atol=0.2)


def test_values_at_a_distance():
    path = oo.Path(*(np.array([[0.0, 0.0], [1.0, 4.0], [4.0, 1.0]]) for _ in range(4)))
    assert np.allclose(path.distance[:, 0], [0, 1, 2])
    assert np.allclose(path.at([0.5, 2]), [[0.5, 4], [1, 4]])
    assert np.isnan(path.at([3], "proxy")).all()


# ---- reading curves


@pytest.mark.parametrize("form", ["best-of-n", "RL"])
def test_forms_are_recovered(form):
    d = np.linspace(0.2, 5, 40)
    bend = d if form == "best-of-n" else np.log(d)
    alpha, beta, fitted = oo.fit_form(d, d * (1.2 - 0.3 * bend), form)
    assert (alpha, beta) == pytest.approx((1.2, 0.3))
    assert np.allclose(fitted, d * (1.2 - 0.3 * bend))


def test_forms_need_a_name_and_distances():
    for distance, form in (([1.0, 2.0], "PPO"), ([0.0, 1.0], "RL")):
        with pytest.raises(ValueError, match="above 0"):
            oo.fit_form(np.array(distance), np.ones(2), form)


def test_the_ceiling_of_a_normal_score_is_known_and_no_policy_is_above_it():
    """For a normal score it is sqrt(2 KL) standard deviations, as far as a shifted normal comes."""
    scores = 2 * oo.Draws(DRAWS).normal(20_000)
    kl = np.array([0.5, 1.0, 2.0])
    assert np.allclose(oo.ceiling(scores, kl), 2 * np.sqrt(2 * kl), rtol=0.05)
    for n in (2, 8, 32):
        best = oo.best_of_n(scores, scores, n).numpy()
        assert (best < oo.ceiling(scores, np.array([oo.best_of_n_kl(n)]))[:, 0]).all()
