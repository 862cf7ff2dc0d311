"""Run a trained ACT policy against recorded dataset observations; see --help."""

from lerobot_inference.cli import run
from lerobot_inference.cli.offline import offline

if __name__ == "__main__":
    run(offline)
