"""`rltk serve-reward`: a reward model of a run or folder over HTTP, for `rltk_reward_models.client` and others."""

from argparse import Namespace
from pathlib import Path

from rltk.errors import UserError
from rltk.evaluation.pairs.target import find_reward_model


def serve_reward(args: Namespace) -> int:
    """Serves until it is told to stop."""
    target = find_reward_model(args.target)
    # Only now: what is mistyped is answered in a fraction of the time that torch takes to import.
    import torch
    from rltk_reward_models.serve import serve

    from rltk.models.quiet import quiet_libraries

    quiet_libraries()
    try:
        serve(
            target.folder,
            base=args.base or target.base,
            trust_remote_code=target.trusts_remote_code,
            host=args.host,
            port=args.port,
            token_file=None if args.token_file is None else Path(args.token_file),
            device=args.device or ("cuda" if torch.cuda.is_available() else "cpu"),
            dtype=args.dtype,
            max_length=args.max_length,
            batch_tokens=args.batch_tokens,
        )
    except (ValueError, OSError) as error:
        raise UserError(f"{error}.") from error
    return 0
