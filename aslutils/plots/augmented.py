"""One sequence under each augmentation."""

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection

from aslutils.data.augment import OneOf
from aslutils.plots.style import FAINT, GRID, PART_COLOURS, bare, picture, styled
from aslutils.task.landmarks import BONES, PARTS

COLUMNS, RATIO = 4, 1.5            # panels per row; aspect ratio of the window around the signer
_COLOURS = matplotlib.colormaps["PuOr_r"].with_extremes(bad="#B4B4B0")
_ORDER = np.concatenate(list(PARTS.values()))     # the rows of the map: left hand, right hand, face, pose
_ENDS = np.cumsum([0, *(len(part) for part in PARTS.values())])


@styled
def augmentations(frames: np.ndarray, partner: np.ndarray, augmentations, seed: int = 7):
    """One sequence unchanged, and after each augmentation.

    frames, partner: (T, 130, 3) standardised, the sequence and the one that CutMix joins to it; augmentations: from
    `aslutils.data.augment.build`. All panels have the same scales.
    """
    shown = [("as recorded", frames), *_augmented(frames, partner, augmentations, np.random.default_rng(seed))]
    rows = -(-len(shown) // COLUMNS)
    figure = picture(2.4 * rows + 0.8, "One sequence under each augmentation")
    grid = figure.subplots(2 * rows, COLUMNS, squeeze=False, height_ratios=[1.5, 1] * rows)
    uppers, lowers = grid[::2].ravel(), grid[1::2].ravel()
    window, longest = _window(frames), max(len(sequence) for _, sequence in shown)
    for index, (upper, lower, (name, sequence)) in enumerate(zip(uppers, lowers, shown)):
        _signer(bare(upper), frames, sequence, window)
        upper.set_anchor("W")
        upper.set_title(name)
        _map(lower, sequence, float(np.abs(frames[..., 0]).max()))
        lower.set(xlabel="frame", xlim=(0, longest))
        if index % COLUMNS == 0:
            lower.set_yticks((_ENDS[:-1] + _ENDS[1:]) / 2, [part.replace("_", " ") for part in PARTS])
    for unused in (*uppers[len(shown):], *lowers[len(shown):]):
        unused.remove()
    figure.supxlabel("Above: the signer in the frame that changed most (the middle one if the length differs), pale: as "
                     "recorded.\nBelow: where each landmark is, across the picture, over time; violet: left of the middle, "
                     "orange: right of it, grey: missing", x=0.01, ha="left", fontsize=8, color=FAINT)
    return figure


def _augmented(frames, partner, augmentations, rng):
    """(class name, sequence) for each augmentation that can act."""
    if augmentations.mirror is not None:
        yield "Mirror", augmentations.mirror.apply(frames)
    if augmentations.cutmix is not None:
        yield "CutMix", augmentations.cutmix.apply(frames, partner, *augmentations.cutmix.draw(rng))
    for augmentation in augmentations.rest:
        if augmentation.p > 0:
            yield _name(augmentation), _acted(augmentation, frames, rng)


def _name(augmentation) -> str:
    """The class name; for OneOf, the names of its choices."""
    if not isinstance(augmentation, OneOf):
        return type(augmentation).__name__
    return "one of: " + ", ".join(dict.fromkeys(map(_name, augmentation.choices)))


def _acted(augmentation, frames, rng, draws: int = 20):
    """`frames` after the first of up to `draws` draws that changes them."""
    for _ in range(draws):
        changed = augmentation.apply(frames, *augmentation.draw(rng))
        if not np.array_equal(changed, frames):
            break
    return changed


def _window(frames):
    """The corners, upper left and lower right, of a window of the panel's shape that shows all of the sequence and its mirror."""
    points = frames[(frames != 0).any(2)][:, :2]
    low, high = (np.quantile(points, (0.005, 0.995), axis=0) if len(points) else np.array([[-1.0, -1.0], [1.0, 1.0]]))
    low[0], high[0] = min(low[0], -high[0]), max(high[0], -low[0])
    middle, half = (low + high) / 2, 0.54 * (high - low)
    half = np.maximum(half, half[::-1] * (RATIO, 1 / RATIO))
    return middle - half, middle + half


def _signer(axes, original, sequence, window):
    """The skeleton in the frame that changed most, over the original one if both have the same length."""
    if len(sequence) == len(original):
        changed = (sequence != original).any(2).sum(1)
        seen = (original[:, PARTS["left_hand"]] != 0).any((1, 2)) | (original[:, PARTS["right_hand"]] != 0).any((1, 2))
        moment = int((changed * 1000 + seen * 100 - np.abs(np.arange(len(seen)) - len(seen) / 2) / max(1, len(seen))).argmax())
        _skeleton(axes, original[moment], lambda part: "#C9C9C5", 0.8)
    else:
        moment = len(sequence) // 2
    _skeleton(axes, sequence[moment], PART_COLOURS.get, 1.1)
    (left, top), (right, bottom) = window
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _skeleton(axes, points, colour, width):
    """The bones of one standardised frame whose two ends are seen (not 0)."""
    seen = (points != 0).any(1)
    for part, bones in BONES.items():
        axes.add_collection(LineCollection(points[bones[seen[bones].all(1)], :2], colors=[colour(part)], linewidths=width),
                            autolim=False)


def _map(axes, sequence, limit):
    """x of all landmarks over time: violet left, orange right of the middle, grey where missing."""
    missing = (sequence == 0).all(2)
    values = np.ma.masked_array(sequence[..., 0], missing).T[_ORDER]
    axes.imshow(values, aspect="auto", cmap=_COLOURS, vmin=-limit, vmax=limit, interpolation="nearest",
                extent=(0, len(sequence), len(_ORDER), 0))
    for end in _ENDS[1:-1]:
        axes.axhline(end, color=FAINT, linewidth=0.5)
    axes.grid(False)
    axes.set_yticks([])
    axes.tick_params(axis="y", length=0, color=GRID)
