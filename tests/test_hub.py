"""Where the hub's name leads nowhere its client reads its cache only; where it leads somewhere nothing changes."""

import pytest
from huggingface_hub import constants

from rltk.hub import seek_hub
from rltk.recipe.paths import looks_local

NOWHERE = "https://hub.invalid"  # RFC 6761: no such name will ever be given out


@pytest.mark.parametrize(
    ("endpoint", "proxy", "is_offline"),
    [(NOWHERE, None, True), (NOWHERE, "http://proxy.invalid:3128", False), ("http://localhost:9", None, False)],
)
def test_the_hub_is_asked_only_where_it_may_be(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, proxy: str | None, is_offline: bool
):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if proxy is not None:
        monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    seek_hub.__wrapped__()
    assert constants.HF_HUB_OFFLINE is is_offline


def test_what_no_id_of_the_hub_is_must_lie_here():
    here = ["./a", "../a", "/a", "~/a", "runs/a", "runs/gsm8k_grpo/1a2b", "a/b/c", "mine.jsonl", "."]
    elsewhere = ["Qwen/Qwen3-0.6B", "gpt2", "openai/gsm8k", "embedded/policy", "hf://datasets/a/b/c"]
    assert [looks_local(path) for path in (*here, *elsewhere)] == [True] * len(here) + [False] * len(elsewhere)
