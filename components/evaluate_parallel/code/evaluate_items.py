"""What each worker process of the step imports: Azure ML wants it in a code snapshot; the program is in the image."""

from lerobot_inference.cli.evaluate_items import init, run

__all__ = ["init", "run"]
