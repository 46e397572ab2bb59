"""How each character is signed: a table of hand shapes in degrees, and the signs that move.

The angles were fitted to MediaPipe landmarks of several signers and rounded; where signers differ there is a row for each way.
A person's own shape lies between the rows (see `participant`). Columns, in the words of `hand`: thumb radial,
palmar, opposition, mcp, ip; then spread, mcp, pip of the index, middle, ring and little finger (a DIP bends with its PIP:
DIP_SHARE); then the hand's turn, tilt and lean.
"""

from dataclasses import dataclass

import numpy as np

from aslutils.demo.hand import JOINTS

DIP_SHARE = 0.6                    # a finger's last joint bends this share of its middle joint: one tendon moves both

SHAPES_TABLE = """
a |  18  14  20   5   0|   4  82  75|  -5  92  85| -14  95  88| -24  90  85|   0 -10   5 | fist, thumb upright at its side
b |   5   0  25  45  38| -12  12   5|  -6  13   4|  -1  16   4|   3  15   0|   5   3   8 | flat, thumb folded across the palm
c |  -5  42  40  35 -25| -22   8  35| -15   6  46|  -4   2  44|   6   8  22|  68   0  14 | an open curve seen from the side
c |  24  43 100  12   0|  -9  10  26|  -2   0  45|   4  -8  48|   4 -12  44|  35   5  20 | the same, more to the front
d |   2  24  10  15   0| -12  -3   2| -15  30  70|   6  27  74|  16  25  63|  58   0  12 | index up, the others ring the thumb
e |  10   3  10  48  48| -16   8 100| -12  10 107|  -6   8 110|   2   0  92|   6   0   8 | all tips curled down onto the thumb
f |  30  10  45  30  10|   0  46  54|  -6  18   0| -11  11   0| -24   6   0|  18   3  12 | index meets thumb, three fingers spread
g |  16  34  50   5   0| -18  70  10|  -3  82 100| -22  88  95| -25  84 100|  90  38  -8 | index, thumb point sideways
h |  20  10  32  38  22|  -8  62  10|  10  74   5| -25  88  94| -25  90  88|  97  34  10 | two fingers pointing sideways
h |   5  13  15  36  24| -22  42   0| -22  50   0| -25  70 108| -26  67 106| 145  30  46 | the same, palm to the signer
i |  18  16   4  38  38|  -2  82  84|  -8  84  80| -18  86  84| -12  26   0|   8  -8   8 | little finger up
k |  -5  18  28   5   0|  -8  36   0|  -8  54 -10| -15  90  80| -25  90  80|  20 -10   0 | V, thumb between, middle forward
l |  36   2  40  10   0|  -2  12   0|  -8  74  90| -18  84  90| -26  76  98|   8   6   6 | index up, thumb out: a right angle
m | -12  10 -15  20  12| -15  48 105| -11  52 105|  -9  48 102| -26  84  90|  23  -6   0 | thumb under three fingers
m | -11  15 -20  26  23| -25  45  64| -20  46  70| -15  45  67| -25  72  50|  38   0   3 | the same, knuckles high
n |  -2  13   0  23  21|   7  64  92|  -6  56  94| -19  90  84| -26  92  82|  15  -8  -2 | thumb under two fingers
n |   5  14  -8  26  30| -17  33  61| -10  32  80| -25  72  87| -26  76  82|  30   2   8 | the same, knuckles high
o |  -6  30   0  -5  35| -26  20  75| -22  28  75|   5  23  75|  20  20  48|  57  -6   8 | all tips meet the thumb: a round hole
p |  -6  22  40  17   5| -14  52   0| -22  62   0| -22  76 100| -26  84  85|   5 130 -10 | K pointing down
p |  10   5  37  34  15|   1  23  -5| -26  59   5| -25  67 103| -25  61 107| 118  32 104 | the same, from the side
q |   2  24  66  28   6| -21  64   0| -17  68 105| -24  74 101| -25  62 108| 105  48 108 | G pointing down
q |  10  25  66  28   0| -22  75   0| -20  85  90| -22  88  92| -25  80 100|  60  85  62 | the same, more to the front
r |  -3  10  -4  30  26| -22  14   0|  -2  17   2| -20  34 106| -26  58  92|  22   2   4 | index and middle crossed
s |  12  12   4  44  44|  -6  50 100| -12  62 108| -20  70 108| -25  74 110|   6  -4  14 | fist, thumb across the front
t |   3  13   0  14  12|   0  49  88| -10  86  88| -18  95  85| -26  93  88|  10  -7   7 | thumb tip between index and middle
u |  -3   4  14  34  20| -11  17   0|  -6  17   0| -20  30 112| -26  56  96|  22   2   0 | two fingers up, together
v |  -5   7  16  35  14|  11  19   0| -10  10   0| -24  32 113| -26  60  95|  20   5   1 | two fingers up, spread
w |  -8  25 -36  55  15|   6  24   0|  -7   9   0| -21  16   0| -26  55  92|  22   3   4 | three up, thumb holds the little one
x |   8  14   5  40  30|  -4  14  66| -20  36 105| -26  64 104| -26  76  90|  16   2  -3 | index hooked
x |  15  33  -4  41   5|  -8  -8  52| -16  61 101| -25  76  89| -26  78  79|  76  22  -8 | the same, from the side
y |  34   4   0  -2 -15|   3  84  78|  -5  95  76| -12  90  80| -20  35  -8|  -3   0  -6 | thumb and little finger out
z |  15  18   5  40  25|  -4  24   5| -12  70  98| -20  85  98| -20  88  92|  10  10  -6 | index up; it draws the letter
0 |   0  38   8   4  28| -25  36  62| -18  42  62|   4  46  52|  18  48  34|  80   0  -8 | O seen from the side, rounder
1 |  14  19   0  36  44|   5  20   0|  -9  60  96| -24  67 100| -26  62  98|   9   0  -4 | index up, a closed fist, palm forward
2 |   6  24 -15  56  10|  10  13   0|  -4  11   0| -16  44 110| -25  57 106|   0   6  -2 | V, palm forward
3 |  48  14  16   0  -9|  11  25   2|  -7  25  -4| -19  65  98| -26  82  86|   5  -2  -7 | V with the thumb out
4 |  13   0   4  68  22|  16  10   1|   6   5   3|  -4   7   4| -16  14  -6|   4   8  -3 | four spread, thumb folded
5 |  44  17  25   6 -10|  13  24  -4|   0  13   6|  -8   7  15| -24   7   6|  10   4  -6 | all spread
6 |  -3  26 -24  64  16|   5  16  -3|  -6   9   2| -19  11   6| -14  30 114|   6   5   1 | thumb to the little finger
7 |   7  20 -13  44  35|  13  10   0|   0  11  -2|  -8  20 114| -25  12  -8|   5   7   0 | thumb to the ring finger
8 |  21  17  -6  54  24|   9   0  14|   5  14 114|  -8  11  -2| -26  13   1|  -4   5  -1 | thumb to the middle finger
9 |  21  27 -20  16  64|   5  27  74|   4  13   1|  -7   9   5| -18   7   0|  11   5  -6 | thumb to the index finger
flat      |  10   5  20  10   5|   0   5   5|   0   5   5|   0   5   5|   0   5   5|  20  70   0 | flat, palm down
blade     |  10   5  20  10   5|   0   5   5|   0   5   5|   0   5   5|   0   5   5|  80  20   0 | flat, edge to the front
point_down|  15  19   0  36  44|   0  15   0|  -9  60  96| -24  67 100| -26  62  98|  10 140   0 | the index points to the ground
bent_v    |   5  24 -15  56  10|  10  20  75|  -4  20  75| -16  44 110| -25  57 106|   5   5   0 | V with hooked fingers
claw      |  44  25  40  20  30|  13  20  60|   2  15  60|  -8  15  60| -20  15  55|  10  15   0 | 5 with hooked fingers
horns     |  44  10  10   0   0|   8  15   0|  -5  75  90| -15  80  90| -20  25   0|   5   0   0 | thumb, index, little out
thumb_up  |  40  -5   0   0 -20|   0  85  85|  -5  90  88| -12  92  88| -22  90  85|  80   0  70 | a fist with the thumb up
rest      |  20  15  20  15  20|   3  25  30|  -1  30  35|  -4  35  38|  -8  38  40|  60  60  40 | a relaxed hand
"""

# What tells look-alikes apart, by groups that a reader would mix up:
#   a s t m n e   all fists, told by the thumb: a beside, s across the front, t tip out after one finger, n under two, m under
#                 three; e holds no fist, its tips rest on the thumb
#   u v r k       u together, v spread, r crossed, k spread with the thumb between and the middle finger forward
#   g q, p k      one shape each: g points sideways, q down; k stands, p hangs
#   0 o, 2 v      one shape each; 0 is rounder and turned more to the side, phrases tell the rest
#   6 w, 9 f      6 presses thumb and little finger harder; 9 closes index and thumb from the tips, f from the side
#   1 d z x       d closes a ring of thumb and fingers and is turned, 1 closes a fist and faces forward, z draws, x is hooked
#   h u, i j      the same fingers: h lies, u stands; j draws

# Signs that move: one row a key frame. Columns: the shape, then how far the hand is turned from that shape's own turn, tilt and
# lean (degrees), then where the wrist is, to the picture's right, down and away from the camera (palms, for a right hand).
# The strokes are drawn as the signer sees them, so they run to the picture's left. Signers have no standard punctuation:
# most draw it in the air, and so do we, with a shape each that keeps them apart.
MOVES_TABLE = """
j | i          |   0   0   0 |  0.0 -0.5  0.0
j | i          |  75  25  15 | -0.6 -0.2  0.0
j | i          | 140  50 -15 |  0.1  0.5  0.0
z | z          |   0   0  12 |  0.5 -0.4  0.0
z | z          |  30   5 -14 | -0.6 -0.3  0.0
z | z          |   0  25  12 |  0.4  0.4  0.0
z | z          | -15  30 -24 | -0.7  0.4  0.0
  | 5          |   0   0   8 |  0.6  0.0  0.0
  | 5          |   0   0  -8 | -0.6  0.0  0.0
! | thumb_up   |   0   0 -15 |  0.0 -0.4  0.0
! | thumb_up   |   0   0  15 |  0.0  0.4  0.0
# | bent_v     |   0   0   0 |  0.3 -0.6  0.0
# | bent_v     |   0   0   0 |  0.3  0.5  0.0
# | bent_v     |   0   0 -60 | -0.6  0.0  0.0
$ | horns      |   0  60   0 |  0.4 -0.5  0.0
$ | horns      |   0  60 -20 | -0.4  0.0  0.0
$ | horns      |   0  60   0 |  0.3  0.5  0.0
% | o          |   0   0   0 |  0.5 -0.5  0.0
% | o          |   0  20 -30 | -0.5  0.5  0.0
& | horns      |   0   0 -20 |  0.3  0.0  0.0
& | horns      |   0   0  20 | -0.3  0.0  0.0
' | x          |   0   0  20 |  0.1 -0.7  0.0
' | x          |  30   0 -20 | -0.1 -0.2  0.0
( | c          | -20   0  15 |  0.3 -0.6  0.0
( | c          | -20   0 -25 |  0.3  0.6  0.0
) | c          |  90   0 -20 | -0.3 -0.6  0.0
) | c          |  90   0  20 | -0.3  0.6  0.0
* | o          |   0   0   0 |  0.0  0.2  0.0
* | 5          |   0   0   0 |  0.0 -0.4 -0.5
+ | 1          |   0   0   0 |  0.0 -0.6  0.0
+ | 1          |   0  15   0 |  0.0  0.5  0.0
+ | 1          |   0   0  70 |  0.5  0.0  0.0
+ | 1          |   0   0  40 | -0.5  0.0  0.0
, | x          |   0  10  10 |  0.0  0.0  0.0
, | x          |   0  50 -25 | -0.2  0.6  0.0
- | flat       |   0   0   0 |  0.7  0.0  0.0
- | flat       |   0   0   0 | -0.7  0.0  0.0
. | 1          |   0  25   0 |  0.0  0.0  0.2
. | 1          |   0  70   0 |  0.0  0.3 -0.8
/ | blade      |   0  20  25 |  0.5  0.7  0.0
/ | blade      |   0   0 -25 | -0.5 -0.7  0.0
: | bent_v     |   0   0   0 |  0.0 -0.4  0.0
: | bent_v     |   0  40   0 |  0.0  0.0 -0.5
: | bent_v     |   0   0   0 |  0.0  0.4  0.0
; | bent_v     |   0  10   0 |  0.0 -0.3  0.0
; | bent_v     |  60  30 -30 | -0.3  0.6  0.0
= | h          |   0   0   0 |  0.5 -0.4  0.0
= | h          |   0   0   0 | -0.6 -0.4  0.0
= | h          |   0   0   0 |  0.5  0.3  0.0
= | h          |   0   0   0 | -0.6  0.3  0.0
? | 1          |   0   0 -15 |  0.2 -0.6  0.0
? | x          |   0   0   0 | -0.3 -0.1  0.0
? | x          |   0  40   0 |  0.0  0.5 -0.4
@ | claw       | -20   0   0 |  0.0  0.0  0.0
@ | claw       |  80   0   0 |  0.0  0.0  0.0
[ | l          |   0   0   0 |  0.2 -0.7  0.0
[ | l          |   0  20   0 |  0.2  0.6  0.0
_ | point_down |   0   0   0 |  0.8  0.3  0.0
_ | point_down |   0   0   0 | -0.8  0.3  0.0
~ | flat       |   0   0  20 |  0.8  0.0  0.0
~ | flat       |   0  20 -15 |  0.3 -0.4  0.0
~ | flat       |   0 -20  15 | -0.3  0.3  0.0
~ | flat       |   0   0 -20 | -0.8  0.0  0.0
"""


@dataclass(frozen=True)
class Shape:
    """One way to make a hand shape."""

    angles: np.ndarray         # (21,) degrees, in the order of hand.JOINTS
    orientation: np.ndarray    # (3,) degrees: turn, tilt, lean


@dataclass(frozen=True)
class KeyFrame:
    """Where a sign's hand is at one moment of it."""

    shape: str                 # a name in SHAPES
    turn: np.ndarray           # (3,) degrees, added to the shape's orientation
    travel: np.ndarray         # (3,) palms: right, down, away


def _numbers(text: str) -> np.ndarray:
    return np.array([float(number) for number in text.split()])


def _shapes() -> dict[str, tuple[Shape, ...]]:
    shapes: dict[str, tuple[Shape, ...]] = {}
    for line in SHAPES_TABLE.strip().splitlines():
        name, thumb, *fingers, orientation, _ = (cell.strip() for cell in line.split("|"))
        triples = np.stack([_numbers(finger) for finger in fingers])                       # (4, 3): spread, mcp, pip
        quads = np.concatenate([triples, DIP_SHARE * triples[:, 2:]], 1)                   # (4, 4): and dip
        angles = np.concatenate([_numbers(thumb), quads.ravel()])
        if angles.shape != (len(JOINTS),):
            raise ValueError(f"the shape {name!r} has {angles.size} joint angles, expected {len(JOINTS)}: {line}")
        shapes[name] = (*shapes.get(name, ()), Shape(angles, _numbers(orientation)))
    return shapes


def _signs() -> dict[str, tuple[KeyFrame, ...]]:
    still = {name: (KeyFrame(name, np.zeros(3), np.zeros(3)),) for name in SHAPES if len(name) == 1}
    moving: dict[str, tuple[KeyFrame, ...]] = {}
    for line in MOVES_TABLE.strip("\n").splitlines():
        character, shape, turn, travel = line[0], *line[1:].split("|")[1:]
        moving[character] = (*moving.get(character, ()), KeyFrame(shape.strip(), _numbers(turn), _numbers(travel)))
    return still | moving


SHAPES = _shapes()             # name -> the ways to make it, at least one
SIGNS = _signs()               # each of the 59 characters -> its key frames: one if it is held still, more if it moves
