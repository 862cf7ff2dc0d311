"""Guards and engines that other installed distributions bring: in use, refused, and kept from doing harm."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from control_kit import Bench, ScriptedPredictor, guard_settings, steady
from plugin_kit import install

from lerobot_inference import plugins
from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.cli import main
from lerobot_inference.control.decision import State
from lerobot_inference.control.guards import Guards
from lerobot_inference.engine import BACKENDS, EngineChoice
from lerobot_inference.errors import ConfigError, UsageError

GUARD = """
import numpy as np
from lerobot_inference.control.guards import ACCEPT, Settings, Severity, Verdict

class Guard(Settings):
    after: int = 0
    def check(self, {arguments}):
        {body}
"""
ENGINE = """
from lerobot_inference.engine import EngineChoice
from lerobot_inference.types import Precision
PRECISIONS = {"abacus": (Precision.F32,)}
def available_devices():
    return list(PRECISIONS)
def build(policy, device, precision, threads):
    engine = EngineChoice("onnxruntime", "cpu", precision, threads).load(policy)
    engine.name, engine.device = "beads", device
    return engine
"""
LIMITS, WATCHES = "lerobot_inference.guards.limits", "lerobot_inference.guards.watches"
ENGINES = "lerobot_inference.engines"

type Install = Callable[..., None]
type Doctor = Callable[[], dict[str, dict[str, object]]]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Call it as plugin_kit.install, without the folder; this process then finds it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)

    def add(name: str, entries: dict[str, dict[str, str]], **modules: str) -> None:
        install(site, name, entries, modules)
        plugins.installed.cache_clear()

    yield add
    plugins.installed.cache_clear()
    for name in set(sys.modules) - before:
        if (site / f"{name}.py").exists():
            del sys.modules[name]


def limit(body: str) -> str:
    return GUARD.format(arguments="target, situation", body=body)


def bench(guard: str = "mine") -> Bench:
    """A running arm whose guards are the UR10e's and that one."""
    made = Bench.make(ScriptedPredictor(steady([0.001] * 6)), guards=guard_settings(**{guard: {}}))
    assert made.arm_now() == ""
    return made


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Call it for what `doctor` says of each thing."""

    def ask() -> dict[str, dict[str, object]]:
        with pytest.raises(SystemExit):
            main(["doctor", "--json"])
        return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}

    return ask


def test_a_guard_from_outside_speaks_where_a_guards_file_names_it_and_is_not_even_imported_elsewhere(
    installed: Install,
) -> None:
    installed(
        "my-cell",
        {WATCHES: {"mine": "my_guard:Guard"}},
        my_guard=GUARD.format(arguments="situation", body="return Verdict(Severity.LATCH, 'the door is open')"),
    )
    Guards.make(guard_settings())
    assert "my_guard" not in sys.modules
    made = Bench.make(ScriptedPredictor(steady([0.001] * 6)), guards=guard_settings(mine={"after": 3}))
    assert made.arm_now() == "mine: the door is open"
    with pytest.raises(ConfigError, match=r"guards: mine: after: "):
        Guards.make({"mine": {"after": "soon"}})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('elbow')", "mine: failed: KeyError: 'elbow'"),
        ("return None", "mine: answered None, which is no Verdict"),
        ("return Verdict('latch')", "which is no Verdict"),
        ("return Verdict(Severity.SCALE, 'slower')", "mine: asked for the target None"),
        ("return Verdict(Severity.SCALE, 'slower', target * np.nan)", "mine: asked for the target [nan"),
        ("return Verdict(Severity.WARN, 'look', target[:5])", "mine: asked for the target ["),
    ],
)
def test_a_guard_that_does_not_answer_with_a_verdict_that_can_be_used_latches(
    installed: Install, body: str, said: str
) -> None:
    installed("my-cell", {LIMITS: {"mine": "my_guard:Guard"}}, my_guard=limit(body))
    made = bench()
    decision = made.tick(90)
    assert decision.state is State.LATCHED
    assert said in decision.reason
    assert np.isfinite(made.commands).all()
    assert np.ptp(made.commands, axis=0).max() == 0


def test_a_target_that_a_guard_from_outside_asks_for_is_held_against_every_limit_of_our_own(installed: Install) -> None:
    installed(
        "my-cell",
        {LIMITS: {"mine": "my_guard:Guard"}},
        my_guard=limit("return Verdict(Severity.SCALE, 'there', target + np.float32(1))"),
    )
    made = bench()
    decision = made.tick(90)
    assert decision.state is not State.RUNNING
    assert "joint_velocity" in {event.guard for each in made.log for event in each.events}
    assert np.ptp(made.commands, axis=0).max() < 0.01


def test_a_target_of_a_guard_from_outside_may_be_any_sequence_of_numbers(installed: Install) -> None:
    installed(
        "my-cell",
        {LIMITS: {"mine": "my_guard:Guard"}},
        my_guard=limit(
            "return Verdict(Severity.SCALE, 'there', (situation.command + 0.5 * np.ones(6) / 1000).tolist())"
        ),
    )
    made = Bench.make(ScriptedPredictor(steady([0.001] * 6)), guards={"mine": {}})
    assert made.arm_now() == ""
    made.tick(20)
    assert made.commands.dtype == np.float32
    assert np.diff(made.commands, axis=0) == pytest.approx(0.0005, abs=1e-6)
    assert made.controller.stop() is not None


def test_a_guard_from_outside_never_takes_the_name_of_one_of_ours(installed: Install, doctor: Doctor) -> None:
    installed("my-cell", {WATCHES: {"joint_position": "my_guard:Guard"}}, my_guard=limit("return ACCEPT"))
    with pytest.raises(
        UsageError, match=r"my-cell 1.0: joint_position = my_guard:Guard in .*watches has the name of"
    ) as caught:
        Guards.make(guard_settings())
    assert "pip uninstall my-cell" in str(caught.value.hint)
    assert caught.value.exit_code == 2
    found = doctor()["plugins"]
    assert not found["ok"]
    assert "my-cell 1.0" in str(found["found"])


def test_two_distributions_that_bring_one_name_are_both_named(installed: Install) -> None:
    installed("my-cell", {LIMITS: {"mine": "my_guard:Guard"}}, my_guard=limit("return ACCEPT"))
    installed("your-cell", {WATCHES: {"mine": "my_guard:Guard"}})
    with pytest.raises(UsageError, match="your-cell 1.0: .* has a name that my-cell 1.0 brings too"):
        Guards.make({})


def test_a_group_that_does_not_exist_is_said_with_those_that_do(installed: Install) -> None:
    installed("my-cell", {"lerobot_inference.guards.limit": {"mine": "my_guard:Guard"}})
    with pytest.raises(UsageError, match=r"my-cell 1.0: .* is in no group of this version; .*guards.limits"):
        Guards.make({})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_library", "can't be imported: ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise SystemError('no driver')", "can't be imported: SystemError: no driver"),
        ("Other = 1", "can't be imported: AttributeError: module 'my_guard' has no attribute 'Guard'"),
        ("class Guard: pass", "is no subclass of lerobot_inference.control.guards.Settings"),
        (
            GUARD.format(arguments="situation", body="return ACCEPT"),
            r"has check\(self, situation\), expected check\(self, target",
        ),
    ],
)
def test_a_guard_that_can_not_be_used_is_an_error_that_names_the_distribution(
    installed: Install, doctor: Doctor, source: str, said: str
) -> None:
    installed("my-cell", {LIMITS: {"mine": "my_guard:Guard"}}, my_guard=source)
    with pytest.raises(UsageError, match=f"my-cell 1.0: mine = my_guard:Guard in {LIMITS} {said}"):
        Guards.make({"mine": {}})
    found = doctor()["guard mine"]
    assert not found["ok"]
    assert "my-cell 1.0" in str(found["found"])


def test_an_engine_from_outside_has_devices_of_its_own_and_auto_never_takes_it(
    installed: Install, doctor: Doctor, checkpoint: Path
) -> None:
    installed("my-engine", {ENGINES: {"beads": "my_engine"}}, my_engine=ENGINE)
    policy = Checkpoint.open(checkpoint)
    engine = EngineChoice("beads", "abacus").load(policy)
    assert (engine.name, engine.device) == ("beads", "abacus")
    assert EngineChoice().load(policy).name in BACKENDS
    with pytest.raises(UsageError, match="device 'cpu' was asked for") as caught:
        EngineChoice("beads", "cpu").load(policy)
    assert "available: abacus" in str(caught.value.hint)
    with pytest.raises(UsageError, match="engine 'pearls' is unknown") as caught:
        EngineChoice("pearls").load(policy)
    assert "lerobot, beads" in str(caught.value.hint)
    assert doctor()["engine beads"] == {
        "name": "engine beads",
        "ok": True,
        "found": "my-engine 1.0",
        "advice": "",
    }


def test_an_engine_without_a_part_is_an_error_that_names_the_distribution(installed: Install, checkpoint: Path) -> None:
    installed("my-engine", {ENGINES: {"beads": "my_engine"}}, my_engine=ENGINE.replace("def build", "def make"))
    with pytest.raises(UsageError, match="my-engine 1.0: beads = my_engine in lerobot_inference.engines has no build"):
        EngineChoice("beads", "abacus").load(Checkpoint.open(checkpoint))


def test_an_engine_from_outside_never_takes_the_name_of_one_of_ours(installed: Install, checkpoint: Path) -> None:
    installed("my-engine", {ENGINES: {"openvino": "my_engine"}}, my_engine=ENGINE)
    assert type(EngineChoice("openvino").load(Checkpoint.open(checkpoint))).__module__.startswith("lerobot_inference.")
    with pytest.raises(UsageError, match="my-engine 1.0: openvino = my_engine .* has the name of a part of lerobot"):
        EngineChoice("beads").load(Checkpoint.open(checkpoint))
