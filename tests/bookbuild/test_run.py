"""A page runs in its own kernel, and all its faults are noted."""

import asyncio
import os
import subprocess
import sys

import pytest

from bookbuild.engine import pages
from bookbuild.engine.project import Project
from bookbuild.engine.run import Outcome, _used, one_line, run_page

from .conftest import SmallBook

CELLS = [
    "import os, sys\nprint(os.environ['MORE'], os.environ['OMP_NUM_THREADS'], sys.executable)",
    'from rlworkshop.verify import claim\nclaim("held", 3, at_least=1, name="a")\nopen("data.txt").read()',
    'claim("not held", 0, at_least=1, name="b")',
    'open("made.txt", "w").close()\nprint("still runs")',
    "1 / 0",
    'print("never reached")',
]


def run(book: SmallBook, *cells: str, more: str = "", options: str = "", **variables: str) -> Outcome:
    """A page with these cells, run."""
    book.add_page("probe", *cells, more=more, options=options)
    project = Project.at(book.root)
    return asyncio.run(run_page(project, pages.read_page(project, project.book / "probe.md"), variables))


def errors(outcome: Outcome) -> list[str]:
    return [failure for failure, _ in outcome.failures]


def test_a_page_runs_in_its_folder_and_all_its_faults_are_noted(fresh):
    outcome = run(fresh, *CELLS, MORE="thanks")
    cells = [cell for cell in outcome.notebook.cells if cell.cell_type == "code"]
    assert cells[0].outputs[0].text.split() == ["thanks", "1", sys.executable]
    assert cells[1].outputs[-1].data["text/plain"] == repr("first data\n")
    assert cells[3].outputs[0].text == "still runs\n"
    assert cells[5].outputs == []
    assert [claim["name"] for claim in outcome.claims] == ["a", "b"]
    kinds = [":".join(failure.split(":")[:2]) for failure in errors(outcome)]
    assert kinds == ["cell 3: ClaimFailed", "cell 5: ZeroDivisionError"]
    lines = (fresh.root / "book/probe.md").read_text().splitlines()
    assert [lines[line - 1] for _, line in outcome.failures] == [CELLS[2], CELLS[4]]
    assert not outcome.cached and outcome.seconds > 0
    assert {"file book/data.txt", "variable MORE"} <= set(outcome.inputs)
    assert "file book/made.txt" not in outcome.inputs
    assert not any("execution" in cell.metadata for cell in cells)


def test_the_cost_of_a_page_is_its_cpu_time(fresh):
    outcome = run(fresh, "import time\nwhile time.process_time() < 1.5: pass\ntime.sleep(1)")
    assert 1.4 < outcome.cpu < outcome.seconds and outcome.peak_mib > 10
    assert outcome.failures == []


@pytest.mark.parametrize("who", ["{0}", "import subprocess; subprocess.run([sys.executable, '-c', {0!r}])"])
def test_the_cost_of_a_process_is_its_own_and_its_childrens(who):
    """Against what it costs to start one."""
    work = "import time\nwhile time.process_time() < 0.5: pass"
    code = f"import sys\n{who.format(work)}\nx = bytearray(200 * 2**20)\nprint(flush=True)\ninput()"
    found = []
    for run_code in ("import sys; print(flush=True); input()", code):
        command, pipe = [sys.executable, "-c", run_code], subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
            process.stdout.readline()
            found.append(_used(process.pid))
            process.stdin.close()
    assert found[0][0] < 0.5 <= found[1][0]
    assert found[0][1] < 100 < 200 < found[1][1] < 300


@pytest.mark.parametrize("how", ["exit()", "quit", "import sys\nsys.exit(1)"])
def test_a_page_that_ends_its_kernel_fails_once(fresh, how):
    (failure,) = run(fresh, "print(1)", how, "print('never reached')").failures
    assert failure[0].startswith("cell 2: ") and "exit" in failure[0].lower()


def test_a_kernel_that_dies_is_named(fresh):
    outcome = run(fresh, "import os; os._exit(0)", "print(1)")
    assert errors(outcome) == ["cell 1: its kernel died (out of memory, killed, or by os._exit)"]


def test_a_page_that_runs_too_long_is_stopped(fresh, monkeypatch):
    monkeypatch.setattr("bookbuild.engine.run.CELL_TIMEOUT", 1)
    outcome = run(fresh, "while True: pass", "1 / 0")
    assert errors(outcome) == ["cell 1: ran longer than 1 s"]


PROGRAMS = [
    "!cat data.txt",
    "%%bash\ncat data.txt",
    "files = !ls\nimport subprocess\nsubprocess.run('uname')",
]


def test_programs_that_a_page_starts_are_refused_unless_it_names_them(fresh):
    outcome = run(fresh, *PROGRAMS)
    cells = [cell for cell in outcome.notebook.cells if cell.cell_type == "code"]
    assert "first data" in cells[0].outputs[0].text and "first data" in cells[1].outputs[0].text
    assert errors(outcome) == [
        f"it starts {name!r}, and what other programs read is not seen: "
        f"put {name!r} into the front matter's 'programs', what it reads into 'depends'"
        for name in ("cat", "bash", "ls")
    ]
    assert run(fresh, *PROGRAMS, more="programs: [cat, bash, ls]").failures == []


def test_the_kernel_finds_this_python_whatever_the_user_has_installed(fresh, tmp_path):
    """A kernel spec of the user's own, called python3 as ours, is not taken."""
    spec = tmp_path / "jupyter/kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text('{"argv": ["false", "{connection_file}"], "display_name": "x", "language": "python"}')
    environment = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = str(tmp_path / "jupyter")
    try:
        assert run(fresh, "print(1)").failures == []
    finally:
        del os.environ["JUPYTER_PATH"]
        if environment is not None:
            os.environ["JUPYTER_PATH"] = environment


def test_a_message_is_one_line_of_bounded_length():
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x " * 1000)) == 300
