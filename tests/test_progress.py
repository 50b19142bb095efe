"""The progress line: what it says, when it is drawn, where it goes, and that it ends."""

import io
import types

import numpy as np
import pytest

from keras_cr import _progress
from keras_cr._progress import Progress, announce, tracked


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(_progress, "_TICK", 3600)  # nothing is drawn but by what the test does
    monkeypatch.setattr(_progress, "_SHORT", 2.0)
    monkeypatch.setenv("COLUMNS", "120")
    return Clock()


@pytest.fixture
def terminal(monkeypatch, clock):
    return on_a_terminal(monkeypatch)


def on_a_terminal(monkeypatch):
    """What is written to a terminal; `sys.stderr` itself is pytest's between setup and test."""
    monkeypatch.setattr(_progress, "sys", types.SimpleNamespace(stderr=Terminal()))
    monkeypatch.setenv("TERM", "xterm")
    return _progress.sys.stderr


def lines(terminal):
    return [
        line.rstrip()
        for line in terminal.getvalue().replace("\n", "\n\r").split("\r")
        if line.strip()
    ]


def test_the_first_step_does_not_spoil_the_time_left(terminal, clock):
    """Its compilation took 300 s; the others take one each."""
    with Progress("Training", total=61, clock=clock) as progress:
        assert progress.left is None
        clock.now += 300
        progress.advance()
        assert progress.left is None
        clock.now += 1
        progress.advance()
        assert progress.left == pytest.approx(59)
        clock.now += 9
        progress.advance(9, note="loss 3.2")
        assert progress.left == pytest.approx(50)
        assert (
            lines(terminal)[-1]
            == "Training:  18% |###.................| 11/61 steps [5:10<0:50] loss 3.2"
        )


def test_a_resumed_run_counts_its_own_steps_alone(clock, capsys):
    with Progress("Training", total=1000, done=900, clock=clock) as progress:
        clock.now += 40
        progress.advance()
        clock.now += 2
        progress.advance()
        assert progress.left == pytest.approx(2 * 98)


def test_a_terminal_keeps_the_finished_line_or_none(terminal, clock):
    for leave in (True, False):
        with Progress("Reading", total=2, unit="images", leave=leave, clock=clock) as progress:
            progress.to(2)
    drawn = lines(terminal)
    assert drawn[0] == "Reading:   0% |....................| 0/2 images [0:00<?]"
    assert "100% |####################| 2/2 images [0:00<0:00]" in drawn[-2]
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().endswith(" \r")


def test_the_line_fits_the_terminal_and_covers_the_last_one(terminal, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    with Progress("A title", clock=clock) as progress:
        clock.now += 1
        progress.tell("x" * 100)
        clock.now += 1
        progress.tell("")
    drawn = terminal.getvalue().split("\r")[1:]
    assert [len(line.rstrip("\n")) for line in drawn[1:3]] == [29, 29]
    assert all(len(line.rstrip("\n")) <= 29 for line in drawn)


def test_a_log_gets_few_lines(clock, capsys):
    with Progress("Embedding", total=1000, unit="images", clock=clock) as progress:
        for _ in range(1000):
            clock.now += 0.125
            progress.advance()
    said = capsys.readouterr()
    assert said.out == ""
    told = said.err.splitlines()
    assert [line.split("[")[0] for line in told] == [
        "Embedding:   2% 16/1,000 images ",
        "Embedding:  26% 256/1,000 images ",
        "Embedding:  50% 496/1,000 images ",
        "Embedding:  74% 736/1,000 images ",
        "Embedding:  98% 976/1,000 images ",
        "Embedding: 100% 1,000/1,000 images ",
    ]
    assert told[0].endswith("[0:02<2:03]")


def test_short_work_leaves_no_trace_in_a_log(clock, capsys):
    with Progress("Embedding", total=2, clock=clock) as progress:
        clock.now += 1.9
        progress.to(2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("live", [True, False])
def test_time_is_told_while_nothing_is_reported(live, monkeypatch, capsys):
    """A single call of another library can take minutes."""
    monkeypatch.setattr(_progress, "_TICK", 0.01)
    monkeypatch.setattr(_progress, "_SHORT", 0.05)
    monkeypatch.setattr(_progress, "_REDRAW", 0.01)
    file = on_a_terminal(monkeypatch) if live else None
    with Progress("Writing the report"):
        for _ in range(500):
            _progress.time.sleep(0.01)
            text = file.getvalue() if live else capsys.readouterr().err
            if text.count("Writing the report [0:0") >= (2 if live else 1):
                break
        else:
            pytest.fail("nothing was told")


def test_verbose(terminal, clock, capsys):
    with Progress("Silent", verbose=0, clock=clock) as progress:
        progress.advance()
    announce("silent", verbose=0)
    assert terminal.getvalue() == ""
    with Progress("Lines", verbose=2, clock=clock) as progress:
        clock.now += 3
        progress.advance()
    assert terminal.getvalue() == "Lines: 1 steps [0:03]\n"
    for verbose in ("auto", 1, True):
        announce("told", verbose)
    assert terminal.getvalue().endswith("told\ntold\ntold\n")
    for wrong in (3, -1, "yes", None, 0.5):
        with pytest.raises(ValueError, match=r"`verbose` must be 'auto', 0, 1 or 2. Received"):
            Progress("x", verbose=wrong)


def test_the_outermost_work_alone_is_drawn(terminal, clock):
    with Progress("Outer", clock=clock), Progress("Inner", total=3, clock=clock) as inner:
        clock.now += 5
        inner.advance(2)
    assert "Inner" not in terminal.getvalue()
    with Progress("Silent", verbose=0), Progress("Shown", clock=clock):
        pass
    assert "Shown" in terminal.getvalue()
    with Progress("Next", clock=clock):
        pass
    assert "Next" in terminal.getvalue()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_line_ends_and_the_next_work_is_drawn(terminal, clock, error):
    progress = Progress("Broken", total=4, clock=clock)

    def fail():
        with progress:
            progress.advance()
            raise error

    with pytest.raises(error):
        fail()
    assert terminal.getvalue().endswith("\n")
    assert "100%" not in terminal.getvalue()
    before = len(terminal.getvalue())
    progress.tell("late")
    assert len(terminal.getvalue()) == before
    with Progress("Next", clock=clock):
        pass
    assert "Next" in terminal.getvalue()


def test_a_terminal_that_goes_away_does_not_stop_the_work(terminal, clock):
    with Progress("Working", total=2, clock=clock) as progress:
        terminal.close()
        clock.now += 5
        progress.advance(2)
    assert progress.done == 2


def test_without_stderr(monkeypatch, clock):
    monkeypatch.setattr(_progress, "sys", types.SimpleNamespace(stderr=None))  # as under pythonw
    with Progress("Working", clock=clock) as progress:
        progress.advance()
    announce("told")
    assert progress.done == 1


def test_batches_are_handed_on_and_their_images_counted(terminal, clock):
    batches = [
        np.zeros((4, 8, 8, 3)),
        (np.zeros((3, 8, 8, 3)), np.zeros(3)),
        np.zeros((0, 8, 8, 3)),
    ]
    seen = list(tracked(batches, "Embedding", total=7))
    assert all(mine is theirs for mine, theirs in zip(seen, batches, strict=True))
    assert "7/7 images" in lines(terminal)[-1]
    assert list(tracked(["a", "b"], "Checking", 2, single=True)) == ["a", "b"]
    first = tracked(batches, "Left early")
    next(first)
    first.close()
    assert not _progress._open
