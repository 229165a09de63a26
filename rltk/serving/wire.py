"""Requests as OpenAI's API has them, checked; what this server does not do is refused by name, never passed over.

Beyond OpenAI's there are, as vLLM has them, `top_k`, `min_p`, `stop_token_ids`, `return_token_ids`,
`return_tokens_as_token_ids` and, in `vllm_xargs`, what extensions add: here the place of a request's completions among
those of a larger one that was cut into several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from rltk_reward_models.incoming import RefusedError

COLDEST = 1e-6
"""Logits divided by less are no numbers any more."""
Zero = Annotated[float, Field(ge=0, le=0)]
Nothing = Annotated[Any, AfterValidator(lambda given: refuse_all(given))]
Tokens = Annotated[list[Annotated[int, Field(strict=True, ge=0)]], Field(min_length=1)]
PROMPT = "must be a text, a list of texts, token ids from 0 on, or a list of lists of such, none of them empty"
Wire = TypeVar("Wire", bound=BaseModel)


@dataclass(frozen=True)
class Limits:
    request_bytes: int = 4 * 2**20
    batch: int = 64
    """Completions decoded at once."""
    completions: int = 128
    """In one request."""
    requests: int = 256
    """Being read, waiting or decoded at once; more are told to come again."""
    connections: int = 512
    seconds: float = 600.0
    """For a whole answer."""
    idle_seconds: float = 60.0
    """For the next request line and headers to arrive on an open connection."""
    body_seconds: float = 20.0
    """For the whole body to arrive; as long again for each part of the answer to be taken."""


class ApiError(RefusedError):
    """As OpenAI's API says what is wrong."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(status, message)
        self.param, self.code = param, "invalid_api_key" if status == 401 else code

    def to_json(self) -> dict[str, Any]:
        kinds = {401: "authentication_error", 404: "not_found_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamOptions(Body):
    include_usage: bool = False


class Streams(Body):
    """Which random numbers a request's completions draw with: those of a larger request's, from `stream_row` on."""

    stream_seed: Annotated[int, Field(strict=True, ge=0)]
    stream_row: Annotated[int, Field(strict=True, ge=0)]


class Asked(Body):
    """What both kinds of completion take."""

    model: Annotated[str, Field(min_length=1)]
    n: Annotated[int, Field(strict=True, ge=1)] = 1
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(strict=True, ge=-1)] = 0
    min_p: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: Annotated[int, Field(strict=True)] | None = None
    stop: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=16)] = ()
    stream: bool = False
    stream_options: StreamOptions | None = None
    stop_token_ids: tuple[Annotated[int, Field(strict=True, ge=0)], ...] = ()
    """Beside those of the model."""
    return_token_ids: bool = False
    return_tokens_as_token_ids: bool = False
    """Tokens beside log-probabilities are called token_id:7, which is theirs alone."""
    vllm_xargs: Streams | None = None
    user: str | None = None
    """For the caller's own books, as in OpenAI's API."""
    repetition_penalty: Annotated[float, Field(ge=1, le=1)] | None = None
    frequency_penalty: Zero | None = None
    presence_penalty: Zero | None = None
    logit_bias: Nothing = None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, stop: Any) -> Any:
        return () if stop is None else (stop,) if isinstance(stop, str) else stop

    @field_validator("temperature")
    @classmethod
    def _zero_or_warm(cls, temperature: float) -> float:
        if 0 < temperature < COLDEST:
            raise ValueError(f"must be at least {COLDEST:g}, or 0 for the likeliest token")
        return temperature

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _options_of_streams(self) -> "Asked":
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for stream = true only")
        return self


class CompletionRequest(Asked):
    prompt: str | Tokens | Annotated[list[str], Field(min_length=1)] | Annotated[list[Tokens], Field(min_length=1)]
    max_tokens: Annotated[int, Field(strict=True, ge=1)] = 16
    logprobs: Annotated[int, Field(strict=True, ge=0, le=20)] | None = None
    echo: Literal[False] = False
    best_of: Literal[1] = 1
    suffix: Literal[""] = ""

    @property
    def prompts(self) -> Sequence[str | list[int]]:
        is_one = isinstance(self.prompt, str) or (bool(self.prompt) and isinstance(self.prompt[0], int))
        return [self.prompt] if is_one else list(self.prompt)  # pyright: ignore[reportReturnType]


class TextPart(Body):
    type: Literal["text"]
    text: str


class Message(Body):
    role: Annotated[str, Field(min_length=1, max_length=64)]
    content: str | list[TextPart]
    name: str | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class Plain(Body):
    type: Literal["text"]


class ChatRequest(Asked):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(strict=True, ge=0, le=20)] | None = None
    response_format: Plain | None = None
    tools: Nothing = None

    @model_validator(mode="after")
    def _top_of_something(self) -> "ChatRequest":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is for logprobs = true only")
        return self


class LoadRequest(Body):
    lora_name: Annotated[str, Field(min_length=1, max_length=256)]
    lora_path: Annotated[str, Field(min_length=1)]
    load_inplace: bool = False
    """Instead of the one that has this name."""


class UnloadRequest(Body):
    lora_name: Annotated[str, Field(min_length=1)]
    lora_int_id: int | None = None
    """vLLM's clients send it; names are enough here."""


def refuse_all(given: Any) -> Any:
    if given:
        raise ValueError("this server takes none; leave it out")
    return given


def parse(kind: type[Wire], body: bytes) -> Wire:
    """The request; ApiError names the first key that is wrong, and how."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"][:1]) or None
        if first["type"] == "extra_forbidden":
            raise ApiError(400, f"{key} is not something this server does; leave it out", param=key) from error
        if first["type"] == "json_invalid":
            raise ApiError(400, f"the body is not JSON ({first['msg']})") from error
        message = PROMPT if key == "prompt" else first["msg"].removeprefix("Value error, ")
        message = f"{message[:1].lower()}{message[1:]}"
        raise ApiError(400, f"{key}: {message}" if key else message, param=key) from error
