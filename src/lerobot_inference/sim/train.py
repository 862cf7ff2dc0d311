"""Train a small policy on the simulated cell in about five minutes of two cores.

Trained whole and from nothing, ACT needs hours to discover that the ball matters. So the image backbone first learns to
locate the ball, with ordinary batch normalisation; then it is frozen, its features are computed once, and the rest of
ACT is trained on them with lerobot's own loss.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from lerobot_inference.errors import UsageError
from lerobot_inference.sim.cell import CAMERA
from lerobot_inference.sim.policy import (
    SMALL,
    TrainablePolicy,
    act_config,
    check_output,
    make_policy,
    parameter_count,
    save_policy,
)
from lerobot_inference.sim.samples import Samples, make_samples
from lerobot_inference.types import ACTION, STATE, ImageShape, Progress, silent

if TYPE_CHECKING:
    import torch

DEMO_IMAGE = ImageShape(96, 160)
_FEATURE_BATCH = 64


@dataclass(frozen=True)
class Recipe:
    """What the training consists of. A step is one batch."""

    image: ImageShape = DEMO_IMAGE
    samples: int = 8000
    backbone_steps: int = 200
    backbone_batch: int = 32
    steps: int = 1000
    batch: int = 64
    learning_rate: float = 1e-3


class TrainSummary(BaseModel):
    """What `sim train` wrote and how long each stage took, in seconds."""

    output: Path
    parameters: int
    image_size: str
    samples: int
    steps: int
    seed: int
    final_loss: float
    rendering_s: float
    backbone_s: float
    features_s: float
    policy_s: float


def train(output: Path, seed: int = 0, recipe: Recipe | None = None, progress: Progress = silent) -> TrainSummary:
    """Render samples, train a policy on them and write it to the folder `output` (replaced when it holds a policy).

    The same seed gives the same policy on the same machine with the same number of threads.
    Raises UsageError for an impossible recipe, a missing extra, or an output folder that isn't a policy; StorageError
    when the disk is full.
    """
    recipe = recipe or Recipe()
    _check(recipe)
    check_output(output)
    # Read when torch is loaded. Threads that spin while they wait starve each other as soon as anything else runs: on
    # two cores, one busy neighbour made a step fifty times slower; sleeping instead costs a little when alone.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    config = act_config(recipe.image, SMALL)
    import torch

    clock = [time.perf_counter()]
    samples = make_samples(recipe.samples, config.chunk_size, recipe.image, seed, progress)
    clock.append(time.perf_counter())
    torch.manual_seed(seed)
    trained = make_policy(config, samples.states, samples.actions[~samples.is_pad])
    backbone = _pretrain_backbone(trained, samples, recipe, progress)
    clock.append(time.perf_counter())
    features = _backbone_features(backbone, trained, samples, progress)
    clock.append(time.perf_counter())
    final_loss = _train_on_features(trained, samples, features, recipe, progress)
    clock.append(time.perf_counter())
    save_policy(output, trained, seed=seed, steps=recipe.steps, batch_size=recipe.batch)
    rendering_s, backbone_s, features_s, policy_s = (round(after - before, 1) for before, after in pairwise(clock))
    return TrainSummary(
        output=output,
        parameters=parameter_count(trained.policy),
        image_size=str(recipe.image),
        samples=len(samples),
        steps=recipe.steps,
        seed=seed,
        final_loss=final_loss,
        rendering_s=rendering_s,
        backbone_s=backbone_s,
        features_s=features_s,
        policy_s=policy_s,
    )


def _pretrain_backbone(
    trained: TrainablePolicy, samples: Samples, recipe: Recipe, progress: Progress
) -> torch.nn.Module:
    """Teach a ResNet with ordinary batch normalisation where the ball is, hand its weights to the policy, return it.

    lerobot's ACT freezes the normalisation of its backbone and never updates the statistics; they are buffers, so the
    ones learnt here are loaded like any weight.
    """
    import torch
    import torchvision

    config = trained.policy.config
    network = getattr(torchvision.models, config.vision_backbone)(weights=None)
    rows, columns = _grid(samples)
    network.avgpool = torch.nn.Identity()  # where a feature is says where the ball is
    network.fc = torch.nn.Linear(network.fc.in_features * rows * columns, 2)
    network.to(memory_format=torch.channels_last)
    targets = torch.from_numpy(samples.targets)
    targets = (targets - targets.mean(dim=0)) / targets.std(dim=0)
    optimiser, schedule = _optimiser(network, recipe.learning_rate, recipe.backbone_steps)
    network.train()
    for step, batch in enumerate(_batches(len(samples), recipe.backbone_batch, recipe.backbone_steps)):
        located = network(_normalised_images(trained, samples, batch))
        loss = torch.nn.functional.l1_loss(located, targets[batch])
        _descend(network, loss, optimiser, schedule)
        progress("training the backbone", step + 1, recipe.backbone_steps)
    network.fc = torch.nn.Identity()
    trained.policy.model.backbone.load_state_dict(network.state_dict())
    frozen: torch.nn.Module = network.eval()
    return frozen


def _backbone_features(
    backbone: torch.nn.Module, trained: TrainablePolicy, samples: Samples, progress: Progress
) -> torch.Tensor:
    """(N, channels, h, w): what the policy's frozen backbone makes of every image.

    Computed by the network it was learnt with: the same weights, and twice as fast as with lerobot's frozen layers.
    """
    import torch

    features = []
    with torch.no_grad():
        for batch in torch.split(torch.arange(len(samples)), _FEATURE_BATCH):
            flat = backbone(_normalised_images(trained, samples, batch))
            features.append(flat.reshape(len(batch), -1, *_grid(samples)))
            progress("computing features", int(batch[-1]) + 1, len(samples))
    return torch.cat(features)


def _train_on_features(
    trained: TrainablePolicy, samples: Samples, features: torch.Tensor, recipe: Recipe, progress: Progress
) -> float:
    """Train everything but the backbone with lerobot's loss; returns the mean loss of the last tenth of the steps."""
    import torch

    policy = trained.policy
    backbone = policy.model.backbone
    policy.model.backbone = _precomputed()
    columns = {STATE: torch.from_numpy(samples.states), ACTION: torch.from_numpy(samples.actions)}
    normalised = trained.preprocess(columns)
    columns = {STATE: normalised[STATE], ACTION: normalised[ACTION], CAMERA: features}
    columns["action_is_pad"] = torch.from_numpy(samples.is_pad)
    optimiser, schedule = _optimiser(policy, recipe.learning_rate, recipe.steps)
    policy.train()
    losses: list[float] = []
    for step, batch in enumerate(_batches(len(samples), recipe.batch, recipe.steps)):
        loss, _ = policy.forward({name: column[batch] for name, column in columns.items()})
        _descend(policy, loss, optimiser, schedule)
        losses.append(loss.item())
        progress("training the policy", step + 1, recipe.steps)
    policy.model.backbone = backbone
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def _precomputed() -> torch.nn.Module:
    """Stands in for the backbone when the image column already holds its features."""
    import torch

    class Precomputed(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"feature_map": features}

    return Precomputed()


def _grid(samples: Samples) -> tuple[int, int]:
    """Rows and columns of the backbone's feature map: it halves the image five times, rounding up."""
    _, height, width, _ = samples.images.shape
    return -(-height // 32), -(-width // 32)


def _normalised_images(trained: TrainablePolicy, samples: Samples, batch: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) as the policy's preprocessor gives them, channels last in memory for speed."""
    import torch

    images = torch.from_numpy(samples.images[batch.numpy()]).permute(0, 3, 1, 2).float() / 255
    normalised: torch.Tensor = trained.preprocess({CAMERA: images})[CAMERA]
    return normalised.contiguous(memory_format=torch.channels_last)


def _batches(count: int, size: int, steps: int) -> Iterator[torch.Tensor]:
    """`steps` batches of indices; every sample comes once before any comes again."""
    import torch

    left = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(left) < size:
            left = torch.cat([left, torch.randperm(count)])
        yield left[:size]
        left = left[size:]


def _optimiser(network: torch.nn.Module, learning_rate: float, steps: int) -> tuple[Any, Any]:
    """AdamW with a one-cycle learning rate: the warm-up and decay matter in so few steps."""
    import torch

    optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=1e-4, foreach=True)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)


def _descend(network: torch.nn.Module, loss: torch.Tensor, optimiser: Any, schedule: Any) -> None:  # noqa: ANN401
    import torch

    optimiser.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimiser.step()
    schedule.step()


def _check(recipe: Recipe) -> None:
    if min(recipe.samples, recipe.backbone_steps, recipe.steps) < 2:
        raise UsageError("samples, backbone steps and steps must be at least 2")
