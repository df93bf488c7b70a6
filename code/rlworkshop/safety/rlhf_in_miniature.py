"""RLHF in miniature: a language, a transformer, and four ways to train it on what people prefer.

Supervised fine-tuning, a Bradley-Terry reward model, PPO with a KL penalty (Ziegler et al., 2019; Ouyang et
al., 2022) and DPO (Rafailov et al., 2023), of a language model so small that a training takes seconds, in a
language so small that a program can say how good an answer is.

Tensors: ``B`` responses, ``P`` tokens of a prompt, ``T`` of a response at most, ``V`` words. A batch of
tokens is (B, P + T): prompts have one length, and what follows a response's last token is ``PAD``.

Book: safety/rlhf_in_miniature
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# --------------------------------------------------------------------------------------- the language

PAD, STOP = 0, 1
FILLERS = ("well", "really", "indeed")
TOPICS = {  # of each: a plain verb, a formal one, and what is true of each animal
    "food": ("eats", "consumes", ("fish", "bones", "honey", "flies")),
    "home": ("lives", "dwells", ("indoors", "outdoors", "underground", "upstream")),
    "colour": ("is", "appears", ("black", "brown", "green", "white")),
}
ANIMALS = ("cat", "dog", "bear", "frog")
PLAIN, FORMAL, THINGS = (tuple(t[i] for t in TOPICS.values()) for i in range(3))
WORDS = ("_", ".", "?", "the", *FILLERS, *ANIMALS, *TOPICS, *PLAIN, *FORMAL, *itertools.chain(*THINGS))
TOKEN = {word: token for token, word in enumerate(WORDS)}
PROMPT, MAX_NEW = 3, 12  # words of a prompt, words of a response at the most, its full stop included
KINDS = {".": 5, "the": 1, **dict.fromkeys(FILLERS, 6), **dict.fromkeys(ANIMALS, 2)}
KINDS |= {**dict.fromkeys(PLAIN + FORMAL, 3), **dict.fromkeys(itertools.chain(*THINGS), 4)}
KIND = np.array([KINDS.get(word, 0) for word in WORDS])  # 0: never in a sentence
NEXT = np.array(  # the grammar: place in a sentence (rows), kind of the next word (columns) -> place; 6: none
    [
        [6, 1, 2, 6, 6, 6, 0],  # nothing yet; a filler may stand anywhere and changes nothing
        [6, 6, 2, 6, 6, 6, 1],  # after "the"
        [6, 6, 6, 3, 6, 6, 2],  # after the animal
        [6, 6, 6, 6, 4, 6, 3],  # after the verb
        [6, 6, 6, 6, 6, 5, 4],  # after the thing
        [6, 6, 6, 6, 6, 6, 6],  # after the full stop
        [6, 6, 6, 6, 6, 6, 6],
    ]
)


def fact(animal: str, topic: str) -> str:
    """What is true of an animal: ``fact("cat", "food")`` is ``"fish"``.

    Book: safety/rlhf_in_miniature
    """
    return TOPICS[topic][2][ANIMALS.index(animal)]


FACT = {(TOKEN[a], TOKEN[t]): TOKEN[fact(a, t)] for a in ANIMALS for t in TOPICS}
VERBS = {TOKEN[t]: tuple(TOKEN[v] for v in TOPICS[t][:2]) for t in TOPICS}


def prompts(n: int, rng: np.random.Generator, topics: tuple[str, ...] = ("food", "home")) -> torch.Tensor:
    """Questions (n, P) about random animals: ``cat food ?``.

    Book: safety/rlhf_in_miniature
    """
    animal, topic = rng.choice([TOKEN[a] for a in ANIMALS], n), rng.choice([TOKEN[t] for t in topics], n)
    return torch.as_tensor(np.stack([animal, topic, np.full(n, TOKEN["?"])], axis=1))


def text(tokens: torch.Tensor) -> str:
    """Tokens (L,) as words, without padding.

    Book: safety/rlhf_in_miniature
    """
    return " ".join(WORDS[t] for t in tokens if t != PAD)


@dataclass(frozen=True)
class Score:
    """What a program says of responses; each field is (B,).

    Attributes:
        gold: -1 for what is no sentence; else 1 if it answers the question and 0 if not, less 0.1 a filler.
        sentence, right: whether it is a sentence that ends; whether it also answers the question.
        words: how many there are, the full stop not counted.

    Book: safety/rlhf_in_miniature
    """

    gold: torch.Tensor
    sentence: torch.Tensor
    right: torch.Tensor
    words: torch.Tensor


def score(tokens: torch.Tensor) -> Score:
    """The gold score of prompts with responses (B, P + T).

    Book: safety/rlhf_in_miniature
    """
    array = tokens.numpy()
    response = array[:, PROMPT:]
    place = np.zeros(len(array), int)
    for t in range(response.shape[1]):
        place = np.where(response[:, t] == PAD, place, NEXT[place, KIND[response[:, t]]])
    sentence = place == 5
    fillers = (KIND[response] == 6).sum(axis=1)
    wanted = np.array([[a, *VERBS[q], FACT[a, q]] for a, q in array[:, :2]])  # animal, two verbs, thing
    said = [(response == wanted[:, [i]]).any(axis=1) for i in range(4)]
    right = sentence & said[0] & (said[1] | said[2]) & said[3]
    gold = np.where(sentence, right - 0.1 * fillers, -1.0)
    words = (response > STOP).sum(axis=1)
    return Score(*(torch.as_tensor(x) for x in (gold.astype(np.float32), sentence, right, words)))


def demonstrations(
    questions: torch.Tensor,
    rng: np.random.Generator,
    right: float = 0.6,
    filler: float = 0.2,
    slip: float = 0.1,
    formal: float = 0.1,
) -> torch.Tensor:
    """Answers as people write them, with their questions: (B, P + T).

    Args:
        right: how often they know. filler: how likely a filler is before each word, and once more after it.
        slip: how often two words change places. formal: how often the formal verb is chosen.

    Book: safety/rlhf_in_miniature
    """
    rows = torch.zeros(len(questions), PROMPT + MAX_NEW, dtype=torch.long)
    rows[:, :PROMPT] = questions
    for row in rows:
        animal, topic = WORDS[row[0]], WORDS[row[1]]
        thing = fact(animal, topic) if rng.random() < right else rng.choice(TOPICS[topic][2])
        verb = TOPICS[topic][int(rng.random() < formal)]
        core = ["the", animal, verb, thing] if rng.random() < 0.5 else [animal, verb, thing]
        if rng.random() < slip:
            i = rng.integers(len(core) - 1)
            core[i], core[i + 1] = core[i + 1], core[i]
        said = []
        for word in [*core, "."]:
            while rng.random() < filler and len(said) + len(core) < MAX_NEW - 1:
                said.append(FILLERS[rng.integers(3)])
            said.append(word)
        row[PROMPT : PROMPT + len(said)] = torch.tensor([TOKEN[w] for w in said])
    return rows


# ----------------------------------------------------------------------------------------- the model


class Transformer(nn.Module):
    """A transformer of one block that reads tokens (B, L) from left to right: hidden states (B, L, width).

    Book: safety/rlhf_in_miniature
    """

    def __init__(self, vocabulary: int, context: int, width: int, heads: int = 2):
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.before, self.after, self.last = (nn.LayerNorm(width) for _ in range(3))
        self.attend, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.heads = heads

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Hidden states (B, L, width): that of a token has seen the tokens up to it, and none after."""
        b, length = tokens.shape
        x = self.token(tokens) + self.place.weight[:length]  # (B, L, width)
        q, k, v = self.attend(self.before(x)).view(b, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, heads, L, width / heads)
        x = x + self.mix(seen.transpose(1, 2).reshape(b, length, -1))
        return self.last(x + self.think(self.after(x)))


class LanguageModel(Transformer):
    """Logits (B, L, V) of the token that comes next, after each of the tokens (B, L); never of ``PAD``.

    Book: safety/rlhf_in_miniature
    """

    def __init__(self, vocabulary: int = len(WORDS), context: int = PROMPT + MAX_NEW, width: int = 32):
        super().__init__(vocabulary, context, width)
        self.head = nn.Linear(width, vocabulary)
        self.register_buffer("never", torch.where(torch.arange(vocabulary) == PAD, -1e9, 0.0))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (B, L, V) after each of the tokens (B, L)."""
        return self.head(self.read(tokens)) + self.never


class Scorer(Transformer):
    """One number (B, L) for each prefix of the tokens (B, L): a reward model reads the last, a critic all.

    Book: safety/rlhf_in_miniature
    """

    def __init__(self, vocabulary: int = len(WORDS), context: int = PROMPT + MAX_NEW, width: int = 32):
        super().__init__(vocabulary, context, width)
        self.head = nn.Linear(width, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """One number (B, L) after each of the tokens (B, L)."""
        return self.head(self.read(tokens)).squeeze(-1)


def scorer_from(model: LanguageModel) -> Scorer:
    """A scorer that reads as ``model`` does: its body is copied, its head is new.

    Book: safety/rlhf_in_miniature
    """
    vocabulary, width = model.token.weight.shape
    scorer = Scorer(vocabulary, len(model.place.weight), width)
    copied = {name: value for name, value in model.state_dict().items() if name in scorer.state_dict()}
    scorer.load_state_dict({**scorer.state_dict(), **{k: v for k, v in copied.items() if "head" not in k}})
    return scorer


def response_mask(tokens: torch.Tensor, prompt: int = PROMPT) -> torch.Tensor:
    """Which of the tokens after the prompt belong to the response (B, T), its ``STOP`` included.

    Book: safety/rlhf_in_miniature
    """
    return tokens[:, prompt:] != PAD


@dataclass(frozen=True)
class Responses:
    """What a model has said.

    Attributes:
        tokens: prompts and responses (B, P + T), ``PAD`` after the end.
        logp: log-probability of each token of the responses (B, T), 0 after the end.
        mask: which tokens belong to the responses (B, T).

    Book: safety/rlhf_in_miniature
    """

    tokens: torch.Tensor
    logp: torch.Tensor
    mask: torch.Tensor


@torch.no_grad()
def generate(
    model: nn.Module,
    questions: torch.Tensor,
    generator: torch.Generator,
    max_new: int = MAX_NEW,
    temperature: float = 1.0,
) -> Responses:
    """Sample a response to each of the prompts (B, P), token by token, until ``STOP`` or ``max_new`` tokens.

    Args:
        model: tokens (B, L) to logits (B, L, V), of which that of ``PAD`` is never likely.
        temperature: divides the logits; ``logp`` is that of the distribution that was sampled from.

    Raises:
        ValueError: prompts are padded. They have one length here.

    Book: safety/rlhf_in_miniature
    """
    b, prompt = questions.shape
    if (questions == PAD).any():
        raise ValueError("a prompt contains PAD: prompts have one length here; group them by length")
    tokens = torch.full((b, prompt + max_new), PAD)
    tokens[:, :prompt] = questions
    logp, going = torch.zeros(b, max_new), torch.ones(b, dtype=torch.bool)
    for t in range(max_new):
        logits = model(tokens[:, : prompt + t])[:, -1] / temperature  # (B, V): the state is the prefix
        log_probs = logits.log_softmax(dim=-1)
        action = torch.multinomial(log_probs.exp(), 1, generator=generator)  # (B, 1): the next token
        logp[:, t] = torch.where(going, log_probs.gather(1, action).squeeze(1), 0.0)
        tokens[:, prompt + t] = torch.where(going, action.squeeze(1), PAD)
        going &= tokens[:, prompt + t] != STOP
        if not going.any():
            break
    return Responses(tokens, logp, response_mask(tokens, prompt))


def response_logits(model: nn.Module, tokens: torch.Tensor, prompt: int = PROMPT) -> torch.Tensor:
    """Logits (B, T, V) from which each token of the responses was drawn.

    The token at place i is predicted at place i - 1: the last token predicts nothing that is there.

    Book: safety/rlhf_in_miniature
    """
    return model(tokens[:, :-1])[:, prompt - 1 :]


def log_probs(model: nn.Module, tokens: torch.Tensor, prompt: int = PROMPT) -> torch.Tensor:
    """Log-probability (B, T) of each token of the responses, 0 after the end; with its gradient.

    Book: safety/rlhf_in_miniature
    """
    logp = response_logits(model, tokens, prompt).log_softmax(dim=-1)  # (B, T, V)
    logp = logp.gather(-1, tokens[:, prompt:, None]).squeeze(-1)  # (eq-rlhf-autoregressive)
    return torch.where(response_mask(tokens, prompt), logp, 0.0)


@torch.no_grad()
def kl(model: nn.Module, reference: nn.Module, tokens: torch.Tensor, prompt: int = PROMPT) -> torch.Tensor:
    """KL(model || reference) of responses (B,), in nats; ``tokens`` (B, P + T) are samples of *model*.

    At each prefix that was sampled the sum over all next tokens is exact, so this scatters less than
    logarithms of ratios of the sampled tokens. Its mean is the KL divergence of whole responses.

    Book: safety/rlhf_in_miniature
    """
    ours, theirs = (response_logits(m, tokens, prompt).log_softmax(dim=-1) for m in (model, reference))
    per_token = (ours.exp() * (ours - theirs)).sum(dim=-1)  # (B, T)
    return torch.where(response_mask(tokens, prompt), per_token, 0.0).sum(dim=1)


# ------------------------------------------------------------------------------ supervised fine-tuning


def batches(n: int, steps: int, batch: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """``steps`` sets of ``batch`` rows out of ``n``, drawn with replacement.

    Book: safety/rlhf_in_miniature
    """
    for _ in range(steps):
        yield torch.randint(n, (batch,), generator=generator)


def adam(parameters: Iterator[nn.Parameter], lr: float, steps: int) -> tuple[torch.optim.Adam, Callable]:
    """Adam whose learning rate falls to 0 over ``steps`` steps, and a function that does one of them.

    A step clips the gradient of all parameters together to a norm of 1.

    Book: safety/rlhf_in_miniature
    """
    optimizer = torch.optim.Adam(parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    groups = [p for group in optimizer.param_groups for p in group["params"]]

    def step() -> None:
        nn.utils.clip_grad_norm_(groups, 1.0)
        optimizer.step()
        schedule.step()

    return optimizer, step


def sft(
    model: nn.Module,
    tokens: torch.Tensor,
    generator: torch.Generator,
    steps: int = 500,
    batch: int = 64,
    lr: float = 1e-2,
    prompt: int = PROMPT,
    callback: Callable[[int], None] | None = None,
) -> None:
    """Supervised fine-tuning, in place: maximise the likelihood of the responses of ``tokens`` (N, P + T).

    The loss is a mean over tokens of responses: not over prompts, which nobody has to learn to ask, nor
    over padding. ``callback`` gets the number of each step before it is done.

    Book: safety/rlhf_in_miniature
    """
    optimizer, step = adam(model.parameters(), lr, steps)
    for i, rows in enumerate(batches(len(tokens), steps, batch, generator)):
        if callback:
            callback(i)
        chosen = tokens[rows]
        loss = -log_probs(model, chosen, prompt).sum() / response_mask(chosen, prompt).sum()  # (eq-sft)
        optimizer.zero_grad()
        loss.backward()
        step()


# ---------------------------------------------------------------------------------- the reward model


def prefers_first(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Bradley-Terry: how likely the first of two responses is preferred (B,), given the utilities of both.

    Book: safety/rlhf_in_miniature
    """
    return torch.sigmoid(first - second)  # (eq-rlhf-bradley-terry)


def label(
    first: torch.Tensor,
    second: torch.Tensor,
    utility: Callable[[torch.Tensor], torch.Tensor],
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare responses pairwise, noisily: the chosen (B, P + T) and the rejected.

    Book: safety/rlhf_in_miniature
    """
    probability = prefers_first(utility(first), utility(second))  # (B,)
    better = (torch.rand(len(first), generator=generator) < probability)[:, None]
    return torch.where(better, first, second), torch.where(better, second, first)


def reward(scorer: nn.Module, tokens: torch.Tensor, prompt: int = PROMPT) -> torch.Tensor:
    """What a reward model says of responses (B,): its number at their last token.

    Book: safety/rlhf_in_miniature
    """
    last = prompt - 1 + response_mask(tokens, prompt).sum(dim=1, keepdim=True)  # (B, 1)
    return scorer(tokens).gather(1, last).squeeze(1)


def preference_loss(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """Negative mean log-likelihood of comparisons, given the rewards (B,) of both responses.

    Book: safety/rlhf_in_miniature
    """
    return -F.logsigmoid(chosen - rejected).mean()  # (eq-reward-loss)


def fit_reward(
    scorer: nn.Module,
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    generator: torch.Generator,
    steps: int = 400,
    batch: int = 64,
    lr: float = 5e-3,
    prompt: int = PROMPT,
) -> None:
    """Fit a reward model to comparisons (N, P + T), in place.

    Book: safety/rlhf_in_miniature
    """
    optimizer, step = adam(scorer.parameters(), lr, steps)
    for rows in batches(len(chosen), steps, batch, generator):
        both = reward(scorer, torch.cat([chosen[rows], rejected[rows]]), prompt)  # (2 B,)
        optimizer.zero_grad()
        preference_loss(*both.chunk(2)).backward()
        step()


# ------------------------------------------------------------------------------------------------ PPO


def token_rewards(
    score: torch.Tensor, logp: torch.Tensor, ref_logp: torch.Tensor, mask: torch.Tensor, beta: float
) -> torch.Tensor:
    """Rewards (B, T) of the MDP of tokens: a KL penalty at each, and the ``score`` (B,) at the last one.

    ``logp`` and ``ref_logp`` (B, T) are log-probabilities of the *policy's* samples, under it and under the
    reference; what lies after the end is 0.

    Book: safety/rlhf_in_miniature
    """
    last = mask.sum(dim=1, keepdim=True) - 1  # (B, 1)
    rewards = -beta * (logp - ref_logp) * mask
    return rewards.scatter_add(1, last, score[:, None])  # (eq-token-rewards)


def advantages(rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, lam: float) -> torch.Tensor:
    """Generalised advantage estimates (B, T) with a discount factor of 1; 0 after the end.

    ``values`` (B, T) are those of the prefixes *before* each token. A response that is over is worth nothing
    more, also one that was cut off.

    Book: safety/rlhf_in_miniature
    """
    values = values * mask
    advantage, found = torch.zeros(len(rewards)), []
    for t in reversed(range(rewards.shape[1])):
        after = values[:, t + 1] if t + 1 < rewards.shape[1] else torch.zeros(len(rewards))
        advantage = (rewards[:, t] + after - values[:, t] + lam * advantage) * mask[:, t]
        found.append(advantage)
    return torch.stack(found[::-1], dim=1)


def clipped_loss(
    logp: torch.Tensor, old_logp: torch.Tensor, advantage: torch.Tensor, mask: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """PPO's loss of the policy, a mean over the tokens of the responses; all are (B, T).

    Book: safety/rlhf_in_miniature
    """
    ratio = torch.exp(logp - old_logp)
    kept = torch.minimum(ratio * advantage, ratio.clamp(1 - clip_range, 1 + clip_range) * advantage)
    return -(kept * mask).sum() / mask.sum()  # (eq-rlhf-clip)


@dataclass(frozen=True)
class PPO:
    """Hyper-parameters of PPO on responses.

    Raises:
        ValueError: a setting makes no sense; the message says which.

    Book: safety/rlhf_in_miniature
    """

    beta: float = 0.1
    """weight of the KL penalty"""
    iterations: int = 60
    """batches of responses"""
    batch: int = 128
    """responses in a batch"""
    epochs: int = 4
    """how often each response is learned from"""
    minibatches: int = 1
    """parts of a batch, each of which is a step of both networks"""
    lr: float = 3e-3
    """learning rate of both networks at the beginning; it falls linearly to 0"""
    clip_range: float = 0.2
    """how far the ratio of probabilities is paid to move from 1"""
    gae_lambda: float = 0.95
    """λ of GAE"""

    def __post_init__(self):
        if self.beta < 0:
            raise ValueError(f"beta={self.beta} would reward the policy for leaving the reference")
        parts = (self.iterations, self.batch, self.epochs, self.minibatches)
        if min(parts) < 1 or self.minibatches > self.batch:
            raise ValueError("iterations, batch, epochs, minibatches are 1 or more, and batch >= minibatches")


def ppo(
    policy: nn.Module,
    reference: nn.Module,
    critic: nn.Module,
    reward_of: Callable[[torch.Tensor], torch.Tensor],
    ask: Callable[[int], torch.Tensor],
    config: PPO,
    generator: torch.Generator,
    max_new: int = MAX_NEW,
    callback: Callable[[int, Responses], None] | None = None,
) -> None:
    """Maximise E[reward] - beta KL(policy || reference) by PPO, in place.

    Args:
        reference: what the policy shall stay close to, usually a copy of it.
        critic: values of prefixes, often a copy of the reward model; trained as well.
        reward_of: responses (B, P + T) to rewards (B,). ask: a number of prompts (n, P).
        callback: gets each batch of responses before it is learned from.

    Policy and critic share an optimiser, and so the clip of the gradient: a large error of the critic's
    makes the policy's step smaller. Adam takes much of that back, as it divides by the gradient's size.

    Book: safety/rlhf_in_miniature
    """
    steps = config.iterations * config.epochs * config.minibatches
    optimizer, step = adam([*policy.parameters(), *critic.parameters()], config.lr, steps)
    for i in range(config.iterations):
        said = generate(policy, ask(config.batch), generator, max_new)
        if callback:
            callback(i, said)
        tokens, mask, prompt = said.tokens, said.mask, said.tokens.shape[1] - max_new
        with torch.no_grad():
            ref_logp = log_probs(reference, tokens, prompt)  # (B, T)
            rewards = token_rewards(reward_of(tokens), said.logp, ref_logp, mask, config.beta)
            values = critic(tokens[:, :-1])[:, prompt - 1 :]  # (B, T): of the prefix before each token
            advantage = advantages(rewards, values, mask, config.gae_lambda)
            targets = advantage + values
            advantage = (advantage - advantage[mask].mean()) / (advantage[mask].std() + 1e-8)
        for _ in range(config.epochs):
            for rows in torch.randperm(len(tokens), generator=generator).chunk(config.minibatches):
                logp = log_probs(policy, tokens[rows], prompt)
                loss = clipped_loss(logp, said.logp[rows], advantage[rows], mask[rows], config.clip_range)
                found = critic(tokens[rows, :-1])[:, prompt - 1 :]
                loss = loss + F.mse_loss(found[mask[rows]], targets[rows][mask[rows]])
                optimizer.zero_grad()
                loss.backward()
                step()


# ------------------------------------------------------------------------------------------------ DPO


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """Loss of direct preference optimisation, from log-probabilities (B,) of whole responses.

    Book: safety/rlhf_in_miniature
    """
    implicit = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))  # (B,): a difference of rewards
    return -F.logsigmoid(implicit).mean()  # (eq-dpo)


def dpo(
    policy: nn.Module,
    reference: nn.Module,
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    generator: torch.Generator,
    beta: float = 0.1,
    steps: int = 300,
    batch: int = 64,
    lr: float = 2e-3,
    prompt: int = PROMPT,
    callback: Callable[[int], None] | None = None,
) -> None:
    """Fit a policy to comparisons (N, P + T), in place, without a reward model.

    Book: safety/rlhf_in_miniature
    """
    optimizer, step = adam(policy.parameters(), lr, steps)
    with torch.no_grad():
        ref = [log_probs(reference, tokens, prompt).sum(dim=1) for tokens in (chosen, rejected)]  # (N,) each
    for i, rows in enumerate(batches(len(chosen), steps, batch, generator)):
        if callback:
            callback(i)
        logp = log_probs(policy, torch.cat([chosen[rows], rejected[rows]]), prompt).sum(dim=1)  # (2 B,)
        loss = dpo_loss(*logp.chunk(2), ref[0][rows], ref[1][rows], beta)
        optimizer.zero_grad()
        loss.backward()
        step()
