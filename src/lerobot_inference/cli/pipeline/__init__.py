"""`lerobot-inference pipeline`: one file per subcommand."""

from __future__ import annotations

import typer

from lerobot_inference.cli.pipeline import lint, run, submit

app = typer.Typer(no_args_is_help=True)
app.command()(run.run)
app.command()(lint.lint)
app.command()(submit.submit)


@app.callback()
def pipeline() -> None:
    """Work with Azure ML pipeline files."""
