"""`lerobot-inference sim`: record a dataset, train a policy and close the loop in the simulated cell."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lerobot_inference.checkpoint import open_policy
from lerobot_inference.cli.console import console, print_json, progress_display
from lerobot_inference.cli.options import DeviceOption, EngineOption, PolicyOption
from lerobot_inference.control import UR10E, ScheduleName
from lerobot_inference.control.guards.known import known_limits
from lerobot_inference.engine import AUTO, EngineChoice
from lerobot_inference.errors import UsageError, require
from lerobot_inference.sim.cell import DEFAULT_IMAGE
from lerobot_inference.sim.policy import write_full_size_policy
from lerobot_inference.sim.record import record as run_record
from lerobot_inference.sim.rollout import Loop, RolloutResults
from lerobot_inference.sim.rollout import rollout as run_rollout
from lerobot_inference.sim.train import DEMO_IMAGE, Recipe
from lerobot_inference.sim.train import train as run_train
from lerobot_inference.types import ImageShape

app = typer.Typer(no_args_is_help=True)


class VideoCodec(StrEnum):
    """How the camera's frames are compressed."""

    H264 = "h264"
    AV1 = "libsvtav1"


SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same episodes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def record(
    output: Annotated[Path, typer.Option(help="Folder of the dataset; an older dataset there is replaced.")],
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 10,
    seed: SeedOption = 0,
    image_size: Annotated[str, typer.Option(help="Height x width of the camera image.")] = str(DEFAULT_IMAGE),
    vcodec: Annotated[VideoCodec, typer.Option(help="Video codec.")] = VideoCodec.H264,
    json: JsonOption = False,
) -> None:
    """Record the scripted expert as a LeRobot v3 dataset."""
    with progress_display() as progress:
        summary = run_record(output, episodes, seed, _image_shape(image_size), vcodec.value, progress)
    if json:
        print_json(summary)
    else:
        console.print(f"{summary.episodes} episodes, {summary.frames} frames: {output}", soft_wrap=True)


@app.command()
def train(
    output: Annotated[Path, typer.Option(help="Folder of the policy; an older policy there is replaced.")],
    seed: SeedOption = 0,
    image_size: Annotated[str | None, typer.Option(help="Height x width; 96x160, or 480x848 with --full-size.")] = None,
    samples: Annotated[int, typer.Option(min=2, help="Rendered training samples.")] = Recipe.samples,
    backbone_steps: Annotated[int, typer.Option(min=2, help="Batches for the backbone.")] = Recipe.backbone_steps,
    steps: Annotated[int, typer.Option(min=2, help="Batches for the rest.")] = Recipe.steps,
    full_size: Annotated[
        bool, typer.Option("--full-size", help="Write an untrained policy of full size instead, for load and speed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train lerobot's ACT to reach the ball, in about five minutes on two cores."""
    if full_size:
        _write_full_size(output, seed, _image_shape(image_size) if image_size else DEFAULT_IMAGE, json)
        return
    recipe = Recipe(
        image=_image_shape(image_size) if image_size else DEMO_IMAGE,
        samples=samples,
        backbone_steps=backbone_steps,
        steps=steps,
    )
    with progress_display() as progress:
        summary = run_train(output, seed, recipe, progress)
    if json:
        print_json(summary)
        return
    console.print(f"{summary.parameters / 1e6:.1f} million parameters: {output}", soft_wrap=True)
    console.print(
        f"rendering {summary.rendering_s:.0f} s, backbone {summary.backbone_s:.0f} s, "
        f"features {summary.features_s:.0f} s, policy {summary.policy_s:.0f} s"
    )


@app.command()
def rollout(
    policy: PolicyOption,
    episodes: Annotated[int, typer.Option(min=1, help="How many runs.")] = 50,
    seed: SeedOption = 0,
    wrong_image: Annotated[
        bool, typer.Option("--wrong-image", help="Show the ball at another place: nothing useful must come of it.")
    ] = False,
    schedule: Annotated[
        ScheduleName, typer.Option(help="How chunks become actions; policy: as it was saved.")
    ] = ScheduleName.POLICY,
    latency: Annotated[int, typer.Option(min=0, help="Control periods that a prediction takes.")] = 0,
    guards: Annotated[Path, typer.Option(help="Guards file of the arm.", show_default="the UR10e's")] = UR10E,
    engine: EngineOption = AUTO,
    device: DeviceOption = "cpu",
    json: JsonOption = False,
) -> None:
    """Let a policy move the simulated arm and count how often it reaches the ball."""
    opened = open_policy(policy)
    loaded = EngineChoice(engine, device).load(opened)
    loop = Loop(schedule, latency, wrong_image=wrong_image, guards=guards, known=known_limits(opened))
    with progress_display() as progress:
        results = run_rollout(loaded, str(policy), episodes, seed, loop, progress)
    if json:
        print_json(results)
    else:
        console.print(_sentence(results), soft_wrap=True)


@app.command()
def serve(
    image_size: Annotated[str, typer.Option(help="Height x width of the camera image.")] = str(DEFAULT_IMAGE),
    seed: SeedOption = 0,
    episode: Annotated[int, typer.Option(min=0, help="Which of the seed's episodes to begin with.")] = 0,
    gripper: Annotated[bool, typer.Option("--gripper", help="A gripper publishes on /joint_states too.")] = False,
    elbow_first: Annotated[bool, typer.Option("--elbow-first", help="Publish the joints elbow first.")] = False,
    from_measured: Annotated[
        bool,
        typer.Option(
            "--from-measured",
            help="Begin each trajectory at the measured joints: ros2_control without interpolate_from_desired_state.",
        ),
    ] = False,
) -> None:
    """Be a UR10e and its camera on ROS 2, in real time, until Ctrl-C; misbehave when /sim/fault says so."""
    image = _image_shape(image_size)
    require("rclpy", "ros2")
    from lerobot_inference.ros2.sim_cell_node import CellOptions
    from lerobot_inference.ros2.sim_cell_node import serve as run_serve

    options = CellOptions(image, seed, episode, gripper, elbow_first, from_measured)
    run_serve(options, lambda: console.print("the cell is up"))


def _write_full_size(output: Path, seed: int, image: ImageShape, json: bool) -> None:
    summary = write_full_size_policy(output, seed, image)
    if json:
        print_json(summary)
    else:
        console.print(f"untrained policy, {summary.parameters / 1e6:.1f} million parameters: {output}", soft_wrap=True)


def _sentence(results: RolloutResults) -> str:
    low, high = results.interval
    image = " with the ball shown at a wrong place" if results.wrong_image else ""
    return (
        f"reached the ball in {results.successes} of {results.episodes} runs{image}: {results.success_rate:.0%} "
        f"(95 % interval {low:.0%} to {high:.0%}); reached means within {100 * results.reach_radius:.0f} cm, "
        f"median distance at the end {100 * results.median_final_distance:.1f} cm"
    )


def _image_shape(text: str) -> ImageShape:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or "0" in match.groups():
        raise UsageError(f"image size {text!r} is not height x width", hint="write it like 480x848")
    return ImageShape(int(match[1]), int(match[2]))
