"""The process in which algebra is done: one question a line in, one verdict a line out, within bounds.

Started by `rltk_eval.pool` as `python -m rltk_eval.worker BYTES SECONDS`. Reads `["answer", "gold"]`, writes `true`,
`false`, or `"memory"` before it gives up. It ends when its input does. Should its parent be killed in the middle of a
check, the limit on processor time ends it.
"""

import json
import os
import resource
import sys
from typing import TextIO

from rltk_eval.symbolic import slow_match

SLACK = 2
"""Seconds of processor time beyond the bound, which the parent watches; whole seconds are what the system counts."""
FULL, USED = 0.8, 0.5
"""Shares of the memory bound: a check that took the first has failed, a process that took the second is replaced."""


def main() -> None:
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    replies = _private_output()
    print('"ready"', file=replies, flush=True)
    for line in sys.stdin:
        _allow(seconds)
        verdict = _verdict(*json.loads(line), memory=memory)
        print(json.dumps(verdict), file=replies, flush=True)
        if verdict == "memory" or _peak() > USED * memory:
            return


def _verdict(answer: str, gold: str, *, memory: int) -> bool | str:
    """sympy may catch a MemoryError and go on, so a "no" from a process that was full counts as one."""
    try:
        equal = slow_match(answer, gold)
    except MemoryError:
        return "memory"
    return "memory" if not equal and _peak() > FULL * memory else equal


def _private_output() -> TextIO:
    """The pipe to the parent; whatever a library prints goes nowhere."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return replies


def _allow(seconds: float) -> None:
    """Processor time for one more check; the kernel ends a process that runs over it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + SLACK, hard))


def _peak() -> int:
    """Bytes of memory at the most so far.

    On Linux from the process's status: what `getrusage` says there counts the parent's memory too, from before the
    worker's program was loaded. On macOS that is bytes.
    """
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
