"""What the person watching sees: one live line on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn


class Watch:
    """Shows steps and evaluations. Use as a context manager, so that the terminal is restored however a run ends."""

    def __init__(self, *, steps: int, is_quiet: bool = False) -> None:
        # FORCE_COLOR, which many CI systems set, must not put escape codes into a piped log.
        is_terminal = None if sys.stderr.isatty() else False
        self.console = Console(stderr=True, quiet=is_quiet, highlight=False, force_terminal=is_terminal)
        self.is_live = self.console.is_interactive and not is_quiet
        self.steps, self.first, self.started = steps, 0, time.monotonic()
        self.accuracy: float | None = None
        self.live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            transient=True,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> "Watch":
        if self.is_live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live.live.is_started:
            self.live.stop()

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)

    def step(self, metrics: dict[str, Any]) -> None:
        """Shows a step's metrics; a piped log gets a line a step."""
        self.accuracy = metrics.get("accuracy", self.accuracy)
        shown = "reward" if "reward" in metrics else "loss"
        parts = [f"{shown} {metrics[shown]:.3f}"]
        if "gold_reward" in metrics and metrics["gold_reward"] != metrics["reward"]:
            parts.append(f"gold {metrics['gold_reward']:.3f}")
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy:.1%}")
        parts += [f"{pace(metrics):,.0f} tokens/s", f"{duration(self.left(metrics['step']))} left"]
        self.show("step", metrics["step"], self.steps, ", ".join(parts), is_line=True)

    def evaluating(self, what: str, done: int, total: int) -> None:
        self.show(what, done, total, "", is_line=done == total)

    def show(self, what: str, done: int, total: int, text: str, *, is_line: bool) -> None:
        if not self.is_live:
            if is_line:
                self.say(f"{what} {done}/{total} {text}".rstrip())
            return
        if self.task is None:
            self.task = self.live.add_task(what, total=total, text=text)
        self.live.update(self.task, description=what, completed=done, total=total, text=text)

    def left(self, step: int) -> float:
        """Seconds until the last step, at the pace since this process began stepping."""
        return (time.monotonic() - self.started) / max(1, step - self.first) * (self.steps - step)

    def start_steps(self, done: int) -> None:
        """The time left is reckoned from here, so that what came before does not count."""
        self.first, self.started = done, time.monotonic()


def pace(metrics: dict[str, Any]) -> float:
    """Tokens a second: sampled, where the step samples what it learns from, and learned where it does not."""
    if "sampled_tokens_per_second" in metrics:
        return metrics["sampled_tokens_per_second"]
    return metrics["tokens"] / metrics["seconds"]


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
