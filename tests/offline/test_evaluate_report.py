from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

from offline.evaluate.evaluation import Source, measure
from offline.evaluate.report import page, write
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
    assert "<h2>HR@10 by genre</h2>" in text
    assert "item-knn, live" in text
    for plot in plots:
        ElementTree.fromstring(plot)
    assert not re.search(r"<script|<link|<img|\bsrc=|@import|url\(['\"]?http", text)
    assert "pipeline, live" in text and "popularity, live" in text


def test_the_report_of_a_shop_has_a_plot_for_each_of_its_terms(shop: Settings, shop_run: Path) -> None:
    measured = measure(Source.open(shop, shop_run.name), None, lambda stage, done, total: None)
    text = page(measured, measured.report())
    terms = [term.singular for term in measured.source.ratings.schema.windowed]
    assert terms[0] == "category"
    assert re.findall(r"<h2>HR@10 by (\w+)</h2>", text) == terms
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) == 4 + len(terms)
    for plot in plots:
        ElementTree.fromstring(plot)
    assert "kitchen" in text and "genre" not in text
