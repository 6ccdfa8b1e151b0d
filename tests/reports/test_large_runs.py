from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.results import Coverage, Run
from evalkit.types import Text
from tests.reports.drawn import FID_PROTOCOL, Studio, fid_estimates, grain, sample

SAMPLES = 30_000
BUILD = """
import json, resource, sys, time
from pathlib import Path
from evalkit.workspace import Workspace
from evalkit_reports.page import write_page
run, output = Path(sys.argv[1]), Path(sys.argv[2])
started = time.perf_counter()
write_page([run], output, Workspace(cache=output.parent / "empty"))
status = Path("/proc/self/status")
if status.exists():  # the kernel's resource usage begins with the peak of the process that started this one
    peak = next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak, "size": output.stat().st_size}))
"""


@pytest.mark.slow
def test_a_run_of_30000_samples_becomes_a_page_in_a_minute_and_2_gb_and_15_mb(studio: Studio, tmp_path: Path) -> None:
    pictures = [studio.picture(grain(seed, 160)) for seed in range(600)]
    records = (
        sample(
            f"{391895 + i}-{770337 + i}",
            [Text(f"Number {i}: a man on a moped holds a large bag of fruit beside the road.")],
            [pictures[i * 7 % 600]],
            strata={"supercategory": f"s{i % 12}"},
            scores={"clip_score": i * 37 % 1000 / 1000},
        )
        for i in range(SAMPLES)
    )
    run = Run(
        task="coco_fid@1",
        model="model",
        data="coco",
        estimates=fid_estimates(21.3, FID_PROTOCOL.digest, SAMPLES),
        coverage=Coverage(SAMPLES, SAMPLES, 0, 0),
        stamps=(),
        protocols={FID_PROTOCOL.digest: FID_PROTOCOL},
        series={},
        provenance=studio.provenance(),
    )
    directory = studio.write("large", run, records)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(directory), str(tmp_path / "page.html")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    measured = json.loads(done.stdout)
    assert measured["seconds"] < 60
    assert measured["peak"] < 2e9, measured["peak"]
    assert 1e6 < measured["size"] < 15e6
