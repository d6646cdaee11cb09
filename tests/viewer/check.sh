#!/usr/bin/env bash
# The page's JavaScript: lint, types, unit tests. Needs node 20 or later and npm.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --no-audit --no-fund --silent
npm run -s lint
npm run -s types
npm run -s test
