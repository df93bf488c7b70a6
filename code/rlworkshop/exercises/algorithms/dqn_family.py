"""Exercises of the chapter on the DQN family.

Book: algorithms/dqn_family
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "algorithms/dqn_family"
N_STEP = "News travels one step for each copy, or n"
DOUBLE = "Luck is not value, and two networks can tell them apart"
BREAK = "Break it"

# ------------------------------------------------------------------------------------------ implement


def double_target(
    reward: np.ndarray, discount: np.ndarray, online_q: np.ndarray, target_q: np.ndarray
) -> np.ndarray:
    """Targets of double DQN.

    reward (B,). discount (B,): gamma, or 0 where the transition terminated.
    online_q, target_q (B, A): what the network and the target network say of the next state.
    Returns (B,).

    Book: algorithms/dqn_family
    """
    # solution
    best = online_q.argmax(axis=1)  # (B,), chosen by the network
    return reward + discount * target_q[np.arange(len(best)), best]
    # end


TARGET = Exercise(
    "dqn-family-double-target", "Implement: one chooses, the other says", PAGE, DOUBLE, double_target
)
DOUBLE_HINTS = (
    "Two questions, one for each network: which action? And: what is that action worth?",
    "`argmax` over the actions of the one, then pick with `[np.arange(B), best]` from the other.",
)


@TARGET.probe("the network chooses, the target network says what the choice is worth", *DOUBLE_HINTS)
def _by_hand(answer: Callable) -> None:
    online, target = np.array([[1.0, 5.0, 2.0]]), np.array([[9.0, 4.0, 7.0]])
    got = answer(np.array([1.0]), np.array([0.5]), online, target)
    about = "Reward 1, discount ½; the network says 1, 5, 2 and the target network 9, 4, 7"
    expect(got, np.array([3.0]), about, {
        "this is plain DQN: the target network chooses and judges in one": [5.5],
        "the two are exchanged: the target network chooses here, and the network judges": [1.5],
        "the network judges its own choice: where does the target network come in?": [3.5],
        "this is the smaller of two maxima: that is another remedy, which belongs to actor-critics": [
            1 + 0.5 * 4.9999],
        "the average of both networks' maxima does not separate choosing from judging": [1 + 0.5 * 7],
        "this is the average over the target network's actions: nobody chose": [1 + 0.5 * 20 / 3],
        "the discount is missing": [5.0],
    })  # fmt: skip


@TARGET.probe(
    "after the end nothing counts, and each row is for itself",
    "`discount` is 0 where the transition terminated: multiply by it, and by nothing else.",
    "The choice has to be made in each row: `axis=1`.",
)
def _rows(answer: Callable) -> None:
    online = np.array([[1.0, 2.0], [4.0, 3.0], [0.0, 1.0]])
    target = np.array([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]])
    got = answer(np.array([1.0, 2.0, 3.0]), np.array([0.9, 0.0, 0.9]), online, target)
    expect(got, np.array([19.0, 2.0, 57.0]), "Three rows, of which the second terminated", {
        "the largest discount is used for all: the row that terminated has a value after its end":
            [19.0, 29.0, 57.0],
        "one action was chosen for all rows": [10.0, 2.0, 48.0],
    })  # fmt: skip


@TARGET.drawn
def _any_double(rng: np.random.Generator) -> tuple:
    return rng.normal(size=3), rng.uniform(size=3), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))


# ------------------------------------------------------------------------------------------ mend


def n_step(
    rewards: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    values: np.ndarray,
    gamma: float,
    n: int,
) -> np.ndarray:
    """n-step targets of the steps of one environment.

    rewards, terminated, truncated (T,): row t leads from t to t + 1; there are no reset rows.
    values (T,): the best value of the state that each transition leads to.
    Returns (T,): rewards of up to n steps, and the value after them; within one episode.

    Book: algorithms/dqn_family
    """
    targets = np.zeros(len(rewards))
    for t in range(len(rewards)):
        total = 0.0
        for k in range(n):
            total += gamma**k * rewards[t + k]
            # solution
            last = k == n - 1 or t + k == len(rewards) - 1
            if terminated[t + k]:
                break
            if last or truncated[t + k]:
                total += gamma ** (k + 1) * values[t + k]
                break
            # given
            # if k == n - 1 or t + k == len(rewards) - 1:
            #     total += gamma ** (k + 1) * values[t + k] * (not terminated[t + k])
            #     break
            # end
        targets[t] = total
    return targets


MEND = Exercise("dqn-family-mend-n-step", "Mend: the target that does not stop", PAGE, N_STEP, n_step)
NO = np.zeros(4, bool)
STOP = NO | (np.arange(4) == 1)
REWARDS, VALUES = np.array([1.0, 2.0, 4.0, 8.0]), np.array([10.0, 20.0, 30.0, 40.0])


@MEND.probe(
    "inside one episode it looks n steps ahead, or as far as the rows go",
    "Without ends, the given code was right. Is yours still?",
)
def _inside(answer: Callable) -> None:
    got = answer(REWARDS, NO, NO, VALUES, 0.5, 2)
    expect(got, np.array([7.0, 11.5, 18.0, 28.0]), "Four rows, n = 2, γ = ½, no end", {
        "the value is discounted once too little: after two steps it counts γ²": [12.0, 19.0, 28.0, 48.0],
        "one step too few is looked ahead": [6.0, 12.0, 19.0, 28.0],
    })  # fmt: skip


@MEND.probe(
    "nothing comes after a terminal state",
    "Where `terminated[t + k]` is True, the sum is complete: no value, and no further reward.",
    "Look at the end in each step of the inner loop, not only in its last one.",
)
def _terminal(answer: Callable) -> None:
    got = answer(REWARDS, STOP, NO, VALUES, 0.5, 3)
    expect(got, np.array([2.0, 2.0, 18.0, 28.0]), "An episode of two steps, rewards 1 and 2, and another", {
        "rewards of the next episode run into this one: the end is seen only in the last of the n steps":
            [6.75, 11.0, 18.0, 28.0],
        "the terminal state is given a value: it should count nothing": [7.0, 12.0, 18.0, 28.0],
        "the last reward of the episode is lost": [1.0, 0.0, 18.0, 28.0],
    })  # fmt: skip


@MEND.probe(
    "after a time limit the value still counts, and nothing else does",
    "`truncated`: the world would have gone on. Stop here, with the value of the state it stopped in.",
    "That state is k + 1 steps away: its value counts γ to the power k + 1.",
)
def _cut(answer: Callable) -> None:
    got = answer(REWARDS, NO, STOP, VALUES, 0.5, 3)
    expect(got, np.array([7.0, 12.0, 18.0, 28.0]), "The first episode is cut off after two steps", {
        "a time limit is not looked at: rewards of the next episode run into this one":
            [1 + 1 + 1 + 0.125 * 30, 2 + 2 + 2 + 0.125 * 40, 18.0, 28.0],
        "a time limit is treated as an end: the state it stopped in still has a value":
            [2.0, 2.0, 18.0, 28.0],
        "the value at a time limit is discounted as if all n steps had been made":
            [2 + 0.125 * 20, 2 + 0.125 * 20, 18.0, 28.0],
    })  # fmt: skip


@MEND.drawn
def _any_ends(rng: np.random.Generator) -> tuple:
    flags = rng.random((2, 6)) < 0.2
    return (
        rng.normal(size=6),
        flags[0],
        flags[1],
        rng.normal(size=6),
        rng.uniform(0.1, 1),
        int(rng.integers(1, 5)),
    )


# ------------------------------------------------------------------------------------------ derive


def settles(prize: float, chance: float, alpha: float) -> float:
    """Where Q of a ticket settles that wins ``prize`` with probability ``chance``, or nothing.

    Transitions are drawn in proportion to the size of their error to the power ``alpha``; no
    loss is weighted. Returns a number.

    Book: algorithms/dqn_family
    """
    # solution
    odds = (1 - chance) / chance
    return np.float64(prize / (1 + odds ** (1 / (1 + alpha))))
    # end


SETTLES = Exercise("dqn-family-settles", "Derive: where careless priorities lead", PAGE, BREAK, settles)
BALANCE = (
    "At rest the pulls balance. A winning ticket pulls up by its error, prize − q; a losing one down by q.",
    "How often is each drawn? In proportion to how often it is there, times its error to the power alpha.",
    "chance · (prize − q)^(1 + alpha) = (1 − chance) · q^(1 + alpha). Take the root, then solve for q.",
)
LOSS = "2 + alpha is the power of the loss: what balances are the pulls, its slopes, one power less"


@SETTLES.probe("with alpha = 0 all are drawn alike, and it settles at the mean", *BALANCE)
def _mean(answer: Callable) -> None:
    expect(answer(10.0, 0.1, 0.0), np.array(1.0), "A prize of 10, one ticket in ten, alpha = 0", {
        "this is the prize times the odds, not times the chance": 10 / 9,
        "this is the middle between losing and winning, whatever the chance": 5.0,
    })  # fmt: skip


@SETTLES.probe("with alpha = 1 it settles where the squares of the pulls balance", *BALANCE)
def _squares(answer: Callable) -> None:
    expect(answer(10.0, 0.1, 1.0), np.array(2.5), "A prize of 10, one ticket in ten, alpha = 1", {
        LOSS: 10 / (1 + 9.0 ** (1 / 3)),
        "this is the mean: with priorities, winning tickets are drawn more often": 1.0,
        "an error pulls by its size *and* is drawn by it: the exponent is 1 + alpha": 5.0,
        "the exponent is upside down: take the root, 1 / (1 + alpha)": 10 / (1 + 9.0**2),
        "the chances are exchanged: the prize is the rare event": 7.5,
    })  # fmt: skip


@SETTLES.probe("any prize, chance and alpha, as far as the middle", *BALANCE)
def _general(answer: Callable) -> None:
    for prize, chance, alpha in ((1.0, 0.1, 0.6), (3.0, 0.4, 2.0)):
        q = np.linspace(0, prize, 200_001)
        pull = chance * (prize - q) ** (1 + alpha) - (1 - chance) * q ** (1 + alpha)
        want = q[np.abs(pull).argmin()]
        about = f"Prize {prize:g}, chance {chance:g}, alpha {alpha:g}"
        half = prize / (1 + ((1 - chance) / chance) ** 0.5)
        expect(answer(prize, chance, alpha), np.array(want), about, {
            "this fits alpha = 1 only: where does alpha come in?": half,
            LOSS: prize / (1 + ((1 - chance) / chance) ** (1 / (2 + alpha))),
            "this is right for a prize of 10 only": want * 10 / prize,
        })  # fmt: skip
