#!/bin/sh
# Takes Swagger UI from the npm registry, at the version and with the hash below, with its licences. Nothing is built.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"
package=$(npm pack --silent swagger-ui-dist@5.35.0)
echo "1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6  $package" | sha256sum --check --quiet
tar xzf "$package" --strip-components=1
sed 's/^\/\/# sourceMappingURL.*//' swagger-ui-bundle.js > "$here/swagger-ui.js"
sed 's/\/\*# sourceMappingURL.*//' swagger-ui.css > "$here/swagger-ui.css"
{ cat LICENSE NOTICE; echo; cat swagger-ui-bundle.js.LICENSE.txt; } > "$here/swagger-ui.LICENSE"
