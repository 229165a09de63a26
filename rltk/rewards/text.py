"""What a reward model with a tokenizer of its own reads: prompt and completion as its own chat template writes them."""

from transformers import PreTrainedTokenizerBase

from rltk.data.preference_text import prompt_text, reply_text
from rltk.data.prompt import PromptRenderer
from rltk.data.transcripts import Message, Messages
from rltk.rewards.judge import Sample


def scored_text(renderer: PromptRenderer, sample: Sample, tokenizer: PreTrainedTokenizerBase) -> str:
    """As reward models are trained (`rltk.data.preference_text`); a completion that was cut off has no end."""
    asked, plain = renderer.messages(sample.problem), renderer.plain(sample.problem)
    reply = reply_text(asked, sample.text, tokenizer, plain=plain)
    end = tokenizer.eos_token
    if sample.rollout.is_truncated and isinstance(end, str) and end:
        reply = reply.removesuffix(end)
    return prompt_text(asked, tokenizer, plain=plain) + reply


def conversation(renderer: PromptRenderer, sample: Sample) -> Messages:
    return (*renderer.messages(sample.problem), Message("assistant", sample.text))
