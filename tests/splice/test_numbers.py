import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ml_proxy.splice.numbers import format_double

# Printed by MariaDB 10.11, 11.8 and MySQL 9.7, which agree: SELECT x + 0e0.
PRINTED = {
    0.0: "0",
    1.0: "1",
    0.5: "0.5",
    -2.25: "-2.25",
    0.1 + 0.2: "0.30000000000000004",
    0.9921875: "0.9921875",
    1 / 3: "0.3333333333333333",
    1e-5: "0.00001",
    1.5e-5: "0.000015",
    1e-20: "1e-20",
    1.25e-20: "1.25e-20",
    123456789.125: "123456789.125",
    1e14: "100000000000000",
    1e15: "1e15",
    3e10: "30000000000",
    1e100: "1e100",
    -1.7976931348623157e308: "-1.7976931348623157e308",
    5e-324: "5e-324",
}


@pytest.mark.parametrize("value", PRINTED)
def test_a_double_is_printed_as_the_servers_do(value):
    assert format_double(value) == PRINTED[value]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back_as_itself(value):
    text = format_double(value)
    assert struct.pack("<d", float(text) + 0.0) == struct.pack("<d", value + 0.0)


@given(st.floats(0, 1))
def test_a_confidence_is_digits_and_a_point(value):
    text = format_double(value)
    assert text == text.strip() and text.count(".") <= 1
    assert set(text) <= set("0123456789.e-")
