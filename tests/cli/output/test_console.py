from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import click
import pytest

from laion_eo.cli.output.console import Redacting, output_console
from laion_eo.redaction import remember


def test_nothing_that_is_printed_shows_a_secret() -> None:
    remember("hunter2!")
    stream = io.StringIO()
    with redirect_stdout(Redacting(stream)), redirect_stderr(Redacting(stream)):
        click.echo("with click: hunter2!")
        click.echo("and an error: hunter2!", err=True)
        output_console().print("with rich: hunter2!")
        sys.stderr.writelines(["lines: ", "hunter2!", "\n"])
    text = stream.getvalue()
    assert "hunter2!" not in text
    assert text.count("***") == 4


def test_the_rest_is_the_stream_s_own() -> None:
    stream = io.StringIO()
    wrapped = Redacting(stream)
    assert wrapped.write("six") == 3
    assert wrapped.isatty() is False
    assert wrapped.getvalue() == "six"
    with pytest.raises(AttributeError):
        _ = wrapped.nothing
