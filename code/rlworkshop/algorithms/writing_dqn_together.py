"""DQN in one file, as it grows over eight stages; imported, it is the finished agent.

A comment ``# stage: 4`` says from which stage on the file holds its line, or what follows a comment that has
a line to itself; with ``only``, the next stage takes it out again. Run as it is, this file shows what each
stage has to show, one after the other. ``check.Stage`` derives the others from it.

Book: algorithms/writing_dqn_together
"""

import copy  # stage: 5

import gymnasium as gym
import numpy as np
import torch  # stage: 2

# stage: 3
SCALE = torch.tensor([1.0, 1.0, 10.0, 1.0])  # the angle is ten times smaller
# stage: 4
GAMMA = 0.99  # what a reward is worth one step later
# stage: 8
ROUND = 128  # steps of play between two bursts of learning
UPDATES = 64  # gradient steps in a burst
BATCH = 128  # transitions that a gradient step learns from
LR = 1e-3  # learning rate
JUDGE = 4 * ROUND  # steps of play between two evaluations


# stage: 1
def play(env, act, seed=None):
    """Play one episode, each action chosen by act(obs); return the sum of its rewards."""
    obs, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        total += reward
        over = terminated or truncated
    return total


# stage: 2
class Replay:
    """The last so many transitions, in arrays."""

    def __init__(self, capacity, obs_size):
        """Make room for so many transitions; an observation has obs_size numbers."""
        self.capacity, self.added = capacity, 0
        self.obs = np.zeros((capacity, obs_size), np.float32)
        self.action = np.zeros(capacity, np.int64)
        self.reward = np.zeros(capacity, np.float32)
        self.next_obs = np.zeros((capacity, obs_size), np.float32)
        self.terminated = np.zeros(capacity, bool)

    def add(self, obs, action, reward, next_obs, terminated):
        """Keep one transition; when the arrays are full, in place of the oldest."""
        row = self.added % self.capacity
        self.obs[row], self.action[row], self.reward[row] = obs, action, reward
        self.next_obs[row], self.terminated[row] = next_obs, terminated
        self.added += 1

    def sample(self, batch_size, rng):
        """Draw transitions at random; five tensors: (B, D), (B,), (B,), (B, D), (B,)."""
        rows = rng.integers(min(self.added, self.capacity), size=batch_size)
        columns = (self.obs, self.action, self.reward, self.next_obs, self.terminated)
        return [torch.from_numpy(column[rows]) for column in columns]


def collect(env, obs, act, replay, steps):
    """Take steps from obs on and keep each in replay; return the obs to go on from."""
    for _ in range(steps):
        action = act(obs)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        replay.add(obs, action, reward, next_obs, terminated)
        obs = next_obs
        if terminated or truncated:
            obs, _ = env.reset()
    return obs


# stage: 3
class Scale(torch.nn.Module):
    """A layer that brings the numbers of an observation to about the same size."""

    def forward(self, obs):
        """Observations (B, D), scaled."""
        return obs * SCALE


def make_q(obs_size, actions):
    """A network from observations (B, D) to the Q values of all actions (B, A)."""
    return torch.nn.Sequential(
        Scale(),
        torch.nn.Linear(obs_size, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, actions),
    )


def greedy(q, obs):
    """The action with the largest Q value in one obs, a NumPy array (D,); as an int."""
    with torch.no_grad():
        return int(q(torch.from_numpy(obs)).argmax())


# stage: 4
def td_target(q, reward, next_obs, terminated):
    """What Q of the actions taken should be (B,), if q is right about next_obs."""
    with torch.no_grad():
        best = q(next_obs).max(dim=1).values  # (B,)
        return reward + GAMMA * ~terminated * best  # (eq-together-target)


# stage: 5
def update(q, target, optimizer, batch):
    """One gradient step of q towards what the network target makes of a batch; the loss."""
    obs, action, reward, next_obs, terminated = batch
    wanted = td_target(target, reward, next_obs, terminated)  # (B,)
    said = q(obs).gather(1, action[:, None])[:, 0]  # (B,), of the actions that were taken
    loss = ((said - wanted) ** 2).mean()  # (eq-together-loss)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def catch_up(target, q):
    """Give the network target the weights that q has now."""
    target.load_state_dict(q.state_dict())


# stage: 6
def epsilon_at(step, steps):
    """How often to act at random: from 1 down to 0.02 at half of the steps, then no less."""
    return max(0.02, 1 - 0.98 * step / (0.5 * steps))  # (eq-together-epsilon)


def explore(q, obs, epsilon, rng):
    """A random action with probability epsilon, otherwise the greedy one."""
    if rng.random() < epsilon:
        return int(rng.integers(q[-1].out_features))
    return greedy(q, obs)


# stage: 7
def evaluate(q, env_id, episodes, seed):
    """Returns (episodes,) of whole greedy episodes, each with a seed of its own, seed + i."""
    env = gym.make(env_id)
    return np.array([play(env, lambda obs: greedy(q, obs), seed + i) for i in range(episodes)])


# stage: 8
def train(env_id="CartPole-v1", steps=6_144, seed=0):
    """The network that was judged best on the way, and all judgements: (step, mean return)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    env = gym.make(env_id)
    obs, _ = env.reset(seed=seed)
    q = make_q(len(obs), env.action_space.n)
    target, best = copy.deepcopy(q), copy.deepcopy(q)
    optimizer = torch.optim.Adam(q.parameters(), lr=LR, fused=True)
    replay, scores = Replay(steps, len(obs)), []

    def act(obs):
        return explore(q, obs, epsilon_at(replay.added, steps), rng)

    while replay.added < steps:
        obs = collect(env, obs, act, replay, ROUND)
        for _ in range(UPDATES):
            update(q, target, optimizer, replay.sample(BATCH, rng))
        catch_up(target, q)
        if replay.added % JUDGE == 0:
            score = evaluate(q, env_id, 5, seed + replay.added).mean()
            if all(score >= earlier for _, earlier in scores):
                catch_up(best, q)
            scores.append((replay.added, score))
    return best, scores


# stage: 1 only
if __name__ == "__main__":
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    returns = [play(env, lambda obs: env.action_space.sample()) for _ in range(100)]
    print(f"100 episodes of guessing: mean {np.mean(returns):.1f}, best {max(returns):.0f}")


# stage: 2 only
if __name__ == "__main__":
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    replay, rng = Replay(5_000, 4), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    collect(env, obs, lambda obs: env.action_space.sample(), replay, 5_000)
    obs, action, reward, next_obs, terminated = replay.sample(5, np.random.default_rng(0))
    print(f"{replay.added} transitions; {replay.terminated.sum()} of them ended an episode")
    print(f"five, drawn at random: actions {action.tolist()}, obs of shape {tuple(obs.shape)}")


# stage: 3 only
if __name__ == "__main__":
    torch.manual_seed(0)
    env, q = gym.make("CartPole-v1"), make_q(4, 2)
    returns = [play(env, lambda obs: greedy(q, obs), seed) for seed in range(100)]
    print(f"100 episodes of an untaught network: mean {np.mean(returns):.1f}")


# stage: 4 only
if __name__ == "__main__":
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    replay, rng = Replay(5_000, 4), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    collect(env, obs, lambda obs: env.action_space.sample(), replay, 5_000)
    torch.manual_seed(0)
    q = make_q(4, 2)
    batch = replay.sample(2_000, np.random.default_rng(0))
    obs, action, reward, next_obs, terminated = batch
    wanted = td_target(q, reward, next_obs, terminated)
    print(f"Q says {q(obs).mean():.2f} on average, and should have said")
    fell, stood = wanted[terminated].mean(), wanted[~terminated].mean()
    print(f"{fell:.2f} where the pole fell, {stood:.2f} elsewhere")


# stage: 5 only
if __name__ == "__main__":
    torch.set_num_threads(1)  # for so small a network more only get in each other's way
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    replay, rng = Replay(5_000, 4), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    collect(env, obs, lambda obs: env.action_space.sample(), replay, 5_000)
    torch.manual_seed(0)
    q, rng = make_q(4, 2), np.random.default_rng(0)
    target, optimizer = copy.deepcopy(q), torch.optim.Adam(q.parameters(), lr=1e-3)
    for burst in range(1, 51):
        losses = [update(q, target, optimizer, replay.sample(64, rng)) for _ in range(64)]
        catch_up(target, q)
        if burst % 10 == 0:
            mean = np.mean([play(env, lambda obs: greedy(q, obs), seed) for seed in range(10)])
            print(f"burst {burst:2d}: loss {np.mean(losses):6.3f}, return {mean:5.1f}")


# stage: 6 only
if __name__ == "__main__":
    torch.set_num_threads(1)  # for so small a network more only get in each other's way
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    replay, rng = Replay(5_000, 4), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    collect(env, obs, lambda obs: env.action_space.sample(), replay, 5_000)
    torch.manual_seed(0)
    q, rng = make_q(4, 2), np.random.default_rng(0)
    target, optimizer = copy.deepcopy(q), torch.optim.Adam(q.parameters(), lr=1e-3)

    def act(obs):
        return explore(q, obs, epsilon_at(burst, 50), rng)

    for burst in range(1, 51):
        losses = [update(q, target, optimizer, replay.sample(64, rng)) for _ in range(64)]
        catch_up(target, q)
        if burst % 10 == 0:
            mean = np.mean([play(env, act, seed) for seed in range(10)])
            print(f"burst {burst:2d}: epsilon {epsilon_at(burst, 50):.2f}, return {mean:5.1f}")


# stage: 7 only
if __name__ == "__main__":
    torch.set_num_threads(1)  # for so small a network more only get in each other's way
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    replay, rng = Replay(5_000, 4), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    collect(env, obs, lambda obs: env.action_space.sample(), replay, 5_000)
    torch.manual_seed(0)
    q, rng = make_q(4, 2), np.random.default_rng(0)
    target, optimizer = copy.deepcopy(q), torch.optim.Adam(q.parameters(), lr=1e-3)
    for burst in range(1, 51):
        losses = [update(q, target, optimizer, replay.sample(64, rng)) for _ in range(64)]
        catch_up(target, q)
        if burst % 10 == 0:
            returns = evaluate(q, "CartPole-v1", 20, seed=1_000)
            low, mean, high = returns.min(), returns.mean(), returns.max()
            print(f"burst {burst:2d}: mean return {mean:5.1f}, from {low:.0f} to {high:.0f}")


# stage: 8
if __name__ == "__main__":
    torch.set_num_threads(1)  # for so small a network more only get in each other's way
    best, scores = train()
    for step, score in scores:
        print(f"step {step:6d}: mean return {score:5.1f}")
    fresh = evaluate(best, "CartPole-v1", 30, seed=100_000)
    print(f"the best of them, on 30 fresh episodes: {fresh.mean():.1f}")
