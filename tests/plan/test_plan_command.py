"""`rltk plan` through the command line: its JSON contract, what follows from what, and that it is light."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from tests import tiny

CONTRACT = {
    "trainable_parameters",
    "trainable_share",
    "peak_memory_bytes",
    "training_flops_per_token",
    "step_seconds",
    "lr",
}
PARTS = {"weights", "gradients", "optimizer", "activations", "logits", "kv_cache", "total"}


@pytest.fixture(autouse=True)
def without_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def plan(capsys: pytest.CaptureFixture[str], *argv: str, recipe: str = "gsm8k_grpo") -> dict[str, Any]:
    assert main(["plan", recipe, "--json", *argv]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_contract_holds_for_every_arm(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--profile", "none")
    names = ["LoRA r=8", "LoRA r=1", "LoRA r=4", "LoRA r=64", "full fine-tuning"]
    assert [arm["name"] for arm in found["arms"]] == names
    for arm in found["arms"]:
        assert set(arm) >= CONTRACT and set(arm["peak_memory_bytes"]) == PARTS
        assert all(value >= 0 for value in arm["peak_memory_bytes"].values())
        assert arm["peak_memory_bytes"]["total"] <= sum(v for k, v in arm["peak_memory_bytes"].items() if k != "total")
        assert arm["devices"]["H100"]["step_seconds"] == arm["step_seconds"] > 0
    lora, full = found["arms"][0], found["arms"][-1]
    assert lora["trainable_parameters"] == 8 * 630_784 and full["trainable_share"] == 1
    assert full["peak_memory_bytes"]["optimizer"] == 8 * full["trainable_parameters"]
    assert full["peak_memory_bytes"]["total"] > lora["peak_memory_bytes"]["total"]
    assert full["lr"] == pytest.approx(lora["lr"] / 10)
    assert found["planned_for"]["device"] == "cuda" and found["warnings"] == []


def test_without_an_accelerator_the_laptop_profile_is_planned_for_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys)
    assert (found["profile"], found["planned_for"]["device"]) == ("laptop", "cpu")
    assert found["model"]["path"] == "embedded/policy"
    assert 1e7 < found["arms"][0]["peak_memory_bytes"]["total"] < 4e9


def test_gpus_share_what_zero_spreads(capsys: pytest.CaptureFixture[str]) -> None:
    """The optimizer's state at stage 1, gradients too at 2, weights too at 3, which are whole again to sample. From
    stage 1 on a bucket of 500 million gradients is on its way; offload leaves no state on the GPU."""
    parts = {}
    for stage in (0, 1, 2, 3):
        found = plan(capsys, "--profile", "none", "tune.type=full", "--gpus", "4", "--zero", str(stage))
        parts[stage] = found["arms"][0]["peak_memory_bytes"]
    held, bucket = 4 * found["model"]["parameters"], 4 * 500_000_000
    assert parts[0]["gradients"] == held and parts[0]["optimizer"] == 2 * held
    assert parts[1]["optimizer"] == pytest.approx(held / 2)
    assert parts[1]["gradients"] == held + bucket
    assert parts[2]["gradients"] == pytest.approx(held / 4 + bucket)
    assert parts[2]["weights"] == parts[0]["weights"]
    assert parts[3]["weights"] == pytest.approx(parts[2]["weights"] + held / 4)
    off = plan(capsys, "--profile", "none", "tune.type=full", "--gpus", "4", "--zero", "2", "--offload")
    assert off["arms"][0]["peak_memory_bytes"]["optimizer"] == 0
    assert off["arms"][0]["peak_memory_bytes"]["gradients"] == bucket


def test_checkpointing_and_shorter_micro_batches_take_less(capsys: pytest.CaptureFixture[str]) -> None:
    usual, less, shorter = (
        plan(capsys, "--profile", "none", *more)["arms"][0]
        for more in ([], ["model.gradient_checkpointing=true"], ["optim.micro_tokens=2048"])
    )
    assert less["peak_memory_bytes"]["activations"] == usual["activations_with_the_other_checkpointing"]
    assert less["activations_with_the_other_checkpointing"] == usual["peak_memory_bytes"]["activations"]
    assert less["peak_memory_bytes"]["activations"] < shorter["peak_memory_bytes"]["activations"]
    assert shorter["peak_memory_bytes"]["activations"] < usual["peak_memory_bytes"]["activations"] / 4
    assert less["training_flops_per_token"] > usual["training_flops_per_token"]


def test_full_fine_tuning_keeps_a_reference_and_lora_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    arms = plan(capsys, "--profile", "none", "algo.kl=0.1")["arms"]
    assert set(arms[0]["memory_by_role"]) == {"policy"}
    assert arms[-1]["memory_by_role"]["reference"] == 4 * arms[-1]["trainable_parameters"]


def test_ppo_has_adapters_where_full_fine_tuning_has_models(capsys: pytest.CaptureFixture[str]) -> None:
    """The critic is an adapter and a head of the hidden size, or a model with one; with LoRA the reward model too."""
    found = plan(capsys, "--profile", "none", recipe="hh_ppo")
    lora, full = (found["arms"][place]["memory_by_role"] for place in (0, -1))
    assert set(full) == {"policy", "reference", "critic", "reward quality"}
    assert set(lora) == set(full) - {"reference"}
    adapter, model = 8 * 630_784, found["model"]["parameters"]
    assert lora["critic"] == lora["reward quality"] == 4 * (adapter + 1024)
    assert full["critic"] == 4 * (model + 1024)
    assert full["reward quality"] == 4 * (model + adapter + 1024)
    assert "planned as a LoRA of the policy" in found["notes"][-1]
    peak = found["arms"][-1]["peak_memory_bytes"]
    assert peak["gradients"] == 4 * (2 * model + 1024) == peak["optimizer"] / 2


def test_a_critic_costs_passes_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A head on the policy's trunk is one more forward pass; a critic beside it is trained on top."""
    arms = ["algo.critic.type=head", "algo.critic.type=adapter"]
    head, beside = (plan(capsys, "--profile", "none", arm, recipe="gsm8k_ppo")["arms"][0] for arm in arms)
    assert head["memory_by_role"]["critic"] == 4 * 1024 < beside["memory_by_role"]["critic"]
    assert 1.3 < (beside["step_flops"] / head["step_flops"]) < 2


def test_a_reward_model_is_counted_from_its_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """4 bytes a number of a whole model; an adapter of another base brings that base along."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [3, 5]}, "b": {"dtype": "F32", "shape": [7]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    reward = f"rewards.quality.path={tmp_path}"
    lora = plan(capsys, "--profile", "none", reward, recipe="hh_ppo")["arms"][0]
    assert lora["memory_by_role"]["reward quality"] == 4 * 22
    (tmp_path / "model.safetensors").rename(tmp_path / "adapter_model.safetensors")
    for base, held in (("Qwen/Qwen3-0.6B", 4 * 22), ("Qwen/Qwen3-1.7B", 4 * (22 + 1_720_574_976))):
        (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
        lora = plan(capsys, "--profile", "none", reward, recipe="hh_ppo")["arms"][0]
        assert lora["memory_by_role"]["reward quality"] == held


def test_a_learning_rate_of_full_fine_tuning_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = plan(capsys, "--profile", "none", "optim.lr=1e-6")["warnings"]
    assert "LoRA does not learn" in said
    assert main(["plan", "gsm8k_grpo", "--profile", "none", "optim.lr=1e-6"]) == 0
    assert "warning  optim.lr = 1e-06 is below" in capsys.readouterr().out


def test_the_table_names_every_arm_and_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "gsm8k_grpo", "--profile", "none", "--gpus", "8"]) == 0
    printed = capsys.readouterr().out
    for word in ("LoRA r=8 (the recipe)", "full fine-tuning", "optimizer", "kv cache", "H200", "folklore", "3+offload"):
        assert word in printed


def test_offline_algorithms_are_planned_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing is sampled, and DPO's reference is no second model: an adapter off, or numbers that were kept."""
    (tmp_path / "dpo.yaml").write_text(
        "name: x\nmodel: {path: Qwen/Qwen3-0.6B}\ndata: {path: embedded/dialogues}\n"
        "algo: {type: dpo}\ntune: {type: lora}\n"
    )
    assert main(["plan", str(tmp_path / "dpo.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arms"][0]["peak_memory_bytes"]["kv_cache"] == 0
    assert all(set(arm["memory_by_role"]) == {"policy"} for arm in found["arms"])
    assert found["arms"][0]["lr"] == pytest.approx(2e-5)


def test_the_recipes_hardware_is_planned_for(capsys: pytest.CaptureFixture[str]) -> None:
    """4 processes in each of 2 nodes at stage 2 with offload are what the flags would ask for, and flags go before."""
    named = ["hardware.processes=4", "hardware.nodes=2", "hardware.deepspeed={zero: 2, offload: cpu}"]
    flags = ["--gpus", "8", "--nodes", "2", "--zero", "2", "--offload"]
    by_recipe, by_flags = (plan(capsys, "--profile", "none", *asked) for asked in (named, flags))
    assert by_recipe["arms"] == by_flags["arms"] and by_recipe["planned_for"] == by_flags["planned_for"]
    assert by_recipe["arms"][0]["spread"]["all"]["training_gpus"] == 8
    assert any("the recipe's hardware" in note for note in by_recipe["notes"])
    fewer = plan(capsys, "--profile", "none", *named, "--gpus", "2", "--zero", "1")["planned_for"]
    assert (fewer["gpus"], fewer["nodes"], fewer["zero"], fewer["offload"]) == (2, 1, 1, True)
    more = plan(capsys, "--profile", "none", *named, "--nodes", "3", "--zero", "0")["planned_for"]
    assert (more["gpus"], more["nodes"], more["zero"], more["offload"]) == (12, 3, 0, False)


def test_the_page_says_what_it_is_planned_for(capsys: pytest.CaptureFixture[str]) -> None:
    named = ["hardware.processes=4", "hardware.nodes=2", "hardware.deepspeed.zero=2"]
    assert main(["plan", "gsm8k_grpo", "--profile", "none", *named]) == 0
    printed = capsys.readouterr().out
    assert "planned for 8 GPUs in 2 nodes, ZeRO 2" in printed and "peak memory on each of 8 GPUs" in printed
    assert main(["plan", "gsm8k_grpo", "hardware.processes=2"]) == 0
    assert "planned for 2 processes on CPUs, ZeRO 0" in capsys.readouterr().out


def test_one_gpu_may_offload(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is split, and yet Adam's state is the host's."""
    named = ["tune.type=full", "hardware.deepspeed={zero: 2, offload: nvme}"]
    assert main(["plan", "gsm8k_grpo", "--profile", "none", "--json", *named]) == 2
    assert "nvme" in capsys.readouterr().err
    named = ["tune.type=full", "hardware.deepspeed={zero: 2, offload: cpu}"]
    found = plan(capsys, "--profile", "none", *named)
    asked = plan(capsys, "--profile", "none", "tune.type=full", "--zero", "2", "--offload")
    assert found["arms"] == asked["arms"] and found["arms"][0]["peak_memory_bytes"]["optimizer"] == 0
    assert found["planned_for"]["gpus"] == 1


def test_servers_hold_the_cache_and_the_trainers_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor the joined and scaled copies that sampling makes; servers are in time and costs, new weights in full too."""
    named = ["rollout.engine=vllm", "rollout.servers=[http://a:8000, http://b:8000]"]
    here = plan(capsys, "--profile", "none")
    served = plan(capsys, "--profile", "none", *named)
    assert served["planned_for"]["servers"] == 2 and any("rollout.servers names 2" in note for note in served["notes"])
    for ours, theirs in zip(here["arms"], served["arms"], strict=True):
        assert ours["peak_memory_bytes"]["kv_cache"] > 0 == theirs["peak_memory_bytes"]["kv_cache"]
        assert theirs["peak_phase"] == "training" and theirs["peak_memory_bytes"]["total"] > 0
        assert {key: ours["peak_memory_bytes"][key] for key in ("gradients", "optimizer", "activations")} == {
            key: theirs["peak_memory_bytes"][key] for key in ("gradients", "optimizer", "activations")
        }
        device, before = theirs["devices"]["H100"], ours["devices"]["H100"]
        assert (device["servers"], device["gpus_a_server"]) == (2, 1)
        assert device["sampling_seconds"] < before["sampling_seconds"]
        assert device["training_seconds"] == before["training_seconds"]
        assert device["run_dollars"] == pytest.approx(3 * 3.0 * device["run_hours"])
    one, two = (served["arms"][place]["devices"]["H100"]["sampling_seconds"] for place in (0, -1))
    assert two > one


def test_servers_are_beside_the_gpus_that_train(capsys: pytest.CaptureFixture[str]) -> None:
    named = ["rollout.engine=vllm", "rollout.servers=[http://a:8000]", "model.path=Qwen/Qwen3-14B"]
    small = ["model.gradient_checkpointing=true", "optim.micro_tokens=2048"]
    found = plan(capsys, "--profile", "none", "hardware.processes=8", "hardware.deepspeed.zero=3", *named, *small)
    arm = found["arms"][0]
    # Two bytes a weight, but four of the embeddings that are looked up and of the adapter.
    whole = 2 * 14_768_307_200 + 2 * 151_936 * 5_120 + 4 * arm["trainable_parameters"]
    assert set(arm["spread"]) == {"servers"}
    assert arm["spread"]["servers"]["training_gpus"] == 8
    assert arm["devices"]["H100"]["gpus_a_server"] == 1 and arm["devices"]["4090"]["gpus_a_server"] == 2
    assert arm["devices"]["H100"]["fits"] and not arm["devices"]["4090"]["fits"]
    # An eighth of the weights, and, where they are fetched to be measured or saved, all of them.
    assert arm["peak_phase"] == "gathering" and arm["peak_memory_bytes"]["kv_cache"] == 0
    assert arm["peak_memory_bytes"]["weights"] == pytest.approx(whole * 9 / 8, rel=1e-3)


def test_vllm_in_the_process_has_a_share_of_the_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Its cache is its own; a share that leaves no room for the weights makes that nothing fits."""
    named = ["tune.type=full", "rollout.engine=vllm"]
    found = plan(capsys, "--profile", "none", *named)
    assert found["arms"][0]["peak_memory_bytes"]["kv_cache"] == 0
    assert any("30% of each GPU" in note for note in found["notes"])
    assert found["arms"][0]["devices"]["H100"]["fits"]
    greedy = plan(capsys, "--profile", "none", *named, "rollout.gpu_memory=0.85")["arms"][0]
    assert not greedy["devices"]["H100"]["fits"]
    assert greedy["peak_memory_bytes"] == found["arms"][0]["peak_memory_bytes"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--measure", "tune.type=full", "rollout.engine=vllm"], "--measure times sampling in this process"),
        (["--zero", "2"], "--zero 2 spreads a model over GPUs, and --gpus is 1"),
        (["--gpus", "8", "--nodes", "3"], "--nodes 3 does not divide --gpus 8"),
        (["--device", "A100"], "--device A100 is for a spread over several GPUs"),
        (["--offload"], "--offload goes with --zero 1, 2 or 3"),
        (["model.path=nobody/nothing-of-the-kind"], "its config.json could not be read"),
    ],
)
def test_what_makes_no_sense_gets_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["plan", "gsm8k_grpo", "--profile", "none", *argv]) == 2
    assert sentence in capsys.readouterr().err


def test_a_model_that_the_table_does_not_know_is_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny.folder(tmp_path / "model", "qwen3_moe", mlp_only_layers=[0])
    found = plan(capsys, "--profile", "none", f"model.path={model}")
    assert found["model"]["parameters"] == tiny.model("qwen3_moe", mlp_only_layers=[0]).num_parameters()


def test_planning_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from rltk.cli import main; main(['plan', 'gsm8k_grpo', '--profile', 'none']);"
        "print('', *sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "datasets", "matplotlib"}.intersection(done.stderr.split("\n"))


def test_a_step_is_spread_over_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    """What is planned fits, and all GPUs have one task. 70B fits nowhere: its weights are gathered, served or not."""
    small = ["model.gradient_checkpointing=true", "optim.micro_tokens=2048"]
    gpus = ["--profile", "none", "--gpus", "16", "--nodes", "2", "algo.prompts=64", *small]
    big = plan(capsys, *gpus, "model.path=meta-llama/Llama-3.1-70B")
    assert [arm["spread"] for arm in big["arms"] if arm["spread"]] == [{"all": None, "servers": None}] * 2
    found = plan(capsys, *gpus, "model.path=meta-llama/Llama-3.1-8B")
    ways = {arm["name"]: arm["spread"] for arm in found["arms"] if arm["spread"]}
    assert set(ways) == {"LoRA r=8", "full fine-tuning"}
    for way in ways.values():
        served = way["servers"]
        assert served["training_gpus"] + served["servers"] * served["gpus_a_server"] == 16
        assert served["peak_memory_bytes"] <= 0.9 * 80e9
        slower = max(served["training_seconds"], served["communication_seconds"])
        assert served["step_seconds"] == pytest.approx(served["sampling_seconds"] + slower)
        assert served["servers"] * served["gpus_a_server"] * 80e9 > 2 * found["model"]["parameters"]


def test_more_gpus_with_as_much_to_do_each_take_as_long(capsys: pytest.CaptureFixture[str]) -> None:
    arms = [
        plan(capsys, "--profile", "none", "--gpus", str(gpus), f"algo.prompts={4 * gpus}")["arms"][0] for gpus in (2, 8)
    ]
    steps = [arm["devices"]["H100"] for arm in arms]
    assert steps[0]["training_seconds"] == pytest.approx(steps[1]["training_seconds"])
    assert steps[0]["sampling_seconds"] == pytest.approx(steps[1]["sampling_seconds"])
    assert arms[0]["peak_memory_bytes"]["total"] == arms[1]["peak_memory_bytes"]["total"]
    # An all-reduce sends each weight's gradient there and back, but for the share that a GPU has itself.
    sent = [2 * 4 * arm["trainable_parameters"] * (1 - 1 / gpus) for arm, gpus in zip(arms, (2, 8), strict=True)]
    link = 450e9 * 0.7
    assert [step["communication_seconds"] for step in steps] == pytest.approx([amount / link for amount in sent])
