from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.bundle.verification.texts import parse_json, read_json, read_yaml
from monai_tff.errors import BundleError

EXPLOSION = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\na: 2\n", "a key twice"),
        (b"a: {b: 1, b: 2}\n", "a key twice"),
        (b"1: x\n", "no text"),
        (b"[a]: x\n", "no text"),
        (b"a: !!python/object/apply:os.abort []\n", "the tag"),
        (b"a: !!str 1\n", "the tag"),
        (b"a: !x 1\n", "the tag"),
        (b"a: &a 1\n", "an anchor or alias on line 1"),
        (EXPLOSION.encode(), "an anchor or alias"),
        (b"a: 1\n--- \nb: 2\n", "is no YAML"),
        (b"%YAML 1.1\n---\na: 1\n", "a directive"),
        (b"%TAG ! tag:x,2000:\n---\na: 1\n", "a directive"),
        (b"a: 2020-01-01\n", "of the kind tag:yaml.org,2002:timestamp"),
        (b"a: .inf\n", "the number inf"),
        (b"a: .nan\n", "the number nan"),
        (b"<<: {a: 1}\n", "no text"),
        (b"a: " + b"[" * 40 + b"]" * 40, "more than 32 levels"),
        (b"a: " + b"[" * 100_000, "more than 32 levels|is no YAML"),
        (b"a: " + b"9" * 5000, "a number of 5,000 letters on line 1"),
        (b"a: 0x" + b"f" * 5000, "a number of 5,002 letters"),
        (b"a: 1" + b":1" * 300_000, "a number of 600,001 letters"),
        (b"a: 9223372036854775808\n", "an integer of more than 64 bits"),
        (b"a: [\n", "is no YAML"),
        (b"", "is empty"),
        (b"- a\n", "no `key: value` pairs"),
        ("a: 1 # \u00c5\n$x: 1\n".encode(), "byte 0xc3 on line 1, expected printable ASCII"),
        ("a: 1\u2028b: 2\n".encode(), "expected printable ASCII"),
        (b"a: 1\r\n", "byte 0x0d on line 1"),
        (b"a: \t1\n", "byte 0x09"),
        ("a: 1\n".encode("utf-16"), "byte 0xff"),
        (b"\xef\xbb\xbfa: 1\n", "byte 0xef"),
        (b"# " + b"x" * 1024**2, "more than 1,048,576 bytes"),
    ],
    ids=range(32),
)
def test_yaml_that_is_more_than_plain_data(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(text)
    with pytest.raises(BundleError, match=message):
        read_yaml(tmp_path / "config.yaml")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(content=st.dictionaries(st.text(min_size=1), PLAIN, min_size=1, max_size=4))
def test_plain_data_is_read_as_pyyaml_reads_it(
    content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("texts") / "config.yaml"
    text = yaml.dump(content, Dumper=WithoutAliases)
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path) == yaml.safe_load(text)


def test_what_a_reader_changes_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: [1]\n")
    read_yaml(path)["a"].append(2)
    assert read_yaml(path) == {"a": [1]}
    path.write_text("a: [3]\n")
    assert read_yaml(path) == {"a": [3]}


class WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("texts") / "any"
    path.write_bytes(content)
    for read in (read_yaml, read_json):
        with suppress(BundleError):
            read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1, "a": 2}', "a key twice"),
        (b'{"a": NaN}', "the number NaN"),
        (b'{"a": 1e999}', "the number inf"),
        (b'{"a": Infinity}', "the number Infinity"),
        (b"[" * 100_000, "is no JSON"),
        (b"[" * 40 + b"]" * 40, "too many levels"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is no JSON"),
        (b'{"a": [-' + b"9" * 400 + b"]}", "an integer of more than 64 bits"),
        (b"\xff", "is no JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "is no JSON"),
        (b"{", "is no JSON"),
    ],
    ids=range(11),
)
def test_json_that_is_more_than_plain_data(text: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        parse_json(text)
