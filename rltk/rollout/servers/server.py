"""One server: completions of token ids, and adapters that come and go (https://docs.vllm.ai/en/latest/features/lora).

An adapter is asked for under a name that no other state of its weights ever had, because servers keep what they have
computed of prompts under that name.
"""

import json
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from rltk_reward_models.http_client import RETRIED, Connections, Reply

from rltk.errors import UserError

BROKEN = (*RETRIED, 500)
"""Statuses after which another attempt may go well; vLLM answers 500 when its engine has died."""
GOODBYE_SECONDS = 5.0
"""What an adapter's removal may take: a server that has gone is not waited for."""
BROKEN_LOGITS = "broken_logits"
"""The code by which `rltk serve` says that the model's logits are no numbers on a prompt: no server gives others."""


class Saved(NamedTuple):
    """An adapter in a folder that the servers see too."""

    name: str
    folder: Path


class AwayError(Exception):
    """Nothing to be had from this server at the moment; it may be asked again after so many seconds."""

    def __init__(self, trouble: str, seconds: float = 0.0) -> None:
        super().__init__(trouble)
        self.seconds = seconds


class RefusedError(UserError):
    """The server has understood, and will not."""

    def __init__(self, url: str, status: int, message: str, code: str | None = None) -> None:
        super().__init__(f"{url} refused ({status}: {message}).")
        self.status, self.message, self.code = status, message, code


class ModelServer:
    """Its address may end in /v1, as OpenAI's clients have it, or not."""

    def __init__(self, url: str, token: str | None, *, timeout: float) -> None:
        root = url.rstrip("/").removesuffix("/v1")
        self.connections = Connections(root, token, timeout=timeout)
        self.farewell = Connections(root, token, timeout=GOODBYE_SECONDS)
        self.url, self.base = self.connections.url, ""
        self._loaded: set[str] = set()
        self._turn = threading.Lock()

    def meet(self) -> None:
        """Learns by which name the server calls its base."""
        self.base = next(iter(self.models()))

    def models(self) -> dict[str, str]:
        """Names of its models, the base first, and where each came from."""
        answer = self.ask("GET", "/v1/models")
        try:
            found = {str(model["id"]): str(model.get("root")) for model in answer["data"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{self.url} is no server of vLLM's API: it does not list its models.") from error
        if not found:
            raise UserError(f"{self.url} serves no model.")
        return found

    def complete(self, name: str, request: dict[str, Any]) -> Any:
        """The answer to a request for this model, an adapter or the base."""
        try:
            return self.ask("POST", "/v1/completions", {"model": name, **request})
        except RefusedError as error:
            if error.status != 404:
                raise
            with self._turn:
                self._loaded.discard(name)
            raise AwayError(f"it does not know {name}, which may have been lost by a restart") from error

    def load(self, adapter: Saved) -> None:
        """The adapter is there when this returns."""
        with self._turn:
            if adapter.name in self._loaded:
                return
            try:
                self.ask("POST", "/v1/load_lora_adapter", load_order(adapter), retried=RETRIED)
            except RefusedError as error:
                if not self._has(adapter):
                    raise self._why_not(error, adapter) from error
            self._loaded.add(adapter.name)

    def unload(self, name: str) -> None:
        """So far as the server is there and knows it; nobody asks for this name again."""
        with self._turn:
            self._loaded.discard(name)
        try:
            body = json.dumps({"lora_name": name}).encode()
            self.farewell.exchange("POST", "/v1/unload_lora_adapter", body)
        except (OSError, HTTPException):
            return
        self.farewell.close()

    def hang_up(self) -> None:
        """Until the next request, which may be long in coming."""
        self.connections.close()

    def ask(self, method: str, path: str, body: Any = None, *, retried: tuple[int, ...] = BROKEN) -> Any:
        """What it answers; AwayError where another attempt may go well, RefusedError where none will."""
        try:
            reply = self.connections.exchange(method, path, None if body is None else json.dumps(body).encode())
        except (OSError, HTTPException) as error:
            raise AwayError(f"{type(error).__name__}: {error}") from error
        if reply.status == 200:
            return content(reply)
        message, code = reason(reply)
        if reply.status in retried and code != BROKEN_LOGITS:
            raise AwayError(f"status {reply.status}: {message}", reply.seconds)
        raise RefusedError(self.url, reply.status, message, code)

    def _has(self, adapter: Saved) -> bool:
        """Whether it has it already, as after a request whose answer was lost."""
        return self.models().get(adapter.name) == str(adapter.folder)

    def _why_not(self, error: RefusedError, adapter: Saved) -> Exception:
        if error.status == 500:
            self.ask("GET", "/health")  # an engine that has died is away; one that lives has refused
        if error.status == 404 and error.code is None and "adapter" not in error.message.lower():
            return UserError(
                f"{self.url} takes no adapters while it runs ({error.status}: {error.message}); start vLLM with "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora --max-lora-rank RANK, or use rltk serve."
            )
        return UserError(
            f"{self.url} cannot load the adapter in {adapter.folder} ({error.status}: {error.message}); it must serve "
            "model.path, see the folder of rollout.adapters, and, if it is vLLM, have --max-lora-rank of at least "
            "tune.rank."
        )


def load_order(adapter: Saved) -> dict[str, str]:
    return {"lora_name": adapter.name, "lora_path": str(adapter.folder)}


def content(reply: Reply) -> Any:
    """JSON, or the text that vLLM answers some orders with."""
    try:
        return json.loads(reply.body)
    except ValueError:
        return reply.body.decode("utf-8", "replace")


def reason(reply: Reply) -> tuple[str, str | None]:
    """What the server says is wrong, in any of the forms that servers have, and OpenAI's code for it."""
    answer = content(reply)
    if not isinstance(answer, dict):
        return str(answer)[:200] or "no reason given", None
    error = answer.get("error", answer)
    if not isinstance(error, dict):
        return str(error)[:200], None
    code = error.get("code")
    return str(error.get("message") or error.get("detail"))[:500], code if isinstance(code, str) else None
