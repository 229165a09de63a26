"""What may import what. The leaf packages must be usable, and wrong or right, without the toolkit."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEAVES = ["eval/rltk_eval", "reward_models/rltk_reward_models"]
LIGHT = ["rltk/arguments", "rltk/recipe", "rltk/plan"]
PARTS = ["data", "evaluation", "models", "rewards", "rollout", "run"]
TRAININGS = ("rltk.onpolicy", "rltk.offline", "rltk.compare", "rltk.serving", "rltk.commands")


def imported_modules(source: str) -> Iterator[str]:
    """The module of every absolute import, also of those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def imported_packages(source: str) -> Iterator[str]:
    """Their top-level packages."""
    return (module.partition(".")[0] for module in imported_modules(source))


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaf_packages_never_import_the_toolkit(leaf: str):
    files = sorted((ROOT / leaf).rglob("*.py"))
    assert len(files) >= 2
    for file in files:
        assert "rltk" not in set(imported_packages(file.read_text(encoding="utf-8"))), file


@pytest.mark.parametrize("package", LIGHT)
def test_what_answers_at_once_never_imports_torch(package: str):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) >= 2
    for file in files:
        assert "torch" not in set(imported_packages(file.read_text(encoding="utf-8"))), file


@pytest.mark.parametrize("part", PARTS)
def test_what_trainings_are_made_of_imports_none_of_them(part: str):
    files = sorted((ROOT / "rltk" / part).rglob("*.py"))
    assert len(files) >= 2
    for file in files:
        wrong = [name for name in imported_modules(file.read_text(encoding="utf-8")) if name.startswith(TRAININGS)]
        assert wrong == [], file


def test_the_command_line_needs_only_the_standard_library():
    for file in [ROOT / "rltk/cli.py", *sorted((ROOT / "rltk/arguments").rglob("*.py"))]:
        needed = set(imported_packages(file.read_text(encoding="utf-8")))
        assert needed <= sys.stdlib_module_names | {"rltk"}, file


def test_evaluation_imports_only_the_standard_library():
    """Rewards import it in every worker; it must stay light. Algebra, in `symbolic.py`, has processes of its own;
    statistics run once, at the end, and need arrays."""
    light, algebra = sys.stdlib_module_names | {"rltk_eval"}, {"latex2sympy2_extended", "math_verify", "sympy"}
    for file in sorted((ROOT / "eval/rltk_eval").rglob("*.py")):
        is_statistics = file.parent.name == "equivalence" or file.name.startswith("scaling")
        allowed = light | ({"numpy", "scipy"} if is_statistics else algebra if file.name == "symbolic.py" else set())
        assert allowed.issuperset(imported_packages(file.read_text(encoding="utf-8"))), file


def test_grading_does_not_import_the_statistics():
    for name in ("answers", "grading", "metrics", "numbers"):
        source = (ROOT / f"eval/rltk_eval/{name}.py").read_text(encoding="utf-8")
        assert "equivalence" not in source and "scaling" not in source, name


def test_the_scan_sees_imports_inside_functions():
    assert list(imported_packages("def f():\n    from rltk.run import x\n    import torch.nn")) == ["rltk", "torch"]
