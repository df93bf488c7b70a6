"""Each checker refuses its own solution broken in every way of the catalogue of mutants, and a few more."""

import ast
import re
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from mutation import catalogue
from rlworkshop import check, exercises

EVERY = exercises.every()
MORE = (  # what people write instead of it: another selection, a rounded or a whole number
    (r"\.max\(", ".mean("),
    (r"\.max\(axis=(-?\d+)\)", r".take(0, axis=\1)"),
    (r"\.max\(axis=(-?\d+)\)", r".take(-1, axis=\1)"),
    (r"\.max\(\)", ".flat[0]"),
    (r"\.max\(\)", ".flat[-1]"),
    (r"\.max\(\)", "[a]"),
    (r"\.max\(dim=1\)\.values", "[:, 0]"),
    (r"\.mean\(", ".max("),
    (r"return (?!np\.where)(?!int)(.+)$", r"return np.round(\1, 1)"),
    (r"return (?!np\.where)(?!int)(.+)$", r"return np.trunc(\1)"),
)
TRAINS = "dqn-stage-8"  # a training for each change: its wrong answers stand in the file of its page
FREE = {  # a test is asked for, or a limit: more than one is right
    "dqn-is-broken", "vpg-is-broken", "bandits-too-sure", "deadly-triad-diverges",
    "policy-gradients-sees-the-action", "a2c-leaks", "ppo-diagnose", "sac-is-broken", "trpo-is-broken",
}  # fmt: skip
WHOLE = "the numbers are whole ones"
SAME = {  # changes that make no difference, by a part of them, and why
    "advantage-estimation-real-rows": {"np.round(": WHOLE, "np.trunc(": WHOLE},
    "debugging-mixes": {
        "+ -> -   in: moved": "a target that moves others moves them in either direction",
        "> -> >=": "a float is hardly ever equal",
        ".max( -> .mean(": "of sizes: both are above 0, or neither",
        "np.trunc(bool": "of a truth it is the truth",
    },
    "dexterity-row": {"np.round(": WHOLE, "np.trunc(": WHOLE},
    "choosing-give-up": {
        "0 -> -1   in: np.divide": "a share is not negative, and a quotient by 0 is infinite, too",
        "(nothing)   in: np.divide": "a quotient by 0 is infinite, too",
        "> -> >=   in: np.divide": "a quotient by 0 is infinite, too",
    },
    "constrained-rl-multipliers": {", 0 -> 0, total": "np.clip takes its three numbers in any order here"},
    "constrained-rl-price": {"np.round(np.array([1.0": WHOLE, "np.trunc(np.array([1.0": WHOLE},
    "ddpg-mend-loss": {"0 -> -1": "there is one column"},
    "dqn-values-huber-gradient": {
        "-1 -> -1, q[rows, action]": "np.clip takes its three numbers in any order here"
    },
    "dqn-mend-ring": {"kept, new -> new, kept": "the type that holds both"},
    "dqn-stage-1": {"np.round(total": WHOLE, "np.trunc(total": WHOLE},
    "dqn-stage-2": {"np.round(obs": WHOLE, "np.trunc(obs": WHOLE},
    "dqn-stage-3": {"with torch.no_grad() -> if True": "it saves time alone"},
    "dqn-stage-5": {"0 -> -1   in: said": "there is one column"},
    "dqn-stage-6": {"< -> <=": "a float is hardly ever equal", "(greedy(q, obs)": WHOLE},
    "dqn-stage-7": {"np.round(np.array": WHOLE, "np.trunc(np.array": WHOLE},
    "dynamic-programming-keep-ties": {"> -> >=": "a gain is never just 1e-9"},
    "exploration-backup": {"1 -> 0   in: Q = r": "infinite, and cut to the ceiling"},
    "function-approximation-tiles": {"np.round(np.floor": WHOLE, "np.trunc(np.floor": WHOLE},
    "goals-and-hindsight-faults": {"np.round(": WHOLE, "np.trunc(": WHOLE},
    "goals-and-hindsight-future": {"np.round(now": WHOLE, "np.trunc(now": WHOLE},
    "goal-misgeneralization-apart": {"parted, 1.0 -> 1.0, parted": "what is true counts as 1"},
    "key-concepts-worth": {"P, R -> R, P": "a product"},
    "pixels-tower": {"np.round(np.array(rows": WHOLE, "np.trunc(np.array(rows": WHOLE},
    "policy-gradients-best-constant": {"sum -> mean   in: weight": "weights up to a factor"},
    "ppo-details-scale": {"in: so_far = gamma": "turned round, the sums have the same spread"},
    "ppo-details-value": {
        "-clip_range -> -clip_range, values": "np.clip takes its numbers in any order here"
    },
    "ppo-details-verdicts": {"scores, baseline -> baseline, scores": "they differ both ways"},
    "ppo-slope": {"> -> >=": "a float is hardly ever equal", "< -> <=": "a float is hardly ever equal"},
    "regret-width": {"1 -> 0   in: u = ceiling": "infinite, and not taken where n is 0"},
    "regret-episodes": {"0 -> -1   in: for _ in": "all policies have as many steps"},
    "sac-log-prob": {"0, -2 * raw -> -2 * raw, 0": "logaddexp takes its two in any order"},
    "sac-soft-best": {"0 -> -1   in: return weight": "there is one column"},
    "learning-from-preferences-starts": {"np.round(": WHOLE, "np.trunc(": WHOLE},
    "rlhf-in-miniature-dpo": {"0, -beta * (up - down) -> -beta": "logaddexp takes its two in any order"},
    "robustness-step": {"* -> /   in: return obs": "divided by 1 or -1"},
    "what-can-go-wrong-lost": {"np.round(": WHOLE, "np.trunc(": WHOLE},
    "td3-target": {
        "-1 -> -1, action": "np.clip takes its three numbers in any order here",
        "-clip -> -clip, noise": "so it does here",
    },
    "trpo-conjugate-gradient": {
        "* -> /   in: if square": "b @ b is of the size of 1 here",
        "break -> continue": "it saves time alone",
    },
    "vpg-mend-gae": {"terminated.astype(bool), truncated.astype(bool) -> pass": "the docstring says bool"},
    "vpg-score": {"in: powers": "what is taken from all logits cancels", ".max( -> .mean(": "it cancels"},
    "memory-first": {"np.round(": WHOLE, "np.trunc(": WHOLE},
    "reality-gap-determined": {"in: return int((singular > 1e-9": "no value is near the limit"},
    "robots-as-rl-limit": {"-step -> -step, wanted": "np.clip takes its three numbers in any order here"},
    "robots-as-rl-velocity": {
        "+ -> -   in: moved": "half a turn on and half a turn back are the same place",
        "// -> /   in: moved": "a turn has an even number of counts",
    },
    "use-it-in-your-project-endings": {"np.round(": WHOLE, "np.trunc(": WHOLE},
    "use-it-in-your-project-export": {
        "-10 -> -10, (obs": "np.clip takes its three numbers in any order here",
        "low -> low, hidden": "so it does of bounds",
    },
}


def broken(name: str) -> Iterator[tuple[str, str]]:
    """Changes of a solution, with the whole text of each."""
    exercise = EVERY[name]
    text = exercise.answer
    lines, asked = text.splitlines(), getattr(exercise, "asks", (getattr(exercise, "function", ""),))
    for node in ast.parse(text).body:
        if getattr(node, "name", "") not in asked:
            continue
        for change in catalogue.changes(text):
            if node.lineno < change.line <= node.end_lineno and "0.0 -> -0.0" not in change.where:
                yield f"{change.where.partition(': ')[2]}   in: {lines[change.line - 1].strip()}", change.text
        first = sum(len(line) + 1 for line in lines[: node.body[0].end_lineno])  # behind the docstring
        last = sum(len(line) + 1 for line in lines[: node.end_lineno])
        for pattern, new in MORE:
            for found in re.compile(pattern, re.M).finditer(text, first, last):
                yield (
                    f"{found[0]} -> {found.expand(new)}",
                    text[: found.start()] + found.expand(new) + text[found.end() :],
                )


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Ends what takes longer of the processor, as an endless loop does."""

    def late(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def refused(name: str, text: str) -> bool:
    space: dict = {"__name__": "answer", "__file__": "answer.py"}
    try:
        with at_most(3), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            exec(compile(text, "answer.py", "exec"), space)
            EVERY[name].check(EVERY[name].pick(space))
    except (check.Wrong, Exception, KeyboardInterrupt):
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EVERY.keys() - FREE - {TRAINS}))
def test_a_broken_solution_is_refused(name):
    changes, same = dict(broken(name)), SAME.get(name, {})
    taken = [what for what, text in changes.items() if not refused(name, text)]
    assert len(changes) >= 4
    assert [what for what in taken if not any(part in what for part in same)] == []
    assert [part for part in same if not any(part in what for what in taken)] == []
