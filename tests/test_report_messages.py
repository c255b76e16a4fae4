import re
import string
from pathlib import Path

import pytest

from genkai import figures
from genkai.report.errors import ReportError
from genkai.report.fonts import missing_glyphs
from genkai.report.messages import LANGUAGES, Messages, catalogue
from genkai.report.quantities import SPECS
from report_records import CEILING, number


def placeholders(template):
    return sorted((name, spec) for _, name, spec, _ in string.Formatter().parse(template) if name)


def test_languages_have_the_same_keys_and_placeholders():
    en, ja = (catalogue(lang) for lang in LANGUAGES)
    assert en.keys() ^ ja.keys() == set()
    assert [k for k in en if placeholders(en[k]) != placeholders(ja[k])] == []
    assert {spec for text in en.values() for _, spec in placeholders(text)} <= {"", *SPECS}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_glyph_of_the_catalogue_is_in_the_fonts(lang):
    assert missing_glyphs("".join(catalogue(lang).values())) == []


def test_glyph_check_sees_what_the_fonts_lack():
    assert missing_glyphs("ok 😀 ✔ 限界") == ["✔", "😀"]


def test_japanese_sentences_end_in_plain_form():
    polite = [k for k, text in catalogue("ja").items() if re.search(r"(です|ます|ください|でした|ました)。", text)]
    assert polite == []


def test_japanese_says_neither_attacker_nor_victim():
    assert [k for k, text in catalogue("ja").items() if "攻撃" in text] == []
    assert [k for k, text in catalogue("en").items() if re.search("attack|victim", text, re.I)] == []


def test_japanese_has_punctuation_of_its_own_width_and_one_word_for_a_level():
    letter = r"[\u3040-\u30ff\u4e00-\u9fff]"
    odd = re.compile(rf"{letter}:(?!{letter})|{letter} ?\(|；|レベル|標本の|試験実施環境")
    assert {k: text for k, text in catalogue("ja").items() if odd.search(text)} == {}
    drawn = (Path(figures.__file__).parent / "texts_ja.yaml").read_text(encoding="utf-8")
    assert [line for line in drawn.splitlines() if odd.search(line)] == []


def test_a_message_formats_its_values():
    values = {"target": number(1000, "rps"), "measured": CEILING}
    assert Messages("en")("verdict.overall.missed", **values) == (
        "The service misses the target of 1,000 rps: at most 497 rps (489–506) measured."
    )
    assert "目標値 1,000 rps に達しない" in Messages("ja")("verdict.overall.missed", **values)


def test_a_message_inside_a_message_loses_its_full_stop():
    reason = {"key": "verdict.why.no_previous_cycle"}
    assert Messages("ja")("comparison.refused", reason=reason).endswith("理由：比較できる前回サイクルがない。")


def test_values_are_never_markup():
    text = Messages("en").text("verdict.why.throughput_missed", api="**x** `y` @fig-a", target="1", measured=CEILING)
    assert text.labels == ()
    assert {span.kind for span in text.spans} == {"plain"}
    assert "**x** `y` @fig-a" in str(text)


def test_a_reference_comes_only_from_a_label():
    assert Messages("en").text("finding.see", figure="fig-limit").labels == ("fig-limit",)
    with pytest.raises(ReportError, match=r'message finding\.see: expected a label like .* got "limit"'):
        Messages("en").text("finding.see", figure="limit")


def test_missing_key_names_key_and_language():
    with pytest.raises(ReportError, match=r'ja\.yaml: expected a message "cause.moon.claim" for language ja'):
        Messages("ja")("cause.moon.claim")


def test_missing_value_names_the_key_and_the_value():
    with pytest.raises(ReportError, match=r'message verdict.overall.missed \(en\): expected a value "measured"'):
        Messages("en")("verdict.overall.missed", target=1)


def test_unknown_language_is_refused():
    with pytest.raises(ReportError, match='language: expected one of en, ja, got "fr"'):
        Messages("fr")


def test_every_cause_has_all_its_texts():
    causes = {key.split(".")[1] for key in catalogue("en") if key.startswith("cause.")}
    assert "load_balancer_capacity" in causes
    for cause in causes:
        parts = {key.split(".")[2] for key in catalogue("en") if key.startswith(f"cause.{cause}.")}
        assert parts == {"name", "claim", "remedy", "verify", "risk"}


def test_what_the_analysis_says_is_in_the_catalogue_word_for_word():
    from genkai.analyse.sizes import SIZES
    from genkai.analyse.texts import FIT

    texts = catalogue("en")
    for key, text in (FIT | SIZES).items():
        assert texts[key].rstrip(".") == text.replace("₀", "0").rstrip("."), key  # the fonts have no ₀


def test_names_of_the_vocabulary_are_printed_in_the_reader_s_language():
    ja = Messages("ja")
    assert ja("verdict.why.step_not_run", step="endurance") == "「耐久試験」を実施していない。"
    text = ja(
        "verdict.why.limits_broken", api="(all)", what="p95, error_ratio", target=number(1, "rps"), measured=CEILING
    )
    assert text.startswith("全体：")
    assert "応答時間 p95、エラー率の目標値" in text


def test_the_catalogue_is_made_of_several_files_without_a_key_twice(tmp_path, monkeypatch):
    from genkai.report import messages

    (tmp_path / "messages").mkdir()
    (tmp_path / "rules").mkdir()
    for lang in LANGUAGES:
        (tmp_path / "messages" / f"{lang}.yaml").write_text("a: own\nb: seed\n")
        (tmp_path / "messages" / f"more_{lang}.yaml").write_text("c: more\n")
    monkeypatch.setattr(messages.resources, "files", lambda package: tmp_path)
    for lang in LANGUAGES:
        (tmp_path / "rules" / f"texts_{lang}.yaml").write_text("d: rule\n")
    read = messages.catalogue.__wrapped__
    assert dict(read("en")) == {"a": "own", "b": "seed", "c": "more", "d": "rule"}
    (tmp_path / "messages" / "more_ja.yaml").write_text("a: again\n")
    with pytest.raises(ReportError, match=r"more_ja\.yaml: expected keys that no other file has, got a"):
        read("ja")


def test_every_key_that_code_names_is_in_the_catalogue():
    import genkai

    used = {}
    for path in Path(genkai.__file__).parent.rglob("*.py"):
        for key in re.findall(r'\bm(?:\.text)?\(\s*"([a-z_]+\.[a-z_.]+)"', path.read_text(encoding="utf-8")):
            used.setdefault(key, path.name)
    assert len(used) > 50
    assert {key: name for key, name in used.items() if key not in catalogue("en")} == {}
