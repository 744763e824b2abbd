"""The geometry of a bar chart: numbers in, rectangles and labels out, for the page's inline SVG."""

from dataclasses import dataclass

WIDTH = 640
LABEL = 130
BAR = 18
STEP = 26
VALUE = 120


@dataclass(frozen=True)
class Bar:
    """One group's bar."""

    name: str
    value: str
    y: int
    length: int


@dataclass(frozen=True)
class Chart:
    """Everything the template writes down."""

    title: str
    width: int
    height: int
    label: int
    thickness: int
    bars: list[Bar]


def money(cents):
    """Returns an amount such as `1,234.50`."""
    return f"{cents // 100:,}.{cents % 100:02}"


def chart(title, groups):
    """Returns the chart of a report's groups, the longest bar as wide as there is room."""
    highest = max((group["amount_cents"] for group in groups), default=0)
    room = WIDTH - LABEL - VALUE
    bars = [
        Bar(
            name=group["name"],
            value=money(group["amount_cents"]),
            y=index * STEP,
            length=group["amount_cents"] * room // highest if highest else 0,
        )
        for index, group in enumerate(groups)
    ]
    return Chart(title=title, width=WIDTH, height=len(groups) * STEP, label=LABEL, thickness=BAR, bars=bars)
