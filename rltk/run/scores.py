"""What a run scores on problems before, after and while it trains."""

from typing import Any

from rltk.data.tasks import Task
from rltk.distributed import world
from rltk.recipe.schema import Recipe
from rltk.rollout.describe import describe
from rltk.rollout.evaluate import Evaluator
from rltk.run.folder import Metrics
from rltk.run.overoptimisation import look_name, turn_at
from rltk.run.session import Desk, Scores


def score_tasks(evaluator: Evaluator, tasks: list[Task], recipe: Recipe, when: str, desk: Desk) -> Scores:
    """The score of every task, `before` or `after`; items are written and scores said."""
    scores: dict[str, Any] = {}
    for task in tasks:
        evaluation = evaluator.evaluate(
            task,
            samples=recipe.eval.samples,
            k=recipe.eval.k,
            temperature=recipe.eval.temperature,
            seed=recipe.seed,
            report=lambda done, total, name=task.name: desk.watch.evaluating(f"{name} {when}", done, total),
        )
        scores[task.name] = evaluation.score
        desk.folder.write_items(f"{when}-{task.name}", evaluation.rows)
        desk.watch.say(f"{task.name} {when}: {describe(evaluation.score)}")
    return scores


def curve(evaluator: Evaluator, task: Task, recipe: Recipe, step: int, desk: Desk) -> Metrics:
    """Greedy accuracy, or rewards, on one task, for the curve; and whether they show that training is to end."""
    evaluation = evaluator.evaluate(
        task,
        samples=0,
        temperature=1.0,
        seed=recipe.seed,
        report=lambda done, total: desk.watch.evaluating(f"{task.name} at step {step}", done, total),
    )
    if "accuracy" in evaluation.score:
        return accuracy_metrics(evaluation.score)
    desk.folder.write_items(look_name(step, task.name), evaluation.rows)
    found = {"heldout_reward": evaluation.score["reward"]}
    if "gold_reward" not in evaluation.score:
        return found
    found["heldout_gold_reward"] = evaluation.score["gold_reward"]["reward"]
    if not recipe.eval.stop_on_overoptimisation:
        return found
    # The first process alone has written the items, and all of them have to end at the same step.
    turn = world.of_first(lambda: turn_at(desk.folder, task.name, step))
    return found if turn is None else found | {"overoptimised": str(turn)}


def accuracy_metrics(score: dict[str, Any]) -> Metrics:
    """What a step's metrics have of a score that is an accuracy."""
    return {"accuracy": score["accuracy"], "accuracy_ci95": score["ci95"]}


def heldout(metrics: Metrics) -> Metrics:
    """The same under the names that they have where accuracy alone would be that of training."""
    return {f"heldout_{key}": value for key, value in metrics.items()}
