"""Arithmetic for a model: correct, bounded, and nothing but arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples._arithmetic import ArithmeticProblem, evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 * (3 + 4)", "14"),
        ("0.1 + 0.2", "0.3"),
        ("7 / 2", "3.5"),
        ("7 // 2", "3"),
        ("-7 % 3", "2"),
        ("2 ** 100", "1267650600228229401496703205376"),
        ("10 ** -3", "0.001"),
        ("-2 ** 2", "-4"),
        ("0 ** 0", "1"),
        ("1_000 × 2 ÷ 4 − 1", "499"),
        ("sqrt(2) ** 2", "2"),
        ("round(1250 * 1.19 ** 3, 2)", "2106.45"),
        ("round(2.5 + 1.2)", "4"),
        ("round(1234, -2)", "1200"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("log(8, 2)", "3"),
        ("sin(π / 2)", "1"),
        ("factorial(20)", "2432902008176640000"),
        ("+5", "5"),
        ("1e-300 * 1e-300", "0"),
    ],
)
def test_values(expression: str, value: str) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("9 ** 9 ** 9", "too large"),
        ("2 ** 10000", "too large"),
        ("10.0 ** 400", "too large"),
        ("1e999", "too large"),
        ("factorial(100000)", "too large"),
        ("factorial(400) ** 3", "too large"),
        ("round(5, -1000000000)", "round does not take these arguments"),
        ("1 / 0", "division by zero"),
        ("5 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("(-1) ** 0.5", "no real value"),
        ("sqrt(-1)", "no real value"),
        ("factorial(2.5)", "no real value"),
        ("2 ^ 3", r"\^ is not a power here"),
        ("1,000 + 1", "is not allowed"),
        ("x + 1", "'x' is not allowed"),
        ("__import__('os').system('id')", "is not allowed"),
        ("(1).__class__", "is not allowed"),
        ("[1][0]", "is not allowed"),
        ("sum([1, 2])", "is not allowed"),
        ("round(number=2)", "is not allowed"),
        ("'a' * 3", "is not allowed"),
        ("1 if 2 else 3", "is not allowed"),
        ("2j", "is not allowed"),
        ("True + 1", "not numbers"),
        ("sqrt(1, 2)", "sqrt does not take these arguments"),
        ("min()", "min does not take these arguments"),
        ("2 +", "not an arithmetic expression"),
        ("(" * 150, "not an arithmetic expression"),
        ("", "not an arithmetic expression"),
        ("1\x00", "not an arithmetic expression"),
        ("1 + " * 100 + "1", "longer than 300 characters"),
    ],
)
def test_refusals_have_a_reason(expression: str, problem: str) -> None:
    with pytest.raises(ArithmeticProblem, match=problem):
        evaluate(expression)


@given(st.text("0123456789.+-*/%() sqrtlogefacil,", max_size=40))
def test_any_input_is_evaluated_or_refused(expression: str) -> None:
    try:
        assert math.isfinite(float(evaluate(expression)))
    except (ArithmeticProblem, OverflowError):  # OverflowError: float() of a whole number with 1000 digits
        pass
