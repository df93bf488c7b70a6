"""Rewards from comparisons: the model of a teacher, what is fitted to whom, which queries, and you as one."""

import dataclasses
import functools
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from rlworkshop import compare, provenance, runs
from rlworkshop.algorithms import ppo
from rlworkshop.envs import swing_up
from rlworkshop.safety import learning_from_preferences as prefs

SMALL = prefs.Preferences(comparisons=40, until=0.75, updates=4, num_envs=12, first_fit=20, fit_steps=5)


def ensemble(inputs=4, seed=0, **kwargs) -> prefs.Ensemble:
    return prefs.Ensemble(inputs, torch.Generator().manual_seed(seed), **kwargs)


def toy(n: int, error: float = 0.0, seed: int = 0) -> prefs.Comparisons:
    """Comparisons of clips (n, 5, 2) by a teacher who likes the sum of the first number, and errs."""
    rng = np.random.default_rng(seed)
    left, right = (rng.normal(size=(n, 5, 2)).astype(np.float32) for _ in range(2))
    teacher = prefs.Synthetic(lambda clips: clips[..., 0].sum(axis=-1), rng, error)
    return prefs.Comparisons(left, right, teacher(left, right))


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


# ---------------------------------------------------------------- teachers and clips


def test_the_scores_of_clips():
    clip = np.zeros((2, 15, 4))
    clip[..., 0], clip[1, :, 2] = 1, 2 * np.pi / 10
    assert prefs.turning(clip) == pytest.approx([-1, 0])
    assert prefs.SCORES["upright"](clip) == pytest.approx([0, -15 * 0.1 * (2 * np.pi) ** 2])
    assert prefs.turning(-clip[1]) == pytest.approx(-2)  # clockwise is no better than twice as fast


def test_a_teacher_prefers_the_higher_score_and_errs_half_as_often_as_it_flips():
    data = toy(4000)
    left = data.left[..., 0].sum(axis=1) > data.right[..., 0].sum(axis=1)
    assert np.array_equal(data.label, left)
    teacher = prefs.Synthetic(lambda clips: 0 * clips[:, 0, 0], np.random.default_rng(0))
    assert teacher(data.left, data.right) == pytest.approx(0.5)  # it sees no difference
    careless = toy(4000, error=0.4)
    left = careless.left[..., 0].sum(axis=1) > careless.right[..., 0].sum(axis=1)
    assert (careless.label != left).mean() == pytest.approx(0.2, abs=0.02)


def test_clips_are_steps_in_a_row_of_one_episode_and_reach_its_ends():
    T, N = 12, 7
    episodes = np.stack(np.meshgrid(np.arange(T), np.arange(N), indexing="ij"), axis=-1)  # (T, N, 2)
    clips = prefs.cut(episodes, 3000, 5, np.random.default_rng(0))
    assert clips.shape == (3000, 5, 2)
    assert (np.diff(clips[..., 0]) == 1).all() and (np.diff(clips[..., 1]) == 0).all()
    assert set(clips[:, 0, 0]) == set(range(T - 5 + 1)) and set(clips[:, 0, 1]) == set(range(N))
    assert clips[..., 0].max() == T - 1 and clips[..., 0].min() == 0
    whole = prefs.cut(episodes, 5, T, np.random.default_rng(0))
    assert (whole[:, :, 0] == np.arange(T)).all()


def test_clips_are_copies():
    episodes = np.zeros((12, 7, 2))
    clips = prefs.cut(episodes, 3, 5, np.random.default_rng(0))
    episodes += 1
    assert not clips.any()


@pytest.mark.parametrize("length", [0, 13])
def test_clips_longer_than_episodes_are_refused(length):
    with pytest.raises(ValueError, match=f"clips of {length} steps cannot be cut from episodes of 12"):
        prefs.cut(np.zeros((12, 7, 2)), 3, length, np.random.default_rng(0))


def test_comparisons_that_do_not_fit_are_refused():
    clips = np.zeros((3, 5, 2))
    with pytest.raises(ValueError, match="a label each"):
        prefs.Comparisons(clips, clips, np.zeros(2))
    with pytest.raises(ValueError, match="between 0"):
        prefs.Comparisons(clips, clips, np.array([0, 1, 2.0]))
    both = toy(3).add(toy(2, seed=1))
    assert len(both) == 5 and np.array_equal(both.right[3:], toy(2, seed=1).right)


# ---------------------------------------------------------------- the model


def test_the_preference_is_bradley_terrys_mixed_with_a_coin():
    better, worse = numbers(1.0, 0.0, -3.0), numbers(0.0, 0.0, 2.0)
    exact = np.exp(better.numpy()) / (np.exp(better.numpy()) + np.exp(worse.numpy()))
    assert torch.exp(prefs.log_preference(better, worse, 0.0)).numpy() == pytest.approx(exact)
    assert torch.exp(prefs.log_preference(better, worse, 0.3)).numpy() == pytest.approx(0.15 + 0.7 * exact)
    assert torch.exp(prefs.log_preference(better, worse)).numpy() == pytest.approx(0.05 + 0.9 * exact)


def test_the_two_preferences_of_a_pair_add_up_to_one_and_only_the_difference_matters():
    left, right = torch.randn(50, generator=torch.Generator().manual_seed(0)), torch.zeros(50)
    there, back = (torch.exp(prefs.log_preference(*pair)) for pair in ((left, right), (right, left)))
    assert (there + back).numpy() == pytest.approx(1)
    assert torch.allclose(
        prefs.log_preference(left + 7, right + 7), prefs.log_preference(left, right), atol=1e-6
    )


def test_the_gradient_by_hand():
    difference = numbers(0.4).requires_grad_()
    prefs.preference_loss(difference, numbers(0.0), numbers(1.0), 0.0).backward()
    assert difference.grad.item() == pytest.approx(-(1 - 1 / (1 + np.exp(-0.4))))
    sigma = 1 / (1 + np.exp(-0.4))
    difference.grad = None
    prefs.preference_loss(difference, numbers(0.0), numbers(1.0), 0.1).backward()
    assert difference.grad.item() == pytest.approx(-0.9 * sigma * (1 - sigma) / (0.05 + 0.9 * sigma))


def test_a_label_of_one_is_the_left_clip_and_a_half_wants_equal_rewards():
    high, low = numbers(2.0), numbers(-1.0)
    assert prefs.preference_loss(high, low, numbers(1.0)) < prefs.preference_loss(high, low, numbers(0.0))
    equal = [prefs.preference_loss(numbers(d), numbers(0.0), numbers(0.5)).item() for d in (-1.0, 0.0, 1.0)]
    assert (
        equal[1] == pytest.approx(np.log(2)) and equal[0] == pytest.approx(equal[2]) and equal[0] > equal[1]
    )


def test_one_wrong_answer_costs_no_more_than_a_careless_teacher_explains():
    difference = numbers(60.0).requires_grad_()
    loss = prefs.preference_loss(numbers(0.0), difference, numbers(1.0), 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(0.05), rel=1e-4) and difference.grad.abs().item() < 1e-6
    strict = numbers(60.0).requires_grad_()
    prefs.preference_loss(numbers(0.0), strict, numbers(1.0), 0.0).backward()
    assert strict.grad.item() == pytest.approx(1)  # without the coin it pulls as hard as ever


# ---------------------------------------------------------------- the ensemble


def test_members_begin_with_weights_of_their_own():
    made, inputs = ensemble(), np.random.default_rng(0).normal(size=(20, 4))
    rewards = made.each(inputs)
    assert rewards.shape == (3, 20) and np.abs(rewards[:, None] - rewards).mean(axis=2)[0, 1:].min() > 0.1
    given = torch.from_numpy(np.stack([inputs] * 3).astype(np.float32))
    assert made(given).detach().numpy() == pytest.approx(rewards, abs=1e-5)


def test_each_member_is_standardised_before_the_mean():
    made, rng = ensemble(), np.random.default_rng(0)
    with torch.no_grad():
        made.nets[0][-1].weight *= 100  # one member that shouts
        made.nets[1][-1].bias += 50
    inputs = rng.normal(size=(30, 40, 4))
    made.standardize(inputs)
    each = (np.moveaxis(made.each(inputs), 0, -1) - made.shift) / made.scale
    assert each.mean(axis=(0, 1)) == pytest.approx(0, abs=1e-4)
    assert each.std(axis=(0, 1)) == pytest.approx(1, abs=1e-4)
    reward = made.reward(inputs)
    assert reward.shape == (30, 40) and reward == pytest.approx(each.mean(axis=-1), abs=1e-5)
    loud = made.each(inputs)[0].ravel()
    assert abs(np.corrcoef(reward.ravel(), loud)[0, 1]) < 0.95  # the loud one has no more to say


def test_fitting_finds_what_the_teacher_likes():
    made, rng = ensemble(2, hidden=(32,)), np.random.default_rng(1)
    prefs.fit(made, prefs.make_optimizer(made), toy(300), 100, rng)
    assert prefs.agreement(made, toy(1000, seed=5)) > 0.93
    line = made.each(np.array([[-1.0, 0], [0, 0], [1, 0]]))
    assert (np.diff(line) > 0).all()  # every member, and the right way round


def test_members_are_fitted_to_samples_of_their_own():
    seen = []

    class Spy(prefs.Ensemble):
        def forward(self, own):
            seen.append(own.detach().numpy().copy())
            return super().forward(own)

    made, data = Spy(2, torch.Generator().manual_seed(0)), toy(40)
    prefs.fit(made, prefs.make_optimizer(made), data, 60, np.random.default_rng(0), batch_size=16)
    left = np.stack(seen[::2])  # (steps, K, M, L, D)
    assert left.shape == (60, 3, 16, 5, 2)
    sets = [{clip.tobytes() for clip in member.reshape(-1, 5, 2)} for member in left.swapaxes(0, 1)]
    everything = {clip.tobytes() for clip in data.left}
    assert all(one < everything for one in sets)  # a bootstrap sample leaves some out
    assert len({frozenset(one) for one in sets}) == 3 and set.union(*sets) <= everything
    assert 0.5 < np.mean([len(one) / 40 for one in sets]) < 0.75  # 1 - 1/e of them, on average


def test_a_clip_is_worth_the_sum_of_its_rewards(monkeypatch):
    made, data, seen = ensemble(2), toy(1), []
    wanted = [made.each(clip).sum(axis=-1) for clip in (data.left, data.right)]
    loss = prefs.preference_loss
    monkeypatch.setattr(prefs, "preference_loss", lambda *given: seen.extend(given) or loss(*given))
    prefs.fit(made, prefs.make_optimizer(made), data, 1, np.random.default_rng(0), error=0.25)
    assert seen[0].detach().numpy() == pytest.approx(wanted[0], abs=1e-5)
    assert seen[1].detach().numpy() == pytest.approx(wanted[1], abs=1e-5)
    assert (seen[2] == data.label[0]).all() and seen[2].shape == (3, 1) and seen[3] == 0.25


def test_left_right_and_label_stay_together():
    made, data = ensemble(2), toy(64)
    loss = prefs.fit(made, prefs.make_optimizer(made), data, 200, np.random.default_rng(0))
    assert loss < 0.35 and prefs.agreement(made, data) > 0.95


def test_nobody_can_be_fitted_to_nothing():
    made = ensemble(2)
    with pytest.raises(ValueError, match="ask first"):
        prefs.fit(made, prefs.make_optimizer(made), toy(3).__class__(*(x[:0] for x in vars(toy(3)).values())),
                  1, np.random.default_rng(0))  # fmt: skip


def test_the_model_of_a_careless_teacher_survives_careless_answers():
    held_out, scores = toy(1000, seed=9), []
    for error in (0.0, 0.5):
        found = []
        for seed in range(3):
            made = ensemble(2, seed, members=1, hidden=(32,))
            data = toy(60, error=0.5, seed=seed)
            prefs.fit(made, prefs.make_optimizer(made), data, 200, np.random.default_rng(0), error=error)
            found.append(prefs.agreement(made, held_out))
        scores.append(np.mean(found))
    assert scores[1] > scores[0] + 0.02


# ---------------------------------------------------------------- queries


def test_disagreement_is_the_variance_of_the_members_preferences():
    made, data = ensemble(2), toy(30)
    left = made.each(data.left).sum(axis=-1) - made.each(data.right).sum(axis=-1)
    p = 1 / (1 + np.exp(-left))
    assert prefs.preference(made, data.left, data.right) == pytest.approx(p, abs=1e-5)
    assert prefs.disagreement(made, data.left, data.right) == pytest.approx(p.var(axis=0), abs=1e-5)
    assert prefs.agreement(made, data) == ((p.mean(axis=0) > 0.5) == data.label).mean()
    ties = dataclasses.replace(data, label=np.where(np.arange(30) < 10, 0.5, data.label))
    assert prefs.agreement(made, ties) == ((p.mean(axis=0) > 0.5) == data.label)[10:].mean()


def test_the_pairs_that_are_asked_about_are_those_with_most_disagreement():
    episodes = swing_up.random_episode(20, 0)
    inquiry, plain = prefs.Inquiry(seed=0, candidates=10), prefs.Inquiry(seed=0, candidates=1)
    chosen, drawn = (one.pairs(episodes, 40) for one in (inquiry, plain))
    assert chosen[0].shape == (40, prefs.CLIP, 4)
    found = [prefs.disagreement(inquiry.ensemble, *pairs) for pairs in (chosen, drawn)]
    assert found[0].min() > np.median(found[1])
    again = prefs.Inquiry(seed=0, candidates=10)
    left, right = (prefs.cut(episodes, 400, prefs.CLIP, again.rng) for _ in range(2))
    best = np.sort(prefs.disagreement(again.ensemble, left, right))[-40:]
    assert np.sort(found[0]) == pytest.approx(best)


def test_who_is_asked_sees_the_pairs_that_are_kept():
    seen = []

    def labeller(left, right):
        seen.append((left.copy(), right.copy()))
        return np.linspace(0, 1, len(left))

    inquiry = prefs.Inquiry(labeller, 0)
    for n in (5, 3):
        inquiry.ask(swing_up.random_episode(20, 0), n)
    assert len(inquiry.data) == 8 and np.array_equal(inquiry.data.label[:5], np.linspace(0, 1, 5))
    for i, side in enumerate(("left", "right")):
        assert np.array_equal(getattr(inquiry.data, side), np.concatenate([pair[i] for pair in seen]))


# ---------------------------------------------------------------- training


def test_comparisons_are_spread_over_the_first_part_of_the_training():
    config = prefs.Preferences(comparisons=100, upfront=0.2, until=0.5, updates=40)
    assert [prefs.asked_by(update, config) for update in (0, 10, 20, 40)] == [20, 60, 100, 100]
    assert prefs.asked_by(0, dataclasses.replace(config, upfront=1.0)) == 100


def test_a_given_reward_is_standardised_too():
    made = prefs.Scaled(lambda steps: 30 * steps[..., 0] - 1000)
    steps = np.random.default_rng(0).normal(2, 3, (50, 4, 1))
    assert made.reward(steps) == pytest.approx(30 * steps[..., 0] - 1000)
    made.standardize(steps)
    assert made.reward(steps).mean() == pytest.approx(0, abs=1e-9)
    assert made.reward(steps).std() == pytest.approx(1)


def test_the_agent_learns_from_the_ensembles_standardised_reward(monkeypatch):
    paid, kept = [], []
    original, step = prefs.Ensemble.standardize, swing_up.Rewarded.step

    def standardize(self, inputs):
        original(self, inputs)
        kept.append((self, inputs))

    def spy(self, actions):
        result = step(self, actions)
        paid.append(result[1])
        return result

    monkeypatch.setattr(prefs.Ensemble, "standardize", standardize)
    monkeypatch.setattr(swing_up.Rewarded, "step", spy)
    run = prefs.train_from_preferences(SMALL, 0)
    assert run.metrics["asked"].tolist() == [20, 30, 40, 40] and run.metrics["score"].shape == (4,)
    rewards = np.array(paid[60:]).reshape(4, 61, 12)  # after the episode of random actions
    assert not rewards[:, 60].any()
    assert (np.abs(rewards[:, :60].mean(axis=(1, 2))) < 0.5).all()  # by the batch before: not exactly
    assert ((rewards[:, :60].std(axis=(1, 2)) > 0.4) & (rewards[:, :60].std(axis=(1, 2)) < 2)).all()
    made, inputs = kept[-1]
    assert made.reward(inputs).mean() == pytest.approx(0, abs=1e-4)
    raw = []
    monkeypatch.setattr(prefs.Ensemble, "standardize", lambda self, inputs: raw.append(inputs))
    prefs.train_from_preferences(dataclasses.replace(SMALL, standardize=False), 0)
    assert not raw


def test_a_training_repeats_itself_and_its_policy_can_be_loaded():
    one, two = (prefs.train_from_preferences(SMALL, 3) for _ in range(2))
    assert all(np.array_equal(one.metrics[name], two.metrics[name]) for name in ("return", "score"))
    other = prefs.train_from_preferences(SMALL, 4)
    assert not np.array_equal(one.metrics["score"], other.metrics["score"])
    assert ppo.load_policy(one).act(np.zeros((5, 3), np.float32)).shape == (5, 1)
    given = prefs.train_from_preferences(dataclasses.replace(SMALL, source="score"), 3)
    assert given.metrics["asked"].tolist() == [0, 0, 0, 0] and np.isfinite(given.metrics["return"]).all()


def test_another_teacher_may_answer():
    asked = []

    def labeller(left, right):
        asked.append(len(left))
        return np.full(len(left), 0.5)

    prefs.train_from_preferences(SMALL, 0, labeller)
    assert asked == [10, 10, 10, 10]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"score": "tidy"}, "choose from upright, turning"),
        ({"source": "rumours"}, 'choose "comparisons" or "score"'),
        ({"updates": 0}, "at least 1"),
        ({"upfront": 0.0}, "parts"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        prefs.Preferences(**wrong)


# ---------------------------------------------------------------- you as the teacher


def lesson(folder, **kwargs) -> prefs.Teaching:
    return prefs.Teaching(folder, **{"total": 5, "per_round": 3, **kwargs})


def spinner(pair) -> str:
    """What a person answers who likes pendulums that turn anticlockwise."""
    left, right = (clip[:, 2].mean() for clip in pair)
    return "left" if left > right else "right"


@pytest.fixture
def hasty(monkeypatch):
    """A lesson is quickly learned."""
    train, fit = prefs.train_on, prefs.Inquiry.fit

    def briefly(source, config, seed, after):
        return train(source, dataclasses.replace(config, updates=1, num_envs=8), seed, after)

    monkeypatch.setattr(prefs, "train_on", briefly)
    monkeypatch.setattr(prefs.Inquiry, "fit", lambda self, steps: fit(self, 20))


def test_who_comes_back_finds_the_question_at_which_they_left(tmp_path, hasty):
    whole = lesson(tmp_path / "one")
    asked = []
    while (pair := whole.question()) is not None:
        asked.append(pair)
        whole.answer(spinner(pair))
    assert len(asked) == 5
    for wanted in asked:  # as if by a new process each
        back = lesson(tmp_path / "two")
        pair = back.question()
        assert np.array_equal(pair, wanted)
        back.answer(spinner(pair))
    files = [(tmp_path / name / "answers.jsonl").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1] and files[0].count(b"\n") == 6


def test_what_was_skipped_teaches_nothing_and_equal_is_a_half(tmp_path, hasty):
    made = lesson(tmp_path)
    pairs = []
    for word in ("left", "skip", "equal", "right", "left"):
        pairs.append(made.question())
        made.answer(word)
    data = made.data(4)
    assert data.label.tolist() == [1.0, 0.5, 0.0] and len(made.data(5)) == 4
    assert np.array_equal(data.left, [pairs[i][0] for i in (0, 2, 3)])
    assert np.array_equal(data.right, [pairs[i][1] for i in (0, 2, 3)])


def test_who_skips_everything_is_told_so(tmp_path, hasty):
    made = lesson(tmp_path)
    while made.question() is not None:
        made.answer("skip")
    assert "nothing to learn from" in made.conclusion()


def test_the_conclusion_keeps_the_agent_and_a_film(tmp_path, hasty):
    made = lesson(tmp_path)
    while (pair := made.question()) is not None:
        made.answer(spinner(pair))
    told = made.conclusion()
    assert "% of your 5 comparisons" in told and str(tmp_path / "agent.html") in told
    assert (tmp_path / "agent.html").read_text().count("<svg") == 4
    assert ppo.load_policy(runs.Run.load(tmp_path / "agent.npz")).act(np.zeros((2, 3))).shape == (2, 1)


def test_answers_to_other_questions_are_refused(tmp_path):
    lesson(tmp_path, seed=1)
    with pytest.raises(compare.AnswersError, match="choose another folder"):
        lesson(tmp_path, seed=2)
    with pytest.raises(ValueError, match="at least 1 question"):
        lesson(tmp_path / "none", total=0)
    with pytest.raises(SystemExit, match="choose another folder"):
        prefs.teach(tmp_path)


def command(folder, *options):
    """``teach`` in a process of its own, fed through its input."""
    environment = {**os.environ, "PYTHONPATH": str(provenance.ROOT), "PYTHONUNBUFFERED": "1"}
    line = [sys.executable, "-m", prefs.__name__, "teach", "--folder", str(folder), *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # whoever runs the tests in the background has Ctrl-C ignored, and hands that on
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(line, env=environment, text=True, preexec_fn=heed, **pipes)


def seen(strips: str) -> str:
    """What a person answers who only sees the drawings: they like pendulums that stand upright."""
    heights = []
    for strip in re.findall(r"(?:left|right):\n((?:  .*\n){7})", strips):
        heights.append(sum((3 - row) * line.count("O") for row, line in enumerate(strip.split("\n"))))
    left, right = heights[-2:]
    return "l" if left > right else "r" if right > left else "e"


def converse(process, answers: int) -> str:
    """Answer so many questions of a process by what it prints; the last of what it printed."""
    text = ""
    while answers >= 0:
        letter = process.stdout.read(1)
        text += letter
        if not letter:
            break
        if text.endswith("(the first letter will do): "):
            if answers == 0:
                break
            answers -= 1
            process.stdin.write(seen(text) + "\n")
            process.stdin.flush()
            text = ""
    return text


@pytest.mark.slow
def test_sixty_answers_with_an_interruption_teach_what_the_person_likes(tmp_path):
    first = command(tmp_path)
    converse(first, 31)
    first.send_signal(signal.SIGINT)
    rest, wrong = first.communicate(timeout=60)
    assert "31 answers are saved" in rest and not wrong and first.returncode == 0
    second = command(tmp_path)
    text = converse(second, 29)
    text += second.communicate(timeout=120)[0]
    assert "agree" in text and (tmp_path / "agent.npz").exists()
    made = prefs.Teaching(tmp_path)
    assert made.number() == 60 and made.question() is None
    inquiry, _, _ = made.learned(60, updates=1)
    held_out = swing_up.random_episode(200, 77)
    left, right = (prefs.cut(held_out, 1000, prefs.CLIP, np.random.default_rng(i)) for i in range(2))
    height = [clips[..., 0].mean(axis=1) for clips in (left, right)]
    clear = np.abs(height[0] - height[1]) > 0.3
    ranks = prefs.preference(inquiry.ensemble, left, right).mean(axis=0) > 0.5
    assert (ranks == (height[0] > height[1]))[clear].mean() > 0.85


@pytest.mark.slow
def test_the_command_explains_itself(tmp_path):
    made = command(tmp_path)
    text, _ = made.communicate("what\nq\n", timeout=60)
    assert "'what' is no answer here" in text and "0 answers are saved" in text
    served = command(tmp_path, "--browser", "--port", "0")
    line = served.stdout.readline()
    time.sleep(0.2)
    served.send_signal(signal.SIGINT)
    assert "open http://127.0.0.1:" in line and "goes on from here" in served.communicate(timeout=20)[0]
