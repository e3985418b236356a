"""Flags that would carry a secret are refused: others on the machine can read arguments, and shells keep them."""

import re
from typing import Any

import typer

from sfp_server.errors import UsageError

_SECRET = re.compile(
    r"--((?:[a-z0-9]+-)*(?:token|secret|password|passphrase|secret-access-key|private-key|service-key|client-secret))"
)


class NoSecretFlags(typer.core.TyperCommand):
    """A command without flags for secrets. Its users may know such flags from elsewhere: the error says what to do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for argument in args[: args.index("--") if "--" in args else len(args)]:
            flag = _SECRET.fullmatch(argument.partition("=")[0])
            if flag:
                raise refusal(flag[1])
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


def refusal(name: str) -> UsageError:
    """The error for the flag `--<name>`; the secret itself is in no text."""
    published = name.upper().replace("-", "_")
    return UsageError(
        f"--{name} is not taken: others can read the arguments of a command, and the shell keeps them.",
        f"Put it under `secrets` in a file that only you can read, as {published}: --config-file FILE",
    )
