"""File sizes as users read them, in our texts and in the widget's."""

import pytest

from chatkit_server.files.sizes import MB, offered_limit, readable_size


@pytest.mark.parametrize(
    ("size", "text"),
    [(20 * MB, "20 MB"), (20_000_000, "19.1 MB"), (MB, "1 MB"), (150_000, "0.143 MB"), (999, "999 bytes")],
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert readable_size(size) == text


@pytest.mark.parametrize("limit", [20 * MB, 20_000_000, 5_000_001, 1_500_000, MB])
def test_the_widget_shows_the_offered_limit_with_few_digits(limit: int) -> None:
    shown = offered_limit(limit) / 1024**2  # without rounding, as the widget does
    assert len(str(shown)) <= 5
    assert limit - MB / 4 < offered_limit(limit) <= limit


def test_a_limit_below_one_megabyte_is_offered_as_it_is() -> None:
    assert offered_limit(1000) == 1000
