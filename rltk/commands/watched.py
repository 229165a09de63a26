"""Measuring with models from the command line: quiet libraries, progress, and an end at Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rltk.run.progress import Watch


@contextmanager
def watched(*, is_quiet: bool) -> Iterator["Watch"]:
    """Within it progress is shown, and Ctrl-C ends what is done at once.

    Only here is torch imported: what is mistyped is answered in a fraction of the time that it takes.
    """
    from rltk.models.quiet import quiet_libraries
    from rltk.run.interrupt import Stop
    from rltk.run.progress import Watch

    quiet_libraries()
    watch = Watch(steps=0, is_quiet=is_quiet)
    with watch, Stop(watch.say).listening():
        yield watch
