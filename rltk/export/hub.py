"""Puts an exported folder on the Hugging Face hub; what stands in the way is known before anything slow happens."""

import re
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError

from rltk.errors import UserError

REPOSITORY = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
LOGIN = "log in with: hf auth login"


def check_hub(repository: str) -> None:
    """Refused while the hub cannot be reached, or does not know who asks."""
    if not REPOSITORY.fullmatch(repository):
        raise UserError(f"--push {repository} is no name of a repository on the hub; give one such as me/my-model.")
    try:
        HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise UserError(f"--push {repository} needs to know who you are on the hub; {LOGIN}") from error
    except (OSError, HTTPError) as error:
        raise UserError(
            f"--push {repository}: the hub did not answer ({reason(error)}); are you online? {LOGIN}"
        ) from error


def push(folder: Path, repository: str, *, is_public: bool) -> str:
    """The address of what was pushed."""
    try:
        repo = HfApi().create_repo(repository, private=not is_public, exist_ok=True)
        HfApi().upload_folder(repo_id=repo.repo_id, folder_path=folder, commit_message="Exported by rltk")
    except (OSError, HTTPError, HFValidationError) as error:
        again = f"hf upload {repository} {folder}"
        raise UserError(
            f"{folder} is written, but the hub did not take it ({reason(error)}); try again with: {again}"
        ) from error
    return str(repo)


def reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
