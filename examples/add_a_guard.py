"""Add a guard: keep the tool out of a cylinder, and see what it makes of a policy's commands.

    python examples/add_a_guard.py CHECKPOINT DATASET RESULTS

In the package it is a file in control/guards/ and a line in chain.py: node, `evaluate` and `sim rollout` then have it.
"""

import sys
from pathlib import Path

import numpy as np

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.control.guards import ACCEPT, Severity, Situation, Verdict
from lerobot_inference.control.guards.base import Settings
from lerobot_inference.control.guards.chain import KINDS, LIMITS
from lerobot_inference.control.kinematics import link_positions
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan
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


LIMITS["keep_out"] = KINDS["keep_out"] = KeepOut


def main(checkpoint: Path, recordings: Path, output: Path) -> None:
    """Evaluate with this guard alone and say what it said first."""
    output.mkdir(parents=True, exist_ok=True)
    guards = output / "guards.yaml"
    guards.write_text("guards: {keep_out: {post: [0.0, 0.0], radius: 2.0}}")  # so wide that it must speak
    policy, dataset = open_policy(checkpoint), Dataset.open(recordings)
    plan = EvaluationPlan.make(policy, dataset, guards=guards)
    results = evaluate(policy, dataset, EngineChoice(device="cpu").load(policy), output / "results", plan)
    first = results.safety_replay.first_events["keep_out"]
    print(f"episode {first.episode}, step {first.step}: {first.severity}, {first.reason}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
