"""Claims: they hold, or they stop the build."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from rlworkshop import verify

CODE = Path(verify.__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def first_seed_set(monkeypatch):
    monkeypatch.delenv(verify.SEED_SET, raising=False)
    monkeypatch.setattr(verify, "_drawn", {3})


@pytest.mark.parametrize(
    ("value", "bound", "holds"),
    [
        (475.0, {"at_least": 475}, True),
        (474.9, {"at_least": 475}, False),
        (1.0, {"at_most": 1}, True),
        (1.1, {"at_most": 1}, False),
        (0.5, {"at_least": 0, "at_most": 1}, True),
        (-0.1, {"at_least": 0, "at_most": 1}, False),
        (1.1, {"at_least": 0, "at_most": 1}, False),
        (float("nan"), {"at_least": 0}, False),
        (float("inf"), {"at_least": 0}, False),
    ],
)
def test_a_claim_holds_or_raises_and_is_shown_either_way(value, bound, holds, capsys):
    if holds:
        verify.claim("It learns.", value, **bound, seeds=3)
    else:
        with pytest.raises(verify.ClaimFailed, match="FAILS: It learns"):
            verify.claim("It learns.", value, **bound, seeds=3)
    line = capsys.readouterr().out
    assert ("claim holds" in line) == holds and "3 seeds" in line


def test_a_claim_without_sense_is_refused():
    with pytest.raises(ValueError, match="no bound"):
        verify.claim("x", 1.0, seeds=3)
    with pytest.raises(ValueError, match="never hold"):
        verify.claim("x", 1.0, at_least=2, at_most=1)
    for value in ("many", [1, 2]):
        with pytest.raises(TypeError, match="one number"):
            verify.claim("x", value, at_least=0)


def test_a_claim_without_seeds_is_exact(capsys):
    verify.claim("Two and two", 4, at_least=4, at_most=4)
    assert capsys.readouterr().out == "claim holds: Two and two: 4 (at least 4 and at most 4; exact)\n"


def test_seeds_are_counted():
    with pytest.raises(ValueError, match=r"'x' is of 5 seeds, and verify.seeds has given 3$"):
        verify.claim("x", 1, at_least=0, seeds=5)
    verify.seeds(5)
    verify.claim("x", 1, at_least=0, seeds=5)
    verify.claim("x", 1, at_least=0, seeds=10, stored="some_run")  # they were drawn when it was made


@pytest.mark.parametrize(
    ("arms", "ratio", "bound", "value"),
    [
        (([1.0, 2.0, 6.0], [1.0, 1.0, 1.0]), False, {"at_least": 1}, 2.0),
        ((3.0, 4.0), False, {"at_most": -0.5}, -1.0),
        (([2.0, 4.0], [1.0]), True, {"at_least": 2}, 3.0),
        ((1.0, 4.0), True, {"at_most": 0.5}, 0.25),
    ],
)
def test_two_arms_are_compared(arms, ratio, bound, value, capsys):
    verify.claim("One is more.", arms=arms, ratio=ratio, **bound, seeds=3)
    assert f"One is more.: {value:.4g} (" in capsys.readouterr().out


def test_two_arms_that_are_the_same_can_never_keep_the_bound():
    for ratio, bound in ((False, {"at_least": 0}), (False, {"at_most": 0.1}), (True, {"at_least": 0.9})):
        with pytest.raises(ValueError, match="would hold if both arms were the same"):
            verify.claim("x", arms=(5.0, 1.0), ratio=ratio, **bound)
    for wrong in ({}, {"value": 1, "arms": (1, 2)}):
        with pytest.raises(ValueError, match="a value, or two arms"):
            verify.claim("x", **wrong, at_least=0)


def test_seed_sets_never_share_a_seed(monkeypatch):
    sets = []
    for name in ("0", "1", "1000"):
        monkeypatch.setenv(verify.SEED_SET, name)
        sets.append(set(verify.seeds(10_000)))
        assert verify.seed() == min(sets[-1])
    assert sets[0] == set(range(10_000)) and not sets[0] & sets[1] and not sets[1] & sets[2]
    for n in (0, 10_001):
        with pytest.raises(ValueError, match="10000"):
            verify.seeds(n)
    monkeypatch.setenv(verify.SEED_SET, "-1")
    with pytest.raises(ValueError, match="whole number"):
        verify.seed()


def test_slug():
    assert verify.slug("VPG solves CartPole (≥ 475)!") == "vpg-solves-cartpole-475"


NOTEBOOK = """
import json
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from rlworkshop import verify
shell = InteractiveShell.instance()
with capture_output() as seen:
    verify.glue("score", 1.5)
    verify.seeds(2)
    try:
        verify.claim("It learns.", 3, at_least=5, seeds=2, name="learns")
    except verify.ClaimFailed:
        pass
print(json.dumps([[o.data, o.metadata] for o in seen.outputs]))
"""


def test_in_a_notebook_the_record_travels_in_the_output():
    pytest.importorskip("IPython")
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], env={"PYTHONPATH": str(CODE)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (glued, about), (claim, kept) = json.loads(done.stdout.splitlines()[-1])
    assert glued == {"application/papermill.record/text/plain": "1.5"}
    assert about == {"scrapbook": {"name": "score", "mime_prefix": "application/papermill.record/"}}
    record = kept[verify.RECORD]
    assert record["name"] == "learns" and record["held"] is False and record["value"] == 3
    assert claim["text/plain"] == verify.describe(record)
    assert 'class="claim failed" id="claim-learns"' in claim["text/html"]


# ---- how sure a claim is

NINE = [1.0, 2.0, 3.0] * 3  # mean 2
SPREAD = math.sqrt(6 / 8)  # their sample standard deviation


def record(at_least=None, at_most=None, seeds=5):
    return {"seeds": seeds, "at_least": at_least, "at_most": at_most, "control": "learns"}


@pytest.mark.parametrize(
    ("bounds", "margin"),
    [
        ({"at_least": 0}, 2 / SPREAD),
        ({"at_most": 7}, 5 / SPREAD),
        ({"at_least": 0, "at_most": 3}, 1 / SPREAD),  # the nearer one
        ({"at_least": 1.5, "at_most": 30}, 0.5 / SPREAD),
        ({"at_least": 2}, 0),
        ({"at_least": 3}, -1 / SPREAD),  # the mean breaks it
    ],
)
def test_the_margin_is_the_distance_in_standard_deviations(bounds, margin):
    assert verify.margin(record(**bounds), NINE) == pytest.approx(margin)


@pytest.mark.parametrize(("bound", "margin"), [(0, math.inf), (2, math.inf), (2.001, -math.inf)])
def test_values_that_do_not_vary_are_infinitely_far(bound, margin):
    assert verify.margin(record(at_least=bound), [2.0] * 10) == margin
    assert verify.margin(record(at_least=bound), [2.0]) == margin


@pytest.mark.parametrize("shift", [-3.0, 0.0, 5.0])
@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_the_margin_does_not_depend_on_units(shift, scale):
    moved = [scale * value + shift for value in NINE]
    assert verify.margin(record(at_least=shift), moved) == pytest.approx(2 / SPREAD)


def test_the_bound_itself_still_holds():
    both = record(at_least=1, at_most=2)
    values = (0.99, 1, 1.5, 2, 2.01)
    assert [verify.holds(both, value) for value in values] == [False, True, True, True, False]
    assert verify.holds(record(at_least=1), 1e9) and verify.holds(record(at_most=1), -1e9)
    assert not verify.holds(record(at_least=1), math.nan)


def test_what_is_wrong_with_a_calibration():
    ten = [*NINE, 2.0]
    tight, wide = record(at_least=0), record(at_least=-5)
    assert verify.doubts(wide, {"values": ten}) == []
    assert verify.doubts(wide, None) == ["not calibrated on 10 fresh seed sets"]
    assert verify.doubts(wide, {"values": NINE}) == ["not calibrated on 10 fresh seed sets"]
    far = "its bound lies 2.4 standard deviations away, not 3"
    assert verify.doubts(tight, {"values": ten}) == [far]
    assert verify.doubts(record(at_least=3), {"values": [2.0] * 10}) != []
    assert verify.doubts(record(at_least=3, seeds=None), None) == []  # exact
    assert verify.doubts({**tight, "stored": "a_run"}, None) == []
    alone = {**wide, "control": None}
    assert verify.doubts(alone, {"values": ten}) == ["names no fault that it fails under, and no control"]
    assert verify.doubts({**alone, "arms": True}, {"values": ten}) == []
    faulty = {**wide, "fails_under": ["frozen", "random"]}
    under = {"frozen": -6.0, "random": -4.0}
    assert verify.doubts(faulty, {"values": ten, "under": under}) == ["holds under random as well (-4)"]
    assert verify.doubts(faulty, {"values": ten, "under": {"random": "nan"}}) == ["not tried under frozen"]


@pytest.mark.parametrize(
    ("bounds", "nothing", "under", "way"),
    [
        ({"at_least": 1}, 0, {}, 0.5),
        ({"at_least": 0.5}, None, {"frozen": 0.0, "random": 0.4}, 0.1 / 1.6),
        ({"at_most": 4}, None, {"frozen": 10.0}, 6 / 8),
        ({"at_least": 1}, None, {}, math.nan),
        ({"at_least": 1, "at_most": 3}, 0, {}, math.nan),
        ({"at_least": 1}, 2, {}, math.nan),
    ],
)
def test_how_far_a_bound_lies_between_nothing_and_the_effect(bounds, nothing, under, way):
    one = {**record(**bounds), "neutral": nothing}
    assert verify.way(one, NINE, under) == pytest.approx(way, nan_ok=True)
