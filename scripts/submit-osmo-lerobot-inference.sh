#!/usr/bin/env bash
# Evaluate a trained policy on OSMO; --help lists the options. All of it is in lerobot_inference/cli/osmo_inference.py.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"
[[ -x "$python" ]] || python=python3

exec "$python" -m lerobot_inference.cli.osmo_inference --pipelines "$root/pipelines" "$@"
