"""`rltk plan`: memory, time, cost, learning rate and risk of a recipe, from its model's config alone."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from rltk.errors import UserError
from rltk.plan.advice import advice_for
from rltk.plan.arms import Arm, Subject, arm_json, arms
from rltk.plan.config import find_shape
from rltk.plan.devices import DEVICES, Device
from rltk.plan.layout import Asked, layout_notes, layout_of
from rltk.plan.learning_rate import recipe_warning
from rltk.plan.rewards import reward_roles
from rltk.plan.workload import ASSUMED_PROMPT, Assumed, workload_of
from rltk.recipe import load_recipe
from rltk.recipe.accelerator import is_accelerator_visible
from rltk.recipe.load import NONE, Loaded
from rltk.recipe.locate import shown

if TYPE_CHECKING:
    from rltk.plan.time import StepSeconds


def plan(args: argparse.Namespace) -> None:
    loaded = load_recipe(args.recipe, args.overrides, args.profile, is_for_here=args.on != "gpu")
    recipe = loaded.recipe
    work = workload_of(recipe, Assumed(args.prompt_tokens or ASSUMED_PROMPT, args.completion_tokens))
    where = args.on or default_device(loaded, args.profile)
    device = "cpu" if where == "cpu" else "cuda"
    asked = Asked(args.gpus, args.nodes, args.zero, args.offload)
    layout = layout_of(recipe.hardware, asked, device)
    if args.device and layout.gpus == 1:
        raise UserError(f"--device {args.device} is for a spread over several GPUs; say how many with --gpus.")
    loaded = loaded._replace(notes=(*loaded.notes, *layout_notes(recipe, asked)))
    if args.prompt_tokens is None:
        said = (
            f"prompts are taken to have {work.lengths.prompt} tokens (`rltk check --data` counts them; --prompt-tokens)"
        )
        loaded = loaded._replace(notes=(*loaded.notes, said))
    shape = find_shape(recipe.model)
    rewards, taken = reward_roles(recipe, shape)
    loaded = loaded._replace(notes=(*loaded.notes, *taken))
    subject = Subject(recipe, shape, replace(work, rewards=rewards), layout, device_named(args.device), args.price)
    planned = list(arms(subject))
    measured = measure(subject) if args.measure else None
    of_rate = recipe_warning(recipe, shape.hidden, shape.model_type)
    warnings = list(filter(None, [of_rate, context_warning(subject)]))
    if args.json:
        print(json.dumps(for_programs(loaded, subject, planned, measured, warnings), indent=2))
        return
    from rltk.plan.tables import show_plan

    show_plan(shown(loaded.source), loaded.notes, subject, planned, measured, warnings)


def device_named(name: str | None) -> Device:
    return next(device for device in DEVICES if name in (None, device.name))


def default_device(loaded: Loaded, profile: str) -> str:
    """Where the recipe would run here; a recipe taken as written is meant for GPUs."""
    return "gpu" if is_accelerator_visible() or (profile == NONE and loaded.profile is None) else "cpu"


def measure(subject: Subject) -> dict[str, StepSeconds]:
    from rltk.models.quiet import quiet_libraries
    from rltk.onpolicy.timing import measured_step

    quiet_libraries()
    one = replace(subject, work=subject.work.on_one_of(subject.layout.gpus))
    return {subject.recipe.tune.type: measured_step(one)}


def context_warning(subject: Subject) -> str | None:
    limit, needed = subject.shape.context, subject.work.lengths.total
    if limit is None or needed <= limit:
        return None
    return (
        f"prompts of {subject.work.lengths.prompt} and completions of {subject.work.lengths.completion} tokens exceed "
        f"the model's context of {limit}."
    )


def for_programs(
    loaded: Loaded, subject: Subject, planned: list[Arm], measured: dict[str, StepSeconds] | None, warnings: list[str]
) -> dict[str, object]:
    recipe, shape, work = subject.recipe, subject.shape, subject.work
    own = planned[0]
    return {
        "source": shown(loaded.source),
        "profile": loaded.profile,
        "notes": [*loaded.notes],
        "warnings": warnings,
        "model": {
            "path": recipe.model.path,
            "type": shape.model_type,
            "parameters": shape.parameters,
            "active_parameters": shape.active_parameters,
        },
        "planned_for": {
            **{key: getattr(subject.layout, key) for key in ("device", "gpus", "nodes", "zero", "offload")},
            "servers": work.servers,
            "prompt_tokens": work.lengths.prompt,
            "completion_tokens": work.lengths.completion,
            "gradient_checkpointing": work.has_checkpointing,
        },
        "arms": [arm_json(arm, (measured or {}).get(arm.tune.type) if arm.is_recipes else None) for arm in planned],
        "advice": [advice._asdict() for advice in advice_for(recipe.algo.type, own.tune.type)],
    }
