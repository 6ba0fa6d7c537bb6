#!/bin/bash
# Strangers who reach a run and mean harm: it goes on, its memory and its log are bounded, honest workers join, and the
# bits stay. Shortly; tests/hostile does it for minutes, and measures.
source "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
command -v /usr/bin/python3 >/dev/null || skip "no python3"

file=$work/glyphs.yaml
glyphs "$file" 100000
ulimit -Sn 256 # mnemo raises it to the hard one
start run mnemo train "$file" --run-dir "$work/run" --set pool.threads=1 --set 'pool.listen=tcp://127.0.0.1:*' \
    --set run.checkpoint_every=20
job=$started
wait_until 30 "the run makes steps" has_steps "$work/run" 2
address=$(sed -n 's/^endpoint: *//p' "$work/run/endpoint" | head -n 1)

resident() { # MiB
    awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$job/status"
}
attack() { # KIND SECONDS [N]
    local said before
    before=$(steps_of "$work/run")
    said=$(/usr/bin/python3 "$source_folder/tests/integration/attacker.py" "$1" "$address" "${@:2}") || die "the attacker: $said"
    [ -d "/proc/$job" ] && ! gone "$job" || die "$1: the run is dead"
    wait_until 30 "$1: the run makes steps" has_steps "$work/run" $((before + 2))
    ok "$said"
}
before=$(resident)

section "the queue is filled, and the connection reset"
attack reset 3
section "a message without an end"
attack endless 2
attack endless_small 1
section "floods of messages"
for kind in heartbeats results damaged hellos; do
    attack "$kind" 1
done
section "floods of connections"
for kind in noise churn deaf; do
    attack "$kind" 1
done
attack newcomers 2 3000
attack silent 3 3000
lines=$(wc -l <"$work/run.log")
[ "$lines" -lt 400 ] || die "$lines lines of log: $(sed 's/.*mnemo: //' "$work/run.log" | sort | uniq -c | sort -nr | head -n 3)"
after=$(resident)
# Sanitizers keep freed memory, and their shadows.
[ -n "${ASAN_OPTIONS-}" ] || [ $((after - before)) -lt 200 ] || die "its memory went from $before to $after MiB"
ok "memory from $before to at most $after MiB, $lines lines of log"

section "who is honest joins"
start worker mnemo-worker "$work/run" --threads 1
worker=$started
wait_until 60 "the worker joins" logged run "joined threads=1"
kill -USR2 "$job"
exit_code_of 60 "$job" "the run"
[ "$exit_code" -eq 75 ] || die "SIGUSR2: exit code $exit_code instead of 75"
kill -TERM "$worker"
exit_code_of 60 "$worker" "the worker"

section "the answer"
made=$(steps_of "$work/run")
expect_code 0 alone mnemo train "$file" --run-dir "$work/alone" --set pool.threads=2 --set "outer.steps=$made"
expect_code 0 same mnemo train "$file" --run-dir "$work/run" --set pool.threads=1 --set "outer.steps=$made"
[ "$(theta_of alone)" = "$(theta_of same)" ] || die "strangers changed the answer: $(theta_of same) instead of $(theta_of alone)"
ok "after $made steps theta is what it is without them"
finish
