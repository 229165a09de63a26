"""What `rltk serve`, `serve-reward` and `chat` take."""

from __future__ import annotations

import argparse

from rltk.arguments.values import named, not_negative, positive, whole


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    runs = "runs, adapter or model folders or hub ids that share one base; NAME=RUN to choose the name it is asked by"
    parser.add_argument("runs", metavar="RUN", nargs="+", type=named, help=runs)
    host = "default: 127.0.0.1; any that other machines can reach needs a token"
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", type=named, help=host)
    parser.add_argument("--port", metavar="N", default=8000, type=whole(0), help="default: 8000; 0 for any free one")
    token = "clients must send its content, as their API key"
    parser.add_argument("--token-file", metavar="FILE", type=named, help=token)
    parser.add_argument("--batch", metavar="N", type=whole(1), help="completions decoded at once")
    dtype = "type of the arithmetic; default: that of the run"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help=dtype)
    parser.add_argument("--seconds", metavar="X", type=positive, help="the most that one answer may take")
    modes = ("sampling", "raw_logprobs", "processed_logprobs")
    logprobs = "log-probabilities of the whole softmax at the sampling temperature (default), or as vLLM's option says"
    parser.add_argument("--logprobs-mode", choices=modes, default="sampling", help=logprobs)


def serve_reward_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="RUN", type=named, help="a run that trained a reward model, or a folder of one"
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="any but this machine's own needs a token"
    )
    parser.add_argument("--port", metavar="N", type=whole(0), default=8100, help="0 for any free one; default: 8100")
    token = "clients must send what this file holds: Authorization: Bearer ..."
    parser.add_argument("--token-file", metavar="FILE", type=named, help=token)
    parser.add_argument("--base", metavar="MODEL", type=named, help="base of an adapter, if not the one it names")
    parser.add_argument(
        "--device", metavar="NAME", type=named, help="such as cuda:1; default: a GPU where there is one"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="default: float32")
    length = "tokens of a conversation that are read, the last ones; default: the model's context"
    parser.add_argument("--max-length", metavar="N", type=whole(1), help=length)
    batch = "rows times longest row of a batch; default: 16384"
    parser.add_argument("--batch-tokens", metavar="N", type=whole(1), default=16_384, help=batch)


def chat_arguments(parser: argparse.ArgumentParser) -> None:
    target = "the folder of a run, an adapter or a model, or a hub id"
    parser.add_argument("run", metavar="RUN", type=named, help=target)
    against = "answer beside it; what RUN may be, or base for what the run began with"
    parser.add_argument("--against", metavar="OTHER", type=named, help=against)
    temperature = "softmax temperature; default: 0, which is greedy"
    parser.add_argument("--temperature", metavar="X", type=not_negative, default=0.0, help=temperature)
    parser.add_argument("--max-new-tokens", metavar="N", type=whole(1), help="length at which an answer is cut off")
    parser.add_argument("--seed", metavar="N", type=whole(0), default=0, help="seed of the samples")
    dtype = "type of the arithmetic; default: that of the run"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help=dtype)
