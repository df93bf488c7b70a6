"""A DQN as somebody else might write it: one class, a deque, everything on torch tensors."""

import collections
import random

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F


class ReplayMemory:
    """A deque of tuples."""

    def __init__(self, capacity):
        self.memory = collections.deque(maxlen=capacity)

    def push(self, state, action, reward, next_state, done):
        self.memory.append((np.array(state), action, reward, np.array(next_state), done))

    def sample(self, batch_size):
        state, action, reward, next_state, done = zip(*random.sample(self.memory, batch_size), strict=True)
        return (
            torch.tensor(np.stack(state)),
            torch.tensor(action),
            torch.tensor(reward, dtype=torch.float32),
            torch.tensor(np.stack(next_state)),
            torch.tensor(done, dtype=torch.float32),
        )


def td_loss(policy_net, target_net, batch, gamma):
    state, action, reward, next_state, done = batch
    q_sa = policy_net(state).gather(1, action.unsqueeze(1)).squeeze(1)
    with torch.no_grad():
        next_q = target_net(next_state).max(1)[0]
        expected = reward + gamma * next_q * (1 - done)
    return F.smooth_l1_loss(q_sa, expected)


class DQNAgent:
    def __init__(self, env, gamma, lr=1e-2, batch_size=32, capacity=2000, sync_every=20):
        obs_size, n_actions = env.observation_space.shape[0], env.action_space.n

        def net():
            hidden = torch.nn.Linear(obs_size, 32)
            return torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Linear(32, n_actions))

        self.policy_net, self.target_net = net(), net()
        self.target_net.load_state_dict(self.policy_net.state_dict())
        self.optimizer = torch.optim.Adam(self.policy_net.parameters(), lr=lr)
        self.memory = ReplayMemory(capacity)
        self.env, self.gamma, self.batch_size, self.sync_every = env, gamma, batch_size, sync_every
        self.n_updates = 0

    @staticmethod
    def epsilon(t, total):
        return max(0.05, 1.0 - 0.95 * t / (0.5 * total))

    def select_action(self, state, epsilon, net=None):
        q_values = self.q_values(state, net)
        if random.random() < epsilon:
            return random.randrange(len(q_values))
        return int(q_values.argmax())

    @torch.no_grad()
    def q_values(self, state, net=None):
        return (net or self.policy_net)(torch.as_tensor(state).unsqueeze(0))[0].numpy()

    def learn(self):
        loss = td_loss(self.policy_net, self.target_net, self.memory.sample(self.batch_size), self.gamma)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.n_updates += 1
        if self.n_updates % self.sync_every == 0:
            self.target_net.load_state_dict(self.policy_net.state_dict())

    def run(self, total, seed, warmup=100, every=2):
        state, _ = self.env.reset(seed=seed)
        for t in range(total):
            action = self.select_action(state, self.epsilon(t, total))
            next_state, reward, terminated, truncated, _ = self.env.step(action)
            self.memory.push(state, action, reward, next_state, terminated)
            state = next_state
            if terminated or truncated:
                state, _ = self.env.reset()
            if t >= warmup and t % every == 0:
                self.learn()
        return self

    def act(self, state):
        return self.select_action(state, epsilon=0.0)


if __name__ == "__main__":
    env = gym.make("CartPole-v1")
    DQNAgent(env, gamma=0.99).run(20_000, seed=0)


# ---- the adapter: what `rlworkshop conform` asks for, in terms of the above

PROBE_STEPS = 800


def loss(q, target_q, batch, gamma):
    columns = (batch.obs, batch.action, batch.reward, batch.next_obs, batch.terminated.float())
    return td_loss(q, target_q, columns, gamma)


def act(q, obs, epsilon):
    return DQNAgent.select_action(Bare(), obs, epsilon, q)


class Bare:
    q_values = DQNAgent.q_values


epsilon = DQNAgent.epsilon


def make_replay(capacity, obs_size):
    memory = ReplayMemory(capacity)
    memory.add = memory.push
    return memory


def train(env, total_steps, seed, gamma):
    random.seed(seed)
    torch.manual_seed(seed)
    agent = DQNAgent(env, gamma).run(total_steps, seed)
    agent.values = agent.q_values
    return agent
