"""Prompts by name, and what each asks. A text never changes under its name: a better one takes the next version.

All wording and all worked examples are rltk's own. A few-shot prompt is one message, examples included.
"""

import hashlib
from typing import NamedTuple

from rltk.errors import UserError, suggestion
from rltk.recipe.schema import Data


class Template(NamedTuple):
    name: str
    text: str
    """{question} is replaced by the question."""
    until: str | None = None
    """How the next problem would begin: a base model goes on with one of its own, which is no part of its answer."""
    system: str | None = None

    @property
    def hash(self) -> str:
        """16 hex digits, of everything but the name."""
        return hashlib.blake2b(repr((self.text, self.until, self.system)).encode(), digest_size=8).hexdigest()

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "hash": self.hash}

    def answer(self, completion: str) -> str:
        """What answers the question: all of the completion, or what stands before the next problem."""
        return completion if self.until is None else completion.partition(self.until)[0]


RECIPE = "recipe"
"""Name of a prompt that a recipe spells out."""

_GSM8K_SHOTS = r"""Solve each problem step by step. End with a line of `#### ` and the number alone.

Question: A tray of 12 rolls costs $9 and a single roll $1. What is the least that exactly 30 rolls cost?
Answer: Two trays hold 2 * 12 = 24 rolls and cost 2 * 9 = 18 dollars.
That leaves 30 - 24 = 6 single rolls, which cost 6 * 1 = 6 dollars.
Together that is 18 + 6 = 24 dollars.
#### 24

Question: A pump adds 20 litres a minute to an empty tank of 480 litres, and a leak takes 4. When is it full?
Answer: Each minute the tank gains 20 - 4 = 16 litres.
It takes 480 / 16 = 30 minutes to gain 480 litres.
#### 30

Question: Priya pays half of a gift, Tom a third, and Nils the remaining $15. What does the gift cost?
Answer: Priya and Tom pay 1/2 + 1/3 = 5/6 of the gift.
That leaves 1 - 5/6 = 1/6 for Nils, which is 15 dollars.
The gift costs 6 * 15 = 90 dollars.
#### 90

Question: Omar reads 25 pages on weekdays and 60 a day at weekends. How many days do 1,225 pages take from a Monday?
Answer: In a week he reads 5 * 25 + 2 * 60 = 125 + 120 = 245 pages.
The pages take 1225 / 245 = 5 weeks.
That is 5 * 7 = 35 days.
#### 35

Question: {question}
Answer:"""

_MATH_SHOTS = r"""Solve each problem step by step. Put the final answer, and nothing else, in \boxed{}.

Problem: Find the sum of all integers $n$ for which $n^2 - 7n + 10 < 0$.
Solution: The left side is $(n - 2)(n - 5)$, which is negative between its roots $2$ and $5$.
The integers strictly between them are $3$ and $4$, and $3 + 4 = 7$.
The answer is $\boxed{7}$.

Problem: A fair die is rolled twice. What is the probability that the second roll is greater than the first?
Solution: Of the $36$ equally likely outcomes, $6$ are ties.
By symmetry the second roll is greater in half of the other $30$, that is, in $15$.
The probability is $\frac{15}{36} = \frac{5}{12}$.
The answer is $\boxed{\frac{5}{12}}$.

Problem: The legs of a right triangle are $5$ and $10$. How far is the right angle from the hypotenuse?
Solution: The hypotenuse is $\sqrt{5^2 + 10^2} = \sqrt{125} = 5\sqrt{5}$.
The area is $\frac{1}{2} \cdot 5 \cdot 10 = 25$, and also half of the hypotenuse times the distance.
So the distance is $\frac{2 \cdot 25}{5\sqrt{5}} = \frac{10}{\sqrt{5}} = 2\sqrt{5}$.
The answer is $\boxed{2\sqrt{5}}$.

Problem: What is the remainder when $3^{50} + 4$ is divided by $8$?
Solution: Since $3^2 = 9$ leaves a remainder of $1$, so does $3^{50} = (3^2)^{25}$.
Hence $3^{50} + 4$ leaves $1 + 4 = 5$.
The answer is $\boxed{5}$.

Problem: {question}
Solution:"""

TEMPLATES = {
    template.name: template
    for template in (
        Template("plain@1", "{question}"),
        Template(
            "gsm8k/zero-shot@1",
            "{question}\n\nThink step by step, and end with a line of `#### ` and the number alone.",
        ),
        Template("gsm8k/few-shot@1", _GSM8K_SHOTS, until="\nQuestion:"),
        Template(
            "math/zero-shot@1",
            "{question}\n\nThink step by step, and put the final answer, and nothing else, in \\boxed{}.",
        ),
        Template("math/few-shot@1", _MATH_SHOTS, until="\nProblem:"),
    )
}


def find_template(name: str) -> Template:
    if name not in TEMPLATES:
        ending = suggestion(name, list(TEMPLATES), otherwise="choose one of")
        raise UserError(f"there is no prompt {name}; {ending}")
    return TEMPLATES[name]


def recipe_template(data: Data) -> Template:
    """How a recipe asks, under the name of the template that has the same words, if one does."""
    for template in TEMPLATES.values():
        if (template.text, template.system) == (data.prompt, data.system) and template.until is None:
            return template
    return Template(RECIPE, data.prompt, system=data.system)
