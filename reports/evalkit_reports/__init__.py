"""Reports: what runs found, as tables, plots and pages. One file each; this table says which there are."""

from __future__ import annotations

from evalkit.interfaces import ReportSpec

_FORMS = ("html", "md", "csv", "tex", "json")

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
    *(
        ReportSpec(
            name=f"leaderboard-{form}",
            summary="runs ranked in tiers, a board for each protocol, published numbers apart",
            factory="evalkit_reports.leaderboard:write_leaderboard",
            suffix=f".{form}",
            command="leaderboard",
        )
        for form in _FORMS
    ),
    *(
        ReportSpec(
            name=f"cm3leon-tables-{form}",
            summary="the tables of CM3Leon's paper with one's own runs filled in",
            factory="evalkit_reports.paper_tables:write_cm3leon_tables",
            suffix=f".{form}",
            command="leaderboard:cm3leon",
        )
        for form in _FORMS
    ),
    ReportSpec(
        name="harness-results",
        summary="results as lm-evaluation-harness writes them",
        factory="evalkit_reports.harness_results:write_harness_results",
        suffix=".json",
        command="export",
    ),
    ReportSpec(
        name="samples-parquet",
        summary="every sample with its answer and scores, for datasets and pandas",
        factory="evalkit_reports.sample_tables:write_parquet",
        suffix=".parquet",
        command="export",
    ),
    ReportSpec(
        name="samples-csv",
        summary="every sample with its answer and scores, for spreadsheets",
        factory="evalkit_reports.sample_tables:write_csv",
        suffix=".csv",
        command="export",
    ),
    *(
        ReportSpec(
            name=tracker,
            summary=f"numbers and settings of runs, logged to {tracker}",
            factory=f"evalkit_reports.tracking:to_{tracker}",
            suffix="",
            command=f"export:{tracker}",
        )
        for tracker in ("tensorboard", "mlflow", "wandb")
    ),
    ReportSpec(
        name="live-page",
        summary="runs while they go on, as a page",
        factory="evalkit_reports.live:write_live_page",
        suffix=".html",
        command="view",
    ),
    ReportSpec(
        name="live-state",
        summary="runs while they go on, as counts",
        factory="evalkit_reports.live:write_live_state",
        suffix=".json",
        command="view",
    ),
)
