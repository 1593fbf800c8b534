"""A DOUBLE as the servers print it in the text protocol.

my_gcvt() of both servers (strings/dtoa.c): the shortest digits that read back as the
same number, in plain notation while the decimal point stands within 15 places.
"""


def format_double(value: float) -> str:
    """The text of a finite DOUBLE in a result set."""
    mantissa, _, exponent_text = f"{value!r}e".partition("e")
    exponent = int(exponent_text.rstrip("e") or "0")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    # The number is 0.DIGITS times ten to the power of `point`.
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return "0"
    if -14 <= point <= 15:
        return sign + _plain(digits, point)
    text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{text}e{point - 1}"


def _plain(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return digits[:point] + "." + digits[point:]
