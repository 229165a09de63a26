"""What the server does, without HTTP: names to models, requests to jobs, events to answers."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from rltk.errors import UserError, suggestion
from rltk.rollout.sampler import Sampling
from rltk.rollout.servers.server import BROKEN_LOGITS
from rltk.serving.answers import Chats, Choice, Completions, Form, usage
from rltk.serving.job import FailedError, Job
from rltk.serving.mixing import Adapter
from rltk.serving.scheduler import Scheduler
from rltk.serving.text import Vocabulary, Writing
from rltk.serving.wire import ApiError, Asked, ChatRequest, CompletionRequest, Limits

SEEDS = 2**63
STREAM = 2**25
"""Random numbers that one request may have drawn, those it skips among them: 128 MiB of them."""
WATCH_SECONDS = 0.5
"""How often who waits looks whether the client has gone."""
Gone = Callable[[], bool]
"""Whether the client has left."""


@dataclass(frozen=True)
class Named:
    adapter: Adapter | None
    root: str
    """Where it came from."""


class Service:
    """`load` makes an adapter of a folder; the decoding thread calls it."""

    def __init__(
        self,
        scheduler: Scheduler,
        vocabulary: Vocabulary,
        *,
        base: str,
        context: int | None,
        chat_tokens: int,
        load: Callable[[Path], Adapter],
        limits: Limits,
    ) -> None:
        self.scheduler, self.vocabulary, self.context, self.chat_tokens = scheduler, vocabulary, context, chat_tokens
        self.base, self.load, self.limits, self.started = base, load, limits, int(time.time())
        self._models = {base: Named(None, base)}
        self._lock = threading.Lock()

    def models(self) -> list[dict[str, Any]]:
        with self._lock:
            return [self.describe(name, named) for name, named in self._models.items()]

    def describe(self, name: str, named: Named) -> dict[str, Any]:
        about = {"id": name, "object": "model", "created": self.started, "owned_by": "rltk", "root": named.root}
        return about | {"parent": None if named.adapter is None else self.base, "max_model_len": self.context}

    def find(self, name: str) -> Named:
        with self._lock:
            if name not in self._models:
                ending = suggestion(name, list(self._models), otherwise="there are")
                message = f"the model {name} does not exist; {ending}"
                raise ApiError(404, message, param="model", code="model_not_found")
            return self._models[name]

    def add(self, name: str, folder: str, *, replaces: bool = False) -> None:
        """Loads an adapter between two steps; whoever is being served waits for as long as that takes."""
        with self._lock:
            self.refuse_taken(name, replaces=replaces)
        try:
            adapter = self.scheduler.between_steps(lambda: self.load(Path(folder))).result()
        except UserError as error:
            raise ApiError(400, str(error), param="lora_path") from error
        except RuntimeError as error:
            raise ApiError(500, f"loading failed ({error})") from error
        with self._lock:
            self.refuse_taken(name, replaces=replaces)  # another request may have been faster
            self._models[name] = Named(adapter, folder)

    def refuse_taken(self, name: str, *, replaces: bool) -> None:
        """The lock is held."""
        if name == self.base or (name in self._models and not replaces):
            raise ApiError(400, f"there is a model {name} already; unload it first", param="lora_name")

    def remove(self, name: str) -> None:
        """New requests for it are refused from now on; those that were taken are answered."""
        if self.find(name).adapter is None:
            raise ApiError(400, f"{name} is the base, which cannot be unloaded", param="lora_name")
        with self._lock:
            self._models.pop(name, None)

    def ask_completion(self, request: CompletionRequest) -> "Answer":
        encode = self.vocabulary.encode
        prompts = [encode(one) if isinstance(one, str) else list(one) for one in request.prompts]
        form = Completions(self.word(request), request.logprobs is not None, request.return_token_ids)
        return self.ask(request, prompts, request.max_tokens, request.logprobs or 0, form)

    def ask_chat(self, request: ChatRequest) -> "Answer":
        try:
            prompt = self.vocabulary.chat([{"role": one.role, "content": one.text} for one in request.messages])
        except UserError as error:
            raise ApiError(400, str(error), param="messages") from error
        tokens = request.max_completion_tokens or request.max_tokens or self.room(prompt)
        form = Chats(self.word(request), request.logprobs, request.return_token_ids)
        return self.ask(request, [prompt], tokens, request.top_logprobs or 0, form)

    def word(self, asked: Asked) -> Callable[[int], str]:
        return "token_id:{}".format if asked.return_tokens_as_token_ids else self.vocabulary.token

    def room(self, prompt: Sequence[int]) -> int:
        """Tokens of a reply whose length is not asked for: as many as the run's had, or as the context has room for."""
        room = self.chat_tokens if self.context is None else min(self.chat_tokens, self.context - len(prompt))
        return max(1, room)

    def ask(self, asked: Asked, prompts: list[list[int]], tokens: int, top: int, form: Form) -> "Answer":
        named = self.find(asked.model)
        self.refuse(asked, prompts, tokens)
        sampling = Sampling(tokens, asked.temperature, max(0, asked.top_k), asked.top_p, asked.min_p)
        seed, row = self.stream(asked, len(prompts), tokens)
        job = Job(prompts, asked.n, sampling, seed, row, named.adapter, top, asked.stop_token_ids)
        choices = [
            Choice(index, prompts[index // asked.n], Writing(self.vocabulary, asked.stop)) for index in range(job.count)
        ]
        return Answer(self, asked, job, choices, form)

    def stream(self, asked: Asked, prompts: int, tokens: int) -> tuple[int, int]:
        """Seed and row of the first completion's random numbers."""
        count, streams = prompts * asked.n, asked.vllm_xargs
        if count * tokens > STREAM:
            raise ApiError(400, f"{count} completions of {tokens} tokens are over {STREAM} in all", param="max_tokens")
        if streams is None:
            return (secrets.randbelow(SEEDS) if asked.seed is None else asked.seed % SEEDS), 0
        if (streams.stream_row + count) * tokens > STREAM:
            message = f"stream_row = {streams.stream_row} is too far; at most {STREAM} tokens"
            raise ApiError(400, message, param="vllm_xargs")
        return streams.stream_seed % SEEDS, streams.stream_row

    def refuse(self, asked: Asked, prompts: list[list[int]], tokens: int) -> None:
        count, most = len(prompts) * asked.n, self.limits.completions
        if count > most or asked.n > self.limits.batch:
            raise ApiError(
                400,
                f"{count} completions in one request; at most {min(most, self.limits.batch)} a prompt "
                f"and {most} in all are made",
                param="n",
            )
        for prompt in prompts:
            if not prompt:
                raise ApiError(400, "the prompt has no tokens", param="prompt")
            if max(prompt) >= self.vocabulary.size:
                message = f"token {max(prompt)} is not one of the model's {self.vocabulary.size}"
                raise ApiError(400, message, param="prompt")
            if self.context is not None and len(prompt) + tokens > self.context:
                message = (
                    f"the model's context has {self.context} tokens, and {len(prompt)} of the prompt with {tokens} of "
                    "the completion are more; shorten the prompt, or ask for fewer"
                )
                raise ApiError(400, message, param="max_tokens", code="context_length_exceeded")


class Answer:
    """One request being answered. Whoever reads it decides when it is over, so that a client may leave."""

    def __init__(self, service: Service, asked: Asked, job: Job, choices: list[Choice], form: Form) -> None:
        self.service, self.asked, self.job, self.choices, self.form = service, asked, job, choices, form
        self.deadline = time.monotonic() + service.limits.seconds
        self.looked = time.monotonic()
        """When it was last asked whether the client has gone."""
        self.about = {
            "id": f"{'chatcmpl' if isinstance(form, Chats) else 'cmpl'}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": asked.model,
        }

    def whole(self, is_gone: Gone) -> dict[str, Any]:
        for _ in self.grow(is_gone):
            pass
        return {
            **self.about,
            "object": self.form.kind,
            "choices": [self.form.whole(choice) for choice in self.choices],
            "usage": usage(self.choices, self.asked.n),
            **self.form.around(self.choices),
        }

    def pieces(self, is_gone: Gone) -> Iterator[dict[str, Any]]:
        """Chunks of a stream, each as soon as there is something to show."""
        kind = self.form.kind if isinstance(self.form, Completions) else f"{self.form.kind}.chunk"
        about = {**self.about, "object": kind}
        around = self.form.around(self.choices)
        for choice in self.choices:
            for opening in self.form.first(choice):
                yield {**about, "choices": [opening], **around}
        tells_tokens = self.asked.return_token_ids or self.form.has_logprobs
        for choice in self.grow(is_gone):
            if choice.text or choice.ending is not None or tells_tokens:
                yield {**about, "choices": [self.form.piece(choice)]}
        if self.asked.stream_options is not None and self.asked.stream_options.include_usage:
            yield {**about, "choices": [], "usage": usage(self.choices, self.asked.n)}

    def grow(self, is_gone: Gone) -> Iterator[Choice]:
        """Each choice whenever it has grown, until all have ended; nobody decodes on for who has left."""
        self.service.scheduler.submit(self.job)
        left = len(self.choices)
        try:
            while left:
                event = self.next_event(is_gone)
                choice = self.choices[event.choice]
                if choice.ending is not None:
                    continue  # what was decoded before the stop string was seen
                if event.ending in ("broken", "cancelled"):
                    message = "the model's logits were no numbers, so there is nothing to draw from"
                    raise ApiError(500, message, code=BROKEN_LOGITS)
                if event.token is not None:
                    choice.add(event.token)
                if ending := choice.ending or event.ending:
                    choice.finish(ending)
                    self.job.cancelled.add(choice.index)
                    left -= 1
                yield choice
        finally:
            self.job.cancel()

    def next_event(self, is_gone: Gone) -> Any:
        while True:
            self.refuse_late()
            self.refuse_gone(is_gone)
            try:
                event = self.job.events.get(timeout=WATCH_SECONDS)
            except Empty:
                continue
            if isinstance(event, FailedError):
                raise ApiError(503, str(event))
            return event

    def refuse_gone(self, is_gone: Gone) -> None:
        """By the clock, since tokens may come faster than they are waited for."""
        now = time.monotonic()
        if now - self.looked < WATCH_SECONDS:
            return
        self.looked = now
        if is_gone():
            raise ConnectionAbortedError("the client has left")

    def refuse_late(self) -> None:
        if time.monotonic() > self.deadline:
            raise ApiError(
                504, f"the answer took more than {self.service.limits.seconds:g} seconds; ask for fewer tokens"
            )
