"""Run a trained ACT policy against recorded dataset observations; see --help."""

import sys

try:
    from lerobot_inference.cli import run
    from lerobot_inference.cli.offline import offline
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "lerobot_inference":
        raise
    print(f"error: {sys.executable} has no lerobot_inference", file=sys.stderr)
    print("       `make demo` or `make test` installs it into .venv; then: . .venv/bin/activate", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    run(offline)
