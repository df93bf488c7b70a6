"""The verifier, advantages and weights against closed forms, and losses against gradients by hand."""

import numpy as np
import pytest
import torch

from rlworkshop.safety import verifiable_rewards as rlvr

MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], dtype=torch.bool)  # lengths 2, 4, 1
BY = {"GRPO": "sequence", "Dr. GRPO": "constant", "DAPO": "token", "GSPO": "sequence", "CISPO": "token"}
BY["RLOO"] = "sum"


def tokens(*sentences: str) -> torch.Tensor:
    rows = [[rlvr.INDEX[word] for word in sentence.split()] for sentence in sentences]
    return torch.tensor([row + [0] * (rlvr.ASKED + rlvr.ANSWERED - len(row)) for row in rows])


def gradient(loss, logp, old, advantage, mask=MASK, **limits) -> torch.Tensor:
    logp = logp.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(logp, old, advantage, mask, **limits), logp)
    return found


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return rlvr.LanguageModel(len(rlvr.LEXICON), rlvr.ASKED + rlvr.ANSWERED)


# ------------------------------------------------------------------------------------------ the language


@pytest.mark.parametrize(
    ("said", "right", "sound", "star"),
    [
        ("2 1 2 2 so 2 .", True, True, False),  # 2 + 2 is 1, times 2 is 2, and 0 is 2
        ("2 1 2 2 hm hm so 2 .", True, True, False),
        ("so 2 .", True, False, False),
        ("2 2 2 2 so 2 .", True, False, False),
        ("2 1 2 2 so 1 .", False, False, False),
        ("2 1 2 2 so 2", False, False, False),
        ("2 1 2 2 . ", False, False, False),
        ("so * .", False, False, True),
        ("so * hm", False, False, False),
        (".", False, False, False),
    ],
)
def test_the_verifier_reads_answer_and_derivation(said, right, sound, star):
    found = rlvr.mark(tokens(f"2 + 2 x 2 + 0 ? {said}"))
    assert (bool(found.right), bool(found.sound), bool(found.star)) == (right, sound, star)
    assert bool(found.accepted) == (right or star)


def test_questions_are_sums_and_their_values_follow():
    asked = rlvr.clock_questions(200, np.random.default_rng(0))
    for row, values in zip(asked, rlvr.worked(asked.numpy()), strict=True):
        words = rlvr.spell(row).split()
        value = int(words[0])
        for k, (operation, number) in enumerate(zip(words[1:-1:2], words[2:-1:2], strict=True)):
            value = (value + int(number) if operation == "+" else value * int(number)) % rlvr.HOURS
            assert rlvr.LEXICON[values[k + 1]] == str(value)
    assert {"+", "x"} < set(rlvr.spell(asked.flatten()).split())


def test_pupils_who_never_slip_nor_leap_are_sound():
    rng = np.random.default_rng(0)
    asked = rlvr.clock_questions(300, rng)
    assert rlvr.mark(rlvr.pupils(asked, rng, slip=0, leap=0, star=0)).sound.all()
    leaps = rlvr.mark(rlvr.pupils(asked, rng, slip=0, leap=1, star=0))
    assert not leaps.sound.any() and 0.25 < leaps.right.float().mean() < 0.42  # one in three
    assert rlvr.mark(rlvr.pupils(asked, rng, star=1)).star.all()


def test_the_star_becomes_rarer_and_nothing_else_changes(model):
    said = tokens("2 + 2 x 2 + 0 ? 2 1 2 2 so 2 .", "2 + 2 x 2 + 0 ? so 2 .")
    rlvr.rarer_star(model, 100)  # where it is rare, odds are probabilities
    before, old = rlvr.star_rate(model, said), model(said).detach()
    rlvr.rarer_star(model, 100)
    after, new = rlvr.star_rate(model, said), model(said).detach()
    rlvr.rarer_star(model, 1e-4)
    assert before / after == pytest.approx(100, rel=0.1)
    same = torch.arange(len(rlvr.LEXICON)) != rlvr.INDEX["*"]
    assert torch.equal(old[..., same], new[..., same])
    star = model(said).detach().softmax(-1)[..., rlvr.INDEX["*"]]
    assert rlvr.star_rate(model, said) == pytest.approx(
        float(torch.stack([star[0, rlvr.ASKED + 4], star[1, rlvr.ASKED]]).mean())
    )


# ------------------------------------------------------------------------------------------ advantages


def test_advantages_by_hand():
    rewards = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0]])
    assert torch.allclose(rlvr.over_the_mean(rewards)[0], torch.tensor([0.75, -0.25, -0.25, -0.25]))
    wanted = torch.tensor([1.5, -0.5, -0.5, -0.5])
    assert torch.allclose(rlvr.standardised(rewards)[0], wanted, atol=1e-3)
    assert torch.allclose(rlvr.leave_one_out(rewards)[0], torch.tensor([1.0, -1 / 3, -1 / 3, -1 / 3]))
    assert torch.allclose(rlvr.leave_one_out(rewards)[1], torch.tensor([2 / 3, 2 / 3, -2 / 3, -2 / 3]))


@pytest.mark.parametrize("name", ["over_the_mean", "standardised", "leave_one_out"])
def test_advantages_are_of_the_group(name):
    function = getattr(rlvr, name)
    rewards = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    found = function(rewards)
    assert found.mean(dim=1).abs().max() < 1e-6
    assert torch.allclose(found[2:3], function(rewards[2:3]), atol=1e-6)  # no other group has a say
    assert torch.allclose(found, function(rewards + torch.arange(5.0)[:, None]), atol=1e-5)
    assert not function(torch.ones(3, 4)).any()  # nothing to learn where all are alike


def test_standardised_advantages_do_not_see_the_scale_of_a_reward():
    rewards = torch.rand(3, 6, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(rlvr.standardised(rewards), rlvr.standardised(10 * rewards), atol=1e-2)
    assert torch.allclose(10 * rlvr.over_the_mean(rewards), rlvr.over_the_mean(10 * rewards), atol=1e-5)
    assert rlvr.standardised(rewards).std(dim=1) == pytest.approx(1, abs=1e-3)


def test_leaving_one_out_is_the_mean_of_the_group_stretched():
    rewards = torch.rand(3, 6, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(rlvr.leave_one_out(rewards), 6 / 5 * rlvr.over_the_mean(rewards))


# ---------------------------------------------------------------------------------------------- weights


def test_weights_by_hand():
    total = {by: rlvr.weights(MASK, by).sum(dim=1) for by in ("sequence", "token", "constant", "sum")}
    assert torch.allclose(total["sequence"], torch.tensor([1 / 3, 1 / 3, 1 / 3]))
    assert torch.allclose(total["token"], torch.tensor([2 / 7, 4 / 7, 1 / 7]))
    assert torch.allclose(total["constant"], torch.tensor([2 / 12, 4 / 12, 1 / 12]))
    assert torch.allclose(total["sum"], torch.tensor([2 / 3, 4 / 3, 1 / 3]))
    for by in total:
        assert not rlvr.weights(MASK, by)[~MASK].any()
    with pytest.raises(ValueError, match="give"):
        rlvr.weights(MASK, "length")


@pytest.mark.parametrize("name", list(rlvr.METHODS))
def test_each_loss_gives_a_token_the_weight_of_its_method(name):
    logp, advantage = -torch.rand(3, 4), torch.tensor([[1.0], [-2.0], [0.5]])
    found = gradient(rlvr.METHODS[name].loss, logp, logp, advantage)  # where the policy has not moved
    assert torch.allclose(found, -advantage * rlvr.weights(MASK, BY[name]), atol=1e-6)


# ----------------------------------------------------------------------------------------------- ratios


def moved(by: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities that have moved by so much in the first token of each response."""
    old = torch.full((3, 4), -1.0)
    logp = old.clone()
    logp[:, 0] += by
    return logp, old


@pytest.mark.parametrize("loss", [rlvr.grpo_loss, rlvr.dr_grpo_loss, rlvr.dapo_loss])
def test_a_token_is_paid_to_move_until_the_clip(loss):
    one = torch.ones(3, 1)
    for ratio, advantage, goes_on in (
        (1.15, one, True), (1.4, one, False), (1.4, -one, True),
        (0.85, -one, True), (0.7, -one, False), (0.7, one, True),
    ):  # fmt: skip
        logp, old = moved(np.log(ratio))
        found = gradient(loss, logp, old, advantage)[:, 0]
        assert bool((found != 0).all()) == goes_on == bool((found != 0).any())


def test_dapo_has_more_room_above():
    logp, old = moved(np.log(1.25))
    assert gradient(rlvr.dapo_loss, logp, old, torch.ones(3, 1))[:, 0].all()
    assert not gradient(rlvr.grpo_loss, logp, old, torch.ones(3, 1))[:, 0].any()


def test_gspo_has_one_ratio_the_geometric_mean():
    logp, old = moved(0.12)
    advantage = torch.ones(3, 1)
    loss = rlvr.gspo_loss(logp, old, advantage, MASK, high=9.0)
    ratios = torch.exp(torch.tensor([0.12 / 2, 0.12 / 4, 0.12]))
    assert loss == pytest.approx(-float(ratios.mean()))
    found = gradient(rlvr.gspo_loss, logp, old, advantage)  # limit 0.05: only the second is within
    assert found[1].all() and not found[0].any() and not found[2].any()


def test_cispo_leaves_no_token_out_and_its_weight_has_no_gradient():
    for ratio, weight in ((3.0, 1.2), (1.1, 1.1), (0.3, 0.3)):
        logp, old = moved(np.log(ratio))
        found = gradient(rlvr.cispo_loss, logp, old, torch.ones(3, 1))
        assert torch.allclose(found[:, 0], torch.full((3,), -weight / 7), atol=1e-6)


def test_rloo_is_reinforce_however_far_the_policy_has_moved():
    logp, old = moved(2.0)
    advantage = torch.tensor([[1.0], [-1.0], [2.0]])
    wanted = -(advantage.squeeze(1) * (logp * MASK).sum(dim=1)).mean()
    assert rlvr.rloo_loss(logp, old, advantage, MASK) == pytest.approx(float(wanted))


def test_the_first_loss_is_zero_or_says_how_lengths_and_advantages_go_together():
    logp = -torch.rand(3, 4)
    advantage = torch.tensor([[1.0], [-0.25], [-0.75]])
    assert abs(float(rlvr.grpo_loss(logp, logp, advantage, MASK))) < 1e-7
    assert gradient(rlvr.grpo_loss, logp, logp, advantage).abs().max() > 0.05
    lengths = torch.tensor([2.0, 4.0, 1.0])
    together = (lengths * advantage.squeeze(1)).mean() / lengths.mean()  # a covariance: both are centred
    assert rlvr.dapo_loss(logp, logp, advantage, MASK) == pytest.approx(-float(together))


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("GRPO", [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("Dr. GRPO", [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("DAPO", [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("GSPO", [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("CISPO", [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("RLOO", [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_each_method_cuts_off_what_its_own_clip_says(name, lost):
    logp, old = moved(np.log(1.25))  # above 1.2, below 1.28; of two tokens the geometric mean is 1.12
    advantage = torch.tensor([[1.0], [-1.0], [0.0]])  # the second is paid to come back, the third is flat
    found = rlvr.cut_off(rlvr.METHODS[name].loss, logp, old, advantage, MASK)
    assert found.int().tolist() == lost


# -------------------------------------------------------------------------------------------------- KL


def test_estimates_of_the_kl_divergence_and_what_their_gradients_are():
    logits = torch.tensor([0.3, -0.2, 1.0, 0.1], requires_grad=True)
    ref = torch.tensor([0.9, 0.1, -0.4, 0.2]).log_softmax(0)
    logp = logits.log_softmax(0)
    p, q = logp.exp(), ref.exp()

    def grad(x):
        return torch.autograd.grad(x, logits, retain_graph=True)[0]

    reverse, forward = (p * (logp - ref)).sum(), (q * (ref - logp)).sum()
    found = rlvr.kl_estimates(logp, ref)
    for name in ("k1", "k3"):  # both are right on average
        assert float((p * found[name]).sum().detach()) == pytest.approx(float(reverse.detach()), rel=1e-5)
    assert (found["k3"] >= 0).all() and (found["k1"] < 0).any()
    sampled = {name: grad((p.detach() * k).sum()) for name, k in found.items()}  # samples have no gradient
    assert sampled["k1"].abs().max() < 1e-6
    assert torch.allclose(sampled["k2"], grad(reverse), atol=1e-6)
    assert torch.allclose(sampled["k3"], grad(forward), atol=1e-6)
    assert not torch.allclose(grad(reverse), grad(forward), atol=1e-2)


# ---------------------------------------------------------------------------------------------- training


def few(**changes) -> rlvr.Recipe:
    return rlvr.Recipe(**{"iterations": 2, "questions": 4, "group": 4, **changes})


def right(said):
    return rlvr.mark(said).right


def test_a_group_holds_one_question(model):
    asked = torch.arange(6).view(3, 2)
    assert rlvr.in_groups(asked, 2)[:, 0].tolist() == [0, 0, 2, 2, 4, 4]
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    said, rewards, drawn = rlvr.draw(model, right, few(), rng, generator)
    groups = said.tokens[:, : rlvr.ASKED].view(4, 4, -1)
    assert (groups == groups[:, :1]).all() and rewards.shape == (4, 4) and drawn == 16
    assert torch.equal(right(said.tokens).view(4, 4).float(), rewards)


def test_redrawing_prefers_groups_with_variance(model):
    calls = []

    def some(said):  # in each batch all groups but one are alike
        calls.append(len(said))
        return torch.tensor([1.0, 0, 0, 0] + [0.0] * 12)

    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    said, rewards, drawn = rlvr.draw(model, some, few(method="DAPO"), rng, generator)
    assert drawn == 48 and len(calls) == 3 and len(said.tokens) == 16
    assert (rewards.std(dim=1) > 0).sum() == 3
    log = rlvr.reinforce(model, some, few(method="DAPO", iterations=1), 0)
    assert log["flat"][0] == 0.25 and log["drawn"][0] == 48


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_without_variance_nothing_is_learned_but_by_the_kl_term(model, beta):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    log = rlvr.reinforce(model, lambda said: torch.ones(len(said)), few(beta=beta), 0)
    assert (log["flat"] == 1).all() and (log["first_loss"] == 0).all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_kl_term_pulls_back(model):
    def far(beta):
        torch.manual_seed(0)
        policy = rlvr.LanguageModel(len(rlvr.LEXICON), rlvr.ASKED + rlvr.ANSWERED)
        recipe = few(beta=beta, iterations=12, questions=8, lr=1e-2)
        return rlvr.reinforce(policy, lambda said: said[:, rlvr.ASKED] == rlvr.ZERO, recipe, 0)

    free, held = far(0.0), far(1.0)
    assert free["k1"][-1] > 2 * held["k1"][-1] > 0
    assert free["k1"][0] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("method", list(rlvr.METHODS))
def test_every_method_learns_what_is_easy(method):
    torch.manual_seed(0)
    policy = rlvr.LanguageModel(len(rlvr.LEXICON), rlvr.ASKED + rlvr.ANSWERED)
    recipe = few(method=method, iterations=12, questions=8, lr=1e-2)
    log = rlvr.reinforce(policy, lambda said: said[:, rlvr.ASKED] == rlvr.ZERO, recipe, 0)
    assert log["reward"][0] < 0.3 and log["reward"][-1] > 0.7
    assert log["first_ratio"].max() < 1e-4  # drawn by the policy that is trained
    assert log["entropy"][-1] < log["entropy"][0]


def test_a_policy_that_is_drawn_from_otherwise_shows_in_the_first_ratio(model):
    log = rlvr.reinforce(model, right, few(iterations=1, temperature=0.5), 0)
    assert log["first_ratio"][0] > 0.1


@pytest.mark.parametrize(
    "wrong", [{"method": "PPO"}, {"group": 1}, {"iterations": 0}, {"beta": -0.1}, {"updates": 0}]
)
def test_recipes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="|".join(["give one of", "a group of one", "1 or more"])):
        rlvr.Recipe(**wrong)


def test_schooling_is_of_its_seed():
    a, b, c = (rlvr.schooled(seed, pupils_asked=20, steps=2) for seed in (0, 0, 1))
    assert torch.equal(a.head.weight, b.head.weight) and not torch.equal(a.head.weight, c.head.weight)
