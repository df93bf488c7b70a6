"""A person who compares: two moving pictures side by side, in a terminal or on a page in one's own browser.

What is shown, and what an answer changes, is a ``Lesson``'s business. Here are the file that keeps the
answers, and the two ways to ask.

Book: safety/learning_from_preferences
"""

import html
import json
import os
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

LABELS = {"left": 1.0, "right": 0.0, "equal": 0.5, "skip": None}
"""What a person may answer, and the label that comes of it; a pair that is skipped gets none."""


class AnswersError(ValueError):
    """A file of answers cannot be gone on with; the text says which one, why, and what to do."""


class Answers:
    """Answers of a person, each on the disk before the next question is asked.

    A file of lines of JSON: first what the answers are ``about``, then one answer a line. Where a line was
    cut off in the middle of being written (a power failure), that answer is asked for again.

    Attributes:
        rows: dictionaries, each with ``answer`` and what else ``add`` was given.

    Raises:
        AnswersError: the file is of something else, or no file of answers.

    Book: safety/learning_from_preferences
    """

    def __init__(self, path: str | Path, about: dict[str, Any]):
        self.path, self.rows = Path(path), []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
        whole = lines[:-1]  # what comes after the last line break is nothing, or was cut off
        if not whole:
            self._write(json.dumps(about), "wb")
            return
        try:
            first, *self.rows = map(json.loads, whole)
            known = all(row["answer"] in LABELS for row in self.rows)
        except (ValueError, TypeError, KeyError):
            first, known = None, False
        if not known or not isinstance(first, dict):
            raise AnswersError(f"{self.path} is no file of answers: move it away, or choose another folder")
        if first != about:
            raise AnswersError(f"{self.path} has answers about {first}, not {about}: choose another folder")
        if lines[-1]:
            with self.path.open("r+b") as file:
                file.truncate(sum(len(line) + 1 for line in whole))

    def add(self, answer: str, **more: Any) -> None:
        """Keep one more answer, a name of ``LABELS``, with whatever belongs to it (plain values).

        Raises:
            ValueError: there is no such answer.
        """
        if answer not in LABELS:
            raise ValueError(f"{answer!r} is no answer: {', '.join(LABELS)} are")
        row = json.loads(json.dumps({"answer": answer, **more}))  # as it will be read
        self._write(json.dumps(row), "ab")
        self.rows.append(row)

    def _write(self, line: str, mode: str) -> None:
        with self.path.open(mode) as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


class Lesson(Protocol):
    """What a person is asked about: pairs of clips, how each is drawn, and what answers lead to."""

    total: int
    """how many questions there are"""

    def number(self) -> int:
        """How many have been answered: the question that is due, counted from 0."""

    def question(self) -> tuple[Any, Any] | None:
        """The two clips that are to be compared; ``None`` after the last question."""

    def answer(self, word: str) -> None:
        """Take in the answer to the present question, a name of ``LABELS``."""

    def frames(self, clip: Any) -> list[str]:
        """A clip as pictures made of letters, each of several lines, all of one width."""

    def drawing(self, clip: Any) -> str:
        """A clip as a moving picture, in HTML."""

    def conclusion(self) -> str:
        """What has been learned from all answers, in a few lines."""


# ---------------------------------------------------------------------------------------- terminal


def in_terminal(
    lesson: Lesson,
    read: Callable[[str], str] = input,
    write: Callable[[str], Any] = print,
    moving: bool | None = None,
    pause: float = 0.1,
) -> None:
    """Ask in a terminal, until all is answered or the person leaves: ``q``, Ctrl-D or Ctrl-C.

    Args:
        moving: whether clips move (the terminal must know ANSI codes), or five pictures are shown of each;
            when left out, whether the output is a terminal. pause: seconds between two pictures.

    Book: safety/learning_from_preferences
    """
    moving = sys.stdout.isatty() if moving is None else moving
    show = _move if moving else _strip
    try:
        while (pair := lesson.question()) is not None:
            number, word = lesson.number(), "again"
            while word == "again":
                write(f"\nQuestion {number + 1} of {lesson.total}: which is better?")
                show([lesson.frames(clip) for clip in pair], write, pause)
                word = _word(read, write)
            if word == "quit":
                break
            lesson.answer(word)
            write("Saved.")  # the next question may take seconds: something is learned before it
    except (EOFError, KeyboardInterrupt):
        write("")
    if lesson.number() < lesson.total:
        write(_saved(lesson))
    else:
        write(lesson.conclusion())


def _saved(lesson: Lesson) -> str:
    n = lesson.number()
    return f"{n} answer{' is' if n == 1 else 's are'} saved; the same command goes on from here."


def _word(read: Callable[[str], str], write: Callable[[str], Any]) -> str:
    """What the person wants: an answer, ``again`` or ``quit``; asks until it is one of these."""
    words = [*LABELS, "again", "quit"]
    while True:
        typed = read(f"{', '.join(words)} (the first letter will do): ").strip().lower()
        fitting = [word for word in words if typed and word.startswith(typed)]
        if len(fitting) == 1:
            return fitting[0]
        write(f"{typed!r} is no answer here: type {', '.join(words[:-1])} or {words[-1]}")


def _beside(left: str, right: str) -> str:
    return "\n".join(f"  {a}    {b}" for a, b in zip(left.split("\n"), right.split("\n"), strict=True))


def _strip(films: list[list[str]], write: Callable[[str], Any], pause: float) -> None:
    """Five pictures of each clip, in a row."""
    for name, film in zip(("left", "right"), films, strict=True):
        some = [film[round(i * (len(film) - 1) / 4)] for i in range(5)]
        row, *others = some
        for other in others:
            row = _beside(row, other)
        write(f"{name}:\n{row}")


def _move(films: list[list[str]], write: Callable[[str], Any], pause: float) -> None:
    """Both clips, twice, one picture over the other."""
    width, height = (len(films[0][0].split("\n")[0]), films[0][0].count("\n") + 2)
    for i, pair in enumerate(list(zip(*films, strict=True)) * 2):
        up = f"\033[{height}A" if i else ""
        write(f"{up}{_beside(*pair)}\n  {'left':^{width}}    {'right':^{width}}")
        time.sleep(pause)


# ---------------------------------------------------------------------------------------- a page

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Which is better?</title><style>
body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 40em; margin: 2em auto; padding: 0 1em; }}
.pair {{ display: flex; gap: 1em; }} .pair > * {{ flex: 1; text-align: center; }}
svg {{ width: 100%; height: auto; background: #f5f5f5; }}
form {{ display: flex; flex-wrap: wrap; gap: .5em; }} button {{ font: inherit; padding: .5em 1em; flex: 1; }}
</style></head><body>{body}<script>
const names = {{ArrowLeft: "left", ArrowRight: "right", ArrowUp: "equal", ArrowDown: "skip"}};
addEventListener("keydown", event => document.querySelector(`[value=${{names[event.key]}}]`)?.click());
</script></body></html>"""

ASK = """<h1>Which is better?</h1><p>Question {shown} of {total}. Answers are saved as you give them.</p>
<div class="pair"><figure>{left}<figcaption>left</figcaption></figure>
<figure>{right}<figcaption>right</figcaption></figure></div>
<form method="post" action="/"><input type="hidden" name="number" value="{number}">{buttons}</form>
<p>Keys: the arrows left and right; up for equal, down to skip.</p>"""


def page(lesson: Lesson) -> str:
    """The page of the question that is due, or of the conclusion; whole HTML that loads nothing else."""
    pair = lesson.question()
    if pair is None:
        return PAGE.format(
            body=f"<h1>That was the last one</h1><pre>{html.escape(lesson.conclusion())}</pre>"
        )
    left, right = map(lesson.drawing, pair)
    buttons = "".join(f'<button name="answer" value="{word}">{word}</button>' for word in LABELS)
    number, about = lesson.number(), {"left": left, "right": right, "buttons": buttons}
    return PAGE.format(body=ASK.format(number=number, shown=number + 1, total=lesson.total, **about))


def server(lesson: Lesson, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page, for this machine alone; port 0: any that is free, see ``server_port``.

    Raises:
        OSError: the port is taken.

    Book: safety/learning_from_preferences
    """
    lock = threading.Lock()  # browsers keep spare connections open: one thread would wait for these

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/":
                return self._send(404, "there is only one page here: /")
            with lock:
                self._send(200, page(lesson), "text/html")

        def do_POST(self) -> None:
            size = self.headers.get("Content-Length", "0")
            text = self.rfile.read(min(int(size), 1000)).decode("utf-8", "replace") if size.isdigit() else ""
            form = dict(urllib.parse.parse_qsl(text))
            word, number = form.get("answer", ""), form.get("number", "")
            own = urllib.parse.urlsplit(self.headers.get("Origin", "http://127.0.0.1")).hostname
            if own not in ("127.0.0.1", "localhost"):
                return self._send(403, "answers come from the page itself")
            if word not in LABELS or not number.isdecimal():
                wanted = f"answer= one of {', '.join(LABELS)}, and number= that of the question"
                return self._send(400, f"{text!r} is no answer: send {wanted}")
            with lock:
                # a form that is sent twice answers one question
                if int(number) == lesson.number() < lesson.total:
                    lesson.answer(word)
            self.send_response(303)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, code: int, text: str, kind: str = "text/plain") -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def in_browser(lesson: Lesson, port: int = 8765, write: Callable[[str], Any] = print) -> None:
    """Serve the page until the person leaves with Ctrl-C.

    Book: safety/learning_from_preferences
    """
    try:
        made = server(lesson, port)
    except OSError as error:
        raise SystemExit(
            f"port {port} cannot be used ({error.strerror}): choose another with --port"
        ) from None
    write(f"open http://127.0.0.1:{made.server_port}/ in a browser; Ctrl-C ends it")
    try:
        made.serve_forever()
    except KeyboardInterrupt:
        write("\n" + _saved(lesson))
    finally:
        made.server_close()
