"""AI control in miniature: an untrusted solver, a trusted monitor, an audit budget, and a red team.

Tasks come in K kinds. The untrusted model solves more of them than the trusted one, and may put a backdoor
into a solution. A monitor gives each solution a suspicion score: standard normal for honest work, higher by
``detect`` for a backdoor. Protocols say from which scores on a solution is audited, deferred to the trusted
model or edited by it; the red team knows the protocol and picks the moment. All of it is computed exactly,
and ``play_out`` plays it.

Paper: Greenblatt et al., *AI control: improving safety despite intentional subversion*, 2024; as a game:
Griffin et al., *Games for AI control*, 2024.

Book: safety/ai_control
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

# ------------------------------------------------------------------------------------------- the setting


@dataclass(frozen=True, eq=False)
class Setting:
    """Kinds of tasks, and what two models can do with them. All arrays are (K,).

    Raises:
        ValueError: shares do not add up to 1, or arrays do not fit.

    Book: safety/ai_control
    """

    share: np.ndarray
    """how often each kind comes"""
    detect: np.ndarray
    """by how many standard deviations a backdoor raises the monitor's score"""
    untrusted: np.ndarray
    """how likely the untrusted model solves a task"""
    trusted: np.ndarray
    """how likely the trusted model does"""

    def __post_init__(self) -> None:
        shapes = {np.shape(part) for part in (self.share, self.detect, self.untrusted, self.trusted)}
        if len(shapes) != 1 or not np.isclose(np.sum(self.share), 1):
            raise ValueError("a setting needs four arrays of one length, and shares that add up to 1")


def programs() -> Setting:
    """Four kinds of programs, the harder the better the untrusted model is and the blinder its monitor.

    Book: safety/ai_control
    """
    return Setting(
        share=np.array([0.4, 0.3, 0.2, 0.1]),
        detect=np.array([3.0, 2.5, 2.0, 1.2]),
        untrusted=np.array([0.98, 0.95, 0.9, 0.8]),
        trusted=np.array([0.9, 0.7, 0.4, 0.1]),
    )


def above(score: np.ndarray | float) -> np.ndarray:
    """Share of a standard normal distribution above ``score``."""
    return (1 - np.vectorize(math.erf)(np.asarray(score, float) / math.sqrt(2))) / 2


def threshold(share: np.ndarray | float) -> np.ndarray:
    """The score above which a ``share`` of honest solutions lies; no score is, for a share of 0."""
    quantile = NormalDist().inv_cdf
    return np.vectorize(lambda p: math.inf if p <= 0 else -math.inf if p >= 1 else -quantile(p))(share)


# ------------------------------------------------------------------------------------------- protocols


@dataclass(frozen=True, eq=False)
class Odds:
    """What becomes of an attack on a task of each kind (K,): three probabilities that add up to 1.

    Book: safety/ai_control
    """

    caught: np.ndarray
    """an audit finds it, and the untrusted model is taken out of service"""
    foiled: np.ndarray
    """the solution is replaced and nobody learns of it"""
    slips: np.ndarray
    """the backdoor is in use"""


def attack_odds(
    setting: Setting, audit: np.ndarray | float, defer: np.ndarray | float = 0.0, removes: float = 1.0
) -> Odds:
    """Of an attack, under a protocol known by its shares of honest work, for all kinds or each (K,).

    Args:
        audit: the share with the highest scores, which is audited: a backdoor there is found.
        defer: the share below these, which the trusted model does anew, or edits.
        removes: how likely that takes a backdoor out. Editing may leave it in.

    Raises:
        ValueError: shares that are negative or add up to more than 1.

    Book: safety/ai_control
    """
    audit, defer = (np.broadcast_to(x, setting.detect.shape) for x in (audit, defer))
    if min(audit.min(), defer.min()) < 0 or (audit + defer).max() > 1 + 1e-9:
        raise ValueError("shares to audit and to defer are not negative and add up to 1 at most")
    caught = above(threshold(audit) - setting.detect)  # (eq-caught)
    suspected = above(threshold(audit + defer) - setting.detect)
    foiled = removes * (suspected - caught)
    return Odds(caught, foiled, 1 - caught - foiled)


def equalised(setting: Setting, budget: float) -> np.ndarray:
    """Shares to audit (K,) that spend the budget so that an attack is caught as often in every kind.

    No other use of the budget catches the best attack more often. By halving an interval.

    Book: safety/ai_control
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        caught = (low + high) / 2
        audit = above(threshold(caught) + setting.detect)  # (eq-equalised)
        low, high = (caught, high) if setting.share @ audit < budget else (low, caught)
    return audit


def usefulness(setting: Setting, defer: np.ndarray | float, instead: np.ndarray) -> float:
    """Share of tasks solved while the untrusted model is honest.

    The share ``defer``, one or for each kind (K,), is solved as often as ``instead`` (K,) says.

    Book: safety/ai_control
    """
    defer = np.broadcast_to(defer, setting.detect.shape)
    return float(setting.share @ ((1 - defer) * setting.untrusted + defer * instead))


# -------------------------------------------------------------------------------------------- red team


def best_attack(setting: Setting, odds: Odds, tasks: int) -> tuple[float, np.ndarray]:
    """How likely a backdoor gets into use, and when to attack: (tasks, K) bool, by dynamic programming.

    The red team sees the kind of each of the ``tasks`` before it decides. It wins once a backdoor is in
    use and loses once it is caught; an attack that is foiled, or not made, leads on to the next task.

    Book: safety/ai_control
    """
    value, attacks = 0.0, np.zeros((tasks, len(setting.share)), bool)
    for t in reversed(range(tasks)):
        attacking = odds.slips + odds.foiled * value  # (K,)
        attacks[t] = attacking > value
        value = float(setting.share @ np.maximum(attacking, value))  # (eq-red-team)
    return value, attacks


def patient_safety(odds: Odds) -> float:
    """Safety against a red team with all the time in the world: of its tries, how often the last is caught.

    Book: safety/ai_control
    """
    ends = odds.caught + odds.slips
    return float(np.min(np.divide(odds.caught, ends, out=np.ones_like(ends), where=ends > 0)))  # (eq-patient)


def play_out(
    setting: Setting,
    audit: np.ndarray,
    defer: np.ndarray,
    attacks: np.ndarray,
    runs: int,
    rng: np.random.Generator,
) -> float:
    """Share of deployments, out of ``runs``, in which a backdoor gets into use, with scores that are drawn.

    ``audit``, ``defer``: shares (K,); what is deferred is done anew. ``attacks`` (T, K) bool: when to attack.

    Book: safety/ai_control
    """
    audited, deferred = threshold(audit), threshold(audit + defer)  # (K,)
    running, won = np.ones(runs, bool), np.zeros(runs, bool)
    for attack in attacks:
        kind = rng.choice(len(setting.share), size=runs, p=setting.share)
        score = rng.normal(size=runs) + setting.detect[kind] * attack[kind]
        slips = running & attack[kind] & (score <= deferred[kind])
        won |= slips
        running &= ~slips & ~(attack[kind] & (score > audited[kind]))
    return float(won.mean())


# ------------------------------------------------------------------------------ what breaks protocols


def flooded(detect: float, budget: float, rate: float) -> float:
    """How likely an attack is caught if the most suspicious share ``budget`` of *all* work is audited.

    A share ``rate`` of the work are decoys, honest but as suspicious as a backdoor: they compete for the
    audits. By halving an interval.

    Book: safety/ai_control
    """
    low, high = -10.0, 10.0 + detect
    for _ in range(60):
        middle = (low + high) / 2
        share = (1 - rate) * above(middle) + rate * above(middle - detect)  # (eq-flood)
        low, high = (middle, high) if share > budget else (low, middle)
    return float(above(middle - detect))


def at_least(needed: int, tries: int, chance: float) -> float:
    """Probability of at least ``needed`` successes in independent ``tries``."""
    ways = range(max(needed, 0), tries + 1)
    return float(sum(math.comb(tries, k) * chance**k * (1 - chance) ** (tries - k) for k in ways))


@dataclass(frozen=True)
class Collusion:
    """An untrusted monitor that may side with the model that it watches.

    Book: safety/ai_control
    """

    accuracy: float = 0.95
    """how likely the monitor recognises a backdoor, its sibling's or a planted one"""
    false_alarms: float = 0.02
    """share of what it holds for honest that it has audited all the same"""
    survives: float = 1.0
    """how likely a secret signal survives what is done to the solution before the monitor sees it"""
    planted: int = 0
    """backdoors of our own that the monitor is tried on before it goes into service"""
    needed: int = 0
    """how many of these it has to report"""

    def strategies(self) -> dict[str, float]:
        """How likely a backdoor gets into use, by what the two have agreed on.

        ``honest``: the monitor reports what it recognises. ``signal``: it lets pass what carries a secret
        sign. ``blind``: it lets pass every backdoor that it recognises.
        """
        honest_report = self.accuracy + (1 - self.accuracy) * self.false_alarms
        signal_report = (
            self.accuracy * (1 - self.survives)
            + (1 - self.accuracy * (1 - self.survives)) * self.false_alarms
        )
        reports = {"honest": honest_report, "signal": signal_report, "blind": self.false_alarms}
        on_planted = {"honest": honest_report, "signal": honest_report, "blind": self.false_alarms}
        return {
            name: at_least(self.needed, self.planted, on_planted[name]) * (1 - report)  # (eq-collusion)
            for name, report in reports.items()
        }

    def safety(self) -> float:
        """Probability that no backdoor gets into use, if they agree on what is best for them."""
        return 1 - max(self.strategies().values())
