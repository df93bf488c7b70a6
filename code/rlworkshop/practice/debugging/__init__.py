"""Debugging deep RL: probes with known answers, planted bugs, and a review of other implementations.

``probes`` are worlds that ask one question each; ``bugs`` are faults planted in the book's DQN and PPO;
``conform`` reviews a file, by the checks of ``dqn``, ``ppo`` and ``behaviour``.

Book: practice/debugging
"""
