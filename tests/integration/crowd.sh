#!/bin/bash
# A crowd: hundreds of workers that answer at once, each with a connection of its own, with keys and with several threads
# that carry their messages. What they answer is made up and the same for each task, so theta is too, however many they are.
source "$(dirname "$0")/lib.sh"

file=$work/sinusoid.yaml
sinusoid "$file" 12

run_with() { # NAME WORKERS MORE...
    local name=$1 n=$2 key address
    shift 2
    start "$name" mnemo train "$file" --run-dir "$work/$name" --set pool.threads=0 --set outer.batch=600 \
        --set 'pool.listen=tcp://127.0.0.1:*' --set pool.lease_floor_ms=60000 --set pool.silence_ms=60000 "$@"
    local job=$started
    wait_until 60 "the endpoint file of $name is there" test -s "$work/$name/endpoint"
    address=$(sed -n 's/^endpoint: *//p' "$work/$name/endpoint")
    key=$(sed -n 's/^key: *//p' "$work/$name/endpoint")
    [ "$key" = - ] && key=
    start "$name.crowd" "$tests_bin/thousand_workers" "$address" "$n" ${key:+"$key" "$work/keys/worker.secret"}
    exit_code_of 120 "$job" "$name"
    [ "$exit_code" -eq 0 ] || die "$name: exit code $exit_code"
    exit_code_of 20 "$started" "$name.crowd"
    [ "$exit_code" -eq 0 ] || die "$name.crowd: exit code $exit_code"
}

section "three workers, three hundred, and three hundred with keys"
expect_code 0 make mnemo keys new -o "$work/keys"
run_with few 3
run_with many 300
run_with keys 300 --set "pool.keys=$work/keys" --set pool.io_threads=2
reference=$(theta_of few)
[ -n "$reference" ] || die "no theta"
for name in many keys; do
    [ "$(theta_of "$name")" = "$reference" ] || die "theta of $name: $(theta_of "$name") instead of $reference"
    [ "$(grep -c 'worker=made-up:.* joined' "$work/$name.log")" -eq 300 ] || die "$name: not all 300 joined"
done
ok "the same theta"

finish
