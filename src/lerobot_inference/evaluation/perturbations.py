"""What can be wrong with a robot's pictures, done to recorded ones: `evaluate --perturb`."""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from PIL import Image
from pydantic import Field, ValidationError

from lerobot_inference.errors import UsageError
from lerobot_inference.evaluation.replay import RecordedEpisode
from lerobot_inference.records import Figure, Record, first_problem
from lerobot_inference.types import FloatArray, IntArray, UInt8Array


class Perturbation(Record):
    """One condition: what it does to each picture, and to which picture is seen when. The joint state is untouched.

    The base does nothing. A kind has one parameter, its only field, or none.
    """

    def worsen(self, image: UInt8Array) -> UInt8Array:
        """Return the picture (H, W, 3) uint8 RGB that is seen in place of `image`."""
        return image

    def shown(self, frames: int, rng: np.random.Generator) -> IntArray:  # noqa: ARG002
        """(frames,) ascending: the number of the frame that every camera shows at each of an episode's periods."""
        return np.arange(frames)

    @property
    def name(self) -> str:
        """As it is written after --perturb: `jpeg:50`. Parses to an equal one."""
        return ":".join([_kind_of(self), *(str(value).removesuffix(".0") for value in self.model_dump().values())])


class Jpeg(Perturbation):
    """Compressed as JPEG (baseline, 4:2:0) and decoded. quality: libjpeg's scale, 1 (worst) to 100."""

    quality: int = Field(ge=1, le=100)

    def worsen(self, image: UInt8Array) -> UInt8Array:
        """Encode and decode in memory."""
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "JPEG", quality=self.quality, subsampling="4:2:0")
        return np.array(Image.open(encoded).convert("RGB"))


class Exposure(Perturbation):
    """The light that falls on the sensor, times a factor in (0, 8]; what is brighter than white is white."""

    factor: Figure = Field(gt=0, le=8)

    def worsen(self, image: UInt8Array) -> UInt8Array:
        """Look each value up: to linear light, times the factor, and back (sRGB, IEC 61966-2-1)."""
        values = np.arange(256) / 255
        light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        light = np.minimum(light * self.factor, 1)
        encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
        table = np.rint(encoded * 255).astype(np.uint8)
        return np.asarray(table[image])


class SwapRedBlue(Perturbation):
    """Red and blue exchanged, as when BGR is taken for RGB. No parameter."""

    def worsen(self, image: UInt8Array) -> UInt8Array:
        """Reverse the channels."""
        return np.ascontiguousarray(image[..., ::-1])


class Delay(Perturbation):
    """Pictures that arrive late while the joint state is current. periods: of the dataset's rate, 1 to 30."""

    periods: int = Field(ge=1, le=30)

    def shown(self, frames: int, rng: np.random.Generator) -> IntArray:  # noqa: ARG002
        """The frame so many periods ago; at the start, the first."""
        return np.asarray(np.maximum(np.arange(frames) - self.periods, 0))


class Drop(Perturbation):
    """Pictures that are lost, each with a probability in [0, 1), from all cameras at once; the last one stays on."""

    probability: Figure = Field(ge=0, lt=1)

    def shown(self, frames: int, rng: np.random.Generator) -> IntArray:
        """The latest frame that arrived; the first always does. What is lost at one probability is at a higher one."""
        arrived = rng.random(frames) >= self.probability
        arrived[:1] = True
        return np.maximum.accumulate(np.where(arrived, np.arange(frames), 0))


KINDS: Mapping[str, tuple[type[Perturbation], str]] = {
    "jpeg": (Jpeg, "jpeg:50"),
    "exposure": (Exposure, "exposure:0.7"),
    "swap_rb": (SwapRedBlue, "swap_rb"),
    "delay": (Delay, "delay:3"),
    "drop": (Drop, "drop:0.1"),
}
"""Kind -> its class, and an example."""

EXAMPLES = ",".join(example for _, example in KINDS.values())


def parse_perturbations(text: str) -> tuple[Perturbation, ...]:
    """Read `jpeg:50,delay:3`: each item is a condition of its own; an empty text has none.

    Raises UsageError for an unknown kind, a parameter that is missing or out of range, an item that is there twice.
    """
    found = tuple(_parse(item.strip()) for item in text.split(",")) if text.strip() else ()
    for index, each in enumerate(found):
        if each in found[:index]:
            raise UsageError(f"--perturb has {each.name} twice", hint="name each condition once")
    return found


def _parse(item: str) -> Perturbation:
    kind, colon, value = item.partition(":")
    if kind not in KINDS:
        raise UsageError(f"--perturb: {item!r} is unknown", hint=f"choose from {EXAMPLES}")
    model, example = KINDS[kind]
    fields = list(model.model_fields)
    if bool(colon) != bool(fields):
        expected = f"needs its {fields[0]}" if fields else "takes no parameter"
        raise UsageError(f"--perturb: {item!r}: {kind} {expected}", hint=f"write {example}; there are {EXAMPLES}")
    try:
        return model.model_validate(dict.fromkeys(fields, value))
    except ValidationError as error:
        raise UsageError(
            f"--perturb: {item!r}: {first_problem(error)}", hint=f"write {example}, say; there are {EXAMPLES}"
        ) from error


def _kind_of(perturbation: Perturbation) -> str:
    return next(kind for kind, (model, _) in KINDS.items() if isinstance(perturbation, model))


@dataclass(frozen=True)
class PerturbedEpisode:
    """A recorded episode seen through worsened pictures; a RecordedEpisode itself.

    shown: (T,) the frame that the cameras show at each period.
    """

    episode: RecordedEpisode
    perturbation: Perturbation
    shown: IntArray

    @classmethod
    def of(cls, episode: RecordedEpisode, perturbation: Perturbation, seed: Sequence[int]) -> PerturbedEpisode:
        """seed: decides all that is left to chance; of the evaluation and the episode, so that a rerun is the same."""
        rng = np.random.default_rng(seed)
        return cls(episode, perturbation, perturbation.shown(len(episode.states), rng))

    @property
    def states(self) -> FloatArray:
        """(T, S) radians, as recorded."""
        return self.episode.states

    def frames(self, wanted: Sequence[int], cameras: Sequence[str]) -> Generator[dict[str, UInt8Array]]:
        """Yield what is seen at each of the `wanted` periods (ascending); a frame that stays on is decoded once."""
        runs = [(frame, len(list(run))) for frame, run in groupby(self.shown[list(wanted)].tolist())]
        with closing(self.episode.frames([frame for frame, _ in runs], cameras)) as pictures:
            for (_, periods), views in zip(runs, pictures, strict=True):
                seen = {camera: self.perturbation.worsen(image) for camera, image in views.items()}
                for _ in range(periods):
                    yield seen
