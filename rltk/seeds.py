"""One seed a purpose, so that no draw depends on how many draws came before it."""

import hashlib


def derive(seed: int, *names: str | float) -> int:
    """A 63-bit seed for, say, `derive(0, "rollout", step)`; other names or another seed give an unrelated one."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
