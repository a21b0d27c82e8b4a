"""The progress bar: its arithmetic, its plain lines, and a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from poise.training.progress import ProgressBar


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(total: int, start: int = 0, terminal: bool = False) -> tuple[ProgressBar, Clock, io.StringIO]:
    output, clock = io.StringIO(), Clock()
    console = Console(file=output, force_terminal=terminal, width=160, highlight=False)
    return ProgressBar(total, "train", start=start, console=console, clock=clock), clock, output


def test_a_plain_line_every_ten_seconds_and_one_at_the_end() -> None:
    bar, clock, output = make(1_000_000)
    with bar:
        for second in range(1, 26):
            clock.now += 1
            bar.update(second * 10_000, {"return": second / 8})
    assert output.getvalue().splitlines() == [
        "train: 100,000/1,000,000 steps (10 %), 10,000 steps/s, 0:01:30 left, return 1.25, 0:00:10 elapsed",
        "train: 200,000/1,000,000 steps (20 %), 10,000 steps/s, 0:01:20 left, return 2.5, 0:00:20 elapsed",
        "train: 250,000/1,000,000 steps (25 %), 10,000 steps/s, 0:01:15 left, return 3.12, 0:00:25 elapsed",
    ]


def test_resumed_steps_are_no_speed() -> None:
    bar, clock, _ = make(1000, start=900)
    with bar:
        clock.now += 10
        bar.update(950)
    assert bar.status() == "950/1,000 steps (95 %), 5 steps/s, 0:00:10 left"


def test_speed_is_that_of_the_last_half_minute() -> None:
    bar, clock, _ = make(1_000_000)
    with bar:
        for _ in range(100):
            clock.now += 1
            bar.update(bar._step + 10)
        for _ in range(30):
            clock.now += 1
            bar.update(bar._step + 1000)
        assert "1,000 steps/s" in bar.status()


def test_before_the_first_step_and_beyond_the_last() -> None:
    bar, clock, output = make(0)
    with bar:
        pass
    assert output.getvalue() == "train: 0/0 steps (0 %), 0:00:00 elapsed\n"
    bar, clock, _ = make(100)
    with bar:
        clock.now += 3600
        bar.update(110)
        assert bar.status() == "110/100 steps (110 %), 0.0306 steps/s"


def test_time_left_is_not_guessed_from_a_twentieth_of_the_work() -> None:
    bar, clock, _ = make(1000, start=500)
    with bar:
        clock.now += 10
        bar.update(524)
        assert bar.status() == "524/1,000 steps (52 %), 2.4 steps/s"
        bar.update(525)
        assert bar.status() == "525/1,000 steps (52 %), 2.5 steps/s, 0:03:10 left"


def test_only_steps_have_a_rate() -> None:
    """Of what ends many at a time, the time left is judged by all that has passed."""
    clock = Clock()
    bar = ProgressBar(300, "it", console=Console(file=io.StringIO()), clock=clock, unit="episodes")
    with bar:
        clock.now += 60
        bar.update(1)
        assert bar.status() == "1/300 episodes (0 %)"
        bar.update(100)
        assert bar.status() == "100/300 episodes (33 %), 0:02:00 left"
        clock.now += 60
        bar.update(101)
        bar.update(200)
        assert bar.status() == "200/300 episodes (66 %), 0:01:00 left"


def test_metrics_stay_until_replaced() -> None:
    bar, clock, _ = make(100)
    with bar:
        clock.now += 1
        bar.update(1, {"return": 85.51, "loss": 0.000123})
        bar.update(2, {"loss": 12345.678})
        assert bar.status().endswith("return 85.5, loss 12,346")


def test_large_whole_numbers_are_written_out() -> None:
    bar, _, _ = make(10)
    bar.update(1, {"decision": 4000, "loss": 4000.5, "episodes": 7, "kl": float("nan")})
    assert bar.status().endswith("decision 4,000, loss 4,000, episodes 7, kl nan")


def test_messages_are_printed_as_they_are() -> None:
    bar, _, output = make(100)
    with bar:
        bar.print("new best [bold]85.5[/bold] in /runs/x" + " word" * 60)
    assert output.getvalue().startswith("new best [bold]85.5[/bold] in /runs/x" + " word" * 60 + "\n")


def test_on_a_terminal_a_bar_is_drawn_and_no_lines() -> None:
    bar, clock, output = make(1000, terminal=True)
    with bar:
        clock.now += 100
        bar.update(500, {"return [x]": 2})
        bar.print("above")
    drawn = output.getvalue()
    assert "500/1,000 steps (50 %), 5 steps/s, 0:01:40 left, return [x] 2" in drawn
    assert "━" in drawn
    assert "above" in drawn
    assert "elapsed" not in drawn


def test_an_error_inside_passes_through_and_frees_the_terminal() -> None:
    bar, _, output = make(1000, terminal=True)
    with pytest.raises(KeyboardInterrupt), bar:
        raise KeyboardInterrupt
    assert output.getvalue().endswith("\x1b[?25h")  # the cursor is shown again
