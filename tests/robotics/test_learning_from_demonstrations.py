"""Learning from demonstrations: policies against closed forms, players, worlds, DAgger, RL from a clone."""

import math

import numpy as np
import pytest
import torch

from rlworkshop.robotics import learning_from_demonstrations as demos
from rlworkshop.robotics.learning_from_demonstrations import STEP, Detour, Dice, Flow, Mixture, Player, Road


def set_last_layer(net, bias):
    """Make a network answer with the same numbers everywhere."""
    with torch.no_grad():
        net.weights[-1].zero_()
        net.biases[-1].copy_(torch.as_tensor(bias, dtype=torch.float32).expand_as(net.biases[-1]))


class Constant(demos.Regression):
    """A policy that answers with one action, and counts how often it is asked."""

    def __init__(self, action, latents=0):
        self.action, self.latents, self.asked = torch.as_tensor(action, dtype=torch.float32), latents, 0

    def act(self, obs, latent):
        self.asked += 1
        return self.action.expand(*obs.shape[:2], -1)


# ---------------------------------------------------------------- dice and networks


def test_a_seed_draws_the_same_alone_and_among_others():
    alone, among = Dice([7]), Dice([3, 7, 9])
    for draw in ("normal", "uniform"):
        assert torch.equal(getattr(alone, draw)(4, 2)[0], getattr(among, draw)(4, 2)[1])
    assert torch.equal(alone.rows(50, 9)[0], among.rows(50, 9)[1])
    with pytest.raises(ValueError, match="at least one seed"):
        Dice([])


def test_networks_of_different_seeds_do_not_touch():
    nets, x = demos.Nets([2, 8, 3], Dice([0, 1])), Dice([5, 5]).normal(4, 2)
    out = nets(x)
    assert out.shape == (2, 4, 3) and not torch.allclose(out[0], out[1])
    out[0].sum().backward()
    assert all(not p.grad[1].any() and p.grad[0].any() for p in nets.parameters())


def test_hidden_layers_begin_with_biases_the_last_one_without():
    nets = demos.Nets([2, 400, 400, 1], Dice([0]))
    assert [round(b.std().item(), 1) for b in nets.biases[:2]] == [1.0, 1.0]
    assert not nets.biases[2].any()
    assert nets.weights[1].std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.05)
    assert nets.weights[2].std().item() == pytest.approx(math.sqrt(1 / 400), rel=0.1)


# ---------------------------------------------------------------- policies


def test_regression_learns_the_mean_of_two_actions():
    dice = Dice([0, 1])
    obs, action = torch.zeros(2, 200, 2), torch.ones(2, 200, 2)
    action[:, ::2] = -1
    policy = demos.fit(demos.Regression(2, 2, dice, hidden=8), obs, action, dice, steps=200)
    assert policy.act(obs[:, :1], None).abs().max() < 0.2
    assert policy.loss(obs, action, dice).mean().item() == pytest.approx(1.0, abs=0.05)


def test_the_mixtures_loss_is_a_negative_log_likelihood():
    policy = Mixture(2, 1, Dice([0]))
    # weights 1/2, 1/2, 0, 0; means -1, 1; widths 0.1
    set_last_layer(policy.net, [0, 0, -99, -99, -1, 1, 0, 0, *[math.log(0.1)] * 4])
    loss = policy.loss(torch.zeros(1, 1, 2), torch.ones(1, 1, 1), Dice([0]))
    assert loss.item() == pytest.approx(-math.log(0.5 / (0.1 * math.sqrt(2 * math.pi))), rel=1e-4)


def test_the_mixture_picks_components_by_weight_and_adds_their_noise():
    policy = Mixture(2, 1, Dice([0]))
    set_last_layer(policy.net, [math.log(3), 0, -99, -99, -1, 1, 0, 0, *[math.log(0.1)] * 4])
    latent = Dice([1]).normal(20_000, 2)
    acted = policy.act(torch.zeros(1, 20_000, 2), latent)[0, :, 0]
    assert (acted < 0).float().mean().item() == pytest.approx(0.75, abs=0.01)
    assert acted[acted > 0].std().item() == pytest.approx(0.1, rel=0.05)
    again = policy.act(torch.zeros(1, 20_000, 2), latent)[0, :, 0]
    assert torch.equal(acted, again)  # a function of what is seen and of the draw


def test_the_flow_learns_the_straight_way_to_a_single_action():
    dice = Dice([0])
    obs, action = torch.zeros(1, 50, 2), torch.full((1, 50, 2), 1.0)
    policy = demos.fit(Flow(2, 2, dice, hidden=32), obs, action, dice, steps=300)
    assert policy.act(obs, dice.normal(50, 2)).sub(1).abs().mean() < 0.1
    y, time = torch.full((1, 1, 2), -0.2), torch.full((1, 1, 1), 0.25)
    assert policy.velocity(obs[:, :1], y, time).mean().item() == pytest.approx(1.6, abs=0.25)


def test_the_flow_keeps_two_ways_apart():
    dice = Dice([0])
    obs, action = torch.zeros(1, 100, 2), torch.ones(1, 100, 1)
    action[:, ::2] = -1
    policy = demos.fit(Flow(2, 1, dice, hidden=32), obs, action, dice, steps=400)
    acted = policy.act(torch.zeros(1, 500, 2), dice.normal(500, 1))
    assert (acted.abs() - 1).abs().mean() < 0.25
    assert 0.35 < (acted > 0).float().mean() < 0.65


def test_euler_steps_look_where_and_when_they_begin():
    class Known(Flow):
        def velocity(self, obs, y, time):
            return y + time

    want = 1.0
    for i in range(8):
        want += (want + i / 8) / 8
    acted = Known(2, 1, Dice([0])).act(torch.zeros(1, 1, 2), torch.ones(1, 1, 1))
    assert acted.item() == pytest.approx(want, rel=1e-6)


def test_fit_wants_rows_and_seeds_that_agree():
    dice = Dice([0])
    with pytest.raises(ValueError, match="same seeds and rows"):
        demos.fit(demos.Regression(2, 2, dice), torch.zeros(1, 5, 2), torch.zeros(1, 4, 2), dice)
    with pytest.raises(ValueError, match="same seeds and rows"):
        demos.fit(demos.Regression(2, 2, dice), torch.zeros(2, 5, 2), torch.zeros(2, 5, 2), dice)


def test_the_learning_rate_falls_to_zero():
    dice, rates = Dice([0]), []

    policy = demos.Regression(2, 2, dice)
    step = torch.optim.Adam.step
    try:
        torch.optim.Adam.step = lambda self, closure=None: rates.append(self.param_groups[0]["lr"])
        demos.fit(policy, torch.zeros(1, 5, 2), torch.zeros(1, 5, 2), dice, steps=4, lr=1.0)
    finally:
        torch.optim.Adam.step = step
    assert rates == [1.0, 0.75, 0.5, 0.25]


# ---------------------------------------------------------------- episodes


def test_actions_and_gusts_move_the_robot():
    act = Player(Constant([1.0, -2.0]), Dice([0]))
    still = demos.play(act, torch.zeros(1, 3, 2), Dice([0]), 10)
    assert torch.allclose(still.position[0, :, -1], torch.tensor([10 * STEP, -20 * STEP]), atol=1e-5)
    windy = demos.play(act, torch.zeros(1, 4000, 2), Dice([0]), 10, gust=0.01)
    blown = windy.position[0, :, -1] - still.position[0, 0, -1]
    assert blown.std(dim=0).tolist() == pytest.approx([0.01 * math.sqrt(10)] * 2, rel=0.05)


def test_what_is_seen_is_lag_steps_old():
    played = demos.play(Player(Constant([1.0, 0.0]), Dice([0])), torch.zeros(1, 1, 2), Dice([0]), 6, lag=2)
    assert torch.equal(played.obs[:, :, 2:], played.position[:, :, :4])
    assert torch.equal(played.obs[:, :, :2], played.position[:, :, [0, 0]])
    for wrong in (dict(steps=0), dict(steps=1, lag=-1)):
        with pytest.raises(ValueError, match="steps"):
            demos.play(Player(Constant([1.0, 0.0]), Dice([0])), torch.zeros(1, 1, 2), Dice([0]), **wrong)


def test_a_chunk_is_executed_in_order_and_asked_for_again_when_it_ends():
    policy = Constant([1.0, -1, 2, -2, 3, -3])
    player, obs = Player(policy, Dice([0]), execute=3), torch.zeros(1, 1, 2)
    got = [player(t, obs, obs)[0, 0].tolist() for t in range(6)]
    assert got == [[1, -1], [2, -2], [3, -3]] * 2 and policy.asked == 2


def test_a_draw_is_held_while_the_policy_looks():
    class Echo(Constant):
        def act(self, obs, latent):
            return obs + latent

    player = Player(Echo([0.0, 0], latents=2), Dice([0]), hold=2)
    zero, one = torch.zeros(1, 1, 2), torch.ones(1, 1, 2)
    first, second, third = player(0, zero, zero), player(1, one, one), player(2, zero, zero)
    assert torch.allclose(second, first + 1) and not torch.allclose(third, first)
    for wrong in (dict(hold=0), dict(execute=0)):
        with pytest.raises(ValueError, match="at least 1"):
            Player(Echo([0.0, 0]), Dice([0]), **wrong)


def test_chunks_are_the_actions_that_followed():
    number = torch.arange(5.0)[None, None, :, None].expand(1, 2, 5, 2)
    obs, ahead = demos.chunks(demos.Episodes(number, number, number), 3)
    assert obs.shape == (1, 6, 2) and ahead.shape == (1, 6, 6)
    assert ahead[0, 1].tolist() == [1, 1, 2, 2, 3, 3] and obs[0, 1].tolist() == [1, 1]
    with pytest.raises(ValueError, match="do not fit"):
        demos.chunks(demos.Episodes(number, number, number), 6)


# ---------------------------------------------------------------- worlds


def test_the_expert_stays_on_the_road_and_comes_back_to_it():
    road, dice = Road(), Dice([0])
    assert road.deviation(road.start(100, dice)).abs().max() < 1e-5
    assert road.deviation(road.demonstrate(50, dice, 200).position).abs().max() < 0.03
    for scale in (0.8, 1.2):
        aside = scale * road.start(50, dice)
        back = demos.play(lambda t, obs, position: road.expert(obs), aside, dice, 60).position[:, :, -1]
        assert road.deviation(back).abs().max() < 0.03


def test_the_expert_drives_anticlockwise_at_full_speed():
    road = Road()
    there = road.start(100, Dice([0]))
    action = road.expert(there)
    assert torch.allclose(action.norm(dim=2), torch.ones(1, 100), atol=1e-5)
    assert (there[..., 0] * action[..., 1] - there[..., 1] * action[..., 0] > 0).all()


def test_dagger_fits_labels_of_the_expert_in_states_of_the_learner(monkeypatch):
    seen = []
    monkeypatch.setattr(demos, "fit", lambda policy, obs, action, *rest: seen.append((obs, action)) or policy)
    road = Road()
    demos.dagger(road, Dice([0]), rounds=2, episodes=3, steps=20, gust=0.05)
    assert [obs.shape[1] for obs, _ in seen] == [60, 120, 180]
    obs, action = seen[-1]
    assert torch.allclose(action, road.expert(obs), atol=1e-5)
    assert road.deviation(obs[:, :60]).abs().max() < 0.03 < road.deviation(obs[:, 60:]).abs().max()
    assert torch.equal(seen[0][0], obs[:, :60])


def test_dagger_learns_to_come_back():
    road, dice = Road(), Dice([0])
    learner = demos.dagger(road, dice, rounds=1, episodes=4, steps=100, gust=0.02, fit_steps=400)
    played = demos.play(Player(learner, dice), 1.08 * road.start(50, dice), dice, 60)
    assert road.deviation(played.position[:, :, -1]).abs().mean() < 0.04


def test_demonstrators_pass_on_both_sides_and_all_arrive():
    world = Detour()
    shown = world.demonstrate(200, Dice([0]))
    assert world.success(shown).float().mean() > 0.98
    level = (shown.position[..., 1].abs() < 0.05)[..., None]
    beside = torch.where(level, shown.position, torch.zeros(())).sum(dim=2)[..., 0]
    assert 0.4 < (beside > 0).float().mean() < 0.6
    assert torch.equal(shown.obs[:, :, world.LAG :], shown.position[:, :, : -world.LAG - 1])
    right = world.demonstrate(50, Dice([0]), right=1.0).position
    assert (right[..., 0].amax(dim=2) > 0.5).all()


def test_success_is_to_cross_the_line_without_touching():
    world = Detour()
    through = torch.tensor([[0.0, -1], [0, 0], [0, 1]])
    around = torch.tensor([[0.0, -1], [0.6, 0], [0, 1]])
    short = torch.tensor([[0.0, -1], [0.6, 0], [0.6, 0.5]])
    position = torch.stack([through, around, short])[None]
    assert world.success(demos.Episodes(position, position, position)).tolist() == [[False, True, False]]


# ---------------------------------------------------------------- RL from a clone


def test_reinforce_does_not_move_without_a_success():
    policy = demos.Regression(2, 2, Dice([0]))
    set_last_layer(policy.net, [0.0, -1.0])
    before = [p.detach().clone() for p in policy.net.parameters()]
    curve = demos.reinforce(Detour(), policy, Dice([0]), iterations=2, episodes=5)
    assert [c.item() for c in curve] == [0.0, 0.0]
    assert all(torch.equal(p, q) for p, q in zip(before, policy.net.parameters(), strict=True))


def test_reinforce_improves_a_clone():
    world, dice = Detour(), Dice([0])
    shown = world.demonstrate(1, dice, gust=0.0, right=1.0)
    rows = shown.position[:, :, :-1].flatten(1, 2), shown.action.flatten(1, 2)
    clone = demos.fit(demos.Regression(2, 2, dice), *rows, dice, steps=150)
    curve = demos.reinforce(world, clone, dice, iterations=12, episodes=40, lr=2e-3, gust=0.05)
    assert np.mean([c.item() for c in curve[-3:]]) > np.mean([c.item() for c in curve[:2]]) + 0.05
