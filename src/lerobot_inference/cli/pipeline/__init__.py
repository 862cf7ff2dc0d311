"""`lerobot-inference pipeline`: one file per subcommand."""

from __future__ import annotations

import typer

from lerobot_inference.cli.pipeline import run

app = typer.Typer(no_args_is_help=True)
app.command()(run.run)


@app.callback()
def pipeline() -> None:
    """Work with Azure ML pipeline files."""
