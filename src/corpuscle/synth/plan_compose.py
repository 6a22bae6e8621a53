"""What a user may choose of composed scenes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import SMEAR
from corpuscle.core.settings import Settings

WHITE_KINDS = SMEAR.classes[1:6]
PLATELET, CLUMP, INFECTED, HEALTHY = SMEAR.classes[6:]

Few = tuple[int, int]


class ComposePlan(Settings):
    """How scenes are composed. Numbers of objects are least and most, drawn evenly."""

    size: int = Field(224, ge=32, le=2048, description="side of a scene in pixels")
    field_size: int = Field(1000, ge=32, le=8192, description="side of a background with red cells in pixels")
    num_fields: int = Field(
        60, ge=1, description="backgrounds a part; 1000 x 1000 take 5 MB each, the original has 1500 in all"
    )
    blocks: int = Field(
        1,
        ge=1,
        description="scenes in a row that are cut from one background; raise it with num_fields, for those that "
        "memory_mib does not hold are made anew",
    )
    makeups: tuple[Literal["infected", "healthy", "mixed"], ...] = Field(
        ("infected", "healthy", "mixed"), min_length=1, description="red cells of the backgrounds, by turns"
    )
    red_cells: Few = Field((150, 350), description="red cells a background")
    white_kinds: tuple[str, ...] = Field(WHITE_KINDS, description="white cells that are placed, each as often")
    white_cells: Few = Field((0, 2), description="white cells a scene")
    thrombocytes: Few = Field((0, 4), description="single platelets a scene")
    clumps: Few = Field((0, 1), description="platelet clumps a scene")
    overlap: float = Field(
        0.3, ge=0.0, le=1.0, description="largest share of an object that may lie on others, or be covered by them"
    )
    tries: int = Field(20, ge=1, le=100, description="places drawn for an object before it is left out")
    over_edge: float = Field(
        0.25, ge=0.0, le=0.5, description="largest share of a placed object's side beyond the scene's border"
    )
    least_pixels: int = Field(20, ge=1, description="visible pixels below which an object is no longer told")
    angles: Literal[4, 8, 16, 32, 64] = Field(32, description="turns in which a cut-out is laid, each also mirrored")
    soft_edge: float = Field(0.0, ge=0.0, le=5.0, description="blur of the cut-outs' edges in pixels, on top of theirs")
    tint: bool = Field(True, description="red cells let through what lies below, as dyes do; else they cover it")
    balance: bool = Field(True, description="bring the light around each cut-out to the background's colour")
    background: tuple[int, int, int] | None = Field(
        None, description="red, green and blue of the plasma; that around the red cells' cut-outs if none"
    )
    grain: float = Field(2.5, ge=0.0, le=20.0, description="deviation of the background's noise in grey values")
    stain: float = Field(0.06, ge=0.0, le=0.3, description="deviation of the dyes' strength and hue between scenes")
    illumination: float = Field(
        0.05,
        ge=0.0,
        le=0.25,
        description="deviation of the lamp's fall over a scene; half of it between scenes; as far as 8 bits hold it",
    )
    make_clumps: bool = Field(True, description="compose clumps of thrombocytes where a part has no cut-out of one")
    make_infected: bool = Field(
        False, description="draw ring forms into healthy red cells where a part has no infected one"
    )
    memory_mib: int = Field(512, ge=16, description="memory for backgrounds kept, a process; turned cut-outs take half")
    scenes: tuple[int, int, int] = Field((65350, 6560, 6560), description="scenes that are written: train, val, test")

    @model_validator(mode="after")
    def _fits(self) -> ComposePlan:
        if self.field_size < self.size:
            raise CorpuscleError(
                f"compose.field_size expects at least compose.size ({self.size}), got {self.field_size}; pass a larger"
            )
        for name, most in (("red_cells", 3000), ("white_cells", 300), ("thrombocytes", 300), ("clumps", 300)):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= most:
                raise CorpuscleError(
                    f"compose.{name} expects least and most from 0 to {most}, got {low}, {high}; "
                    f"pass --set compose.{name}=[0,2], say"
                )
        if strange := [kind for kind in self.white_kinds if kind not in WHITE_KINDS]:
            raise CorpuscleError(
                f"compose.white_kinds expects some of {', '.join(WHITE_KINDS)}, got '{strange[0]}'; pass those alone"
            )
        if min(self.scenes) < 0:
            raise CorpuscleError(f"compose.scenes expects no negative number, got {self.scenes}; pass 0 for no part")
        return self
