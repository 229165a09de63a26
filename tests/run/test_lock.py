"""One process at a time, also where the lock of before is removed as it is being taken."""

import fcntl
from pathlib import Path
from typing import Any

import pytest

from rltk.errors import UserError
from rltk.run.lock import LOCK, is_locked, locked


def test_a_lock_that_its_owner_removes_meanwhile_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, ends = fcntl.flock, iter([True])

    def late(file: Any, how: int) -> None:
        if next(ends, False):
            (tmp_path / LOCK).unlink()  # as another process does that ends between our opening and our locking
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path, is_new=False):
        assert is_locked(tmp_path)
        with pytest.raises(UserError, match="another process is working"), locked(tmp_path, is_new=False):
            pass
    assert not list(tmp_path.iterdir())
