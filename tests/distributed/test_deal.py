"""Work dealt by weight, and where a process finds itself."""

import pytest

from rltk.distributed.deal import collected, deal
from rltk.distributed.place import Place, first_host, found

TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NODELIST": "gpu[03-04],gpu9",
    "SLURM_JOB_ID": "1234567",
}


def test_the_heaviest_goes_to_who_has_least() -> None:
    """9 | 7, then 5 to the 7, 4 to the 9, 2 to the 12 (13 has more): 13 | 14."""
    assert deal([2, 9, 4, 7, 5], 2) == [[1, 2], [0, 3, 4]]


def test_equal_work_is_dealt_evenly_and_everything_once() -> None:
    hands = deal([1] * 7, 3)
    assert sorted(map(len, hands)) == [2, 2, 3]
    assert sorted(place for hand in hands for place in hand) == list(range(7))
    assert deal([], 2) == [[], []] and deal([3], 2) == [[0], []]


def test_what_the_hands_made_comes_back_in_order() -> None:
    hands = deal([2, 9, 4, 7, 5], 2)
    assert collected(hands, [[f"made {place}" for place in hand] for hand in hands]) == [f"made {i}" for i in range(5)]


def test_one_hand_gets_everything_in_order() -> None:
    assert deal([3, 1, 2], 1) == [[0, 1, 2]]


def test_launchers_are_recognized_by_what_they_set() -> None:
    assert found({}) is None
    assert found({"RANK": "0", "WORLD_SIZE": "2"}) is None, "a number alone is nobody's launcher"
    assert found(TORCHRUN) == Place(3, 4, 1, "a", 29500)
    assert found(SLURM) == Place(5, 8, 1, "gpu03", 24567)
    assert found(SLURM | {"SLURM_STEP_NUM_TASKS": "1"}) is None
    assert found(SLURM | TORCHRUN) == Place(3, 4, 1, "a", 29500), "torchrun may have been started by Slurm"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("node1", "node1"), ("a,b", "a"), ("n[7-9]", "n7"), ("n[07,09]-ib", "n07-ib"), ("n[1-2],m[3-4]", "n1")],
)
def test_the_first_host_of_slurms_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first
