"""Exercises of the chapter on soft actor-critic.

Book: algorithms/sac
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/sac"
DENSITY = "The squashed Gaussian and its density"
SOFTMAX = "The best policy is a softmax of Q"
BREAK = "Break it: one loss for two purposes"


# ------------------------------------------------------------------------------------------ implement


def log_prob(
    raw: np.ndarray, mean: np.ndarray, std: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Log-density of squashed Gaussian actions, which fill the box from ``low`` to ``high``.

    raw (B, K): draws from the Gaussian, before tanh. mean, std (B, K): its parameters.
    low, high (K,): the box; tanh at -1 is ``low``, at 1 ``high``.
    Returns (B,): log-densities of the actions, all components together, finite even where
    tanh is 1 to the last digit.

    Book: algorithms/sac
    """
    # solution
    noise = (raw - mean) / std  # (B, K)
    gaussian = -0.5 * noise**2 - np.log(std) - 0.5 * np.log(2 * np.pi)  # (B, K)
    slope = 2 * (np.log(2) - raw - np.logaddexp(0, -2 * raw))  # (B, K), log(1 - tanh²)
    return (gaussian - slope - np.log((high - low) / 2)).sum(axis=1)
    # end


LOG_PROB = Exercise("sac-log-prob", "Implement: the density of a squashed action", PAGE, DENSITY, log_prob)


def _given(low: float, high: float) -> tuple[np.ndarray, ...]:
    """Raw draws of a fine grid (M, 1), a mean and a deviation for each, and the box."""
    raw = np.linspace(-14, 14, 20_001)[:, None]  # (M, 1)
    return raw, np.full_like(raw, 0.4), np.full_like(raw, 0.8), np.array([low]), np.array([high])


@LOG_PROB.probe(
    "actions between -1 and 1: the density integrates to 1",
    "An interval du around raw becomes one of length (1 - tanh²) du: the density is divided by that.",
    "Its logarithm is subtracted, once for each component.",
)
def _unit(answer: Callable) -> None:
    raw, mean, std, low, high = _given(-1, 1)
    density = np.exp(answer(raw, mean, std, low, high))
    area = np.trapezoid(density, np.tanh(raw[:, 0]))
    gaussian = np.exp(-0.5 * ((raw - mean) / std) ** 2)[:, 0] / 0.8 / np.sqrt(2 * np.pi)
    squeezed = 1 - np.tanh(raw[:, 0]) ** 2
    expect(np.round(area, 4), 1.0, "The area under the density, mean 0.4 and deviation 0.8", {
        "this is the density before the tanh": np.round(np.trapezoid(gaussian, np.tanh(raw[:, 0])), 4),
        "the correction has the wrong sign": np.round(
            np.trapezoid(gaussian * squeezed, np.tanh(raw[:, 0])), 4
        ),
    })  # fmt: skip


@LOG_PROB.probe(
    "another box, from 0 to 10: still 1",
    "A range that is five times as wide makes the density five times as low.",
    "The logarithm of half the range is subtracted: centre + half · tanh.",
)
def _box(answer: Callable) -> None:
    raw, mean, std, low, high = _given(0, 10)
    density = np.exp(answer(raw, mean, std, low, high))
    area = np.trapezoid(density, 5 + 5 * np.tanh(raw[:, 0]))
    expect(np.round(area, 4), 1.0, "The area under the density", {
        "the range of the box is missing": 5.0,
        "this divides by the whole range, and half of it is meant": 0.5,
        "the range has the wrong sign": 25.0,
    })  # fmt: skip


@LOG_PROB.probe(
    "two components of different range and width are summed",
    "Components are independent: their log-densities add up.",
)
def _two(answer: Callable) -> None:
    raw, mean = np.array([[0.5, -1.0], [0.0, 2.0]]), np.array([[0.0, -0.5], [0.3, 1.0]])
    std, low, high = np.array([[1.0, 0.5], [0.2, 2.0]]), np.array([-2.0, 0.0]), np.array([2.0, 1.0])
    expect(answer(raw, mean, std, low, high), log_prob(raw, mean, std, low, high), "Two actions", {
        "this is the mean over components": log_prob(raw, mean, std, low, high) / 2,
    })  # fmt: skip


@LOG_PROB.probe(
    "a raw draw of 50 or -50 has a finite density",
    "At 20 tanh is 1 to the last digit, also in float64: 1 - tanh² is 0.",
    "1 - tanh² = 4 / (e^u + e^-u)². Take the logarithm of that, with np.logaddexp.",
)
def _far(answer: Callable) -> None:
    raw, low, high = np.array([[50.0], [-50.0]]), np.array([-1.0]), np.array([1.0])
    with np.errstate(all="ignore"):
        got = np.asarray(answer(raw, raw, np.ones((2, 1)), low, high))
    if not np.isfinite(got).all():
        raise Wrong(f"for raw draws of 50 and -50 it gives {got}")
    expect(got, np.full(2, 97.6947670), "Raw draws of 50 and -50, each the mean, deviation 1", {})


# ------------------------------------------------------------------------------------------ derive


def soft_best(q: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The best policy of states, and their soft value under it, given Q of all actions.

    q (B, A): Q of A actions in each of B states, of any size. alpha: the temperature, above 0.
    Returns probabilities (B, A) and soft values (B,): reward and alpha times entropy.

    Book: algorithms/sac
    """
    # solution
    top = q.max(axis=1, keepdims=True)  # (B, 1)
    weight = np.exp((q - top) / alpha)  # (B, A), the largest is 1
    total = weight.sum(axis=1, keepdims=True)  # (B, 1)
    return weight / total, (top + alpha * np.log(total))[:, 0]
    # end


SOFT_BEST = Exercise("sac-soft-best", "Derive: the best policy and its soft value", PAGE, SOFTMAX, soft_best)
THREE = np.array([[1.0, 0.8, -1.0], [0.0, 0.0, 0.0]])


def _best(answer: Callable, q: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(all="ignore"):
        got = answer(q, alpha)
    if not (isinstance(got, tuple) and len(got) == 2):
        raise Wrong("it should return two arrays: probabilities and soft values")
    return np.asarray(got[0]), np.asarray(got[1])


@SOFT_BEST.probe(
    "the best policy is the softmax of Q divided by the temperature",
    "Which policy makes the divergence of the page's equation 0?",
    "exp(Q / alpha), divided by its sum over the actions of a state.",
)
def _policy(answer: Callable) -> None:
    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z)  # (B, A)
        return e / e.sum(axis=1, keepdims=True)

    expect(_best(answer, THREE, 0.5)[0], softmax(THREE / 0.5), "Two states, a temperature of 0.5", {
        "this is the softmax of Q, whatever the temperature": softmax(THREE),
        "this multiplies with the temperature": softmax(THREE * 0.5),
        "this is the greedy policy, the limit of temperature 0":
            np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    })  # fmt: skip


@SOFT_BEST.probe(
    "its soft value counts the entropy, too",
    "The mean of Q - alpha · log probability, under that policy.",
    "All at once: alpha times the logarithm of the sum of exp(Q / alpha).",
)
def _value(answer: Callable) -> None:
    p, value = soft_best(THREE, 0.5)
    expect(_best(answer, THREE, 0.5)[1], value, "Two states, a temperature of 0.5", {
        "this is the mean of Q: the entropy is missing": (p * THREE).sum(axis=1),
        "this is the highest Q": THREE.max(axis=1),
        "the entropy counts once here, and not alpha times": (p * (THREE - np.log(p))).sum(axis=1),
        "this is log Z: times alpha, please": value / 0.5,
        "the entropy is subtracted": (p * (THREE + 0.5 * np.log(p))).sum(axis=1),
    })  # fmt: skip


@SOFT_BEST.probe(
    "Qs of a thousand do not overflow",
    "exp(1000) is infinite. What may be subtracted from all Qs of a state without changing the policy?",
    "Subtract each state's highest Q first, and add it to the value at the end.",
)
def _large(answer: Callable) -> None:
    q = np.array([[1000.0, 999.0], [-1000.0, -1000.0]])
    p, value = _best(answer, q, 1.0)
    if not (np.isfinite(p).all() and np.isfinite(value).all()):
        raise Wrong("for Qs of 1,000 and of -1,000 something is not finite")
    expect(p, soft_best(q, 1.0)[0], "The policy for Qs near 1,000 and -1,000", {})
    expect(value, soft_best(q, 1.0)[1], "The soft values for Qs near 1,000 and -1,000", {})


@SOFT_BEST.probe(
    "at a temperature of 0.001 it is the maximum, at 1,000 nearly all entropy",
    "Nothing new is needed here, if large numbers do not overflow.",
)
def _limits(answer: Callable) -> None:
    p, value = _best(answer, THREE[:1], 0.001)
    expect(p, np.array([[1.0, 0.0, 0.0]]), "The policy at a temperature of 0.001", {})
    expect(value, np.array([1.0]), "The soft value at a temperature of 0.001", {})
    expect(
        _best(answer, THREE[:1], 1000.0)[1], soft_best(THREE[:1], 1000.0)[1], "The soft value at 1,000", {}
    )


# ------------------------------------------------------------------------------------------ diagnose


def is_broken(slope: Callable[[float], float], target_entropy: float) -> bool:
    """Whether a temperature does not listen to the entropy.

    slope: for an entropy of the policy, the slope in alpha of what is descended. An update
    moves alpha against it. target_entropy: where the entropy should be.
    Returns True where the slope could not steer the entropy to its target.

    Book: algorithms/sac
    """
    # solution
    above = [slope(target_entropy + gap) for gap in (0.1, 1.0, 3.0)]
    below = [slope(target_entropy - gap) for gap in (0.1, 1.0, 3.0)]
    return not (min(above) > 0 > max(below))
    # end


DETECT = Exercise("sac-is-broken", "Diagnose: a thermostat without a thermometer", PAGE, BREAK, is_broken)


def _verdict(answer: Callable, slope: Callable[[float], float], target: float) -> bool:
    got = answer(slope, target)
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"`is_broken` should return True or False; it returns a {type(got).__name__}")
    return bool(got)


@DETECT.probe(
    "right slopes are not accused, whatever their target and size",
    "Above the target alpha has to fall, so the slope is positive; below it is negative.",
)
def _right(answer: Callable) -> None:
    for target in (-1.0, -6.0, 0.4):
        for size in (0.01, 1.0, 50.0):
            if _verdict(answer, lambda h, t=target, k=size: k * (h - t), target):
                raise Wrong(f"it accuses {size:g} · (entropy - target), with a target of {target:g}")


@DETECT.probe(
    "nor is one that only knows the direction",
    "Ask for the sign, not for the size.",
)
def _sign(answer: Callable) -> None:
    if _verdict(answer, lambda h: float(np.sign(h + 1.0)), -1.0):
        raise Wrong("it accuses the sign of entropy - target: that steers as well")


def _must_be_caught(shows: str, what: str, slope: Callable[[float, float], float], *hints: str) -> None:
    def run(answer: Callable) -> None:
        for target in (-1.0, -6.0, 0.4):
            if not _verdict(answer, lambda h, t=target: slope(h, t), target):
                raise Wrong(f"it lets pass {what}, with a target of {target:g}")

    DETECT.probe(shows, *hints)(run)


_must_be_caught(
    "a reversed sign is found", "a slope of target - entropy",
    lambda h, t: t - h,
    "A slope that is negative above the target makes alpha rise there.",
)  # fmt: skip
_must_be_caught(
    "so is one loss for actor and temperature: a constant", "the joint loss, whose slope is minus the target",
    lambda h, t: -t,
    "Look at both sides of the target: the slope has to change its sign.",
)  # fmt: skip
_must_be_caught(
    "so is a target with the wrong sign", "a slope of entropy + target",
    lambda h, t: h + t,
    "Where does the sign change? It should be at the target: look just above it and just below.",
)  # fmt: skip
