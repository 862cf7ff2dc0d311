"""Recorded episodes in, honest numbers out: replay, metrics, baselines, results, gate."""
