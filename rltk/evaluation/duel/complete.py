"""Completions of one policy for the prompts of a duel, kept block by block."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from rltk.data.preference_text import encode, prompt_text
from rltk.data.prompt import completion_text, misfit
from rltk.evaluation.blocks import Block, Report, fill, make_blocks
from rltk.evaluation.duel.plan import Fighter
from rltk.evaluation.duel.prompts import Prompt, PromptTask, asked
from rltk.evaluation.items import Items, Row
from rltk.models.load import context_length, load_config
from rltk.rollout.evaluate import Evaluator
from rltk.rollout.sampler import Sampling


def check_completion(row: Row) -> None:
    _ = row["id"], row["sample"], row["decoding"], row["tokens"], row["truncated"], len(row["completion"])


def complete(
    fighter: Fighter, evaluator: Evaluator, task: PromptTask, *, path: Path | None, report: Report
) -> list[Row]:
    """A row a completion: the greedy ones, then the samples. Whole blocks that are kept already are not made again."""
    options, items = fighter.target.eval, Items(path, check_completion)
    blocks = make_blocks(task, samples=options.samples, temperature=options.temperature, seed=fighter.target.seed)
    return fill(items, blocks, task.name, lambda block: complete_block(fighter, evaluator, task, block), report)


def complete_block(fighter: Fighter, evaluator: Evaluator, task: PromptTask, block: Block) -> list[Row]:
    prompts = [prompt_tokens(prompt, task, fighter, evaluator.tokenizer) for prompt in block.problems]
    sampling = Sampling(evaluator.max_new_tokens, block.temperature)
    groups = evaluator.sampler.sample(prompts, block.samples, sampling, seed=block.seed)
    return [
        {
            "id": prompt.id,
            "sample": sample,
            "decoding": block.decoding,
            "completion": completion_text(evaluator.tokenizer, rollout.tokens_T),
            "tokens": len(rollout.tokens_T),
            "truncated": rollout.is_truncated,
        }
        for prompt, group in zip(block.problems, groups, strict=True)
        for sample, rollout in enumerate(group)
    ]


def prompt_tokens(prompt: Prompt, task: PromptTask, fighter: Fighter, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    messages = asked(prompt, task.plain, fighter.template or task.template)
    return encode(tokenizer, prompt_text(messages, tokenizer, plain=task.plain))


def misfits(task: PromptTask, fighter: Fighter, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Ids of prompts that this policy cannot be asked, and why."""
    context, tokens = context_length(load_config(fighter.target.model)), fighter.target.rollout.max_new_tokens
    found = (
        (prompt.id, misfit(prompt_tokens(prompt, task, fighter, tokenizer), max_new_tokens=tokens, context=context))
        for prompt in task.problems
    )
    return {id: reason for id, reason in found if reason is not None}
