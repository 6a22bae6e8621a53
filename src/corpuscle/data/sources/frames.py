"""A file with a table, every cell as text: CSV in any common dialect, Parquet, Excel."""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.sources.disk import no_such_path

BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
EXCEL = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # what its files begin with, the newer ones and those of 1997
PARQUET = b"PAR1"
DECIMAL_COMMA = r"^-?\d+,\d+$"
PLACES = ("x", "y")  # columns of numbers, in which a comma can only be a decimal one
KEPT = 2  # tables in memory: recognising a layout and reading it look at the same one


def read_frames(path: Path) -> Mapping[str, pl.DataFrame]:
    """The sheets of an Excel file by their names; of any other table the only one, named "".

    What the file holds is told by its first bytes, whatever its name says. Its columns are texts; a row of the frame is
    a row of the file, the header left out.

    Raises:
        CorpuscleError: it cannot be read, is empty, or is no table.
    """
    try:
        stat = path.stat()
        return _frames(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))
    except FileNotFoundError:
        raise no_such_path(path) from None
    except OSError as error:
        raise CorpuscleError(f"{path} cannot be read ({error.strerror}); name a CSV that you may read") from error


@functools.lru_cache(KEPT)
def _frames(path: Path, state: tuple[int, int, int]) -> Mapping[str, pl.DataFrame]:
    content = path.read_bytes()
    if content.startswith(EXCEL):
        return _excel(path)
    return {"": _parquet(path) if content.startswith(PARQUET) else _csv(path, content)}


def _excel(path: Path) -> Mapping[str, pl.DataFrame]:
    """The sheets that hold anything."""
    import fastexcel

    try:
        sheets = pl.read_excel(
            path, sheet_id=0, infer_schema_length=0, raise_if_empty=False, drop_empty_rows=False, drop_empty_cols=False
        )
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise CorpuscleError(f"{path} is not a whole Excel file ({reason}); save the table as CSV") from None
    filled = {name: frame for name, frame in sheets.items() if frame.width}
    if not filled:
        raise CorpuscleError(f"{path} is empty; it needs a header and a row for each image")
    return filled


def _parquet(path: Path) -> pl.DataFrame:
    """The columns that hold one value a row, whole numbers without a point."""
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise CorpuscleError(f"{path} is not a whole Parquet file ({reason}); replace it by a whole copy") from None
    frame = frame.select(column for column in frame if not column.dtype.is_nested() and column.dtype != pl.Binary)
    whole = [
        column.name
        for column in frame
        if column.dtype.is_float() and (column.drop_nulls() == column.drop_nulls().floor()).all()
    ]
    return frame.with_columns(pl.col(whole).cast(pl.Int64, strict=False)).cast(pl.String)


def _csv(path: Path, content: bytes) -> pl.DataFrame:
    text = _text(path, content)
    header, _, rest = text.lstrip("\r\n").partition("\n")
    named = re.fullmatch(r"sep=(.)\s*", header)  # what Excel is told, and some programs write
    if named:
        text = rest
        header = rest.partition("\n")[0]
    separator = named[1] if named else max(",;\t|", key=re.sub(r'"[^"]*"', "", header).count)
    read = functools.partial(pl.read_csv, separator=separator, infer_schema=False)
    try:
        frame = read(io.BytesIO(text.encode()))
    except pl.exceptions.PolarsError as error:
        reason = _odd_row(text, separator)
        try:
            if reason:
                raise
            frame = read(io.BytesIO(text.encode()), truncate_ragged_lines=True)
        except pl.exceptions.PolarsError:
            reason = reason or str(error).partition("\n")[0]
            raise CorpuscleError(f"{path} is not a whole table ({reason}); mend it") from None
    return _with_points(frame) if separator == ";" else frame


def _text(path: Path, content: bytes) -> str:
    encoding = next((code for mark, code in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content[:2]:  # UTF-16 without its mark; a header begins with a plain letter
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if "\0" in text:
        raise CorpuscleError(f"{path} is not a text file, a CSV was expected; save the table as CSV")
    if not text.strip():
        raise CorpuscleError(f"{path} is empty; it needs a header and a row for each image")
    return text


def _odd_row(text: str, separator: str) -> str:
    """The first row with more fields than the header, empty ones at its end not counted, in words; else empty."""
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    expected = len(next(rows))
    for number, row in enumerate(rows, start=2):
        if any(field.strip() for field in row[expected:]):
            return f"row {number} has {len(row)} fields, the header has {expected}"
    return ""


def _with_points(frame: pl.DataFrame) -> pl.DataFrame:
    """Decimal commas of x and y as points; between semicolons a comma is no separator."""
    places = [name for name in frame.columns if name.strip().lower() in PLACES]
    number = pl.col(places).str.strip_chars()
    return frame.with_columns(
        pl.when(number.str.contains(DECIMAL_COMMA)).then(number.str.replace(",", ".")).otherwise(number)
    )
