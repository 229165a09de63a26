"""What the conversations of a recipe hold: as SFT will imitate them, what is too long, and repeats."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from rltk.data.demonstrations import Demonstration, load_demonstrations
from rltk.data.preference_text import Plain, encode, prompt_text, reply_text
from rltk.data.rows import is_file
from rltk.preflight.found import Looked, Shown, of_rows
from rltk.preflight.repeats import repeats
from rltk.recipe.schema import Recipe

PLAIN: Plain = "transcript"


def look_at_chats(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, max_length: int, *, most: int) -> Looked:
    """`most` conversations are shown; all are read, tokenized and counted, prompt and reply."""
    rows = load_demonstrations(recipe.data, tokenizer).rows
    asked = {row.id: prompt_text(row.prompt, tokenizer, plain=PLAIN) for row in rows}
    lengths = {
        row.id: len(encode(tokenizer, asked[row.id] + reply_text(row.prompt, row.reply, tokenizer, plain=PLAIN)))
        for row in rows
    }
    shown = [Shown(row.id, asked[row.id], lengths[row.id], row.reply) for row in rows[:most]]
    long = [id for id, length in lengths.items() if length > max_length]
    is_split = not is_file(recipe.data) and recipe.eval.split == "test" and recipe.data.train != recipe.data.test
    test = load_demonstrations(recipe.data, tokenizer, "test").rows if is_split else []
    found = [
        *of_rows(
            "warning", "left_out", f"conversations are longer than algo.max_length ({max_length}): left out", long
        ),
        *repeats(texts(rows), texts(test), what="conversations"),
    ]
    return Looked(shown, found, list(lengths.values()))


def texts(rows: Sequence[Demonstration]) -> list[tuple[str, str]]:
    return [(row.id, repr((row.prompt, row.reply))) for row in rows]
