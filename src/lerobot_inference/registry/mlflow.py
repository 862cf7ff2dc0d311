"""MLflow's own model registry, local or on a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lerobot_inference.registry.base import CHAMPION
from lerobot_inference.tracking import Store


@dataclass(frozen=True)
class MlflowRegistry:
    """The champion is MLflow's alias `champion`."""

    store: Store

    def champion(self, model: str) -> tuple[str, Mapping[str, str]] | None:
        """See ModelRegistry."""
        client = self.store.client
        with self.store.errors():
            found = client.search_registered_models(f"name = '{model}'")
            version = found[0].aliases.get(CHAMPION) if found else None
            if version is None:
                return None
            return str(version), client.get_model_version(model, str(version)).tags

    def add(self, model: str, source: str, run_id: str, tags: Mapping[str, str]) -> str:
        """See ModelRegistry."""
        client = self.store.client
        with self.store.errors():
            if not client.search_registered_models(f"name = '{model}'"):
                client.create_registered_model(model)
            return str(client.create_model_version(model, source, run_id, tags=dict(tags)).version)

    def fetch(self, model: str, version: str, folder: Path) -> Path:
        """See ModelRegistry."""
        from mlflow.artifacts import download_artifacts

        with self.store.errors():
            uri = self.store.client.get_model_version_download_uri(model, version)
            return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.store.uri))

    def promote(self, model: str, version: str) -> None:
        """See ModelRegistry."""
        with self.store.errors():
            self.store.client.set_registered_model_alias(model, CHAMPION, version)
