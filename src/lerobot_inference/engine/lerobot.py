"""The reference engine: lerobot's own policy and processors, in torch."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from lerobot_inference.checkpoint import Checkpoint, Policy
from lerobot_inference.engine.base import check_chunk, check_inputs, warm_up
from lerobot_inference.errors import CheckpointError, UsageError, require
from lerobot_inference.types import ENVIRONMENT_STATE, STATE, ActionChunk, FloatArray, Precision, UInt8Array

PRECISIONS = dict.fromkeys(("cuda", "cpu", "mps"), (Precision.F32,))


class LerobotEngine:
    """lerobot's ACTPolicy behind its own pre- and postprocessor.

    Predicts a whole chunk at a time, so it bypasses lerobot's action queue and ensembling: those belong to
    `control`. One thread of the engine's own makes every prediction, whichever threads ask: lerobot's processors keep
    the observation they are working on in themselves, and torch holds scratch memory and a team of OpenMP threads for
    each thread that computes. Needs a checkpoint: a bundle holds no lerobot files. Raises UsageError for a missing
    extra or a bundle, CheckpointError when lerobot refuses the files.
    """

    name = "lerobot"

    def __init__(
        self, policy: Policy, device: str, precision: Precision = Precision.F32, threads: int | None = None
    ) -> None:
        torch = require("torch", "lerobot")
        require("lerobot", "lerobot")
        if not isinstance(policy, Checkpoint):
            raise UsageError(
                f"{policy.folder} is a bundle, and lerobot runs checkpoints",
                hint="give the checkpoint that it was exported from, or another --engine",
            )
        self._torch = torch
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="lerobot-engine")
        self.spec = policy.spec
        self.device = device
        self.precision = precision
        if threads is not None:
            self._worker.submit(torch.set_num_threads, threads).result()  # OpenMP keeps the number per thread
        self.threads = int(self._worker.submit(torch.get_num_threads).result())
        # lerobot prints as it loads; stdout belongs to the command's result.
        with redirect_stdout(io.StringIO()):
            self._policy, self._preprocess, self._postprocess = _load(policy, device)

    def warm_up(self) -> float:
        """See Engine."""
        return warm_up(self)

    def predict(
        self, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None = None
    ) -> ActionChunk:
        """See Engine. The times don't count the wait for another thread's prediction."""
        check_inputs(self.spec, images, states, environment)
        return self._worker.submit(self._predict, images, states, environment).result()

    def _predict(
        self, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None
    ) -> ActionChunk:
        """Runs on the worker. Each part's wall time is taken after the device has finished it."""
        torch = self._torch
        started = time.perf_counter()
        batch: dict[str, Any] = {STATE: torch.from_numpy(np.ascontiguousarray(states, np.float32))}
        if environment is not None:
            batch[ENVIRONMENT_STATE] = torch.from_numpy(np.ascontiguousarray(environment, np.float32))
        for name in self.spec.cameras:
            frames = torch.from_numpy(np.ascontiguousarray(images[name]))
            batch[name] = frames.permute(0, 3, 1, 2).contiguous().to(self.device).float() / 255
        with torch.inference_mode():
            batch = self._preprocess(batch)
            preprocessed = self._now()
            normalised = self._policy.predict_action_chunk(batch)
            forwarded = self._now()
            actions = self._postprocess(normalised)
        result = np.ascontiguousarray(actions.float().cpu().numpy())
        finished = time.perf_counter()
        check_chunk(self.spec, result)
        return ActionChunk(result, preprocessed - started, forwarded - preprocessed, finished - forwarded)

    def _now(self) -> float:
        """Wall clock after the device has caught up."""
        if self.device == "cuda":
            self._torch.cuda.synchronize()
        elif self.device == "mps":
            self._torch.mps.synchronize()
        return time.perf_counter()


build = LerobotEngine


def available_devices() -> list[str]:
    """The devices torch can use on this machine. Raises UsageError when torch or lerobot isn't installed."""
    torch = require("torch", "lerobot")
    require("lerobot", "lerobot")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [device for device in PRECISIONS if present[device]]


def _load(checkpoint: Checkpoint, device: str) -> tuple[Any, Any, Any]:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    folder = str(checkpoint.folder)
    try:
        config = PreTrainedConfig.from_pretrained(folder)
        config.device = device
        # Real trainings name the ImageNet weights they began with; loading would download them for nothing.
        config.pretrained_backbone_weights = None
        policy = ACTPolicy.from_pretrained(folder, config=config, strict=True)
        preprocess, postprocess = make_pre_post_processors(
            config,
            pretrained_path=folder,
            preprocessor_overrides={"device_processor": {"device": device}},
            postprocessor_overrides={"device_processor": {"device": "cpu"}},
        )
    except (ValueError, KeyError, RuntimeError, FileNotFoundError) as error:
        raise CheckpointError(f"{checkpoint.folder}: lerobot can't load this policy: {error}") from error
    policy.eval()
    return policy, preprocess, postprocess
