"""The keys that Azure ML's YAML files may have, at every level: those of azure-ai-ml 1.35's own schemas, which a test
holds them against. Azure's validation lets many unknown ones pass.
"""

from __future__ import annotations

from collections.abc import Mapping

# A level: each key with the level below it; None where what is below is the reader's, or a value.
type Keys = Mapping[str, Keys | None]

ANY = "*"  # names that the file's writer chooses


def _keys(text: str, **below: Keys) -> Keys:
    return dict.fromkeys(text.split()) | below


def _each(keys: Keys) -> Keys:
    return {ANY: keys}


_RESOURCES = _keys("instance_count instance_type properties locations shm_size max_instance_count docker_args")
_QUEUE = _keys("job_tier priority")
_AUTO_DELETE = _keys("value condition")
_DISTRIBUTION = _keys(
    "type process_count_per_instance parameter_server_count worker_count port address include_dashboard"
    " dashboard_port head_node_additional_args worker_node_additional_args"
)
_IDENTITY = _keys("type client_id object_id msi_resource_id")
_SERVICES = _each(_keys("type port nodes properties log_dir ssh_public_keys"))
_RETRY = _keys("timeout max_retries")
_ROUTE = _keys("port path")

ENVIRONMENT = _keys(
    "$schema name version description tags image conda_file os_type datastore",
    build=_keys("path dockerfile_path"),
    inference_config=_keys("", liveness_route=_ROUTE, readiness_route=_ROUTE, scoring_route=_ROUTE),
    auto_delete_setting=_AUTO_DELETE,
)

_TASK = _keys("type code entry_script program_arguments model append_row_to", environment=ENVIRONMENT)

_COMPONENT = _keys(
    "$schema type name version display_name description tags is_deterministic",
    inputs=_each(_keys("type description optional default mode min max enum")),
    outputs=_each(_keys("type description mode")),
    resources=_RESOURCES,
    auto_delete_setting=_AUTO_DELETE,
)
COMMAND_COMPONENT: Keys = {
    **_COMPONENT,
    **_keys("command code properties additional_includes"),
    "environment": ENVIRONMENT,
    "distribution": _DISTRIBUTION,
    "queue_settings": _QUEUE,
}
PARALLEL_COMPONENT: Keys = {
    **_COMPONENT,
    **_keys("input_data mini_batch_size partition_keys max_concurrency_per_instance logging_level"),
    **_keys("error_threshold mini_batch_error_threshold"),
    "retry_settings": _RETRY,
    "task": _TASK,
}

_DATA = _each(_keys("type path mode datastore path_on_compute value"))
_OUTPUTS = _each(_keys("type path mode name version"))
_STEP = _keys(
    # Of a command, and of a parallel step:
    "$schema type component compute comment properties environment_variables command code"
    " input_data mini_batch_size partition_keys max_concurrency_per_instance logging_level"
    " error_threshold mini_batch_error_threshold",
    inputs=_DATA,
    outputs=_OUTPUTS,
    environment=ENVIRONMENT,
    resources=_RESOURCES,
    distribution=_DISTRIBUTION,
    queue_settings=_QUEUE,
    limits=_keys("timeout"),
    services=_SERVICES,
    identity=_IDENTITY,
    retry_settings=_RETRY,
    task=_TASK,
)
PIPELINE = _keys(
    "$schema type name display_name description tags experiment_name properties compute component",
    inputs=_DATA,
    outputs=_OUTPUTS,
    jobs=_each(_STEP),
    settings=_keys("default_datastore default_compute continue_on_step_failure force_rerun"),
    services=_SERVICES,
    identity=_IDENTITY,
)
