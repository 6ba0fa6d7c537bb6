#!/bin/bash
# The coordinator is killed at any instant and started again: the worker finds it by itself through the endpoint
# file, the run goes on from its newest checkpoint, and the bits stay.
source "$(dirname "$0")/lib.sh"

steps=60
file=$work/glyphs.yaml
glyphs "$file" "$steps"
options=(--set pool.threads=0 --set 'pool.listen=tcp://127.0.0.1:*' --set pool.heartbeat_ms=200 --set pool.silence_ms=2000)

expect_code 0 alone mnemo train "$file" --run-dir "$work/alone" --set pool.threads=2
reference=$(theta_of alone)
[ -n "$reference" ] || die "mnemo train printed no theta"

start first mnemo train "$file" --run-dir "$work/run" "${options[@]}"
job=$started
wait_until 30 "the endpoint file is there" test -s "$work/run/endpoint"
start worker mnemo-worker "$work/run/endpoint" --threads 1
worker=$started

for at in 12 27 41; do
    wait_until 60 "$at steps" has_steps "$work/run" "$at"
    ! gone "$job" || die "the run was over before it was killed: it is too short for this test"
    slay "$job"
    ok "coordinator killed after $at or more steps"
    start "again-$at" mnemo train "$file" --run-dir "$work/run" "${options[@]}"
    job=$started
    wait_until 30 "the new coordinator goes on from a checkpoint" logged "again-$at" 'goes on at meta-step [1-9]'
done
exit_code_of 120 "$job" "the last coordinator"
[ "$exit_code" -eq 0 ] || die "the last coordinator: exit code $exit_code"
ok "one and the same worker made the rest each time"
[ "$(theta_of again-41)" = "$reference" ] || die "theta $(theta_of again-41) instead of $reference"
ok "theta ${reference:0:16}..., as without a kill"
[ "$(steps_of "$work/run")" -eq "$steps" ] || die "metrics.jsonl has $(steps_of "$work/run") steps instead of $steps"
ok "metrics.jsonl has every step once"
exit_code_of 30 "$worker" "the worker"
[ "$exit_code" -eq 0 ] || die "the worker: exit code $exit_code"
ok "the worker ended with the run"
finish
