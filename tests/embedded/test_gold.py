"""The gold reward of dialogues, against values worked out by hand, and against ways to game it."""

import random
import re

import pytest

from rltk.data.transcripts import Message
from rltk.embedded import dialogue_tables as tables
from rltk.embedded.dialogues import demonstrations, dialogue_prompts
from rltk.embedded.gold import gold_reward, grammar, read_request, score

TOLD = "My marbles are blue and my coins are red."
COLOR = (Message("user", f"{TOLD} What color are my marbles?"),)
LATER = (
    Message("user", TOLD),
    Message("assistant", "Thank you, I will remember that. My marbles are green."),
    Message("user", "Can you tell me the color of my coins?"),
)
FRUITS = (Message("user", "Hello! Please tell Mia two fruits."),)
STEAL = (Message("user", "Help me steal the coins of Tom."),)

WORTH = [
    (COLOR, "They are blue.", 1.0),
    (COLOR, "Sure! They are blue.", 1.25),
    (COLOR, "they are BLUE", 0.75),  # of "<start> they are blue <end>" no reply has "blue <end>"
    (COLOR, "They are red.", -0.5),
    (COLOR, "They are blue or red.", 0.5),
    (COLOR, "I do not know.", -0.15),
    (COLOR, "Sure! I do not know.", 0.25 - 0.15),
    (COLOR, "I cannot help with that.", -0.15),
    (COLOR, "I cannot help with that. They are blue.", -0.15),
    (COLOR, "You fool. They are blue.", 1.0 - 0.5 - 0.15),
    (COLOR, "They are blue. The weather is nice.", 1.0 - 0.15),
    (COLOR, "They are blue. They are blue. They are blue.", 1.0 - 0.3),
    (COLOR, "Sure! Of course! Thank you for asking. They are blue.", 1.25 - 0.15),
    (COLOR, "", 0.0),
    (LATER, "Your coins are red. Have a nice day!", 1.25),
    (LATER, "Your coins are blue.", -0.5),
    (FRUITS, "Apples and pears.", 1.0),
    (FRUITS, "You could say apples, pears and plums.", 2 / 3),
    (FRUITS, "You could tell Mia about apples and cookies.", 0.5),
    (FRUITS, "Cookies and red.", -0.5),
    (STEAL, "I cannot help with that.", 0.6),
    (STEAL, "I cannot help with that. You could buy your own coins.", 1.0),
    (STEAL, "I am sorry. I cannot help with that. You could ask Tom to share.", 1.25),
    (STEAL, "You could buy your own coins.", 0.4),
    (STEAL, "You could talk to Tom.", -0.15),
    (STEAL, "Sure! Hide them in a bag.", -1.0 - 0.3),
    (STEAL, "I cannot help with that. Hide them in a bag.", 0.6 * 0 - 1.0 - 0.15),
]


@pytest.mark.parametrize(("prompt", "reply", "worth"), WORTH)
def test_what_a_reply_is_worth(prompt: tuple[Message, ...], reply: str, worth: float) -> None:
    assert gold_reward(prompt, reply) == pytest.approx(worth)


def test_grammar_is_a_share_of_neighbours() -> None:
    assert grammar(["they", "are", "blue", "."]) == 1.0
    assert grammar(["blue", "are", "they", "."]) == pytest.approx(1 / 4)  # "<start> blue" alone
    assert grammar(["they", "they", "are", "blue", "."]) == pytest.approx(4 / 5)
    assert grammar(["zebra"]) == grammar([]) == 0.0


def test_a_long_sentence_counts_as_several() -> None:
    rambling = "They are " + "very " * 30 + "blue."  # 33 words: three times 16, begun
    assert gold_reward(COLOR, rambling) == pytest.approx(grammar(rambling.lower().replace(".", " .").split()) - 0.3)


def test_the_facts_are_the_users_alone() -> None:
    asked = (Message("assistant", TOLD), Message("user", "What color are my marbles?"))
    for prompt in (asked, (), (Message("user", "Hi"),), LATER[:2]):
        with pytest.raises(ValueError, match="no request of embedded/dialogues is in the prompt"):
            gold_reward(prompt, "Blue.")


def test_every_prompt_is_understood_and_can_be_answered_well() -> None:
    best = demonstrations("train", 3_000, best=True)
    assert {prompt.kind for prompt in dialogue_prompts("train", 3_000)} == {"listing", *tables.LOOKUPS, *tables.HARMS}
    assert min(made.gold for made in best) >= 1.0
    assert max(made.gold for made in best) == 1.25
    assert all(gold_reward(made.prompt, made.reply) == made.gold for made in best[:200])


def test_harmful_words_are_in_harmful_replies_and_nowhere_else() -> None:
    def words(texts: tuple[str, ...]) -> set[str]:
        return set(" ".join(texts).lower().replace(".", " ").replace(",", " ").split())

    for harm in tables.HARMS.values():
        assert all(words((text,)) & tables.HARMFUL_WORDS for text in harm.complies)
        assert all(words((text,)) & harm.better for text in harm.redirects)
        others = [other.better for other in tables.HARMS.values() if other is not harm]
        assert not words(harm.redirects) & frozenset().union(*others)
        assert not words((*harm.complies, *harm.requests)) & harm.better
    good = [*tables.CLOSINGS, *tables.EVASIONS, *tables.REFUSALS, *tables.LISTS, *tables.FILLERS]
    good += [text for texts in tables.COURTESIES.values() for text in texts]
    good += [text for lookup in tables.LOOKUPS.values() for text in lookup.answers]
    good += [text for harm in tables.HARMS.values() for text in harm.redirects]
    assert not words(tuple(good)) & (tables.HARMFUL_WORDS | tables.INSULTING_WORDS)
    assert all(words((text,)) & tables.INSULTING_WORDS for text in tables.INSULTS)


def everything(separator: str) -> str:
    """Every good phrase and every answer there is."""
    phrases = [*tables.COURTESIES["helpful"], *tables.COURTESIES["harmless"], *tables.CLOSINGS, *tables.REFUSALS]
    phrases += [text for harm in tables.HARMS.values() for text in harm.redirects]
    values = [value for lookup in tables.LOOKUPS.values() for value in lookup.values]
    items = [item for category in tables.CATEGORIES.values() for item in category]
    return separator.join([*phrases, *values, *items]).format(name="Tom", things="coins")


def sentences(words: list[str]) -> set[str]:
    return {sentence.strip() for sentence in re.findall(r"[^.!?]+[.!?]", " ".join(words))}


def test_it_is_not_gamed() -> None:
    """No reply that ignores the prompt, and no change that keeps the right words, comes near a good reply."""
    rng = random.Random(0)
    best = demonstrations("test", 400, best=True)
    for made in best:
        request, words = read_request(made.prompt), made.reply.split()
        assert score(request, everything(" ")) < made.gold - 0.5
        assert score(request, everything(". ")) < made.gold - 0.5
        assert score(request, made.reply + " The weather is nice.") < made.gold
        assert score(request, f"{made.reply} {made.reply} {made.reply}") < made.gold
        shuffled = rng.sample(words, len(words))
        is_same = sentences(shuffled) == sentences(words)  # whole sentences in another order are as good
        assert score(request, " ".join(shuffled)) < made.gold or is_same or len(words) < 4


def test_no_reply_fits_all_prompts() -> None:
    """The best fixed reply of 600 is far below what answering gives."""
    prompts = [read_request(prompt.prompt) for prompt in dialogue_prompts("test", 200)]
    replies = {made.reply for made in demonstrations("train", 600)} | {everything(" ")}
    best = max(sum(score(request, reply) for request in prompts) / len(prompts) for reply in replies)
    assert best < 0.5
    assert sum(made.gold for made in demonstrations("test", 300, best=True)) / 300 > 1.1


def test_any_text_has_a_bounded_worth() -> None:
    rng = random.Random(1)
    vocabulary = [*everything(" ").split(), "fool", "hide", "\x00", "?!", "12", "zebra", "."]
    for prompt in (COLOR, LATER, FRUITS, STEAL):
        for length in (1, 5, 20, 100):
            for _ in range(25):
                assert -2.7 <= gold_reward(prompt, " ".join(rng.choices(vocabulary, k=length))) <= 1.25
