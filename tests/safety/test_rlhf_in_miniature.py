"""The language and its score, the model and its probabilities, and four trainings against exact answers.

A world of fifteen responses (two words, three tokens at the most) can be written out, so the optimum
of the KL-regularised objective is known, and PPO and DPO have to come to it.
"""

import copy
import itertools

import numpy as np
import pytest
import torch

from rlworkshop.safety import rlhf_in_miniature as rlhf

T, BETA = 3, 0.5


def rows() -> torch.Tensor:
    """All fifteen responses after a prompt of one token, (15, 1 + T)."""
    said = [(*words, *[1] * (n < T)) for n in range(T + 1) for words in itertools.product((2, 3), repeat=n)]
    return torch.tensor([[1, *one, *[0] * (T - len(one))] for one in said])


def place(tokens: torch.Tensor) -> torch.Tensor:
    """Which of the fifteen responses each of the tokens (B, 1 + T) is."""
    return (tokens[:, None] == rows()[None]).all(dim=-1).int().argmax(dim=1)


def model(seed: int = 0) -> rlhf.LanguageModel:
    torch.manual_seed(seed)
    made = rlhf.LanguageModel(vocabulary=4, context=1 + T, width=16)
    with torch.no_grad():
        made.head.weight *= 2
    return made


def exact(policy: torch.nn.Module) -> torch.Tensor:
    """Log-probabilities of the fifteen responses."""
    with torch.no_grad():
        return rlhf.log_probs(policy, rows(), 1).sum(dim=1)


def distance(p: torch.Tensor, q: torch.Tensor) -> float:
    """Total variation of two distributions."""
    return float(0.5 * (p - q).abs().sum())


def ask(n: int) -> torch.Tensor:
    return torch.ones(n, 1, dtype=torch.long)


def sentence(text: str) -> torch.Tensor:
    words = [rlhf.TOKEN[word] for word in text.split()]
    return torch.tensor([words + [0] * (rlhf.PROMPT + rlhf.MAX_NEW - len(words))])


@pytest.fixture(scope="module")
def reward() -> torch.Tensor:
    return torch.randn(15, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def optimum(reward) -> torch.Tensor:
    return (exact(model()) + reward / BETA).softmax(dim=0)


# ------------------------------------------------------------------------------------------ the language


@pytest.mark.parametrize(
    ("said", "gold", "is_sentence"),
    [
        ("cat eats fish .", 1.0, True),
        ("the cat consumes fish .", 1.0, True),
        ("well the really cat eats fish indeed .", 0.7, True),
        ("cat eats bones .", 0.0, True),
        ("really dog eats fish .", -0.1, True),
        ("cat lives fish .", 0.0, True),
        ("cat eats fish", -1.0, False),
        ("cat fish eats .", -1.0, False),
        ("eats fish .", -1.0, False),
        ("cat the eats fish .", -1.0, False),
        ("cat eats fish fish .", -1.0, False),
        (".", -1.0, False),
    ],
)
def test_a_program_says_how_good_an_answer_is(said, gold, is_sentence):
    found = rlhf.score(sentence(f"cat food ? {said}"))
    assert found.gold.item() == pytest.approx(gold) and found.sentence.item() is is_sentence
    assert found.words.item() == len(said.replace(".", "").split())
    assert found.right.item() is (gold > 0)


def test_facts_differ_between_animals():
    assert rlhf.fact("cat", "food") == "fish" and rlhf.fact("frog", "home") == "upstream"
    assert len({rlhf.fact(a, "colour") for a in rlhf.ANIMALS}) == len(rlhf.ANIMALS)


def test_prompts_ask_about_the_topics():
    found = rlhf.prompts(500, np.random.default_rng(0), ("food", "colour"))
    assert found.shape == (500, rlhf.PROMPT)
    assert {rlhf.WORDS[t] for t in found[:, 1]} == {"food", "colour"}
    assert {rlhf.WORDS[t] for t in found[:, 0]} == set(rlhf.ANIMALS)
    assert rlhf.text(found[0]).endswith("?")


def test_demonstrations_are_as_good_as_asked():
    rng = np.random.default_rng(0)
    questions = rlhf.prompts(1000, rng)
    best = rlhf.score(rlhf.demonstrations(questions, rng, right=1.0, filler=0.0, slip=0.0))
    assert (best.gold == 1).all() and best.words.max() == 4
    mixed_tokens = rlhf.demonstrations(questions, rng)
    mixed = rlhf.score(mixed_tokens)
    assert 0.85 < mixed.sentence.float().mean() < 0.95
    assert (
        0.66 < mixed.right.float().mean() / mixed.sentence.float().mean() < 0.74
    )  # 0.6, and a fourth by chance
    assert (mixed_tokens == rlhf.STOP).sum(dim=1).eq(1).all()
    formal = [rlhf.TOKEN[v] for v in rlhf.FORMAL]
    said = rlhf.demonstrations(questions, rng, formal=1.0)
    assert torch.isin(said, torch.tensor(formal)).any(dim=1).all()
    assert torch.isin(mixed_tokens, torch.tensor(formal)).any(dim=1).float().mean() < 0.2


# --------------------------------------------------------------------------------------------- the model


def test_the_probabilities_of_all_responses_add_up_to_one():
    for seed in range(3):
        assert exact(model(seed)).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_token_does_not_see_those_that_come_after():
    made, tokens = model(), rows()[[12, 13]]
    tokens[1, :2] = tokens[0, :2]
    assert not torch.equal(tokens[0], tokens[1])
    assert torch.allclose(made(tokens)[0, :2], made(tokens)[1, :2], atol=1e-6)
    assert not torch.allclose(made(tokens)[0, 2:], made(tokens)[1, 2:], atol=1e-3)


def test_what_is_sampled_has_the_probabilities_that_are_computed():
    made = model()
    said = rlhf.generate(made, ask(20_000), torch.Generator().manual_seed(0), max_new=T)
    share = torch.bincount(place(said.tokens), minlength=15) / 20_000
    assert distance(share, exact(made).exp()) < 0.03
    assert torch.allclose(said.logp, rlhf.log_probs(made, said.tokens, 1), atol=1e-5)
    assert torch.equal(said.tokens[place(said.tokens) == 0][0], torch.tensor([1, 1, 0, 0]))


def test_the_mask_ends_with_the_full_stop():
    tokens = torch.tensor([[1, 2, 1, 0], [1, 1, 0, 0], [1, 2, 3, 2]])
    wanted = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]]).bool()
    assert torch.equal(rlhf.response_mask(tokens, 1), wanted)
    assert (rlhf.log_probs(model(), tokens, 1)[~wanted] == 0).all()
    said = rlhf.generate(model(), ask(100), torch.Generator().manual_seed(0), max_new=T)
    assert torch.equal(said.mask, rlhf.response_mask(said.tokens, 1)) and (said.logp[~said.mask] == 0).all()


def test_a_low_temperature_is_greedy_and_its_log_probabilities_are_its_own():
    said = rlhf.generate(model(), ask(200), torch.Generator().manual_seed(0), max_new=T, temperature=0.01)
    assert len(set(map(tuple, said.tokens.tolist()))) <= 2 and said.logp.sum(dim=1).mean() > -0.3


def test_padding_in_a_prompt_is_refused():
    with pytest.raises(ValueError, match="one length"):
        rlhf.generate(model(), torch.tensor([[1, 0]]), torch.Generator(), max_new=1)


def test_the_kl_divergence_is_that_of_whole_responses():
    ours, theirs = model(0), model(1)
    p, q = exact(ours), exact(theirs)
    said = rlhf.generate(ours, ask(20_000), torch.Generator().manual_seed(0), max_new=T)
    found = rlhf.kl(ours, theirs, said.tokens, 1)
    forward, backward = (p.exp() * (p - q)).sum(), (q.exp() * (q - p)).sum()
    assert abs(forward - backward) > 0.05  # the two directions differ, or this would prove nothing
    assert found.mean().item() == pytest.approx(forward.item(), rel=0.03) and (found >= 0).all()


# ------------------------------------------------------------------------------- supervised and rewards


def test_supervised_fine_tuning_comes_to_the_shares_of_the_data():
    wanted = torch.linspace(1, 3, 15).softmax(dim=0)
    data = rows()[
        torch.multinomial(wanted, 3000, replacement=True, generator=torch.Generator().manual_seed(0))
    ]
    made = model()
    rlhf.sft(made, data, torch.Generator().manual_seed(0), steps=120, batch=128, prompt=1)
    assert distance(exact(made).exp(), torch.bincount(place(data), minlength=15) / 3000) < 0.06


def test_the_loss_of_fine_tuning_is_a_mean_over_tokens_of_responses(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: seen.append(self.item()))
    monkeypatch.setattr(rlhf, "adam", lambda *_: (torch.optim.SGD([torch.zeros(1)]), lambda: None))
    made, data = model(), torch.tensor([[1, 2, 1, 0]])
    rlhf.sft(made, data, torch.Generator(), steps=1, batch=5, prompt=1)
    assert seen[0] == pytest.approx(-exact(made)[place(data)].item() / 2, rel=1e-5)


def test_labels_follow_bradley_and_terry():
    first, second = rows()[[3]].repeat(20_000, 1), rows()[[9]].repeat(20_000, 1)
    utility = torch.zeros(15)
    utility[3] = 1.0
    chosen, rejected = rlhf.label(
        first, second, lambda t: utility[place(t)], torch.Generator().manual_seed(0)
    )
    wanted = 1 / (1 + np.exp(-1))
    assert (place(chosen) == 3).float().mean().item() == pytest.approx(wanted, abs=0.02)
    assert ((place(chosen) == 3) == (place(rejected) == 9)).all()


def test_the_loss_of_comparisons_falls_where_the_chosen_one_scores_higher():
    up, down = torch.tensor([2.0]), torch.tensor([0.0])
    assert rlhf.preference_loss(up, down).item() == pytest.approx(np.log1p(np.exp(-2)), rel=1e-5)
    assert rlhf.preference_loss(down, up) > rlhf.preference_loss(up, down)


def test_a_reward_model_reads_the_last_token():
    torch.manual_seed(0)
    scorer = rlhf.Scorer(4, 1 + T, 16)
    tokens = torch.tensor([[1, 2, 1, 0], [1, 2, 3, 2]])
    both = scorer(tokens)
    assert torch.equal(rlhf.reward(scorer, tokens, 1), torch.stack([both[0, 2], both[1, 3]]))


def test_a_reward_model_finds_the_rewards_up_to_a_constant(reward):
    generator = torch.Generator().manual_seed(0)
    first, second = (rows()[torch.randint(15, (8000,), generator=generator)] for _ in range(2))
    chosen, rejected = rlhf.label(first, second, lambda t: reward[place(t)], generator)
    torch.manual_seed(0)
    scorer = rlhf.Scorer(4, 1 + T, 16)
    rlhf.fit_reward(scorer, chosen, rejected, generator, steps=150, batch=128, lr=1e-2, prompt=1)
    with torch.no_grad():
        found = rlhf.reward(scorer, rows(), 1)
    assert (found - found.mean() - reward + reward.mean()).abs().max() < 0.35


def test_a_scorer_reads_as_the_model_does():
    torch.manual_seed(0)
    made, tokens = model(), rows()
    scorer = rlhf.scorer_from(made)
    assert torch.equal(scorer.read(tokens), made.read(tokens)) and scorer(tokens).shape == (15, 4)
    with torch.no_grad():
        scorer.token.weight += 1
    assert not torch.equal(scorer.token.weight, made.token.weight)


# -------------------------------------------------------------------------------------------- PPO, DPO


def test_the_score_comes_at_the_last_token_and_the_penalty_at_each():
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()
    logp, ref = torch.tensor([[-1.0, -2, 0], [-1, -1, -1]]), torch.tensor([[-2.0, -1, 0], [-1, -3, -1]])
    found = rlhf.token_rewards(torch.tensor([5.0, 7.0]), logp, ref, mask, 0.1)
    assert torch.allclose(found, torch.tensor([[-0.1, 5.1, 0], [0, -0.2, 7]]))
    dirty = logp + 9.0 * ~mask
    assert torch.equal(rlhf.token_rewards(torch.tensor([5.0, 7.0]), dirty, ref, mask, 0.1), found)


def test_advantages_by_hand():
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]]).bool()
    rewards, values = torch.tensor([[0.0, 1, 2], [0, 4, 7]]), torch.tensor([[1.0, 2, 3], [1, 2, 99]])
    one_step = rlhf.advantages(rewards, values, mask, 0.0)
    assert torch.allclose(one_step, torch.tensor([[1.0, 2, -1], [1, 2, 0]]))
    returns = rlhf.advantages(rewards, values, mask, 1.0)
    assert torch.allclose(returns, torch.tensor([[2.0, 1, -1], [3, 2, 0]]))
    half = rlhf.advantages(rewards, values, mask, 0.5)
    assert torch.allclose(half[0], torch.tensor([1 + 0.5 * (2 - 0.5), 2 - 0.5, -1]))


def test_the_clipped_loss_counts_only_tokens_of_responses():
    mask = torch.tensor([[True, False]])
    old, advantage = torch.zeros(1, 2), torch.tensor([[1.0, 100.0]])
    logp = torch.full((1, 2), np.log(1.1), requires_grad=True)
    loss = rlhf.clipped_loss(logp, old, advantage, mask, 0.2)
    assert loss.item() == pytest.approx(-1.1)
    far = torch.full((1, 2), np.log(2.0), requires_grad=True)
    rlhf.clipped_loss(far, old, advantage, mask, 0.2).backward()
    assert not far.grad.any()  # beyond the clip there is nothing to be gained
    down = torch.full((1, 2), np.log(2.0), requires_grad=True)
    rlhf.clipped_loss(down, old, -advantage, mask, 0.2).backward()
    assert down.grad[0, 0] > 0 and down.grad[0, 1] == 0


def test_ppo_comes_to_the_optimum_that_can_be_computed(reward, optimum):
    policy, config = model(), rlhf.PPO(beta=BETA, iterations=25, batch=256, lr=1e-2)
    start = distance(exact(policy).exp(), optimum)
    torch.manual_seed(0)
    critic, seen = rlhf.Scorer(4, 1 + T, 16), []
    generator = torch.Generator().manual_seed(0)
    rlhf.ppo(
        policy, model(), critic, lambda t: reward[place(t)], ask, config, generator, max_new=T,
        callback=lambda i, said: seen.append(said.tokens.shape),
    )  # fmt: skip
    assert start > 0.3 and distance(exact(policy).exp(), optimum) < 0.05
    assert seen == [(256, 1 + T)] * 25


def test_dpo_comes_to_the_same_optimum(reward, optimum):
    reference, generator = model(), torch.Generator().manual_seed(0)
    pairs = rlhf.generate(reference, ask(20_000), generator, T).tokens.chunk(2)
    chosen, rejected = rlhf.label(*pairs, lambda t: reward[place(t)], generator)
    policy, seen = copy.deepcopy(reference), []
    rlhf.dpo(
        policy, reference, chosen, rejected, generator, BETA, steps=120, batch=128, lr=1e-2, prompt=1,
        callback=seen.append,
    )  # fmt: skip
    assert distance(exact(policy).exp(), optimum) < 0.08 and seen == list(range(120))


def test_the_gradient_of_dpo_begins_at_half_and_ends_with_the_margin():
    chosen, zero = torch.zeros(1, requires_grad=True), torch.zeros(1)
    loss = rlhf.dpo_loss(chosen, zero, zero, zero, 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2)) and chosen.grad.item() == pytest.approx(-0.25)
    assert (
        rlhf.dpo_loss(zero + 1, zero, zero, zero, 0.5) < loss < rlhf.dpo_loss(zero, zero, zero + 1, zero, 0.5)
    )
    assert (
        rlhf.dpo_loss(zero, zero, zero, zero - 1, 0.5) > loss > rlhf.dpo_loss(zero, zero - 1, zero, zero, 0.5)
    )
    wanted = np.log1p(np.exp(-0.5 * (1 + 2 - 3 + 4)))
    found = rlhf.dpo_loss(*(torch.tensor([x]) for x in (1.0, 3.0, -2.0, 4.0)), 0.5)
    assert found.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("field", "value"), [("beta", -0.1), ("iterations", 0), ("minibatches", 500)])
def test_settings_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ValueError):
        rlhf.PPO(**{field: value})
