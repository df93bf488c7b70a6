"""Forget the last layer, and nothing else."""

import torch


def reset_head(learner, generator):
    """New weights in the old tensors, and zero moments."""
    head = learner.agent.q[-1]
    with torch.no_grad():
        torch.nn.init.orthogonal_(head.weight, generator=generator)
        torch.nn.init.zeros_(head.bias)
    for parameter in head.parameters():
        for name in ("exp_avg", "exp_avg_sq"):
            learner.optimizer.state[parameter][name].zero_()
