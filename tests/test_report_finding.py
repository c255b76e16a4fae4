import pytest

from genkai.report.display import Finding, Text
from genkai.report.errors import ReportError
from genkai.report.messages import Messages


def test_a_finding_says_claim_strength_evidence_and_advice():
    shown = Finding(
        "限界はLBにある。",
        strength="strong",
        evidence=[Text.parse("平坦 (@fig-a)")],
        remedy="暖気",
        messages=Messages("ja"),
    )
    assert shown.to_plain() == "限界はLBにある。 [根拠：強]\n- 平坦 ([fig-a])\n対策: 暖気"
    for form in (shown.to_html(), shown.to_typst()):
        assert all(part in form for part in ("限界はLBにある。", "根拠：強", "平坦", "fig-a", "対策", "暖気"))
        assert "留意点" not in form


def test_a_note_says_what_the_evidence_speaks_of():
    shown = Finding("c", strength="weak", evidence=["e"], note="From 750 users on.")
    assert shown.to_plain() == "c [weak]\nFrom 750 users on.\n- e".replace("weak", Messages()("status.weak"))
    assert all("From 750 users on." in form for form in (shown.to_html(), shown.to_typst()))


def test_a_claim_without_evidence_is_refused():
    with pytest.raises(ReportError, match='finding "c": expected at least one piece of evidence, got none'):
        Finding("c", strength="strong", evidence=[])


def test_an_unknown_strength_is_refused():
    with pytest.raises(ReportError, match=r"status\.certain"):
        Finding("c", strength="certain", evidence=["e"])
