"""Where a server may listen, and what a token must be: without one, on this machine only."""

import ipaddress
import socket
from urllib.parse import urlsplit

TOKEN_CHARACTERS = 16


def check_token(host: str, token: str | None) -> None:
    """ValueError unless the token is fit to be one, and there is one wherever others can connect."""
    if token is None:
        if not is_loopback(host):
            raise ValueError(f"host {host!r} lets other machines connect; give a token, or leave it 127.0.0.1")
    elif len(token) < TOKEN_CHARACTERS or not all("!" <= character <= "~" for character in token):
        raise ValueError(f"a token needs at least {TOKEN_CHARACTERS} ASCII letters, digits or signs, without spaces")


def check_port(host: str, port: int) -> None:
    """ValueError if nobody can listen there; to be asked before a model is loaded."""
    if not 0 <= port <= 65_535:
        raise ValueError(f"there is no port {port}; give a --port up to 65535, or 0 for any free one")
    try:
        socket.create_server((host, port), family=address_family(host)).close()
    except OSError as error:
        raise ValueError(f"cannot listen on port {port} of {host} ({error}); give another --port, or 0") from error


def address_family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_local(url: str) -> bool:
    """Whether its host is this machine, by an address or name that can be given to no other."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
