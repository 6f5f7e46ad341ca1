"""A run that gets nothing: where it is certain, it stops there and says the likely cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from laion_eo.errors import RunError
from laion_eo.pipeline.records import Work
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pipeline.stages.assemble import with_scores
from laion_eo.pipeline.stages.base import ShapedStage
from laion_eo.pipeline.stages.verdicts import DECODE, DOWNLOAD
from laion_eo.types import DownloadStatus

HOSTS_NAMED = 3
_NETWORK = (
    "is there a network here? Where a proxy is the only way out: [downloader] "
    'proxy = {env = "HTTPS_PROXY"}'
)
ADVICE = {
    DownloadStatus.BAD_URL: "the pool's URLs are not http or https ones (file: URLs need "
    "[downloader] allow_files = true)",
    DownloadStatus.DNS_ERROR: _NETWORK,
    DownloadStatus.UNREACHABLE: _NETWORK,
    DownloadStatus.TIMEOUT: _NETWORK,
    DownloadStatus.TLS_ERROR: "[downloader] ca_file names the certificates of a proxy that opens "
    "TLS",
    DownloadStatus.HTTP_ERROR: "the pool may be old, or the servers may want a login",
    DownloadStatus.RATE_LIMITED: "run the same command again later, or raise [downloader] max_wait",
    DownloadStatus.ROBOTS_TXT: "the sites do not allow it ([downloader] robots_txt)",
    DownloadStatus.X_ROBOTS_TAG: "the sites do not allow it ([downloader] x_robots_tag)",
    DownloadStatus.TDM_RESERVED: "the sites reserve their rights ([downloader] tdm_reservation)",
    DownloadStatus.NOT_ALLOWED: "[downloader] allow_list lists nothing that was found: is it the "
    "one of this pool?",
    DownloadStatus.BLOCKED: "[downloader] block_list lists all that was found",
    DownloadStatus.TOO_LARGE: "[downloader] max_bytes is the limit",
    DownloadStatus.TOO_SMALL: "[downloader] min_side is the limit",
    DownloadStatus.TOO_MANY_PIXELS: "[downloader] max_pixels is the limit",
    DownloadStatus.UNLISTED_FORMAT: "[downloader] formats lists those that are accepted",
    DownloadStatus.WEB_PAGE: "the servers may want a login, or the pool links to pages",
}


def check_found(stage: ShapedStage, run_dir: RunDir, work: Work, table: pa.Table) -> None:
    """Stop a run whose stage has nothing for the next one, before the stage counts as complete.

    What earlier stages left stays. The stage's own parts go, so that the same command does it
    again: a network that was down may be there then.

    Args:
        stage: The stage, done.
        run_dir: Its run directory.
        work: What the stage was to make.
        table: All of them.

    Raises:
        RunError: It has nothing; one line, with the likely cause.
    """
    judge = _JUDGES.get(stage.name)
    reason = judge and judge(stage, run_dir, table)
    if not reason:
        return
    run_dir.discard(work)
    raise RunError(
        f"{stage.name}: {reason}. The stages before are kept: the same command resumes after them."
    )


def _no_neighbors(stage: ShapedStage, _: RunDir, table: pa.Table) -> str | None:
    if table.num_rows:
        return None
    name = stage.components()[0].name
    return f"the retriever {name!r} found no neighbour of any anchor: is its pool the right one"


def _no_downloads(_: ShapedStage, __: RunDir, table: pa.Table) -> str | None:
    statuses = [DownloadStatus(status) for status in table["status"].to_pylist()]
    if not statuses:
        return "there is no URL to fetch"
    if any(status.has_image for status in statuses):
        return None
    counted = Counter(statuses).most_common()
    most = counted[0][0]
    place = statuses.index(most)
    reason = table["reason"][place].as_py() or most.meaning
    outcomes = ", ".join(f"{count:,} {status.value}" for status, count in counted)
    advice = ADVICE.get(most)
    if most is DownloadStatus.REFUSED_ADDRESS:
        hosts = _hosts(table.filter(pc.equal(table["status"], most.value))["url"].to_pylist())
        advice = f"hosts of your own are named in [downloader] allow_hosts = {hosts}"
        advice = "[downloader] contact says who asks" if "no contact" in reason else advice
    return (
        f"not one of {len(statuses):,} images was fetched: {outcomes} (for example: {reason})"
        + (f"; {advice}" if advice else "")
    )


def _hosts(urls: Sequence[str]) -> str:
    """Return the hosts of URLs as a list of TOML, the most frequent first."""
    found: Counter[str] = Counter()
    for url in urls:
        try:
            found[urlsplit(url).hostname or ""] += 1
        except ValueError:
            continue
    named = [host for host, _ in found.most_common(HOSTS_NAMED) if host]
    more = ", ..." if len(found) > len(named) else ""
    return "[" + ", ".join(f'"{host}"' for host in named) + f"{more}]"


def _no_scores(_: ShapedStage, __: RunDir, table: pa.Table) -> str | None:
    errors = table["image_error"].drop_null().to_pylist()
    if len(errors) < table.num_rows:
        return None
    damaged = [error for error in errors if not error.startswith("not downloaded")]
    example = f" (for example: {damaged[0]})" if damaged else ""
    return f"not one of {len(damaged):,} images that were fetched could be decoded{example}"


def _none_kept(stage: ShapedStage, run_dir: RunDir, table: pa.Table) -> str | None:
    if pc.any(table["kept"]).as_py():
        return None
    droppers = Counter(table["filter"].to_pylist())
    names = dict.fromkeys(part.name for part in stage.components())
    last = [name for name in names if droppers[name]]
    before = {name: droppers[name] for name in (DOWNLOAD, DECODE) if droppers[name]}
    judged = table.num_rows - sum(before.values())
    counts = ", ".join(f"{name} {droppers[name]:,}" for name in last)
    if not last:
        return f"not one of {table.num_rows:,} rows has an image"
    decisive = max(last, key=lambda name: droppers[name])
    return (
        f"not one of {judged:,} images was kept: dropped by {counts}; of {decisive!r}, "
        f"{_nearest(stage, run_dir, table, decisive)}"
    )


def _nearest(stage: ShapedStage, run_dir: RunDir, table: pa.Table, name: str) -> str:
    """Return why a filter dropped the row that came nearest to being kept, and what to do.

    Nearest is the row with the highest value of the first number that the filter reads. Of several
    filters of a name, the verdicts do not say which, so any of their rows will do.
    """
    filter_, *others = (part for part in stage.components() if part.name == name)
    mine = pc.equal(table["filter"], name)
    rows, reasons = with_scores(run_dir).filter(mine), table.filter(mine)["reason"].to_pylist()
    for column in () if others else getattr(filter_, "needs", tuple)():
        kind = rows.schema.field(column).type if column in rows.column_names else pa.null()
        if pa.types.is_floating(kind) or pa.types.is_integer(kind):
            values = [float("-inf") if v is None else v for v in rows[column].to_pylist()]
            best = max(range(len(values)), key=values.__getitem__)
            return f"the best was dropped for {reasons[best]!r} (its options: [[filters]])"
    return f"one was dropped for {reasons[0]!r} (its options: [[filters]])"


_Judge = Callable[[ShapedStage, RunDir, pa.Table], str | None]
_JUDGES: dict[str, _Judge] = {
    "neighbors": _no_neighbors,
    "downloads": _no_downloads,
    "scores": _no_scores,
    "verdicts": _none_kept,
}
