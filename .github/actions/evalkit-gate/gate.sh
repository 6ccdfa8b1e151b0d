#!/usr/bin/env bash
# Runs the gate with the action's inputs, keeps its exit code as an output, and puts its table into the job's summary.
set -uo pipefail

summary=$(mktemp)
trap 'rm -f "$summary"' EXIT

set -f # words are split below, and * in a tolerance is evalkit's, not the shell's
tolerances=()
for tolerance in $TOLERANCE; do tolerances+=(--tolerance "$tolerance"); done
set +f
# shellcheck disable=SC2086  # several folders, and patterns for them, are meant to be split
evalkit gate $RUNS --baseline "$BASELINE" "${tolerances[@]}" --alpha "$ALPHA" --junit "$JUNIT" --markdown "$summary" --github
code=$?

cat "$summary" >>"$GITHUB_STEP_SUMMARY"
echo "exit-code=$code" >>"$GITHUB_OUTPUT"
if [ "$code" = 4 ] && [ "$ALLOW_UNDERPOWERED" = true ]; then exit 0; fi
exit "$code"
