"""`rltk serve`: an OpenAI-compatible server of a model and its adapters."""

import sys
from argparse import Namespace
from pathlib import Path

from rltk_reward_models.address import check_port, check_token

from rltk.errors import UserError
from rltk.serving.choose import choose
from rltk.serving.wire import Limits


def serve(args: Namespace) -> None:
    served = choose(args.runs, args.dtype)
    token = read_token(args.token_file)
    refuse_address(args.host, args.port, token)
    limits = Limits(**{key: value for key in ("batch", "seconds") if (value := getattr(args, key)) is not None})
    # Only now: what is mistyped is answered in a fraction of the time that torch takes to import.
    from rltk.models.quiet import quiet_libraries
    from rltk.serving.open import open_service
    from rltk.serving.server import ApiServer, run

    quiet_libraries()
    service = open_service(served, limits, args.logprobs_mode)
    try:
        server = ApiServer(service, host=args.host, port=args.port, token=token)
    except OSError as error:
        service.scheduler.close()
        raise UserError(f"{args.host}:{args.port} was taken meanwhile ({error}); give another --port.") from error
    print(f"serving {', '.join(str(model['id']) for model in service.models())} at {server.url}/v1", flush=True)
    run(server)
    print("ended", file=sys.stderr)


def read_token(file: str | None) -> str | None:
    try:
        return None if file is None else Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--token-file {file} cannot be read ({error}).") from error


def refuse_address(host: str, port: int, token: str | None) -> None:
    """Before a model is loaded, if nobody may or can listen there."""
    try:
        check_token(host, token)
    except ValueError as error:
        raise UserError(f"{error} (--token-file)") from error
    try:
        check_port(host, port)
    except ValueError as error:
        raise UserError(f"{error}.") from error
