"""Units of measurement, each with its factor to the base unit of its kind."""

from difflib import get_close_matches


class UnknownUnit(Exception):
    """A unit is unknown, or two units are of different kinds; the text says which."""


def convert(value: float, from_unit: str, to_unit: str) -> str:
    """Return `value` in `to_unit`, as "5 km = 3.10685596118667 mi". Raises `UnknownUnit`."""
    source, target = _find(from_unit), _find(to_unit)
    if KINDS[source] != KINDS[target]:
        raise UnknownUnit(f"{source} is a unit of {KINDS[source]}, {target} one of {KINDS[target]}.")
    if KINDS[source] == "temperature":
        result = _from_kelvin(_to_kelvin(value, source), target)
    else:
        result = value * FACTORS[source] / FACTORS[target]
    return f"{value:.15g} {source} = {result:.12g} {target}"


def _find(unit: str) -> str:
    """Return the unit's sign for any spelling of it."""
    plain = unit.strip().removeprefix("°").replace("²", "2").replace("³", "3")
    if plain in KINDS:  # signs are case-sensitive: MB and Mb, K and k
        return plain
    lower = plain.lower().replace("metre", "meter").replace("litre", "liter")
    for name in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if name in NAMES:
            return NAMES[name]
    similar = get_close_matches(lower, NAMES, n=3)
    suggestion = f" Similar names: {', '.join(similar)}." if similar else ""
    raise UnknownUnit(f"there is no unit {unit!r}.{suggestion}")


def _to_kelvin(value: float, unit: str) -> float:
    return {"K": value, "C": value + 273.15, "F": (value + 459.67) * 5 / 9}[unit]


def _from_kelvin(value: float, unit: str) -> float:
    return round({"K": value, "C": value - 273.15, "F": value * 9 / 5 - 459.67}[unit], 9)


# kind → sign → (factor to the kind's base unit, other names in lower case and singular)
UNITS: dict[str, dict[str, tuple[float, str]]] = {
    "length": {
        "m": (1, "meter"),
        "km": (1000, "kilometer"),
        "cm": (0.01, "centimeter"),
        "mm": (0.001, "millimeter"),
        "mi": (1609.344, "mile"),
        "yd": (0.9144, "yard"),
        "ft": (0.3048, "foot feet"),
        "in": (0.0254, "inch"),
        "nmi": (1852, "nautical_mile"),
    },
    "mass": {
        "kg": (1, "kilogram kilo"),
        "g": (0.001, "gram"),
        "mg": (1e-6, "milligram"),
        "t": (1000, "tonne ton"),
        "lb": (0.45359237, "pound"),
        "oz": (0.028349523125, "ounce"),
        "st": (6.35029318, "stone"),
    },
    "temperature": {"K": (1, "kelvin"), "C": (1, "celsius c"), "F": (1, "fahrenheit f")},
    "volume": {
        "l": (1, "liter"),
        "ml": (0.001, "milliliter"),
        "m3": (1000, "cubic_meter"),
        "gal": (3.785411784, "gallon"),
        "qt": (0.946352946, "quart"),
        "pt": (0.473176473, "pint"),
        "cup": (0.2365882365, ""),
        "floz": (0.0295735295625, "fluid_ounce"),
    },
    "area": {
        "m2": (1, "square_meter"),
        "km2": (1e6, "square_kilometer"),
        "ha": (1e4, "hectare"),
        "acre": (4046.8564224, ""),
        "ft2": (0.09290304, "square_foot square_feet"),
        "mi2": (2589988.110336, "square_mile"),
    },
    "speed": {"m/s": (1, "mps"), "km/h": (1 / 3.6, "kmh kph"), "mph": (0.44704, ""), "kn": (1852 / 3600, "knot")},
    "time": {
        "s": (1, "second sec"),
        "ms": (0.001, "millisecond"),
        "min": (60, "minute"),
        "h": (3600, "hour"),
        "d": (86400, "day"),
        "week": (604800, ""),
    },
    "data": {
        "B": (1, "byte"),
        "bit": (0.125, ""),
        "kB": (1e3, "kilobyte kb"),
        "MB": (1e6, "megabyte mb"),
        "GB": (1e9, "gigabyte gb"),
        "TB": (1e12, "terabyte tb"),
        "KiB": (2**10, "kibibyte kib"),
        "MiB": (2**20, "mebibyte mib"),
        "GiB": (2**30, "gibibyte gib"),
        "TiB": (2**40, "tebibyte tib"),
    },
    "energy": {
        "J": (1, "joule"),
        "kJ": (1e3, "kilojoule"),
        "Wh": (3600, "watt_hour"),
        "kWh": (3.6e6, "kilowatt_hour"),
        "cal": (4.184, "calorie"),
        "kcal": (4184, "kilocalorie"),
    },
}
KINDS = {sign: kind for kind, units in UNITS.items() for sign in units}
FACTORS = {sign: factor for units in UNITS.values() for sign, (factor, _) in units.items()}
NAMES = {
    name: sign
    for units in UNITS.values()
    for sign, (_, names) in units.items()
    for name in (sign.lower(), *names.split(), *(name.replace("_", " ") for name in names.split()))
}
