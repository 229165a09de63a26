"""The recipe: its sections, which stand in `sections/` with their keys and defaults, and the rules between them."""

from __future__ import annotations

import json

from pydantic import Field, model_validator

from rltk.recipe.fields import Name, Section, Whole, broken_rule
from rltk.recipe.rules import unused_keys
from rltk.recipe.sections.algo import Algo
from rltk.recipe.sections.compare import Compare
from rltk.recipe.sections.data import Data
from rltk.recipe.sections.embedded import EMBEDDED
from rltk.recipe.sections.evaluation import EVAL_BLOCK, EVAL_TASKS, HELDOUT_LIKE, PREFERENCE_TASKS, Eval
from rltk.recipe.sections.model import EMBEDDED_MODELS, Model
from rltk.recipe.sections.offline import DPO, SFT, Offline, Paired, RewardModel
from rltk.recipe.sections.onpolicy import GRPO, PPO, RLOO, Critic, OnPolicy
from rltk.recipe.sections.optim import Optim
from rltk.recipe.sections.rewards import REWARD_NAME, AnswerReward, GoldReward, ModelReward, Reward, ServerReward
from rltk.recipe.sections.rollout import Rollout
from rltk.recipe.sections.run import Run
from rltk.recipe.sections.tune import Full, LoRA, Tune

__all__ = [
    "DPO",
    "EMBEDDED",
    "EMBEDDED_MODELS",
    "EVAL_BLOCK",
    "EVAL_TASKS",
    "GRPO",
    "HELDOUT_LIKE",
    "PPO",
    "PREFERENCE_TASKS",
    "RLOO",
    "SFT",
    "Algo",
    "AnswerReward",
    "Compare",
    "Critic",
    "Data",
    "Eval",
    "Full",
    "GoldReward",
    "LoRA",
    "Model",
    "ModelReward",
    "Offline",
    "OnPolicy",
    "Optim",
    "Paired",
    "Recipe",
    "Reward",
    "RewardModel",
    "Rollout",
    "Run",
    "ServerReward",
    "Tune",
]
<<<<<<< HEAD
"""TRL's losses that are a sum over pairs; those that sort or remember a batch would depend on how it is cut."""
NAME_IN_WORDS = "letters, digits, '.', '_' and '-' that begin with a letter or a digit"
REWARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Model(Section):
    """The language model that is trained."""

    path: Text
    """A hub id, a local folder, or embedded/policy, the small policy that comes with rltk."""
    revision: Text | None = None
    """Branch, tag or commit of a hub model; null is its main branch."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of the arithmetic and of frozen weights; weights that train are always float32."""
    gradient_checkpointing: Flag = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    trust_remote_code: Flag = False
    """Let the model's repository run its own Python here."""

    @model_validator(mode="after")
    def _embedded(self) -> Model:
        refuse_unknown_embedded(self.path, EMBEDDED_MODELS)
        if self.path.startswith(EMBEDDED) and self.revision is not None:
            raise broken_rule(f"has no meaning for {self.path}; set it to null", "revision", "path")
        return self


class Data(Section):
    """Problems (a question, and an answer that can be checked) or preferences (two replies, one of them preferred)."""

    path: Text
    """A hub id, a local folder, a .jsonl or .parquet file, or one of embedded/word-problems, embedded/equations and
    embedded/dialogues, which are generated."""
    config: Text | Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Configuration of a hub data set, such as main; or a list, which are joined, one row of each in turn."""
    data_dir: Text | None = None
    """Folder of a preference data set to read alone, such as helpful-base of Anthropic/hh-rlhf."""
    question: Text = "question"
    """Column of the question."""
    answer: Text = "answer"
    """Column of the gold answer, or of a solution that ends in it."""
    subject: Text = "subject"
    """Column of the subject, by which accuracy is broken down as it is by the column level; data may have neither."""
    kind: DataKind = "number"
    """What a row is: a problem whose gold answer is a number (72, or a solution with #### 72) or math (LaTeX, or a
    solution with a box); or preferences, two replies to one prompt. Embedded data is of its own kind."""
    prompt_column: Text = "prompt"
    """Column of the prompt of preferences; rows may have none, and whole conversations on both sides instead."""
    chosen: Text = "chosen"
    """Column of the reply, or whole conversation, that was preferred."""
    rejected: Text = "rejected"
    """Column of the other one."""
    margin: Text | None = None
    """Column of how much better the chosen reply is; null where there is none."""
    noise: Annotated[Fraction, Field(lt=0.5)] = 0.0
    """Share of the labels of embedded/dialogues that are flipped on purpose."""
    train: Text = "train"
    """Name of the split that is trained on."""
    test: Text = "test"
    """Name of the split that nothing is tuned on."""
    validation: Whole = 0
    """Problems held out of the training split, to choose settings by."""
    levels: Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=5)], ...], Field(min_length=1)] = (1, 2, 3)
    """Difficulties of the embedded problems; other data has none to choose."""
    size: Count | None = None
    """Training rows used, the first ones; null is all of them."""
    prompt: str = "{question}"
    """What is asked: {question} is replaced by the question, everything else stays as written."""
    system: Text | None = None
    """System message of the chat template; null sends none."""

    @property
    def is_embedded(self) -> bool:
        return self.path.startswith(EMBEDDED)

    @property
    def answer_kind(self) -> Kind:
        """How the answers of problems are read; preferences have none."""
        if self.kind == "preferences":
            raise AssertionError("preferences have no answers to read")
        return self.kind

    @field_validator("prompt")
    @classmethod
    def _one_question(cls, prompt: str) -> str:
        if re.findall(r"\{[A-Za-z_]\w*\}", prompt) != ["{question}"]:
            raise broken_rule("must contain {question} exactly once and no other placeholder")
        return prompt

    @model_validator(mode="before")
    @classmethod
    def _embedded_kind(cls, given: Any) -> Any:
        if isinstance(given, dict) and "kind" not in given and given.get("path") in EMBEDDED_KINDS:
            return given | {"kind": EMBEDDED_KINDS[given["path"]]}
        return given

    @model_validator(mode="after")
    def _honours_what_is_set(self) -> Data:
        refuse_unknown_embedded(self.path, EMBEDDED_DATA)
        if isinstance(self.config, tuple) and len(set(self.config)) < len(self.config):
            raise broken_rule("names a configuration twice", "config")
        if not self.is_embedded and "levels" in self.model_fields_set:
            raise broken_rule(f"is for embedded data only, and data.path is {self.path}; remove it", "levels", "path")
        for key in EXTERNAL if self.is_embedded else ():
            self._refuse(key, EMBEDDED_KINDS[self.path] if key == "kind" else None, f"for {self.path}", "path")
        for key in PROBLEM_KEYS if self.kind == "preferences" else PREFERENCE_KEYS:
            self._refuse(key, None, f"where data.kind is {self.kind}", "kind")
        if self.noise and not self.is_embedded:
            raise broken_rule(f"is for embedded/dialogues only, and data.path is {self.path}", "noise", "path")
        return self

    def _refuse(self, key: str, own: str | None, where: str, because: str) -> None:
        """`own` is the value it may have instead of its default."""
        default = type(self).model_fields[key].default if own is None else own
        if getattr(self, key) != default:
            shown = json.dumps(default)
            raise broken_rule(f"has no meaning {where}; set it back to {shown}", key, because)


class OnPolicy(Section):
    """What GRPO and RLOO share: a step samples completions, grades them, and learns from the grades."""

    prompts: Count = 32
    """Problems a step."""
    group: Annotated[int, Field(strict=True, ge=2)] = 8
    """Completions a problem: more makes the baseline better and the step dearer."""
    updates: Count = 1
    """Optimizer steps in one pass over a step's completions; it must divide prompts, since groups stay whole."""
    epochs: Count = 1
    """Passes over a step's completions: more learns more from each, from a policy that is no longer the one trained."""
    loss: Literal["grpo", "dr_grpo", "dapo"] = "dr_grpo"
    """Average over tokens: within each completion (grpo), by a constant (dr_grpo), over all tokens at once (dapo)."""
    clip_low: Fraction = 0.2
    """How far a token's probability ratio may fall below 1 before it stops learning."""
    clip_high: NonNegative = 0.2
    """How far a token's probability ratio may rise above 1 before it stops learning."""
    kl: NonNegative = 0.0
    """Weight of the KL divergence to the starting model; 0 loads no reference model."""
    importance_cap: AtLeastOne | None = 2.0
    """Cap of the weights that correct for sampling and training computing probabilities differently; null: none."""
    mask_truncated: Flag = True
    """Learn nothing from a completion that was cut off at rollout.max_new_tokens."""

    @model_validator(mode="after")
    def _whole_groups(self) -> OnPolicy:
        if self.prompts % self.updates:
            raise broken_rule(f"must be a multiple of algo.updates ({self.updates})", "prompts", "updates")
        return self


class GRPO(OnPolicy):
    """Group relative policy optimization: the baseline is the mean reward of the problem's group."""

    type: Literal["grpo"] = "grpo"
    scale: Literal["none", "group", "batch"] = "none"
    """Standard deviation that the centred reward is divided by: none, of its group, of the whole step."""


class RLOO(OnPolicy):
    """REINFORCE leave-one-out: the baseline is the mean reward of the problem's other completions."""

    type: Literal["rloo"] = "rloo"


class Critic(Section):
    """What tells PPO how much reward is still to come: a scalar head, which starts at zero, on a trunk."""

    type: Literal["auto", "head", "adapter", "model"] = "auto"
    """Trunk: the policy's own (head), an adapter of its own on the policy's base (adapter, LoRA only), a whole model of
    its own (model, full fine-tuning only); auto is adapter with LoRA and model with full fine-tuning."""
    from_: Annotated[Text | None, Field(alias="from")] = None
    """Run or folder of a reward model that the critic starts from; null starts it from the policy's own start."""
    lr: Literal["auto"] | Positive = "auto"
    """Peak learning rate of the critic; auto picks one as optim.lr does. A shared trunk learns at optim.lr."""

    @model_validator(mode="after")
    def _has_own_trunk(self) -> Critic:
        if self.from_ is not None and self.type == "head":
            raise broken_rule("would share the policy's trunk, and critic.from starts one of its own", "type", "from")
        return self


class PPO(OnPolicy):
    """Proximal policy optimization: a critic says, token by token, how good it already looked."""

    type: Literal["ppo"] = "ppo"
    group: Count = 1
    """Completions a problem; the critic is the baseline, so 1 will do."""
    epochs: Count = 2
    """Passes over a step's completions: more learns more from each, from a policy that is no longer the one trained."""
    loss: Literal["grpo", "dr_grpo", "dapo"] = "dapo"
    """Average over tokens, of the critic's loss too: within each completion, by a constant, over all tokens at once."""
    mask_truncated: Flag = False
    """Learn nothing from a completion that was cut off at rollout.max_new_tokens."""
    gamma: Share = 1.0
    """Discount of a reward that comes a token later."""
    lam: Annotated[Share, Field(alias="lambda")] = 1.0
    """Lambda of the advantage estimate: 1 takes what was earned and lets the critic be a baseline only, unbiased while
    it still knows nothing; 0.95 trusts the critic's word on what comes more than some 20 tokens later."""
    clip_value: Positive | None = 0.2
    """How far a value may move from what it was when the step began before it stops learning; null: no bound."""
    value_coef: Positive = 0.5
    """Weight of the critic's loss; it matters where the trunk is shared."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Where algo.kl acts: in the reward of every token, where the critic sees it, or in the loss."""
    kl_target: Positive | None = None
    """KL divergence to the starting model, in nats a completion, that algo.kl is steered to from where it starts; null
    keeps it."""
    stop_kl: Positive | None = None
    """KL divergence, in nats a token, from the policy that sampled beyond which a step makes no more updates."""
    whiten_advantages: Flag = True
    """Bring a step's advantages to mean 0 and standard deviation 1."""
    whiten_rewards: Flag = False
    """Bring a step's token rewards to standard deviation 1, and keep their mean."""
    reward_clip: Positive | None = None
    """Bound of a completion's reward, above and below zero, before the KL penalty; null: none."""
    missing_stop_penalty: NonNegative = 0.0
    """Taken off the reward of a completion that was cut off."""
    critic: Critic = Critic()

    @model_validator(mode="after")
    def _can_act(self) -> PPO:
        if self.kl_target is not None and not self.kl:
            raise broken_rule("steers algo.kl, which is 0; start it above", "kl_target", "kl")
        if self.missing_stop_penalty and self.mask_truncated:
            raise broken_rule(
                "has no effect where completions that were cut off are masked; set algo.mask_truncated=false",
                "missing_stop_penalty",
                "mask_truncated",
            )
        return self


class AnswerReward(Section):
    """1 for the right answer to a problem, 0 otherwise."""

    type: Literal["answer"] = "answer"
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class ModelReward(Section):
    """The score of a reward model, loaded here: as an adapter on the policy's base where it is one of it."""

    type: Literal["model"] = "model"
    path: Text
    """A run that trained a reward model, or the folder of a reward model or adapter."""
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class ServerReward(Section):
    """The score of a reward model behind a scoring server."""

    type: Literal["server"] = "server"
    url: Text
    """Where it answers, such as http://127.0.0.1:8100."""
    token_file: Text | None = None
    """File that holds the server's token; null where it asks for none."""
    send: Literal["messages", "text"] = "messages"
    """Messages, which the server renders by its model's chat template; or text as the policy's template has it, with
    its end-of-text token, which is what a reward model of the policy's own tokenizer was trained on."""
    in_flight: Count = 4
    """Requests at once."""
    patience: Positive = 60.0
    """Seconds that a server may be away before the run ends, to be resumed."""
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class GoldReward(Section):
    """The true reward of embedded/dialogues, which no learned reward knows."""

    type: Literal["gold"] = "gold"
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class Offline(Section):
    """What SFT, reward models and DPO share: they learn from data that is there before the first step."""

    batch: Count = 32
    """Examples an optimizer step; their order is a function of the seed, and each epoch has its own."""
    max_length: Annotated[int, Field(strict=True, ge=2)] = 1024
    """Tokens of prompt and reply together; longer examples are left out and counted."""


class SFT(Offline):
    """Supervised fine-tuning on solutions or preferred replies; only their tokens are learned, not the prompts'."""

    type: Literal["sft"] = "sft"


class Paired(Offline):
    """What learns from pairs of replies; on problems the starting policy writes them and the answer checker prefers."""

    samples: Annotated[int, Field(strict=True, ge=2)] = 8
    """Completions that the starting policy samples of each problem, to make pairs of."""
    pairs: Count = 4
    """Most pairs of a correct and an incorrect completion from one problem."""


class RewardModel(Paired):
    """A Bradley-Terry reward model; it learns from margins where data.margin names them."""

    type: Literal["reward_model"] = "reward_model"
    max_length: Annotated[int, Field(strict=True, ge=2)] = 1024
    """Tokens of a conversation that training reads, the last ones; how many are longer is said."""
    centring: NonNegative = 0.01
    """Weight of the squared sum of a pair's two rewards, which keeps rewards around zero; 0 leaves them anywhere."""


class DPO(Paired):
    """Direct preference optimization: log-probabilities beside the starting policy's are the reward."""

    type: Literal["dpo"] = "dpo"
    beta: Positive = 0.1
    """How strongly the starting policy holds: a reply's reward is beta times what its log-probability has gained."""
    loss: DPOLoss = "sigmoid"
    """sigmoid is DPO; robust expects flipped labels; the others are those of their papers, as TRL has them."""
    label_smoothing: Annotated[Fraction, Field(lt=0.5)] = 0.0
    """Share of labels taken to be flipped, for robust and exo_pair, which need it."""

    @model_validator(mode="after")
    def _smooths_where_it_counts(self) -> DPO:
        smooths = self.loss in ("robust", "exo_pair")
        if smooths and not self.label_smoothing:
            raise broken_rule(f"must be above 0 with algo.loss {self.loss}", "label_smoothing", "loss")
        if self.label_smoothing and not smooths:
            raise broken_rule("is for algo.loss robust or exo_pair only; set it back to 0", "label_smoothing", "loss")
        return self


class LoRA(Section):
    """Low-rank adapters train; the base stays as it is."""

    type: Literal["lora"] = "lora"
    rank: Count = 8
    alpha: Positive = 32.0
    """The adapter's output is scaled by alpha / rank."""
    dropout: Fraction = 0.0
    targets: Literal["all-linear", "attention", "mlp"] | Annotated[tuple[Text, ...], Field(min_length=1)] = "all-linear"
    """Layers that get an adapter: a kind, or a list of module names."""
    use_dora: Flag = False
    """Learn the length of each weight's rows apart from their direction (DoRA, arXiv 2402.09353); slower."""
    use_rslora: Flag = False
    """Scale by alpha / sqrt(rank), which keeps the size of updates at high ranks (rsLoRA, arXiv 2312.03732)."""
    init: Literal["zero", "pissa"] = "zero"
    """What an adapter begins as: nothing, or the weight's leading singular directions (PiSSA, arXiv 2404.02948)."""
    expert_rank: Literal["same", "divided"] = "same"
    """Rank in each expert of a mixture: the same, or rank / active experts (at least 1), for the same active size."""


class Full(Section):
    """Every weight trains."""

    type: Literal["full"] = "full"


class Optim(Section):
    """AdamW and its schedule."""

    lr: Literal["auto"] | Positive = "auto"
    """Peak learning rate; auto picks one for the model, the algorithm and the tuning."""
    steps: Count = 200
    """Steps of the loop: each on fresh completions, or on the next algo.batch examples."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Learning rate after the warmup: constant, or down to zero."""
    warmup: Whole = 0
    """Steps over which the learning rate rises to its peak."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    max_grad_norm: Positive = 1.0
    """A gradient longer than this is scaled down to it."""
    micro_tokens: Count = 16384
    """Tokens in one forward and backward pass: less saves memory and changes nothing else."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> Optim:
        if self.warmup >= self.steps:
            raise broken_rule(f"must be less than optim.steps ({self.steps})", "warmup", "steps")
        return self


class Rollout(Section):
    """How completions are sampled while training."""

    engine: Literal["auto", "native", "generate"] = "auto"
    """native is rltk's own and fast; generate is that of transformers, for models native cannot run."""
    max_new_tokens: Count = 512
    """Length at which a completion is cut off."""
    temperature: Positive = 1.0
    """Softmax temperature of sampling, and of the log-probabilities that are trained."""
    top_k: Whole = 0
    """Sample from the k likeliest tokens only; 0 from all."""
    top_p: Share = 1.0
    """Sample from the likeliest tokens that hold this much probability; 1 from all."""
    min_p: Fraction = 0.0
    """Sample from tokens at least this likely relative to the likeliest; 0 from all."""
    batch: Count | None = None
    """Completions sampled at once: less saves memory; null is all of a step, on a GPU as many as fit."""


class Eval(Section):
    """Accuracy on problems that nothing trained on."""

    tasks: tuple[Text, ...] = ("heldout",)
    """heldout is the recipe's own data; or gsm8k, math, math500, word-problems, a folder or a file like the data."""
    data_root: Text | None = None
    """Folder that holds data sets under their hub ids, such as openai/gsm8k, in place of the hub; null is the hub."""
    split: Literal["test", "validation"] = "test"
    """validation to choose settings by, test to report."""
    limit: Count | None = 1000
    """Problems a task, the first ones; null is all of them."""
    samples: Whole = 1
    """Sampled completions a problem beside the greedy one."""
    k: tuple[Count, ...] = ()
    """Draws of pass@k and maj@k among the sampled completions, such as [1, 4, 8]; none may exceed samples."""
    temperature: Positive = 1.0
    """Softmax temperature of the sampled completions."""
    every: Whole = 0
    """Steps between evaluations while training; 0 evaluates before and after only."""
    before: Flag = True
    """Evaluate the starting model too, so that there is something to compare with."""
    batch: Annotated[int, Field(strict=True, ge=1, le=EVAL_BLOCK)] = EVAL_BLOCK
    """Completions at once: less saves memory."""
    stop_on_overoptimisation: Flag = False
    """End training when the gold reward of held-out prompts has turned down while the reward that is trained on still
    rises; for embedded/dialogues, where gold is known, with eval.every."""

    @model_validator(mode="after")
    def _enough_samples(self) -> Eval:
        if self.k and max(self.k) > self.samples:
            raise broken_rule(f"must not exceed eval.samples ({self.samples})", "k", "samples")
        return self


class Run(Section):
    """Where a run is kept and how it is watched; nothing here changes a result."""

    dir: Text = "runs"
    """Folder of all runs; this one goes into <dir>/<name>/<id>."""
    checkpoint_every: Count = 20
    """Steps between checkpoints: the most that a killed run loses."""
    keep: Count = 2
    """Checkpoints kept, the newest."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Where metrics go beside the run folder."""


class LearningRates(Section):
    """The learning rates that every arm is swept over, half a decade apart; all arms are given equally many."""

    centre: Literal["auto"] | Positive = "auto"
    """The middle of full fine-tuning's rates; LoRA's is ten times that. auto: optim.lr, or what it stands for."""
    points: Count = 5
    """Learning rates an arm to begin with."""
    most: Count = 9
    """Learning rates an arm at most: while the best of an arm is its lowest or highest, every arm gets another."""
    halvings: Annotated[int, Field(strict=True, ge=0, le=4)] = 0
    """Successive halving: so many times the better half goes on at twice the steps; 0 runs all of them in full."""

    @model_validator(mode="after")
    def _room(self) -> LearningRates:
        if self.most < self.points:
            raise broken_rule(f"must be at least compare.rates.points ({self.points})", "most", "points")
        return self


class MarginRule(Section):
    """The largest loss that does not matter, in accuracy: a share of full fine-tuning's gain in the sweep."""

    value: Positive | None = None
    """The margin itself, 0.02 for two points; null takes the share below."""
    share: Annotated[Share, Field(lt=1)] = 0.1
    """0.1 asks that nine tenths of the gain are kept."""
    at_least: Positive = 0.01
    at_most: Positive = 0.03

    @model_validator(mode="after")
    def _in_order(self) -> MarginRule:
        if self.at_most < self.at_least:
            raise broken_rule(f"must be at least compare.margin.at_least ({self.at_least})", "at_most", "at_least")
        return self

    @property
    def largest(self) -> float:
        return self.value or self.at_most


class Control(Section):
    """The negative control: an arm that must come out inferior, or nothing shows that a loss would have been seen."""

    arm: Text | None = None
    """The arm that is repeated at a rate far too low; null is the first one that is not the reference."""
    divisor: Annotated[AtLeastOne, Field(gt=1)] = 30.0
    """Its best learning rate is divided by this."""


Overlay = dict[str, Any]
ArmName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", json_schema_extra={"patternErrorMessage": NAME_IN_WORDS})
]


class Compare(Section):
    """How `rltk compare` finds out what an arm costs against full fine-tuning."""

    arms: Annotated[tuple[Text, ...], Field(min_length=2)] | dict[ArmName, Text | Overlay] = (
        "lora-1",
        "lora-4",
        "lora-8",
        "full",
    )
    """Presets (full, lora-8, dora-8, rslora-8, pissa-8, attention-8, mlp-8, or without a rank that of the recipe), or a
    name for each arm with a preset or the keys in which it differs: {tune: {type: lora, rank: 2}}."""
    reference: Text = "full"
    """The arm that the others are held against."""
    base: Overlay = Field(default={})
    """Laid over the recipe in every arm, such as fewer steps: {optim: {steps: 30}}."""
    metric: Literal["greedy", "sampled"] = "greedy"
    """Accuracy on the first of eval.tasks: of one greedy completion, or of eval.samples sampled ones."""
    tuning_seeds: Annotated[int, Field(strict=True, ge=1, le=100)] = 2
    """Seeds that learning rates are chosen on, with the validation split: seed, seed + 1, ..."""
    confirmation_seeds: Annotated[int, Field(strict=True, ge=2)] = 8
    """Fresh seeds that the verdict rests on, with the test split: seed + 100, seed + 101, ..."""
    rates: LearningRates = LearningRates()
    margin: MarginRule = MarginRule()
    control: Control = Control()
    minimum_gain: Positive = 0.1
    """What full fine-tuning must be shown to gain over the start, or there was nothing to lose."""
    alpha: Annotated[Positive, Field(lt=0.5)] = 0.05
    """Level of every test."""
    looks: Count = 1
    """How often the verdict may be asked for as confirmation_seeds grows; each look takes its share of alpha."""
    keep_models: Flag = True
    """Keep what each run trained; checkpoints go once a run is finished either way."""

    @model_validator(mode="after")
    def _gain_beyond_margin(self) -> Compare:
        if self.minimum_gain <= self.margin.largest:
            key = "margin.at_most" if self.margin.value is None else "margin.value"
            must = f"must exceed the margin (up to {self.margin.largest:g}), or the start itself could pass"
            raise broken_rule(must, "minimum_gain", key)
        return self


Algo = Annotated[GRPO | RLOO | PPO | SFT | RewardModel | DPO, Field(discriminator="type")]
Reward = Annotated[AnswerReward | ModelReward | ServerReward | GoldReward, Field(discriminator="type")]
Tune = Annotated[LoRA | Full, Field(discriminator="type")]
=======
>>>>>>> split


class Recipe(Section):
    """One training run."""

    name: Name
    """Names the folder of its runs."""
    seed: Whole = 0
    model: Model
    data: Data
    algo: Algo
    tune: Tune
    rewards: dict[str, Reward] = Field(default_factory=dict)
    """What a completion is worth: the weighted sum of these, by names of your own; none means the answer's."""
    optim: Optim = Optim()
    rollout: Rollout = Rollout()
    eval: Eval = Eval()
    run: Run = Run()
    compare: Compare = Compare()

    @model_validator(mode="after")
    def _reference_is_the_base(self) -> Recipe:
        starts_elsewhere = isinstance(self.tune, LoRA) and self.tune.init == "pissa"
        if starts_elsewhere and isinstance(self.algo, OnPolicy) and self.algo.kl:
            raise broken_rule("moves the base, which algo.kl > 0 compares with; set one of them back", "tune.init")
        return self

    @model_validator(mode="after")
    def _validation_exists(self) -> Recipe:
        needs_it = self.eval.split == "validation" and "heldout" in self.eval.tasks
        if needs_it and not self.data.is_embedded and not self.data.validation:
            raise broken_rule("must be at least 1 when eval.split is validation", "data.validation", "eval.split")
        return self

    @model_validator(mode="after")
    def _critic_suits_what_trains(self) -> Recipe:
        own = {"lora": "adapter", "full": "model"}[self.tune.type]
        if isinstance(self.algo, PPO) and self.algo.critic.type not in ("auto", "head", own):
            must = f"does not go with tune.type = {self.tune.type}; use {own} or head"
            raise broken_rule(must, "algo.critic.type", "tune.type")
        return self

    @model_validator(mode="after")
    def _rewards_are_known(self) -> Recipe:
        if not isinstance(self.algo, OnPolicy):
            if self.rewards:
                raise broken_rule(f"has no meaning with algo.type {self.algo.type}; remove it", "rewards", "algo.type")
            return self
        if self.data.kind == "preferences" and not self.rewards:
            must = "has prompts without an answer to check: name at least one in rewards, of type model, server or gold"
            raise broken_rule(must, "data.path", "rewards")
        for name, reward in self.rewards.items():
            if not REWARD_NAME.fullmatch(name):
                raise broken_rule(f"has a name, {name!r}, that is more than letters, digits, '_' and '-'", "rewards")
            if reward.type == "answer" and self.data.kind == "preferences":
                must = "needs problems with answers, and data.kind is preferences; use model, server or gold"
                raise broken_rule(must, f"rewards.{name}.type", "data.kind")
            if reward.type == "gold" and not self.knows_gold:
                must = "is known for embedded/dialogues alone; use model or server"
                raise broken_rule(must, f"rewards.{name}.type", "data.path")
        return self

    @model_validator(mode="after")
    def _watches_gold(self) -> Recipe:
        if self.eval.stop_on_overoptimisation and not self.knows_gold:
            must = "needs a gold reward, which embedded/dialogues alone has"
            raise broken_rule(must, "eval.stop_on_overoptimisation", "data.path")
        if self.eval.stop_on_overoptimisation and not self.eval.every:
            must = "looks at the evaluations while training; set eval.every"
            raise broken_rule(must, "eval.stop_on_overoptimisation", "eval.every")
        return self

    @property
    def knows_gold(self) -> bool:
        """Whether the true reward of any completion is known."""
        return self.data.path == "embedded/dialogues"

    @model_validator(mode="after")
    def _data_suits_the_algorithm(self) -> Recipe:
        for key, because in unused_keys(self.algo, is_preferences=self.data.kind == "preferences"):
            section, name = key.split(".")
            value, default = (
                getattr(getattr(self, section), name),
                type(getattr(self, section)).model_fields[name].default,
            )
            if value != default:
                shown = json.dumps(default)
                raise broken_rule(
                    f"has no meaning with {because}; set it back to {shown}", key, "data.kind", "algo.type"
                )
        return self
