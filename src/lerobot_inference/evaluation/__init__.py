"""Recorded episodes in, honest numbers out: replay, metrics, baselines, statistics, results, gate.

`evaluate.evaluate` is the way in; `plan.EvaluationPlan` says what is scored and `results.EvalResults` what came out.
"""
