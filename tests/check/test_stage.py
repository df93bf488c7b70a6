"""The files of all stages, derived from one annotated source."""

import types

import pytest

from rlworkshop import check
from rlworkshop.check.stage import file_at

SOURCE = '''"""A file, as it grows over three stages; and so on."""

import math  # stage: 2

import numpy

SIZE = 3  # stage: 3


def one():
    """One."""
    if SIZE:

        return 1


# stage: 2
def two():
    """Two."""
    return math.pi  # not a # stage: 3, for one space is not two


# stage: 1 only
if __name__ == "__main__":
    print(one())


# stage: 3
if __name__ == "__main__":
    print(two())
'''
ONE = '''def one():
    """One."""
    if SIZE:

        return 1
'''
TWO = '''

def two():
    """Two."""
    return math.pi  # not a # stage: 3, for one space is not two
'''
END = '\n\nif __name__ == "__main__":\n    print({}())\n'


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (0, ""),
        (1, "import numpy\n\n\n" + ONE + END.format("one")),
        (2, "import math\n\nimport numpy\n\n\n" + ONE + TWO),
        (3, "import math\n\nimport numpy\n\nSIZE = 3\n\n\n" + ONE + TWO + END.format("two")),
    ],
)
def test_a_file_has_what_its_stage_and_those_before_wrote(stage, text):
    assert file_at(SOURCE, stage) == text


def test_what_goes_wrong_is_told_with_its_line_in_the_source(tmp_path):
    source = types.ModuleType("grows", "A file, as it grows; and so on.")
    source.__file__ = str(tmp_path / "grows.py")
    (tmp_path / "grows.py").write_text(SOURCE)
    about = ("a-stage-2", "Two", "part/page", "Section")
    stage = check.Stage.of(source, 2, *about, asks=("two",), file="my.py")
    line = SOURCE.splitlines().index("def two():") + 1
    assert stage.solution.two.__code__.co_firstlineno == line
    assert stage.answer.startswith(
        '"""A file, stage 2: two.\n\nCheck it: python -m rlworkshop.check a-stage-2 my'
    )
    assert stage.answer.endswith(stage.body) and stage.before == file_at(SOURCE, 1)
    assert stage.solved_part == "import math\n\n\n" + TWO.strip() + "\n"
    stub = '    """Two."""\n    # your code here\n    raise NotImplementedError\n'
    assert stage.part == "import math\n\n\ndef two():\n" + stub
