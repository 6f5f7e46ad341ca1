from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
from kept import write_stage
from rich.console import Console

from laion_eo.cli.output.console import output_console
from laion_eo.cli.output.summary import print_downloads, print_drops
from laion_eo.schema import DOWNLOADS, VERDICTS
from laion_eo.types import DownloadStatus


def wide(out: io.StringIO) -> Console:
    console = output_console()
    console.file, console.width = out, 200
    return console


def test_failures_are_counted_by_reason_and_dead_names_apart(tmp_path: Path) -> None:
    entries = [
        *[(DownloadStatus.OK, 200, "")] * 5,
        *[(DownloadStatus.DNS_ERROR, None, "gone.test: not known")] * 3,
        *[(DownloadStatus.HTTP_ERROR, 404, "HTTP 404 Not Found [bold]")] * 2,
        *[(DownloadStatus.HTTP_ERROR, 403, "HTTP 403 Forbidden")] * 1,
        *[(DownloadStatus.TRUNCATED, 200, "half")] * 1,
    ]
    rows = [{"status": s.value, "http_code": c, "reason": r} for s, c, r in entries]
    write_stage(tmp_path, "downloads", pa.Table.from_pylist(rows, schema=DOWNLOADS))
    out = io.StringIO()
    print_downloads(tmp_path, wide(out))
    text = out.getvalue()
    lines = {" ".join(line.replace("│", " ").split()) for line in text.splitlines()}
    assert "dns-error 3 25.0% the host name has no address gone.test: not known" in lines
    assert "http-error 404 2 16.7% an HTTP code other than 200 HTTP 404 Not Found [bold]" in lines
    assert "http-error 403 1 8.3% an HTTP code other than 200 HTTP 403 Forbidden" in lines
    assert "truncated 1 8.3% an incomplete image half" in lines
    assert "Names that no longer resolve: 3 of 12 URLs; everything else that failed: 4." in lines


def test_what_a_server_says_is_no_markup(tmp_path: Path) -> None:
    """An unpaired closing tag would end the command after the work is done."""
    said = {"id": 1, "kept": False, "filter": "download", "reason": "http-error: HTTP 404 [/x]"}
    write_stage(tmp_path, "verdicts", pa.Table.from_pylist([said], schema=VERDICTS))
    out = io.StringIO()
    print_drops(tmp_path, wide(out))
    assert "HTTP 404 [/x]" in out.getvalue()


def test_nothing_is_said_where_nothing_failed(tmp_path: Path) -> None:
    write_stage(tmp_path, "downloads", pa.Table.from_pylist([{"status": "ok"}], schema=DOWNLOADS))
    out = io.StringIO()
    print_downloads(tmp_path, wide(out))
    assert out.getvalue() == ""
