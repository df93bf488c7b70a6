"""Answers are on the disk before the next question; a terminal and a page ask the same things."""

import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from rlworkshop import compare

ABOUT = {"seed": 1}


class Numbers:
    """Asks which of two numbers is larger, three times."""

    total = 3

    def __init__(self, path):
        self.answers = compare.Answers(path, ABOUT)

    def number(self):
        return len(self.answers.rows)

    def question(self):
        return None if self.number() == self.total else (10 + self.number(), 20 + self.number())

    def answer(self, word):
        self.answers.add(word, pair=self.question())

    def frames(self, clip):
        return [f"<{clip}.{i}>\n......" for i in range(7)]

    def drawing(self, clip):
        return f"<svg><title>{clip}</title></svg>"

    def conclusion(self):
        return f"learned & done: {[row['answer'] for row in self.answers.rows]}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "answers.jsonl"


def talk(lesson, *typed, moving=False):
    """What a person sees who types these lines; an exception among them is raised."""
    lines, seen = iter(typed), []

    def read(prompt):
        try:
            line = next(lines)
        except StopIteration:
            raise EOFError from None
        if isinstance(line, type):
            raise line
        return line

    compare.in_terminal(lesson, read, seen.append, moving=moving, pause=0)
    return "\n".join(seen)


def test_every_answer_is_in_the_file_at_once(path):
    lesson = Numbers(path)
    lesson.answer("left")
    assert compare.Answers(path, ABOUT).rows == [{"answer": "left", "pair": [10, 20]}]
    lesson.answer("skip")
    again = Numbers(path)
    assert again.number() == 2 and again.question() == (12, 22)
    assert [compare.LABELS[word] for word in ("left", "equal", "right", "skip")] == [1.0, 0.5, 0.0, None]


def test_a_line_that_was_cut_off_is_asked_for_again(path):
    Numbers(path).answer("left")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"answer": "ri')
    lesson = Numbers(path)
    assert lesson.number() == 1
    lesson.answer("right")
    assert path.read_bytes().startswith(whole) and Numbers(path).number() == 2
    path.write_bytes(b'{"se')  # not even the first line is whole
    assert Numbers(path).number() == 0 and Numbers(path).number() == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello\n", "no file of answers"),
        ('{"seed": 1}\n{"answer": "maybe"}\n', "no file of answers"),
        ('{"seed": 1}\n[1]\n', "no file of answers"),
        ("[]\n", "no file of answers"),
        ('{"seed": 2}\n', "choose another folder"),
    ],
)
def test_foreign_files_are_refused_and_left_alone(path, text, words):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(compare.AnswersError, match=words):
        Numbers(path)
    assert path.read_text() == text


def test_an_answer_that_does_not_exist_is_refused(path):
    with pytest.raises(ValueError, match="'maybe' is no answer: left, right, equal, skip are"):
        Numbers(path).answer("maybe")
    assert Numbers(path).number() == 0


def test_a_terminal_asks_until_all_is_answered(path):
    seen = talk(Numbers(path), "l", "Right ", "equal")
    assert seen.endswith("learned & done: ['left', 'right', 'equal']") and "Question 3 of 3" in seen
    assert "<10.0>    <10.2>    <10.3>    <10.4>    <10.6>" in seen.replace("  <10.0>", "<10.0>")


def test_what_is_typed_wrongly_is_explained_and_asked_again(path):
    lesson = Numbers(path)
    seen = talk(lesson, "x", "", "le ft", "s", "quit")
    assert seen.count("is no answer here: type left, right, equal, skip, again or quit") == 3
    assert lesson.answers.rows[0]["answer"] == "skip" and "1 answer is saved" in seen


def test_again_shows_the_clips_once_more(path):
    assert talk(Numbers(path), "a", "q").count("Question 1 of 3") == 2


@pytest.mark.parametrize("leaves", ["q", EOFError, KeyboardInterrupt])
def test_who_leaves_goes_on_where_they_were(path, leaves):
    assert "1 answer is saved; the same command goes on from here." in talk(Numbers(path), "l", leaves)
    seen = talk(Numbers(path), "r", "e")
    assert "Question 1" not in seen and seen.endswith("['left', 'right', 'equal']")


def test_moving_clips_are_drawn_over_one_another(path):
    seen = talk(Numbers(path), "l", moving=True)
    assert "  <10.0>    <20.0>\n  ......    ......\n" in seen and seen.count("\033[3A") == 2 * (2 * 7 - 1)


@pytest.fixture
def site(path):
    lesson = Numbers(path)
    made = compare.server(lesson)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield lesson, f"http://127.0.0.1:{made.server_port}/"
    made.shutdown()
    made.server_close()
    thread.join()


def send(url, headers=None, **form):
    """The page after a form was sent, or the code and the text of what is wrong with it."""
    body = urllib.parse.urlencode(form).encode() if form else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_page_asks_and_takes_answers(site):
    lesson, url = site
    page = send(url)
    assert "Question 1 of 3" in page and page.index("<title>10<") < page.index("<title>20<")
    assert 'name="number" value="0"' in page and all(f'value="{word}"' in page for word in compare.LABELS)
    assert "http" not in page and "src=" not in page  # it loads nothing from anywhere
    assert "Question 2 of 3" in send(url, number=0, answer="right")
    send(url, number=1, answer="equal")
    assert "learned &amp; done: [&#x27;right&#x27;, &#x27;equal&#x27;" in send(url, number=2, answer="skip")
    assert send(url, number=3, answer="left") and lesson.number() == 3


def test_a_form_that_is_sent_twice_answers_one_question(site):
    lesson, url = site
    send(url, number=0, answer="left")
    assert "Question 2 of 3" in send(url, number=0, answer="right")
    assert [row["answer"] for row in lesson.answers.rows] == ["left"]


def test_bad_requests_are_explained_and_change_nothing(site):
    lesson, url = site
    for form in ({"number": 0, "answer": "maybe"}, {"answer": "left"}, {"number": "x", "answer": "left"}):
        code, text = send(url, **form)
        assert code == 400 and "answer= one of left, right, equal, skip" in text
    assert send(url + "other") == (404, "there is only one page here: /")
    code, text = send(url, {"Origin": "http://elsewhere.example"}, number=0, answer="left")
    assert code == 403 and lesson.number() == 0
    assert "Question 2" in send(url, {"Origin": url.rstrip("/")}, number=0, answer="left")


def test_a_port_that_is_taken_is_one_line(site):
    lesson, url = site
    with pytest.raises(SystemExit, match="choose another with --port"):
        compare.in_browser(lesson, int(url.rstrip("/").rpartition(":")[2]))


def test_an_interrupted_server_says_how_to_go_on(path, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare.ThreadingHTTPServer, "serve_forever", interrupted)
    seen = []
    compare.in_browser(Numbers(path), 0, seen.append)
    assert "open http://127.0.0.1:" in seen[0] and "goes on from here" in seen[1]
