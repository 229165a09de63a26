"""Runs `rltk` in a fork of this process, beside which a test goes on."""

import os
import sys
from typing import TextIO

import torch

from rltk.cli import main


def forked(argv: list[str]) -> tuple[int, TextIO]:
    """`rltk` in a process of its own that need not import torch again, and what it says."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        torch.set_num_threads(1)  # a forked process cannot use the thread pools of its parent
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        status = 1
        try:
            with open(1, "w", closefd=False, buffering=1) as out, open(2, "w", closefd=False, buffering=1) as err:
                sys.stdout, sys.stderr = out, err
                status = main(argv)
        finally:  # whatever happens, the tests go on in one process only
            os._exit(status)
    os.close(writing)
    return pid, open(reading, encoding="utf-8")
