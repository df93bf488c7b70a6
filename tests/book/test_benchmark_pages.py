"""The pages on benchmarks and on choosing say what the rows and the rules say."""

import re
from pathlib import Path

import pytest

from rlworkshop import benchmarks
from rlworkshop.algorithms import choosing

BOOK = Path(__file__).parents[2] / "book"
CHOOSING = (BOOK / "algorithms/choosing.md").read_text(encoding="utf-8")
BENCHMARKS = (BOOK / "reference/benchmarks.md").read_text(encoding="utf-8")


def test_the_table_of_advice_has_a_line_for_each_rule_which_leads_where_the_rule_does():
    lines = [line for line in CHOOSING.split("\n") if line.startswith("| **")]
    assert len(lines) == len(choosing.RULES)
    for rule, line in zip(choosing.RULES, lines, strict=True):
        links = [link.rpartition("/")[2] for link in re.findall(r"{doc}`([^`]+)`", line)]
        assert rule.page.rpartition("/")[2] in links, rule.question
        assert (BOOK / f"{rule.page}.md").exists()


@pytest.mark.parametrize("task", dict.fromkeys(row.task for row in benchmarks.registry()))
def test_every_task_has_its_table(task):
    assert re.search(rf'results\(.*"{task}"', BENCHMARKS)


def test_rows_are_run_by_the_command_that_the_page_shows():
    makefile = (BOOK.parent / "Makefile").read_text(encoding="utf-8")
    assert re.search(
        r'^benchmark:.*\n(.*\n)*?.*benchmarks/table.py "\$\(A\)" "\$\(T\)" \$\(V\)', makefile, re.M
    )
    assert benchmarks.chosen("sac", "Pendulum-v1", "")[0].command in BENCHMARKS


def test_what_the_choosing_page_reads_is_stored_and_fits():
    algorithms = ("ppo", "trpo", "td3", "sac", "ddpg")
    wanted = [*((name, "Pendulum-v1", "") for name in algorithms), ("dqn", "CartPole-v1", "")]
    for name in wanted:
        (row,) = benchmarks.chosen(*name)
        found = benchmarks.stored(row)
        assert found is not None and len(found.runs) >= 5, f"{row.command} runs it"
