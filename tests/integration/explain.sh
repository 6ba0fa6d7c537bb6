#!/bin/bash
# Why it went as it went: a worker is killed, one is stopped, one is refused, one has nothing to do, the run is killed and
# taken up again; mnemo explain names each with the reason and what was computed twice. And a run asked by the address of its page.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

explains() { # NAME RUN PATTERN: true once mnemo explain says it
    mnemo explain "$2" >"$work/$1.out" 2>"$work/$1.log" && grep -qE -- "$3" "$work/$1.out"
}
told() { # JSON-FILE PYTHON-EXPRESSION over `all`
    python3 -c 'import json, sys; sys.exit(not eval("(" + sys.argv[2] + ")", {"all": json.load(open(sys.argv[1]))}))' "$1" "$2"
}

section "workers that are killed, stopped, refused, or have nothing to do"
file=$work/sinusoid.yaml
run=$work/run
sinusoid "$file" 100000000
sed -i 's/batch: 12/batch: 6000/' "$file" # a meta-step takes some ten milliseconds, so whoever dies has tasks in hand
start train mnemo train "$file" --run-dir "$run" --set pool.threads=1 --set pool.silence_ms=3000 --set pool.lease_floor_ms=500
train=$started
wait_until 60 "the first meta-steps" has_steps "$run" 5
start first mnemo-worker "$run/endpoint" --threads 1
first=$started
start second mnemo-worker "$run/endpoint" --threads 1
second=$started
wait_until 60 "both have joined" eval "[ \$(grep -c 'event\": \"joined' '$run/journal.jsonl') -eq 2 ]"
"$tests_bin/wrong_hello" "$(sed -n 's/^endpoint: //p' "$run/endpoint")" >/dev/null || die "wrong_hello"
wait_until 60 "the refused one is told" explains refused "$run" 'was refused: the worker \(mnemo 99.0\) speaks protocol'
ok "one who is refused is named, with the remedy: $(grep -oE 'from-the-future[^ ]* was refused' "$work/refused.out")"

kill -STOP "$second"
wait_until 60 "the stopped one is told" explains stopped "$run" ":$second is gone: silent for [0-9]+ ms, so it hangs or is cut off"
wait_until 60 "its lease is told" explains waits "$run" "meta-step [0-9]+ waited [0-9.]+ s for [^ ]*:$second: "
grep -qE "[0-9]+ leases? of it ran out|$second, it fell silent" "$work/waits.out" || die "its leases are not told: $(cat "$work/waits.out")"
ok "one who hangs: its leases, and the step that waited for it: $(grep -oE 'meta-step [0-9]+ waited.*' "$work/waits.out" | head -n 1)"

slay "$first"
wait_until 60 "the killed one is told" explains killed "$run" ":$first is gone: its connection closed"
expect_code 0 one mnemo explain "$run" --worker ":$first"
expect_words one "$first joined with 1 thread" "$first is gone: its connection closed"
kill -CONT "$second"
wait_until 60 "the stopped one is back" eval "[ \$(grep -c 'event\": \"joined' '$run/journal.jsonl') -eq 3 ]"
ok "one who is killed, and all that befell it; one who comes back"

address=$(cat "$run/page")
shows() { # PATTERN
    mnemo status --url "$address" >"$work/url.out" 2>"$work/url.log" && grep -qE -- "$1" "$work/url.out"
}
wait_until 60 "the page tells of the killed one" shows ":$first is not there \(lost [0-9]+ s ago\): its connection closed"
expect_words url "sinusoid: training, process $train on" "$run" 'meta-step [0-9]+ of 100000000' 'tasks/s; [0-9]+ threads?' \
    "local: 1 thread," "from-the-future"
expect_code 0 url-json mnemo status --url "${address#http://}state.json" --json
told "$work/url-json.out" 'all["phase"] == "training" and all["run"]["steps"] == 100000000' || die "the JSON of the page is not whole"
start top mnemo top --url "$address"
top=$started
wait_until 60 "top shows something" grep -qs 'sinusoid: training' "$work/top.out"
ok "the run by the address of its page, once and as it goes"

slay "$train"
exit_code_of 60 "$top" top
[ "$exit_code" -eq 69 ] || die "top: exit code $exit_code when the run was killed"
expect_words top 'nobody answers there'
expect_code 69 gone mnemo status --url "$address"
expect_words gone 'nobody answers there' 'RUN/page'
printf '{"at": 17' >>"$run/journal.jsonl" # as if the kill had come in the middle of a line
expect_code 0 cut mnemo explain "$run"
expect_words cut 'sinusoid: stopped' 'computed twice: '
last=$(steps_of "$run")
newest=$(find "$run/checkpoints" -name 'step-*' | sed 's/.*step-0*\([0-9]*\).*/\1/' | sort -n | tail -n 1)
start again mnemo train --run-dir "$run" --set pool.threads=1
again=$started
wait_until 60 "the run has gone on" has_steps "$run" $((last + 5))
kill -TERM "$again"
exit_code_of 60 "$again" again
[ "$exit_code" -eq 75 ] || die "again: exit code $exit_code instead of 75"
expect_words again '% of the work was done twice: |no task was computed twice'
expect_code 0 after mnemo explain "$run"
expect_words after ', 2 jobs' "taken up after $newest meta-steps by process $again on"
[ "$last" -eq "$newest" ] || expect_words after "$((last - newest)) meta-steps after the checkpoint are made again"
expect_code 0 json mnemo explain "$run" --json
told "$work/json.out" "all['jobs'] == 2 and 0 < all['repeated_share'] < 1 and all['bad_lines'] == 1 and all['waited'] > 0 and
    any(w['name'].endswith(':$first') and w['last'] == 'lost' for w in all['workers']) and
    any(w['last'] == 'refused' and not w['here'] for w in all['workers']) and sum(r['tasks'] for r in all['repeated']) > 0" ||
    die "the JSON is not what is expected: $(head -c 1500 "$work/json.out")"
ok "a run that was killed and taken up: what is made again; the journal goes on behind a line that was cut"

section "two ranks"
door_of() { # RANK RUN: an endpoint file of this rank alone
    awk -v rank="$1" '!/^endpoint/ || n++ == rank' "$2/endpoint" >"$work/rank-$1"
}
sinusoid "$file" 40
sed -i 's/batch: 12/batch: 1/' "$file"
mpi 2
start quiet "${launch[@]}" mnemo train "$file" --run-dir "$work/quiet" --set pool.threads=0
quiet=$started
wait_until 60 "the endpoint" test -s "$work/quiet/endpoint"
door_of 1 "$work/quiet"
start helper mnemo-worker "$work/rank-1" --threads 1
helper=$started
exit_code_of 120 "$quiet" quiet
[ "$exit_code" -eq 0 ] || die "two ranks: exit code $exit_code"
expect_code 0 lonely mnemo explain "$work/quiet"
expect_words lonely 'sinusoid: done' ':'"$helper"' \(rank 1\): there until the job ended'
expect_words quiet 'no task was computed twice'
ok "what a rank other than the first has seen is in the journal: $(grep -oE '[^ ]*:'"$helper"' \(rank 1\)' "$work/lonely.out")"

start idle "${launch[@]}" mnemo train "$file" --run-dir "$work/idle" --set pool.threads=0 --set outer.steps=100000000
idle=$started
wait_until 60 "the endpoint" test -s "$work/idle/endpoint"
door_of 0 "$work/idle" # who has the tasks of a meta-step first
door_of 1 "$work/idle"
start busy mnemo-worker "$work/rank-0" --threads 1
start spare mnemo-worker "$work/rank-1" --threads 1
wait_until 60 "one has nothing to do" explains nothing "$work/idle" ":[0-9]+ \(rank 1\): idle since [-0-9: ]*: rounds of 1 tasks go by, and others have them all"
kill -USR2 "$idle"
exit_code_of 60 "$idle" idle
ok "a worker that has nothing to do, and why: $(grep -oE 'idle since.*' "$work/nothing.out" | head -n 1)"

section "one who leaves"
sinusoid "$file" 100000000
sed -i 's/batch: 12/batch: 6000/' "$file"
start left mnemo train "$file" --run-dir "$work/left" --set pool.threads=1
left=$started
wait_until 60 "the first meta-steps" has_steps "$work/left" 3
start leaver mnemo-worker "$work/left/endpoint" --threads 1
leaver=$started
wait_until 60 "it has joined" grep -q '"joined"' "$work/left/journal.jsonl"
kill -INT "$leaver"
exit_code_of 60 "$leaver" leaver
[ "$exit_code" -eq 0 ] || die "leaver: exit code $exit_code"
wait_until 60 "it is told" explains leaves "$work/left" ":$leaver left of its own accord"
! grep -qE ":$leaver.*(died|is gone|closed)" "$work/leaves.out" || die "one who left is told to have died: $(cat "$work/leaves.out")"
kill -USR2 "$left"
exit_code_of 60 "$left" left
ok "one who leaves on Ctrl-C is told to have left"

section "the bits"
sinusoid "$file" 30
expect_code 0 plain mnemo train "$file" --run-dir "$work/plain" --set pool.threads=1
mkdir -p "$work/barred/journal.jsonl" # it cannot be written: a folder stands in its place
expect_code 0 barred mnemo train "$file" --run-dir "$work/barred" --set pool.threads=1
[ -n "$(theta_of plain)" ] && [ "$(theta_of plain)" = "$(theta_of barred)" ] || die "the journal has changed the bits"
[ "$(grep -c 'journal.jsonl cannot be written' "$work/barred.log")" -eq 1 ] || die "that there is no journal is not said once"
expect_words plain 'no task was computed twice'
ok "without a journal the run is as good, and says so once"

expect_code 75 claimed mnemo train "$file" --run-dir "$work/claimed" --set pool.threads=1 --until 12
sed -i "s/^pool:/pool:\n  numeric_class: \"$(printf '%064d' 7)\"/" "$work/claimed/experiment.yaml" # which only learners from outside have
grep -q '00007"' "$work/claimed/experiment.yaml" || die "no place for a class"
expect_code 0 claimed mnemo train --run-dir "$work/claimed"
[ "$(theta_of claimed)" = "$(theta_of plain)" ] || die "pool.numeric_class has changed the bits"
ok "the class of our own learners is measured, whatever pool.numeric_class says"

section "bad input"
expect_code 66 none mnemo explain "$work"
expect_words none 'is no run'
rm -r "$work/barred/journal.jsonl"
expect_code 66 older mnemo explain "$work/barred"
expect_words older 'has no journal.jsonl'
echo '{"journal": "mnemo", "version": 99}' >"$work/barred/journal.jsonl"
expect_code 65 later mnemo explain "$work/barred"
expect_words later 'version 99' 'reads version 1'
head -c 100000 /dev/urandom >"$work/barred/journal.jsonl"
expect_code 65 foreign mnemo explain "$work/barred"
expect_words foreign 'is not the journal of a run'
expect_code 66 unknown mnemo explain "$work/plain" --worker nobody
expect_words unknown 'no worker with "nobody"'
expect_code 0 step mnemo explain "$work/plain" --step 7
expect_words step 'nothing of meta-step 7'
for wrong in 'explain' 'explain a b' "explain $work/plain --step 0" "explain $work/plain --json --step 3" 'status' "status $work/plain --url http://a/" \
    'status --url ftp://a/' 'top' 'status --url /no/address'; do
    # shellcheck disable=SC2086 # to be split
    expect_code 64 wrong mnemo $wrong
done
ok "a run of an older mnemo, a journal of a later one, something else, a wrong command line: said"

section "the limit of open files"
(ulimit -Sn 64 && ulimit -Hn 500 && exec mnemo train "$file" --run-dir "$work/few" --set pool.threads=1) >"$work/few.out" 2>"$work/few.log" ||
    die "the run with few descriptors failed"
expect_words few 'at most 500 files may be open here, so about 436 workers fit' 'LimitNOFILE='
[ "$(theta_of few)" = "$(theta_of plain)" ] || die "the limit has changed the bits"
(ulimit -Sn 256 && exec mnemo train "$file" --run-dir "$work/many" --set pool.threads=1) >"$work/many.out" 2>"$work/many.log" || die "train"
if [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 1100 ]; then
    ! grep -q 'files may be open' "$work/many.log" || die "the soft limit was not raised to the hard one"
fi
ok "a soft limit is raised; where a thousand workers do not fit it says what to do"
finish
