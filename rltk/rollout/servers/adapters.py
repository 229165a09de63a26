"""The adapter that trains, as servers get it: written where they can read it, loaded under a new name, never merged.

Its name is made of its weights and its place. So the policy after another step has another name, under which no server
can have kept anything of before; and the same weights, as after a resumption, have the same.
"""

import hashlib
import json
import shutil
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict

from rltk.export.adapter import write_portable
from rltk.export.source import ADAPTER_CONFIG, base_location
from rltk.models.roles import POLICY
from rltk.models.save import write_adapter
from rltk.recipe.schema import Model
from rltk.rollout.servers.fleet import Fleet
from rltk.rollout.servers.server import ModelServer, Saved
from rltk.run.atomic import new_folder


class Shelf:
    """Folders of adapters, one a name, and what servers have of them. What an earlier process left is taken away."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.folder, self.fleet = folder.resolve(), fleet

    def keep_only(self, name: str | None) -> None:
        """Servers forget the others, and then their folders go."""
        others = [path for path in self.folder.glob("*") if path.name != name]
        for path in others:
            for server in self.fleet.servers:
                server.unload(path.name)
            shutil.rmtree(path, ignore_errors=True)

    def clear(self) -> None:
        self.keep_only(None)
        shutil.rmtree(self.folder, ignore_errors=True)


class AdapterOnServers:
    """The policy of `model` as it is when `bring` is called."""

    def __init__(self, model: PeftModel, base: Model, shelf: Shelf, *, name: str) -> None:
        self.model, self.base, self.shelf, self.name = model, base, shelf, name
        self.saved: Saved | None = None

    def bring(self) -> None:
        """Written, if its weights are new; servers load it when they are first asked for it."""
        name = f"{self.name}-{fingerprint(self.model, self.shelf.folder)}"
        if self.saved is not None and self.saved.name == name:
            return
        if self.saved is None:  # of several processes one writes, and that one clears up
            self.shelf.fleet.at_close.callback(self.shelf.clear)
        saved = Saved(name, self.shelf.folder / name)
        save_adapter(self.model, self.base, saved.folder)
        self.saved = saved
        self.shelf.keep_only(name)

    def name_on(self, server: ModelServer) -> str:
        """What to ask this server for; it has it."""
        assert self.saved is not None
        server.load(self.saved)
        return self.saved.name


def save_adapter(model: PeftModel, base: Model, folder: Path) -> None:
    """As `rltk export` writes one, complete or not at all."""
    with new_folder(folder) as beside:
        write_adapter(model, beside)
        config = json.loads((beside / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        write_portable(beside, config, base=base_location(base.path), revision=base.revision)


def fingerprint(model: PeftModel, folder: Path) -> str:
    """Of the policy's adapter: 16 hexadecimal digits of a hash of all its numbers and of where it is written.

    Two runs of one name may have the same weights, as at the start, and a server loads a name from one place.
    """
    weights = get_peft_model_state_dict(model, adapter_name=POLICY, save_embedding_layers=False)
    digest = hashlib.blake2b(str(folder).encode(), digest_size=8)
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
