"""Add a guard: keep the tool away from a post that stands in the cell.

`uv pip install ./examples` beside lerobot-inference, and `keep_out: {post: [0.7, 0.0], radius: 0.1}` in a copy of the
UR10e's guards file: the node, `evaluate` and `sim rollout` then ask it, before the limits of the package itself.
"""

import numpy as np

from lerobot_inference.control.guards import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.control.kinematics import link_positions
from lerobot_inference.types import FloatArray


class KeepOut(Settings):
    """Latch before the tool's tip comes closer than `radius` metres to an upright post.

    post: where it stands, x and y in `base_link`, metres.
    """

    post: tuple[float, float]
    radius: float = 0.1

    def check(self, target: FloatArray, situation: Situation) -> Verdict:  # noqa: ARG002 - a post is where it is
        """See Limit."""
        away = float(np.linalg.norm(link_positions(target)[-1][:2] - self.post))
        if away >= self.radius:
            return ACCEPT
        return Verdict(Severity.LATCH, f"the tool would come within {away:.2f} m of the post")
