"""`pipeline submit`, from the command line to the calls that Azure gets, over TLS and with the unpatched SDK."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure_loopback.server import RESET, Response
from azure_loopback.workspace import ACCOUNT, CONTAINER, DATASTORE, NAME, WORKSPACE, WORKSPACE_ID
from submit_kit import OUTPUTS, WHEEL, Azure, copy_tree, serve_azure, start, write_small

from lerobot_inference.azure_ml import Workspace
from lerobot_inference.cli import main
from lerobot_inference.errors import ConfigError, ServiceError, UsageError
from lerobot_inference.jobs.submit import SubmittedJob, Submitter, fetchable, read_content

JOB = WORKSPACE + r"/jobs/[^/]+"
UPLOAD = rf"/{CONTAINER}/.+"
AT_ONCE = {"Retry-After": "0.01"}
RULES = b"max: {aggregate_mae: 0.5}\n"
OURS = f"{ACCOUNT}/{CONTAINER}/"

type Submit = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pipelines/evaluate.yaml in a tree that can be submitted."""
    return copy_tree(tmp_path_factory.mktemp("tree")) / "pipelines" / "evaluate.yaml"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of one step."""
    return write_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Azure]:
    """A workspace that this process is led to, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    with serve_azure() as azure:
        for name, value in azure.environment.items():
            monkeypatch.setenv(name, value)
        yield azure


@pytest.fixture
def submit(small: Path, capsys: pytest.CaptureFixture[str]) -> Submit:
    """Calls `pipeline submit` in this process: exit code, stdout, stderr."""

    def run(*options: str, file: Path = small) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["pipeline", "submit", str(file), *options])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


# What a submission sends


@pytest.fixture(scope="module")
def submitted(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Azure, SubmittedJob, str]:
    """What one run of the program left in the workspace, and what it printed on stdout and stderr."""
    here = tmp_path_factory.mktemp("here")
    (here / "rules.yaml").write_bytes(RULES)
    settings = ("inputs.stride=3", "inputs.gate=rules.yaml", "jobs.evaluate.inputs.workers=2")
    with serve_azure() as azure:
        options = [word for setting in settings for word in ("--set", setting)]
        done = start(azure, pipeline, *options, "--json", folder=here)
        printed, said = done.communicate()
    assert done.returncode == 0, said
    return azure, SubmittedJob.model_validate_json(printed), said


@pytest.fixture(scope="module")
def written(pipeline: Path) -> dict[str, Any]:
    """The file that was submitted, with what was set."""
    content: dict[str, Any] = yaml.safe_load(pipeline.read_text())
    content["inputs"]["stride"] = 3
    content["jobs"]["evaluate"]["inputs"]["workers"] = "2"
    return content


def test_one_job_is_made_and_its_studio_address_is_told(submitted: tuple[Azure, SubmittedJob, str]) -> None:
    azure, job, said = submitted
    assert list(azure.workspace.properties("jobs")) == [f"jobs/{job.name}"]
    assert re.fullmatch(r"evaluate-\d{8}-\d{6}-[0-9a-f]{6}", job.name)
    assert job.studio_url.startswith(f"https://ml.azure.com/runs/{job.name}?wsid={WORKSPACE_ID}")
    assert said.splitlines()[-1] == f"submitted {job.name}: {job.studio_url}"
    assert (job.workspace, job.experiment, job.state) == (NAME, "lerobot-act-inference", "NotStarted")


def test_only_calls_that_the_loopback_answers_are_made_and_none_with_an_account_key(
    submitted: tuple[Azure, SubmittedJob, str],
) -> None:
    azure, _, said = submitted
    assert azure.cloud.unknown == []
    assert not any("sharedkey" in request.headers.get("authorization", "").lower() for request in azure.cloud.requests)
    assert "sig=" not in said


def test_the_job_says_what_the_file_says(submitted: tuple[Azure, SubmittedJob, str], written: dict[str, Any]) -> None:
    (job,) = submitted[0].jobs
    assert job["jobType"] == "Pipeline"
    assert (job["displayName"], job["description"]) == (written["display_name"], written["description"])
    assert job["experimentName"] == written["experiment_name"]
    assert job["settings"]["default_compute"] == f"{WORKSPACE_ID}/computes/cpu-cluster"
    literals = {name: {"value": str(it), "jobInputType": "literal"} for name, it in written["inputs"].items()}
    del literals["gate"]
    assert job["inputs"] == literals | {"gate": job["inputs"]["gate"]}
    wanted = {name: {"mode": "Upload", "jobOutputType": it["type"]} for name, it in written["outputs"].items()}
    assert job["outputs"] == wanted


def test_the_steps_are_fed_as_in_the_file(submitted: tuple[Azure, SubmittedJob, str], written: dict[str, Any]) -> None:
    (job,) = submitted[0].jobs
    assert job["jobs"].keys() == written["jobs"].keys()
    for name, step in written["jobs"].items():
        sent = job["jobs"][name]
        assert {key: it["value"] for key, it in sent["inputs"].items()} == step["inputs"], name
        assert {key: it["value"] for key, it in sent.get("outputs", {}).items()} == step.get("outputs", {}), name
        assert sent.get("environment_variables", {}) == step.get("environment_variables", {}), name


def test_each_step_runs_its_own_component_in_an_image_built_from_its_own_folder(
    submitted: tuple[Azure, SubmittedJob, str], written: dict[str, Any], pipeline: Path
) -> None:
    azure, _, _ = submitted
    (job,) = azure.jobs
    for name, step in written["jobs"].items():
        path = pipeline.parent / step["component"]
        file = yaml.safe_load(path.read_text())
        sent = resource(azure, job["jobs"][name]["componentId"])["componentSpec"]
        assert sent["command"].split() == file["command"].split()
        assert sent["is_deterministic"] == file["is_deterministic"]
        assert sent["inputs"].keys() == file["inputs"].keys()
        assert {key: it["type"] for key, it in sent["inputs"].items()} == {
            key: it["type"] for key, it in file["inputs"].items()
        }
        assert "code" not in sent, "the program is in the image"
        context = (path.parent / file["environment"].removeprefix("file:")).parent
        build = resource(azure, sent["environment"].removeprefix("azureml:"))["build"]
        assert build["dockerfilePath"] == "Dockerfile"
        assert uploaded(azure, build["contextUri"]) == {it.name: it.read_bytes() for it in context.iterdir()}
        assert {"requirements.txt", WHEEL} <= uploaded(azure, build["contextUri"]).keys()


def test_a_file_that_was_set_is_uploaded(submitted: tuple[Azure, SubmittedJob, str]) -> None:
    azure, _, _ = submitted
    gate = azure.jobs[0]["inputs"]["gate"]
    assert gate["jobInputType"] == "uri_file"
    place = gate["uri"].removeprefix(f"azureml://datastores/{DATASTORE}/paths/")
    assert azure.storage.blobs[OURS + place].content == RULES


def resource(azure: Azure, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = azure.workspace.resources[identity.removeprefix(f"{WORKSPACE_ID}/")]["properties"]
    return found


def uploaded(azure: Azure, uri: str) -> dict[str, bytes]:
    """File name -> content below an address in the workspace's storage."""
    root = OURS + uri.removeprefix(f"https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/")
    return {key.removeprefix(root): it.content for key, it in azure.storage.blobs.items() if key.startswith(root)}


# Settings


def test_another_compute_takes_the_place_of_the_files(azure: Azure, submit: Submit) -> None:
    azure.workspace.add_compute("cpu-cluster")
    code, _, said = submit("--compute", "cpu-cluster")
    assert code == 0, said
    assert azure.jobs[0]["settings"]["default_compute"] == f"{WORKSPACE_ID}/computes/cpu-cluster"


def test_an_input_that_is_taken_away_goes_with_its_bindings(pipeline: Path) -> None:
    content = read_content(pipeline, {"inputs.gate": "", "inputs.stride": "3"})
    assert "gate" not in content["inputs"]
    assert "gate" not in content["jobs"]["register"]["inputs"]
    assert content["inputs"]["stride"] == 3
    assert content["jobs"]["register"]["inputs"]["model_name"] == "${{parent.inputs.model_name}}"


def test_azures_own_data_may_be_an_input(pipeline: Path) -> None:
    uri = "azureml://datastores/workspaceblobstore/paths/rules.yaml"
    assert read_content(pipeline, {"inputs.gate": uri})["inputs"]["gate"] == {"type": "uri_file", "path": uri}


# What is refused before anything is sent


def test_a_file_that_fails_our_checks_is_refused_with_its_line(azure: Azure, submit: Submit, pipeline: Path) -> None:
    broken = pipeline.with_name("broken.yaml")
    broken.write_text(
        pipeline.read_text().replace("parent.jobs.download.outputs.policy", "parent.jobs.down.outputs.policy")
    )
    code, printed, said = submit(file=broken)
    broken.unlink()
    assert (code, printed) == (3, "")
    assert re.search(r"broken\.yaml:\d+: jobs\.evaluate\.inputs\.policy", said)
    assert not azure.cloud.called("PUT", ".*")


def test_a_build_context_whose_wheel_was_not_made_is_refused(pipeline: Path) -> None:
    context = pipeline.parents[1] / "environments" / "plot"
    wheel = (context / WHEEL).rename(context / "away")
    try:
        with pytest.raises(ConfigError, match="environments/plot: the wheel or requirements") as raised:
            read_content(pipeline, {})
    finally:
        wheel.rename(context / WHEEL)
    assert raised.value.hint == "`make image-contexts` writes them"


def test_outputs_that_the_pipeline_does_not_have_are_no_download(azure: Azure, submit: Submit, pipeline: Path) -> None:
    file = pipeline.with_name("bundle-only.yaml")
    content = yaml.safe_load(pipeline.read_text())
    content["outputs"] = {"bundle": content["outputs"]["bundle"]}
    for step in content["jobs"].values():
        step["outputs"] = {key: it for key, it in step.get("outputs", {}).items() if it.endswith("bundle}}")}
    file.write_text(yaml.safe_dump(content))
    code, _, said = submit("--download", "here", file=file)
    file.unlink()
    assert code == 2
    assert "nothing to download" in said
    assert azure.cloud.requests == []


@pytest.mark.usefixtures("azure")
def test_a_part_of_the_workspace_that_nobody_names_is_asked_for(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_RESOURCE_GROUP")
    code, _, said = submit()
    assert code == 2
    assert "--resource-group is missing" in said
    assert "AZURE_RESOURCE_GROUP" in said


def test_options_come_before_the_environment_and_that_before_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".azureml").mkdir()
    config = {"subscription_id": "file", "resource_group": "file", "workspace_name": "file"}
    (tmp_path / ".azureml" / "config.json").write_text(json.dumps(config))
    for name in ("AZURE_SUBSCRIPTION_ID", "AZUREML_ARM_SUBSCRIPTION", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZUREML_ARM_RESOURCEGROUP", "job")
    monkeypatch.setenv("AZUREML_ARM_WORKSPACE_NAME", "job")
    assert Workspace.find() == Workspace("file", "job", "job")
    monkeypatch.setenv("AZUREML_WORKSPACE_NAME", "person")
    assert Workspace.find(group="option") == Workspace("file", "option", "person")


# What Azure refuses


def refused(code: str, status: int, text: str) -> Response:
    return Response.error(status, code, text)


REFUSALS = {
    "the job": ("PUT", JOB, refused("AuthorizationFailed", 403, "does not have authorization"), "Azure refuses"),
    "the upload": ("PUT", UPLOAD, Response(403), "Azure refuses"),
    "the quota": ("PUT", JOB, refused("QuotaExceeded", 400, "Not enough quota for NC4as"), "the quota is used up"),
    "the body": ("PUT", JOB, refused("UserError", 400, "Invalid input"), "Azure answers 400"),
    "the login": ("GET", WORKSPACE, refused("ExpiredAuthenticationToken", 401, "expired"), "Expired"),
    "the network": ("GET", WORKSPACE, Response(RESET), "Azure can't be reached"),
    "the service": ("PUT", JOB, Response(503, headers=AT_ONCE), "Azure answers 503"),
}


@pytest.mark.parametrize(("method", "place", "answer", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_one_line_and_a_hint_and_no_job_is_claimed(
    azure: Azure, submit: Submit, method: str, place: str, answer: Response, message: str
) -> None:
    azure.cloud.fail(method, place, answer, times=99)
    code, printed, said = submit()
    assert (code, printed) == (6, "")
    announced, line, hint = said.splitlines()
    assert announced.startswith("submitting ")
    assert line.startswith("error: ")
    assert message in line
    assert hint.startswith("       ")
    assert azure.jobs == []


def test_nobody_logged_in_is_told_how_to(azure: Azure, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZ_LOGGED_OUT", "1")
    code, _, said = submit()
    assert code == 6
    assert said.splitlines()[1:] == [
        f"error: workspace {NAME} in resource group robots: there is no login to Azure",
        "       run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    ]
    assert azure.cloud.requests == []


@pytest.mark.usefixtures("azure")
def test_a_workspace_that_is_not_there_is_named(submit: Submit) -> None:
    code, _, said = submit("--workspace", "elsewhere")
    assert code == 2
    assert "there is no workspace elsewhere in resource group robots" in said
    assert "az ml workspace list" in said


def test_a_compute_that_is_not_there_is_refused_with_those_that_are(azure: Azure, submit: Submit) -> None:
    code, _, said = submit("--compute", "gpu-typo")
    assert code == 2
    assert f"there is no compute gpu-typo in workspace {NAME}" in said
    assert "there is: cpu-cluster" in said
    assert not azure.cloud.called("PUT", ".*")


def test_what_goes_wrong_for_a_moment_is_tried_again(azure: Azure, submit: Submit) -> None:
    environments = WORKSPACE + r"/environments/.+"
    for method, place, status in (
        ("GET", WORKSPACE + r"/computes/.+", 429),
        ("PUT", UPLOAD, RESET),
        ("PUT", environments, 429),
        ("PUT", environments, RESET),
        ("PUT", JOB, 500),
        ("PUT", JOB, RESET),
    ):
        azure.cloud.fail(method, place, Response(status, headers=AT_ONCE))
    code, _, said = submit()
    assert code == 0, said
    assert len(azure.jobs) == 1
    assert len({request.path for request in azure.cloud.called("PUT", JOB)}) == 1, "the same job each time"
    assert not any(fault.times for fault in azure.cloud.faults)


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C, and again where nothing happens: Python drops one that comes while an object is being finalised."""
    while True:
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            continue


def test_an_interrupted_submission_claims_nothing(small: Path, tmp_path: Path) -> None:
    place = WORKSPACE + r"/components/.+"
    with serve_azure() as azure:
        azure.cloud.fail("PUT", place, Response(503, headers={"Retry-After": "30"}), times=999)
        process = start(azure, small, "--json", folder=tmp_path)
        while not azure.cloud.called("PUT", place):
            assert process.poll() is None
            time.sleep(0.05)
        printed, said = interrupt(process)
    assert process.returncode == 130, said
    assert printed == ""
    assert "submitted" not in said
    assert azure.jobs == []


# Waiting and downloading


def test_wait_tells_every_change_of_state_of_the_job_and_its_steps(azure: Azure, small: Path) -> None:
    azure.pass_through(
        {"job": "Preparing"},
        {"job": "Running", "download": "Queued"},
        {"job": "Running", "download": "Queued"},
        {"download": "Completed", "evaluate": "Running"},
        {"evaluate": "Completed"},
        {"job": "Completed"},
    )
    submitter = Submitter.connect(Workspace.find())
    job = submitter.submit(small, {})
    seen: list[SubmittedJob] = []
    ended = submitter.wait(job, seen.append, every_s=0)
    assert [(now.state, now.steps) for now in seen] == [
        ("Preparing", {}),
        ("Running", {"download": "Queued"}),
        ("Running", {"download": "Completed", "evaluate": "Running"}),
        ("Running", {"download": "Completed", "evaluate": "Completed"}),
        ("Completed", {"download": "Completed", "evaluate": "Completed"}),
    ]
    assert ended == seen[-1]


def test_a_wait_outlives_a_service_that_is_away_for_a_while(azure: Azure, small: Path) -> None:
    azure.pass_through({"job": "Running"}, {"job": "Completed"})
    submitter = Submitter.connect(Workspace.find())
    job = submitter.submit(small, {})
    azure.cloud.fail("GET", JOB, Response(503, headers=AT_ONCE), times=15)
    assert submitter.wait(job, lambda _: None, every_s=0).state == "Completed"
    assert not azure.cloud.faults[0].times


@pytest.mark.parametrize(("state", "code"), [("Completed", 0), ("Failed", 4), ("Canceled", 130), ("NotResponding", 4)])
def test_the_exit_code_tells_how_the_job_ended(azure: Azure, submit: Submit, state: str, code: int) -> None:
    azure.pass_through({"job": state, "download": "Completed", "evaluate": state})
    found, printed, said = submit("--wait")
    assert found == code
    assert said.splitlines()[-3:] == ["download: Completed", f"evaluate: {state}", f"job: {state}"]
    assert re.match(rf"small-\S+ {state}: https://ml\.azure\.com/runs/", printed)


def test_download_waits_and_fetches_the_report_the_results_and_the_verdict(
    azure: Azure, submit: Submit, tmp_path: Path
) -> None:
    azure.pass_through({"job": "Completed"})
    code, printed, said = submit("--download", "fetched", "--json")
    assert code == 0, said
    job = SubmittedJob.model_validate_json(printed)
    assert job.downloaded == {name: f"fetched/{name}" for name in OUTPUTS}
    found = tmp_path / "fetched"
    files = {path.relative_to(found).as_posix(): path.read_bytes() for path in found.rglob("*") if path.is_file()}
    assert files == {f"{name}/{file}": content for name, it in OUTPUTS.items() for file, content in it.items()}


def test_a_download_never_replaces_what_is_there(azure: Azure, submit: Submit, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    code, _, said = submit("--download", ".")
    assert code == 2
    assert "results is already there" in said
    assert azure.cloud.requests == []


def test_a_job_is_named_as_azure_takes_it_whatever_the_files_name(azure: Azure, submit: Submit, small: Path) -> None:
    file = small.with_name("größe v1.2.yaml")
    file.write_bytes(small.read_bytes())
    assert submit(file=file)[0] == 0
    (name,) = azure.workspace.properties("jobs")
    assert re.fullmatch(r"jobs/[A-Za-z0-9][\w-]{0,254}", name, re.ASCII)


def test_a_job_that_failed_is_not_downloaded(azure: Azure, submit: Submit, tmp_path: Path) -> None:
    azure.pass_through({"job": "Failed"})
    code, printed, _ = submit("--download", "fetched", "--json")
    assert code == 4
    assert json.loads(printed)["downloaded"] == {}
    assert not (tmp_path / "fetched").exists()


def test_an_output_that_is_not_there_is_an_error_and_leaves_no_folder(
    azure: Azure, submit: Submit, tmp_path: Path
) -> None:
    azure.pass_through({"job": "Completed"})
    for key in [key for key in azure.storage.blobs if "/report/" in key]:
        del azure.storage.blobs[key]
    code, printed, said = submit("--download", "fetched", "--json")
    assert (code, printed) == (6, "")
    assert "output report of job small-" in said
    assert not (tmp_path / "fetched" / "report").exists()


def test_a_download_that_is_refused_is_one_line(azure: Azure, small: Path, tmp_path: Path) -> None:
    submitter = Submitter.connect(Workspace.find())
    job = submitter.submit(small, {})
    azure.pass_through({"job": "Completed"})
    azure.cloud.fail("GET", UPLOAD, Response(403), times=99)
    with pytest.raises(ServiceError, match="output report of job .*: Azure refuses"):
        submitter.download(job, ("report",), tmp_path)


def test_a_pipeline_without_a_report_or_results_has_nothing_to_download(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("type: pipeline\n")
    with pytest.raises(UsageError, match="report, results, verdict"):
        fetchable(tmp_path / "p.yaml", tmp_path)
