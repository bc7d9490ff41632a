#!/bin/sh
# Takes Swagger UI from the npm registry, at the version below, with its licences. Nothing is built.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"
tar xzf "$(npm pack --silent swagger-ui-dist@5.35.0)" --strip-components=1
sed 's/^\/\/# sourceMappingURL.*//' swagger-ui-bundle.js > "$here/swagger-ui.js"
sed 's/\/\*# sourceMappingURL.*//' swagger-ui.css > "$here/swagger-ui.css"
{ cat LICENSE NOTICE; echo; cat swagger-ui-bundle.js.LICENSE.txt; } > "$here/swagger-ui.LICENSE"
