from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

from offline.evaluate.evaluation import Source, measure
from offline.evaluate.report import write
from settings import Settings, load


def test_the_report_is_one_page_that_needs_nothing_else(generated: Settings, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "runs" / run.name)
    settings = load(state_dir=tmp_path, data={"folder": str(generated.data_folder)}, train={"threads": 1})
    measured = measure(Source.open(settings, run.name), 300, lambda stage, done, total: None)
    figures = measured.report()
    written = write(measured, figures)
    assert written == tmp_path / "runs" / run.name / "report.html"
    text = written.read_text()
    assert f"{figures['pipeline']['live']['hr@10']:.4g}" in text
    assert f"{figures['ranker']['online_live']['ece']:.4g}" in text
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) == 5
    for plot in plots:
        ElementTree.fromstring(plot)
    assert not re.search(r"<script|<link|<img|\bsrc=|@import|url\(['\"]?http", text)
    assert "pipeline, live" in text and "popularity, live" in text
