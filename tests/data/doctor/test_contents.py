"""Contents without a digest of every image: copies are told all the same."""

from __future__ import annotations

import cv2
import numpy as np
import polars as pl

from corpuscle.data.cache import survey
from corpuscle.data.doctor.contents import told_apart
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import scan


def test_contents_are_equal_where_all_pixels_are(tmp_path):
    random = np.random.default_rng(0)
    cells_HWC = random.integers(0, 256, (300, 320, 3), np.uint8)
    touched_HWC = cells_HWC.copy()
    touched_HWC[150, 160] ^= 1  # too little for the signature
    images = {"a/1.png": cells_HWC, "a/2.bmp": cells_HWC, "b/3.png": touched_HWC, "b/4.png": cells_HWC[::-1]}
    for name, image_HWC in images.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), image_HWC)
    (tmp_path / "b/5.png").write_bytes(b"")
    table = scan(tmp_path)
    paths = [table.path_of(image) for image in table.frame["image"]]
    seen = survey(table, ReadPlan(), None, digest=False).frame
    assert seen["content"].null_count() == 5 and seen["signature"].drop_nulls().n_unique() == 2
    told = told_apart(paths, seen, ReadPlan())["content"]
    whole = survey(table, ReadPlan(), None).frame["content"]
    assert told[:3].to_list() == whole[:3].to_list() and told[3] not in whole
    assert told[0] == told[1] != told[2] and told[4] is None
    assert told.drop_nulls().n_unique() == whole.drop_nulls().n_unique() == 3
    assert told.dtype == pl.String
