"""Physical lines become logical lines as Exim makes them."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from mta.base.errors import ConfigError
from mta.config.reader import Reader


def read(tmp_path: Path, text: str, **macros: str) -> list[str]:
    file = tmp_path / "mta.conf"
    file.write_text(text)
    return [line.text for line in Reader(str(file), macros)]


def numbers(tmp_path: Path, text: str) -> list[tuple[str, int]]:
    file = tmp_path / "mta.conf"
    file.write_text(text)
    return [(line.text, line.where.line) for line in Reader(str(file))]


def refusal(tmp_path: Path, text: str, **macros: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **macros)
    return str(caught.value).replace(str(tmp_path), "DIR")


def test_comments_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "# one\n\n   # two\n  a = 1  \n\t\n") == ["a = 1"]


def test_a_hash_inside_a_line_is_no_comment(tmp_path: Path) -> None:
    assert read(tmp_path, "a = 1 # not\n") == ["a = 1 # not"]


def test_lines_may_end_in_cr_lf_and_the_last_one_in_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "a = 1\r\nb = 2") == ["a = 1", "b = 2"]


def test_a_backslash_continues_a_line_without_the_white_space_of_the_next(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, "a = b \\\n    c\\\n  d\ne = f\n") == ["a = b cd", "e = f"]


def test_a_comment_inside_a_continued_line_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "a = b \\\n  # nothing\n  c\n") == ["a = b c"]


def test_an_empty_line_ends_a_continued_line(tmp_path: Path) -> None:
    assert read(tmp_path, "a = b \\\n\n  # comment\n  c d\n") == ["a = b", "c d"]


def test_a_continued_line_may_end_with_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, "a = b \\\n") == ["a = b"]


def test_a_line_stands_where_it_begins(tmp_path: Path) -> None:
    assert numbers(tmp_path, "# x\n\na = 1 \\\n  2\nb = 3\n") == [("a = 1 2", 3), ("b = 3", 5)]


def test_octets_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "mta.conf"
    file.write_bytes(b"a = \xe9\n")
    assert [line.text for line in Reader(str(file))] == ["a = \udce9"]


# Macros


def test_a_macro_is_replaced_wherever_it_stands(tmp_path: Path) -> None:
    assert read(tmp_path, "ABC = 1\na = xABCy ABC\n") == ["a = x1y 1"]


def test_a_macro_is_replaced_in_the_value_of_a_later_one(tmp_path: Path) -> None:
    assert read(tmp_path, "AA = x\nBB = AA-y\na = BB\n") == ["a = x-y"]


def test_an_earlier_macro_is_not_replaced_in_the_text_of_a_later_one(tmp_path: Path) -> None:
    assert read(tmp_path, "AA = BB\nBB = 1\na = AA\n") == ["a = 1"]
    assert read(tmp_path, "BB = 1\nAA = B\na = AAB\n") == ["a = BB"]


def test_a_macro_may_be_redefined_with_two_equals_signs(tmp_path: Path) -> None:
    assert read(tmp_path, "AA = one\nAA == two\na = AA\n") == ["a = two"]


def test_a_macro_may_be_defined_inside_a_section_and_over_several_lines(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, "begin acl\nx:\nAA = 1\\\n  2\naccept AA\n") == [
        "begin acl",
        "x:",
        "accept 12",
    ]


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, "AA = 1\nAA == 2\na = AA\n", AA="3") == ["a = 3"]


def test_an_empty_macro_may_leave_a_comment_or_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "AA =\nAA\nAA # x\nAA a = 1\n") == ["a = 1"]


def test_a_longer_name_may_not_contain_an_earlier_shorter_one(tmp_path: Path) -> None:
    assert refusal(tmp_path, "AB = 1\nABC = 2\n") == (
        'DIR/mta.conf:2: "ABC" cannot be defined as a macro because previously defined '
        'macro "AB" is a substring (define the longer name first, or choose another one)'
    )


def test_a_shorter_name_after_a_longer_one_is_fine(tmp_path: Path) -> None:
    assert read(tmp_path, "ABC = 1\nAB = 2\na = ABC AB\n") == ["a = 1 2"]


def test_a_macro_defined_twice_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "AB = 1\nAB = 2\n") == (
        'DIR/mta.conf:2: macro "AB" is already defined (use "==" if you want to redefine it)'
    )


def test_redefining_what_is_not_defined_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "AB == 1\n") == (
        'DIR/mta.conf:1: can\'t redefine an undefined macro "AB"'
    )


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "A" * 64 + " = 1\n") == (
        "DIR/mta.conf:1: macro name too long (maximum is 63 characters)"
    )


def test_macros_that_feed_each_other_come_to_an_end(tmp_path: Path) -> None:
    doubling = "".join(f"M{b} = {f'M{a}' * 9}\n" for a, b in pairwise("ABCDEFGHIJ"))
    text = f"MA = {'x' * 99}\n{doubling}a = MJ\n"
    assert "makes the line too long" in refusal(tmp_path, text)


def test_a_builtin_macro_is_replaced_as_a_whole_word_only(tmp_path: Path) -> None:
    file = tmp_path / "mta.conf"
    file.write_text(".ifdef _HAVE_A\na = 1\n.endif\n.ifdef _HAVE_AB\nb = 1\n.endif\n")
    lines = Reader(str(file), builtins=lambda: frozenset({"_HAVE_A"}))
    assert [line.text for line in lines] == ["a = 1"]


# Conditionals


def test_ifdef_holds_if_any_macro_was_replaced(tmp_path: Path) -> None:
    text = ".ifdef XX AA\na = 1\n.else\na = 2\n.endif\n"
    assert read(tmp_path, text, AA="") == ["a = 1"]
    assert read(tmp_path, text) == ["a = 2"]


def test_conditionals_nest_and_have_further_branches(tmp_path: Path) -> None:
    text = (
        ".ifdef XX\na = 1\n.ifdef AA\na = 2\n.endif\n.elifdef AA\na = 3\n"
        ".ifndef XX\na = 4\n.endif\n.elifdef AA\na = 5\n.elifndef XX\na = 6\n"
        ".else\na = 7\n.endif"
    )
    assert read(tmp_path, text, AA="y") == ["a = 3", "a = 4"]
    assert read(tmp_path, text) == ["a = 6"]


def test_what_is_skipped_defines_and_includes_nothing(tmp_path: Path) -> None:
    text = ".ifdef XX\nAA = 1\n.include /nonexistent\n.nonsense\n.endif\na = AA\n"
    assert read(tmp_path, text) == ["a = AA"]


def test_a_conditional_may_stand_inside_a_continued_line(tmp_path: Path) -> None:
    assert read(tmp_path, "a = b \\\n.ifdef XX\n c \\\n.endif\n d\n") == ["a = b d"]


@pytest.mark.parametrize("word", ["endif", "else", "elifdef", "elifndef"])
def test_a_branch_without_a_beginning_is_refused(tmp_path: Path, word: str) -> None:
    assert refusal(tmp_path, f"a = 1\n.{word}\n") == (
        f"DIR/mta.conf:2: .{word} without matching .ifdef"
    )


def test_a_missing_endif_is_reported_where_its_ifdef_stands(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a = 1\n.ifndef XX\nb = 2\n") == (
        "DIR/mta.conf:2: Unexpected end of configuration file: .endif missing"
    )


def test_conditionals_nested_without_end_are_refused(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path, ".ifdef X\n" * 1000) == "DIR/mta.conf:21: .ifdef nested too deeply"
    )


# Includes


def test_an_included_file_stands_in_the_place_of_the_line(tmp_path: Path) -> None:
    (tmp_path / "inc.conf").write_text("BB = 2\nb = AA\n")
    text = f'AA = 1\na = 0\n.include "{tmp_path}/inc.conf"\nc = BB\n'
    assert read(tmp_path, text) == ["a = 0", "b = 1", "c = 2"]


def test_lines_of_an_included_file_know_their_place(tmp_path: Path) -> None:
    (tmp_path / "inc.conf").write_text("# c\n\nbogus_option = 1\n")
    (tmp_path / "mta.conf").write_text(".include inc.conf\n")
    [line] = Reader(str(tmp_path / "mta.conf"))
    assert str(line.where) == f"{tmp_path}/inc.conf:3"


def test_a_file_may_be_missing_where_that_is_said(tmp_path: Path) -> None:
    assert read(tmp_path, f".include_if_exists {tmp_path}/none\na = 1\n") == ["a = 1"]


def test_a_missing_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    assert refusal(tmp_path, f"\n.include {tmp_path}/none\n") == (
        "DIR/mta.conf:2: failed to open included configuration file DIR/none: "
        "No such file or directory"
    )


def test_include_if_exists_wants_an_absolute_path(tmp_path: Path) -> None:
    assert refusal(tmp_path, ".include_if_exists nosuch\n") == (
        'DIR/mta.conf:1: .include specifies a non-absolute path "nosuch"'
    )


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, ".include mta.conf\n") == (
        "DIR/mta.conf:1: .include nested too deeply at DIR/mta.conf"
    )


def test_a_directory_and_a_fifo_are_refused_and_do_not_hold_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", ""):
        assert refusal(tmp_path, f".include {tmp_path}/{name}\n") == (
            f"DIR/mta.conf:1: included configuration file DIR/{name} is not a regular file"
        )


def test_an_endless_device_comes_to_an_end(tmp_path: Path) -> None:
    assert refusal(tmp_path, ".include /dev/zero\n") == (
        "DIR/mta.conf:1: included configuration file /dev/zero is larger than 4194304 octets"
    )


def test_a_configuration_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Reader(f"{tmp_path}/none")
    assert str(caught.value) == (
        f"failed to open configuration file {tmp_path}/none: No such file or directory"
    )


def test_a_nul_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a = \0\n") == (
        "DIR/mta.conf:1: there is a NUL character in the line"
    )


def test_a_byte_order_mark_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "\ufeffa = 1\n") == (
        "DIR/mta.conf:1: found unexpected BOM (Byte Order Mark) (save without it)"
    )


@pytest.mark.parametrize(
    ("mode", "who", "advice"), [(0o646, "anybody", "o-w"), (0o664, "its group", "g-w")]
)
def test_a_file_that_others_can_write_is_refused_when_asked(
    tmp_path: Path, mode: int, who: str, advice: str
) -> None:
    file = tmp_path / "mta.conf"
    file.write_text("a = 1\n")
    if os.getgid() == 0:
        os.chown(file, -1, 1)
    file.chmod(mode)
    assert list(Reader(str(file))) != []
    with pytest.raises(ConfigError) as caught:
        Reader(str(file), check_writers=True)
    assert str(caught.value) == (
        f"configuration file {file} has the wrong owner, group, or mode: it is writable by "
        f"{who} (chmod {advice} {file})"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_is_told_of_a_file_that_belongs_to_somebody_else(tmp_path: Path) -> None:
    file = tmp_path / "mta.conf"
    file.write_text("a = 1\n")
    os.chown(file, 1234, -1)
    [(where, text)] = Reader(str(file), check_writers=True).doubts
    assert where.file == str(file)
    assert text == "the file belongs to user 1234, whom root thereby obeys"


def test_lines_are_read_one_by_one_and_no_further_than_needed(tmp_path: Path) -> None:
    file = tmp_path / "mta.conf"
    file.write_text("a = 1\n.endif\n")
    assert next(iter(Reader(str(file)))).text == "a = 1"
