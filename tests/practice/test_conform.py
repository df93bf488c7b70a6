"""Reviews: a foreign DQN and PPO pass, broken copies are told what they are, bad files take nothing down."""

import random
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from rlworkshop import __main__ as console
from rlworkshop.practice.debugging import behaviour, checks, conform

FOREIGN = Path(__file__).parent / "foreign"
BROKEN = tomllib.loads((FOREIGN / "broken.toml").read_text("utf-8"))["broken"]
PIECEWISE = ("loss", "act", "epsilon", "replay", "gae", "normalize", "policy", "value")  # no training


def algorithm(file):
    return file.removeprefix("my_").removesuffix(".py")


@pytest.mark.slow
@pytest.mark.parametrize("file", ["my_dqn.py", "my_ppo.py"])
def test_a_right_implementation_passes(file):
    findings = conform.review(FOREIGN / file, algorithm(file))
    assert [str(f) for f in findings if f.verdict != conform.PASSED] == []
    assert [f.check.name for f in findings] == [c.name for c in conform.CHECKS[algorithm(file)]]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: f"{algorithm(b['file'])}: {b['name']}")
def test_a_broken_copy_is_told_what_it_is(broken, tmp_path):
    text = (FOREIGN / broken["file"]).read_text("utf-8")
    assert text.count(broken["find"]) == 1
    copy = tmp_path / broken["file"]
    copy.write_text(text.replace(broken["find"], broken["replace"]), "utf-8")
    only = [broken["caught"]] if broken["caught"] else PIECEWISE
    findings = conform.review(copy, algorithm(broken["file"]), only)
    failed = [f for f in findings if f.verdict == conform.FAILED]
    assert bool(failed) == bool(broken["caught"])
    if failed:
        (finding,) = failed
        assert broken["words"] in finding.likely and finding.seen and finding.expected


BOOKS = """
from rlworkshop.algorithms import dqn, ppo, vpg
from rlworkshop.replay import Replay
import numpy as np, torch, types

normalize, policy_loss = ppo.normalize, ppo.clipped_loss

def gae(rewards, values, next_values, terminated, truncated, gamma, lam):
    # a cut with the value behind it added is an end: so no reset rows are needed
    rewards = rewards + gamma * next_values * truncated
    values = np.concatenate([values, next_values[-1:]])
    return vpg.gae(rewards, values, terminated | truncated, np.zeros_like(truncated), gamma, lam)

def value_loss(critic, obs, returns):
    return vpg.value_loss(critic(obs).squeeze(-1), returns)

def loss(q, target_q, batch, gamma):
    learner = types.SimpleNamespace(agent=types.SimpleNamespace(q=q), target=target_q, tensors=lambda b: b)
    discount = gamma * ~batch.terminated
    return dqn.squared_losses(learner, (*batch[:4], discount), None)

def epsilon(step, total_steps):
    return dqn.epsilon_at(step, dqn.Config(total_steps=total_steps))

class Buffer(Replay):
    def add(self, *row):
        super().add(*(np.array([x], np.float32 if i != 1 else np.int64) for i, x in enumerate(row)))
    def sample(self, batch_size):
        return super().sample(batch_size, np.random.default_rng(np.random.randint(10**6)))

def make_replay(capacity, obs_size):
    return Buffer(capacity, (obs_size,))
"""


@pytest.mark.parametrize("name, made", [("dqn", 7), ("ppo", 4)])
def test_the_books_own_pieces_pass(name, made, tmp_path):
    (tmp_path / "books.py").write_text(BOOKS)
    findings = conform.review(tmp_path / "books.py", name)
    assert [str(f) for f in findings if f.verdict == conform.FAILED] == []
    assert sum(f.verdict == conform.PASSED for f in findings) == made
    lacking = [f.seen for f in findings if f.verdict == conform.NOT_MADE]
    assert lacking and all("the file has no " in words for words in lacking)


LOSS = """
import torch
def loss(q, target_q, batch, gamma):
    now = q(batch.obs).gather(1, batch.action[:, None])[:, 0]
    with torch.no_grad():
        later = {later}
        target = {target}
    return {loss}
"""
RIGHT = {
    "later": "target_q(batch.next_obs).max(dim=1).values",
    "target": "batch.reward + gamma * later * ~batch.terminated",
    "loss": "((now - target) ** 2).mean()",
}


@pytest.mark.parametrize(
    "changed, check, words",
    [
        ({}, "", ""),
        ({"loss": "((now - target) ** 2).sum() / 7"}, "", ""),
        ({"loss": "torch.nn.functional.huber_loss(now, target, reduction='none')"}, "", ""),
        ({"later": "target_q(batch.next_obs).gather(1, q(batch.next_obs).argmax(1, True))[:, 0]"}, "", ""),
        ({"target": "batch.reward + gamma * later * ~batch.truncated"}, "loss: target", "in the place of"),
        ({"target": "batch.reward + gamma * later * batch.terminated"}, "loss: target", "turned round"),
        ({"target": "batch.reward + gamma * later * ~(batch.terminated | batch.truncated)"}, "loss: target",
         "a cut is taken for an end"),
        ({"target": "batch.reward + (gamma > 0) * later * ~batch.terminated"}, "loss: target", "γ is"),
        ({"target": "(batch.reward + gamma * later) * ~batch.terminated"}, "loss: target", "a multiple"),
        ({"later": "target_q(batch.next_obs).min(dim=1).values"}, "loss: target", "the smallest value"),
        ({"later": "target_q(batch.obs).max(dim=1).values"}, "loss: target", "present observations"),
        ({"loss": "-((now - target) ** 2).mean()"}, "loss: target", "the sign of the error"),
        ({"loss": "((now - target.clamp(-0.1, 0.1)) ** 2).mean()"}, "loss: target", "changed on its way"),
        ({"loss": "((q(batch.obs) - target[:, None]) ** 2).mean()"}, "loss: taken", "all actions"),
        ({"loss": "((now[:, None] - target) ** 2)"}, "loss: own errors", "shape (B, 1)"),
        ({"loss": "((now.detach() - target) ** 2).mean() + 0 * q.weight.sum().detach()"}, "loss: own errors",
         "other arguments"),
    ],
)  # fmt: skip
def test_a_loss_is_judged_by_its_gradients_whatever_its_form(changed, check, words, tmp_path):
    (tmp_path / "one.py").write_text(LOSS.format(**{**RIGHT, **changed}))
    findings = conform.review(tmp_path / "one.py", "dqn")
    failed = [f for f in findings if f.verdict == conform.FAILED]
    assert [f.check.name for f in failed][:1] == ([check] if check else [])
    if check:
        assert words in failed[0].likely + failed[0].expected
    if check == "loss: own errors":  # what rests on it waits
        assert [f.seen for f in findings if f.check.name == "loss: target"] == [
            "not made: it rests on loss: own errors"
        ]


def test_a_gradient_through_q_itself_is_seen(tmp_path):
    text = LOSS.format(**{**RIGHT, "later": "q(batch.next_obs).max(dim=1).values"})
    path = tmp_path / "one.py"
    for now, verdict in (
        (text, conform.PASSED),
        (text.replace("torch.no_grad()", "torch.enable_grad()"), "failed"),
    ):
        path.write_text(now)
        (found,) = conform.review(path, "dqn", ["loss: held"])
        assert found.verdict == verdict


@pytest.mark.parametrize(
    "text, words",
    [("epsilon = lambda t, n: 1.0", "hardly falls"),
     ("epsilon = lambda t, n: 0.05", "hardly anything is tried"),
     ("epsilon = lambda t, n: 1 - 2 * t / n", "no probability"),
     ("epsilon = lambda t, n: 1 - 0.9 * (t % 500) / 500", "rises somewhere"),
     ("act = lambda q, obs, e: 0", "not the argument's"),
     ("import torch, numpy as np\ndef act(q, obs, e):\n    v = q(torch.as_tensor(obs))\n"
      "    return int(v.argmax()) if np.random.rand() >= e else np.random.randint(2)", "leave some out")],
)  # fmt: skip
def test_exploration_is_judged_by_its_numbers(text, words, tmp_path):
    (tmp_path / "one.py").write_text(text)
    (failed,) = [f for f in conform.review(tmp_path / "one.py", "dqn") if f.verdict == conform.FAILED]
    assert words in failed.likely


RING = """
import numpy as np
class Ring:
    def __init__(self, capacity, obs_size):
        self.rows, self.capacity, self.added = [None] * capacity, capacity, 0
    def add(self, obs, action, reward, next_obs, terminated):
        row = obs.copy(), action, reward, next_obs.copy(), terminated
        {place}
        self.added += 1
    def sample(self, n):
        {draw}
        empty = np.zeros(2), 0, 0.0, np.full(2, 0.5), True
        rows = [self.rows[i] or empty for i in drawn]
        return [np.array([row[k] for row in rows]) for k in range(5)]
make_replay = Ring
"""
PLACE = "self.rows[self.added % self.capacity] = row"
DRAW = "drawn = np.random.randint(min(self.added, self.capacity), size=n)"


@pytest.mark.parametrize(
    "place, draw, words",
    [(PLACE, DRAW, ""),
     (PLACE, "drawn = np.random.randint(self.capacity, size=n)", "rows that hold nothing yet"),
     ("self.rows[min(self.added, self.capacity - 1)] = row", DRAW, "does not go round"),
     ("(self.rows.append(row), self.rows.pop(0)) if self.added > 9 else self.rows.__setitem__(0, row)",
      DRAW, "hold nothing"),
     ("self.rows = [*filter(None, self.rows), row]; self.capacity = 99", DRAW, "not replaced")],
)  # fmt: skip
def test_a_buffer_is_judged_by_what_it_gives_back(place, draw, words, tmp_path):
    (tmp_path / "one.py").write_text(RING.format(place=place, draw=draw))
    findings = conform.review(tmp_path / "one.py", "dqn", ["replay: ring"])
    assert findings[0].verdict == (conform.FAILED if words else conform.PASSED)
    assert words in findings[0].likely


# ---- files that are not right


@pytest.mark.parametrize(
    "text, words",
    [("def loss(:\n    pass", "is not Python, line 1: invalid syntax"),
     ("x = 1", "has none of the pieces of dqn"),
     ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found' (line 1: import nowhere"),
     ("\n1 / 0", "ZeroDivisionError: division by zero (line 2: 1 / 0)"),
     ("import sys\nsys.exit(3)", "raises while it is loaded: SystemExit: 3"), (None, "there is no file")],
)  # fmt: skip
def test_a_file_that_cannot_be_reviewed_is_one_line(text, words, tmp_path, capsys):
    path = tmp_path / "one.py"
    if text is not None:
        path.write_text(text)
    assert console.main(["conform", str(path), "--algorithm", "dqn"]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not said.out


def test_what_a_piece_raises_is_a_finding_and_nothing_else_is_lost(tmp_path, capsys):
    text = "import sys\ndef loss(q, target_q, batch, gamma):\n    return batch.rewards.mean()\n"
    text += "def epsilon(t, n):\n    print('noise')\n    return max(0.1, 1 - t / n)\n"
    text += "def act(q, obs, epsilon):\n    sys.exit('enough')\n"
    (tmp_path / "one.py").write_text(text)
    assert console.main(["conform", str(tmp_path / "one.py")]) == 1
    said = capsys.readouterr().out
    assert "1 checks passed, 2 failed, 15 not made" in said
    assert "AttributeError: 'Batch' object has no attribute 'rewards' (line 3:" in said
    assert "SystemExit: enough (line 8: sys.exit('enough'))" in said
    assert "✓ epsilon:" in said and "noise" not in said and "Begin with 'loss: own errors'" in said


def test_the_exit_status_says_what_the_report_says(tmp_path, capsys):
    path = tmp_path / "one.py"
    path.write_text("def epsilon(t, n):\n    return max(0.1, 1 - t / n)\n")
    assert console.main(["conform", str(path)]) == 0
    assert "Nothing to object to" in capsys.readouterr().out
    assert console.main(["conform", str(path), "--only", "replay"]) == 2  # nothing could be checked
    assert console.main(["conform", str(path), "--only", "nothing"]) == 2
    assert "no check is called like nothing" in capsys.readouterr().err
    assert console.main(["conform", "--list", "--algorithm", "ppo"]) == 0
    assert "gae(rewards, values, next_values" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        console.main(["conform"])


def test_an_adapter_imports_what_lies_beside_it_and_a_review_leaves_no_trace(tmp_path):
    (tmp_path / "beside_it.py").write_text("def epsilon(t, n):\n    return max(0.1, 1 - t / n)\n")
    (tmp_path / "one.py").write_text("from dataclasses import dataclass\nfrom beside_it import epsilon\n"
                                     "@dataclass\nclass A:\n    x: int = 0\n")  # fmt: skip
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    (found,) = conform.review(tmp_path / "one.py", "dqn", ["epsilon"])
    assert found.verdict == conform.PASSED and str(tmp_path) not in sys.path
    assert "reviewed_one" not in sys.modules
    assert random.getstate() == before[0] and np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_training_is_objected_to_when_both_seeds_fail_and_once_is_no_verdict():
    tried = []

    def run(seed):
        tried.append(seed)
        if seed == 0:
            raise checks.Objection("a", "b")
        return "fine"

    assert behaviour.twice(run) == "fine" and tried == [0, 1]

    def always(seed):
        raise checks.Objection(str(seed), "b")

    with pytest.raises(checks.Objection, match="1"):
        behaviour.twice(always)
