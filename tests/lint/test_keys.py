"""The keys that we take for known are those that Azure's own schemas have."""

from collections.abc import Iterator
from typing import Any

import pytest

from lerobot_inference.jobs import keys
from lerobot_inference.jobs.keys import ANY, Keys


def schema(name: str) -> Any:
    from azure.ai.ml._schema.assets.environment import EnvironmentSchema
    from azure.ai.ml._schema.component.command_component import CommandComponentSchema
    from azure.ai.ml._schema.component.parallel_component import ParallelComponentSchema
    from azure.ai.ml._schema.pipeline.component_job import CommandSchema, ParallelSchema
    from azure.ai.ml._schema.pipeline.pipeline_job import PipelineJobSchema

    schemas = (
        EnvironmentSchema,
        CommandComponentSchema,
        ParallelComponentSchema,
        CommandSchema,
        ParallelSchema,
        PipelineJobSchema,
    )
    return next(found for found in schemas if found.__name__ == name)(context={"base_path": "."})


def alternatives(field: Any) -> Iterator[Any]:
    """A field, or the fields of which a value may be any."""
    for name in ("_union_fields", "_experimental_field", "experimental_field"):
        if inner := getattr(field, name, None):
            for found in inner if isinstance(inner, list) else [inner]:
                yield from alternatives(found)
            return
    yield field


def fields(found: Any) -> dict[str, Any]:
    """The fields that a file may hold, without those that only an answer of Azure's does."""
    return {field.data_key or name: field for name, field in found.fields.items() if not field.dump_only}


def levels(known: Keys, schemas: list[Any], where: str) -> Iterator[tuple[str, set[str], set[str]]]:
    """Every level of ours beside the same level of Azure's: where, our keys, theirs."""
    theirs: dict[str, list[Any]] = {}
    for found in schemas:
        for name, field in fields(found).items():
            theirs.setdefault(name, []).extend(alternatives(field))
    yield where, set(known), set(theirs)
    for name, below in known.items():
        if below is None:
            continue
        inner, values = below.get(ANY), theirs.get(name, [])
        if inner:
            values = [value for field in values for value in alternatives(getattr(field, "value_field", None))]
        nested = [field.schema for field in values if hasattr(field, "schema")]
        if nested:
            yield from levels(inner or below, nested, f"{where}.{name}")


# The id is Azure's to give. `$schema` the SDK reads before its schema does. Steps are compared below.
@pytest.mark.parametrize(
    ("name", "known", "extra", "missing"),
    [
        ("EnvironmentSchema", keys.ENVIRONMENT, {"$schema"}, {"id"}),
        ("CommandComponentSchema", keys.COMMAND_COMPONENT, {"$schema"}, {"id"}),
        ("ParallelComponentSchema", keys.PARALLEL_COMPONENT, {"$schema"}, {"id"}),
        ("PipelineJobSchema", {**keys.PIPELINE, "jobs": None}, {"$schema"}, set()),
    ],
)
def test_known_keys_are_azures(name: str, known: Keys, extra: set[str], missing: set[str]) -> None:
    compared = list(levels(known, [schema(name)], name))
    assert len(compared) > 3
    for where, ours, theirs in compared:
        assert ours - theirs <= extra, where
        assert theirs - ours <= missing, where


def test_known_keys_of_a_step_are_azures() -> None:
    jobs = keys.PIPELINE["jobs"]
    assert jobs is not None
    step = jobs[ANY]
    assert step is not None
    compared = list(levels(step, [schema("CommandSchema"), schema("ParallelSchema")], "jobs"))
    assert len(compared) > 10
    for where, ours, theirs in compared:
        assert ours - theirs <= {"$schema"}, where
        assert theirs - ours <= {"id"}, where
