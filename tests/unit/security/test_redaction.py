import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.security.redaction import MAX_CHARACTERS, redact

CANARY = "canary-7f3"


LITERALS = {
    f"'{CANARY}'": CANARY,
    f" '{CANARY}'": CANARY,
    f"\n'{CANARY} it''s, (b) c'": f"{CANARY} it's, (b) c",
    f"E'{CANARY}'": CANARY,
    f"N '{CANARY}'": CANARY,
    f'"{CANARY}"': CANARY,
    CANARY: CANARY,
    f"'{CANARY} and no end": f"{CANARY} and no end",
    f"'{CANARY} /* x */ -- y'": f"{CANARY} /* x */ -- y",
    f"-- why\n/* because */'{CANARY} b'": f"{CANARY} b",
}


@pytest.mark.parametrize(("literal", "value"), LITERALS.items())
@pytest.mark.parametrize("mark", ["/*secret*/", "/* SECRET */", "/*secret*/ /*secret*/"])
def test_a_marked_literal_is_not_written_down(mark: str, literal: str, value: str) -> None:
    redacted = redact(f"select * from FACTS where NOTE = {mark}{literal}")
    assert CANARY not in redacted.text
    assert redacted.text.startswith("select * from FACTS where NOTE = /*")
    assert CANARY not in redacted.clean(f"cannot convert '{value}' near {literal}")


def test_what_follows_a_marked_literal_is_kept() -> None:
    redacted = redact("f(/*secret*/'a', 'b') and X = /*secret*/12 or Y")
    assert redacted.text == "f(/*secret*/'***', 'b') and X = /*secret*/'***' or Y"


@pytest.mark.parametrize(
    "text", ["select '/*secret*/' , 'x'", "select /*no secret*/ 'x'", "-- /*secret*/\n'x'", "", "/*secret*/"]
)
def test_what_is_not_marked_is_kept_as_it_is(text: str) -> None:
    assert redact(text).text == text


def test_a_long_statement_is_cut_with_its_length_and_the_hash_of_what_was_redacted() -> None:
    long = f"select /*secret*/'{CANARY}'" + " , 1" * 5000
    other = redact(long.replace(CANARY, "another secret"))
    redacted = redact(long)
    assert len(redacted.text) == MAX_CHARACTERS
    assert redacted.cut
    assert redacted.characters > 20_000
    assert redacted.sha256 == other.sha256  # so the hash does not help to guess the secret


@given(st.text("'\"/*secret- \n\\E,()", max_size=40))
def test_any_text_is_taken(text: str) -> None:
    redact(text + f"/*secret*/'{CANARY}'")
