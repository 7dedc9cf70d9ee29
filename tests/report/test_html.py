from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from monai_tff.report.html import bullets, element, paragraph, table, write


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    found = Reader(write(element("span", text, title=text)))
    assert found.tags == ["span"]
    assert "".join(found.texts) == text + text


def test_children_and_attributes_keep_their_order() -> None:
    made = element("p", "AUROC ", element("b", "0.97"), None, " & more", class_="note", data_value=0.97, hidden=None)
    assert write(made) == '<p class="note" data-value="0.97">AUROC <b>0.97</b> &amp; more</p>\n'
    assert write(element("details", open=True)) == '<details open=""></details>\n'
    assert write(element("img", src="data:,")) == '<img src="data:,">'


def test_a_table_names_its_rows_and_columns() -> None:
    text = write(table(("Number", "Value"), [("AUROC", "0.9"), (element("th", "own"), element("td", "1"))], "caption"))
    assert text.count('scope="col"') == 2
    assert '<th scope="row">AUROC</th><td>0.9</td>' in text
    assert "<th>own</th><td>1</td>" in text
    assert "<caption>caption</caption>" in text


def test_a_list_takes_texts_elements_and_several_of_them() -> None:
    text = write(bullets(["a", element("b", "c"), ("d ", element("i", "e"))]))
    assert text.replace("\n", "") == "<ul><li>a</li><li><b>c</b></li><li>d <i>e</i></li></ul>"
    assert write(paragraph("a < b")) == "<p>a &lt; b</p>\n"
