"""The commands of `evalkit`, each named by where its function is, so that one command does not import the others."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, Parameter

from evalkit.cli.sources import fill_from_config, fill_from_environment

DISTRIBUTION = "evalkit-multimodal"

HELP = """Measures image-and-text models: FID, captioning, VQA and editing, with a cache, intervals and protocols.

Start with `evalkit run coco_fid`. `evalkit ls` lists what can be measured and which models can be asked.

- and _ are alike in flags. Each flag has an environment variable: EVALKIT_DATA_DIR is --data-dir. \
The command line wins over --config, which wins over the environment.

Exit codes: 0 done, 1 samples failed, 2 an error that its message says how to mend.
"""

COMMANDS = (
    (
        "run",
        "Measure a model: put one or more tasks to it and score its answers.\n\n"
        "What was answered once is not asked again: the same command continues a run that was stopped, and a finished "
        "run is only scored anew.",
    ),
    ("import", "Score answers made elsewhere, and say which samples have none and which answers no sample."),
    ("ls", "List tasks, models, data, weights or runs; with a name, say all about that one."),
    ("merge", "Make one run of the runs of its shards (`evalkit run --shard 1/8` to `8/8`), without the model."),
    ("report", "Make a page and a table of one or more runs."),
    ("compare", "Make a page that compares two or more runs sample by sample, flips first."),
    ("leaderboard", "Rank runs in tiers, grouped by protocol, with published numbers apart; or fill a paper's tables."),
    ("export", "Write runs in the form of another tool (lm-eval JSON, Parquet, CSV), or log them to a tracker."),
    ("view", "Serve a page about runs as they go on, on this machine alone."),
    ("bless", "Make runs the baseline that later ones are held against: one small file to commit."),
    (
        "gate",
        "Hold runs against a baseline.\n\nExit codes: 0 pass, 1 regression, 2 error, 3 not comparable, 4 underpowered.",
    ),
    ("power", "Say how many samples a difference needs to be seen."),
    ("diff-protocol", "Say why the numbers of two runs are not comparable, field by field."),
    ("verify", "Run a task's golden values again, and name its published anchors."),
    ("rescore", "Score stored answers anew, without loading the model that gave them."),
    ("fetch", "Get data or weights before a run needs them; what is here and whole is not fetched again."),
    ("doctor", "Say what is installed, what is broken or missing, and how to mend it."),
)

PLACES = {"import": "importing"}
"""Modules, and functions in them, of commands whose name cannot be theirs."""

CACHE_COMMANDS = (
    ("ls", "Say what the cache holds: how many answers of which model to which task, and since when."),
    ("verify", "Read everything in the cache and name what is damaged. The exit code is 1 where something is."),
    ("gc", "Delete what nothing refers to: pictures without an answer, leftovers of runs that were killed."),
    (
        "why",
        "Say why a sample was not answered from the cache, field by field.\n\n"
        "Give the flags of the run in which you expected it to be.",
    ),
    ("export", "Write stored answers to a folder of pictures, which `-m images:FOLDER` answers with again."),
    ("rebuild", "Make the index anew from what is stored."),
)


def installed_version() -> str:
    """Return the version of evalkit that is installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown (not installed; run from its sources)"


def application() -> App:
    """Return the command line, ready to be called with words."""
    app = App(
        name="evalkit",
        help=HELP,
        version=installed_version,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
        config=[fill_from_config, fill_from_environment],
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # `main` says what was kept and how to go on
    )
    for rank, (name, summary) in enumerate(COMMANDS):
        place = PLACES.get(name, name.replace("-", "_"))
        app.command(f"evalkit.cli.{place}:{place}", name=name, help=summary, sort_key=rank)
    cache = App(name="cache", help="Look into the cache of answers, check it, and clean it.", sort_key=len(COMMANDS))
    for rank, (name, summary) in enumerate(CACHE_COMMANDS):
        cache.command(f"evalkit.cli.cache:{name}", name=name, help=summary, sort_key=rank)
    app.command(cache)
    return app
