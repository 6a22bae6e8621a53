"""The composed scenes of the README, of drawn cells:  .venv/bin/python docs/images/scenes.py docs/images/scenes.png"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from corpuscle.core.legend import SMEAR
from corpuscle.engine.compose import composer_for
from corpuscle.synth.plan_compose import ComposePlan

SHOWN = (3, 42, 83, 121)

if __name__ == "__main__":
    composer = composer_for(None, ComposePlan(), seed=0)
    scenes = [composer.scene("train", index) for index in SHOWN]
    masks = [np.array(SMEAR.colours, np.uint8)[scene.mask_HW] for scene in scenes]
    rows = [np.concatenate(row, axis=1) for row in ([scene.image_HWC for scene in scenes], masks)]
    Image.fromarray(np.concatenate(rows)).quantize(256).save(Path(sys.argv[1]), optimize=True)
