#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# small.sh FROM TO PATTERN REPLACEMENT ...: copies a source and edits it. A pattern that changes nothing is an error.
set -u
from=$1 to=$2
shift 2
cp "$from" "$to.part" || exit 1
while [ $# -gt 1 ]; do
    sed -E "s/$1/$2/" "$to.part" >"$to.next" || exit 1
    if cmp -s "$to.part" "$to.next"; then
        echo "$from: nothing fits '$1' any more; see tests/conformance/state/CMakeLists.txt" >&2
        exit 1
    fi
    mv "$to.next" "$to.part"
    shift 2
done
mv "$to.part" "$to"
