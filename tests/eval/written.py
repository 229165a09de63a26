r"""Completions as models write them, on problems made up for this, each labelled by what a person would say of it.

The label is about the answer that is given in the end, not about what a checker can read: "2 million" is right where
2000000 is asked for. Guessing is wrong: a list of answers of which one is right is labelled incorrect.
"""

from typing import NamedTuple

from rltk_eval.answers import Kind


class Case(NamedTuple):
    question: str
    completion: str
    gold: str
    correct: bool
    kind: Kind


class Problem(NamedTuple):
    question: str
    gold: str
    kind: Kind
    right: list[str]
    wrong: list[str]


PROBLEMS = [
    Problem(
        "A potter glazes 14 bowls a day for 6 days and breaks 5 of them. How many bowls are left?",
        "79",
        "number",
        right=[
            "He glazes 14 * 6 = 84 bowls. Then 84 - 5 = 79 are left.\n#### 79",
            "14 * 6 = <<14*6=84>>84\n84 - 5 = <<84-5=79>>79\n#### 79",
            "First, 14 bowls times 6 days is 84 bowls.\n\nMinus the 5 broken ones: **79 bowls**.\n\n#### **79**",
            "84 bowls in all, 5 broken. The answer is 79.",
            "So $84 - 5 = 79$ bowls are left. The answer is $\\boxed{79}$.",
            "84 - 5 = 79\n#### 79 bowls",
            "<think>14 * 6 = 84. Maybe 84 + 5 = 89? No, they broke. 79.</think>\nThere are 79 bowls left.\n#### 79",
            "Six days at 14 a day make 84. After the accident there are 79 bowls left on the shelf.",
            "### Step 1\n14 * 6 = 84\n### Step 2\n84 - 5 = 79\n### Answer\n\\boxed{79}",
            "Final answer: 79 bowls (84 glazed, 5 broken)",
            "#### 79.00",
            "14 x 6 = 84; 84 - 5 = 79.\nAnswer: 79\n\nLet me know if you have other questions, I am here 24/7!",
        ],
        wrong=[
            "14 * 6 = 84\n84 + 5 = 89\n#### 89",
            "#### 79 or 89",
            "It is 79 if they broke and 89 if they were added.",
            "14 * 6 = 84 and so 84 bowls.\n#### 84",
            "\\boxed{79} \\boxed{89} \\boxed{84}",
            "#### 79\n#### 84\n#### 89",
            "He starts with 14 * 6 = 84 bowls and then",
            "The potter breaks 5, and 79 is what a hasty reader would say, but the answer is 84.",
        ],
    ),
    Problem(
        "A stadium sells 1,250 tickets at $18 each. How much money does it take in?",
        "22500",
        "number",
        right=[
            "1,250 * 18 = 22,500\n#### 22,500",
            "1250 * 18 = 22500, so it takes in $22,500.00.\n#### $22,500.00",
            "The stadium takes in **$22,500**.",
            "$1250 \\times 18 = 22{,}500$, thus $\\boxed{22{,}500}$ dollars.",
            "It is \\$22,500.\n\n#### \\$22500",
            "The answer is $22,500.",
            "#### 22500 dollars",
            "The total is 2.25 x 10^4 dollars.\n#### 2.25e4",
            "They take in $22.5 thousand.\n#### 22.5 thousand",
            "\\boxed{\\$22,500}",
        ],
        wrong=[
            "1,250 * 18 = 21,500\n#### 21,500",
            "#### 22,50",
            "#### 2,250",
            "#### 22.500,00 or 22.5",
            "The answer is $1,250 * 18.",
            "1,250 tickets at $18 each.\n#### 1,250",
        ],
    ),
    Problem(
        "The lake was at 3 degrees and cooled by 7 degrees. How many degrees does it have now?",
        "-4",
        "number",
        right=[
            "3 - 7 = -4\n#### -4",
            "It is now at minus 4 degrees.\n#### minus 4",
            "3 - 7 = \u22124\n#### \u22124",
            "The answer is $\\boxed{-4}$.",
            "The temperature is now -4 degrees.",
            "$3 - 7 = -4^\\circ$. So the answer is $\\boxed{-4^\\circ}$.",
            "#### - 4",
            "The answer is negative 4.",
        ],
        wrong=[
            "3 - 7 = 4\n#### 4",
            "It cooled by 7 to 4 below zero... that is 4.\n#### 4",
            "3 + 7 = 10\n#### 10",
            "#### \u00b14",
            "It is between 3 and -4.",
        ],
    ),
    Problem(
        "Dana walks 3 km in 40 minutes. How many km does she walk in one hour?",
        "4.5",
        "number",
        right=[
            "3 / 40 * 60 = 4.5\n#### 4.5",
            "That is 4.50 km.\n#### 4.50 km",
            "3 * 60 / 40 = 9/2\n#### 9/2",
            "She walks $\\frac{9}{2}$ km, so the answer is $\\boxed{\\frac{9}{2}}$.",
            "#### 4 1/2",
            "She walks 4.5 kilometres (that is 4500 metres).\nAnswer: 4.5 km",
            "The answer is 4.5.",
            "Four and a half kilometres.\n#### 4\u00bd",
        ],
        wrong=[
            "3 * 40 / 60 = 2\n#### 2",
            "#### 45",
            "#### 4,5 or 2",
            "4500\n#### 4500 km",
            "Approximately 4.\n#### 4",
        ],
    ),
    Problem(
        "A town of 8,000,000 loses a quarter of its people. How many are left?",
        "6000000",
        "number",
        right=[
            "8,000,000 * 3/4 = 6,000,000\n#### 6,000,000",
            "#### 6000000 people",
            "6 million people are left.\n#### 6 million",
            "$8 \\cdot 10^6 \\cdot \\frac34 = 6 \\cdot 10^6$\n#### 6 \\cdot 10^6",
            "\\boxed{6,000,000}",
            "So there are 6\u2009000\u2009000 people left.\n#### 6\u2009000\u2009000",
        ],
        wrong=[
            "A quarter is 2,000,000.\n#### 2,000,000",
            "#### 6,000",
            "#### 6",
            "8,000,000 - 25 = 7,999,975\n#### 7,999,975",
        ],
    ),
    Problem(
        "Of 60 seeds 45 sprout. What percentage sprouts?",
        "75",
        "number",
        right=[
            "45 / 60 = 0.75 = 75%\n#### 75%",
            "45/60 = 75 %.\n#### 75",
            "$\\frac{45}{60} = \\boxed{75\\%}$",
            "The answer is 75 percent.",
            "**Answer:** 75%",
        ],
        wrong=[
            "45 / 60 = 3/4\n#### 3/4%",
            "60 - 45 = 15\n#### 15%",
            "45 / 60 * 100 = 133%\n#### 133",
            "#### 7.5%",
        ],
    ),
    Problem(
        "Write $0.2\\overline{6}$ as a fraction in lowest terms.",
        r"\frac{4}{15}",
        "math",
        right=[
            r"$x = 0.2\overline{6}$, $10x - x = 2.4$, so $x = \frac{24}{90} = \boxed{\frac{4}{15}}$.",
            r"\[\boxed{\dfrac{4}{15}}\]",
            r"Thus $\boxed{\frac4{15}}$.",
            r"Therefore the answer is $\boxed{4/15}$",
            r"The final answer is $\frac{4}{15}$. I hope it is correct.",
            r"$$x = \frac{4}{15}$$ so \boxed{x = \frac{4}{15}}",
        ],
        wrong=[
            r"$\boxed{\frac{15}{4}}$",
            r"$\boxed{0.26}$",
            r"$\boxed{\frac{4}{15}}$ or perhaps $\boxed{\frac{26}{99}}$",
            r"$\boxed{-\frac{4}{15}}$",
            r"So $x = \frac{4}{15}$... wait, $\boxed{\frac{13}{50}}$.",
            r"$\boxed{}$",
        ],
    ),
    Problem(
        "Find all real $x$ with $x^2 = 5x - 6$.",
        "2, 3",
        "math",
        right=[
            r"$(x-2)(x-3) = 0$, so $\boxed{2, 3}$.",
            r"The solutions are $\boxed{x = 2}$ and $\boxed{x = 3}$.",
            r"$\boxed{3, 2}$",
            r"$\boxed{\{2, 3\}}$",
            r"$\boxed{x = 2 \text{ or } x = 3}$",
            r"The solutions are $\boxed{2 \text{ and } 3}$.",
        ],
        wrong=[
            r"$\boxed{2}$",
            r"$\boxed{(2, 3)}$ is the interval where it is negative.",
            r"$\boxed{-2, -3}$",
            r"$\boxed{2, 3, 6}$",
            r"$\boxed{5}$ since $2 + 3 = 5$",
        ],
    ),
    Problem(
        "Rationalize the denominator of $\\frac{6}{\\sqrt{3}}$.",
        r"2\sqrt{3}",
        "math",
        right=[
            r"$\frac{6}{\sqrt3} = \frac{6\sqrt3}{3} = \boxed{2\sqrt{3}}$",
            r"$\boxed{2 \sqrt 3}$",
            r"$\boxed{\sqrt{12}}$",
            r"$\boxed{2\cdot\sqrt{3}}$",
            r"The answer is $2\sqrt{3}$.",
        ],
        wrong=[
            r"$\boxed{3\sqrt{2}}$",
            r"$\boxed{3.46}$",
            r"$\boxed{2\sqrt{3}, 3\sqrt{2}, \sqrt{6}}$",
            r"$\boxed{\sqrt{2 \cdot 3}}$",
        ],
    ),
    Problem(
        "For which $t$ is $|t - 1| \\le 4$? Answer in interval notation.",
        "[-3,5]",
        "math",
        right=[
            r"$-4 \le t - 1 \le 4$, that is $\boxed{[-3, 5]}$.",
            r"$\boxed{t \in [-3,5]}$",
            r"$\boxed{-3 \le t \le 5}$",
            r"\boxed{\left[-3,\, 5\right]}",
        ],
        wrong=[
            r"$\boxed{(-3, 5)}$",
            r"$\boxed{[-3, 5)}$",
            r"$\boxed{[-5, 3]}$",
            r"$\boxed{-3, 5}$",
            r"$\boxed{(-\infty, -3] \cup [5, \infty)}$",
        ],
    ),
    Problem(
        "Expand $(a - 2)(a + 5)$.",
        "a^2+3a-10",
        "math",
        right=[
            r"$a^2 + 5a - 2a - 10 = \boxed{a^2 + 3a - 10}$",
            r"$\boxed{-10 + 3a + a^2}$",
            r"The product is \(\boxed{a^{2}+3a-10}\).",
            r"So the answer is $a^2 + 3a - 10$.",
        ],
        wrong=[
            r"$\boxed{a^2 - 3a - 10}$",
            r"$\boxed{a^2 + 3a + 10}$",
            r"$\boxed{a^2 + 7a - 10}$",
            r"$a^2 + 3a - 10$ has the roots $\boxed{2, -5}$",
        ],
    ),
    Problem(
        "A fair coin is thrown 4 times. What is the probability of exactly two heads?",
        r"\frac{3}{8}",
        "math",
        right=[
            r"$\binom42 / 16 = 6/16 = \boxed{\frac{3}{8}}$",
            r"$\boxed{0.375}$",
            r"$\boxed{37.5\%}$",
            r"$\boxed{\frac{6}{16}}$",
            r"Probability: $\boxed{P = \frac{3}{8}}$",
        ],
        wrong=[
            r"$\boxed{\frac{1}{2}}$",
            r"$\boxed{\frac{5}{8}}$",
            r"$\boxed{3:8}$",
            r"The chance is $\frac{3}{8}$ of two heads and $\frac{5}{8}$ of the rest.",
            r"$\boxed{37.5}$",
        ],
    ),
    Problem(
        "In triangle $PQR$ the angles at $P$ and $Q$ are $35^\\circ$ and $80^\\circ$. Find the angle at $R$.",
        "65^\\circ",
        "math",
        right=[
            r"$180 - 35 - 80 = \boxed{65}$",
            r"$\angle R = \boxed{65^\circ}$",
            r"$\boxed{65 \text{ degrees}}$",
            r"$\boxed{\angle R = 65^\circ}$",
        ],
        wrong=[
            r"$\boxed{115^\circ}$",
            r"$\boxed{65, 115}$",
            r"$\boxed{6.5^\circ}$",
            r"I am not sure. Perhaps $65$, perhaps $115$.",
        ],
    ),
]

CASES = [
    Case(problem.question, completion, problem.gold, is_right, problem.kind)
    for problem in PROBLEMS
    for completions, is_right in ((problem.right, True), (problem.wrong, False))
    for completion in completions
]
