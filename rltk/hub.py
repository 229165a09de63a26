"""The hub, where it cannot be reached: its client then reads what it has, at once, and not after a minute of tries."""

import socket
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies


@cache
def seek_hub() -> None:
    """Before anything is asked of the hub, once a process. A proxy may know names that this machine does not."""
    from huggingface_hub import constants  # its import takes longer than most commands

    host = urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE or host is None or getproxies().keys() & {"https", "all"}:
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
