#!/usr/bin/env bash
# Runs tests at moments and in time zones at which tests like to fail. Pass pytest's arguments; without any, it runs the
# tests that ask for the time. It needs a C compiler. Debian's faketime is of no use here: under Python 3.11 it breaks
# either time.sleep or waiting for a lock with a timeout.
#
#     bash tests/clocks/run.sh
#     bash tests/clocks/run.sh -n 2 tests/e2e
set -euo pipefail
cd "$(dirname "$0")/../.."

moments=(
    "2026-12-31 23:30:00 UTC|UTC"
    "2027-02-28 23:30:00 UTC|Asia/Kolkata"
    "2028-02-29 23:30:00 UTC|America/St_Johns"
    "2027-03-28 00:30:00 UTC|Europe/London"
    "2027-03-28 01:30:00 UTC|Europe/London"
    "2026-10-25 00:30:00 UTC|Europe/London"
    "2031-07-01 23:30:00 UTC|UTC"
)
arguments=("$@")
if [ $# = 0 ]; then
    arguments=(-q -n 2 --dist loadfile tests/browser tests/e2e/test_feeds.py tests/e2e/test_openstack.py
        tests/e2e/test_up.py tests/integration/test_feeds.py tests/integration/test_metrics.py
        tests/integration/test_refusals.py tests/integration/reads tests/unit/test_hours.py)
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"  # PostgreSQL may run as another user, and reads the library too
cc -O2 -Wall -shared -fPIC -o "$folder/shift.so" tests/clocks/shift.c

failed=0
for moment in "${moments[@]}"; do
    at=${moment%|*} zone=${moment#*|}
    echo "=== $at, TZ=$zone"
    env CLOCK_SHIFT_S=$(($(date -d "$at" +%s) - $(date +%s))) TZ="$zone" LD_PRELOAD="$folder/shift.so" \
        "$(command -v uv || echo .tools/bin/uv)" run --frozen pytest "${arguments[@]}" || failed=1
done
exit $failed
