"""What a person reads when a recipe is wrong: each message here was judged as a reader would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recipe.texts import recipe_text

Refused = Callable[..., list[str]]
NAME = "letters, digits, '.', '_' and '-' that begin with a letter or a digit"

UNKNOWN_KEYS = [
    ({"optin": "{lr: 1}"}, "x.yaml:6: optin is not a key of a recipe; did you mean optim?"),
    ({"algo": "{type: grpo, grup: 8}"}, "x.yaml:4: algo.grup = 8 is not a key of algo; did you mean group?"),
    (
        {"model": "{path: a/b, dtyp: float32}"},
        "x.yaml:2: model.dtyp = float32 is not a key of model; did you mean dtype?",
    ),
    ({"lr": "1e-5"}, "x.yaml:6: lr = 1e-5 is not a key of a recipe; did you mean optim.lr?"),
    (
        {"algo": "{type: grpo, seed: 1}"},
        "x.yaml:4: algo.seed = 1 is not a key of algo; did you mean seed at the top level?",
    ),
    (
        {"optim": "{temperature: 0.5}"},
        "x.yaml:6: optim.temperature = 0.5 is not a key of optim; did you mean rollout.temperature or "
        "eval.temperature?",
    ),
    (
        {"run": "{zzz: {a: [1, 2]}}"},
        "x.yaml:6: run.zzz is not a key of run; its keys are dir, checkpoint_every, keep, grace, trackers.",
    ),
    ({"tune": "{type: full, rank: 8}"}, "x.yaml:5: tune.rank = 8 is not a key of tune; only type lora has it."),
    (
        {"algo": "{type: rloo, scale: group}"},
        "x.yaml:4: algo.scale = group is not a key of algo; only type grpo has it.",
    ),
    (
        {"yes": "1"},
        "x.yaml:6: yes = 1 is not a key of a recipe; its keys are name, seed, model, data, algo, tune, "
        "rewards, optim, rollout, eval, run, hardware, compare.",
    ),
]

WRONG_TYPES = [
    ({"seed": "true"}, "x.yaml:6: seed = true must be a whole number of at least 0."),
    ({"optim": "{steps: 8.5}"}, "x.yaml:6: optim.steps = 8.5 must be a whole number of at least 1."),
    ({"optim": "{steps: 8.0}"}, "x.yaml:6: optim.steps = 8.0 must be a whole number of at least 1."),
    ({"optim": '{steps: "8"}'}, 'x.yaml:6: optim.steps = "8" must be a whole number of at least 1.'),
    ({"optim": "{steps: }"}, "x.yaml:6: optim.steps = null must be a whole number of at least 1."),
    ({"optim": "{eps: true}"}, "x.yaml:6: optim.eps = true must be a number greater than 0."),
    ({"optim": "{eps: abc}"}, "x.yaml:6: optim.eps = abc must be a number greater than 0."),
    ({"optim": "{lr: true}"}, 'x.yaml:6: optim.lr = true must be "auto" or a number greater than 0.'),
    (
        {"optim": "{lr: atuo}"},
        'x.yaml:6: optim.lr = atuo must be "auto" or a number greater than 0; did you mean auto?',
    ),
    ({"model": "{path: no}"}, "x.yaml:2: model.path = no must be non-empty text, in quotes."),
    ({"data": "{path: c/d, prompt: {question}}"}, "x.yaml:3: data.prompt = {question: null} must be text, in quotes."),
    ({"data": '{path: ""}'}, 'x.yaml:3: data.path = "" must be non-empty text.'),
    ({"name": "12:30"}, f"x.yaml:1: name = 12:30 must be {NAME}, in quotes."),
    ({"name": "a/b"}, f"x.yaml:1: name = a/b must be {NAME}."),
    ({"eval": '{before: "yes"}'}, 'x.yaml:6: eval.before = "yes" must be true or false.'),
    ({"eval": "{before: 1}"}, "x.yaml:6: eval.before = 1 must be true or false."),
    ({"eval": "{tasks: gsm8k}"}, "x.yaml:6: eval.tasks = gsm8k must be a list, each item non-empty text."),
    (
        {"optim": "3"},
        "x.yaml:6: optim = 3 must be a section with the keys lr, steps, schedule, warmup, betas, eps, "
        "weight_decay, max_grad_norm, micro_tokens.",
    ),
    ({"run": ""}, "x.yaml:6: run = null must be a section with the keys dir, checkpoint_every, keep, grace, trackers."),
    (
        {"algo": "grpo"},
        'x.yaml:4: algo = grpo must be a section with a type of "grpo", "rloo", "ppo", "sft", "reward_model" or "dpo".',
    ),
    (
        {"tune": "{type: lora, targets: 3}"},
        'x.yaml:5: tune.targets = 3 must be "all-linear", "attention", "mlp" or a non-empty list, each item '
        "non-empty text.",
    ),
    (
        {"tune": "{type: lora, targets: [q_proj, 3]}"},
        'x.yaml:5: tune.targets = ["q_proj", 3] must be "all-linear", "attention", "mlp" or a non-empty list, '
        "each item non-empty text.",
    ),
]

OUT_OF_RANGE = [
    ({"seed": "-1"}, "x.yaml:6: seed = -1 must be a whole number of at least 0."),
    ({"algo": "{type: grpo, group: 1}"}, "x.yaml:4: algo.group = 1 must be a whole number of at least 2."),
    ({"algo": "{type: rloo, group: 1}"}, "x.yaml:4: algo.group = 1 must be a whole number of at least 2."),
    (
        {"algo": "{type: grpo, importance_cap: 0.5}"},
        "x.yaml:4: algo.importance_cap = 0.5 must be a number of at least 1 or null.",
    ),
    (
        {"algo": "{type: grpo, clip_low: 1}"},
        "x.yaml:4: algo.clip_low = 1 must be a number of at least 0 and less than 1.",
    ),
    (
        {"algo": "{type: grpo, clip_high: .inf}"},
        "x.yaml:4: algo.clip_high = .inf must be a number of at least 0, and finite.",
    ),
    ({"optim": "{lr: .nan}"}, 'x.yaml:6: optim.lr = .nan must be "auto" or a number greater than 0, and finite.'),
    ({"optim": "{lr: -1}"}, 'x.yaml:6: optim.lr = -1 must be "auto" or a number greater than 0.'),
    ({"optim": "{lr: -1e-5}"}, 'x.yaml:6: optim.lr = -1e-5 must be "auto" or a number greater than 0.'),
    (
        {"optim": "{betas: [0.9]}"},
        "x.yaml:6: optim.betas = [0.9] must be a list of 2, each a number of at least 0 and less than 1.",
    ),
    (
        {"optim": "{betas: [0.9, 1.0]}"},
        "x.yaml:6: optim.betas = [0.9, 1.0] must be a list of 2, each a number of at least 0 and less than 1.",
    ),
    ({"rollout": "{top_p: 1.5}"}, "x.yaml:6: rollout.top_p = 1.5 must be a number greater than 0 and at most 1."),
    (
        {"data": "{path: embedded/word-problems, levels: [1, 9]}"},
        "x.yaml:3: data.levels = [1, 9] must be a non-empty list, each item a whole number of at least 1 and "
        "at most 5.",
    ),
    (
        {"data": "{path: embedded/word-problems, levels: []}"},
        "x.yaml:3: data.levels = [] must be a non-empty list, each item a whole number of at least 1 and at most 5.",
    ),
]

WRONG_CHOICES = [
    (
        {"algo": "{type: gpro}"},
        'x.yaml:4: algo.type = gpro must be "grpo", "rloo", "ppo", "sft", "reward_model" or "dpo"; did you mean grpo?',
    ),
    ({"algo": "{type: }"}, 'x.yaml:4: algo.type = null must be "grpo", "rloo", "ppo", "sft", "reward_model" or "dpo".'),
    ({"algo": "{type: ppo, group: 0}"}, "x.yaml:4: algo.group = 0 must be a whole number of at least 1."),
    (
        {"algo": "{type: ppo, critic: {typ: head}}"},
        "x.yaml:4: algo.critic.typ = head is not a key of algo.critic; did you mean type?",
    ),
    (
        {"algo": "{type: ppo, critic: {type: head, from: a}}"},
        "x.yaml:4: algo.critic.type = head would share the policy's trunk, and critic.from starts one of its own.",
    ),
    (
        {"algo": "{type: ppo, kl_target: 6}"},
        "x.yaml:4: algo.kl_target = 6 steers algo.kl, which is 0; start it above.",
    ),
    (
        {"algo": "{type: ppo, missing_stop_penalty: 1, mask_truncated: true}"},
        "x.yaml:4: algo.missing_stop_penalty = 1 has no effect where completions that were cut off are masked; set "
        "algo.mask_truncated=false.",
    ),
    (
        {"algo": "{type: rloo, loss: dr_gpro}"},
        'x.yaml:4: algo.loss = dr_gpro must be "grpo", "dr_grpo" or "dapo"; did you mean dr_grpo?',
    ),
    ({"model": "{path: a/b, dtype: fp32}"}, 'x.yaml:2: model.dtype = fp32 must be "bfloat16" or "float32".'),
    (
        {"run": "{trackers: [wandb, trackoi]}"},
        'x.yaml:6: run.trackers = ["wandb", "trackoi"] must be a list, each item "tensorboard", "wandb" or "trackio".',
    ),
]

MISSING = [
    ({"name": None}, f"x.yaml: name is missing; it must be {NAME}."),
    ({"model": "{dtype: float32}"}, "x.yaml:2: model.path is missing; it must be non-empty text."),
    (
        {"algo": None},
        'x.yaml: algo is missing; it must be a section with a type of "grpo", "rloo", "ppo", "sft", "reward_model" or '
        '"dpo".',
    ),
    ({"tune": "{rank: 4}"}, 'x.yaml:5: tune.type is missing; it must be "lora" or "full".'),
]

RULES = [
    (
        {"algo": "{type: rloo, prompts: 32, updates: 5}"},
        "x.yaml:4: algo.prompts = 32 must be a multiple of algo.updates (5).",
    ),
    ({"algo": "{type: grpo, updates: 5}"}, "x.yaml:4: algo.prompts = 32 must be a multiple of algo.updates (5)."),
    ({"optim": "{steps: 10, warmup: 10}"}, "x.yaml:6: optim.warmup = 10 must be less than optim.steps (10)."),
    (
        {"data": '{path: c/d, prompt: "Solve"}'},
        'x.yaml:3: data.prompt = "Solve" must contain {question} exactly once and no other placeholder.',
    ),
    (
        {"data": '{path: c/d, prompt: "{question} {answer}"}'},
        'x.yaml:3: data.prompt = "{question} {answer}" must contain {question} exactly once and no other placeholder.',
    ),
    (
        {"data": '{path: c/d, prompt: "{question}{question}"}'},
        'x.yaml:3: data.prompt = "{question}{question}" must contain {question} exactly once and no other placeholder.',
    ),
    (
        {"model": "{path: embedded/polcy}"},
        "x.yaml:2: model.path = embedded/polcy does not come with rltk; did you mean embedded/policy?",
    ),
    (
        {"data": "{path: embedded/xyz}"},
        "x.yaml:3: data.path = embedded/xyz does not come with rltk; did you mean embedded/equations?",
    ),
    (
        {"data": "{path: c/d, levels: [1, 2]}"},
        "x.yaml:3: data.levels = [1, 2] is for embedded data only, and data.path is c/d; remove it.",
    ),
    (
        {"data": "{path: embedded/word-problems, config: main}"},
        "x.yaml:3: data.config = main has no meaning for embedded/word-problems; set it back to null.",
    ),
    (
        {"data": "{path: embedded/word-problems, validation: 8}"},
        "x.yaml:3: data.validation = 8 has no meaning for embedded/word-problems; set it back to 0.",
    ),
    (
        {"data": "{path: embedded/word-problems, kind: math}"},
        'x.yaml:3: data.kind = math has no meaning for embedded/word-problems; set it back to "number".',
    ),
    (
        {"data": "{path: c/d, kind: maths}"},
        'x.yaml:3: data.kind = maths must be "number", "math", "preferences" or "messages"; did you mean math?',
    ),
    (
        {"data": "{path: c/d, config: [a, b, a]}"},
        'x.yaml:3: data.config = ["a", "b", "a"] names a configuration twice.',
    ),
    (
        {"data": "{path: c/d, config: []}"},
        "x.yaml:3: data.config = [] must be non-empty text, a non-empty list, each item non-empty text or null, "
        "in quotes.",
    ),
    (
        {"eval": "{samples: 4, k: [1, 8]}"},
        "x.yaml:6: eval.k = [1, 8] must not exceed eval.samples (4).",
    ),
    (
        {"eval": "{batch: 512}"},
        "x.yaml:6: eval.batch = 512 must be a whole number of at least 1 and at most 256.",
    ),
    (
        {"model": "{path: embedded/policy, revision: main}"},
        "x.yaml:2: model.revision = main has no meaning for embedded/policy; set it to null.",
    ),
    (
        {"eval": "{split: validation}"},
        "x.yaml:6: data.validation = 0 must be at least 1 when eval.split is validation.",
    ),
]

PATHS = [
    ({"model": "{path: ./polciy}"}, "x.yaml:2: model.path = ./polciy does not exist; did you mean policy?"),
    (
        {"model": "{path: /nowhere/policy}"},
        "x.yaml:2: model.path = /nowhere/policy does not exist: there is no folder /nowhere.",
    ),
    ({"data": "{path: trian.jsonl}"}, "x.yaml:3: data.path = trian.jsonl does not exist; did you mean train.jsonl?"),
    (
        {"model": "{path: ~nobody-here/x}"},
        "x.yaml:2: model.path = ~nobody-here/x does not exist: there is no folder ~nobody-here.",
    ),
    ({"model": f"{{path: ./{'z' * 300}}}"}, f"x.yaml:2: model.path = ./{'z' * 300} does not exist."),
    ({"data": "{path: zzz.parquet}"}, "x.yaml:3: data.path = zzz.parquet does not exist."),
    (
        {"eval": "{tasks: [heldout, gsm8]}"},
        "x.yaml:6: eval.tasks = gsm8 is neither a folder, a .jsonl file nor a task; did you mean gsm8k?",
    ),
    (
        {"eval": "{tasks: [./trian.jsonl]}"},
        "x.yaml:6: eval.tasks = ./trian.jsonl does not exist; did you mean train.jsonl?",
    ),
]


@pytest.mark.parametrize(
    ("sections", "expected"), UNKNOWN_KEYS + WRONG_TYPES + OUT_OF_RANGE + WRONG_CHOICES + MISSING + RULES
)
def test_one_fault_is_one_sentence(refused: Refused, sections: dict[str, str], expected: str) -> None:
    assert refused(recipe_text(**sections)) == [expected]


@pytest.mark.parametrize(("sections", "expected"), PATHS)
def test_a_local_path_must_exist(refused: Refused, sections: dict[str, str], expected: str) -> None:
    Path("train.jsonl").touch()
    Path("policy").mkdir()
    assert refused(recipe_text(**sections)) == [expected]


BLOCK = """\
# a comment
name: x
model: {path: a/b}
data:
  path: c/d

algo:
  type: grpo
  group: 4   # fine

  clip_low: 7
tune: {type: lora,
  rank: 0}
optim:
  lr:
    -1
"""


def test_the_line_is_that_of_the_key_in_block_and_flow(refused: Refused) -> None:
    assert refused(BLOCK) == [
        "x.yaml:11: algo.clip_low = 7 must be a number of at least 0 and less than 1.",
        "x.yaml:13: tune.rank = 0 must be a whole number of at least 1.",
        'x.yaml:15: optim.lr = -1 must be "auto" or a number greater than 0.',
    ]


def test_faults_come_in_the_order_of_the_file_and_at_most_five(refused: Refused) -> None:
    text = recipe_text(run="{keep: 0}", optim="{lr: 0, steps: 0, eps: 0, betas: 0, warmup: -1, weight_decay: -1}")
    sentences = refused(text)
    assert len(sentences) == 5
    assert sentences[0] == "x.yaml:6: run.keep = 0 must be a whole number of at least 1."
    assert sentences[4] == "x.yaml:7: optim.steps = 0 must be a whole number of at least 1. (and 2 more)"


def test_a_long_value_is_shortened(refused: Refused) -> None:
    assert refused(recipe_text(optim=f"{{lr: {'z' * 90}}}")) == [
        f'x.yaml:6: optim.lr = {"z" * 57}... must be "auto" or a number greater than 0.'
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optim.lr=-1", 'command line: optim.lr = -1 must be "auto" or a number greater than 0.'),
        ("optim.lr.x=1", 'command line: optim.lr = {x: 1} must be "auto" or a number greater than 0.'),
        ("algo.grup=8", "command line: algo.grup = 8 is not a key of algo; did you mean group?"),
        ("algo.updates=5", "command line: algo.prompts = 32 must be a multiple of algo.updates (5)."),
        ("steps=8", "command line: steps = 8 is not a key of a recipe; did you mean optim.steps?"),
        ("tune=full", 'command line: tune = full must be a section with a type of "lora" or "full".'),
        ("laptop", "command line: 'laptop' is not of the form key=value, such as optim.lr=1e-5."),
        ("=1", "command line: '=1' is not of the form key=value, such as optim.lr=1e-5."),
        ("optim..lr=1", "command line: 'optim..lr=1' is not of the form key=value, such as optim.lr=1e-5."),
        ("profiles.a.seed=1", "command line: 'profiles.a.seed=1' cannot change a profile; choose one with --profile."),
        (
            "data.prompt={question} hi",
            "command line: 'data.prompt={question} hi' is not YAML: expected '<document start>', but found '<scalar>'.",
        ),
    ],
)
def test_an_override_is_called_by_its_place(refused: Refused, override: str, expected: str) -> None:
    assert refused(recipe_text(), override) == [expected]
