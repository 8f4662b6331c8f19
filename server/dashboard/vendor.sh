#!/bin/sh
# Copies what the pages load, with its licences, out of node_modules. Called by `npm run vendor`.
set -eu
cd "$(dirname "$0")"

pages=static/vendor
tests=../../tests/browser/vendor
mkdir -p "$pages" "$tests"
# The maps are left out, and so is the line that points to them.
sed '/sourceMappingURL/d' node_modules/bootstrap/dist/css/bootstrap.min.css >"$pages/bootstrap.min.css"
cp node_modules/bootstrap/LICENSE "$pages/bootstrap.LICENSE"
cp node_modules/htmx.org/dist/htmx.min.js "$pages/htmx.min.js"
cp node_modules/htmx.org/LICENSE "$pages/htmx.LICENSE"
cp node_modules/axe-core/axe.min.js "$tests/axe.min.js"
cp node_modules/axe-core/LICENSE "$tests/axe.LICENSE"
