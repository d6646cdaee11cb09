#!/usr/bin/env bash
# The page's JavaScript: lint, types, unit tests; that the built files are those of the sources. Needs node 20 or later and npm.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --no-audit --no-fund --silent
npm run -s lint
npm run -s types
npm run -s test
node build.mjs --check
