"""Kinds of algorithms side by side in one maze: with and without a model, from own data and from others'.

Q-learning, Dyna-Q, Dyna-Q+, planning to the end in a learned model, and an actor-critic, each for N learners
as rows of arrays; what stored data are good for; and what it costs that a model is wrong.

Papers: Sutton, *Integrated architectures for learning, planning, and reacting based on approximating dynamic
programming*, 1990; Sutton & Barto, *Reinforcement learning: an introduction*, 2nd edition, 2018, chapter 8;
Kearns & Singh, *Near-optimal reinforcement learning in polynomial time*, 2002.

Book: foundations/kinds_of_algorithms
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rlworkshop.foundations import key_concepts
from rlworkshop.foundations.bandits import epsilon_greedy
from rlworkshop.foundations.key_concepts import MDP, Gridworld, Simulator, gridworld, must_be_floats
from rlworkshop.foundations.policy_gradients import expected_gradient, softmax_policy
from rlworkshop.rngs import Rngs

# ----------------------------------------------------------------------------------------- the worlds

MAZES = {  # Sutton & Barto (2018), examples 8.1, 8.2 and 8.3; the last one is ours
    "dyna": ".......#G ..#....#. S.#....#. ..#...... .....#... .........",
    "blocking": "........G ......... ......... ########. ......... ...S.....",
    "blocked": "........G ......... ......... .######## ......... ...S.....",
    "shortcut": "........G ......... ......... .#######. ......... ...S.....",
    "cookie": ".......#G ..#....#. S.#....#. ..#...... .....#... ...c.....",
}


def maze(name: str) -> Gridworld:
    """A maze of 6 × 9 cells by its name in ``MAZES``: 1 for reaching G, in "cookie" 0.5 for c, else 0.

    States are all 54 cells, walls too (nobody gets there), so that a state keeps its number when walls move.

    Raises:
        ValueError: there is no such maze.

    Book: foundations/kinds_of_algorithms
    """
    if name not in MAZES:
        raise ValueError(f"no maze is called {name!r}: there are {', '.join(MAZES)}")
    open_cells = gridworld(MAZES[name].replace(" ", "\n"), {"G": 1.0, "c": 0.5}, ends="Gc")
    H, W = len(open_cells.layout), len(open_cells.layout[0])
    number = open_cells.cells @ [W, 1]  # (S,), of each open cell among all
    P, R, start = np.zeros((H * W, 4, H * W)), np.zeros((H * W, 4, H * W)), np.zeros(H * W)
    every = np.ix_(number, np.arange(4), number)
    P[every], R[every], start[number] = open_cells.P, open_cells.R, open_cells.start
    return Gridworld(P, R, start, np.argwhere(np.ones((H, W))), open_cells.layout)


def start_values(mdp: MDP, policies: np.ndarray, gamma: float) -> np.ndarray:
    """What each of K policies (K, S, A) is worth where episodes start (K,), exactly.

    Raises:
        ValueError: ``gamma`` is not below 1.

    Book: foundations/kinds_of_algorithms
    """
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma lies at 0 or above and below 1, not at {gamma}")
    chain = np.einsum("ksa,sat->kst", policies, mdp.P, optimize=True)
    rewards = (policies * mdp.r).sum(axis=2)[..., None]  # (K, S, 1)
    return np.linalg.solve(np.eye(chain.shape[1]) - gamma * chain, rewards)[..., 0] @ mdp.start


def greedy_policies(Q: np.ndarray) -> np.ndarray:
    """The policies (..., S, A) that take the best action of ``Q`` (..., S, A); ties share.

    Book: foundations/kinds_of_algorithms
    """
    best = Q.max(axis=-1, keepdims=True) - Q <= 1e-9
    return best / best.sum(axis=-1, keepdims=True)


# ----------------------------------------------------------------------------------- what is learned


def q_update(
    Q: np.ndarray,
    pairs: np.ndarray,
    rewards: np.ndarray,
    following: np.ndarray,
    alpha: float,
    gamma: float,
) -> None:
    """One step of Q-learning for each of N learners, in place; terminal states' rows have to stay 0.

    ``Q`` is (N, S, A); ``pairs`` (N,) are numbers s · A + a; ``rewards`` and ``following``, the next states,
    are (N,).

    Paper: Watkins, *Learning from delayed rewards*, 1989.

    Raises:
        TypeError: ``Q`` is not of floats.

    Book: foundations/kinds_of_algorithms
    """
    must_be_floats(Q)
    rows, flat = np.arange(len(Q)), Q.reshape(len(Q), -1)
    target = rewards + gamma * Q[rows, following].max(axis=1)
    flat[rows, pairs] += alpha * (target - flat[rows, pairs])  # (eq-kinds-q)


def sarsa_update(
    Q: np.ndarray,
    pairs: np.ndarray,
    rewards: np.ndarray,
    next_pairs: np.ndarray,
    alpha: float,
    gamma: float,
) -> None:
    """One step of SARSA, in place: as ``q_update``, with the pair that the data say came next (N,).

    Raises:
        TypeError: ``Q`` is not of floats.

    Book: foundations/kinds_of_algorithms
    """
    must_be_floats(Q)
    rows, flat = np.arange(len(Q)), Q.reshape(len(Q), -1)
    target = rewards + gamma * flat[rows, next_pairs]
    flat[rows, pairs] += alpha * (target - flat[rows, pairs])  # (eq-kinds-sarsa)


@dataclass
class Model:
    """What N learners remember of a deterministic world: for each pair s · A + a, what it led to.

    Book: foundations/kinds_of_algorithms
    """

    reward: np.ndarray
    """(N, S·A), 0 where nothing is known"""
    following: np.ndarray
    """(N, S·A), the next state; where nothing is known, the state itself"""
    last: np.ndarray
    """(N, S·A), the time of the last try, 0 before"""
    pairs: np.ndarray
    """(N, S·A), the pairs to plan from, in the order in which they came"""
    count: np.ndarray
    """(N,), how many of them there are"""
    actions: int

    @classmethod
    def empty(cls, N: int, S: int, A: int) -> "Model":
        """The model of N learners that have seen nothing."""
        stay = np.tile(np.repeat(np.arange(S), A), (N, 1))
        zeros = np.zeros((N, S * A), int)
        return cls(np.zeros((N, S * A)), stay, zeros, zeros.copy(), np.zeros(N, int), A)

    def recall(self, rngs: Rngs, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``n`` of the pairs to plan from, all equally likely, with rewards and next states: (n, N) each."""
        picks = (rngs.uniform(n) * self.count[:, None]).astype(np.int64)  # (N, n)
        pairs = np.take_along_axis(self.pairs, picks, axis=1)
        rewards, following = (np.take_along_axis(x, pairs, axis=1) for x in (self.reward, self.following))
        return pairs.T, rewards.T, following.T


def remember(
    model: Model,
    pairs: np.ndarray,
    rewards: np.ndarray,
    following: np.ndarray,
    now: int,
) -> None:
    """Write down what ``pairs`` (N,) led to; a pair tried for the first time can be planned from.

    Book: foundations/kinds_of_algorithms
    """
    rows = np.arange(len(pairs))
    new = np.flatnonzero(model.last[rows, pairs] == 0)
    model.pairs[new, model.count[new]] = pairs[new]
    model.count[new] += 1
    model.reward[rows, pairs] = rewards  # (eq-kinds-model)
    model.following[rows, pairs] = following  # (eq-kinds-model)
    model.last[rows, pairs] = now


def remember_states(
    model: Model,
    pairs: np.ndarray,
    rewards: np.ndarray,
    following: np.ndarray,
    now: int,
) -> None:
    """As ``remember``; but with a state's first visit all its actions can be planned from, tried or not.

    Book: foundations/kinds_of_algorithms
    """
    A, rows = model.actions, np.arange(len(pairs))
    siblings = (pairs // A * A)[:, None] + np.arange(A)  # (N, A)
    new = np.flatnonzero((model.last[rows[:, None], siblings] == 0).all(axis=1))
    for a in range(A):
        model.pairs[new, model.count[new]] = siblings[new, a]
        model.count[new] += 1
    model.reward[rows, pairs], model.following[rows, pairs] = rewards, following
    model.last[rows, pairs] = now


def plan(Q: np.ndarray, model: Model, rngs: Rngs, n: int, alpha: float, gamma: float) -> None:
    """``n`` steps of Q-learning on remembered transitions, for each learner, in place.

    Book: foundations/kinds_of_algorithms
    """
    pairs, rewards, following = model.recall(rngs, n)
    for k in range(n):
        q_update(Q, pairs[k], rewards[k], following[k], alpha, gamma)  # (eq-kinds-plan)


def plan_with_bonus(
    Q: np.ndarray,
    model: Model,
    rngs: Rngs,
    n: int,
    alpha: float,
    gamma: float,
    kappa: float,
    now: int,
) -> None:
    """As ``plan``, but what has not been tried for k steps promises κ √k on top of its reward.

    Book: foundations/kinds_of_algorithms
    """
    pairs, rewards, following = model.recall(rngs, n)
    last = np.take_along_axis(model.last.T, pairs, axis=0)  # (n, N)
    for k in range(n):
        bonus = kappa * np.sqrt(now - last[k])  # (eq-kinds-bonus)
        q_update(Q, pairs[k], rewards[k] + bonus, following[k], alpha, gamma)


def solve_model(
    reward: np.ndarray,
    following: np.ndarray,
    gamma: float,
    tolerance: float = 1e-6,
) -> tuple[np.ndarray, int]:
    """Q (N, S, A) of the best policies of N deterministic models, and the number of sweeps it took.

    ``reward`` and ``following`` are (N, S, A). Sweeps go on until none changes by more than ``tolerance``.

    Raises:
        ValueError: ``gamma`` is not below 1.

    Book: foundations/kinds_of_algorithms
    """
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma lies at 0 or above and below 1, not at {gamma}")
    Q, rows, sweeps, change = np.zeros(reward.shape), np.arange(len(reward))[:, None, None], 0, np.inf
    while change > tolerance:
        better = reward + gamma * Q.max(axis=2)[rows, following]  # (eq-kinds-solve)
        Q, change, sweeps = better, np.abs(better - Q).max(), sweeps + 1
    return Q, sweeps


# -------------------------------------------------------------------------------------- the learners


@dataclass
class Log:
    """What happened to N learners in T steps.

    Book: foundations/kinds_of_algorithms
    """

    rewards: np.ndarray
    """(T, N)"""
    over: np.ndarray
    """(T, N) bool, whether the step ended an episode"""
    tables: np.ndarray
    """(K, N, S, A), action values or preferences, every so many steps"""
    at: np.ndarray
    """(K,), after how many steps"""
    updates: float
    """changes of one entry of a table, of one learner on average"""
    model: Model | None = field(default=None, repr=False)

    def episode_steps(self, episodes: int) -> np.ndarray:
        """Steps of each of the first ``episodes`` episodes (N, E), NaN where they were not reached."""
        steps = np.full((self.over.shape[1], episodes), np.nan)
        for i, over in enumerate(self.over.T):
            lengths = np.diff(np.flatnonzero(over)[:episodes], prepend=-1)
            steps[i, : len(lengths)] = lengths
        return steps


World = MDP | Sequence[tuple[int, MDP]]  # one, or several, each with the step at which it takes over


def q_learning(world: World, seeds: Sequence[int], steps: int, **options: float) -> Log:
    """Q-learning: Dyna-Q that does not plan.

    Book: foundations/kinds_of_algorithms
    """
    return dyna_q(world, seeds, steps, 0, **options)


def dyna_q(
    world: World,
    seeds: Sequence[int],
    steps: int,
    n: int,
    alpha: float = 0.1,
    gamma: float = 0.95,
    epsilon: float = 0.1,
    every: int = 100,
    episodes: int | None = None,
) -> Log:
    """Dyna-Q: after each step in the world, ``n`` steps from the model of it (Sutton & Barto, section 8.2).

    Args:
        world: an MDP whose moves are certain; or several, each with the step at which it takes over.
        seeds: of N learners. steps: in the world, fewer if all have ended so many ``episodes`` before.
        every: how often the table is kept.

    Raises:
        ValueError: worlds do not fit, or an option is out of range.

    Book: foundations/kinds_of_algorithms
    """

    def learn(Q, model, rngs, pairs, rewards, following, now):
        q_update(Q, pairs, rewards, following, alpha, gamma)
        remember(model, pairs, rewards, following, now)
        plan(Q, model, rngs, n, alpha, gamma)

    _check(alpha, gamma, epsilon, n)
    return _play(world, seeds, steps, learn, epsilon, every, 1 + n, episodes)


def dyna_q_plus(
    world: World,
    seeds: Sequence[int],
    steps: int,
    n: int,
    alpha: float = 0.1,
    gamma: float = 0.95,
    epsilon: float = 0.1,
    kappa: float = 1e-3,
    every: int = 100,
    episodes: int | None = None,
) -> Log:
    """Dyna-Q+: planning pays a bonus for what has not been tried for long (Sutton & Barto, section 8.3).

    Arguments are those of ``dyna_q``; ``kappa`` is the bonus after one step without a try.

    Book: foundations/kinds_of_algorithms
    """

    def learn(Q, model, rngs, pairs, rewards, following, now):
        q_update(Q, pairs, rewards, following, alpha, gamma)
        remember_states(model, pairs, rewards, following, now)
        plan_with_bonus(Q, model, rngs, n, alpha, gamma, kappa, now)

    _check(alpha, gamma, epsilon, n)
    return _play(world, seeds, steps, learn, epsilon, every, 1 + n, episodes)


def certainty_equivalence(
    world: MDP,
    seeds: Sequence[int],
    steps: int,
    gamma: float = 0.95,
    epsilon: float = 0.1,
    every: int = 100,
) -> Log:
    """Believe the model entirely: after each episode, the table is the solution of what is remembered.

    Book: foundations/kinds_of_algorithms
    """
    spent = []

    def learn(Q, model, rngs, pairs, rewards, following, now):
        remember(model, pairs, rewards, following, now)
        ended = np.flatnonzero(world.terminal[following])
        if len(ended):
            shape = (len(ended), *Q.shape[1:])
            Q[ended], sweeps = solve_model(
                model.reward[ended].reshape(shape), model.following[ended].reshape(shape), gamma
            )
            spent.append(sweeps * Q[ended].size)

    _check(1.0, gamma, epsilon, 0)
    log = _play(world, seeds, steps, learn, epsilon, every, 0)
    log.updates = sum(spent) / len(seeds)
    return log


def actor_critic(
    world: MDP,
    seeds: Sequence[int],
    steps: int,
    alpha: float = 0.1,
    critic_alpha: float = 0.1,
    gamma: float = 0.95,
    every: int = 100,
) -> Log:
    """A softmax policy that follows the score, weighed by the surprise of a critic (Barto et al., 1983).

    The log's tables are the preferences. The factor γ^t of the exact gradient is left out, as usual.

    Book: foundations/kinds_of_algorithms
    """
    _check(critic_alpha, gamma, 0.0, 0)  # alpha may be any: preferences are not averages of anything
    rngs, N, (S, A) = Rngs(seeds), len(seeds), world.r.shape
    simulator, rows, V = Simulator(world, rngs), np.arange(N), np.zeros((N, S))
    theta, s = np.zeros((N, S, A)), simulator.start()
    rewards, over, tables = np.zeros((steps, N)), np.zeros((steps, N), bool), [theta.copy()]
    for t in range(steps):
        # region: actor
        policy = softmax_policy(theta[rows, s])  # (N, A)
        a = rngs.choice(policy)
        rewards[t], following = simulator.step(s, a)
        delta = rewards[t] + gamma * V[rows, following] - V[rows, s]  # (N,)
        V[rows, s] += critic_alpha * delta
        score = np.eye(A)[a] - policy  # (N, A)
        theta[rows, s] += alpha * delta[:, None] * score  # (eq-kinds-actor)
        # endregion
        over[t] = world.terminal[following]
        s = np.where(over[t], simulator.start(), following)
        if (t + 1) % every == 0:
            tables.append(theta.copy())
    return Log(rewards, over, np.array(tables), np.arange(len(tables)) * every, steps * (A + 1.0))


# ------------------------------------------------------------------------------ data of another policy


@dataclass(frozen=True)
class Data:
    """T transitions of each of N players, in the order in which they were played.

    Book: foundations/kinds_of_algorithms
    """

    pairs: np.ndarray
    """(T, N), numbers s · A + a"""
    rewards: np.ndarray
    """(T, N)"""
    following: np.ndarray
    """(T, N), states reached"""
    next_pairs: np.ndarray
    """(T, N), the pair that the player went on with; where the episode was over, any pair of that state"""


def play(mdp: MDP, policy: np.ndarray, seeds: Sequence[int], steps: int) -> Data:
    """``steps`` transitions of a policy (S, A), episode after episode, for each seed.

    Book: foundations/kinds_of_algorithms
    """
    rngs, A = Rngs(seeds), mdp.r.shape[1]
    simulator, rows = Simulator(mdp, rngs), []
    s = simulator.start()
    a = rngs.choice(policy[s])
    for _ in range(steps):
        rewards, following = simulator.step(s, a)
        before, over = s * A + a, mdp.terminal[following]
        s = np.where(over, simulator.start(), following)
        a = rngs.choice(policy[s])
        rows.append((before, rewards, following, np.where(over, following, s) * A + a))
    return Data(*(np.array(column) for column in zip(*rows, strict=True)))


def stale_gradient(
    mdp: MDP, theta: np.ndarray, played_by: np.ndarray, gamma: float, baseline: float | np.ndarray = 0.0
) -> np.ndarray:
    """What the policy-gradient estimate (S, A) is on average if another policy has played the data.

    ``theta`` (S, A) are the preferences of the policy whose gradient is wanted, ``played_by`` (S, A) the
    probabilities of the one that collected the data; no weight corrects for the difference. ``baseline``,
    one number or one for each state (S,), is taken off the returns.

    Book: foundations/kinds_of_algorithms
    """
    often = key_concepts.visits(mdp, played_by, gamma)[:, None]  # (S, 1)
    V = key_concepts.state_values(mdp, played_by, gamma)
    returns = key_concepts.action_values(mdp, V, gamma) - np.reshape(baseline, (-1, 1))  # (S, A)
    weights = played_by * returns
    policy = softmax_policy(theta)
    return often * (weights - policy * weights.sum(axis=1, keepdims=True))  # (eq-kinds-stale)


def fresh_gradient(mdp: MDP, theta: np.ndarray, gamma: float) -> np.ndarray:
    """Policy gradient of the value at the start, for data that the policy itself has played.

    Book: foundations/kinds_of_algorithms
    """
    V = key_concepts.state_values(mdp, softmax_policy(theta), gamma)
    return expected_gradient(mdp, theta, key_concepts.action_values(mdp, V, gamma), gamma)


def log_weights(
    policy: np.ndarray,
    played_by: np.ndarray,
    states: np.ndarray,
    actions: np.ndarray,
    alive: np.ndarray,
) -> np.ndarray:
    """Logarithms (N,) of the importance weights of whole episodes.

    ``policy`` and ``played_by`` are (S, A); ``states`` and ``actions`` (T, N) are what ``played_by`` has
    played, ``alive`` (T, N) the steps that count.

    Book: foundations/kinds_of_algorithms
    """
    ratio = np.log(policy[states, actions]) - np.log(played_by[states, actions])  # (T, N)
    return (ratio * alive).sum(axis=0)  # (eq-kinds-weight)


def effective_share(log_weight: np.ndarray) -> np.ndarray:
    """Effective sample size of weighted samples (N, ...) as a share of N: 1 all weigh alike, 1/N one is all.

    Book: foundations/kinds_of_algorithms
    """
    w = np.exp(log_weight - log_weight.max(axis=0))
    return w.sum(axis=0) ** 2 / (w**2).sum(axis=0) / len(w)  # (eq-kinds-ess)


# ------------------------------------------------------------------------------------- wrong models


def simulation_bound(wrong: float, gamma: float, largest: float = 1.0) -> float:
    """How far a value can be off at the most if a share ``wrong`` of each transition's probability is.

    ``largest`` is the largest reward; rewards are known, and not below 0 (Kearns & Singh, 2002).

    Raises:
        ValueError: ``wrong`` or ``gamma`` is out of range.

    Book: foundations/kinds_of_algorithms
    """
    if not (0 <= wrong <= 1 and 0 <= gamma < 1):
        raise ValueError(f"wrong lies in [0, 1] and gamma in [0, 1), not at {wrong} and {gamma}")
    return gamma * wrong * largest / (1 - gamma) ** 2  # (eq-kinds-lemma)


def blurred(mdp: MDP, share: float) -> MDP:
    """A model in which ``share`` of each move's probability goes to all states alike; rewards are known.

    ``mdp.r`` is kept, terminal states stay terminal.

    Book: foundations/kinds_of_algorithms
    """
    acts = ~mdp.terminal[:, None, None]
    P = np.where(acts, (1 - share) * mdp.P + share / len(mdp.start), 0.0)
    return MDP(P, np.where(acts, mdp.r[..., None], 0.0) * np.ones(P.shape), mdp.start)


def misplaced(mdp: MDP, share: float, rngs: Rngs) -> tuple[np.ndarray, np.ndarray]:
    """N models of a deterministic world with wrong entries: rewards and next states, each (N, S, A).

    Each entry is, with probability ``share``, led to another state than in truth, one of those that can be
    entered and where one can act. Terminal states and moves that pay are left as they are.

    Raises:
        ValueError: ``share`` is no probability.

    Book: foundations/kinds_of_algorithms
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is a probability, not {share}")
    S, A = mdp.r.shape
    truth = np.where(mdp.terminal[:, None], np.arange(S)[:, None], mdp.P.argmax(axis=2))  # (S, A)
    among = np.setdiff1d(truth, np.flatnonzero(mdp.terminal))
    elsewhere = among[(rngs.uniform(S, A) * len(among)).astype(np.int64)]  # (N, S, A)
    wrong = (rngs.uniform(S, A) < share) & (mdp.r == 0) & ~mdp.terminal[:, None]
    return np.tile(mdp.r, (len(rngs), 1, 1)), np.where(wrong, elsewhere, truth)


# ----------------------------------------------------------------------------------------- details


def _play(
    world: World,
    seeds: Sequence[int],
    steps: int,
    learn: Callable,
    epsilon: float,
    every: int,
    updates: int,
    episodes: int | None = None,
) -> Log:
    """N learners, ε-greedy in tables that ``learn`` changes in place after each step.

    ``updates`` are those of one step; it stops early when every learner has ended so many ``episodes``.
    """
    worlds = [(0, world)] if isinstance(world, MDP) else sorted(world, key=lambda pair: pair[0])
    shapes = {mdp.P.shape for _, mdp in worlds}
    if not worlds or worlds[0][0] != 0 or len(shapes) != 1:
        raise ValueError("worlds are pairs (step, MDP), the first from step 0 on, all of one shape")
    rngs, N, (S, A) = Rngs(seeds), len(seeds), worlds[0][1].r.shape
    simulators = {since: Simulator(mdp, rngs) for since, mdp in worlds}
    if any((mdp.P > 0).sum(axis=2).max() > 1 for _, mdp in worlds):
        raise ValueError("this model remembers one next state for each action: moves have to be certain")
    Q, model, rows = np.zeros((N, S, A)), Model.empty(N, S, A), np.arange(N)
    rewards, over, tables = np.zeros((steps, N)), np.zeros((steps, N), bool), [Q.copy()]
    s, ended, simulator = simulators[0].start(), np.zeros(N, int), simulators[0]
    for t in range(steps):
        simulator = simulators.get(t, simulator)
        a = epsilon_greedy(Q[rows, s], epsilon, rngs)
        rewards[t], following = simulator.step(s, a)
        learn(Q, model, rngs, s * A + a, rewards[t], following, t + 1)
        over[t] = simulator.mdp.terminal[following]
        s = np.where(over[t], simulator.start(), following)
        ended += over[t]
        if (t + 1) % every == 0:
            tables.append(Q.copy())
        if episodes and ended.min() >= episodes:
            break
    at = np.arange(len(tables)) * every
    return Log(rewards[: t + 1], over[: t + 1], np.array(tables), at, (t + 1.0) * updates, model)


def _check(alpha: float, gamma: float, epsilon: float, n: int) -> None:
    if not (0 < alpha <= 1 and 0 <= gamma < 1 and 0 <= epsilon <= 1 and n >= 0):
        raise ValueError(
            f"alpha lies in (0, 1], gamma in [0, 1), epsilon in [0, 1], n is 0 or more; "
            f"not {alpha}, {gamma}, {epsilon}, {n}"
        )
