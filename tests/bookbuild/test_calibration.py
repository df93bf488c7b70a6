"""How far a bound lies from what other seeds measure."""

import json
import random
import re

import pytest

from bookbuild.engine import pages
from bookbuild.engine.project import BookError, Project
from bookbuild.site import report
from calibration import claims
from rlworkshop.verify import SEED_SET


def record(at_least=None, at_most=None, seeds=5, **more):
    return {"text": "t", "name": "n", "seeds": seeds, "at_least": at_least, "at_most": at_most, **more}


def test_a_summary_for_the_report():
    kept = {"values": [1.0, 2.0, 3.0, 2.0]}
    assert report.calibrated(record(at_least=1.5), kept) == ["3 of 4", "2 ± 0.82", "0.6 s.d.", "–", "–"]
    assert report.calibrated(record(at_least=1), {"values": [2.0] * 3})[2] == "no spread"
    assert report.calibrated(record(at_least=1), None)[0] == "not calibrated"
    assert set(report.calibrated(record(at_least=1, seeds=None), None)) == {"–"}
    under = {**kept, "under": {"frozen": 0.0, "random": "nan"}}
    assert report.calibrated(record(at_least=1.5), under)[3:] == ["frozen: 0; random: –", "75%"]
    assert report.calibrated(record(at_least=0.5, control="c"), under)[3:] == [
        "frozen: 0; random: –; beside `c`",
        "**25%**",
    ]


def test_committed_figures_are_read_and_missing_or_damaged_ones_are_none(fresh):
    project = Project.at(fresh.root)
    assert pages.calibrations(project, "algorithms/x") == {}
    fresh.write("benchmarks/claims/algorithms-x.json", '{"claims": {"n": {"values": [1.0]}}}')
    assert pages.calibrations(project, "algorithms/x") == {"n": {"values": [1.0]}}
    fresh.write("benchmarks/claims/algorithms-x.json", '{"claims": ')
    assert pages.calibrations(project, "algorithms/x") == {}


@pytest.mark.parametrize(
    ("text", "sets"),
    [("7", [7]), ("1..3", [1, 2, 3]), ("1000..1009", list(range(1000, 1010))), ("5..5", [5])],
)
def test_seed_sets(text, sets):
    assert claims.seed_sets(text) == sets


@pytest.mark.parametrize("text", ["", "0", "0..3", "3..1", "1...3", "1..", "a..b", "-1", "1,2", " 1", "1.5"])
def test_seed_sets_that_make_no_sense(text):
    with pytest.raises(BookError, match="give seed sets from 1 up, as 1000..1009 or 7"):
        claims.seed_sets(text)


# ---- re-running

SEEDED = """\
import random
from rlworkshop.verify import claim, seeds
means = [random.Random(s).random() for s in seeds(4)]
claim("seeded numbers are high", sum(means) / 4, at_least={bound}, seeds=4, name="high")
"""


@pytest.fixture
def seeded(fresh, monkeypatch):
    """A book with one page that makes a claim on seeded numbers and an exact one."""
    monkeypatch.delenv(SEED_SET, raising=False)
    fresh.edit("book/beta.md", "claim(", "print(")
    exact = 'claim("two is two", 2, at_least=2)'
    fresh.add_page("foundations/seeded", SEEDED.format(bound=0.01), exact, budget=1)
    return fresh


def expected(seed_set: int) -> float:
    return sum(random.Random(seed_set * 10_000 + i).random() for i in range(4)) / 4


def test_claims_run_on_other_seeds_and_the_figures_are_kept(seeded, capsys):
    project = Project.at(seeded.root)
    assert claims.rerun(project, "7..8", save=True) == 0
    said = capsys.readouterr().out
    assert "held 2 of 2: seeded numbers are high (at least 0.01)" in said
    assert "held 2 of 2: two is two" in said
    assert "the same on every seed set" not in said
    assert "written to benchmarks/claims/foundations-seeded.json" in said
    made = json.loads((seeded.root / "benchmarks/claims/foundations-seeded.json").read_text())
    assert made["seed_sets"] == [7, 8] and re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])
    assert set(made["claims"]) == {"high"}  # an exact claim needs no figures
    assert made["claims"]["high"]["values"] == [expected(s) for s in (7, 8)]
    assert pages.calibrations(project, "foundations/seeded") == made["claims"]

    # once more: what is known is not run again, and a seed set that is new is run alone
    assert claims.rerun(project, "7..9", save=True) == 0
    said = capsys.readouterr().out
    assert re.findall(r"\[1/1\] (.+?) \(", said) == ["foundations/seeded, seed set 9"]
    assert "held 3 of 3: seeded numbers are high" in said
    assert [pages.calibrations(project, "foundations/seeded")["high"]["values"]] == [
        [expected(s) for s in (7, 8, 9)]
    ]


def test_a_claim_that_fails_on_some_seeds_is_counted(seeded, capsys):
    bound = sorted(expected(s) for s in (1, 2))[1]
    another = f'{bound!r}, seeds=4, name="high")\nclaim("and in the same cell", 3, at_least=2, name="cell")'
    seeded.edit("book/foundations/seeded.md", '0.01, seeds=4, name="high")', another)
    assert claims.rerun(Project.at(seeded.root), "1..2", "foundations/seeded") == 1
    said = capsys.readouterr().out
    assert "held 1 of 2: seeded numbers are high" in said
    assert "held 2 of 2: two is two" in said  # it stands after the one that failed
    assert "held 2 of 2: and in the same cell" in said
    assert not (seeded.root / "benchmarks").exists()


def test_a_page_that_keeps_its_seeds_and_one_that_breaks_are_told(seeded, capsys):
    seeded.edit("book/foundations/seeded.md", "seeds(4)]", "(seeds(4) and range(4))]")
    broken = 'from rlworkshop.verify import claim, seed\nassert seed() == 0\nclaim("x", 1, at_least=1)'
    seeded.add_page("broken", broken)
    assert claims.rerun(Project.at(seeded.root), "1..2") == 1
    said = capsys.readouterr().out
    assert said.count("the same on every seed set: saturated, or the page does not use verify.seeds()") == 1
    assert "cell 1: AssertionError" in said.split("\nbroken\n")[1]


def test_pages_that_cannot_be_re_run_are_named(seeded):
    project = Project.at(seeded.root)
    with pytest.raises(BookError, match="no page with code cells is called 'index': try one of alpha, beta"):
        claims.rerun(project, "1", "index")
    with pytest.raises(BookError, match="there is no claim to re-run"):
        claims.rerun(project, "1", "alpha")


# ---- faults

LEARNS = """\
from rlworkshop.verify import claim, seeds
from tiny import learner
rate = 0.5
learned = [learner.learn(rate) for _ in seeds(2)]
claim("it learns", learned[0], at_least=0.4, seeds=2, name="learns", fails_under=FAULTS)
claim("and twice", 2 * learned[0], at_least=0.8, seeds=2, name="twice", fails_under=FAULTS)
"""
FAULTS = """
[[fault]]
name = "frozen"
file = "code/tiny/learner.py"
find = "return rate"
replace = "return 1.0 * rate"

[[fault]]
name = "frozen"
file = "code/tiny/learner.py"
find = "def learn(rate):"
replace = "def learn(rate):\\n    rate = 0.0"

[[fault]]
name = "no_effect:rate"
file = "book/foundations/learns.md"
find = "rate = 0.5"
replace = "rate = 0.1"

# any page
[[fault]]
name = "random"
replace = "from tiny import learner; learner.learn = lambda rate: -1"

[[fault]]
name = "no_effect:nothing"
replace = "unused = 1"

[[fault]]
name = "no_effect:page"
replace = "raise OSError"
"""


@pytest.fixture
def learns(fresh, monkeypatch):
    """A book with a page whose claim is tried under the faults that it names; a call of its calibration."""
    monkeypatch.delenv(SEED_SET, raising=False)
    fresh.edit("book/beta.md", "claim(", "print(")
    fresh.write("code/tiny/learner.py", "def learn(rate):\n    return rate\n")
    own, any_page = FAULTS.split("# any page\n")
    fresh.write("tests/faults/foundations-learns.toml", own)
    fresh.write("tests/faults/any.toml", any_page)

    def calibrate(*faults: str) -> int:
        fresh.add_page("foundations/learns", LEARNS.replace("FAULTS", repr(faults)), budget=1)
        return claims.rerun(Project.at(fresh.root), "7", "foundations/learns", save=True)

    calibrate.kept = lambda: pages.calibrations(Project.at(fresh.root), "foundations/learns")
    return calibrate


def test_a_page_is_run_under_each_fault_and_the_values_are_kept(learns, capsys):
    assert learns("frozen", "no_effect:rate", "random") == 0
    assert learns.kept()["learns"]["under"] == {"frozen": 0.0, "no_effect:rate": 0.1, "random": -1.0}
    assert learns.kept()["learns"]["values"] == [0.5]
    assert learns.kept()["twice"]["under"]["frozen"] == 0.0  # though the claim before it has failed
    capsys.readouterr()
    assert learns("frozen", "random") == 0  # the page is another; what ran under faults is the old one
    assert learns("frozen", "random") == 0
    assert "frozen (" not in capsys.readouterr().out.split("written")[1]


def test_a_claim_that_holds_under_its_fault_is_refused(learns, capsys):
    assert learns("frozen", "no_effect:nothing") == 1
    assert "HOLDS under no_effect:nothing as well: it learns (0.5, at least 0.4)" in capsys.readouterr().out
    assert learns.kept() == {}


def test_a_claim_that_a_fault_keeps_from_being_made_is_refused(learns, capsys):
    assert learns("no_effect:page") == 1
    assert "NOT REACHED under no_effect:page: it learns (cell 1: OSError" in capsys.readouterr().out
    assert learns.kept() == {}


def test_a_list_of_faults_that_cannot_be_read_is_told_before_a_page_runs(learns, fresh, capsys):
    fresh.write("tests/faults/foundations-learns.toml", '[[fault]]\nname = "swapped"\nreplace = ""\n')
    with pytest.raises(BookError, match="'swapped' is of no kind: frozen, random"):
        learns("frozen")
    assert "seed set" not in capsys.readouterr().out


def test_faults_that_cannot_be_planted_are_named(learns, fresh):
    with pytest.raises(
        BookError, match="no fault is called 'no_effect:x': list it in tests/faults/foundations-learns.toml"
    ):
        learns("no_effect:x")
    fresh.write("code/tiny/learner.py", "def learn(rate):\n    return 1 * rate\n")
    with pytest.raises(BookError, match="text of fault 'frozen' must occur once in code/tiny/learner.py"):
        learns("frozen")
    for text, why in (
        (FAULTS.replace('"frozen"', '"odd"'), "'odd' is of no kind: frozen, random"),
        (FAULTS.replace('find = "return rate"\n', ""), "'file' and 'find' go together"),
        (FAULTS.replace('name = "random"\n', ""), "cannot be read: TypeError"),
        ("[[fault", "cannot be read: TOMLDecodeError"),
    ):
        fresh.write("tests/faults/any.toml", text)
        with pytest.raises(BookError, match=why):
            learns("random")
