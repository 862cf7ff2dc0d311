"""The figures of an evaluation as the page's tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lerobot_inference.evaluation.results import EvalResults, Motion, ProtocolResult
from lerobot_inference.report.page import meanings
from lerobot_inference.report.page.table import EMPTY, Cell, Table, mrad, number, percent, words
from lerobot_inference.report.text import MRAD, significant

BRACKETS = "In brackets: 95 % intervals, episodes resampled."
NO_INTERVALS = "No intervals: they need two episodes."
SHORTEST_MS = 1e-3


def headline(results: EvalResults) -> Table:
    """Every pooled figure under each protocol, beside what it is to be compared with."""
    protocols = list(results.protocols.values())
    rows = [*_errors(results, protocols), *_drift(protocols), *_smoothness(results.as_deployed, protocols)]
    return Table(
        "Figures, all joints and steps pooled",
        ("quantity", "unit", *map(words, results.protocols), "as deployed, to compare with"),
        rows,
        note=_intervals(results),
    )


def _intervals(results: EvalResults) -> str:
    return NO_INTERVALS if results.as_deployed.intervals is None else BRACKETS


def _errors(results: EvalResults, protocols: Sequence[ProtocolResult]) -> list[list[Cell]]:
    deployed = results.as_deployed
    baseline, name = deployed.baselines[deployed.best_baseline], words(deployed.best_baseline)
    best = ", ".join(f"{words(key)}: {words(p.best_baseline)}" for key, p in results.protocols.items())

    def against(radians: float) -> Cell:
        return Cell(f"{name}: {significant(1000 * radians)}", prose=True)

    return [
        [
            Cell("MAE", meaning=meanings.MAE),
            Cell("mrad"),
            *(mrad(p.error.mae, p.intervals.mae if p.intervals else None) for p in protocols),
            against(baseline.mae),
        ],
        [
            Cell("RMSE", meaning=meanings.RMSE),
            Cell("mrad"),
            *(mrad(p.error.rmse, p.intervals.rmse if p.intervals else None) for p in protocols),
            against(baseline.rmse),
        ],
        [
            Cell("p95", meaning=meanings.P95),
            Cell("mrad"),
            *(mrad(p.error.p95) for p in protocols),
            against(baseline.p95),
        ],
        [
            Cell("Largest error", meaning=meanings.LARGEST),
            Cell("mrad"),
            *(mrad(p.error.max) for p in protocols),
            against(baseline.max),
        ],
        [
            Cell("MAE over spread", meaning=meanings.OF_STD),
            EMPTY,
            *(percent(p.error.of_std) for p in protocols),
            EMPTY if baseline.of_std is None else Cell(f"{name}: {percent(baseline.of_std).text}", prose=True),
        ],
        [
            Cell("Skill", meaning=meanings.SKILL),
            EMPTY,
            *(number(p.skill, p.intervals.skill if p.intervals else None) for p in protocols),
            Cell(f"perfect: 1; the best baseline: 0 ({best})", prose=True),
        ],
        [
            Cell("Direction cosine", meaning=meanings.DIRECTION),
            EMPTY,
            *(number(p.direction_cosine) for p in protocols),
            Cell("same direction: 1", prose=True),
        ],
    ]


def _drift(protocols: Sequence[ProtocolResult]) -> list[list[Cell]]:
    return [
        [
            Cell("Drift at chunk end", meaning=meanings.DRIFT_CHUNK),
            Cell("mrad"),
            *(mrad(p.drift.chunk_end if p.drift else None) for p in protocols),
            EMPTY,
        ],
        [
            Cell("Drift at episode end", meaning=meanings.DRIFT_EPISODE),
            Cell("mrad"),
            *(mrad(p.drift.episode_end if p.drift else None) for p in protocols),
            EMPTY,
        ],
    ]


def _smoothness(deployed: ProtocolResult, protocols: Sequence[ProtocolResult]) -> list[list[Cell]]:
    predicted, recorded = deployed.smoothness.predicted, deployed.smoothness.recorded
    motions = [p.smoothness.predicted for p in protocols]
    return [
        [
            Cell("Jump at chunk borders", meaning=meanings.BORDER_JUMP),
            Cell("mrad"),
            *(mrad(motion.border_jump) for motion in motions),
            Cell(f"inside chunks: {mrad(predicted.interior_jump).text}; {_demonstrator_jumps(recorded)}", prose=True),
        ],
        [
            Cell("Jerk, rms", meaning=meanings.JERK),
            Cell("rad/s³"),
            *(number(motion.jerk_rms) for motion in motions),
            Cell(f"demonstrator: {number(recorded.jerk_rms).text}", prose=True),
        ],
        [
            Cell("Spectral arc length", meaning=meanings.ARC_LENGTH),
            EMPTY,
            *(number(motion.spectral_arc_length) for motion in motions),
            Cell(f"demonstrator: {number(recorded.spectral_arc_length).text}", prose=True),
        ],
        [
            Cell("Overlap disagreement", meaning=meanings.DISAGREEMENT),
            Cell("mrad"),
            *(mrad(p.smoothness.overlap_disagreement) for p in protocols),
            EMPTY,
        ],
    ]


def _demonstrator_jumps(recorded: Motion) -> str:
    border, interior = mrad(recorded.border_jump).text, mrad(recorded.interior_jump).text
    return f"demonstrator: {border} at the same borders, {interior} between"


def timing(results: EvalResults) -> Table:
    """Where the wall time went, and whether it fits into a period."""
    times, workers = results.timing, results.provenance.workers
    parts = (
        ("Control step", times.policy_step, meanings.STEP),
        ("Network call", times.forward, meanings.FORWARD),
        ("Preprocessing", times.preprocess, meanings.PREPROCESS),
        ("Postprocessing", times.postprocess, meanings.POSTPROCESS),
        ("Queue pop", times.queue_pop, meanings.QUEUE_POP),
        ("Frame decoding", times.decode, meanings.DECODE),
    )
    rows = [
        [
            Cell(name, meaning=meaning),
            Cell(str(part.count)),
            *(_milliseconds(value) for value in (part.mean_ms, part.p50_ms, part.p95_ms, part.p99_ms, part.max_ms)),
        ]
        for name, part, meaning in parts
    ]
    deadline, lead = significant(times.deadline_ms), times.prefetch_lead_steps
    fits = "fits" if times.realtime_capable else "does not fit"
    notes = [
        f"Deadline: {deadline} ms, one period at {results.fps:g} Hz. "
        f"{times.deadline_misses} of {times.policy_step.count} control steps missed it.",
        f"The slowest control step {fits} into one period, as a synchronous schedule needs.",
        f"A prefetching schedule must ask {lead} step{'s' * (lead != 1)} ahead.",
        f"First network call of the process: {significant(times.cold_forward_ms)} ms, not counted above.",
        f"{workers} processes shared the machine: wall times are larger than on a robot." if workers > 1 else "",
    ]
    return Table(
        "Wall time of the parts of a step, as deployed, milliseconds",
        ("part", "count", "mean", "p50", "p95", "p99", "max"),
        rows,
        note=" ".join(notes).strip(),
    )


def _milliseconds(value: float) -> Cell:
    return number(value) if value >= SHORTEST_MS else Cell(f"< {SHORTEST_MS}")


def joints(results: EvalResults) -> Table:
    """One row a joint, as deployed."""
    deployed = results.as_deployed
    error, intervals = deployed.error, deployed.intervals
    baseline = deployed.baselines[deployed.best_baseline]
    jumps = deployed.smoothness.predicted.per_joint_border_jump
    drift = deployed.drift.per_joint_chunk_end if deployed.drift else None
    rows = [
        [
            Cell(name),
            mrad(error.per_joint_mae[j], intervals.per_joint_mae[j] if intervals else None),
            percent(error.per_joint_of_std[j]),
            number(deployed.per_joint_skill[j], intervals.per_joint_skill[j] if intervals else None),
            mrad(error.per_joint_p95[j]),
            mrad(error.per_joint_max[j]),
            mrad(jumps[j] if jumps else None),
            mrad(drift[j] if drift else None),
            mrad(baseline.per_joint_mae[j]),
        ]
        for j, name in enumerate(results.joint_names)
    ]
    return Table(
        "Error by joint, as deployed",
        (
            "joint",
            "MAE (mrad)",
            "MAE over spread",
            "skill",
            "p95 (mrad)",
            "largest (mrad)",
            "border jump (mrad)",
            "drift at chunk end (mrad)",
            f"{words(deployed.best_baseline)}, MAE (mrad)",
        ),
        rows,
        note=f"{_intervals(results)} Spread: standard deviation of the recorded action in the dataset; n/a for a joint "
        "that never moves.",
    )


def baselines(results: EvalResults) -> Table:
    """The policy above every predictor that needs none, for each protocol."""
    rows: list[list[Cell]] = []
    for name, protocol in results.protocols.items():
        policy = protocol.error
        for predictor, error in {"policy": policy, **protocol.baselines}.items():
            best = ", the best baseline" if predictor == protocol.best_baseline else ""
            ratio = Cell(f"{significant(error.mse / policy.mse)}x") if policy.mse else EMPTY
            rows.append(
                [
                    Cell(f"{words(predictor)}{best}", mark="" if error is not policy else "policy"),
                    Cell(words(name), prose=True),
                    mrad(error.mae),
                    mrad(error.rmse),
                    mrad(error.p95),
                    ratio,
                ]
            )
    headings = ("predictor", "protocol", "MAE (mrad)", "RMSE (mrad)", "p95 (mrad)", "MSE over the policy's")
    return Table("Policy and baselines", headings, rows, note=meanings.PREDICTOR)


def robustness(results: EvalResults) -> Table | None:
    """Each perturbation of the pictures; None where none was tried."""
    if not results.robustness:
        return None
    rows = [
        [
            Cell(name),
            mrad(perturbed.error.mae),
            mrad(perturbed.error.rmse),
            number(perturbed.skill),
            number(perturbed.mse_ratio, perturbed.interval),
        ]
        for name, perturbed in results.robustness.items()
    ]
    headings = ("perturbation", "MAE (mrad)", "RMSE (mrad)", "skill", "MSE over the undisturbed")
    undisturbed = f"Undisturbed: MAE {MRAD.text(results.aggregate_mae)}. {_intervals(results)}"
    return Table("Error with worsened pictures, as deployed", headings, rows, note=undisturbed)


def episodes(results: EvalResults, explored: Collection[int]) -> Table:
    """One row an episode. explored: those that the explorer below shows; every one has plots beside the page."""
    rows = []
    for score in sorted(results.per_episode, key=lambda score: score.episode):
        place = results.worst_episodes.index(score.episode) + 1 if score.episode in results.worst_episodes else None
        plots = f"plots/episode_{score.episode:03d}/summary_panel.png"
        rows.append(
            [
                _episode_link(score.episode, explored),
                Cell(str(score.steps)),
                mrad(score.mae),
                number(score.skill),
                Cell(str(score.forwards)),
                number(score.avg_inference_ms),
                Cell("" if place is None else f"{place}", mark="worst" if place else ""),
                Cell("plot", link=plots),
            ]
        )
    headings = (
        "episode",
        "steps",
        "MAE (mrad)",
        "skill",
        "network calls",
        "mean step (ms)",
        "rank of the worst",
        "summary",
    )
    note = "Rank 1 has the largest MAE. The plots lie in plots/ beside this file."
    return Table("Episodes, as deployed", headings, rows, note=note)


def worst(results: EvalResults, explored: Collection[int]) -> list[tuple[Cell, str]]:
    """The episodes with the largest MAE, and that."""
    mae = {score.episode: score.mae for score in results.per_episode}
    return [(_episode_link(episode, explored), MRAD.text(mae[episode])) for episode in results.worst_episodes]


def _episode_link(episode: int, explored: Collection[int]) -> Cell:
    return Cell(f"Episode {episode}", link=f"#episode-{episode}" if episode in explored else "")
