"""Plausible wrong answers to the exercises on PyTorch, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import pytest
import torch

from rlworkshop import check, exercises
from rlworkshop.exercises.start import pytorch

# ---- the loss to mend


def _stub(name):
    space: dict = {}
    exec(exercises.find(name).stub, space)
    return space[exercises.find(name).function]


def target_alone(now, after, rewards, over, gamma):
    target = rewards + gamma * ~over * after.detach().squeeze(1)
    return ((now - target) ** 2).mean()


def prediction_alone(now, after, rewards, over, gamma):
    target = rewards + gamma * ~over * after.detach()
    return ((now.squeeze(1) - target) ** 2).mean()


def squares_too_late(now, after, rewards, over, gamma):
    target = rewards + gamma * ~over * after.detach().squeeze(1)
    return (now.squeeze(1) - target).mean() ** 2


def sums(now, after, rewards, over, gamma):
    return pytorch.value_loss(now, after, rewards, over, gamma) * len(now)


def never_over(now, after, rewards, over, gamma):
    return pytorch.value_loss(now, after, rewards, torch.zeros_like(over), gamma)


def over_turned_round(now, after, rewards, over, gamma):
    return pytorch.value_loss(now, after, rewards, ~over, gamma)


def no_discount(now, after, rewards, over, gamma):
    return pytorch.value_loss(now, after, rewards, over, 1.0)


def target_not_detached(now, after, rewards, over, gamma):
    return ((now - rewards[:, None] - gamma * ~over[:, None] * after) ** 2).mean()


def wrong_one_detached(now, after, rewards, over, gamma):
    return ((now.detach() - rewards[:, None] - gamma * ~over[:, None] * after) ** 2).mean()


def all_detached(now, after, rewards, over, gamma):
    return pytorch.value_loss(now, after, rewards, over, gamma).detach()


def a_plain_number(now, after, rewards, over, gamma):
    return pytorch.value_loss(now, after, rewards, over, gamma).item()


def one_for_each_row(now, after, rewards, over, gamma):
    return (now.squeeze(1) - rewards - gamma * ~over * after.detach().squeeze(1)) ** 2


# ---- the loop to mend


def _loop(order="zero backward step", log=lambda error: error.item(), late=False, sign=1):
    """The solution with its calls in another order, or with another log."""

    def fit(net, optimizer, x, y, steps):
        found = []

        def loss():
            return sign * ((net(x) - y) ** 2).mean()

        calls = {"zero": lambda: optimizer.zero_grad(), "step": lambda: optimizer.step()}
        for _ in range(steps):
            error = loss()
            for call in order.split():
                error.backward() if call == "backward" else calls[call]()
            found.append(log(loss() if late else error))
        return found

    return fit


def computed_once(net, optimizer, x, y, steps):
    error, log = ((net(x) - y) ** 2).mean(), []
    for _ in range(steps):
        log.append(error.item())
        optimizer.zero_grad()
        error.backward(retain_graph=True)
        optimizer.step()
    return log


def returns_too_early(net, optimizer, x, y, steps):
    return pytorch.fit(net, optimizer, x, y, 1)


def only_the_last(net, optimizer, x, y, steps):
    return pytorch.fit(net, optimizer, x, y, steps)[-1:]


def running_sum(net, optimizer, x, y, steps):
    log = pytorch.fit(net, optimizer, x, y, steps)
    return [sum(log[: t + 1]) for t in range(steps)]


def as_an_array(net, optimizer, x, y, steps):
    return tuple(pytorch.fit(net, optimizer, x, y, steps))


def only_at_the_start(net, optimizer, x, y, steps):
    optimizer.zero_grad()
    return _loop("backward step")(net, optimizer, x, y, steps)


WRONG = {
    "pytorch-value-loss": [
        (_stub("pytorch-value-loss"), "every reward meets every next value"),
        (target_alone, "each value is compared with every target"),
        (prediction_alone, "along the wrong axis"),
        (squares_too_late, "averaged before they are squared"),
        (sums, "this is a sum"),
        (never_over, "counts where the episode is over"),
        (over_turned_round, "`over` is turned round"),
        (no_discount, "not discounted"),
        (wrong_one_detached, "flows into `now`"),
        (target_not_detached, "was lost on the way"),
        (all_detached, "is it detached, or made anew"),
        (a_plain_number, "it is a float"),
        (one_for_each_row, "it has the shape (4,)"),
    ],
    "pytorch-training-loop": [
        (_loop("backward zero step"), "nothing moves"),
        (_loop("backward step zero"), "lay there before the call"),
        (_loop("step zero backward"), "goes by an old gradient"),
        (_loop(sign=-1), "goes uphill"),
        (only_at_the_start, "pile up"),
        (computed_once, "computed once"),
        (returns_too_early, "one step was made"),
        (_loop(log=lambda error: error), "remember how they were computed"),
        (_loop(log=lambda error: error.detach()), "if without their record"),
        (as_an_array, "it is a tuple"),
        (only_the_last, "should have 4 entries"),
        (_loop(late=True), "*after* each step"),
        (running_sum, "sums over the steps"),
    ],
}


def test_the_stub_of_the_loop_runs_and_is_told_what_is_wrong():
    with pytest.raises(check.Wrong, match="pile up"):
        exercises.find("pytorch-training-loop").check(_stub("pytorch-training-loop"))


def test_columns_are_as_good_as_rows():
    def columns(now, after, rewards, over, gamma):
        target = rewards[:, None] + gamma * ~over[:, None] * after.detach()
        return torch.nn.functional.mse_loss(now, target)

    assert exercises.find("pytorch-value-loss").check(columns) == []


def test_the_loop_by_hand_is_what_torch_does():
    for steps in (1, 5):
        w, log = pytorch._try_fit(pytorch.fit, steps)
        by_hand, losses = pytorch._downhill(steps)
        assert w == pytest.approx(by_hand)
        assert log == pytest.approx(losses[:-1])


def test_flags_of_0_and_1_do_no_harm():
    now, after = torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [6.0]])
    over = torch.tensor([0, 1])
    loss = pytorch.value_loss(now, after, torch.tensor([1, 1]), over, 0.5)
    assert loss.item() == pytest.approx((2.0**2 + 1.0**2) / 2)
