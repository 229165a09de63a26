"""A look at the rewards a recipe names, before anything slow: files load, folders hold what they should."""

from rltk.errors import UserError
from rltk.recipe.schema import PPO, ModelReward, PythonReward, Recipe
from rltk.rewards.folder import reward_folder
from rltk.rewards.own import file_hash, load_own

MODEL_FILES = ("config.json", "adapter_config.json")


def look_at_rewards(recipe: Recipe) -> dict[str, str]:
    """What each key that names a file or folder came to, in words; UserError where one is of no use."""
    found: dict[str, str] = {}
    for name, reward in recipe.rewards.items():
        match reward:
            case PythonReward():
                found[f"rewards.{name}"] = str(load_own(name, reward))
            case ModelReward(path=path):
                found[f"rewards.{name}"] = look_at_model(path, f"rewards.{name}.path")
            case _:
                pass
    if isinstance(recipe.algo, PPO) and recipe.algo.critic.from_ is not None:
        found["algo.critic.from"] = look_at_model(recipe.algo.critic.from_, "algo.critic.from")
    return found


def look_at_model(path: str, key: str) -> str:
    folder = reward_folder(path, key)
    if not any((folder / name).is_file() for name in MODEL_FILES):
        raise UserError(f"{key} = {path} holds no model: neither {' nor '.join(MODEL_FILES)} is in {folder}.")
    return f"the {'adapter' if (folder / MODEL_FILES[1]).is_file() else 'model'} in {folder}"


def code_hashes(recipe: Recipe) -> dict[str, str]:
    """Of the user's own files that take part in the run, by path; files that they import are not among them."""
    own = [reward.path for reward in recipe.rewards.values() if isinstance(reward, PythonReward)]
    return {path: file_hash(path) for path in own}
