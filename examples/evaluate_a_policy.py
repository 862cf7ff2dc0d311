"""Evaluate a policy on recorded episodes, in ten lines.

python examples/evaluate_a_policy.py CHECKPOINT DATASET RESULTS
"""

import sys
from pathlib import Path

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.evaluation.evaluate import evaluate
from lerobot_inference.evaluation.plan import EvaluationPlan

if __name__ == "__main__":
    checkpoint, recordings, output = map(Path, sys.argv[1:])
    policy, dataset = open_policy(checkpoint), Dataset.open(recordings)
    plan = EvaluationPlan.make(policy, dataset, episodes="all")
    results = evaluate(policy, dataset, EngineChoice(device="cpu").load(policy), output, plan)
    scored = results.as_deployed
    print(f"mean absolute error {1000 * results.aggregate_mae:.3f} mrad a step, skill {scored.skill:.3f}")
    for name, baseline in scored.baselines.items():
        print(f"{name}: {1000 * baseline.mae:.3f} mrad")
