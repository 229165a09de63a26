"""What a reward model with a tokenizer of its own reads: prompt and completion as its own chat template writes them."""

from rltk_reward_models.scorer import without_end
from transformers import PreTrainedTokenizerBase

from rltk.data.preference_text import prompt_text, reply_text
from rltk.data.prompt import PromptRenderer
from rltk.data.transcripts import Message, Messages, Plain
from rltk.rewards.judge import Sample


def scored_text(renderer: PromptRenderer, sample: Sample, tokenizer: PreTrainedTokenizerBase) -> str:
    asked, plain = renderer.messages(sample.problem), renderer.plain(sample.problem)
    return completed_text(asked, sample.text, tokenizer, plain=plain, is_cut_off=sample.rollout.is_truncated)


def completed_text(
    asked: Messages, completion: str, tokenizer: PreTrainedTokenizerBase, *, plain: Plain, is_cut_off: bool
) -> str:
    """As reward models are trained (`rltk.data.preference_text`); a completion that was cut off has no end."""
    reply = reply_text(asked, completion, tokenizer, plain=plain)
    reply = without_end(reply, tokenizer.eos_token) if is_cut_off else reply
    return prompt_text(asked, tokenizer, plain=plain) + reply


def conversation(renderer: PromptRenderer, sample: Sample) -> Messages:
    return (*renderer.messages(sample.problem), Message("assistant", sample.text))
