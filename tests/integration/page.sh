#!/bin/bash
# The live page of a run, asked by a program: what it says while the run goes on, when workers come and go, and at the
# end; who may look; and that nothing that is asked of it holds up the run or changes its bits.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
page() { # COMMAND RUN ...
    python3 "$source_folder/tests/integration/page.py" "$@"
}
has_page() { # RUN
    [ -s "$1/page" ]
}

section "a run that goes on, and is stopped"
file=$work/sinusoid.yaml
run=$work/run
sinusoid "$file" 100000000
start train mnemo train "$file" --run-dir "$run" --set pool.threads=1 --set evaluate.every=50 --set evaluate.val_tasks=5 \
    --set "run.prometheus_textfile=$work/run.prom"
train=$started
wait_until 60 "the page" has_page "$run"
wait_until 60 "some meta-steps" has_steps "$run" 60
logged train "the run shows itself on $(cat "$run/page")" || die "the address is not in the log"
page whole "$run" || die "the page is not whole"
ok "page, state, curves, files; nothing is fetched from elsewhere"

start follow python3 "$source_folder/tests/integration/page.py" follow "$run"
follow=$started
wait_until 60 "three frames" grep -qs following "$work/follow.out"
page bad "$run" || die "nonsense was not refused as it should be"
ok "strange paths, another host's name, 10 MB, clients that do not read: refused, and the run goes on"

start worker mnemo-worker "$run/endpoint"
worker=$started
page joined "$run" "$worker" >"$work/joined.out" || die "the worker is not seen"
slay "$worker"
page gone "$run" ":$worker" lost || die "the end of the worker is not seen"
"$tests_bin/wrong_hello" "$(sed -n 's/^endpoint: //p' "$run/endpoint")" >/dev/null || die "wrong_hello"
page gone "$run" "" rejected || die "who was rejected is not seen"
ok "a worker that joins is seen ($(cat "$work/joined.out")), one that is killed, and one that is not let in, with the reason"

kill -TERM "$train"
exit_code_of 60 "$train" train
[ "$exit_code" -eq 75 ] || die "train: exit code $exit_code instead of 75"
exit_code_of 60 "$follow" follow
[ "$exit_code" -eq 0 ] || die "the stream was not as it should be"
expect_words follow '"phase": "interrupted", "over": true' 'stopped by SIGTERM'
[ ! -e "$run/page" ] || die "$run/page is still there"
grep -q '^mnemo_run_phase{phase="interrupted"} 1$' "$work/run.prom" || die "the text file does not tell the end"
page shares "$run" || die "the shares of the time are not parts of 1"
ok "the stream ends with the run and says how; the file for node_exporter too"

section "a run that goes on again, behind a token"
echo 0123456789abcdef0123456789abcdef >"$work/token"
chmod 600 "$work/token"
start again mnemo train --run-dir "$run" --set pool.threads=1 --set "run.page_token=$work/token"
again=$started
wait_until 60 "the page" has_page "$run"
page token "$run" || die "the token does not open, or something else does"
[ "$(stat -c %a "$run/page")" = 600 ] || die "$run/page can be read by others"
! grep -q 0123456789abcdef "$work/again.log" || die "the token stands in the log"
kill -TERM "$again"
exit_code_of 60 "$again" again
start third mnemo train --run-dir "$run" --set pool.threads=1 --set run.page_token=
third=$started
wait_until 60 "the page" has_page "$run"
page curve_from "$run" 60 || die "what was before is not shown"
kill -TERM "$third"
exit_code_of 60 "$third" third
ok "the token opens, nothing else does, and it is not told; the curves begin where the run began"

section "the end, and the bits"
sinusoid "$file" 10000
start whole mnemo train "$file" --run-dir "$work/whole" --set pool.threads=0 --set run.checkpoint_every=100 # nobody computes before somebody looks
whole=$started
wait_until 60 "the page" has_page "$work/whole"
start end python3 "$source_folder/tests/integration/page.py" follow "$work/whole"
end=$started
wait_until 60 "three frames" grep -qs following "$work/end.out"
start pester python3 "$source_folder/tests/integration/page.py" pester "$work/whole"
pester=$started
start helper mnemo-worker "$work/whole/endpoint" --threads 1
exit_code_of 60 "$whole" whole
exit_code_of 60 "$end" end
exit_code_of 60 "$pester" pester
[ "$exit_code" -eq 0 ] || die "no task was shown while the run went on"
expect_words end '"phase": "ended", "over": true' "test.*loss"
expect_code 0 none mnemo train "$file" --run-dir "$work/none" --set pool.threads=1 --set run.page=none
[ ! -e "$work/none/page" ] || die "run.page=none has a page"
[ -n "$(theta_of none)" ] && [ "$(theta_of none)" = "$(theta_of whole)" ] || die "the page has changed the bits"
ok "a run that ends says so, with its test; looked at, its tasks too, or not, the bits are the same"

section "adapted tasks, of whatever kind"
shows() { # NAME EXPERIMENT drawn|not WORD...
    local name=$1 experiment=$2 drawn=$3
    shift 3
    start "$name" mnemo train "$source_folder/experiments/$experiment.yaml" --run-dir "$work/$name" --set pool.threads=1 --set outer.batch=2 \
        --set outer.steps=100000000 --set evaluate.every=0 --set evaluate.keep_best=false --set evaluate.patience=0 --set run.checkpoint_every=20
    local run=$started
    wait_until 60 "the page" has_page "$work/$name"
    page task "$work/$name" "$drawn" "$@" >"$work/told.out" || die "$name: the task is not shown"
    kill -TERM "$run"
    exit_code_of 60 "$run" "$name"
    ok "$name: $(cat "$work/told.out")"
}
shows curve sinusoid-maml drawn "test task 1 of" "theta: last, of meta-step" "after 5 inner steps"
shows images glyphs-5w1s-prototypes drawn "right"
shows story generated-stories-memn2n drawn "hop 1" "(attention)"
shows sequence glyph-sequences-mann drawn "right"
shows rows tables-pfn not "right"

section "a run that waits"
sinusoid "$file" 100000000
start waits mnemo train "$file" --run-dir "$work/waits" --set pool.threads=0
waits=$started
wait_until 60 "the page" has_page "$work/waits"
start lonely mnemo-worker "$work/waits/endpoint" --threads 1
lonely=$started
wait_until 60 "some meta-steps" has_steps "$work/waits" 50
slay "$lonely"
page gone "$work/waits" ":$lonely" lost
page written "$work/waits" >"$work/written.out" || die "meta-steps that were done are not in metrics.jsonl"
kill -TERM "$waits"
exit_code_of 60 "$waits" waits
ok "metrics.jsonl has all that was done: $(cat "$work/written.out")"

section "bad input"
python3 - >"$work/taken" <<'PYTHON' &
import socket, sys, time
door = socket.create_server(("127.0.0.1", 0))
print(door.getsockname()[1], flush=True)
while True:
    time.sleep(1)
PYTHON
taker=$!
sessions+=("$taker")
wait_until 60 "a port is taken" test -s "$work/taken"
sinusoid "$file" 10
expect_code 0 taken mnemo train "$file" --run-dir "$work/taken-run" --set pool.threads=1 --set "run.page=127.0.0.1:$(cat "$work/taken")"
expect_words taken 'no page of this run, which goes on without' "$(cat "$work/taken").*in use" 'run.page=ADDRESS:PORT'
kill "$taker"
expect_code 0 foreign mnemo train "$file" --run-dir "$work/foreign" --set pool.threads=1 --set run.page=192.0.2.1:0
expect_words foreign 'goes on without'
for wrong in nonsense 127.0.0.1 127.0.0.1:99999 ::1:80 :80 127.0.0.1:; do
    expect_code 78 wrong mnemo train "$file" --check --set "run.page=$wrong"
    expect_words wrong 'run.page is' 'expected ADDRESS:PORT'
done
echo short >"$work/token"
expect_code 0 short mnemo train "$file" --run-dir "$work/short" --set pool.threads=1 --set "run.page_token=$work/token"
expect_words short 'no page of this run' 'run.page_token: the first line'
expect_code 0 textfile mnemo train "$file" --run-dir "$work/textfile" --set pool.threads=1 --set "run.prometheus_textfile=$work/nowhere/x.prom"
expect_words textfile 'run.prometheus_textfile: .*nowhere' 'tried again every 10 s'
ok "a port that is taken, an address of elsewhere, a short token, no such folder: said, and the run goes on"
finish
