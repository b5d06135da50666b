"""Methods scored on a classifier of one stamp: how far their maps are from it, beside controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ....ground.errors import ModelError, NumericalError
from ....ground.rankings import Judged, Measure
from ...relevance.methods import Method
from ...streaming.run_time import clock
from ..behaviour import FEW_DRAWS
from . import controls
from .behaviour import image_sanity
from .classifier import Classifier, Relevance, StampNetwork, Training, train
from .distance import UNINFORMATIVE, distance, is_constant, mass, overlap, proximity
from .images import Images, StampedImages
from .stamps import Stamp, StampSettings

# check(share done): called often; may raise, and so ends the run.
Check = Callable[[float], None]

DISTANCE = Measure(
    "distance", "distance to the stamp", "lower", UNINFORMATIVE, 0.0,
    "D = √(2(1 − ρ)) between the standardised map and the standardised stamp: 0 the stamp itself, √2 nothing, 2 its "
    "opposite. Of methods that give slopes, |relevance| is compared, as usual for saliency.",
)  # fmt: skip
ABSOLUTE = Measure(
    "distance_absolute", "distance of |relevance|", "lower", UNINFORMATIVE, 0.0,
    "The same of |relevance|, which does not see a wrong sign.",
)  # fmt: skip
# Their uninformative value is that of chance, which depends on the image; 0 asks for no more than any overlap, and the
# random map is among the controls.
OVERLAP = Measure(
    "overlap", "overlap", "higher", 0.0, 1.0,
    "Share of the largest |relevance|, as many as the stamp has values, that lie on the stamp.",
)  # fmt: skip
MASS = Measure(
    "mass", "mass on the stamp", "higher", 0.0, 1.0, "Share of Σ|relevance| that lies on the stamp."
)
PROXIMITY = Measure(
    "proximity", "proximity", "higher", 0.0, 1.0,
    "One minus the mean distance of |relevance| to the stamp as a share of the image's diagonal; in another channel it "
    "is as far as can be. A map one pixel beside is nearly right by it.",
)  # fmt: skip
MEASURES = (DISTANCE, ABSOLUTE, OVERLAP, PROXIMITY)
TRAINING_SHARE = 0.5  # of the time of a stamp, for progress
FEWEST = 8  # images that a classifier must get right with and without the stamp


@dataclass(frozen=True)
class Extent:
    """How much is done.

    Parameters
    ----------
    cells : int
        Side of an image, in radiometer cells.
    images : int
        Images, of which the last fifth is held out.
    explained : int
        Held-out images that are explained, at most.
    scenes : int
        Simulated scenes that they are taken from, where there is no scene of the user's own.
    steps, draws : int
        Nodes of integrated gradients and draws of SmoothGrad.
    places : int
        Places of the scene that a network of the user's own is tried on.
    sanity : int
        Explained images whose maps are measured without truth too, which takes many more passes.
    """

    cells: int
    images: int
    explained: int
    scenes: int
    steps: int
    draws: int
    places: int
    sanity: int


EXTENTS = {
    "quick": Extent(cells=2, images=250, explained=30, scenes=10, steps=8, draws=4, places=12, sanity=0),
    "full": Extent(cells=4, images=800, explained=120, scenes=32, steps=32, draws=16, places=24, sanity=10),
}


@dataclass(frozen=True)
class Example:
    """One image, its stamp and the maps of it, for pictures: arrays (row, column) of the stamped channel."""

    image: np.ndarray
    truth: np.ndarray
    maps: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ClassifierResult:
    """What one stamp showed.

    Parameters
    ----------
    stamp : Stamp
        Which.
    judged : tuple of Judged
        Methods and controls, with scores of the same images.
    accuracy, accuracy_training : float
        Share of held-out and of training images, stamped and regular, that the classifier gets right.
    recognised : float
        Share of the held-out images that it gets right both with and without the stamp; these alone are scored. One
        that it calls stamped anyway, the stamp does not decide.
    passes : int
        Over the training images.
    constant : mapping
        Method → how many of its maps are constant; none where there is no such map.
    on_sensor : mapping
        Method → Σ|relevance| of the stamp's sensor as a share of both sensors; of methods whose numbers are parts of
        the logit.
    refused : mapping
        Method → why it does not apply.
    example : Example
        Of the first image.
    sanity : mapping
        Method → measure that needs no truth → (image,), of the first images.
    """

    stamp: Stamp
    judged: tuple[Judged, ...]
    accuracy: float
    accuracy_training: float
    recognised: float
    passes: int
    constant: Mapping[str, int]
    on_sensor: Mapping[str, float]
    refused: Mapping[str, str]
    example: Example
    sanity: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)


def run_classifier(
    regular: Images,
    stamp: Stamp,
    settings: StampSettings,
    methods: Sequence[str],
    extent: Extent,
    seed: int,
    check: Check = lambda share: None,
    training: Training | None = None,
) -> ClassifierResult:
    """Train a classifier of one stamp, explain stamped images that it gets right, and score the maps.

    Parameters
    ----------
    regular : Images
        Without a stamp; the last fifth is held out.
    stamp, settings : Stamp, StampSettings
        What is stamped.
    methods : sequence of str
        Words of methods.
    extent : Extent
        How much is done.
    seed : int
        Of places, weights and draws.
    check : callable
        Called with the share done; may raise.
    training : Training
        How the classifier learns.

    Raises
    ------
    NumericalError
        If the classifier does not recognise the stamp.
    """
    stamped = regular.stamped(stamp, settings.position, seed)
    network = StampNetwork(regular, seed)

    def learning(share: float) -> None:
        check(TRAINING_SHARE * share)

    passes = train(network, regular, stamped.images, training or Training(), seed, learning)
    classifier = Classifier(network, regular.ratio)
    right = np.stack(
        [
            ~classifier.says_stamped(regular, partial(learning, 1.0)),
            classifier.says_stamped(stamped.images, partial(learning, 1.0)),
        ]
    )
    held = regular.held_out
    recognised = np.flatnonzero(right[:, held].all(0)) + held.start
    _check_recognised(len(recognised), held.stop - held.start, stamp)
    task = _Task(stamped, recognised[: extent.explained], seed)
    judged: list[Judged] = []
    maps: dict[str, np.ndarray] = {}
    constant, on_sensor, refused = {}, {}, {}
    sanity: dict[str, Mapping[str, np.ndarray]] = {}
    for number, word in enumerate(methods):
        begun = TRAINING_SHARE + (1 - TRAINING_SHARE) * number / len(methods)
        method = Method(word, steps=extent.steps, samples=extent.draws, seed=seed)
        try:
            start = clock()
            found = classifier.explain(method, stamped.images, task.chosen, partial(check, begun))
            seconds = (clock() - start) / len(task.chosen)
        except ModelError as error:
            refused[word] = str(error)
            continue
        own = task.of_sensor(found)
        constant[word] = sum(is_constant(each) for each in own)
        judged.append(Judged(word, stamp.word, task.scores(own, signed=method.times_input), seconds))
        maps[word] = own
        if method.times_input and found.coarse is not None:
            on_sensor[word] = _share(found, stamp)
        some = task.chosen[: extent.sanity]
        sanity[word] = _sane(classifier, method, stamped.images, some, partial(check, begun))
    judged += task.controls()
    return ClassifierResult(
        stamp, tuple(judged), float(right[:, held].mean()), float(right[:, : held.start].mean()),
        float(right[:, held].all(0).mean()), passes, {word: number for word, number in constant.items() if number},
        on_sensor, refused, task.example(maps), sanity,
    )  # fmt: skip


def _sane(
    classifier: Classifier, method: Method, images: Images, chosen: np.ndarray, check: Callable[[], None]
) -> dict[str, np.ndarray]:
    """Return the sanity measures of a method's maps of some images; nothing of none."""
    if not len(chosen):
        return {}
    return image_sanity(classifier, method, images, chosen, replace(FEW_DRAWS, seed=method.seed), check)


def _check_recognised(number: int, shown: int, stamp: Stamp) -> None:
    if number < FEWEST:
        raise NumericalError(
            f"The classifier gets {number} of {shown} images right with and without the stamp {stamp.word}: too few to "
            "score maps. Raise CONTRAST, MWR_OFFSET or STAMP_SIZE, choose SIZE=full or another SEED."
        )


@dataclass(frozen=True)
class _Task:
    """Images that are explained, and their truth."""

    stamped: StampedImages
    chosen: np.ndarray
    seed: int

    def of_sensor(self, found: Relevance) -> np.ndarray:
        """Return the relevance of the stamp's sensor, (image, channel, row, column)."""
        own = found.coarse if self.stamped.stamp.coarse else found.fine
        if own is None:
            raise AssertionError("own is None")
        return own

    def scores(self, maps: Iterable[np.ndarray], signed: bool = True) -> dict[str, np.ndarray]:
        """Return the scores of one method's maps."""
        return scores_of(maps, [self.stamped.truth(image) for image in self.chosen], signed)

    def controls(self) -> list[Judged]:
        """Return the scores of what methods have to surpass: edges, noise, and the truth broken."""
        found: dict[str, list[np.ndarray]] = {}
        for number, image in enumerate(self.chosen):
            values = self.stamped.values(image)
            made = {
                **controls.edges(values),
                controls.RANDOM: controls.noise(values.shape, self.seed, number),
                **controls.broken(self.stamped.truth(image)),
            }
            for word, relevance in made.items():
                found.setdefault(word, []).append(relevance)
        return [
            Judged(word, self.stamped.stamp.word, seen_by(self.scores(each), word), 0.0, control=True)
            for word, each in found.items()
        ]

    def example(self, maps: Mapping[str, np.ndarray]) -> Example:
        """Return the first image and the maps of its stamped channel."""
        image, channel = self.chosen[0], self.stamped.stamp.channels[0]
        return Example(
            self.stamped.values(image)[channel].astype(np.float32),
            self.stamped.truth(image)[channel],
            {word: each[0][channel].astype(np.float32) for word, each in maps.items()},
        )


def scores_of(
    maps: Iterable[np.ndarray], truths: Iterable[np.ndarray], signed: bool = True
) -> dict[str, np.ndarray]:
    """Return the scores of maps by every measure, (sample,), float64; NaN for constant maps.

    Parameters
    ----------
    maps, truths : iterable of numpy.ndarray
        (channel, row, column) each; truths bool.
    signed : bool
        Whether the sign says for or against; else |map| is compared throughout.
    """
    found: dict[str, list[float]] = {}
    for relevance, truth in zip(maps, truths):
        known = not is_constant(relevance)
        size = np.abs(relevance)
        made = {
            DISTANCE.word: distance(relevance if signed else size, truth) if known else np.nan,
            # A map of two opposite values is constant in size.
            ABSOLUTE.word: distance(size, truth) if known and not is_constant(size) else np.nan,
            OVERLAP.word: overlap(relevance, truth) if known else np.nan,
            MASS.word: mass(relevance, truth) if known else np.nan,
            PROXIMITY.word: proximity(relevance, truth) if known else np.nan,
        }
        for word, value in made.items():
            found.setdefault(word, []).append(value)
    return {word: np.array(values, dtype=np.float64) for word, values in found.items()}


def seen_by(scores: Mapping[str, np.ndarray], control: str) -> dict[str, np.ndarray]:
    """Return the scores of a control by the measures that see its fault: a sign, or one pixel, is nothing to some."""
    if control == controls.SIGN:
        return {DISTANCE.word: scores[DISTANCE.word]}
    if control == controls.SHIFTED:
        return {word: values for word, values in scores.items() if word != PROXIMITY.word}
    return dict(scores)


def _share(found: Relevance, stamp: Stamp) -> float:
    """Return Σ|relevance| of the stamp's sensor as a share of both, the mean over images."""
    if found.coarse is None:
        raise AssertionError("found.coarse is None")
    sizes = [np.abs(values).sum((1, 2, 3)) for values in (found.fine, found.coarse)]
    own, total = sizes[1 if stamp.coarse else 0], sizes[0] + sizes[1]
    return float(np.mean(own[total > 0] / total[total > 0])) if (total > 0).any() else float("nan")
