"""Reports: what runs found, as tables, plots and pages. One file each; this table says which there are."""

from __future__ import annotations

from evalkit.interfaces import ReportSpec

REPORTS: tuple[ReportSpec, ...] = (
    ReportSpec(
        name="page",
        summary="one self-contained HTML page: numbers with intervals, protocols, plots and a sample browser",
        factory="evalkit_reports.page:write_page",
        suffix=".html",
    ),
    ReportSpec(
        name="markdown",
        summary="a Markdown table for a README or a pull request",
        factory="evalkit_reports.markdown:write_markdown",
        suffix=".md",
    ),
    ReportSpec(
        name="comparison",
        summary="one page with the answers of several models to the same samples side by side, flips first",
        factory="evalkit_reports.compare:write_comparison",
        suffix=".html",
        command="compare",
    ),
)
