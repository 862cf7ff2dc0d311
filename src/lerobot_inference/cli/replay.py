"""`lerobot-inference replay`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from lerobot_inference.cli.console import console, print_json
from lerobot_inference.control.mcap_log import breaks_off, read_log
from lerobot_inference.control.replay import replay as replay_log

DIFFERENT_EXIT_CODE = 4


class ReplayReport(BaseModel):
    """What `replay --json` prints. logged, replayed: the first decision that came out otherwise.

    whole: false for a log that breaks off, of a node that was killed.
    """

    decisions: int
    whole: bool
    logged: dict[str, Any] | None = None
    replayed: dict[str, Any] | None = None


def replay(
    log: Annotated[Path, typer.Argument(help="MCAP file that the node recorded.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Decide again all that a node decided, from its log, and compare to the last bit; exit code 4 when it differs."""
    replayed = replay_log(read_log(log))
    logged, again = replayed.different or (None, None)
    whole = not breaks_off(log)
    if as_json:
        print_json(ReplayReport(decisions=replayed.decisions, whole=whole, logged=logged, replayed=again))
    elif logged and again:
        console.print(f"decision {logged['tick']} came out otherwise, after {replayed.decisions} that did not:")
        for name, was in logged.items():
            if was != again[name]:
                console.print(f"  {name}: logged {json.dumps(was)}, replayed {json.dumps(again[name])}", soft_wrap=True)
    else:
        console.print(f"{replayed.decisions} decisions, all as logged")
    if not as_json and not whole:
        console.print("and there the log breaks off: its node was killed, or runs still")
    if logged:
        raise typer.Exit(DIFFERENT_EXIT_CODE)
