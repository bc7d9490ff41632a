#!/bin/sh
# Takes the vendored parts from the npm registry, at the versions and with the hashes below, each with its licence.
# Nothing is built: a distributed file is copied, and where it names another package, that name becomes a path. Run it to
# change a version; `sha256sum` of what `npm pack` fetched is the new hash.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"

take() { # take NAME SPEC SHA256: the package's content in ./NAME, its licence beside the vendored files
    mkdir "$1"
    package=$(npm pack --silent "$2")
    echo "$3  $package" | sha256sum --check --quiet
    tar xzf "$package" -C "$1" --strip-components=1
    cp "$1/LICENSE" "$here/$1.LICENSE"
}

take preact preact@11.2.0 3c4456766bd32b6b534d52bf4e9c2a29b33e7eedf6e96ed479300ba1a7888ebf
sed 's/^\/\/# sourceMappingURL.*//' preact/dist/preact.mjs > "$here/preact.js"
sed -e 's/from"preact"/from".\/preact.js"/' -e 's/^\/\/# sourceMappingURL.*//' preact/hooks/dist/hooks.mjs > "$here/hooks.js"

take htm htm@3.1.1 2425b9bee11409177bcabc7f32e319926fc6690c1701c0b257c88bdff2d5ba90
cp htm/dist/htm.module.js "$here/htm.js"

take uplot uplot@1.6.32 4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d
{ cat uplot/dist/uPlot.iife.min.js; echo 'export default uPlot;'; } > "$here/uplot.js"
cp uplot/dist/uPlot.min.css "$here/uplot.css"

take inter @fontsource-variable/inter@5.3.0 d26710dd38e7217484a1d47ee76c024977ec550548876f26d06ed1844af09a14
cp inter/files/inter-latin-wght-normal.woff2 "$here/inter.woff2"
