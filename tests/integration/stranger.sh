#!/bin/bash
# A stranger joins: a worker started in another folder, with an empty environment and nothing but the endpoint,
# computes while the run goes on; it leaves in good order on SIGTERM, and the bits stay.
source "$(dirname "$0")/lib.sh"

file=$work/glyphs.yaml
glyphs "$file" 100000

start run mnemo train "$file" --run-dir "$work/run" --set pool.threads=1 --set 'pool.listen=tcp://127.0.0.1:*'
job=$started
wait_until 30 "the run makes steps" has_steps "$work/run" 2

with_threads() { # RUN N: a late step was made by N threads
    grep -qE "\"threads\": *$2\\b" <(tail -n 2 "$1/metrics.jsonl")
}
with_threads "$work/run" 1 || die "a run with one thread reports another number of threads"

section "with the endpoint file"
mkdir "$work/elsewhere"
cp "$work/run/endpoint" "$work/elsewhere/here.endpoint"
began=$(date +%s%N)
start stranger env -i -C "$work/elsewhere" "$bin/mnemo-worker" here.endpoint --threads 1
stranger=$started
wait_until 10 "the stranger computes" with_threads "$work/run" 2
ok "it computes with us after $((($(date +%s%N) - began) / 1000000)) ms"
kill -TERM "$stranger"
exit_code_of 20 "$stranger" "the stranger"
wait_until 10 "the pool is back to one thread" with_threads "$work/run" 1
ok "after SIGTERM it has left, exit code $exit_code"
[ "$exit_code" -eq 0 ] || [ "$exit_code" -eq 75 ] || die "the stranger: exit code $exit_code"

section "with an address"
address=$(sed -n 's/^endpoint: *//p' "$work/run/endpoint" | head -n 1)
[ -n "$address" ] || die "the endpoint file names no endpoint"
start addressed env -i -C "$work/elsewhere" "$bin/mnemo-worker" "$address" --threads 1
addressed=$started
wait_until 10 "the addressed one computes" with_threads "$work/run" 2
ok "it computes with us"
slay "$addressed"
wait_until 20 "the pool is back to one thread" with_threads "$work/run" 1
ok "after SIGKILL it is forgotten"

kill -USR2 "$job"
exit_code_of 30 "$job" "the run"
[ "$exit_code" -eq 75 ] || die "SIGUSR2: exit code $exit_code instead of 75"
ok "the run stopped with code 75"

section "the answer"
made=$(steps_of "$work/run")
expect_code 0 alone mnemo train "$file" --run-dir "$work/alone" --set pool.threads=2 --set "outer.steps=$made"
expect_code 0 same mnemo train "$file" --run-dir "$work/run" --set pool.threads=1 --set "outer.steps=$made"
[ "$(theta_of alone)" = "$(theta_of same)" ] || die "strangers changed the answer: $(theta_of same) instead of $(theta_of alone)"
ok "after $made steps theta is what it is without strangers"
finish
