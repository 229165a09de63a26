"""Whether the hub answers, asked once and not for long."""

from __future__ import annotations

import threading
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE = 1.5
"""Seconds, looking up its name included."""


class Hub(NamedTuple):
    address: str
    is_offline: bool
    """HF_HUB_OFFLINE is set, so nothing asks it."""
    answers: bool | None
    """None where it was not asked."""


def ask_hub() -> Hub:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Hub(constants.ENDPOINT, True, None)
    return Hub(constants.ENDPOINT, False, answers(constants.ENDPOINT, PATIENCE))


def answers(address: str, patience: float) -> bool:
    """Whatever the answer is. In a thread, since no time limit holds for looking up a name."""
    found: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(is_there(address, patience)), daemon=True)
    asking.start()
    asking.join(patience)
    return found == [True]


def is_there(address: str, patience: float) -> bool:
    try:
        with urlopen(Request(address, method="HEAD"), timeout=patience):
            return True
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False
