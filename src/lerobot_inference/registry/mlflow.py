"""MLflow's model registry: its own, local or on a server, and Azure ML's, which knows no aliases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_inference.registry.base import CHAMPION, ModelRegistry, ModelVersion
from lerobot_inference.tracking import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as Entity

STAGE_TAG = "stage"
RETIRED = "retired"


def open_registry(store: Store) -> ModelRegistry:
    """The registry of a store, by the scheme of its address."""
    return AzureMlRegistry(store) if store.is_azure else MlflowRegistry(store)


@dataclass(frozen=True)
class _Versions:
    """What both registries do alike."""

    store: Store

    def add(self, model: str, source: str, run_id: str, tags: Mapping[str, str]) -> str:
        """See ModelRegistry."""
        from mlflow.exceptions import MlflowException

        client = self.store.client
        with self.store.errors():
            try:
                client.create_registered_model(model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            entity = self.store.make_once(
                find=lambda: next((found for found in self._entities(model) if found.run_id == run_id), None),
                make=lambda: client.create_model_version(model, source, run_id, tags=dict(tags)),
            )
            for key, value in tags.items():
                if entity.tags.get(key) != value:
                    client.set_model_version_tag(model, entity.version, key, value)
        return str(entity.version)

    def get(self, model: str, version: str) -> ModelVersion:
        """See ModelRegistry."""
        with self.store.errors():
            return _told(self.store.client.get_model_version(model, version))

    def fetch(self, model: str, version: str, folder: Path) -> Path:
        """See ModelRegistry."""
        from mlflow.artifacts import download_artifacts

        with self.store.errors():
            uri = self.store.client.get_model_version_download_uri(model, version)
            return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.store.uri))

    def _entities(self, model: str) -> Iterator[Entity]:
        """Every version, page by page. Raises MlflowException."""
        token = None
        while True:
            page = self.store.client.search_model_versions(f"name='{model}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return


@dataclass(frozen=True)
class MlflowRegistry(_Versions):
    """The champion is MLflow's alias `champion`."""

    def champion(self, model: str) -> ModelVersion | None:
        """See ModelRegistry."""
        with self.store.errors():
            found = self.store.client.search_registered_models(f"name = '{model}'")
            version = found[0].aliases.get(CHAMPION) if found else None
        return None if version is None else self.get(model, str(version))

    def promote(self, model: str, version: str, in_place_of: str | None) -> None:  # noqa: ARG002  # an alias moves whole
        """See ModelRegistry."""
        with self.store.errors():
            self.store.client.set_registered_model_alias(model, CHAMPION, version)


@dataclass(frozen=True)
class AzureMlRegistry(_Versions):
    """The champion is the version with the tag `stage=champion`.

    A promotion tags the new version before it retires the old one, so there is a champion at every moment; of two,
    left by a promotion that was interrupted or by two at the same moment, the newer one counts.
    """

    def champion(self, model: str) -> ModelVersion | None:
        """See ModelRegistry."""
        return max(self._champions(model), key=lambda found: int(found.version), default=None)

    def promote(self, model: str, version: str, in_place_of: str | None) -> None:
        """See ModelRegistry. Whoever comes to look last, after all have set their tags, leaves the newest alone."""
        self._set_stage(model, version, CHAMPION)
        rivals = [found.version for found in self._champions(model) if found.version not in (version, in_place_of)]
        if any(int(rival) > int(version) for rival in rivals):
            self._set_stage(model, version, RETIRED)
        else:
            for rival in rivals:
                self._set_stage(model, rival, RETIRED)
        if in_place_of not in (None, version):
            self._set_stage(model, in_place_of, RETIRED)

    def _set_stage(self, model: str, version: str, stage: str) -> None:
        with self.store.errors():
            self.store.client.set_model_version_tag(model, version, STAGE_TAG, stage)

    def _champions(self, model: str) -> Iterator[ModelVersion]:
        with self.store.errors():
            yield from (found for found in map(_told, self._entities(model)) if found.tags.get(STAGE_TAG) == CHAMPION)


def _told(entity: Entity) -> ModelVersion:
    return ModelVersion(str(entity.version), dict(entity.tags), entity.run_id or "")
