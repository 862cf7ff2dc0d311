"""The reference engine: lerobot's own policy and processors, in torch."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine.base import check_chunk, check_inputs
from lerobot_inference.errors import CheckpointError, UsageError, require
from lerobot_inference.types import STATE, ActionChunk, FloatArray, UInt8Array

DEVICES = ("cuda", "cpu", "mps")


class LerobotEngine:
    """lerobot's ACTPolicy behind its own pre- and postprocessor.

    Predicts a whole chunk at a time, so it bypasses lerobot's action queue and ensembling: those belong to
    `control`. Raises UsageError for an absent device or extra, CheckpointError when lerobot refuses the files.
    """

    name = "lerobot"

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        torch = require("torch", "lerobot")
        require("lerobot", "lerobot")
        require_device(device)
        self._torch = torch
        self.spec = checkpoint.spec
        self.device = device
        # lerobot prints as it loads; stdout belongs to the command's result.
        with redirect_stdout(io.StringIO()):
            self._policy, self._preprocess, self._postprocess = _load(checkpoint, device)

    def warm_up(self) -> float:
        """One forward pass on a grey image and a zero state; returns its wall time in seconds."""
        images = {
            name: np.full((1, shape.height, shape.width, 3), 127, np.uint8) for name, shape in self.spec.cameras.items()
        }
        chunk = self.predict(images, np.zeros((1, self.spec.state_dim), np.float32))
        return chunk.preprocess_s + chunk.forward_s + chunk.postprocess_s

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> ActionChunk:
        """images[feature name]: (B, H, W, 3) uint8 RGB; states: (B, S) radians -> actions (B, chunk, A) radians.

        Each part's wall time is taken after the device has finished it. Raises EngineError on misfits and
        non-finite output.
        """
        torch = self._torch
        check_inputs(self.spec, images, states)
        started = time.perf_counter()
        batch: dict[str, Any] = {STATE: torch.from_numpy(np.ascontiguousarray(states, np.float32))}
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


def available_devices() -> list[str]:
    """The devices torch can use on this machine. Raises UsageError when torch isn't installed."""
    torch = require("torch", "lerobot")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [device for device in DEVICES if present[device]]


def require_device(device: str) -> None:
    """Raise UsageError unless `device` is one of cuda, cpu, mps and present here."""
    if device not in DEVICES:
        raise UsageError(f"device {device!r} is unknown", hint=f"choose one of: {', '.join(DEVICES)}")
    present = available_devices()
    if device not in present:
        raise UsageError(
            f"device {device!r} was asked for and is not available here",
            hint=f"available: {', '.join(present)}; pass --device {present[0]} to run there",
        )


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
