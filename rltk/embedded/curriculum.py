"""What the embedded policy is made with: word problems, equations and dialogues, and judgements of dialogues' replies.

Problems come, as web text does, with careful solutions, careless ones, and mostly bare answers. The policy's likeliest
way to answer is then a guess, while the careful way, when it takes it, is nearly always right: a starting point that
reinforcement learning can improve by eliciting what is there. (Trained on careful solutions alone it gains nothing from
RL: what it lacks then is skill, and its samples hardly differ.) Dialogues come with replies of any worth.

Judging comes after that, and first with nothing beside it: mixed with the rest from the beginning it was not learned.
Practice of everything then brings back what was forgotten meanwhile.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from rltk.data.transcripts import Message, Messages
from rltk.embedded import equations, word_problems
from rltk.embedded.dialogues import demonstrations
from rltk.embedded.equations import EquationProblem
from rltk.embedded.judgements import QUESTION, judgements
from rltk.embedded.word_problems import WordProblem

LEVELS = (1, 2, 3)
STYLES = ("bare", "careful", "slip")
SKILL_MIX, FINAL_MIX = (0.25, 0.65, 0.10), (0.55, 0.32, 0.13)
"""How often each style of a solution appears while the skill is learned, and at last, which is how often the policy
will use it. A slip is a careful solution whose last step goes wrong; equations have none."""
DIALOGUES = 10_000
"""Dialogues drawn from one seed, before the next seed's."""
YES, NO = "Yes.", "No."


class Phase(NamedTuple):
    until: float
    """The share of the steps that are made when it ends."""
    subjects: dict[str, float]
    """How often a lesson is about what."""
    mix: tuple[float, float, float]
    """How often a problem is solved in each of the `STYLES`."""


SUBJECTS = {"word problem": 0.50, "equation": 0.28, "dialogue": 0.22}
WARM_START = (Phase(0.7, SUBJECTS, SKILL_MIX), Phase(1.0, SUBJECTS, FINAL_MIX))
JUDGING = (
    Phase(0.6, {"judgement": 1.0}, FINAL_MIX),
    Phase(1.0, {"word problem": 0.38, "equation": 0.22, "dialogue": 0.2, "judgement": 0.2}, FINAL_MIX),
)
EVERYTHING = {"word problem": 0.45, "equation": 0.27, "dialogue": 0.13, "judgement": 0.15}
PRACTICE = (Phase(0.6, EVERYTHING, SKILL_MIX), Phase(1.0, EVERYTHING, FINAL_MIX))


class Lesson(NamedTuple):
    prompt: Messages
    answer: str
    is_short: bool = False
    """Whether its answer is so short that beside solutions it would weigh nothing in the mean over a batch's tokens."""


def texts(seed: int) -> Iterator[str]:
    """What the tokenizer learns its vocabulary from; problems of every level."""
    for problem in word_problems.word_problems("train", 20_000, seed=seed, levels=word_problems.LEVELS):
        yield f"{problem.question}\n{problem.solution}"
    for problem in equations.equations("train", 10_000, seed=seed):
        yield f"{problem.question}\n{problem.solution}"
    for dialogue in demonstrations("train", DIALOGUES, seed=seed):
        yield "\n".join([*(message.content for message in dialogue.prompt), dialogue.reply])
    yield "\n".join((QUESTION, YES, NO))


def lessons(phases: Sequence[Phase], seed: int, progress: Callable[[], float]) -> Iterator[Lesson]:
    """Without end; `progress` tells the share of the training that is done, which decides the phase."""
    rng = random.Random(seed)
    of = {
        "word problem": word_problems.stream("train", seed=seed + 1, levels=LEVELS),
        "equation": equations.stream("train", seed=seed + 1, levels=LEVELS),
        "dialogue": dialogues(seed + 1),
        "judgement": judged(seed + 1),
    }
    while True:
        phase = next((phase for phase in phases if progress() < phase.until), phases[-1])
        subject = rng.choices(list(phase.subjects), list(phase.subjects.values()))[0]
        drawn, mix = next(of[subject]), phase.mix
        match drawn:
            case Lesson():
                yield drawn
            case WordProblem():
                yield asked(drawn.question, word_problem_answer(drawn, rng.choices(STYLES, mix)[0], rng))
            case EquationProblem():
                is_bare = rng.random() < mix[0]
                yield asked(drawn.question, f"$\\boxed{{{drawn.answer}}}$" if is_bare else drawn.solution)


def dialogues(seed: int) -> Iterator[Lesson]:
    for one in count(seed):
        for demonstration in demonstrations("train", DIALOGUES, seed=one):
            yield Lesson(demonstration.prompt, demonstration.reply)


def judged(seed: int) -> Iterator[Lesson]:
    for one in count(seed):
        for judgement in judgements("train", DIALOGUES, seed=one):
            yield Lesson(judgement.prompt, YES if judgement.is_good else NO, is_short=True)


def asked(question: str, answer: str) -> Lesson:
    return Lesson((Message("user", question),), answer)


def word_problem_answer(problem: WordProblem, style: str, rng: random.Random) -> str:
    if style == "bare":
        return f"#### {problem.answer}"
    if style == "careful":
        return problem.solution
    *lines, last, _ = problem.solution.split("\n")
    step = problem.steps[-1]
    wrong = max(0, step.result + rng.choice((-10, -2, -1, 1, 2, 10)))
    return "\n".join([*lines, last.replace(f"= {step.result}", f"= {wrong}"), f"#### {wrong}"])
