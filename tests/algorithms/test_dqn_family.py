"""The DQN family: every part against brute force or a closed form, then the members."""

import copy
import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs, nets
from rlworkshop.algorithms import dqn
from rlworkshop.algorithms import dqn_family as family
from rlworkshop.envs import probes
from rlworkshop.replay import Transitions
from rlworkshop.runs import run as run_files

SMALL = family.FamilyConfig(
    env_id="LongChain-v0", num_envs=3, total_steps=250, learning_starts=60, buffer_size=150, train_freq=40,
    gradient_steps=6, target_update_interval=15, batch_size=8, hidden=(8,), n=3, atoms=7, v_min=-1.0,
    v_max=2.0,
)  # fmt: skip


def some_batch(rng, B, D=4, A=3):
    return Transitions(
        rng.normal(size=(B, D)).astype(np.float32),
        rng.integers(A, size=B),
        rng.normal(size=B).astype(np.float32),
        rng.normal(size=(B, D)).astype(np.float32),
        (0.9 * (rng.random(B) < 0.7)).astype(np.float32),
    )


def learner_of(make_q, config=SMALL, seed=0, A=3, D=4):
    """A learner whose network and target network differ."""
    box, actions = gym.spaces.Box(-1, 1, (D,)), gym.spaces.Discrete(A)
    one, two = (make_q(box, actions, config, torch.Generator().manual_seed(seed + i)) for i in range(2))
    agent = dqn.Agent(one, None, box, actions)
    return dqn.Learner(agent, two.requires_grad_(False), torch.optim.Adam(one.parameters(), 1e-3))


# ---------------------------------------------------------------- double


def test_the_double_target_by_hand():
    online = torch.tensor([[1.0, 5.0, 2.0], [3.0, 0.0, 1.0]])
    target = torch.tensor([[9.0, 4.0, 7.0], [2.0, 8.0, 6.0]])
    reward, discount = torch.tensor([1.0, 10.0]), torch.tensor([0.5, 0.0])
    # the network prefers action 1, which the target network takes to be worth 4; plain DQN would take its 9
    assert family.double_target(reward, discount, online, target).tolist() == [3.0, 10.0]
    assert dqn.td_target(reward, discount, target).tolist() == [5.5, 10.0]


def test_the_double_target_is_plain_where_both_networks_agree_and_never_above_it():
    q = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    other = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    reward, discount = torch.arange(50.0), torch.full((50,), 0.9)
    plain = dqn.td_target(reward, discount, q)
    assert torch.equal(family.double_target(reward, discount, q, q), plain)
    double = family.double_target(reward, discount, other, q)
    assert (double <= plain).all() and (double < plain).any()


def test_double_errors_use_each_network_for_its_part():
    learner, batch = learner_of(dqn.make_q), some_batch(np.random.default_rng(0), 20)
    q, other = (
        net(torch.from_numpy(batch.next_obs)).detach().numpy() for net in (learner.agent.q, learner.target)
    )
    picked = other[np.arange(20), q.argmax(axis=1)]
    now = learner.agent.q(torch.from_numpy(batch.obs)).detach().numpy()[np.arange(20), batch.action]
    want = now - (batch.reward + batch.discount * picked)
    assert (q.argmax(axis=1) != other.argmax(axis=1)).any()
    found = family.double_errors(learner, batch)
    assert np.allclose(found.detach().numpy(), want, atol=1e-5)
    assert np.allclose(family.double_losses(learner, batch, SMALL).detach().numpy(), want**2 / 2, atol=1e-5)
    found.sum().backward()  # the gradient is that of Q of the actions taken, and nothing else
    grads = [p.grad.clone() for p in learner.agent.q.parameters()]
    learner.agent.q.zero_grad()
    obs, action = torch.from_numpy(batch.obs), torch.from_numpy(batch.action)
    learner.agent.q(obs).gather(1, action[:, None]).sum().backward()
    assert all(torch.allclose(g, p.grad) for g, p in zip(grads, learner.agent.q.parameters(), strict=True))


@pytest.mark.parametrize(
    ("make_q", "losses"),
    [
        (dqn.make_q, family.double_losses),
        (family.categorical_q, family.categorical_losses),
        (family.dueling_categorical_q, family.double_categorical_losses),
    ],
)
def test_no_gradient_flows_through_the_target_even_when_the_networks_are_one(make_q, losses):
    learner, batch, gradients = learner_of(make_q), some_batch(np.random.default_rng(0), 20), []
    frozen = copy.deepcopy(learner.agent.q).requires_grad_(False)
    for target in (frozen, learner.agent.q):
        learner.target = target
        learner.agent.q.zero_grad()
        losses(learner, batch, SMALL).sum().backward()
        gradients.append([p.grad.clone() for p in learner.agent.q.parameters()])
    assert all(map(torch.equal, *gradients))


# ---------------------------------------------------------------- dueling


def test_a_duel_by_hand():
    value, advantage = torch.tensor([[10.0]]), torch.tensor([[1.0, 2.0, 6.0]])
    assert family.duel(value, advantage).tolist() == [[8.0, 9.0, 13.0]]


def test_the_mean_of_a_duel_is_the_value_whatever_is_added_to_the_advantages():
    g = torch.Generator().manual_seed(0)
    value, advantage = torch.randn(9, 1, generator=g), torch.randn(9, 4, generator=g)
    q = family.duel(value, advantage)
    assert torch.allclose(q.mean(dim=1, keepdim=True), value, atol=1e-6)
    assert torch.allclose(family.duel(value, advantage + 7), q, atol=1e-5)
    assert torch.allclose(q[:, 0] - q[:, 2], advantage[:, 0] - advantage[:, 2], atol=1e-6)


def test_a_dueling_network_learns_of_all_actions_from_one():
    net = learner_of(family.dueling_q).agent.q
    obs = torch.randn(1, 4, generator=torch.Generator().manual_seed(3))
    before = net(obs).detach()
    with torch.no_grad():
        net.value[0].bias += 1.0
    assert torch.allclose(net(obs), before + 1, atol=1e-6)
    heads = net.body(obs)
    assert torch.allclose(net(obs), family.duel(net.value(heads), net.advantage(heads)))
    for make_q in (family.dueling_q, family.dueling_categorical_q):  # what the heads share is rectified
        net = learner_of(make_q).agent.q
        features = getattr(net, "logits", net).body(torch.randn(50, 4, generator=torch.Generator()))
        assert (features >= 0).all() and (features == 0).any()


@pytest.mark.parametrize("make_q", [family.dueling_q, family.categorical_q, family.dueling_categorical_q])
def test_networks_have_rectifiers_and_heads_that_prefer_no_atom(make_q):
    net = learner_of(make_q, dataclasses.replace(SMALL, hidden=(8, 6))).agent.q
    assert not any(isinstance(layer, torch.nn.Tanh) for layer in net.modules())
    shapes = [tuple(p.shape) for p in net.parameters() if p.ndim == 2]
    assert shapes[:2] == [(8, 4), (6, 8)] and {shape[1] for shape in shapes[2:]} == {6}
    if make_q is not family.dueling_q:
        for head in [p for p in net.parameters() if p.ndim == 2][2:]:  # orthogonal columns or rows
            assert torch.allclose(torch.linalg.svdvals(head), torch.full((6,), 0.1), atol=1e-5)


@pytest.mark.parametrize("make_q", [family.dueling_q, family.dueling_categorical_q])
def test_a_dueling_network_without_a_body_is_refused(make_q):
    with pytest.raises(ValueError, match="needs a hidden layer"):
        learner_of(make_q, dataclasses.replace(SMALL, hidden=()))


@pytest.mark.parametrize("make_q", [family.dueling_q, family.categorical_q, family.dueling_categorical_q])
def test_pictures_are_refused(make_q):
    box = gym.spaces.Box(0, 1, (4, 4, 2))
    with pytest.raises(ValueError, match="one axis"):
        make_q(box, gym.spaces.Discrete(2), SMALL, torch.Generator())


# ---------------------------------------------------------------- the sum tree


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_sum_tree_against_a_running_sum(data):
    capacity = data.draw(st.integers(1, 40))
    tree, numbers = family.SumTree(capacity), np.zeros(capacity)
    for _ in range(data.draw(st.integers(1, 5))):
        rows = data.draw(st.lists(st.integers(0, capacity - 1), min_size=1, max_size=12, unique=True))
        values = data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows)))
        tree[np.array(rows)] = np.array(values, float)
        numbers[rows] = values
    assert np.array_equal(tree[:], numbers) and tree.total == numbers.sum()
    assert tree.leaves / 2 < capacity <= tree.leaves == len(tree.nodes) / 2  # no larger than it must be
    assert tree.nodes[0] == 0  # which is nobody's child
    if tree.total:
        mass = np.arange(4 * int(tree.total)) / 4  # whole numbers: no rounding, every edge is hit
        assert np.array_equal(tree.find(mass), np.searchsorted(np.cumsum(numbers), mass, side="right"))


def test_of_a_row_given_twice_the_sums_fit_what_stands_there():
    tree = family.SumTree(6)
    tree[np.array([2, 5, 2])] = np.array([1.0, 2.0, 4.0])
    assert tree.total == tree[:].sum()


def test_rounding_never_leads_to_an_empty_leaf():
    rng = np.random.default_rng(0)
    for _ in range(200):
        tree = family.SumTree(50)
        rows = rng.permutation(50)[:7]
        tree[rows] = rng.random(7) * 10.0 ** rng.integers(-9, 9, size=7)
        mass = np.nextafter(tree.total, [0, 2 * tree.total])
        assert set(tree.find(mass)) <= set(rows)


# ---------------------------------------------------------------- prioritised replay


def filled(B=5, errors=None, alpha=0.6, capacity=None):
    replay = family.PrioritizedReplay(capacity or B, (4,), alpha=alpha)
    rows = replay.add(*some_batch(np.random.default_rng(0), B))
    if errors is not None:
        replay.prioritize(rows, np.asarray(errors, float))
    return replay


def test_rows_are_drawn_in_proportion_to_their_priorities():
    errors = np.array([0.0, 0.5, 1.0, 3.0, 0.1])
    replay, rng = filled(errors=errors, alpha=0.7), np.random.default_rng(0)
    want = (errors + 0.01) ** 0.7
    often = np.bincount(np.concatenate([replay.draw(32, rng) for _ in range(3000)]), minlength=5)
    assert np.abs(often / often.sum() - want / want.sum()).max() < 0.008


def test_alpha_zero_draws_all_alike():
    replay = filled(errors=[0.0, 0.5, 1.0, 3.0, 0.1], alpha=0.0)
    assert np.allclose(replay.tree[:], 1) and np.allclose(replay.weights(np.arange(5), 1.0), 1)


def test_weights_are_those_of_the_closed_form():
    replay = filled(errors=[0.0, 0.5, 1.0, 3.0, 0.1], capacity=9)  # four rows are empty
    probability = replay.tree[:5] / replay.tree[:5].sum()
    for beta in (0.0, 0.4, 1.0):
        want = (5 * probability) ** -beta
        found = replay.weights(np.array([3, 0, 3, 1]), beta)
        assert found.dtype == np.float32
        assert np.allclose(found, (want / want.max())[[3, 0, 3, 1]], rtol=1e-5)


def test_with_beta_one_the_weighted_mean_is_unbiased_up_to_one_factor_for_all():
    rng, values = np.random.default_rng(1), np.array([5.0, -2.0, 1.0, 10.0, 3.0])
    replay = filled(errors=[0.0, 0.5, 1.0, 3.0, 0.1])
    probability = replay.tree[:5] / replay.tree.total
    factor = 5 * probability.min()  # the weights are scaled by it, so that none is above 1
    rows = np.concatenate([replay.draw(32, rng) for _ in range(4000)])
    weighted = (replay.weights(rows, 1.0) * values[rows]).mean() / factor
    assert weighted == pytest.approx(values.mean(), abs=0.1)
    assert abs(values[rows].mean() - values.mean()) > 1  # without weights it is another mean


def test_what_is_new_counts_as_much_as_what_counted_most():
    replay = filled(B=4, capacity=6)
    assert np.allclose(replay.tree[:4], 1)
    replay.prioritize(np.array([1]), np.array([8.0]))
    batch = some_batch(np.random.default_rng(1), 3)
    assert replay.add(*batch).tolist() == [4, 5, 0]  # the oldest made room
    high = (8.01) ** 0.6
    assert np.allclose(replay.tree[:], [high, high, 1, 1, high, high])
    assert len(replay.add(*(column[:0] for column in batch))) == 0
    assert np.isclose(replay.tree.total, replay.tree[:].sum())


def test_what_counted_most_is_remembered_when_it_counts_no_longer():
    replay, rng = filled(B=4, capacity=12), np.random.default_rng(1)
    for error, most in ((0.5, 1.0), (8.0, 8.01**0.6), (0.1, 8.01**0.6), (9.0, 9.01**0.6)):
        replay.prioritize(np.arange(4), np.full(4, error))
        assert np.allclose(replay.tree[replay.add(*some_batch(rng, 2))], most)


def test_every_slice_is_drawn_from_by_itself():
    slices, wide = 8, 50
    replay, rng = filled(B=slices * wide, alpha=0.0), np.random.default_rng(0)  # all rows count the same
    rows = np.array([replay.draw(slices, rng) for _ in range(1000)])
    number, place = np.divmod(rows, wide)
    assert (number == np.arange(slices)).all()
    assert np.abs(place.mean(axis=0) / (wide - 1) - 0.5).max() < 0.05  # five standard deviations
    together = np.corrcoef(place.T) - np.eye(slices)
    assert np.abs(together).max() < 0.16  # as before


def test_an_empty_buffer_says_so():
    with pytest.raises(ValueError, match="empty"):
        family.PrioritizedReplay(4, (2,), alpha=1.0).draw(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 1 leaf"):
        family.SumTree(0)


def test_an_update_weighs_its_losses_and_refreshes_what_it_drew():
    learner, replay = learner_of(dqn.make_q), filled(B=40, errors=np.linspace(0, 4, 40))
    config = dataclasses.replace(SMALL, beta=0.5, lr=1e-3)
    rows = replay.draw(config.batch_size, np.random.default_rng(5))
    weights = replay.weights(rows, family.beta_at(replay, config))
    errors = dqn.td_errors(learner, replay[rows]).detach().numpy()
    before = replay.tree[:].copy()
    loss = family.prioritized_update(learner, replay, config, np.random.default_rng(5), dqn.squared_losses)
    assert loss == pytest.approx((weights * errors**2 / 2).mean(), rel=1e-5)
    assert loss != pytest.approx((errors**2 / 2).mean(), rel=0.05)
    assert np.allclose(replay.tree[rows], (np.abs(errors) + 0.01) ** 0.6, rtol=1e-4)
    others = np.setdiff1d(np.arange(40), rows)
    assert np.array_equal(replay.tree[others], before[others])
    assert learner.updates == 1


def test_a_loss_that_rounding_has_made_negative_counts_as_none():
    learner, replay = learner_of(dqn.make_q), filled(B=40)
    none = lambda learner, batch, config: 0 * dqn.squared_losses(learner, batch, config) - 1e-9  # noqa: E731
    family.prioritized_update(learner, replay, SMALL, np.random.default_rng(0), none)
    assert sorted({*replay.tree[:].round(6)}) == pytest.approx([0.01**0.6, 1], rel=1e-4)


def test_beta_rises_to_one():
    replay = filled()
    config = dataclasses.replace(SMALL, beta=0.4, total_steps=1000)
    assert family.beta_at(replay, config) == pytest.approx(0.4 + 0.6 * 5 / 1000)
    replay.added = 5000
    assert family.beta_at(replay, config) == 1


# ---------------------------------------------------------------- n steps


def rows_of(rng, T, N):
    """Rows as NEXT_STEP lays them out, with garbage in reset rows, and the episodes in them."""
    obs = rng.normal(size=(T + 1, N, 2)).astype(np.float32)
    rows, valid, ended, episodes = [], np.ones((T, N), bool), np.zeros((T, N), bool), []
    terminated = np.zeros((T, N), bool)
    for i in range(N):
        t = 0
        while t < T:
            last = min(t + int(rng.integers(1, 9)) - 1, T - 1)
            open_ = last == T - 1 and rng.random() < 0.5
            ended[last, i] = not open_
            terminated[last, i] = not open_ and rng.random() < 0.5
            episodes.append((i, t, last, open_))
            if last + 1 < T:
                valid[last + 1, i] = False
            t = last + 2
    for t in range(T):
        discount = np.where(terminated[t], 0.0, 0.9)
        reward = np.where(valid[t], rng.normal(size=N), 1e3)
        rows.append(Transitions(obs[t], rng.integers(3, size=N), reward, obs[t + 1], discount))
    return rows, valid, ended, episodes


def naive(rows, episodes, n):
    """What n-step transitions there are, episode by episode, from the definition."""
    found = []
    for i, first, last, open_ in episodes:
        for t in range(first, last + 1):
            end = min(t + n - 1, last)
            if open_ and t + n - 1 > last:
                continue  # not complete yet
            factors = np.cumprod([1.0] + [rows[k].discount[i] for k in range(t, end + 1)])
            reward = sum(f * rows[k].reward[i] for f, k in zip(factors, range(t, end + 1), strict=False))
            found.append((*rows[t].obs[i], rows[t].action[i], reward, *rows[end].next_obs[i], factors[-1]))
    return np.array(sorted(found))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("seed", range(4))
def test_joined_rows_are_those_of_the_definition(n, seed):
    rng = np.random.default_rng(seed)
    rows, valid, ended, episodes = rows_of(rng, 60, 3)
    replay = family.NStepReplay(1000, (2,), n=n)
    for t in range(60):
        replay.step(rows[t], valid[t], ended[t])
    kept = replay[np.arange(replay.size)]
    found = np.column_stack([kept.obs, kept.action, kept.reward, kept.next_obs, kept.discount])
    want = naive(rows, episodes, n)
    assert len(found) == len(want)
    assert np.allclose(np.array(sorted(map(tuple, found))), want, atol=1e-4)


def test_join_by_hand():
    def row(reward, discount):
        return Transitions(*(np.array([x]) for x in (1.0, 0, reward, 2.0, discount)))

    two = family.join(row(1.0, 0.5), row(10.0, 0.5)._replace(next_obs=np.array([3.0])))
    assert (two.obs[0], two.reward[0], two.next_obs[0], two.discount[0]) == (1.0, 6.0, 3.0, 0.25)
    three = family.join(two, row(100.0, 0.0))
    assert (three.reward[0], three.discount[0]) == (31.0, 0.0)


def test_n_is_at_least_one():
    with pytest.raises(ValueError, match="at least 1 step"):
        family.NStepReplay(10, (2,), n=0)


@pytest.mark.parametrize("kind", [family.NStepReplay, family.PrioritizedNStepReplay])
def test_a_replay_goes_on_from_a_saved_state(kind):
    rows, valid, ended, _ = rows_of(np.random.default_rng(0), 60, 3)
    extra = {"alpha": 0.6} if kind is family.PrioritizedNStepReplay else {}
    one, other = (kind(40, (2,), n=4, **extra) for _ in range(2))
    for t in range(60):
        if t == 31:
            if extra:
                one.prioritize(np.array([3, 5]), np.array([2.0, 9.0]))
            run_files._pack(nets.get_state(one), {})  # it is a tree that can be saved
            nets.set_state(other, nets.get_state(one))
        for replay in (one, other) if t >= 31 else (one,):
            replay.step(rows[t], valid[t], ended[t])
    a, b, x, y = nets.get_state(one), nets.get_state(other), {}, {}
    assert run_files._pack(a, x) == run_files._pack(b, y) and a["added"] > 40
    assert all(np.array_equal(x[k], y[k]) for k in x)
    if extra:
        assert one.tree.total == pytest.approx(other.tree.total) == pytest.approx(one.tree[:].sum())


# ---------------------------------------------------------------- distributional


def brute_project(probs, reward, discount, support):
    """The projection by its definition: each atom's neighbours get shares that are linear in the distance."""
    out, spacing = np.zeros_like(probs), support[1] - support[0]
    for b in range(len(probs)):
        for p, z in zip(probs[b], support, strict=True):
            landed = np.clip(reward[b] + discount[b] * z, support[0], support[-1])
            out[b] += p * np.clip(1 - np.abs(landed - support) / spacing, 0, 1)
    return out


@given(st.integers(0, 10_000), st.integers(2, 12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_projection_against_its_definition(seed, atoms, whole):
    rng = np.random.default_rng(seed)
    low, B = -3.0, 6
    support = np.linspace(low, low + (atoms - 1) * (1.0 if whole else rng.uniform(0.1, 2)), atoms)
    probs = rng.dirichlet(np.ones(atoms), size=B)
    reward = rng.integers(-3, 4, size=B) if whole else rng.normal(size=B) * 3  # whole: atoms are hit
    discount = rng.choice([0.0, 1.0, 0.9], size=B)
    found = family.project(
        *(torch.tensor(x, dtype=torch.float64) for x in (probs, reward, discount, support))
    )
    found = found.numpy()
    assert np.allclose(found, brute_project(probs, reward, discount, support), atol=1e-9)
    assert np.allclose(found.sum(axis=1), 1) and (found >= 0).all()
    landed = reward[:, None] + discount[:, None] * support
    inside = ((landed >= support[0]) & (landed <= support[-1])).all(axis=1)
    mean = (probs * landed).sum(axis=1)
    assert np.allclose((found @ support)[inside], mean[inside])


def test_a_projection_by_hand():
    support, probs = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([[0.25, 0.25, 0.5]])

    def project(reward, discount):
        return family.project(probs, torch.tensor([reward]), torch.tensor([discount]), support)[0].tolist()

    assert project(0.0, 1.0) == [0.25, 0.25, 0.5]  # every atom is hit: nothing may be lost
    assert project(1.0, 1.0) == [0.0, 0.25, 0.75]  # what lands outside goes to the edge
    assert project(0.5, 0.0) == [0.0, 0.5, 0.5]  # terminal: all of it at the reward
    assert project(0.0, 0.5) == [0.125, 0.625, 0.25]
    assert project(9.0, 0.0) == [0.0, 0.0, 1.0] and project(-9.0, 0.0) == [1.0, 0.0, 0.0]


def test_in_float32_no_probability_is_negative_or_lost():
    g = torch.Generator().manual_seed(0)
    support = torch.linspace(-10, 10, 51)
    probs = torch.softmax(torch.randn(500, 51, generator=g), 1)
    reward, discount = torch.randn(500, generator=g) * 10, torch.full((500,), 0.99)
    out = family.project(probs, reward, discount, support)
    assert (out >= 0).all() and torch.allclose(out.sum(1), torch.ones(500), atol=1e-5)


@pytest.mark.parametrize("make_q", [family.categorical_q, family.dueling_categorical_q])
def test_q_is_the_mean_of_the_distribution(make_q):
    net = learner_of(make_q).agent.q
    obs = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    logp = net.log_probs(obs)
    assert logp.shape == (5, 3, 7) and torch.allclose(logp.exp().sum(2), torch.ones(5, 3), atol=1e-6)
    assert torch.allclose(net(obs), (logp.exp() * torch.linspace(-1, 2, 7)).sum(2), atol=1e-6)
    flat = net.logits(obs).reshape(5, 3, 7)
    assert torch.allclose(logp, torch.log_softmax(flat, 2))


def reference_kl(learner, batch, chooser):
    """Losses of C51 row by row, in numpy."""
    support, out = learner.target.support.numpy().astype(float), []
    logp = learner.agent.q.log_probs(torch.from_numpy(batch.obs)).detach().numpy()
    later = learner.target.log_probs(torch.from_numpy(batch.next_obs)).exp().numpy()
    picks = chooser(torch.from_numpy(batch.next_obs)).detach().numpy().argmax(axis=1)
    for b in range(len(batch.action)):
        row = later[b, picks[b]][None].astype(float)
        goal = brute_project(row, batch.reward[b : b + 1], batch.discount[b : b + 1], support)[0]
        mine = logp[b, batch.action[b]]
        out.append(sum(g * (np.log(g) - m) for g, m in zip(goal, mine, strict=True) if g > 0))
    return np.array(out)


def test_categorical_losses_are_distances_to_the_projected_target():
    learner, batch = learner_of(family.categorical_q), some_batch(np.random.default_rng(0), 30)
    for net in (learner.agent.q, learner.target):  # distributions that differ
        net.logits[-1].weight.data *= 20
    next_obs = torch.from_numpy(batch.next_obs)
    assert (learner.agent.q(next_obs).argmax(1) != learner.target(next_obs).argmax(1)).any()
    plain = family.categorical_losses(learner, batch, SMALL)
    double = family.double_categorical_losses(learner, batch, SMALL)
    assert np.allclose(plain.detach().numpy(), reference_kl(learner, batch, learner.target), atol=1e-4)
    assert np.allclose(double.detach().numpy(), reference_kl(learner, batch, learner.agent.q), atol=1e-4)
    assert (plain >= -1e-5).all() and plain.requires_grad


def test_where_the_network_is_right_the_distance_and_its_gradient_are_zero():
    learner, batch = learner_of(family.categorical_q), some_batch(np.random.default_rng(0), 10)
    learner.target.load_state_dict(learner.agent.q.state_dict())
    still = batch._replace(
        next_obs=batch.obs,
        reward=0 * batch.reward,
        discount=np.ones(10, np.float32),
        action=learner.agent.values(batch.obs).argmax(axis=1),
    )
    loss = family.categorical_losses(learner, still, SMALL)
    assert torch.allclose(loss, torch.zeros(10), atol=1e-5)
    loss.sum().backward()
    assert max(p.grad.abs().max() for p in learner.agent.q.parameters()) < 1e-4


# ---------------------------------------------------------------- the members


def tree_arrays(run):
    run_files._pack({"metrics": run.metrics, "policy": run.policy}, found := {})
    return found


def equal(a, b):
    x, y = tree_arrays(a), tree_arrays(b)
    return x.keys() == y.keys() and all(np.array_equal(x[k], y[k], equal_nan=True) for k in x)


@pytest.mark.parametrize("name", [m for m in family.MEMBERS if m != "plain"])
def test_a_member_trains_and_is_not_plain_dqn(name):
    config = family.MemberConfig(**dataclasses.asdict(SMALL), member=name)
    run = family.train_member(config, 1)
    assert not equal(run, dqn.train(SMALL, 1)) and np.isfinite(run.metrics["loss"]).all()
    assert family.load_member(run).values(np.zeros((2, 41), np.float32)).shape == (2, 2)


def test_what_is_turned_off_is_plain_dqn():
    off = dataclasses.replace(SMALL, n=1, alpha=0.0, buffer_size=1000)
    assert equal(dqn.train(off, 0), dqn.train(off, 0, make_replay=family.n_step_replay))
    # priorities that are all alike: drawn by slices, but alike, and with weights of 1
    replay = family.prioritized_replay(off, envs.make("LongChain-v0", 3))
    replay.add(*some_batch(np.random.default_rng(0), 50, D=41))
    replay.prioritize(np.arange(50), np.arange(50.0))
    assert np.allclose(replay.weights(replay.draw(50, np.random.default_rng(0)), 0.7), 1)
    assert sorted(replay.draw(50, np.random.default_rng(0))) == list(range(50))


def test_replays_keep_pictures_as_bytes_and_know_their_settings():
    config = dataclasses.replace(SMALL, n=5, alpha=0.3)
    kinds = (family.prioritized_replay, family.n_step_replay, family.prioritized_n_step_replay)
    made = [kind(config, envs.make("rlworkshop.envs.games:Catch-v0", 2)) for kind in kinds]
    assert {(replay[np.zeros(1, int)].obs.dtype.name, replay.capacity) for replay in made} == {("uint8", 150)}
    assert [getattr(replay, "n", None) for replay in made] == [None, 5, 5]
    assert [getattr(replay, "alpha", None) for replay in made] == [0.3, None, 0.3]


def test_the_combined_replay_joins_as_one_parent_and_draws_as_the_other():
    rows, valid, ended, _ = rows_of(np.random.default_rng(3), 60, 3)
    both = family.PrioritizedNStepReplay(500, (2,), n=4, alpha=0.6)
    joins = family.NStepReplay(500, (2,), n=4)
    for t in range(60):
        both.step(rows[t], valid[t], ended[t])
        joins.step(rows[t], valid[t], ended[t])
    every = np.arange(joins.size)
    assert all(np.array_equal(x, y) for x, y in zip(both[every], joins[every], strict=True))
    assert np.allclose(both.tree[: both.size], 1) and both.tree.total == both.size
    combined = family.prioritized_n_step_replay(SMALL, envs.make("LongChain-v0", 3))
    assert (combined.n, combined.alpha, combined.capacity) == (SMALL.n, SMALL.alpha, SMALL.buffer_size)


@pytest.mark.parametrize("name", family.MEMBERS)
def test_a_policy_comes_back_from_its_run(name, tmp_path):
    parts, kept = family.MEMBERS[name], []
    run = dqn.train(SMALL, 1, **parts, callback=lambda session: kept.append(session.agent))
    run.save(tmp_path / "run.npz")
    make_q = parts.get("make_q", dqn.make_q)
    agent = dqn.load_policy(type(run).load(tmp_path / "run.npz"), make_q)
    obs = probes.LongChain().observations()
    # the trainer's agent has seen nothing since its last round but the last few rows
    assert np.allclose(agent.values(obs), kept[-1].values(obs), atol=0.2)
    assert agent.values(obs).shape == (41, 2)
    wrong = family.dueling_q if make_q is not family.dueling_q else dqn.make_q
    with pytest.raises(ValueError, match="pass that as make_q"):
        dqn.load_policy(run, wrong)


@pytest.mark.parametrize(
    "bad",
    [
        {"n": 0}, {"atoms": 1}, {"v_min": 3.0}, {"v_min": 2.0}, {"alpha": -1.0}, {"beta": 1.5},
        {"beta": -0.1}, {"gamma": 2.0},
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError):
        dataclasses.replace(SMALL, **bad)


def test_what_lies_at_the_edge_is_possible():
    for beta in (0.0, 1.0):
        dataclasses.replace(SMALL, n=1, atoms=2, alpha=0.0, beta=beta)


def test_readers_begin_with_the_numbers_of_the_papers():
    """Hessel et al. join 3 steps, Schaul et al. say 0.6 and 0.4, Bellemare et al. have 51 atoms."""
    config = family.MemberConfig()
    assert (config.n, config.alpha, config.beta, config.atoms) == (3, 0.6, 0.4, 51)
    assert config.v_min == 0 and config.v_max == pytest.approx(1 / (1 - config.gamma))  # 1 a step, for ever


@pytest.mark.slow
def test_c51_learns_the_distribution_of_the_bet():
    config = dataclasses.replace(
        SMALL, env_id="Gamble-v0", total_steps=3000, buffer_size=3000, learning_starts=200, train_freq=50,
        gradient_steps=20, target_update_interval=20, batch_size=32, atoms=21, v_min=-2.5, v_max=2.5,
        gamma=0.5, lr=1e-2,
        final_epsilon=1.0, normalize_obs=False,
    )  # fmt: skip
    run = dqn.train(config, 0, make_q=family.categorical_q, losses=family.categorical_losses)
    net = dqn.load_policy(run, family.categorical_q).q
    probs = net.log_probs(torch.from_numpy(probes.Gamble().observations()[:1]))[0, 1].exp()
    exact = torch.zeros(21)
    exact[[4, 8, 12, 16]] = 0.25  # -1.5, -0.5, 0.5, 1.5
    assert 0.5 * (probs - exact).abs().sum() < 0.12


def test_n_steps_carry_news_n_times_as_far_between_two_copies():
    """By hand: fifteen transitions of a chain, a table for a network, one exact fit between two copies."""
    length, gamma = 15, 0.9
    reach = {}
    for n in (1, 5):
        replay = family.NStepReplay(100, (1,), n=n)
        for t in range(length):
            last = np.array([t == length - 1])
            row = Transitions(
                np.array([[t]], np.float32), np.zeros(1, int), last.astype(float),
                np.array([[t + 1]], np.float32), gamma * ~last,
            )  # fmt: skip
            replay.step(row, np.ones(1, bool), ended=last)
        value = np.zeros(length + 1)
        kept = replay[np.arange(replay.size)]
        for _ in range(3):
            target = kept.reward + kept.discount * value[kept.next_obs[:, 0].astype(int)]
            value[kept.obs[:, 0].astype(int)] = target
        reach[n] = (value > 0).sum()
    assert reach == {1: 3, 5: 15}
