"""Equations, inequalities and expressions for `rltk.embedded.equations`: each draws its numbers and solves itself."""

from fractions import Fraction

from rltk.embedded.draw import Draw
from rltk.embedded.equation_numbers import SQUARE_FREE, Worked, either_sign
from rltk.embedded.latex import MIRRORED, chain, interval, number, over, polynomial, radical, ray, root, signed, terms

RELATIONS = tuple(MIRRORED)
AS_INTERVAL = "Find all $x$ with ${}$. Answer with an interval."


def evaluate(draw: Draw) -> Worked:
    a, b, x = draw.between(2, 9), either_sign(draw, 1, 30), draw.between(2, 12)
    step = chain(f"{a} \\cdot {x}{signed(b)}", f"{a * x}{signed(b)}", str(a * x + b))
    return Worked(f"What is ${polynomial(a, b)}$ for $x = {x}$?", (step,), str(a * x + b), (a, b, x))


def collect_terms(draw: Draw) -> Worked:
    while True:
        a, b, c, d = draw.between(2, 12), either_sign(draw, 1, 20), either_sign(draw, 2, 12), either_sign(draw, 1, 20)
        if a + c and b + d:
            break
    given, sorted_terms = terms([(a, 1), (b, 0), (c, 1), (d, 0)]), terms([(a, 1), (c, 1), (b, 0), (d, 0)])
    answer = polynomial(a + c, b + d)
    return Worked(f"Simplify ${given}$.", (chain(sorted_terms, answer),), answer, (a, b, c, d))


def multiply_out(draw: Draw) -> Worked:
    """a(bx + c) + d(ex + f), collected."""
    while True:
        a, b, c = draw.between(2, 6), draw.between(1, 6), either_sign(draw, 1, 9)
        d, e, f = either_sign(draw, 2, 6), draw.between(1, 6), either_sign(draw, 1, 9)
        if a * b + d * e and a * c + d * f:
            break
    sign = "+" if d > 0 else "-"
    given = f"{a}({polynomial(b, c)}) {sign} {abs(d)}({polynomial(e, f)})"
    parts = terms([(a * b, 1), (a * c, 0), (d * e, 1), (d * f, 0)])
    answer = polynomial(a * b + d * e, a * c + d * f)
    return Worked(f"Simplify ${given}$.", (chain(given, parts, answer),), answer, (a, b, c, d, e, f))


def expand_simple(draw: Draw) -> Worked:
    return expand(1, either_sign(draw, 1, 15), 1, either_sign(draw, 1, 15))


def expand_product(draw: Draw) -> Worked:
    return expand(draw.between(1, 5), either_sign(draw, 1, 9), draw.between(2, 5), either_sign(draw, 1, 9))


def expand(a: int, b: int, c: int, d: int) -> Worked:
    given = f"({polynomial(a, b)})({polynomial(c, d)})"
    parts = terms([(a * c, 2), (a * d, 1), (b * c, 1), (b * d, 0)])
    answer = polynomial(a * c, a * d + b * c, b * d)
    return Worked(f"Expand ${given}$.", (chain(given, parts, answer),), answer, (a, b, c, d))


def one_step_equation(draw: Draw) -> Worked:
    x, b = draw.between(2, 60), either_sign(draw, 2, 40)
    step = chain("x", f"{x + b}{signed(-b)}", str(x))
    return Worked(f"Solve ${polynomial(1, b)} = {x + b}$.", (step,), str(x), (x, b))


def two_step_equation(draw: Draw) -> Worked:
    a, b, x = draw.between(2, 9), either_sign(draw, 1, 20), either_sign(draw, 2, 15)
    return solve_linear(f"{polynomial(a, b)} = {a * x + b}", a, b, a * x + b, (a, b, x))


def equation_with_fraction(draw: Draw) -> Worked:
    """As `two_step_equation`, but nothing makes the solution whole."""
    while True:
        a, b, c = draw.between(2, 12), either_sign(draw, 1, 20), either_sign(draw, 1, 20)
        if (c - b) % a:
            return solve_linear(f"{polynomial(a, b)} = {c}", a, b, c, (a, b, c))


def equation_on_both_sides(draw: Draw) -> Worked:
    x, b, extra, d = either_sign(draw, 2, 12), either_sign(draw, 1, 20), draw.between(2, 6), draw.between(2, 6)
    a, c = extra + d, extra * x + b
    given = f"{polynomial(a, b)} = {polynomial(d, c)}"
    moved = f"{polynomial(a, 0)} - {polynomial(d, 0)} = {c}{signed(-b)}"
    solved = solve_linear(given, extra, 0, c - b, (x, b, extra, d))
    return solved._replace(steps=(moved, f"{polynomial(extra, 0)} = {c - b}", solved.steps[-1]))


def solve_linear(given: str, a: int, b: int, c: int, numbers: tuple[int, ...]) -> Worked:
    """The solution of ax + b = c, which is written as `given`."""
    x = number(Fraction(c - b, a))
    steps = (chain(polynomial(a, 0), f"{c}{signed(-b)}", str(c - b)), chain("x", fraction_of(c - b, a), x))
    return Worked(f"Solve ${given}$.", steps, x, numbers)


def fraction_of(top: int, bottom: int) -> str:
    return ("-" if top < 0 else "") + over(abs(top), bottom)


def larger_root(draw: Draw) -> Worked:
    low = either_sign(draw, 1, 15)
    high = low + draw.between(1, 20)
    factors = "".join(f"(x{signed(-value)})" if value else "x" for value in (low, high))
    given = f"{polynomial(1, -low - high, low * high)} = 0"
    steps = (f"{factors} = 0", rf"x = {low} \text{{ or }} x = {high}")
    return Worked(f"What is the larger solution of ${given}$?", steps, str(high), (low, high))


def larger_root_with_radical(draw: Draw) -> Worked:
    """(x - p)^2 = r, multiplied out."""
    p, r = either_sign(draw, 1, 12), draw.between(1, 4) ** 2 * draw.one_of(SQUARE_FREE)
    given = f"{polynomial(1, -2 * p, p * p - r)} = 0"
    answer = f"{p} + {root(1, r)}"
    steps = (f"(x{signed(-p)})^2 = {r}", f"x = {chain(f'{p} + {radical(1, r)}', answer)}")
    return Worked(f"What is the larger solution of ${given}$?", steps, answer, (p, r))


def one_step_inequality(draw: Draw) -> Worked:
    bound, b, relation = either_sign(draw, 1, 40), either_sign(draw, 2, 30), draw.one_of(RELATIONS)
    given = f"{polynomial(1, b)} {relation} {bound + b}"
    step = f"x {relation} {bound + b}{signed(-b)} = {bound}"
    return Worked(AS_INTERVAL.format(given), (step,), ray(relation, bound), (bound, b, relation))


def two_step_inequality(draw: Draw) -> Worked:
    return inequality(draw, draw.between(2, 9))


def turned_inequality(draw: Draw) -> Worked:
    """Dividing by a negative number turns the relation around."""
    return inequality(draw, -draw.between(2, 9))


def inequality(draw: Draw, a: int) -> Worked:
    bound, b, relation = either_sign(draw, 1, 15), either_sign(draw, 1, 20), draw.one_of(RELATIONS)
    c = a * bound + b
    steps = (f"{polynomial(a, 0)} {relation} {c}{signed(-b)} = {c - b}",)
    turned = relation if a > 0 else MIRRORED[relation]
    steps = (*steps, f"x {turned} {bound}")
    answer = ray(turned, bound)
    return Worked(AS_INTERVAL.format(f"{polynomial(a, b)} {relation} {c}"), steps, answer, (a, b, bound, relation))


def double_inequality(draw: Draw) -> Worked:
    low, width, b = either_sign(draw, 1, 20), draw.between(1, 15), either_sign(draw, 1, 20)
    closed = (draw.fraction() < 0.5, draw.fraction() < 0.5)
    first, second = (r"\le" if is_closed else "<" for is_closed in closed)
    given = f"{low + b} {first} {polynomial(1, b)} {second} {low + width + b}"
    step = f"{low} {first} x {second} {low + width}"
    return Worked(
        AS_INTERVAL.format(given), (step,), interval(low, low + width, closed=closed), (low, width, b, *closed)
    )


def absolute_inequality(draw: Draw) -> Worked:
    a, b, c = draw.between(1, 5), either_sign(draw, 1, 12), draw.between(1, 15)
    is_closed = draw.fraction() < 0.5
    relation = r"\le" if is_closed else "<"
    low, high = Fraction(-c - b, a), Fraction(c - b, a)
    middle = f"{-c}{signed(-b)} {relation} {polynomial(a, 0)} {relation} {c}{signed(-b)}"
    steps = (f"{-c} {relation} {polynomial(a, b)} {relation} {c}", middle)
    steps = (*steps, f"{number(low)} {relation} x {relation} {number(high)}")
    answer = interval(low, high, closed=(is_closed, is_closed))
    return Worked(AS_INTERVAL.format(f"|{polynomial(a, b)}| {relation} {c}"), steps, answer, (a, b, c, is_closed))


def quadratic_inequality(draw: Draw) -> Worked:
    low, width, is_closed = either_sign(draw, 1, 15), draw.between(1, 20), draw.fraction() < 0.5
    high, relation = low + width, r"\le" if is_closed else "<"
    factors = "".join(f"(x{signed(-value)})" if value else "x" for value in (low, high))
    steps = (f"{factors} {relation} 0", f"{low} {relation} x {relation} {high}")
    given = f"{polynomial(1, -low - high, low * high)} {relation} 0"
    answer = interval(low, high, closed=(is_closed, is_closed))
    return Worked(AS_INTERVAL.format(given), steps, answer, (low, width, is_closed))
