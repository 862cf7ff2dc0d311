from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_factory import write_results

from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import ConfigError
from lerobot_inference.evaluation.gate import VERDICT_FILE, Champion, GateVerdict, judge
from lerobot_inference.evaluation.results import EvalResults, Failure, PerturbedResult
from lerobot_inference.evaluation.results_folder import load_predictions, save_results
from lerobot_inference.evaluation.rules import default_rules
from lerobot_inference.records import save_record
from lerobot_inference.report.page import explorer, frames, write_report
from lerobot_inference.report.page.build import open_evaluated, render_page
from lerobot_inference.report.page.explorer import Explorer, choose_episodes, explore
from lerobot_inference.report.page.subject import ranges
from lerobot_inference.types import silent

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(1)>',
    "line\u2028separator\u2029",
    "{{ 7 * 7 }}",
    "joint' & co",
]
VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Outline(HTMLParser):
    """Tags that were opened, in order; what stands in the data element; visible words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.data = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script" and self.tags[-1][1].get("type") == "application/json":
            self.data += data
        elif "script" not in self.open and "style" not in self.open:
            self.words += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def said(self) -> str:
        return " ".join(self.words.split())


def render(folder: Path, verdict: GateVerdict | None = None, dataset: Dataset | None = None, **options: Any) -> str:
    """The page of made-up results, without pictures."""
    results = write_results(folder, **options)
    return page_of(results, folder, verdict, dataset)


def page_of(
    results: EvalResults, folder: Path, verdict: GateVerdict | None = None, dataset: Dataset | None = None
) -> str:
    data = {score.episode: load_predictions(folder, results, score) for score in results.per_episode}
    return render_page(results, folder, verdict, explore(results, data, dataset, silent), [], data)


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def matching(results: EvalResults, folder: Path, files: Mapping[str, str]) -> EvalResults:
    """The results as if they were of the dataset with these files."""
    provenance = results.provenance.model_copy(update={"dataset_files": dict(files)})
    changed = results.model_copy(update={"provenance": provenance})
    save_results(changed, folder)
    return changed


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of 24 and 18 frames with two cameras, one wider than a page's frames may be. Read only."""
    from lerobot_writer import write_dataset

    cameras = {"observation.images.color": (96, 400), "observation.images.wrist": (64, 96)}
    return write_dataset(tmp_path_factory.mktemp("recorded") / "cell", episodes=[24, 18], cameras=cameras)


def test_names_that_look_like_markup_or_script_stay_names(tmp_path: Path) -> None:
    outline = Outline(render(tmp_path, joint_names=HOSTILE, policy=HOSTILE[0], lengths=(12,)))
    assert [attributes["type"] for attributes in outline.named("script")] == ["application/json", "module"]
    assert not any(attributes.get("src") == "x" for attributes in outline.named("img"))
    assert strict_json(outline.data)["joints"] == HOSTILE
    for name in HOSTILE:
        assert " ".join(name.split()) in outline.said()
    assert outline.open == []


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=3))
def test_no_name_can_end_the_data_element(names: list[str]) -> None:
    empty: dict[str, Any] = {"episodes": {}, "left_out": [], "cameras": [], "every": None, "frames_size": 0}
    text = Explorer(fps=30.0, mode="delta", joints=names, first=0, **empty).script_json()
    assert not set("<>&\u2028\u2029") & set(text)
    assert strict_json(text)["joints"] == names


def test_nothing_is_fetched_and_only_our_own_script_may_run(tmp_path: Path) -> None:
    page = render(tmp_path, lengths=(12,))
    assert set(re.findall(r"[a-z]+://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}
    outline = Outline(page)
    policy = next(m["content"] for m in outline.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    links = [link["href"] or "" for link in outline.named("a")]
    assert all(link.startswith(("#", "plots/")) for link in links)
    targets = {attributes.get("id") for _, attributes in outline.tags}
    assert all(link[1:] in targets or link.startswith(("#episode-", "plots/")) for link in links)


@pytest.mark.parametrize("mode", ["delta", "absolute"])
@pytest.mark.parametrize("joints", [1, 7, 14])
def test_every_joint_has_its_row_and_its_curves(tmp_path: Path, joints: int, mode: Any) -> None:
    outline = Outline(render(tmp_path, joints=joints, mode=mode, lengths=(20, 15)))
    data = strict_json(outline.data)
    for episode in data["episodes"].values():
        assert len(episode["predicted"]) == len(episode["recorded"]) == joints
    assert all(f"joint_{j + 1}" in outline.said() for j in range(joints))


def test_curves_are_the_predictions_to_the_microradian(tmp_path: Path) -> None:
    page = render(tmp_path, lengths=(25, 12), n_action_steps=10)
    results = write_results(tmp_path, lengths=(25, 12), n_action_steps=10)
    shown = strict_json(Outline(page).data)["episodes"]["0"]
    data = load_predictions(tmp_path, results, results.per_episode[0])
    np.testing.assert_allclose(np.transpose(shown["predicted"]) / 1e6, data.predicted, atol=0.6e-6)
    np.testing.assert_allclose(np.transpose(shown["recorded"]) / 1e6, data.ground_truth, atol=0.6e-6)
    assert shown["chunk_starts"] == [0, 10, 20]


def test_a_title_has_a_folders_name_and_the_page_below_it_the_whole_path(tmp_path: Path) -> None:
    said = Outline(render(tmp_path, lengths=(12,), policy="/home/somebody/trained/reach-act")).said()
    assert "Evaluation of reach-act on demo/ur10e-cell" in said
    assert said.count("/home/somebody/trained/reach-act") == 1


def test_without_a_verdict_the_page_says_how_to_get_one(tmp_path: Path) -> None:
    said = Outline(render(tmp_path, lengths=(12,))).said()
    assert "not judged" in said
    assert "run lerobot-inference gate" in said


@pytest.mark.parametrize("word", ["promote", "keep", "reject"])
def test_the_verdict_comes_first_with_a_reason_for_every_rule(tmp_path: Path, word: Any) -> None:
    results = write_results(tmp_path, lengths=(12, 12))
    verdict = judge(results, default_rules()).model_copy(update={"verdict": word, "reason": "because <of> this"})
    outline = Outline(page_of(results, tmp_path, verdict))
    assert outline.named("section")[0]["id"] == "verdict"
    said = outline.said()
    assert said.index(word) < said.index("What was evaluated")
    assert "because <of> this" in said
    for outcome in verdict.rules:
        assert outcome.reason in said
    assert "There is no champion to compare with." in said


def test_the_path_of_a_figure_breaks_behind_its_dots_and_a_number_never(tmp_path: Path) -> None:
    results = write_results(tmp_path, lengths=(12, 12))
    page = page_of(results, tmp_path, judge(results, default_rules()))
    assert "min protocols.<wbr>as_deployed.<wbr>intervals.<wbr>per_joint_skill" in page
    assert not re.search(r"\d\.<wbr>", page)


def test_the_comparison_with_the_champion_is_shown_joint_by_joint(tmp_path: Path) -> None:
    lengths = (12, 14, 16, 12, 15)
    champion = write_results(tmp_path / "champion", lengths=lengths, error=0.004, policy_files={"model": "1" * 64})
    results = write_results(tmp_path, lengths=lengths)
    verdict = judge(results, default_rules(), Champion("7", champion.provenance.policy_files, champion))
    assert verdict.comparison is not None
    said = Outline(page_of(results, tmp_path, verdict)).said()
    assert "Champion, version 7, over the same 5 episodes" in said
    assert "Candidate minus champion, joint by joint" in said


def test_a_champion_that_could_not_be_compared_with_is_named(tmp_path: Path) -> None:
    results = write_results(tmp_path, lengths=(12, 12))
    verdict = judge(results, default_rules(), Champion("3", {}, "its results are gone"))
    said = Outline(page_of(results, tmp_path, verdict)).said()
    assert "Not compared with the champion, version 3" in said


def test_figures_that_do_not_exist_are_not_available_with_their_reason(tmp_path: Path) -> None:
    results = write_results(tmp_path, lengths=(12,), every_frame=False)
    deployed = results.as_deployed.model_copy(update={"skill": None, "intervals": None, "drift": None})
    reasons = results.reasons | {"protocols.as_deployed.skill": "the baseline is perfect"}
    results = results.model_copy(update={"protocols": {"as_deployed": deployed}, "reasons": reasons})
    said = Outline(page_of(results, tmp_path)).said()
    assert "Skill" in said
    assert "n/a" in said
    assert "the baseline is perfect: protocols.as_deployed.skill" in said
    assert "No intervals: they need two episodes." in said
    assert "None" not in said


def test_every_frame_is_a_column_only_when_it_was_run(tmp_path: Path) -> None:
    headings = "quantity unit as deployed every frame as deployed, to compare with".replace(" ", "")
    both = Outline(render(tmp_path / "both", lengths=(12, 12))).said().replace(" ", "")
    alone = Outline(render(tmp_path / "alone", lengths=(12, 12), every_frame=False)).said().replace(" ", "")
    assert headings in both
    assert headings not in alone


def test_perturbations_have_a_table_only_where_there_are_some(tmp_path: Path) -> None:
    plain = write_results(tmp_path, lengths=(12, 12))
    worse = PerturbedResult(error=plain.as_deployed.error, skill=None, mse_ratio=1.5, interval=(1.2, 1.9))
    assert "Error with worsened pictures" not in Outline(page_of(plain, tmp_path)).said()
    said = Outline(render(tmp_path, lengths=(12, 12), robustness={"jpeg:50": worse})).said()
    assert "Error with worsened pictures" in said
    assert "[1.20, 1.90]" in said


def test_failed_episodes_are_listed_with_what_went_wrong(tmp_path: Path) -> None:
    failure = Failure(episode=9, kind="unreadable", message="file-000.mp4: frame 3 can't be decoded")
    said = Outline(render(tmp_path, lengths=(12, 12), failed=[failure])).said()
    assert "Episode 9: unreadable: file-000.mp4: frame 3 can't be decoded" in said


def test_a_scored_episode_that_failed_under_a_perturbation_is_listed_too(tmp_path: Path) -> None:
    failure = Failure(episode=1, kind="EngineError", message="under jpeg:50: the policy has collapsed")
    said = Outline(render(tmp_path, lengths=(12, 12), failed=[failure])).said()
    assert "1 failed" in said
    assert "Episode 1: EngineError: under jpeg:50: the policy has collapsed" in said


def test_with_a_single_episode_no_table_speaks_of_intervals(tmp_path: Path) -> None:
    assert "In brackets" not in Outline(render(tmp_path, lengths=(12,))).said()


def test_the_page_says_which_episodes_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "MOST_EPISODES", 3)
    outline = Outline(render(tmp_path, lengths=(8,) * 12))
    data = strict_json(outline.data)
    assert len(data["episodes"]) == 3
    assert len(data["left_out"]) == 9
    assert "3 of 12 episodes are in this page" in outline.said()
    assert f"Left out, as they would make it too large: {ranges(data['left_out'])};" in outline.said()
    links = {link["href"] for link in outline.named("a")}
    assert {f"#episode-{e}" for e in data["episodes"]} <= links
    assert not {f"#episode-{e}" for e in data["left_out"]} & links
    assert {f"plots/episode_{e:03d}/summary_panel.png" for e in range(12)} <= links


def test_the_worst_episodes_are_kept_before_the_first_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = write_results(tmp_path, lengths=(8,) * 12)
    monkeypatch.setattr(explorer, "MOST_EPISODES", 6)
    chosen = choose_episodes(results)
    first = next(e for e in range(12) if e not in results.worst_episodes)
    assert chosen == sorted([*results.worst_episodes, first])


def test_long_episodes_leave_fewer_of_them_and_never_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = write_results(tmp_path, joints=2, lengths=(10, 10, 10))
    monkeypatch.setattr(explorer, "MOST_VALUES", 2 * 2 * 20)
    assert len(choose_episodes(results)) == 2
    monkeypatch.setattr(explorer, "MOST_VALUES", 1)
    assert choose_episodes(results) == results.worst_episodes[:1]


def test_without_a_dataset_the_page_says_how_to_get_frames(tmp_path: Path) -> None:
    outline = Outline(render(tmp_path, lengths=(12,)))
    assert "No camera frames: run lerobot-inference plot --dataset" in outline.said()
    assert strict_json(outline.data)["cameras"] == []


def test_each_camera_has_every_frame_that_was_scored(tmp_path: Path, recorded: Path) -> None:
    outline = Outline(render(tmp_path, lengths=(23, 17), dataset=Dataset.open(recorded)))
    data = strict_json(outline.data)
    assert data["every"] == 1
    assert "Every camera frame is in this page" in outline.said()
    for episode, steps in (("0", 23), ("1", 17)):
        assert {camera: len(jpegs) for camera, jpegs in data["episodes"][episode]["frames"].items()} == {
            "observation.images.color": steps,
            "observation.images.wrist": steps,
        }


def test_frames_are_no_wider_than_the_page_shows_them(recorded: Path) -> None:
    from PIL import Image

    picture = next(Dataset.open(recorded).episode(0).frames([0]))
    sizes = {}
    for camera, pixels in picture.items():
        with Image.open(io.BytesIO(frames.to_jpeg(pixels))) as image:
            sizes[camera] = image.size
            small = np.asarray(image.resize((8, 8)), float)
        whole = np.asarray(Image.fromarray(pixels).resize((8, 8)), float)
        assert np.abs(small - whole).mean() < 12
    assert sizes == {"observation.images.color": (320, 77), "observation.images.wrist": (96, 64)}


def test_frames_keep_to_the_page_and_the_page_says_which(
    tmp_path: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = write_results(tmp_path, lengths=(23, 17))
    whole = strict_json(Outline(page_of(results, tmp_path, None, Dataset.open(recorded))).data)
    monkeypatch.setattr(frames, "MOST_CHARACTERS", whole["frames_size"] // 3)
    outline = Outline(page_of(results, tmp_path, None, Dataset.open(recorded)))
    data = strict_json(outline.data)
    assert 3 <= data["every"] <= 5
    assert data["frames_size"] <= whole["frames_size"] // 3
    assert f"Of every {data['every']} camera frames one is in this page" in outline.said()
    for number, episode in data["episodes"].items():
        for camera, jpegs in episode["frames"].items():
            assert jpegs == whole["episodes"][number]["frames"][camera][:: data["every"]]


def test_another_dataset_is_refused_by_the_name_of_the_file_that_differs(tmp_path: Path, recorded: Path) -> None:
    files = Dataset.open(recorded).file_hashes()
    results = matching(write_results(tmp_path, lengths=(12,)), tmp_path, files)
    assert open_evaluated(recorded, results, tmp_path).root == recorded
    results = matching(results, tmp_path, files | {"meta/stats.json": "0" * 64})
    with pytest.raises(ConfigError, match=r"meta/stats.json: not the dataset of these results.*000000000000"):
        open_evaluated(recorded, results, tmp_path)
    results = matching(results, tmp_path, files | {"meta/gone.json": "0" * 64})
    with pytest.raises(ConfigError, match=r"meta/gone.json is missing"):
        open_evaluated(recorded, results, tmp_path)
    results = matching(results, tmp_path, {})
    with pytest.raises(ConfigError, match="names no file of meta/"):
        open_evaluated(recorded, results, tmp_path)


def test_the_report_lies_beside_the_plots_that_it_embeds(tmp_path: Path, recorded: Path) -> None:
    results = write_results(tmp_path / "results", lengths=(20, 12), n_action_steps=5)
    matching(results, tmp_path / "results", Dataset.open(recorded).file_hashes())
    save_record(judge(results, default_rules()), tmp_path / "verdict" / VERDICT_FILE)
    report = write_report(tmp_path / "results", tmp_path / "report", recorded, tmp_path / "verdict")
    assert report.page == tmp_path / "report" / "report.html"
    outline = Outline(report.page.read_text(encoding="utf-8"))
    pictures = [image for image in outline.named("img") if (image.get("src") or "").startswith("data:image/png")]
    run_plots = [plot for plot in report.plots if plot.parent.name == "plots"]
    assert len(pictures) == len(run_plots) > 0
    for picture in pictures:
        assert re.search(r"\d", picture["alt"] or ""), "the alternative text states the finding in figures"


def test_a_report_that_cannot_be_built_leaves_the_one_before(tmp_path: Path) -> None:
    write_results(tmp_path / "results", lengths=(12,))
    report = tmp_path / "report" / "report.html"
    report.parent.mkdir()
    report.write_text("the one before")
    with pytest.raises(ConfigError, match="verdict.json"):
        write_report(tmp_path / "results", tmp_path / "report", verdict=tmp_path / "absent")
    with pytest.raises(ConfigError, match="meta/info.json"):
        write_report(tmp_path / "results", tmp_path / "report", dataset=tmp_path)
    assert report.read_text() == "the one before"
    assert [path.name for path in report.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(("numbers", "text"), [([], ""), ([3], "3"), ([4, 2, 3, 9], "2-4, 9"), ([0, 2, 4], "0, 2, 4")])
def test_episode_numbers_are_shown_as_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text
