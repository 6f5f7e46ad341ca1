from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from processes import source_folders

from laion_eo.stopping import MESSAGE

BEGIN = """
import os, signal, sys, threading, time
from laion_eo.stopping import is_stoppable, stoppable

def ready():
    os.write(1, b"ready\\n")

def command():
"""
END = """
stoppable(command)
print("went on")
"""


@contextmanager
def started(code: str, *before: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program that does the code under ``stoppable``, and wait until it is ready."""
    text = BEGIN + "".join(f"    {line}\n" for line in dedent(code).strip().splitlines()) + END
    child = subprocess.Popen(
        [*before, sys.executable, "-c", text],
        env={"PYTHONPATH": ":".join(source_folders()), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.stderr and child.stderr.read()
        yield child


def ended(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit code, output and errors; a line of the output has been read already."""
    assert child.stdout is not None
    assert child.stderr is not None
    output, errors = child.stdout.read(), child.stderr.read()  # not communicate: it reads past
    return child.wait(), output, errors


def stopped(code: str, *signals: int) -> tuple[int, str, str]:
    """Return exit code, output and errors of a program that gets signals once it is ready."""
    with started(code) as child:
        for number in signals:
            child.send_signal(number)
        return ended(child)


WAIT = "ready()\ntime.sleep(60)"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_a_command_with_one_line(number: int, code: int) -> None:
    assert stopped(WAIT, number) == (code, "", f"{MESSAGE}\n")


def test_what_is_open_is_let_go_of() -> None:
    code = "try:\n    ready(); time.sleep(60)\nfinally:\n    print('closed')"
    assert stopped(code, signal.SIGINT) == (130, "closed\n", f"{MESSAGE}\n")


@pytest.mark.parametrize("signals", [2, 10])
def test_a_second_one_does_not_wait(signals: int) -> None:
    code = "try:\n    ready(); time.sleep(60)\nfinally:\n    ready(); time.sleep(60)"
    with started(code) as child:
        child.send_signal(signal.SIGINT)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for _ in range(signals - 1):
            child.send_signal(signal.SIGINT)
        assert ended(child) == (130, "", f"{MESSAGE}\n")


@pytest.mark.parametrize(
    "made_of_it",
    [
        "raise ImportError('a library that cannot be imported')",
        "raise SystemExit(1)",
        "pass",
    ],
)
def test_whatever_becomes_of_the_interrupt(made_of_it: str) -> None:
    code = f"try:\n    ready(); time.sleep(60)\nexcept KeyboardInterrupt:\n    {made_of_it}"
    assert stopped(code, signal.SIGINT) == (130, "", f"{MESSAGE}\n")


def test_an_interrupt_that_python_would_drop() -> None:
    code = """
    class Slow:
        def __del__(self):
            ready()
            time.sleep(60)
    slow = Slow()
    del slow
    time.sleep(60)
    """
    assert stopped(code, signal.SIGINT) == (130, "", f"{MESSAGE}\n")


def test_threads_are_not_waited_for() -> None:
    code = """
    def ask():
        while True:
            sys.stderr.write(''); time.sleep(0)
    for _ in range(4):
        threading.Thread(target=ask, daemon=True).start()
    threading.Thread(target=time.sleep, args=(60,)).start()
    ready()
    time.sleep(60)
    """
    assert stopped(code, signal.SIGINT) == (130, "", f"{MESSAGE}\n")


def test_a_command_that_has_ended_can_still_be_stopped() -> None:
    code = """
    import atexit
    atexit.register(lambda: (ready(), time.sleep(60)))
    sys.exit(0)
    """
    assert stopped(code, signal.SIGINT) == (130, "", f"{MESSAGE}\n")


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    with started("ready()\ntime.sleep(0.5)", *ignoring) as child:
        child.send_signal(signal.SIGINT)
        assert ended(child) == (0, "went on\n", "")


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("ready()", (0, "went on\n")),
        ("ready(); sys.exit(7)", (7, "")),
        ("ready(); assert is_stoppable()", (0, "went on\n")),
    ],
)
def test_undisturbed_it_changes_nothing(code: str, ends: tuple[int, str]) -> None:
    assert stopped(code) == (*ends, "")


def test_in_another_thread_it_does_nothing() -> None:
    code = """
    def inner():
        stoppable(lambda: print(is_stoppable()))
    ready()
    thread = threading.Thread(target=inner); thread.start(); thread.join()
    """
    assert stopped(code) == (0, "True\nwent on\n", "")


def test_the_command_is_stoppable_from_its_first_import(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, time\nos.write(1, b'ready\\n')\ntime.sleep(60)")
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "laion_eo", "plugins"],
        env={"PYTHONPATH": ":".join([str(tmp_path), *source_folders()]), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert ended(child) == (130, "", f"{MESSAGE}\n")


def test_what_a_library_made_of_an_interrupt_is_not_told_as_an_error() -> None:
    code = """
    import laion_eo.cli
    def interrupted(*_, **__):
        try:
            ready(); time.sleep(60)
        except KeyboardInterrupt as error:
            raise ValueError("a library could not go on") from error
    laion_eo.cli.cli.main = interrupted
    laion_eo.cli.main(["plugins"])
    """
    assert stopped(code, signal.SIGINT) == (130, "", f"{MESSAGE}\n")


def test_it_can_be_asked_whether_one_has_come() -> None:
    code = """
    from laion_eo.stopping import is_stopping
    before = is_stopping()
    try:
        ready(); time.sleep(60)
    except KeyboardInterrupt:
        print(before, is_stopping(), flush=True)
        raise
    """
    with started(code) as child:
        child.send_signal(signal.SIGINT)
        assert ended(child)[1].splitlines()[0] == "False True"
