"""`python -m rltk_reward_models.serve FOLDER`: a scoring server for a reward model's folder."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from rltk_reward_models.address import check_port, check_token
from rltk_reward_models.scorer import Scorer
from rltk_reward_models.server import ScoringServer, run

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop; 2, and one sentence, for what the user can put right."""
    options = _parser().parse_args(arguments)
    try:
        serve(**vars(options))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def serve(
    folder: str | Path,
    *,
    base: str | None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    host: str,
    port: int,
    token_file: Path | None,
    device: str,
    dtype: str,
    max_length: int | None,
    batch_tokens: int,
) -> None:
    """Serves until it is told to stop; ValueError or OSError, before anything is served, for what is wrong."""
    token = _token(token_file)
    check_token(host, token)
    check_port(host, port)
    scorer = Scorer.load(
        folder,
        base=base,
        revision=revision,
        trust_remote_code=trust_remote_code,
        device=device,
        dtype=DTYPES[dtype],
        max_length=max_length,
        batch_tokens=batch_tokens,
    )
    server = ScoringServer(scorer, host=host, port=port, token=token)
    print(f"serving {scorer.identity.name} at {server.url}", flush=True)
    run(server)


def _token(file: Path | None) -> str | None:
    return None if file is None else file.read_text(encoding="utf-8").strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rltk_reward_models.serve", description=__doc__)
    parser.add_argument("folder", help="a reward model, or an adapter of one")
    parser.add_argument("--base", help="folder or hub id of the adapter's base, if not the one it names")
    parser.add_argument("--revision", help="branch, tag or commit of the adapter's base, if not the one it names")
    parser.add_argument("--trust-remote-code", action="store_true", help="let Python code of the model run here")
    parser.add_argument("--host", default="127.0.0.1", help="any other than this machine's own needs a token")
    parser.add_argument("--port", type=int, default=8100, help="0 for any free one")
    parser.add_argument("--token-file", type=Path, help="clients must send its content: Authorization: Bearer ...")
    parser.add_argument("--device", default="cpu", help="such as cuda or cuda:1")
    parser.add_argument("--dtype", choices=list(DTYPES), default="float32")
    parser.add_argument("--max-length", type=int, help="tokens of a conversation that are read; default: the context")
    parser.add_argument("--batch-tokens", type=int, default=16_384, help="rows times longest row of a batch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
