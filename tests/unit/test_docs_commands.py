"""What the documentation tells a reader to type exists: commands, options, targets, files, topics, parameters."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from docs_kit import PAGES, ROOT, Command, commands, fenced, spans

from lerobot_inference.cli import app
from lerobot_inference.cli.offline import offline
from lerobot_inference.cli.osmo_inference import submit_inference
from lerobot_inference.ros2.parameters import Parameters

COMMANDS = [command for page in PAGES for command in commands(page)]
ELSEWHERE = {
    *(
        "apt-get",
        "az",
        "cd",
        "chmod",
        "cosign",
        "cp",
        "curl",
        "docker",
        "export",
        "git",
        "hf",
        "ls",
        "mkdir",
        "openssl",
    ),
    *("osmo", "pip", "scp", "ssh", "sudo", "systemctl", "tar", "uv"),
}
"""Programs that are not ours, of which only the files that are given to them are looked at."""
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
INTERFACE = (ROOT / "docs" / "reference" / "ros2.md").read_text(encoding="utf-8")


def program(function: Any) -> Any:
    """A script's own command."""
    single = typer.Typer(add_completion=False)
    single.command()(function)
    return typer.main.get_command(single)


CLI = typer.main.get_command(app)
SCRIPTS = {
    "scripts/test-lerobot-inference.py": program(offline),
    "scripts/submit-osmo-lerobot-inference.sh": program(submit_inference),
}


def test_the_documentation_shows_commands() -> None:
    assert len(COMMANDS) > 60
    assert {"lerobot-inference", "make", "ros2", "scripts/submit-osmo-lerobot-inference.sh"} <= {
        command.words[0] for command in COMMANDS
    }


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_the_documentation_is_understood(command: Command) -> None:
    first, *words = command.words
    name = Path(first).name
    if name == "lerobot-inference":
        parse(CLI, words)
    elif first in SCRIPTS:
        parse(SCRIPTS[first], words[: words.index("--")] if "--" in words else words)  # the rest is for osmo
    elif name in ("python", "python3"):
        check_python(words)
    elif name == "make":
        check_target(words)
    elif name == "ros2":
        check_ros2(words)
    else:
        assert name in ELSEWHERE or (ROOT / ".venv" / "bin" / name).exists(), (
            f"{first} is no known program: add it to ELSEWHERE"
        )
        check_files(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_in_a_sentence_is_understood(page: Path) -> None:
    for span in spans(page):
        words = span.split()
        if words[0] == "make" and len(words) > 1:
            check_target(words[1:])
        elif Path(words[0]).name == "lerobot-inference":
            command, rest = walk(CLI, words[1:])
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            assert {word for word in rest if word.startswith("--")} <= known, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    folders = r"benchmarks|components|docs|edge|environments|examples|pipelines|scripts|src|tests"
    named = {span for span in spans(page) if re.fullmatch(rf"(?:{folders})/[\w./-]+", span)}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def walk(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words lead to, and the words after them."""
    while getattr(command, "commands", None) and words:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def parse(command: Any, words: list[str]) -> None:
    """Raises for an unknown command or option, a value that doesn't fit, or one that is missing."""
    command, rest = walk(command, words)
    command.make_context(command.name, list(rest))


def check_python(words: list[str]) -> None:
    """A script with its own options, an example with its arguments, the node, or anything that is there."""
    script, *rest = words
    if script in SCRIPTS:
        parse(SCRIPTS[script], rest)
    elif script == "-m":
        assert (ROOT / "src" / Path(*rest[0].split("."))).with_suffix(".py").exists(), rest[0]
        check_ros_arguments(rest[1:])
    else:
        source = (ROOT / script).read_text(encoding="utf-8")
        usage = re.search(rf"python {re.escape(script)}(.*)", source)
        if usage:
            assert len(rest) == len(usage[1].split()), usage[0]


def check_target(words: list[str]) -> None:
    """A target of the Makefile, with variables that it reads."""
    target, *settings = words
    targets = MAKEFILE.replace("$(ROS2_READY)", ".venv-ros2/.ready").replace("$(READY)", ".venv/.ready")
    assert re.search(rf"^{re.escape(target)}:", targets, re.MULTILINE), f"no target {target}"
    for setting in settings:
        assert f"$({setting.partition('=')[0]}" in MAKEFILE, f"the Makefile has no variable {setting}"


def check_ros2(words: list[str]) -> None:
    """Our node, launch file, topics and services, as docs/reference/ros2.md has them."""
    match words:
        case ["run", "lerobot_inference", node, *rest]:
            assert (ROOT / "src" / "lerobot_inference" / "ros2" / f"{node}.py").exists()
            check_ros_arguments(rest)
        case ["launch", "lerobot_inference", file, *settings]:
            source = (ROOT / "edge" / "launch" / file).read_text(encoding="utf-8")
            assert [name for name in settings if f'"{name.partition(":=")[0]}"' not in source] == []
        case ["service", "call", service, kind, *_]:
            name = service.removeprefix("/act_inference_node/")
            shown = f"~/{name}" if name != service else service
            assert f"`{shown}` | `{kind.replace('/srv/', '/')}`" in INTERFACE
        case ["topic", "echo" | "hz", *rest]:
            assert any(f"`{word}`" in INTERFACE for word in rest)
        case ["param" | "bag" | "node", *_]:
            pass
        case _:
            pytest.fail(f"ros2 {' '.join(words)}: look at it, and add it here")


def check_ros_arguments(words: list[str]) -> None:
    """`-p name:=value` of the node's parameters, `-r from:=to` of its topics."""
    for flag, value in pairwise(words):
        name, _, given = value.partition(":=")
        if flag == "-p":
            default = Parameters.__dataclass_fields__[name].default
            assert given, value
            assert not isinstance(default, bool) or given in ("true", "false"), value
        elif flag == "-r":
            assert f"`{name}`" in INTERFACE, value


def check_files(words: list[str]) -> None:
    """Files of this repository that another program is given."""
    for flag, value in pairwise(words):
        if flag in ("-f", "--file") and not value.startswith(("dist/", "my-")):
            assert (ROOT / value).exists(), value


def test_a_fenced_block_without_a_language_is_no_command() -> None:
    for page in PAGES:
        opened = re.findall(r"^```(\S*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[::2]
        assert set(opened) <= {"bash", "yaml", "python", "json"}, page
        assert opened.count("bash") == len(fenced(page)), page


def test_a_workflow_that_was_rendered_is_submitted_by_osmos_own_program() -> None:
    """`lerobot-inference osmo submit` takes the pipeline that it is rendered from."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    rendered = [(name, text) for text in texts for name in re.findall(r"osmo render [^`]*?--output (\S+)", text)]
    assert len(rendered) >= 2
    for name, text in rendered:
        assert f"lerobot-inference osmo submit {name}" not in text
        assert f"\nosmo workflow submit {name}" in text
