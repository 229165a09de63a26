"""Where a server may listen, and what a token must be: without one, on this machine only."""

import ipaddress
import socket

TOKEN_CHARACTERS = 16


def check_token(host: str, token: str | None) -> None:
    """ValueError unless the token is fit to be one, and there is one wherever others can connect."""
    if token is None:
        if not is_loopback(host):
            raise ValueError(f"host {host!r} lets other machines connect; give a token, or leave it 127.0.0.1")
    elif len(token) < TOKEN_CHARACTERS or not all("!" <= character <= "~" for character in token):
        raise ValueError(f"a token needs at least {TOKEN_CHARACTERS} ASCII letters, digits or signs, without spaces")


def address_family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
