"""Files and folders that a recipe names: what looks local must be there before anything heavy loads."""

from __future__ import annotations

import os

from rltk.errors import suggestion
from rltk.recipe.explain import Complaint
from rltk.recipe.locate import expanded, near_file
from rltk.recipe.schema import EVAL_TASKS, PythonReward, Recipe
from rltk.recipe.tree import Node, walk

LOCAL_STARTS = ("./", "../", "/", "~", "runs/")
LOCAL_ENDS = (".json", ".jsonl", ".parquet", ".py")


def absent_paths(recipe: Recipe, tree: Node) -> list[Complaint]:
    """Complaints about local paths that are not there; a hub id cannot be checked without the network."""
    named: list[tuple[tuple[str, ...], str]] = [
        (("model", "path"), recipe.model.path),
        (("data", "path"), recipe.data.path),
    ]
    named += [
        (("rewards", name, "path"), reward.path)
        for name, reward in recipe.rewards.items()
        if isinstance(reward, PythonReward)
    ]
    named += [(("eval", "tasks"), task) for task in recipe.eval.tasks if task not in EVAL_TASKS]
    found = [(key, path, what_is_wrong(path, may_be_remote=key != ("eval", "tasks"))) for key, path in named]
    return [complaint(key, path, wrong, tree) for key, path, wrong in found if wrong]


def what_is_wrong(path: str, *, may_be_remote: bool, tasks: tuple[str, ...] = EVAL_TASKS) -> str:
    """Empty where nothing is; `tasks` are the names that may stand for a path."""
    where = expanded(path)
    if os.path.exists(where):
        return ""
    if looks_local(path):
        return f"does not exist{near_file(where)}"
    hint = suggestion(path, tasks, otherwise="choose one of")
    return "" if may_be_remote else f"is neither a folder, a .jsonl file nor a task; {hint}"


def looks_local(path: str) -> bool:
    """Whether it is no id of the hub, which has at most one slash; `runs/` is where runs are."""
    is_deep = path.count("/") > 1 and "://" not in path
    return path in (".", "..") or is_deep or path.startswith(LOCAL_STARTS) or path.endswith(LOCAL_ENDS)


def complaint(key: tuple[str, ...], path: str, wrong: str, tree: Node) -> Complaint:
    *_, node = walk(tree, key)
    return Complaint(node.where, f"{'.'.join(key)} = {path} {wrong}")
