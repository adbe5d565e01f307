"""Figures of the Tokens page: counts, languages, levels."""

from __future__ import annotations

import plotly.io as pio
import pytest

from model_runtime.records import Token
from tests.unit.viz.tokens.test_columns import cut
from viz.style import TEMPLATE
from viz.tokens.counts import TokenCount, token_counts_figure, token_counts_record
from viz.tokens.languages import LanguagePanel, languages_figure, languages_record
from viz.tokens.levels import LevelPoint, label_places, level_points_figure, level_points_record


def counts():  # type: ignore[no-untyped-def]
    begin = Token(0, "<s>", b"", special=True)
    return token_counts_record(
        [cut("ab cd", begin, "ab", " cd", name="A"), cut("ab cd", "a", "b", " cd", name="<b>")]
    )


def test_counts_leave_out_what_is_added_but_the_table_has_it() -> None:
    record = counts()
    assert record.rows == (TokenCount("A", 1000, 2, 2.5), TokenCount("<b>", 1000, 3, 5 / 3))
    assert record.title == "A needs fewest tokens: 2 for 5 characters; the most is 3"
    assert record.table[0] == ("A", 0, 0, "<s>", "")
    assert record.table[2] == ("A", 2, 3, " cd", "20 63 64")
    assert len(record.table) == 6


def test_counts_are_bars_from_zero_on_the_scale_they_are_told() -> None:
    drawn = token_counts_figure(counts())
    assert list(drawn.figure.data[0].x) == [2, 3]
    assert drawn.figure.layout.xaxis.range == (0, 4.5)
    assert drawn.figure.layout.template.layout.font.size == pio.templates[TEMPLATE].layout.font.size
    assert drawn.figure.layout.yaxis.ticktext[1] == "&lt;b&gt; "
    assert len(drawn.table["token id"]) == 6
    wider = token_counts_record([cut("ab", "ab")], end=100)
    assert token_counts_figure(wider).figure.layout.xaxis.range == (0, 150)


@pytest.mark.parametrize(
    ("pieces", "title"),
    [
        ((), "0 characters, 0 tokens"),
        (("a",), "1 character, 1 token"),
        (("a", "b"), "2 characters, 2 tokens"),
    ],
)
def test_one_tokenizer_is_just_told(pieces: tuple[str, ...], title: str) -> None:
    record = token_counts_record([cut("".join(pieces), *pieces)])
    assert record.title == title
    assert token_counts_figure(record).alt.startswith(title.split(",")[0])


def test_languages_are_compared_with_the_first() -> None:
    record = languages_record({"English": "one", "Hindi": "एक"}, {"A": (2, 6), "B": (2, 3)})
    assert record.panels == (LanguagePanel("A", (2, 6), (1.0, 3.0)), LanguagePanel("B", (2, 3), (1.0, 1.5)))
    assert record.title == "Hindi costs 1.50 to 3.00 times the tokens of English"
    drawn = languages_figure(record)
    assert [list(trace.x) for trace in drawn.figure.data] == [[2, 6], [2, 3]]
    assert drawn.figure.layout.xaxis.range == drawn.figure.layout.xaxis2.range
    three = languages_record({"A": "a", "B": "b", "C": "c"}, {"x": (20, 37, 40)})  # 1.85 and 2 times as many
    bars = languages_figure(three).figure.data[0]
    assert list(bars.text) == [" 20", " 37  <b>1.85×</b>", " 40  <b>2.00×</b>"]
    assert drawn.table["bytes"] == [3, 6]
    assert drawn.table["tokens, B"] == [2, 3]


def points():  # type: ignore[no-untyped-def]
    return level_points_record(
        [
            LevelPoint("words", "Words", 7, 8, 3),
            LevelPoint("characters", "Characters", 18, 48, 0),
            LevelPoint("bytes", "Bytes", 256, 48, 0),
            LevelPoint("tokens", "Subword tokens", 49_152, 10, 0),
        ]
    )


def test_levels_stand_at_their_vocabulary_and_length() -> None:
    record = points()
    assert record.title == "3 of 8 words are unknown; 48 bytes or 10 tokens lose nothing"
    figure = level_points_figure(record).figure
    assert [(trace.x[0], trace.y[0]) for trace in figure.data] == [(7, 8), (18, 48), (256, 48), (49_152, 10)]
    assert figure.layout.xaxis.type == "log"
    assert len({trace.marker.symbol for trace in figure.data}) == 4  # never colour alone


def test_labels_of_points_that_nearly_meet_part() -> None:
    places = label_places(points())
    assert places == ["bottom right", "bottom right", "top right", "top left"]


def test_levels_of_no_text_with_no_vocabulary_can_be_drawn() -> None:
    record = level_points_record(
        [LevelPoint("words", "Words", 0, 0, 0), LevelPoint("bytes", "Bytes", 256, 0, 0)]
    )
    drawn = level_points_figure(record)
    assert drawn.figure.data[0].x[0] == 1
    assert drawn.table["vocabulary"] == [0, 256]
