"""A program under a terminal of its own: what it writes there, and keys that are pressed."""

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
from contextlib import suppress

from tests.forks import SOURCES


class Terminal:
    """100 columns wide, unless the environment says otherwise."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.text = ""
        # fmt: off
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "PYTHONPATH": SOURCES, "TERM": "xterm", "COLUMNS": "100", **environment},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        # fmt: on
        os.close(slave)

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + 120
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self.master], [], [], 1)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def plain(self) -> str:
        """What was written, without escape codes."""
        return self.without_codes(self.text)

    @staticmethod
    def without_codes(text: str) -> str:
        return re.sub("\x1b.*?[A-Za-z]", "", text)

    def close(self) -> int:
        """The exit status; what was still written is in `text`."""
        with suppress(OSError):  # which Linux raises at the end, where others give nothing
            while some := os.read(self.master, 65536):
                self.text += some.decode(errors="replace")
        os.close(self.master)
        return self.process.wait(60)
