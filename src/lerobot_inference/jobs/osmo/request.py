"""What scripts/submit-osmo-lerobot-inference.sh runs: a pipeline file, or the part of it that was asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from lerobot_inference.errors import UsageError
from lerobot_inference.jobs.binding import PipelineInput
from lerobot_inference.jobs.pipeline import Pipeline
from lerobot_inference.registry.base import check_model_name
from lerobot_inference.sources.hub import HubSource

JUDGED, PLAIN = "evaluate.yaml", "evaluate-only.yaml"


@dataclass(frozen=True)
class EvaluationRequest:
    """What a person asks for. dataset: None fetches and verifies the policy, and evaluates nothing.

    track: whether figures and plots are logged to MLflow; they also are where register_model names a model.
    """

    policy: str
    dataset: str | None
    episodes: int
    track: bool
    experiment: str
    register_model: str | None

    @property
    def uses_mlflow(self) -> bool:
        """Whether any task needs a tracking server."""
        return self.track or self.register_model is not None

    def pipeline(self, folder: Path) -> Pipeline:
        """The steps to run, of the pipeline files in `folder`.

        Raises UsageError for what can't be evaluated on OSMO, ConfigError for the files.
        """
        self._check()
        settings = {"inputs.policy": self.policy, "inputs.experiment_name": self.experiment}
        if self.dataset is None:
            return _only(Pipeline.read(folder / PLAIN, settings), {"download"}, without={"dataset"})
        settings |= {"inputs.dataset": self.dataset, "inputs.episodes": str(self.episodes)}
        if self.register_model:
            return Pipeline.read(folder / JUDGED, settings | {"inputs.model_name": self.register_model})
        pipeline = Pipeline.read(folder / PLAIN, settings)
        return pipeline if self.track else _only(pipeline, {"download", "evaluate", "plot"})

    def summary(self) -> dict[str, str]:
        """What will run, for a person."""
        if self.dataset is None:
            nothing = "none without --dataset-repo-id: the policy is fetched and verified"
            return {"policy": self.policy, "evaluation": nothing}
        return {
            "policy": self.policy,
            "dataset": self.dataset,
            "episodes": str(self.episodes),
            "mlflow": f"experiment {self.experiment}" if self.uses_mlflow else "off: results stay in OSMO's storage",
            "register": self.register_model or "nothing",
        }

    def _check(self) -> None:
        for option, text in (("--policy-repo-id", self.policy), ("--dataset-repo-id", self.dataset)):
            if text is not None and HubSource.parse(text, None) is None:
                raise UsageError(
                    f"{option} {text} is not a repository on the Hugging Face Hub",
                    hint="name one as org/name; `pipeline run` takes local folders, `pipeline submit` Azure's assets",
                )
        if self.dataset is None and self.uses_mlflow:
            raise UsageError(
                "without --dataset-repo-id there is nothing to replay, so nothing to log or register",
                hint="name a LeRobot v3 dataset on the Hugging Face Hub, such as alizaidi/hve-robo-cell",
            )
        if self.register_model is not None:
            check_model_name(self.register_model)


def _only(pipeline: Pipeline, names: Collection[str], without: Collection[str] = ()) -> Pipeline:
    """These steps of a pipeline alone; the inputs `without` of theirs are left open."""
    steps = tuple(
        replace(step, inputs={name: source for name, source in step.inputs.items() if name not in without})
        for step in pipeline.steps
        if step.name in names
    )
    used = {source.name for step in steps for source in step.inputs.values() if isinstance(source, PipelineInput)}
    return replace(pipeline, steps=steps, inputs={name: it for name, it in pipeline.inputs.items() if name in used})
