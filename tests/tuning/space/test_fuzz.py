"""Whatever stands in a file is read, or explained."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tuning.space.spaces import CONTRACT, GOOD, space_of
from tuning.space.search_space import SpaceError


def reads_or_explains(raw: bytes) -> bool:
    """Read a file of these bytes; anything but a space or a SpaceError fails the test."""
    try:
        space_of(raw)
    except SpaceError as error:
        lines = str(error).split("\n")
        assert all(line.startswith("s.yaml:") for line in lines)
        str(error).encode()  # can be printed
        return False
    return True


FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PIECES = st.one_of(
    st.sampled_from([*"{}[],'#?>%\\\"\n\t\x85\0", "  ", ": ", "- ", "\n---\n", "|\n", "&a ", "*a"]),
    st.sampled_from(["!!x ", "<<", "null", "true", "-1", "0", "1e999", ".nan", "9" * 5000, "{}"]),
    st.sampled_from(["[]", "[[1]]", "num_layers", "2", '"\\ud800"', '"\\U00110000"', "%YAML 1.9"]),
)


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(raw: bytes) -> None:
    assert not reads_or_explains(raw)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len(CONTRACT)), st.integers(0, 20), PIECES), max_size=4))
def test_random_edits_are_read_or_refused(edits: list[tuple[int, int, str]]) -> None:
    text = CONTRACT
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    reads_or_explains(text.encode())


@FUZZ
@given(st.data())
def test_any_value_may_stand_anywhere(data: st.DataObject) -> None:
    words = GOOD.split(" ")
    place = data.draw(st.integers(0, len(words) - 1))
    words[place] = data.draw(PIECES) + ("\n" if words[place].endswith("\n") else "")
    reads_or_explains(" ".join(words).encode())
