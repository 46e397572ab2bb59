"""The colours in which landmarks are drawn: in the notebooks' pictures, over a photo, on the page."""

from aslutils.task.landmarks import HAND_BONES

# Okabe and Ito 2008, "Color Universal Design".
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
FINGER_COLOURS = (VERMILLION, ORANGE, GREEN, BLUE, PURPLE)           # thumb, index, middle, ring, little
PALM_COLOUR = "#8A8A86"
_PALM = {(0, 5), (5, 9), (9, 13), (13, 17), (0, 17)}
BONE_COLOURS = [PALM_COLOUR if bone in _PALM else FINGER_COLOURS[(bone[1] - 1) // 4] for bone in HAND_BONES]
OVER_PHOTO = {"pose": "#cccccc", "face": "#cccccc", "left_hand": "#56b4e9", "right_hand": "#ffb000"}
