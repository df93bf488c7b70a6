"""A PPO as somebody else might write it: one environment, lists of rows, NumPy for the advantages."""

import numpy as np
import torch
from torch.distributions import Categorical


def compute_gae(rew, val, next_val, term, trunc, gamma, lam):
    adv, last = np.zeros_like(rew), np.zeros_like(rew[0])
    for i in range(len(rew) - 1, -1, -1):
        delta = rew[i] + gamma * next_val[i] * (1.0 - term[i]) - val[i]
        nonfinal = 1.0 - np.maximum(term[i], trunc[i])
        last = delta + gamma * lam * nonfinal * last
        adv[i] = last
    return adv


def standardize(x):
    if x.numel() > 1:
        x = (x - x.mean()) / (x.std() + 1e-8)
    return x


def surrogate(new_logp, old_logp, adv, eps):
    ratio = (new_logp - old_logp).exp()
    return -torch.minimum(ratio * adv, ratio.clamp(1 - eps, 1 + eps) * adv).mean()


def critic_loss(critic, obs, ret):
    return 0.5 * ((critic(obs).squeeze(-1) - ret) ** 2).mean()


class PPO:
    def __init__(self, env, gamma, lr=1e-2, horizon=128, epochs=4, minibatch=64, lam=0.9, eps=0.2):
        n_in, n_out = env.observation_space.shape[0], env.action_space.n

        def mlp(n):
            return torch.nn.Sequential(torch.nn.Linear(n_in, 32), torch.nn.Tanh(), torch.nn.Linear(32, n))

        self.env, self.gamma, self.horizon, self.epochs, self.minibatch = (
            env,
            gamma,
            horizon,
            epochs,
            minibatch,
        )
        self.lam, self.eps, self.actor, self.critic = lam, eps, mlp(n_out), mlp(1)
        self.opt = torch.optim.Adam([*self.actor.parameters(), *self.critic.parameters()], lr=lr)

    @torch.no_grad()
    def rollout(self, obs):
        rows = []
        for _ in range(self.horizon):
            dist = Categorical(logits=self.actor(torch.as_tensor(obs)))
            action = dist.sample()
            nxt, rew, term, trunc, _ = self.env.step(action.item())
            rows.append((obs, action.item(), dist.log_prob(action).item(), rew, term, trunc, nxt))
            obs = self.env.reset()[0] if term or trunc else nxt
        o, a, lp, r, te, tr, n = (np.array(c) for c in zip(*rows, strict=True))
        val, next_val = (self.critic(torch.as_tensor(x)).squeeze(-1).numpy() for x in (o, n))
        cols = (r, val, next_val, te.astype(float), tr.astype(float))
        adv = compute_gae(*(c.astype(float)[:, None] for c in cols), self.gamma, self.lam)[:, 0]
        data = [torch.as_tensor(o), torch.as_tensor(a)]
        data += [torch.tensor(x, dtype=torch.float32) for x in (lp, adv, adv + val)]
        return obs, data

    def update(self, data):
        for _ in range(self.epochs):
            for idx in torch.randperm(self.horizon).split(self.minibatch):
                o, a, lp, adv, ret = (x[idx] for x in data)
                dist = Categorical(logits=self.actor(o))
                objective = surrogate(dist.log_prob(a), lp, standardize(adv), self.eps)
                total = objective + critic_loss(self.critic, o, ret)
                self.opt.zero_grad()
                total.backward()
                torch.nn.utils.clip_grad_norm_(self.actor.parameters(), 0.5)
                self.opt.step()

    def run(self, total, seed):
        obs, _ = self.env.reset(seed=seed)
        for _ in range(total // self.horizon):
            obs, data = self.rollout(obs)
            self.update(data)
        return self

    @torch.no_grad()
    def act(self, obs):
        return int(self.actor(torch.as_tensor(obs)).argmax())

    @torch.no_grad()
    def value(self, obs):
        return self.critic(torch.as_tensor(obs)).item()


# ---- the adapter

PROBE_STEPS = 2048


def gae(rewards, values, next_values, terminated, truncated, gamma, lam):
    ends = terminated.astype(float), truncated.astype(float)
    return compute_gae(rewards, values, next_values, *ends, gamma, lam)


normalize, policy_loss, value_loss = standardize, surrogate, critic_loss


def train(env, total_steps, seed, gamma):
    torch.manual_seed(seed)
    return PPO(env, gamma).run(total_steps, seed)
