"""Plausible wrong answers to the stages of writing DQN together, and what each is told.

Each is the file at the end of its stage with one thing changed. ``WRONG`` is also read by
``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import ast
import sys

import pytest

from rlworkshop import check, exercises
from rlworkshop.check import answer


def changed(number: int, *changes: tuple[str, str]):
    """The file of a stage, each first text in it replaced by the second, as a module."""
    text = exercises.find(f"dqn-stage-{number}").answer
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    space: dict = {"__name__": "answer", "__file__": "answer.py"}
    exec(compile(text, "answer.py", "exec"), space)
    return exercises.find(f"dqn-stage-{number}").pick(space)


STEP = "obs, reward, terminated, truncated, _ = env.step(act(obs))"
LAYERS = """        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
"""
LIST = """        self.rows = getattr(self, "rows", []) + [(obs, action, reward, next_obs, terminated)]
        self.added += 1
        columns = [np.array(column) for column in zip(*self.rows)]
        self.obs, self.action, self.reward = columns[0], columns[1], columns[2].astype(np.float32)
        self.next_obs, self.terminated, self.capacity = columns[3], columns[4], self.added"""
ADD = """        row = self.added % self.capacity
        self.obs[row], self.action[row], self.reward[row] = obs, action, reward
        self.next_obs[row], self.terminated[row] = next_obs, terminated
        self.added += 1"""
DRAW = "rows = rng.integers(min(self.added, self.capacity), size=batch_size)"
EPSILON = "max(0.02, 1 - 0.98 * step / (0.5 * steps))"
NO_GRAD = """    with torch.no_grad():
        best = q(next_obs).max(dim=1).values  # (B,)
        return"""
AFTER = "reward + GAMMA * ~terminated * best"
TARGET = "td_target(target, reward, next_obs, terminated)"
SAID = "said = q(obs).gather(1, action[:, None])[:, 0]"

WRONG = {
    "dqn-stage-1": [
        (changed(1, ("total += reward", "total = reward")), "is the last reward"),
        (changed(1, ("total += reward", "total += 1.0")), "counts steps instead of rewards"),
        (changed(1, ("over = terminated or truncated", "over = terminated")), "over (truncated)"),
        (changed(1, ("over = terminated or truncated", "over = truncated")), "over (terminated)"),
        (
            changed(1, (STEP, STEP.replace("obs,", "next_obs,", 1))),
            "the first observation of the episode again",
        ),
        (
            changed(
                1,
                ("        total += reward\n", ""),
                ("truncated\n", "truncated\n        total += reward * (not over)\n"),
            ),
            "leaves the last reward out",
        ),
        (
            changed(1, ("obs, _ = env.reset(seed=seed)", "obs = env.reset(seed=seed)")),
            "`act` is shown a pair",
        ),
        (changed(1, ("env.reset(seed=seed)", "env.reset()")), "the seeds of its resets: [None]"),
    ],
    "dqn-stage-2": [
        (
            changed(2, ("replay.add(obs, action, reward,", "replay.add(obs, reward, action,")),
            "the buffer was given the pairs (5.0, 0)",
        ),
        (changed(2, ("column[rows]", f"column[{DRAW[7:]}]")), "come from different transitions"),
        (
            changed(2, ("= obs, action, reward\n", "= obs, 1 - action, reward\n")),
            "belongs to another observation",
        ),
        (
            changed(
                2,
                ("next_obs, terminated\n        self.added", "next_obs, not terminated\n        self.added"),
            ),
            "`terminated` of a drawn row",
        ),
        (
            changed(2, ("self.action = np.zeros(capacity, np.int64)", "self.action = np.zeros(capacity)")),
            "should be torch.int64",
        ),
        (
            changed(2, (DRAW, "rows = rng.integers(self.capacity, size=batch_size)")),
            "rows that are still empty",
        ),
        (changed(2, (ADD, LIST)), "keeps more than its capacity"),
        (
            changed(2, (ADD, "        if self.added == self.capacity:\n            return\n" + ADD)),
            "is full is lost",
        ),
        (
            changed(2, ("self.added % self.capacity", "min(self.added, self.capacity - 1)")),
            "writes over the last row",
        ),
        (changed(2, (DRAW, DRAW.replace("rng", "np.random.default_rng()"))), "gives another batch"),
        (
            changed(2, (DRAW, "rows = np.arange(batch_size) % min(self.added, self.capacity)")),
            "nothing is drawn at random",
        ),
        (changed(2, ("        obs = next_obs\n", "")), "`obs = next_obs` is missing"),
        (changed(2, ("replay.add(obs,", "obs = next_obs\n        replay.add(obs,")), "is what came after"),
        (
            changed(2, ("replay.add(obs, action, reward, next_obs", "replay.add(obs, action, reward, obs")),
            "should be what env.step returned",
        ),
        (
            changed(
                2, ("next_obs, terminated)\n        obs", "next_obs, terminated or truncated)\n        obs")
            ),
            "truncated are kept with terminated = [False, True",
        ),
        (changed(2, ("if terminated or truncated:", "if terminated:")), "over (truncated)"),
        (
            changed(2, ("            obs, _ = env.reset()", "            env.reset()")),
            "does not begin with the reset's observation",
        ),
        (
            changed(
                2,
                (
                    "        replay.add(",
                    "        if terminated or truncated:\n            next_obs, _ = env.reset()\n"
                    "        replay.add(",
                ),
                ("        if terminated or truncated:\n            obs, _ = env.reset()\n", ""),
            ),
            "is the first observation of the next episode",
        ),
        (changed(2, ("    return obs\n", "    return next_obs\n")), "a state that is over"),
        (
            changed(
                2, (DRAW, f"rows = (rng.integers({DRAW[20:50]}) + np.arange(batch_size)) % {DRAW[20:50]}")
            ),
            "one block of neighbours",
        ),
        (changed(2, (DRAW, DRAW.replace("integers(", "choice(")[:-1] + ", replace=False)")), "a row twice"),
        (changed(2, ("env.reset()\n", "env.reset(seed=0)\n")), "the seed 0"),
        (changed(2, ("            obs, _ = env.reset()", "            obs = env.reset()")), "as obs a pair"),
        (changed(2, *[("self.added", "self.count")] * 4), "has no `added`"),
        (changed(2, *[("self.terminated", "self.over")] * 3), "has no `terminated`"),
        (changed(2, ("    return obs\n", "    return env.reset()[0]\n")), "should return the observation 3"),
    ],
    "dqn-stage-3": [
        (changed(3, ("Linear(64, actions)", "Linear(64, 1)")), "and gives 1 Q value"),
        (changed(3, (LAYERS, "        torch.nn.Linear(64, 64),\n")), "the network is linear"),
        (
            changed(3, ("        torch.nn.Linear(64, 64),\n        torch.nn.ReLU(),\n", "")),
            "of linear layers is 2",
        ),
        (changed(3, ("        torch.nn.ReLU(),\n", "")), "these two are one"),
        (
            changed(3, ("Linear(64, actions),", "Linear(64, actions),\n        torch.nn.ReLU(),")),
            "ReLU follow the last",
        ),
        (changed(3, ("        Scale(),\n", "")), "the numbers are not scaled"),
        (changed(3, ("argmax())", "argmin())")), "the *smallest* Q value"),
        (
            changed(3, ("int(q(torch.from_numpy(obs)).argmax())", "q(torch.from_numpy(obs)).argmax()")),
            "it is of type Tensor",
        ),
        (changed(3, (".argmax())", ".max())")), "the greedy actions are 1, 0, 1, 0"),
    ],
    "dqn-stage-4": [
        (changed(4, ("GAMMA * ~terminated * best", "~terminated * best")), "gamma is not used"),
        (changed(4, (AFTER, "GAMMA * ~terminated * best")), "the rewards are missing"),
        (changed(4, ("max(dim=1).values", "mean(dim=1)")), "that is the mean over the actions"),
        (changed(4, (AFTER, "GAMMA * (reward + ~terminated * best)")), "rewards are discounted as well"),
        (changed(4, ("~terminated * best", "terminated * best")), "the wrong way round"),
        (changed(4, ("max(dim=1).values", "max(dim=1, keepdim=True).values")), "and PyTorch made a table"),
        (changed(4, (AFTER, f"({AFTER})[:, None]")), "this is a column, (4, 1)"),
        (changed(4, ("GAMMA * ~terminated * best", "GAMMA * best")), "still has a future"),
        (changed(4, (AFTER, "~terminated * (reward + GAMMA * best)")), "the last reward is lost too"),
        (
            changed(4, (NO_GRAD, NO_GRAD.replace("torch.no_grad()", "torch.enable_grad()"))),
            "carries a gradient",
        ),
    ],
    "dqn-stage-5": [
        (changed(5, (TARGET, TARGET.replace("target,", "q,"))), "the target was made with q"),
        (changed(5, (SAID, "said = q(obs).max(dim=1).values")), "Q of the best action is compared"),
        (changed(5, ("** 2).mean()", "** 2).sum()")), "the sum over the batch"),
        (changed(5, ("((said - wanted) ** 2)", "(said - wanted).abs()")), "are not squared"),
        (changed(5, (SAID, SAID[:-6])), "minus a row (B,) is a table"),
        (changed(5, (SAID, SAID.replace("gather(1", "gather(0"))), "`gather(0, ...)` picks"),
        (
            changed(5, ("((said - wanted) ** 2).mean()", "torch.nn.functional.smooth_l1_loss(said, wanted)")),
            "Huber",
        ),
        (changed(5, ("return loss.item()", "return loss")), "returns Tensor"),
        (changed(5, ("    optimizer.step()\n", "")), "has not moved"),
        (changed(5, ("    optimizer.zero_grad()\n", "")), "still carries the first one's gradient"),
        (
            changed(5, ("    return loss.item()", "    catch_up(target, q)\n    return loss.item()")),
            "the Q table after 2 step(s)",
        ),
        (
            changed(
                5,
                (
                    "    return loss.item()",
                    "    for p in target.parameters():\n        p.data += 1\n    return loss.item()",
                ),
                ("    optimizer.zero_grad()\n", "    optimizer.zero_grad()\n"),
            ),
            "the Q table after 2 step(s): it",
        ),
        (
            changed(5, ("with torch.no_grad():\n        best", "with torch.enable_grad():\n        best")),
            "flows into the target network",
        ),
        (changed(5, ("target.load_state_dict(q.state_dict())", "target = q")), "does not say what q says"),
        (
            changed(5, ("target.load_state_dict(q.state_dict())", "q.load_state_dict(target.state_dict())")),
            "the other way round",
        ),
        (
            changed(
                5,
                (
                    "target.load_state_dict(q.state_dict())",
                    "for a, b in zip(target.parameters(), q.parameters()):\n        a.data = b.data",
                ),
            ),
            "share their weights",
        ),
    ],
    "dqn-stage-6": [
        (
            changed(6, ("q[-1].out_features", "2")),
            "always exploring draws [0, 1]",
        ),
        (changed(6, (EPSILON, "1.0")), "epsilon never falls"),
        (changed(6, ("(0.5 * steps)", "steps")), "falls over all of the steps"),
        (changed(6, (EPSILON, EPSILON[10:-1])), "goes on falling, below 0"),
        (changed(6, (EPSILON, "max(0.0, 1 - step / (0.5 * steps))")), "it falls to 0"),
        (changed(6, (EPSILON, "min(1.0, 0.02 + 0.98 * step / (0.5 * steps))")), "rises instead"),
        (changed(6, ("rng.random() < epsilon", "rng.random() > epsilon")), "turned round"),
        (changed(6, ("int(rng.integers(q[-1].out_features))", "0")), "always takes the same action"),
        (
            changed(6, ("rng.random() < epsilon", "rng.random() < epsilon**2")),
            "should be about 0.50 and 0.75",
        ),
        (
            changed(6, ("rng.random() < epsilon", "rng.random() < max(epsilon, 0.1)")),
            "should always be greedy",
        ),
        (changed(6, ("rng.random()", "np.random.random()")), "some chance comes from elsewhere"),
    ],
    "dqn-stage-7": [
        (
            changed(
                7,
                (
                    "lambda obs: greedy(q, obs)",
                    "lambda obs: explore(q, obs, 0.02, np.random.default_rng(seed))",
                ),
            ),
            "with epsilon 0.02:",
        ),
        (
            changed(7, ("obs: greedy(q, obs)", "obs: greedy(q, obs) if np.random.random() < 0.7 else 0")),
            "Does it still explore",
        ),
        (changed(7, ("seed + i)", "seed + i % 5)")), "only 5 begin differently"),
        (changed(7, ("seed + i)", "seed if i == 0 else None)")), "only some episodes have a seed"),
        (
            changed(
                7, ("lambda obs: greedy(q, obs)", "lambda obs: explore(q, obs, 0.3, np.random.default_rng())")
            ),
            "with epsilon 0.3:",
        ),
        (
            changed(7, ("return np.array([play(", "return np.array([1 / episodes * play(")),
            "divided by their number",
        ),
        (
            changed(
                7,
                (
                    "return np.array([play(env, lambda obs: greedy(q, obs), seed + i)",
                    "return np.array([env.step(greedy(q, env.reset(seed=seed + i)[0]))[1]",
                ),
            ),
            "rewards of a single step",
        ),
        (changed(7, ("seed + i)", "seed)")), "begin alike"),
        (changed(7, (", seed + i)", ")")), "the seed is not used"),
        (changed(7, (", seed + i)", ", i)")), "have fixed seeds"),
    ],
    "dqn-stage-8": [
        (changed(8, ("        obs = next_obs\n", "")), "`obs = next_obs` is missing"),
        (changed(8, ("        obs = collect(", "        collect(")), "is what collect returns thrown away"),
        (
            changed(8, ("while replay.added < steps:", "while replay.added < steps // 2:")),
            "1024 transitions reached",
        ),
        (
            changed(8, ("epsilon_at(replay.added, steps)", "epsilon_at(0, steps)")),
            "at the end epsilon is still 1.00",
        ),
        (
            changed(
                8, ("return explore(q, obs, epsilon_at(replay.added, steps), rng)", "return greedy(q, obs)")
            ),
            "never calls `explore`",
        ),
        (changed(8, ("epsilon_at(replay.added, steps)", "0.02")), "should be tried"),
        (changed(8, ("        catch_up(target, q)\n", "")), "never catches up"),
        (changed(8, ("target, best = copy.deepcopy(q), copy", "target, best = q, copy")), "is it q itself"),
        (
            changed(8, ("        for _ in range(UPDATES):", "        for _ in range(1):")),
            "there were 16 updates",
        ),
        (
            changed(8, ("if all(score >= earlier for _, earlier in scores):", "if True:")),
            "the last one judged",
        ),
        (
            changed(8, ("                catch_up(best, q)\n", "                pass\n")),
            "none of those that were judged",
        ),
        (changed(8, ("if replay.added % JUDGE == 0:", "if replay.added == steps:")), "hardly judges"),
        (
            changed(8, ("scores.append((replay.added, score))", "scores.append((score, replay.added))")),
            "(step, mean return) pairs",
        ),
        (
            changed(8, ("gather(1, action[:, None])", "gather(1, 1 - action[:, None])")),
            "where guessing gets 1",
        ),
        (changed(8, ("Replay(steps, len(obs))", "Replay(ROUND, len(obs))")), "is no longer in the buffer"),
        (changed(8, ("Adam(q.parameters()", "Adam(target.parameters()")), "moves another network"),
        (changed(8, ("sample(BATCH, rng)", "sample(8, rng)")), "learns from 8 transitions"),
        (
            changed(
                8,
                (
                    "        for _ in range(UPDATES):",
                    "        optimizer = torch.optim.Adam(q.parameters(), lr=LR)\n"
                    "        for _ in range(UPDATES):",
                ),
            ),
            "there were 16 optimizers",
        ),
        (changed(8, ("    torch.manual_seed(seed)\n", "")), "begins with other weights"),
        (
            changed(8, ("sample(BATCH, rng)", "sample(BATCH, np.random.default_rng())")),
            "are the batches drawn",
        ),
        (changed(8, ("make_q(len(obs), env.action_space.n)", "make_q(4, 2)")), "has 2 Q values"),
        (changed(8, ("np.random.default_rng(seed)", "np.random.default_rng()")), "some chance has no seed"),
    ],
}


@pytest.mark.parametrize("number", range(1, 9))
def test_the_stub_has_the_file_of_the_stage_before_in_full(number):
    stage = exercises.find(f"dqn-stage-{number}")
    stub = {getattr(n, "name", ""): ast.unparse(n) for n in ast.parse(stage.stub).body}
    for node in ast.parse(stage.before).body:
        if name := getattr(node, "name", ""):
            assert stub[name] == ast.unparse(node)
    for name in stage.asks:
        assert "raise NotImplementedError" in stub[name]


def test_a_page_shows_only_what_a_stage_adds():
    part = exercises.find("dqn-stage-4").part
    assert "def td_target" in part and "GAMMA = " in part and "__main__" in part
    assert "class Replay" not in part and "import" not in part
    assert "td_target(target, reward" in exercises.find("dqn-stage-5").solved_part
    assert exercises.find("dqn-stage-5").part.startswith("import copy\n")


def test_what_stops_in_a_file_is_told_with_its_function_and_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    stage, file = exercises.find("dqn-stage-5"), tmp_path / "my_dqn.py"
    for text, words in (
        (stage.stub, "`update` is still the stub"),
        (stage.answer.replace("loss.item()", "loss.itm()"), "`update` stopped: line"),
        (stage.answer.replace("def catch_up", "def catchup"), "has no function `catch_up`: it defines play"),
        (stage.answer.replace("class Replay", "class Buffer"), "'Buffer'"),
        (stage.answer.replace("(target, q):", "(q, target):"), "its arguments in another order"),
    ):
        file.write_text(text)
        if "Buffer" in words:  # a name of an earlier stage: not asked for, and not missed
            assert stage.check(answer._load(stage, file)) == []
            continue
        with pytest.raises(check.Wrong) as told:
            stage.check(answer._load(stage, file))
        assert words in str(told.value) and told.value.hints


def test_a_class_is_looked_at_method_by_method(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    stage, file = exercises.find("dqn-stage-2"), tmp_path / "my_dqn.py"
    for old, new, words in (
        ("class Replay:", "class Memory:", "has no class `Replay`: it defines Memory"),
        ("def sample", "def draw", "`Replay` has no method `sample`"),
        ("def add(self, obs,", "def add(self,", "`Replay.add` takes (self, action"),
        ("class Replay:", "Replay = 3\n\n\nclass Memory:", "`Replay` is no class but an int"),
    ):
        file.write_text(stage.answer.replace(old, new))
        with pytest.raises(check.Wrong) as told:
            stage.check(answer._load(stage, file))
        assert words in str(told.value)


def test_the_stages_are_found_without_hiding_the_exercises_of_other_pages():
    assert exercises.beginning("dqn") == "dqn" and exercises.beginning("writing_dqn_together") == "dqn-stage"
    assert len([name for name in exercises.every("dqn-stage-1") if name.startswith("dqn-stage-")]) == 8
    assert "dqn-stage-1" not in exercises.every("dqn-other")


def test_a_message_that_asks_ends_with_its_question_mark_and_code_names_keep_their_case():
    for message, said in (
        ("is it q?", "Is it q?"),
        ("too small", "Too small."),
        ("`play` stops", "`play` stops."),
    ):
        assert check.transcript(check.Verdict("x", wrong=check.Wrong(message))) == said
