"""The layout of the screen by its size: a list, a detail beside it, strips below it.

80x24 has one room; below a short list the selected row's detail is open. From 110 columns on, the
selected row's detail is open beside any list. From 100x30 on the overview has time strips below it,
from 160x40 on the newest events and the selected thing's detail beside it; there a short list has
the strips below it.
"""

from __future__ import annotations

from msgspec import Struct

BESIDE_WIDTH, WIDE_WIDTH, WIDE_HEIGHT = 110, 160, 36
STRIPS_WIDTH, STRIPS_HEIGHT = 100, 26  # of the page: 100x30 with header, footer and a notice
LIST_LEAST, LIST_WISH = 64, 136  # cells of a list beside a detail
SIDE_LEAST = 50
BELOW_LEAST = 10  # least lines of a detail below a list
UNDER_LEAST = 12  # lines of time strips below a short list


class Rooms(Struct, frozen=True):
    """Cells and lines of each part; 0: it is not shown."""

    list_width: int
    list_height: int
    beside_width: int = 0
    news_height: int = 0  # of the newest events, below the detail at the side
    strips_height: int = 0
    below_height: int = 0  # of the selected thing's detail, if the list leaves room for it
    under_height: int = 0  # of time strips below a short list, within the list's height

    @property
    def detail(self) -> bool:
        """Whether the detail of the selected row is open."""
        return bool(self.beside_width or self.below_height)


def side_width(width: int) -> int:
    """Cells of a detail beside a list, on a screen that is wide enough: a list with all its columns
    and whole names comes first."""
    most = min(width * 42 // 100, width - LIST_WISH - 1)
    return min(max(SIDE_LEAST, most), width - LIST_LEAST - 1)


def under_height(width: int, height: int, list_lines: int) -> int:
    """Lines that a short list leaves for time strips, on a page with a detail beside it."""
    if width < WIDE_WIDTH or height < WIDE_HEIGHT or not list_lines:
        return 0
    free = height - list_lines - 1
    return free if free >= UNDER_LEAST else 0


def rooms(
    width: int,
    height: int,
    *,
    overview: bool,
    beside: bool,
    strips_rows: int = 0,
    strips_alone: bool = False,
    moment: bool = False,
    list_lines: int = 0,
) -> Rooms:
    """The rooms of a page of this size.

    `beside`: a detail may be shown beside; `strips_rows`: subjects with a strip; `strips_alone`:
    the page has only strips; `moment`: the open findings at the cursor are shown below them;
    `list_lines`: lines of a list with its head, if all its rows are included.
    """
    if strips_alone:
        return Rooms(width, 0, strips_height=height)
    below = height - list_lines - 1
    if beside and list_lines and width < BESIDE_WIDTH and below >= max(BELOW_LEAST, list_lines):
        return Rooms(width, list_lines + 1, below_height=below)
    side = 0
    if beside and width >= (WIDE_WIDTH if overview else BESIDE_WIDTH):
        side = 0 if overview and height < WIDE_HEIGHT else side_width(width)
    strips = 0
    if overview and strips_rows and width >= STRIPS_WIDTH and height >= STRIPS_HEIGHT:
        strips = min(strips_rows + 2, max(6, height // 3))
        strips += 5 if height >= 50 else 0  # curves
        strips += 4 if moment else 0
    upper = height - strips
    news = min(16, upper // 3) if overview and side else 0
    under = under_height(width, height, list_lines) if side and strips_rows else 0
    return Rooms(width - side - (1 if side else 0), upper, side, news, strips, under_height=under)
