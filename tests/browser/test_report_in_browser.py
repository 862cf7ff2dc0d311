"""report.html as a person meets it: opened from disk in Chromium, by mouse, by keyboard and by screen reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from lerobot_writer import write_dataset
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from results_factory import write_results

from lerobot_inference.dataset import Dataset
from lerobot_inference.evaluation.gate import VERDICT_FILE, judge
from lerobot_inference.evaluation.results_folder import save_results
from lerobot_inference.evaluation.rules import default_rules
from lerobot_inference.records import save_record
from lerobot_inference.report.page import write_report

pytestmark = pytest.mark.browser

HOSTILE = ["</script><script>document.title='owned'</script>", '"><img src=x onerror="document.title=\'owned\'">']
type Open = Callable[..., Opened]


@dataclass
class Opened:
    """A page, all that it asked for and all that it complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def moment(self) -> str:
        return self.page.locator("#moment").inner_text()

    @property
    def frame(self) -> str:
        return self.page.locator("#frame").get_attribute("src") or ""

    @property
    def values(self) -> list[str]:
        return self.page.locator("#values td").all_inner_texts()

    @property
    def state(self) -> tuple[str, str, list[str]]:
        return self.moment, self.frame, self.values


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three judged episodes of six joints and two cameras."""
    folder = tmp_path_factory.mktemp("report")
    cameras = {"observation.images.color": (64, 96), "observation.images.wrist": (48, 64)}
    dataset = write_dataset(folder / "cell", episodes=[41, 31, 21], cameras=cameras)
    results = write_results(folder / "results", lengths=(40, 30, 20), n_action_steps=10)
    provenance = results.provenance.model_copy(update={"dataset_files": Dataset.open(dataset).file_hashes()})
    save_results(results.model_copy(update={"provenance": provenance}), folder / "results")
    save_record(judge(results, default_rules()), folder / "verdict" / VERDICT_FILE)
    return write_report(folder / "results", folder / "out", dataset, folder / "verdict").page


@pytest.fixture(scope="module")
def bare_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One episode of 14 joints, two of them with names that would be script; not judged, no frames."""
    folder = tmp_path_factory.mktemp("bare")
    names = [*HOSTILE, *(f"left_arm/a_joint_with_a_long_name_{j}" for j in range(12))]
    write_results(folder / "results", joint_names=names, lengths=(40,), every_frame=False)
    return write_report(folder / "results", folder / "out").page


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    contexts = []

    def open_file(file: Path, **options: Any) -> Opened:
        context = browser.new_context(**options)
        contexts.append(context)
        opened = Opened(context.new_page())

        def note(message: ConsoleMessage) -> None:
            opened.complaints.append(message.text)

        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", note)
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.goto(file.as_uri())
        return opened

    yield open_file
    for context in contexts:
        context.close()


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def test_it_opens_from_disk_without_a_complaint_and_asks_for_nothing_else(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.page.locator("#play").click()
    opened.page.locator("#next").click()
    opened.page.locator("#time").press("End")
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [report.as_uri()]
    assert opened.page.evaluate("document.getElementById('frame').naturalWidth") > 0


def test_names_that_look_like_script_are_shown_and_do_not_run(bare_report: Path, open_page: Open) -> None:
    opened = open_page(bare_report)
    assert opened.page.title().startswith("Evaluation of")
    assert opened.complaints == []
    assert opened.page.locator("#curves figcaption").all_inner_texts()[:2] == HOSTILE
    assert opened.page.locator("#values th[scope=row]").all_inner_texts()[:2] == HOSTILE


def test_the_verdict_is_the_first_thing_in_the_report(report: Path, open_page: Open) -> None:
    first = open_page(report).page.locator("main > section").first
    expect(first.locator("h2")).to_have_text("Verdict")
    expect(first.locator(".word")).to_have_text("reject")  # three episodes are fewer than the rules ask for
    expect(first.locator(".word")).to_be_in_viewport()


def test_arrow_keys_move_the_cursor_the_frame_and_the_values(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    before = opened.state
    cursor = opened.page.locator("#curves .cursor").first
    place = cursor.get_attribute("x1")
    time = opened.page.locator("#time")
    time.focus()
    for _ in range(5):
        opened.page.keyboard.press("ArrowRight")
    moment, frame, values = opened.state
    assert "step 6 of" in moment
    assert time.get_attribute("aria-valuetext") in moment
    assert frame != before[1]
    assert values != before[2]
    assert cursor.get_attribute("x1") != place
    opened.page.keyboard.press("Home")
    assert opened.state == before


def test_dragging_along_the_curves_moves_the_cursor_under_the_pointer(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    drawing = opened.page.locator("#curves svg").nth(1)
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box is not None
    height = box["y"] + box["height"] / 2
    seen = [opened.state]
    opened.page.mouse.move(box["x"] + 0.4 * box["width"], height)
    opened.page.mouse.down()
    for share in (0.5, 0.8):
        pointer = box["x"] + share * box["width"]
        opened.page.mouse.move(pointer, height)
        seen.append(opened.state)
        line = drawing.locator(".cursor").bounding_box()
        assert line is not None
        assert abs(line["x"] - pointer) < box["width"] / 19  # half a step of the shortest episode, rounded up
    opened.page.mouse.up()
    opened.page.mouse.move(box["x"] + 0.6 * box["width"], height)
    assert opened.state == seen[-1]
    for earlier, later in pairwise(seen):
        assert all(a != b for a, b in zip(earlier, later, strict=True))


def test_values_at_the_cursor_are_those_of_the_predictions(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.page.locator("#episode").select_option("1")
    opened.page.locator("#time").fill("7")
    shown = [float(value.replace("\N{MINUS SIGN}", "-")) for value in opened.values]
    data = opened.page.evaluate("JSON.parse(document.getElementById('explorer-data').textContent).episodes[1]")
    pairs = zip(data["predicted"], data["recorded"], strict=True)
    expected = [(p[7] / 1000, r[7] / 1000, abs(p[7] - r[7]) / 1000) for p, r in pairs]
    assert shown == pytest.approx([value for row in expected for value in row], abs=0.0051)


def test_an_episode_is_chosen_by_list_by_button_and_by_link(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    choice = opened.page.locator("#episode")
    choice.select_option("0")
    assert opened.moment.startswith("Episode 0")
    expect(opened.page.locator("#previous")).to_be_disabled()
    opened.page.locator("#next").click()
    assert opened.moment.startswith("Episode 1")
    opened.page.locator("#episodes-table-caption").locator("..").get_by_role("link", name="Episode 2").click()
    expect(opened.page.locator("#moment")).to_contain_text("Episode 2")
    expect(choice).to_have_value("2")
    expect(opened.page.locator("#explorer-heading")).to_be_focused()
    expect(opened.page.locator("#next")).to_be_disabled()


def test_another_camera_shows_its_frame_of_the_same_moment(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.page.locator("#time").fill("9")
    before = opened.state
    opened.page.locator("#camera").select_option("observation.images.wrist")
    assert opened.moment == before[0]
    assert opened.frame != before[1]
    assert "wrist, frame 9" in opened.page.locator("#frame-caption").inner_text()


def test_play_runs_to_the_end_and_stops_there(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.page.locator("#episode").select_option("2")
    play = opened.page.locator("#play")
    play.click()
    expect(play).to_have_text("Pause")
    expect(opened.page.locator("#moment")).to_contain_text("step 20 of 20")
    expect(play).to_have_text("Play")


def test_with_reduced_motion_play_shows_a_still_each_second(report: Path, open_page: Open) -> None:
    opened = open_page(report, reduced_motion="reduce")
    opened.page.locator("#episode").select_option("0")
    opened.page.evaluate(
        "window.seen = []; new MutationObserver(() => seen.push(document.getElementById('time').value))"
        ".observe(document.getElementById('moment'), {childList: true})"
    )
    opened.page.locator("#play").click()
    expect(opened.page.locator("#moment")).to_contain_text("step 31 of 40")
    expect(opened.page.locator("#play")).to_have_text("Play")
    assert opened.page.evaluate("seen") == ["30"]


def test_a_screen_reader_hears_where_the_cursor_came_to_rest(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    status = opened.page.get_by_role("status")
    expect(status).to_contain_text("step 1 of")
    opened.page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(document.getElementById('announcement').textContent))"
        ".observe(document.getElementById('announcement'), {childList: true})"
    )
    opened.page.evaluate(
        "for (const step of [3, 4, 5, 6]) { const time = document.getElementById('time'); time.value = step;"
        " time.dispatchEvent(new Event('input')); }"
    )
    expect(status).to_contain_text("step 7 of")
    said = opened.page.evaluate("said")
    assert len(said) == 1
    assert "largest error" in said[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("which", ["report", "bare_report"])
def test_axe_finds_nothing_serious(
    which: str, width: int, scheme: Any, open_page: Open, request: pytest.FixtureRequest
) -> None:
    file: Path = request.getfixturevalue(which)
    opened = open_page(file, color_scheme=scheme, viewport={"width": width, "height": 900})
    for details in opened.page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert serious(opened.page) == []


@pytest.mark.parametrize("which", ["report", "bare_report"])
def test_a_narrow_screen_needs_no_sideways_scrolling(
    which: str, open_page: Open, request: pytest.FixtureRequest
) -> None:
    opened = open_page(request.getfixturevalue(which), viewport={"width": 360, "height": 700})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360


def test_fourteen_joints_without_frames_have_curves_and_values(bare_report: Path, open_page: Open) -> None:
    opened = open_page(bare_report)
    assert opened.page.locator("#curves svg").count() == 14
    expect(opened.page.locator("#camera-figure")).to_be_hidden()
    expect(opened.page.locator("#camera-choice")).to_be_hidden()
    before = opened.values
    opened.page.locator("#time").press("End")
    assert opened.values != before
    assert len(opened.values) == 14 * 3


def test_dark_mode_is_dark(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    assert min(opened.page.evaluate(brightness)) > 240
    opened.page.emulate_media(color_scheme="dark")
    assert max(opened.page.evaluate(brightness)) < 50


def test_on_paper_the_explorer_is_a_still_in_black_on_white(report: Path, open_page: Open) -> None:
    opened = open_page(report, color_scheme="dark")
    opened.page.emulate_media(media="print", color_scheme="dark")
    for control in (".controls", "nav", ".skip"):
        expect(opened.page.locator(control)).to_be_hidden()
    for kept in ("#verdict .word", "#moment", "#curves svg >> nth=0", "#frame"):
        expect(opened.page.locator(kept)).to_be_visible()
    colours = "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
    assert opened.page.evaluate(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert opened.page.pdf()[:5] == b"%PDF-"


def test_without_javascript_all_but_the_explorer_is_there(report: Path, open_page: Open) -> None:
    page = open_page(report, java_script_enabled=False).page
    expect(page.locator("#verdict .word")).to_be_visible()
    expect(page.locator("#episodes-table-caption")).to_be_visible()
    expect(page.get_by_text("The explorer needs JavaScript")).to_be_visible()
    expect(page.locator("#explorer-body")).to_be_hidden()


def test_the_skip_link_and_every_control_are_reached_by_tab(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.page.keyboard.press("Tab")
    expect(opened.page.locator(".skip")).to_be_focused()
    expect(opened.page.locator(".skip")).to_be_in_viewport()
    opened.page.locator("#episode").select_option("1")
    opened.page.locator("#episode").focus()
    reached = []
    for _ in range(6):
        reached.append(opened.page.evaluate("document.activeElement.id"))
        opened.page.keyboard.press("Tab")
    assert reached == ["episode", "previous", "next", "time", "play", "camera"]
