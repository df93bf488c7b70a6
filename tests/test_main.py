"""The console command leads to an algorithm's own command line, and to the checker."""

import io
import sys

import gymnasium as gym
import pytest

from rlworkshop import __main__ as console
from rlworkshop import runs


def test_it_trains_what_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    console.main(["train", "vpg", "--total-steps", "1024", "--seed", "3", "--out", "here.npz"])
    run = runs.Run.load("here.npz")
    assert (run.algorithm, run.seed, run.config["total_steps"]) == ("rlworkshop.algorithms.vpg", 3, 1024)
    assert "CartPole-v1, seed 3: " in capsys.readouterr().out


def test_it_finds_the_environment_of_who_calls_it_in_the_present_folder(tmp_path, monkeypatch):
    text = "import gymnasium\ngymnasium.register('Own-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    (tmp_path / "own_module.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    try:
        console.main(["train", "ppo", "--env-id", "own_module:Own-v0", "--total-steps", "1024"])
    finally:
        gym.registry.pop("Own-v0", None)
        sys.modules.pop("own_module", None)
    assert runs.Run.load("ppo.npz").env_id == "own_module:Own-v0"


def test_it_passes_on_to_the_checker(capsys):
    assert console.main(["check", "--list"]) == 0
    assert "vpg" in capsys.readouterr().out


def test_it_passes_on_to_the_lesson(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "stdin", io.StringIO("quit\n"))
    console.main(["teach", "--folder", str(tmp_path)])
    assert "Question 1 of 60" in capsys.readouterr().out and (tmp_path / "answers.jsonl").exists()


def test_it_passes_on_to_the_projects(capsys):
    assert console.main(["projects", "list", "--level", "open problem"]) == 0
    assert "audits-on-a-budget" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "usage: "), (["fly"], "usage: "),
     (["train"], "There is: a2c, crossq, ddpg, dqn, dqn_family"),
     (["train", "dqm"], "train which algorithm")],
)  # fmt: skip
def test_a_mistake_is_one_line(arguments, words):
    with pytest.raises(SystemExit, match=words) as ended:
        console.main(arguments)
    assert "\n" not in str(ended.value)
