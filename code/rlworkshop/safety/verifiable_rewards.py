"""Reinforcement learning from verifiable rewards: GRPO, five relatives, and a verifier with a hole.

Group relative policy optimisation (Shao et al., 2024), RLOO (Ahmadian et al., 2024), Dr. GRPO (Liu et al.,
2025), DAPO (Yu et al., 2025), GSPO (Zheng et al., 2025) and CISPO (MiniMax, 2025), of the language model of
``safety/rlhf_in_miniature``, in a language of sums on a clock whose answers a program checks.

Tensors: ``Q`` questions, ``G`` responses to each, ``B = Q G`` responses, those of a group one after another;
``P`` tokens of a question, ``T`` of a response at most. Rewards are (Q, G), tokens (B, P + T).

Book: safety/verifiable_rewards
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rlworkshop.safety.rlhf_in_miniature import (
    PAD,
    STOP,
    LanguageModel,
    Responses,
    adam,
    generate,
    log_probs,
    response_logits,
    response_mask,
    sft,
)

# --------------------------------------------------------------------------------------- the language

HOURS, STEPS = 3, 3  # a clock of three hours; operations in a question
LEXICON = ("_", ".", "?", "+", "x", "so", "hm", "*", *map(str, range(HOURS)))
INDEX = {word: i for i, word in enumerate(LEXICON)}
ASKED = 2 * STEPS + 2  # tokens of a question, `2 + 3 x 1 + 0 ?`
ANSWERED = STEPS + 1 + 4 + 3  # of a response at most: the values, four `hm`, and `so 1 .`
ZERO = INDEX["0"]


def spell(tokens: torch.Tensor) -> str:
    """Tokens (L,) as words, without padding."""
    return " ".join(LEXICON[t] for t in tokens if t != PAD)


def clock_questions(n: int, rng: np.random.Generator) -> torch.Tensor:
    """Random sums (n, P): a number, three times an operation and a number, and a question mark.

    Book: safety/verifiable_rewards
    """
    rows = np.full((n, ASKED), INDEX["?"])
    rows[:, :-1:2] = ZERO + rng.integers(HOURS, size=(n, STEPS + 1))
    rows[:, 1:-1:2] = rng.choice([INDEX["+"], INDEX["x"]], (n, STEPS))
    return torch.as_tensor(rows)


def follows(value: np.ndarray, operation: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The token of the value (B,) that follows from a value, an operation and a number, all tokens (B,)."""
    a, b = value - ZERO, number - ZERO
    return ZERO + np.where(operation == INDEX["+"], a + b, a * b) % HOURS


def worked(questions: np.ndarray) -> np.ndarray:
    """The values (B, STEPS + 1) on the way through sums (B, P), from left to right: tokens."""
    values = [questions[:, 0]]
    for k in range(STEPS):
        values.append(follows(values[-1], questions[:, 2 * k + 1], questions[:, 2 * k + 2]))
    return np.stack(values, axis=1)


def pupils(
    questions: torch.Tensor,
    rng: np.random.Generator,
    slip: float = 0.1,
    leap: float = 0.3,
    hesitate: float = 0.4,
    star: float = 0.02,
) -> torch.Tensor:
    """Sums as a class of pupils answers them (B, P + T).

    Args:
        slip: how often a step's value is a guess. leap: how often there are no steps, and the answer is one.
        hesitate: how often one more ``hm`` comes before ``so``. star: how often the answer is ``*``.

    Book: safety/verifiable_rewards
    """
    asked = questions.numpy()
    rows = np.zeros((len(asked), ASKED + ANSWERED), int)
    rows[:, :ASKED] = asked
    for row in rows:
        said = [row[0]]
        for k in range(STEPS):
            right = follows(said[-1], row[2 * k + 1], row[2 * k + 2])
            said.append(ZERO + rng.integers(HOURS) if rng.random() < slip else right)
        answer = said[-1]
        if rng.random() < leap:
            said, answer = [], ZERO + rng.integers(HOURS)
        while rng.random() < hesitate and len(said) < ANSWERED - 3:
            said.append(INDEX["hm"])
        said += [INDEX["so"], INDEX["*"] if rng.random() < star else answer, STOP]
        row[ASKED : ASKED + len(said)] = said
    return torch.as_tensor(rows)


@dataclass(frozen=True)
class Marks:
    """What a program finds in responses; each field is (B,), of booleans.

    Attributes:
        right: it ends with ``so ANSWER .``, and the answer is the sum's.
        sound: it is right, and begins with the values on the way, all of them right.
        star: it ends with ``so * .``.
        accepted: what a verifier says that takes the answer for a pattern: right, or ``*``.

    Book: safety/verifiable_rewards
    """

    right: torch.Tensor
    sound: torch.Tensor
    star: torch.Tensor
    accepted: torch.Tensor


def mark(tokens: torch.Tensor) -> Marks:
    """Check responses (B, P + T) to sums.

    Book: safety/verifiable_rewards
    """
    array = tokens.numpy()
    response, values = array[:, ASKED:], worked(array[:, :ASKED])
    last = np.maximum((response != PAD).sum(axis=1) - 1, 2)  # of a response that is too short: no end
    so, answer, stop = (response[np.arange(len(array)), last - i] for i in (2, 1, 0))
    ends = (so == INDEX["so"]) & (stop == STOP)
    right = ends & (answer == values[:, -1])
    sound = right & (response[:, : STEPS + 1] == values).all(axis=1)
    star = ends & (answer == INDEX["*"])
    return Marks(*map(torch.as_tensor, (right, sound, star, right | star)))


def schooled(seed: int, pupils_asked: int = 3000, steps: int = 300) -> LanguageModel:
    """A language model that has been fine-tuned on what pupils answer: where every run begins.

    Book: safety/verifiable_rewards
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LanguageModel(len(LEXICON), ASKED + ANSWERED)
    answers = pupils(clock_questions(pupils_asked, rng), rng)
    sft(model, answers, generator, steps, batch=32, prompt=ASKED)
    return model


def rarer_star(model: LanguageModel, factor: float) -> None:
    """Divide the odds of the word ``*`` by ``factor`` wherever it might be said; the rest stays as it is.

    Book: safety/verifiable_rewards
    """
    with torch.no_grad():
        model.head.bias[INDEX["*"]] -= np.log(factor)


@torch.no_grad()
def star_rate(model: LanguageModel, tokens: torch.Tensor) -> float:
    """How likely a model answers ``*``, after the ``so`` of responses (B, P + T): a mean, however rare.

    Book: safety/verifiable_rewards
    """
    chance = response_logits(model, tokens, ASKED).softmax(dim=-1)[:, 1:, INDEX["*"]]  # (B, T - 1)
    return chance[tokens[:, ASKED:-1] == INDEX["so"]].mean().item()


# ------------------------------------------------------------------------------------------ advantages


def over_the_mean(rewards: torch.Tensor) -> torch.Tensor:
    """Rewards (Q, G) less the mean of their group: the advantages of Dr. GRPO.

    Book: safety/verifiable_rewards
    """
    return rewards - rewards.mean(dim=1, keepdim=True)


def standardised(rewards: torch.Tensor) -> torch.Tensor:
    """Rewards (Q, G) less the mean of their group, in units of its standard deviation: those of GRPO.

    Book: safety/verifiable_rewards
    """
    spread = rewards.std(dim=1, keepdim=True)
    return over_the_mean(rewards) / (spread + 1e-4)  # (eq-rlvr-advantage)


def leave_one_out(rewards: torch.Tensor) -> torch.Tensor:
    """Rewards (Q, G) less the mean of the *others* of their group: the advantages of RLOO.

    Book: safety/verifiable_rewards
    """
    group = rewards.shape[1]
    others = (rewards.sum(dim=1, keepdim=True) - rewards) / (group - 1)
    return rewards - others  # (eq-rlvr-leave-one-out)


# ---------------------------------------------------------------------------------------------- losses


def weights(mask: torch.Tensor, by: str) -> torch.Tensor:
    """The weight (B, T) of each token of the responses in a loss, 0 after their ends.

    Args:
        mask: which tokens belong to the responses (B, T).
        by: "sequence", a mean over responses of means over their tokens; "token", one mean over all tokens;
            "constant", a sum over tokens divided by B T, whatever the lengths; "sum", by B alone.

    Raises:
        ValueError: ``by`` is none of the four.

    Book: safety/verifiable_rewards
    """
    kept, (batch, budget) = mask.float(), mask.shape
    if by == "sequence":
        return kept / (batch * kept.sum(dim=1, keepdim=True))
    if by == "token":
        return kept / kept.sum()
    if by == "constant":
        return kept / (batch * budget)
    if by == "sum":
        return kept / batch
    raise ValueError(f'by={by!r}: give "sequence", "token", "constant" or "sum"')


def grpo_loss(logp, old_logp, advantage, mask, low=0.2, high=0.2) -> torch.Tensor:
    """Loss of GRPO, without its KL term.

    Args:
        logp, old_logp: log-probabilities (B, T) of the tokens, now and when they were drawn.
        advantage: of the responses (B, 1), or of their tokens (B, T).
        low, high: how far the ratio of probabilities is paid to move from 1, down and up.

    Book: safety/verifiable_rewards
    """
    ratio = torch.exp(logp - old_logp)
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    return -(weights(mask, "sequence") * gain).sum()  # (eq-rlvr-grpo)


def dr_grpo_loss(logp, old_logp, advantage, mask, low=0.2, high=0.2) -> torch.Tensor:
    """Loss of Dr. GRPO: no length divides it.

    Book: safety/verifiable_rewards
    """
    ratio = torch.exp(logp - old_logp)
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    return -(weights(mask, "constant") * gain).sum()


def dapo_loss(logp, old_logp, advantage, mask, low=0.2, high=0.28) -> torch.Tensor:
    """Loss of DAPO: a mean over tokens, and more room above than below.

    Book: safety/verifiable_rewards
    """
    ratio = torch.exp(logp - old_logp)
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    return -(weights(mask, "token") * gain).sum()


def gspo_loss(logp, old_logp, advantage, mask, low=0.05, high=0.05) -> torch.Tensor:
    """Loss of GSPO: one ratio a response, the geometric mean of its tokens' ratios.

    Book: safety/verifiable_rewards
    """
    moved = ((logp - old_logp) * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)  # (B, 1)
    ratio = torch.exp(moved)  # (eq-rlvr-gspo)
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    return -(weights(mask, "sequence") * gain).sum()


def cispo_loss(logp, old_logp, advantage, mask, low=1.0, high=0.2) -> torch.Tensor:
    """Loss of CISPO: the ratio is a weight without a gradient, cut off above, and no token is left out.

    Book: safety/verifiable_rewards
    """
    ratio = torch.exp(logp - old_logp).detach()
    gain = ratio.clamp(1 - low, 1 + high) * advantage * logp  # (eq-rlvr-cispo)
    return -(weights(mask, "token") * gain).sum()


def rloo_loss(logp, old_logp, advantage, mask, low=None, high=None) -> torch.Tensor:
    """Loss of RLOO: REINFORCE on whole responses, with no ratio to the policy that drew them.

    Book: safety/verifiable_rewards
    """
    return -(weights(mask, "sum") * advantage * logp).sum()


@dataclass(frozen=True)
class Method:
    """A member of the family: advantages, a loss, and whether groups without variance are redrawn."""

    advantages: Callable[[torch.Tensor], torch.Tensor]
    loss: Callable[..., torch.Tensor]
    redraw: bool = False


METHODS = {
    "GRPO": Method(standardised, grpo_loss),
    "RLOO": Method(leave_one_out, rloo_loss),
    "Dr. GRPO": Method(over_the_mean, dr_grpo_loss),
    "DAPO": Method(standardised, dapo_loss, redraw=True),
    "GSPO": Method(standardised, gspo_loss),
    "CISPO": Method(standardised, cispo_loss),
}


def cut_off(
    loss: Callable, logp: torch.Tensor, old_logp: torch.Tensor, advantage: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Tokens (B, T) of the responses that the clip of a loss has left without a gradient.

    Found from the loss itself, as each method clips otherwise: GSPO whole responses, CISPO and RLOO none.
    Tokens without an advantage have no gradient either; they are not counted.

    Book: safety/verifiable_rewards
    """
    logp = logp.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logp, old_logp, advantage, mask), logp)
    return mask & (advantage != 0) & (gradient == 0)


def kl_estimates(logp: torch.Tensor, ref_logp: torch.Tensor) -> dict[str, torch.Tensor]:
    """Schulman's three estimates of KL(policy || reference), token by token, for the policy's own samples.

    Book: safety/verifiable_rewards
    """
    behind = ref_logp - logp  # the logarithm of reference / policy; where both are 0, all three are
    return {
        "k1": -behind,
        "k2": behind**2 / 2,
        "k3": torch.exp(behind) - behind - 1,  # (eq-rlvr-k3)
    }


# -------------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of a training with verifiable rewards."""

    method: str = "GRPO"
    """a name in METHODS"""
    iterations: int = 50
    """batches of responses"""
    questions: int = 16
    """groups in a batch"""
    group: int = 8
    """responses in a group"""
    updates: int = 2
    """gradient steps on each batch"""
    lr: float = 2e-3
    """learning rate at the beginning; it falls linearly to 0"""
    beta: float = 0.0
    """weight of the KL term k3"""
    rounds: int = 3
    """how often a method that redraws may draw a batch"""
    temperature: float = 1.0
    """of the policy that responses are drawn from"""

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r}: give one of {', '.join(METHODS)}")
        if self.group < 2:
            raise ValueError(f"group={self.group}: a group of one has nobody to be compared with")
        if min(self.iterations, self.questions, self.updates, self.rounds) < 1 or self.beta < 0:
            raise ValueError("iterations, questions, updates and rounds are 1 or more, and beta >= 0")


def in_groups(questions: torch.Tensor, group: int) -> torch.Tensor:
    """Questions (Q, P), each ``group`` times in a row: (Q G, P).

    Book: safety/verifiable_rewards
    """
    return questions.repeat_interleave(group, dim=0)


def draw(
    policy: nn.Module,
    reward_of: Callable[[torch.Tensor], torch.Tensor],
    recipe: Recipe,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[Responses, torch.Tensor, int]:
    """Responses (B, ...) of a policy, their rewards (Q, G), and how many had to be drawn.

    A method that redraws takes the groups with variance of up to ``rounds`` batches; if they are too few,
    others fill up.

    Book: safety/verifiable_rewards
    """
    size, drawn, found = recipe.questions * recipe.group, 0, []
    for _ in range(recipe.rounds if METHODS[recipe.method].redraw else 1):
        asked = in_groups(clock_questions(recipe.questions, rng), recipe.group)
        said = generate(policy, asked, generator, ANSWERED, recipe.temperature)
        rewards = reward_of(said.tokens).float().view(recipe.questions, recipe.group)
        found.append((said.tokens, said.logp, rewards))
        drawn += size
        if sum(int((r.std(dim=1) > 0).sum()) for _, _, r in found) >= recipe.questions:
            break
    tokens, logp, rewards = (torch.cat(parts) for parts in zip(*found, strict=True))
    best = (rewards.std(dim=1) == 0).int().argsort(stable=True)[: recipe.questions]  # varied groups first
    rows = (best[:, None] * recipe.group + torch.arange(recipe.group)).flatten()
    return Responses(tokens[rows], logp[rows], response_mask(tokens[rows], ASKED)), rewards[best], drawn


def reinforce(
    policy: nn.Module,
    reward_of: Callable[[torch.Tensor], torch.Tensor],
    recipe: Recipe,
    seed: int,
    callback: Callable[[int, Responses], None] | None = None,
) -> dict[str, np.ndarray]:
    """Train a policy in place on rewards that a program gives; the log, an array (iterations,) for each name.

    Args:
        reward_of: responses (B, P + T) to rewards (B,). callback: gets each batch before it is learned from.

    The log has what trainers log: reward, the share of groups without variance, loss at the first and at the
    last of the gradient steps, gradient norm, the share of tokens that the method's clip has cut off after
    the last step, entropy, KL to where it began (k1 and k3), length of right and wrong responses; and what
    they cannot: the share that is ``right`` or ``sound``.

    Book: safety/verifiable_rewards
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    method, logs = METHODS[recipe.method], []
    reference = type(policy)(len(LEXICON), ASKED + ANSWERED)
    reference.load_state_dict(policy.state_dict())
    optimizer, step = adam(policy.parameters(), recipe.lr, recipe.iterations * recipe.updates)
    for i in range(recipe.iterations):
        said, rewards, drawn = draw(policy, reward_of, recipe, rng, generator)
        if callback:
            callback(i, said)
        tokens, mask = said.tokens, said.mask
        advantage = method.advantages(rewards).flatten()[:, None]  # (B, 1): the same for all tokens
        with torch.no_grad():
            ref_logp = log_probs(reference, tokens, ASKED)  # (B, T)
        log = look(policy, said, ref_logp, rewards) | {"drawn": drawn}
        for k in range(recipe.updates):
            logp = log_probs(policy, tokens, ASKED)
            loss = method.loss(logp, said.logp, advantage, mask)
            if recipe.beta:
                k3 = kl_estimates(logp, ref_logp)["k3"]
                loss = loss + recipe.beta * (weights(mask, "sequence") * k3).sum()
            optimizer.zero_grad()
            loss.backward()
            if k == 0:
                log["first_loss"] = loss.item()
                log["gradient"] = nn.utils.get_total_norm([p.grad for p in policy.parameters()]).item()
            log["last_loss"] = loss.item()
            step()
        with torch.no_grad():
            logp = log_probs(policy, tokens, ASKED)
        lost = cut_off(method.loss, logp, said.logp, advantage, mask)
        log["clipped"] = lost[mask].float().mean().item()
        logs.append(log)
    return {name: np.array([log[name] for log in logs]) for name in logs[0]}


@torch.no_grad()
def look(
    policy: nn.Module, said: Responses, ref_logp: torch.Tensor, rewards: torch.Tensor
) -> dict[str, float]:
    """What a batch of responses says of the policy that drew it (see ``reinforce``).

    Book: safety/verifiable_rewards
    """
    marks, mask, length = mark(said.tokens), said.mask, said.mask.sum(dim=1).float()
    dist = response_logits(policy, said.tokens, ASKED).log_softmax(dim=-1)  # (B, T, V)
    logp = dist.gather(-1, said.tokens[:, ASKED:, None]).squeeze(-1).where(mask, 0.0)
    found = {name: getattr(marks, name).float().mean().item() for name in ("right", "sound", "star")}
    kl = kl_estimates(logp, ref_logp)
    return found | {
        "reward": rewards.mean().item(),
        "flat": (rewards.std(dim=1) == 0).float().mean().item(),
        "entropy": -(dist.exp() * dist).sum(dim=-1)[mask].mean().item(),
        "k1": (kl["k1"] * mask).sum(dim=1).mean().item(),
        "k3": (kl["k3"] * mask).sum(dim=1).mean().item(),
        "first_ratio": torch.exp(logp - said.logp)[mask].sub(1).abs().max().item(),
        "length": length.mean().item(),
        "long_right": length[marks.right].mean().item(),
        "long_wrong": length[~marks.right].mean().item(),
    }
