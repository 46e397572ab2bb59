"""Characters and tokens."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aslutils.task.text import CHARACTERS, EOS, INDEX, MASK, PAD, SOS, STEPS, decode, encode, phrase_kind


@given(st.text(CHARACTERS, max_size=32))
def test_a_phrase_survives_encoding_and_decoding(phrase):
    tokens = encode(phrase)
    assert tokens.shape == (STEPS,) and tokens[len(phrase)] == EOS and (tokens[len(phrase) + 1:] == PAD).all()
    assert decode(tokens) == phrase


def test_a_longer_phrase_is_cut_to_32_characters():
    assert decode(encode("x" * 40)) == "x" * 32 and encode("x" * 40)[32] == EOS


def test_a_row_without_end_keeps_its_characters_and_tokens_without_character_are_dropped():
    assert decode([32, PAD, 33, SOS, MASK, 34]) == "abc"
    assert decode(np.full(33, 32)) == "a" * 33


def test_an_unknown_character_is_named():
    with pytest.raises(ValueError, match="'É'"):
        encode("cafÉ")


def test_the_characters_are_the_competitions(shared):
    assert json.loads((shared / "realdata/competition/character_to_prediction_index.json").read_text()) == INDEX


@pytest.mark.parametrize("phrase, kind", [("+44-20-7946", "phone"), ("www.abc.com/x", "url"), ("3 creek road", "address"),
                                          ("shop-23.co", "url"), ("412.567", "phone")])
def test_tells_the_three_kinds_of_phrase_apart(phrase, kind):
    assert phrase_kind(phrase) == kind
