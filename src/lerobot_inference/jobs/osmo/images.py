"""Which image each environment is on OSMO, which pulls images and builds none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lerobot_inference.errors import UsageError
from lerobot_inference.jobs.environment import Environment
from lerobot_inference.jobs.osmo.workflow import IMAGE

PLACEHOLDER = "{environment}"


@dataclass(frozen=True)
class Images:
    """What a person chose: environment -> image, and "" -> the image of every other one."""

    chosen: dict[str, str]

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Images:
        """Read `IMAGE`, which may hold {environment}, and `ENVIRONMENT=IMAGE`. Raises UsageError."""
        chosen = {}
        for text in texts:
            environment, _, image = text.rpartition("=")
            if not re.fullmatch(IMAGE, image.replace(PLACEHOLDER, "x")):
                raise UsageError(
                    f"--image {text}: {image!r} is not an image",
                    hint=f"such as registry.example.com/{PLACEHOLDER}:1.0, evaluate=registry.example.com/gpu@sha256:…",
                )
            chosen[environment] = image
        return cls(chosen)

    def of(self, environment: Environment) -> str:
        """The image that was chosen, else the environment's own."""
        name = environment.path.parent.name
        image = self.chosen.get(name) or self.chosen.get("") or environment.image
        return image.replace(PLACEHOLDER, name)

    def check_used(self, environments: Sequence[Environment]) -> None:
        """Raise UsageError for an environment that was named and that no step has."""
        known = {environment.path.parent.name for environment in environments}
        if unknown := sorted(self.chosen.keys() - known - {""}):
            raise UsageError(
                f"--image {unknown[0]}=…: no step runs in it", hint=f"there is: {', '.join(sorted(known))}"
            )
