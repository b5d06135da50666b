"""Whatever a package holds, it is answered by one short sentence, at once and in little memory."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from floelens.tools.headless import ROOT

pytest.importorskip("resource", reason="limits of memory need POSIX")
SCRIPT = Path(__file__).with_name("broken_packages.py")
# Of these the values are unusual and mean something; they are no mistakes.
FINE = {"card: deep in a text"}


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, dict]:
    place = tmp_path_factory.mktemp("packages")
    command = [sys.executable, str(SCRIPT), str(ROOT), str(place)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_there_are_enough_to_mean_something():
    spec = importlib.util.spec_from_file_location("broken_packages", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(module.PACKAGES) >= 121


def test_every_package_is_answered_by_one_sentence(answers):
    assert {name: found for name, found in answers.items() if found["answer"] != "sentence"} == {}


def test_every_sentence_is_short(answers):
    assert {name: found for name, found in answers.items() if found["length"] >= 500} == {}


def test_every_answer_takes_less_than_two_seconds_and_300_mib(answers):
    slow = {name: found for name, found in answers.items() if found["seconds"] >= 2 or found["mib"] >= 300}
    assert slow == {}
