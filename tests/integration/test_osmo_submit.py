"""Submitting to OSMO: what its program is given, and what is said when it fails. Only `osmo` itself is a stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from osmo_stand_in import Program, fill_in

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "submit-osmo-lerobot-inference.sh"
POLICY, DATASET = "alizaidi/hve-robo-act-train", "alizaidi/hve-robo-cell"
VARIABLES = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME", "LEROBOT_INFERENCE_IMAGE")

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def osmo(tmp_path: Path) -> Program:
    return Program.install(tmp_path / "bin")


@pytest.fixture
def call(tmp_path: Path, osmo: Program) -> Run:
    """Run a program in an empty folder with the stand-in first on the PATH, and no variable of ours."""

    def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: text for name, text in os.environ.items() if name not in VARIABLES}
        path = {"PATH": f"{osmo.folder}:{os.environ['PATH']}", "COLUMNS": "200", "NO_COLOR": "1"}
        (tmp_path / "empty").mkdir(exist_ok=True)
        return subprocess.run(
            list(map(str, command)),
            cwd=tmp_path / "empty",
            env=inherited | path | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def script(call: Run) -> Run:
    return lambda *arguments, **variables: call(SCRIPT, *arguments, **variables)


def submitted(osmo: Program) -> dict[str, Any]:
    """The workflow of the one submission."""
    (seen,) = osmo.calls
    return fill_in(seen["file"])


def names(workflow: dict[str, Any]) -> list[str]:
    return [task["name"] for task in workflow["tasks"]]


def option(task: dict[str, Any], flag: str) -> str:
    command: list[str] = task["command"]
    return command[command.index(flag) + 1]


def test_the_documents_own_example_is_submitted_and_logs(script: Run, osmo: Program) -> None:
    arguments = ["--policy-repo-id", POLICY, "--dataset-repo-id", DATASET, "--eval-episodes", "10"]
    result = script(*arguments, "--mlflow-enable", "--experiment-name", "lerobot-act-eval")
    assert result.returncode == 0, result.stderr
    assert "Workflow submit successful." in result.stdout
    workflow = submitted(osmo)
    assert names(workflow) == ["download", "evaluate", "plot", "track"]
    download, evaluate, _, track = workflow["tasks"]
    assert (option(download, "--policy"), option(download, "--dataset")) == (POLICY, DATASET)
    assert option(evaluate, "--episodes") == "10"
    assert option(track, "--experiment-name") == "lerobot-act-eval"
    assert track["credentials"]["azureml"]["MLFLOW_TRACKING_URI"] == "tracking_uri"


def test_without_mlflow_it_evaluates_and_plots_and_logs_nothing(script: Run, osmo: Program) -> None:
    result = script("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET)
    assert result.returncode == 0, result.stderr
    workflow = submitted(osmo)
    assert names(workflow) == ["download", "evaluate", "plot"]
    assert option(workflow["tasks"][1], "--episodes") == "10"
    assert "credentials" not in str(workflow)
    assert "mlflow:     off" in result.stderr


def test_a_model_is_registered_by_the_task_that_judges_it(script: Run, osmo: Program) -> None:
    result = script("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET, "--register-model", "hve-robo-act")
    assert result.returncode == 0, result.stderr
    workflow = submitted(osmo)
    assert names(workflow) == ["download", "evaluate", "gate", "plot", "register", "export"]
    register = workflow["tasks"][4]
    assert option(register, "--model-name") == "hve-robo-act"
    assert option(register, "--experiment-name") == "lerobot-act-inference"
    assert "register:   hve-robo-act" in result.stderr


def test_without_a_dataset_the_policy_is_fetched_and_nothing_is_called_an_evaluation(
    script: Run, osmo: Program
) -> None:
    result = script("--policy-repo-id", POLICY)
    assert result.returncode == 0, result.stderr
    (download,) = submitted(osmo)["tasks"]
    assert "--dataset" not in download["command"]
    assert "none without --dataset-repo-id" in result.stderr


def test_every_option_reaches_what_it_is_for(script: Run, osmo: Program) -> None:
    Program.install(osmo.folder, "osmo-dev")
    result = script(
        *("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET, "--eval-episodes", "3"),
        *("-p", "act", "-j", "nightly-eval", "-o", "azure://account/eval", "-i", "registry.io/{environment}:2"),
        *("-i", "evaluate=registry.io/gpu@sha256:" + "0" * 64, "--register-model", "arm", "--experiment-name", "x y"),
        *("--mlflow-enable", "--azure-subscription-id", "s-1", "--azure-resource-group", "g-1"),
        *("--azure-workspace-name", "w-1", "--hub-credential", "hub", "--azure-credential", "principal"),
        *("--pool", "gpu-pool", "--use-local-osmo", "--", "--priority", "HIGH", "--set-string", "device=cuda"),
    )
    assert result.returncode == 0, result.stderr
    (seen,) = osmo.calls
    assert seen["argv"][:2] == ["workflow", "submit"]
    assert seen["argv"][2].endswith("/nightly-eval.yaml")
    assert seen["argv"][3:] == ["--pool", "gpu-pool", "--priority", "HIGH", "--set-string", "device=cuda"]
    workflow = fill_in(seen["file"], device="cuda")
    tasks = {task["name"]: task for task in workflow["tasks"]}
    assert workflow["name"] == "nightly-eval"
    assert int(workflow["resources"]["evaluate"]["gpu"]) == 1
    assert tasks["plot"]["image"] == "registry.io/plot:2"
    assert tasks["evaluate"]["image"] == "registry.io/gpu@sha256:" + "0" * 64
    assert tasks["plot"]["outputs"] == [{"url": "azure://account/eval/{{workflow_id}}/plot"}]
    assert tasks["download"]["credentials"] == {"hub": {"HF_TOKEN": "token"}}
    register = tasks["register"]
    assert register["environment"]["MLFLOW_TRACKING_URI"] == (
        "azureml://subscriptions/s-1/resourceGroups/g-1/workspaces/w-1"
    )
    assert set(register["credentials"]["principal"]) == {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}
    assert option(register, "--experiment-name") == "x y"


def test_long_names_and_variables_do_as_well(script: Run, osmo: Program) -> None:
    azure = {"AZURE_SUBSCRIPTION_ID": "s", "AZURE_RESOURCE_GROUP": "g", "AZUREML_WORKSPACE_NAME": "w"}
    result = script(
        *("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET, "--mlflow-enable", "--policy-type", "act"),
        *("--job-name", "a", "--output-dir", "s3://b/c", "--azure-credential", ""),
        LEROBOT_INFERENCE_IMAGE="registry.io/all:1 plot=registry.io/plot:2",
        **azure,
    )
    assert result.returncode == 0, result.stderr
    track = submitted(osmo)["tasks"][3]
    assert track["environment"]["MLFLOW_TRACKING_URI"] == "azureml://subscriptions/s/resourceGroups/g/workspaces/w"
    assert "credentials" not in track
    assert [task["image"] for task in submitted(osmo)["tasks"]][1:3] == ["registry.io/all:1", "registry.io/plot:2"]


def test_a_preview_is_the_workflow_and_the_call_and_submits_nothing(script: Run, osmo: Program) -> None:
    arguments = ["--policy-repo-id", POLICY, "--dataset-repo-id", DATASET, "--mlflow-enable"]
    result = script(*arguments, "--config-preview", "--", "--pool", "my pool")
    assert result.returncode == 0, result.stderr
    assert osmo.calls == []
    assert result.stdout.startswith("# osmo workflow submit lerobot-eval.yaml --pool 'my pool'\n")
    assert "# mlflow:     experiment lerobot-act-inference\n" in result.stdout
    assert yaml.safe_load(result.stdout)["default-values"]["policy"] == POLICY
    script(*arguments)
    assert result.stdout.partition("\n")[2] == osmo.calls[0]["file"]


def test_a_preview_needs_no_osmo(script: Run) -> None:
    result = script("--policy-repo-id", POLICY, "--config-preview", PATH="/usr/bin:/bin")
    assert result.returncode == 0, result.stderr


def test_a_folder_here_of_the_same_name_does_not_hide_the_repository(script: Run, tmp_path: Path) -> None:
    (tmp_path / "empty" / POLICY).mkdir(parents=True)
    assert script("--policy-repo-id", POLICY, "--config-preview").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--policy-repo-id"),
        (("--policy-repo-id", POLICY, "--record-video"), "--record-video"),
        (("--policy-repo-id", POLICY, "--mlflow-enable", "false"), "false"),
        (("--policy-repo-id", POLICY, "-p", "diffusion"), "diffusion"),
        (("--policy-repo-id", POLICY, "--eval-episodes", "0"), "--eval-episodes"),
        (("--policy-repo-id", "."), "--policy-repo-id . is not a repository on the Hugging Face Hub"),
        (("--policy-repo-id", POLICY, "--dataset-repo-id", "azureml:cell:1"), "azureml:cell:1 is not a repository on"),
        (("--policy-repo-id", "no-owner"), "no-owner"),
        (("--policy-repo-id", POLICY, "--mlflow-enable"), "there is nothing to replay"),
        (("--policy-repo-id", POLICY, "--register-model", "arm"), "there is nothing to replay"),
        (("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET, "--register-model", "an arm"), "not a model name"),
        (("--policy-repo-id", POLICY, "-j", "my job"), "'my job' is not a name for a workflow"),
        (("--policy-repo-id", POLICY, "-o", "/workspace/outputs/eval"), "not a URL"),
        (("--policy-repo-id", POLICY, "-i", "a b"), "'a b' is not an image"),
        (("--policy-repo-id", POLICY, "--azure-workspace-name", "w"), "which Azure ML workspace?"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_submits_nothing(
    osmo: Program,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    from lerobot_inference.cli.osmo_inference import main

    monkeypatch.setenv("PATH", str(osmo.folder))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["--pipelines", str(ROOT / "pipelines"), *arguments])
    assert ended.value.code == 2
    assert said in " ".join(capfd.readouterr().err.split())
    assert osmo.calls == []


def test_help_lists_every_option_of_the_document(script: Run) -> None:
    result = script("--help")
    assert result.returncode == 0
    assert script("-h").stdout == result.stdout
    assert "Usage: submit-osmo-lerobot-inference.sh" in result.stdout
    documented = (
        "--policy-repo-id --dataset-repo-id --eval-episodes --mlflow-enable --experiment-name --register-model "
        "--policy-type --job-name --output-dir --image --azure-subscription-id --azure-resource-group "
        "--azure-workspace-name --use-local-osmo --config-preview"
    )
    assert [flag for flag in documented.split() if flag not in result.stdout] == []


def test_osmos_failure_is_exit_code_6_beside_what_it_said(script: Run, osmo: Program) -> None:
    osmo.fail(3)
    result = script("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET)
    assert result.returncode == 6
    assert "there is no such pool" in result.stderr
    assert "error: osmo workflow submit ended with exit code 3" in result.stderr
    assert "successful" not in result.stdout


def test_without_osmo_it_is_said_how_to_get_it(script: Run) -> None:
    result = script("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET, PATH="/usr/bin:/bin")
    assert result.returncode == 2
    assert "osmo is not installed" in result.stderr
    assert "install.sh" in result.stderr


def test_a_broken_program_is_a_message(script: Run, osmo: Program) -> None:
    (osmo.folder / "osmo").write_bytes(b"\x7fELF")
    result = script("--policy-repo-id", POLICY, "--dataset-repo-id", DATASET)
    assert result.returncode == 2
    assert "osmo can't be run" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_shim_is_clean() -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    assert subprocess.run([shellcheck, "--severity=style", SCRIPT], check=False).returncode == 0


def test_any_pipeline_file_can_be_submitted(call: Run, osmo: Program) -> None:
    command = [sys.executable, "-m", "lerobot_inference", "osmo", "submit"]
    file = ROOT / "pipelines" / "evaluate.yaml"
    result = call(*command, file, "--set", "inputs.episodes=all", "--pool", "robots", "--", "--label", "team=arms")
    assert result.returncode == 0, result.stderr
    assert osmo.calls[0]["argv"][3:] == ["--pool", "robots", "--label", "team=arms"]
    assert option(submitted(osmo)["tasks"][1], "--episodes") == "all"
