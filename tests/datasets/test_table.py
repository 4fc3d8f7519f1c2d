from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.datasets import table
from archenc.spaces.cell import CellSpace

CELL = "|{}~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
CONV, POOL = CELL.format("nor_conv_3x3"), CELL.format("avg_pool_3x3")
# isomorphic to the cell with one convolution 0->3 and nothing else: the edge 0->1 leads nowhere in both
OWN = CellSpace("own", ("conv", "pool"), max_nodes=4)


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


CSV = f'"arch",accuracy,note,latency\n"{CONV}",91.5,first,1\n"{POOL}",88.25,second,2.5\n'
JSONL = "".join(
    json.dumps({"arch": arch, "accuracy": accuracy, "note": note, "latency": latency}) + "\n"
    for arch, accuracy, note, latency in ((CONV, 91.5, "first", 1), (POOL, 88.25, "second", 2.5))
)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("my.csv", CSV),
        ("my.csv.gz", CSV),
        ("my.jsonl", JSONL),
        ("my.jsonl.gz", JSONL),
        ("MY.CSV", "\ufeff" + CSV),
    ],
)
def test_all_formats_give_the_same_data_set(tmp_path: Path, file: str, text: str) -> None:
    dataset = archenc.load_dataset(
        "table", path=write(tmp_path / file, text), space="nasbench201", label="accuracy"
    )
    assert dataset.space.format(dataset.graphs) == [CONV, POOL]
    assert dict(dataset.labels).keys() == {"accuracy", "latency"}, "text columns are no labels"
    assert dataset.y.tolist() == [91.5, 88.25]
    assert dataset.y.dtype == np.float64
    assert dataset.labels["latency"].tolist() == [1.0, 2.5]
    assert dataset.duplicates == "none"
    assert list(dataset.provenance.files) == [str(tmp_path / file)]


def test_the_only_label_is_selected_and_of_several_none(tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", CSV)
    assert table.load(path=path, space="nasbench201").label == ""
    assert table.load(path=path, space="nasbench201", labels=["latency"]).label == "latency"
    assert table.load(path=path, space="nasbench201", labels="latency", name="mine").name == "mine"
    assert list(
        table.load(path=path, space="nasbench201", labels=["latency", "accuracy"], label="accuracy").labels
    ) == [
        "latency",
        "accuracy",
    ]


@pytest.mark.parametrize("file", ["my.csv", "my.jsonl"])
def test_adjacency_and_operations_columns(tmp_path: Path, file: str) -> None:
    cells = [
        {"adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "conv", "output"]},
        {
            "adjacency": [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
            "ops": ["input", "conv", "pool", "output"],
        },
    ]
    if file.endswith("csv"):
        rows = [
            f'"{cell["adjacency"]}","{json.dumps(cell["ops"])}",{k}'.replace('["', '[""')
            .replace('", "', '"", ""')
            .replace('"]', '""]')
            for k, cell in enumerate(cells)
        ]
        text = "matrix,ops,acc\n" + "\n".join(rows)
    else:
        text = "\n".join(
            json.dumps({"matrix": cell["adjacency"], "ops": cell["ops"], "acc": k})
            for k, cell in enumerate(cells)
        )
    dataset = table.load(path=write(tmp_path / file, text), space=OWN, adjacency="matrix", operations="ops")
    assert OWN.format(dataset.graphs) == OWN.format(OWN.parse(cells))
    assert dataset.y.tolist() == [0.0, 1.0]


def test_missing_labels_are_kept_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "my.csv", f"arch,acc\n{CONV},\n{POOL},88.0\n")
    dataset = table.load(path=path, space="nasbench201", missing="keep")
    assert np.isnan(dataset.y[0])
    assert dataset.labelled_rows().tolist() == [1]


def test_isomorphic_rows_are_kept_or_averaged_on_request(tmp_path: Path) -> None:
    first = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"  # 0 -3x3-> 1 -1x1-> 3
    twin = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"  # 0 -3x3-> 2 -1x1-> 3
    path = write(
        tmp_path / "my.csv", f"arch,acc,ms\n{POOL},70,\n{first},90,2\n{twin},92,\n{CONV},80,1\n{first},94,6\n"
    )
    kept = table.load(path=path, space="nasbench201", missing="keep", duplicates="keep", label="acc")
    assert kept.y.tolist() == [70, 90, 92, 80, 94]
    assert kept.duplicates == "kept"
    averaged = table.load(path=path, space="nasbench201", missing="keep", duplicates="mean", label="acc")
    assert averaged.space.format(averaged.graphs) == [POOL, first, CONV]
    assert averaged.y.tolist() == [70, 92, 80]
    np.testing.assert_array_equal(averaged.labels["ms"], [np.nan, 4, 1])
    assert averaged.duplicates == "averaged"


def test_the_published_table_as_csv_equals_the_arrays(data_root: Path) -> None:
    dataset = archenc.load_dataset("nasbench201")
    own = table.load(
        path=data_root / "nasbench201" / "table.csv.gz",
        space="nasbench201",
        duplicates="keep",
        label="cifar10_test_acc_ep200_meanseeds",
    )
    np.testing.assert_array_equal(own.y, dataset.labels["cifar10/test_accuracy@200/mean"])
    assert bool((own.graphs.ops == dataset.graphs.ops).all())
