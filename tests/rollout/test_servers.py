"""The `vllm` engine against `rltk serve` in other processes: what is sampled, what a fault costs, what is refused."""

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from rltk.cli import main
from rltk.errors import SamplerGoneError, UserError
from rltk.models.adapters import add_lora
from rltk.models.load import load_weights
from rltk.recipe.schema import LoRA, Model, Rollout
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling
from rltk.rollout.servers.adapters import AdapterOnServers, Shelf
from rltk.rollout.servers.fleet import Fleet, connect
from rltk.rollout.servers.meaning import meaning
from rltk.rollout.servers.sampler import ServerSampler
from rltk.rollout.servers.server import ModelServer
from tests import runs, tiny
from tests.onpolicy.made import off_base
from tests.reward_models.processes import Server, Servers
from tests.reward_models.test_client import EnoughError, alarm
from tests.rollout.stale import stale

TOKEN = "a-token-that-nobody-may-find-in-a-file"
PROMPTS = [[7, 8, 9], [20, 21, 22, 23, 24, 25], [40], [11, 30, 12]]
FLOAT32 = ("--dtype", "float32")
SAMPLING: dict[str, Any] = {"temperature": 1.2, "top_p": 0.98}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers("rltk.cli") as running:
        yield running


@pytest.fixture(scope="module")
def server(servers: Servers, guesser: Path) -> Server:
    return servers.start(guesser, *FLOAT32)


def train(folder: Path, policy: Path, run: Path, **rollout: Any) -> int:
    algo = {"prompts": 8, "group": 8, "kl": 0.05}  # the KL divergence teaches something even without a reward
    steps = {"optim": {"steps": 5, "lr": 0.01}, "run": {"checkpoint_every": 4}, "eval": {"every": 0, "samples": 1}}
    path = runs.write_recipe(folder, policy, algo=algo, **steps, rollout={**SAMPLING, **rollout})
    return main(["train", str(path), "--quiet", "--run", str(run)])


def over(*servers: Server | str, **keys: Any) -> dict[str, Any]:
    urls = [server if isinstance(server, str) else server.url for server in servers]
    return {"engine": "vllm", "servers": urls, "in_flight": 1, **keys}


@pytest.fixture(scope="module")
def native(guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    assert train(folder, guesser, folder / "run", batch=8) == 0
    return folder / "run"


def same_curve(run: Path, expected: Path) -> None:
    """The same completions, so the same rewards: a server that is asked for one prompt at a time has the batches of the
    native engine, or a random number between two tokens would now and then fall to the other one."""
    found, wanted = runs.untimed(run), runs.untimed(expected)
    assert [row["step"] for row in found] == [1, 2, 3, 4, 5]
    assert len({row["loss"] for row in wanted if row["loss"]}) >= 3, "steps that teach nothing prove nothing"
    for ours, theirs in zip(found, wanted, strict=True):
        exact = ("reward", "completion_tokens", "truncated", "zero_variance_groups", "sampled_tokens")
        assert {key: ours[key] for key in exact} == {key: theirs[key] for key in exact}
        for key in ("loss", "entropy", "grad_norm"):
            assert number(ours[key]) == pytest.approx(number(theirs[key]), rel=1e-3, abs=1e-5, nan_ok=True), key
        assert not number(ours["rollout_mismatch_kl"]) > 1e-6
    assert runs.read(run / "scores.json") == runs.read(expected / "scores.json")


def number(value: float | None) -> float:
    """nan, which a file has as null, where a step had nothing to learn from."""
    return float("nan") if value is None else value


def test_a_run_over_servers_is_the_native_engines_and_keeps_the_token_to_itself(
    servers: Servers, guesser: Path, native: Path, tmp_path: Path
) -> None:
    file, run = tmp_path / "token", tmp_path / "run"
    file.write_text(f"{TOKEN}\n")
    two = [servers.start(guesser, *FLOAT32, "--token-file", str(file)) for _ in range(2)]
    assert train(tmp_path, guesser, run, **over(*two, token_file=str(file))) == 0
    same_curve(run, native)
    written = [path for path in run.rglob("*") if path.is_file()]
    assert len(written) > 10 and not [path for path in written if TOKEN.encode() in path.read_bytes()]
    assert str(file) in (run / "manifest.json").read_text()
    assert "adapters" not in runs.names(run)
    for server in two:
        assert models(server, TOKEN) == [guesser.name]
        server.kill()


def models(server: Server, token: str) -> list[str]:
    request = urllib.request.Request(f"{server.url}/models", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return [model["id"] for model in json.load(answer)["data"]]


def test_a_server_that_goes_on_with_the_adapter_of_before_stops_the_run(
    server: Server, guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with stale(server.url) as url:
        assert train(tmp_path, guesser, tmp_path / "run", **over(url)) == 2
    said = capfd.readouterr().err
    assert "were not sampled by the policy that trains" in said
    assert "they come from a stale adapter, from before the last update" in said


def test_a_server_of_another_base_stops_the_run(
    servers: Servers, server: Server, guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = servers.start(runs.guesser(tmp_path / "other", seed=5, tie_word_embeddings=True), *FLOAT32)
    assert train(tmp_path, guesser, tmp_path / "run", **over(server, other)) == 2
    assert f"{other.url.removesuffix('/v1')} cannot load the adapter" in capfd.readouterr().err


def test_a_killed_server_ends_the_run_and_loses_no_step(
    servers: Servers, guesser: Path, native: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server, run = servers.start(guesser, *FLOAT32), tmp_path / "run"
    watcher = threading.Thread(target=kill_after, args=(server, run / "metrics.jsonl", 2))
    watcher.start()
    assert train(tmp_path, guesser, run, **over(server, patience=0.5)) == 2
    watcher.join()
    said, url = capfd.readouterr().err, server.url.removesuffix("/v1")
    assert f"{url} has given no completions for 0.5 seconds" in said
    assert f"go on with: rltk train {run} --resume" in said
    done = len(runs.rows(run / "metrics.jsonl"))
    assert 2 <= done < 5
    assert runs.names(run / "checkpoints")[-1] == f"step-{done:06d}", "the last step that was made is kept"
    servers.start(guesser, *FLOAT32, port=server.port)
    assert main(["train", str(run), "--resume", "--quiet"]) == 0
    same_curve(run, native)


def kill_after(server: Server, metrics: Path, steps: int) -> None:
    while not metrics.exists() or len(metrics.read_text().splitlines()) < steps:
        time.sleep(0.01)
    server.kill()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("base") / "base")


def adapted(base: Path) -> PeftModel:
    described = Model(path=str(base), dtype="float32")
    return off_base(add_lora(load_weights(described, torch.device("cpu")), LoRA(rank=4)))


def sampler_over(servers: list[Server], model: PeftModel, base: Path, place: Path, **keys: Any) -> ServerSampler:
    fleet = connect(Rollout(engine="vllm", servers=tuple(server.url for server in servers), **keys))
    weights = AdapterOnServers(model, Model(path=str(base), dtype="float32"), Shelf(place, fleet), name="test")
    return ServerSampler(fleet, weights, stops=stops(), in_flight=8)


def stops() -> tuple[int, ...]:
    stop = tiny.tokenizer().eos_token_id
    assert isinstance(stop, int)
    return (stop,)


def tokens(sampler: Any, sampling: Sampling) -> list[list[int]]:
    return [rollout.tokens_T.tolist() for group in sampler.sample(PROMPTS, 3, sampling, seed=3) for rollout in group]


def test_who_dies_is_passed_over_and_who_comes_back_gets_the_adapter_again(
    servers: Servers, base: Path, tmp_path: Path
) -> None:
    model, sampling = adapted(base), Sampling(200, temperature=0.9)
    expected = tokens(NativeSampler(model, stops=stops(), batch=None, dtype=torch.float32), sampling)
    two = [servers.start(base, *FLOAT32) for _ in range(2)]
    sampler = sampler_over(two, model, base, tmp_path / "adapters", patience=60.0)
    dying = threading.Timer(0.3, two[0].kill)
    dying.start()  # in the middle of its requests, or before them on a slow machine
    assert tokens(sampler, sampling) == expected
    dying.join()
    assert tokens(sampler, sampling) == expected
    two[1].kill()
    sampler.fleet.patience = 0.3
    with pytest.raises(SamplerGoneError, match=r"like 1 others, has given no completions for 0.3 seconds"):
        tokens(sampler, sampling)
    restart = threading.Timer(0.5, servers.start, (base, *FLOAT32), {"port": two[1].port})
    restart.start()
    sampler.fleet.patience = 60.0
    assert tokens(sampler, sampling) == expected
    restart.join()


class AsTheyAre:
    """Weights that the servers have already."""

    def bring(self) -> None: ...

    def name_on(self, server: ModelServer) -> str:
        return "base"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes requests and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_who_is_interrupted_does_not_wait_for_answers(silent: str) -> None:
    fleet = Fleet([ModelServer(silent, None, timeout=300)], patience=300)
    sampler, begun = ServerSampler(fleet, AsTheyAre(), stops=(), in_flight=2), time.monotonic()
    with alarm(0.5), pytest.raises(EnoughError):
        tokens(sampler, Sampling(4))
    assert time.monotonic() - begun < 60


def test_the_first_failure_does_not_wait_for_other_answers(silent: str) -> None:
    """One server refuses and the other does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as refusing:
        thread = threading.Thread(target=refuse, args=(refusing,))
        thread.start()
        url = f"http://127.0.0.1:{refusing.getsockname()[1]}"
        fleet = Fleet([ModelServer(one, None, timeout=300) for one in (silent, url)], patience=300)
        sampler, begun = ServerSampler(fleet, AsTheyAre(), stops=(), in_flight=1), time.monotonic()
        with pytest.raises(UserError, match=f"{url} refused .400: no"):
            tokens(sampler, Sampling(4))
        assert time.monotonic() - begun < 60
        thread.join()


def test_a_slow_server_gets_no_more_than_its_share_of_the_requests_in_flight() -> None:
    """The fast one takes what the slow one has no hands for."""
    slow, fast = (ModelServer(f"http://127.0.0.1:{port}", None, timeout=1) for port in (1, 2))
    fleet, asked, rest_is_done = Fleet([slow, fast], patience=1), list[ModelServer](), threading.Event()

    def ask(server: ModelServer) -> ModelServer:
        asked.append(server)
        if server is slow:
            assert rest_is_done.wait(60)
        elif asked.count(fast) == 7:
            rest_is_done.set()
        return server

    with ThreadPoolExecutor(2) as pool:
        given = list(pool.map(lambda _: fleet.ask(ask, threading.Event()), range(8)))
    assert given.count(slow) == 1 and given.count(fast) == 7


def refuse(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")


def test_every_state_of_the_weights_has_a_name_and_a_folder_of_its_own(
    servers: Servers, base: Path, tmp_path: Path
) -> None:
    server, model, place = servers.start(base, *FLOAT32), adapted(base), tmp_path / "adapters"
    (place / "left-by-a-killed-process").mkdir(parents=True)
    sampler, sampling, names = sampler_over([server], model, base, place), Sampling(4), []
    weight = model.get_parameter("base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight")
    changes: list[Tensor] = [torch.tensor(0.0), torch.tensor(0.0), torch.tensor(1e-6), torch.tensor(-1e-6)]
    for change in changes:
        with torch.no_grad():
            weight.add_(change)
        tokens(sampler, sampling)
        names.append(runs.names(place))
        assert models(server, "") == ["base", *names[-1]]
    assert [len(one) for one in names] == [1, 1, 1, 1]
    assert names[0] == names[1] != names[2]
    config = json.loads((place / names[-1][0] / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base) and config["inference_mode"] is True
    assert config["lora_alpha"] == 32 and isinstance(config["lora_alpha"], int)


@pytest.mark.parametrize("mode", ["sampling", "raw_logprobs", "processed_logprobs"])
def test_log_probabilities_of_other_distributions_are_refused(mode: str, servers: Servers, base: Path) -> None:
    server = servers.start(base, *FLOAT32, "--logprobs-mode", mode)
    url = server.url.removesuffix("/v1")
    asked = ModelServer(url, None, timeout=600)
    asked.meet()
    assert meaning(asked) == mode.removesuffix("_logprobs")
    refused = {
        "sampling": [],
        "raw_logprobs": [({"temperature": 0.7}, "start it with --logprobs-mode processed_logprobs")],
        "processed_logprobs": [({"top_p": 0.9}, "after top_k, top_p and min_p")],
    }
    for keys, said in refused[mode]:
        with pytest.raises(UserError, match=f"{url} gives log-probabilities .*{said}"):
            connect(Rollout(engine="vllm", servers=(url,), **keys))
    harmless: list[dict[str, Any]] = [{}, {"temperature": 0.7}, {"top_p": 0.9}]
    for keys in harmless:
        if keys not in [asked for asked, _ in refused[mode]]:
            assert connect(Rollout(engine="vllm", servers=(url,), **keys)).servers[0].base == "base"
    server.kill()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"servers": ("localhost",)}, "rollout.servers: 'localhost' is not the address of a server"),
        ({"servers": ("http://127.0.0.1:1",), "patience": 0.2}, "http://127.0.0.1:1 has given no completions for 0.2"),
        ({"servers": ("http://127.0.0.1:1",), "token_file": "/absent"}, "rollout.token_file = /absent cannot be read"),
    ],
)
def test_what_cannot_be_reached_is_said_before_anything_is_loaded(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        connect(Rollout(engine="vllm", **keys))
    assert said in str(caught.value)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_full_fine_tuning_without_vllm_is_refused(
    guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = runs.write_recipe(tmp_path, guesser, tune={"type": "full"}, rollout={"engine": "vllm"})
    assert main(["train", str(path), "--run", str(tmp_path / "run")]) == 2
    assert "pip install 'rltk[vllm]'" in capfd.readouterr().err
    assert not (tmp_path / "run" / "manifest.json").exists()
