"""DQN as one file that grows: the file at the end of each of the eight stages.

They import nothing of the book: each is what a reader has typed so far, and runs.

Book: algorithms/writing_dqn_together
"""
