"""Evaluate arithmetic on a syntax tree: only listed names and functions, no attributes, and bounded numbers."""

import ast
import math
import operator
from collections.abc import Callable

Number = int | float

MAX_LENGTH = 300
"""Longest expression in characters."""
MAX_BITS = 3300
"""Largest whole number in bits: about 1000 digits."""


class ArithmeticProblem(Exception):
    """The expression cannot be evaluated; the text says why."""


def evaluate(expression: str) -> str:
    """Return the value of `expression`. Raises `ArithmeticProblem` unless it is arithmetic within the bounds."""
    if len(expression) > MAX_LENGTH:
        raise ArithmeticProblem(f"the expression is longer than {MAX_LENGTH} characters.")
    try:
        tree = ast.parse(expression.strip().translate(TYPOGRAPHY), mode="eval")
        return _format(_value(tree.body))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ArithmeticProblem(f"{expression!r} is not an arithmetic expression, or has no real value.") from None
    except ZeroDivisionError:
        raise ArithmeticProblem("division by zero.") from None
    except OverflowError:
        raise ArithmeticProblem("the value is too large.") from None


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=bool()):
            raise ArithmeticProblem("True and False are not numbers here.")
        case ast.Constant(value=int() | float() as number):
            return _bounded(number)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return _bounded(OPERATORS[type(op)](_value(left), _value(right)))
        case ast.BinOp(op=ast.BitXor()):
            raise ArithmeticProblem("^ is not a power here, write **.")
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return _call(name, [_value(argument) for argument in arguments])
    raise ArithmeticProblem(f"{ast.unparse(node)!r} is not allowed: only numbers, + - * / // % ** and known functions.")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        if base.bit_length() * exponent > MAX_BITS * 2:  # generous: bit_length rounds up; _bounded is exact
            raise OverflowError
        return _bounded(base**exponent)
    result = float(base) ** float(exponent) if exponent else 1
    if isinstance(result, complex):
        raise ValueError
    return _bounded(result)


def _call(name: str, arguments: list[Number]) -> Number:
    try:
        return _bounded(FUNCTIONS[name](*arguments))
    except TypeError:
        raise ArithmeticProblem(f"{name} does not take these arguments.") from None


def _factorial(number: Number) -> int:
    if number > 450:
        raise OverflowError
    return math.factorial(int(number)) if number == int(number) else _no_value()


def _round(number: Number, digits: Number = 0) -> Number:
    if digits != int(digits) or abs(digits) > 300:  # round(5, -10**9) would compute 10**10**9
        raise TypeError
    return round(number, int(digits)) if digits else round(number)


def _no_value() -> int:
    raise ValueError


def _bounded(number: Number) -> Number:
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise OverflowError
    if isinstance(number, float) and not math.isfinite(number):
        raise OverflowError
    return number


def _format(number: Number) -> str:
    """Format whole numbers in full, others to the 15 digits that a float holds (0.1 + 0.2 is 0.3)."""
    return str(number) if isinstance(number, int) else f"{number:.15g}"


TYPOGRAPHY = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "π": "pi"})
CONSTANTS: dict[str, Number] = {"pi": math.pi, "e": math.e}
OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
FUNCTIONS: dict[str, Callable[..., Number]] = {
    "sqrt": math.sqrt,
    "cbrt": math.cbrt,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "radians": math.radians,
    "degrees": math.degrees,
    "abs": abs,
    "round": _round,
    "floor": math.floor,
    "ceil": math.ceil,
    "min": min,
    "max": max,
    "factorial": _factorial,
}
