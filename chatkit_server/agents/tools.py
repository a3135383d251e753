"""The default agent's tools. Bad input is answered by a text that starts with "Error:", which the model can act on."""

from datetime import UTC, datetime

from agents import function_tool

from examples.arithmetic import ArithmeticProblem, evaluate
from examples.units import UnknownUnit, convert

from ..conversion.tool_display import shown_as
from .clock import UnknownZone, describe_time


@shown_as("Looking at the clock of {time_zone}", icon="clock")
@function_tool
def current_time(time_zone: str) -> str:
    """The current date, weekday, time and UTC offset in one time zone.

    Args:
        time_zone: IANA name of the time zone, such as "Europe/Berlin", "America/New_York" or "UTC". Choose it by the
            place that the user means; "UTC" where no place is known.
    """
    try:
        return describe_time(datetime.now(UTC), time_zone)
    except UnknownZone as problem:
        return f"Error: {problem}"


@shown_as("Calculating {expression}", icon="square-code")
@function_tool
def calculate(expression: str) -> str:
    """The value of an arithmetic expression, exact for whole numbers.

    Args:
        expression: Numbers with a point as decimal mark and no thousands separators, + - * / // % ** and parentheses,
            the constants pi and e, and the functions sqrt, cbrt, exp, log (natural, or log(x, base)), log2, log10,
            sin, cos, tan, asin, acos, atan (radians), radians, degrees, abs, round, floor, ceil, min, max, factorial.
            Example: "round(1250 * 1.19 ** 3, 2)".
    """
    try:
        return evaluate(expression)
    except ArithmeticProblem as problem:
        return f"Error: {problem}"


@shown_as("Converting {value} {from_unit} to {to_unit}", icon="reload")
@function_tool
def convert_units(value: float, from_unit: str, to_unit: str) -> str:
    """A quantity in another unit: length, mass, temperature, volume, area, speed, time, data or energy.

    Args:
        value: The quantity in `from_unit`.
        from_unit: Unit to convert from, such as "km", "mile", "lb", "celsius", "l", "m2", "km/h", "h", "MB", "kWh".
        to_unit: Unit to convert to, of the same kind.
    """
    try:
        return convert(value, from_unit, to_unit)
    except UnknownUnit as problem:
        return f"Error: {problem}"
