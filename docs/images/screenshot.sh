#!/usr/bin/env bash
# The picture of a report in the README:  docs/images/screenshot.sh runs/demo docs/images/report.png
# It shows the head of the page and its section $SECTION, and ends after $HEIGHT pixels.
# Needs Chromium (another browser of that family can be named in $CHROMIUM) and `make install`.
set -euo pipefail
if [ $# -ne 2 ] || [ ! -f "$1/report.html" ]; then
    echo "expected a finished run and a file to write, got '$*'; for example $0 runs/demo docs/images/report.png" >&2
    exit 2
fi
python=$(dirname "$0")/../../.venv/bin/python
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

{
    cat "$1/report.html"
    echo "<style>nav, section:not(#${SECTION:-classes}) { display: none }</style>"
} >"$scratch/report.html"

"${CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --user-data-dir="$scratch/profile" --hide-scrollbars --force-device-scale-factor=1 \
    --window-size="1000,${HEIGHT:-1560}" --screenshot="$scratch/page.png" "file://$scratch/report.html" \
    2>"$scratch/log" || { cat "$scratch/log" >&2; exit 1; }

# 256 colours keep the file small
"$python" -c '
import sys
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(sys.argv[2], optimize=True)
' "$scratch/page.png" "$2"
ls -l "$2"
