"""Tools that check their input and return errors that the model can act on."""

from typing import Any

from agents import Agent, function_tool
from chatkit.agents import AgentContext

from chatkit_server import shown_as

from ._arithmetic import ArithmeticProblem, evaluate
from ._units import UnknownUnit, convert


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


agent = Agent[AgentContext[Any]](
    name="Calculator",
    instructions=(
        "Calculate with `calculate` and convert with `convert_units`, never in your head. When a tool answers with "
        '"Error:", correct your input and try again.'
    ),
    tools=[calculate, convert_units],
)
