"""Units of measurement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples._units import FACTORS, KINDS, NAMES, UnknownUnit, convert


@pytest.mark.parametrize(
    ("value", "source", "target", "text"),
    [
        (5, "km", "miles", "5 km = 3.10685596119 mi"),
        (6, "feet", "cm", "6 ft = 182.88 cm"),
        (100, "°F", "celsius", "100 F = 37.777777778 C"),
        (0, "K", "C", "0 K = -273.15 C"),
        (-40, "fahrenheit", "°C", "-40 F = -40 C"),
        (2.5, "litres", "ml", "2.5 l = 2500 ml"),
        (10, "m²", "square feet", "10 m2 = 107.639104167 ft2"),
        (100, "km/h", "mph", "100 km/h = 62.1371192237 mph"),
        (1, "GB", "MiB", "1 GB = 953.674316406 MiB"),
        (3, "inches", "mm", "3 in = 76.2 mm"),
        (1, "kWh", "kilojoules", "1 kWh = 3600 kJ"),
        (2, "Weeks", "days", "2 week = 14 d"),
    ],
)
def test_conversions(value: float, source: str, target: str, text: str) -> None:
    assert convert(value, source, target) == text


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ("km", "kg", "km is a unit of length, kg one of mass"),
        ("kilometrs", "m", "there is no unit 'kilometrs'. Similar names: kilometer"),
        ("km", "", "there is no unit ''"),
    ],
)
def test_errors_name_the_unit(source: str, target: str, problem: str) -> None:
    with pytest.raises(UnknownUnit) as caught:
        convert(1, source, target)
    assert problem in str(caught.value)


def test_every_name_belongs_to_one_unit() -> None:
    assert set(NAMES.values()) == set(KINDS) == set(FACTORS)


@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(KINDS)))
def test_conversion_to_the_same_unit_changes_nothing(value: float, unit: str) -> None:
    converted = float(convert(value, unit, unit).split(" = ")[1].split()[0])
    assert converted == pytest.approx(value, rel=1e-9, abs=1e-6)
