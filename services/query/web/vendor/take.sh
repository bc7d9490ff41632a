#!/bin/sh
# Takes the vendored parts from the npm registry, at the versions below, each with its licence. Nothing is built: a
# distributed file is copied, and where it names another package, that name becomes a path. Run it to change a version.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"

take() { # take NAME SPEC: the package's content in ./NAME, its licence beside the vendored files
    mkdir "$1"
    tar xzf "$(npm pack --silent "$2")" -C "$1" --strip-components=1
    cp "$1/LICENSE" "$here/$1.LICENSE"
}

take preact preact@11.2.0
sed 's/^\/\/# sourceMappingURL.*//' preact/dist/preact.mjs > "$here/preact.js"
sed -e 's/from"preact"/from".\/preact.js"/' -e 's/^\/\/# sourceMappingURL.*//' preact/hooks/dist/hooks.mjs > "$here/hooks.js"

take htm htm@3.1.1
cp htm/dist/htm.module.js "$here/htm.js"

take uplot uplot@1.6.32
{ cat uplot/dist/uPlot.iife.min.js; echo 'export default uPlot;'; } > "$here/uplot.js"
cp uplot/dist/uPlot.min.css "$here/uplot.css"

take inter @fontsource-variable/inter@5.3.0
cp inter/files/inter-latin-wght-normal.woff2 "$here/inter.woff2"
