#!/bin/bash
# A small cluster, short enough for the sanitizers: two ranks and a worker give what one thread gives.
source "$(dirname "$0")/lib.sh"

file=$work/sinusoid.yaml
sinusoid "$file" 300

expect_code 0 alone mnemo train "$file" --run-dir "$work/alone" --set pool.threads=1
reference=$(theta_of alone)
[ -n "$reference" ] || die "mnemo train printed no theta"
ok "1 process, 1 thread: theta ${reference:0:16}..."

mpi 2
start cluster "${launch[@]}" mnemo train "$file" --run-dir "$work/cluster" \
    --set pool.threads=0 --set 'pool.listen=tcp://127.0.0.1:*'
job=$started
wait_until 60 "the endpoint file is there" test -s "$work/cluster/endpoint"
start worker mnemo-worker "$work/cluster/endpoint" --threads 2
worker=$started
start second mnemo-worker "$work/cluster/endpoint" --threads 1
second=$started
exit_code_of 200 "$job" "the cluster"
[ "$exit_code" -eq 0 ] || die "the cluster: exit code $exit_code"
[ "$(theta_of cluster)" = "$reference" ] || die "the cluster: theta $(theta_of cluster) instead of $reference"
ok "2 ranks and 2 workers: the same theta"
grep -o '"share_[a-z]*": [^,}]*' "$work/cluster/metrics.jsonl" |
    awk '$2 != "null" && ($2 < 0 || $2 > 1) { bad = 1 } END { exit bad || NR != 5 * 300 }' ||
    die "not 300 times 5 shares between 0 and 1: $(grep -o '"share_.*' "$work/cluster/metrics.jsonl" | head -n 2)"
ok "the shares of each meta-step's time are between 0 and 1"
exit_code_of 60 "$worker" "the first worker"
[ "$exit_code" -eq 0 ] || die "the first worker: exit code $exit_code"
if grep -q 'working for run' "$work/second.log"; then
    exit_code_of 60 "$second" "the second worker"
    [ "$exit_code" -eq 0 ] || die "the second worker: exit code $exit_code"
fi # else it came when all was over, and waits for a coordinator to come back
ok "the workers end by themselves when the run is over"
finish
