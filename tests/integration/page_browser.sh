#!/bin/bash
# The live page as people see it: in headless Chromium, driven by WebDriver.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
command -v chromium >/dev/null && command -v chromedriver >/dev/null ||
    skip "no browser: cluster/install-packages page installs chromium and chromium-driver"
has_page() { # RUN
    [ -s "$1/page" ]
}

section "a run that is stopped"
file=$work/sinusoid.yaml
sinusoid "$file" 100000000
start train mnemo train "$file" --run-dir "$work/run" --set pool.threads=1 --set evaluate.every=500 --set evaluate.val_tasks=20
train=$started
wait_until 60 "the page" has_page "$work/run"
start browser env TMPDIR="$work" python3 "$source_folder/tests/integration/page_browser.py" whole "$work/run" "$bin/mnemo-worker" "$train"
exit_code_of 180 "$started" browser
cat "$work/browser.out"
[ "$exit_code" -eq 0 ] || die "the page is not as it should be"

section "a run that is killed, goes on, is stopped and goes on"
start first mnemo train "$file" --run-dir "$work/killed" --set pool.threads=1 --set run.checkpoint_every=50
first=$started
wait_until 60 "the page" has_page "$work/killed"
address=$(sed -n 's,^http://\([^/]*\)/.*,\1,p' "$work/killed/page")
start again env TMPDIR="$work" python3 "$source_folder/tests/integration/page_browser.py" again "$work/killed"
again=$started
wait_until 60 "somebody looks" grep -qs looking "$work/again.out"
wait_until 60 "a checkpoint" has_steps "$work/killed" 200
slay "$first"
wait_until 60 "the page misses it" grep -qs '^lost' "$work/again.out"
start second mnemo train --run-dir "$work/killed" --set pool.threads=1 --set "run.page=$address"
second=$started
wait_until 60 "the page finds it" grep -qs '^on' "$work/again.out"
kill -TERM "$second"
wait_until 60 "the page tells that it is stopped" grep -qs '^stopped' "$work/again.out"
exit_code_of 60 "$second" second
start third mnemo train --run-dir "$work/killed" --set pool.threads=1 --set "run.page=$address"
exit_code_of 120 "$again" again
cat "$work/again.out"
[ "$exit_code" -eq 0 ] || die "the page does not find the run again"

section "a run that ends"
sinusoid "$file" 5000
start whole mnemo train "$file" --run-dir "$work/whole" --set pool.threads=0
whole=$started
wait_until 60 "the page" has_page "$work/whole"
start end env TMPDIR="$work" python3 "$source_folder/tests/integration/page_browser.py" end "$work/whole"
end=$started
wait_until 60 "somebody looks" grep -qs looking "$work/end.out"
start worker mnemo-worker "$work/whole/endpoint" --threads 1
exit_code_of 180 "$end" end
[ "$exit_code" -eq 0 ] || die "the end of the run is not told"
cat "$work/end.out"
exit_code_of 60 "$whole" whole
[ "$exit_code" -eq 0 ] || die "train: exit code $exit_code"

section "a million meta-steps and a thousand workers"
sinusoid "$file" 5000
start idle mnemo train "$file" --run-dir "$work/idle" --set pool.threads=0
idle=$started
wait_until 60 "the page" has_page "$work/idle"
start large env TMPDIR="$work" python3 "$source_folder/tests/integration/page_browser.py" large "$work/idle"
exit_code_of 180 "$started" large
cat "$work/large.out"
[ "$exit_code" -eq 0 ] || die "the page is not fluid"
kill -TERM "$idle"
exit_code_of 60 "$idle" idle

section "seeds, one after the other"
sinusoid "$file" 3000
start seeds mnemo train "$file" --seeds 2 --run-dir "$work/seeds" --set pool.threads=0
seeds=$started
wait_until 60 "the page" has_page "$work/seeds"
start follow env TMPDIR="$work" python3 "$source_folder/tests/integration/page_browser.py" seeds "$work/seeds"
follow=$started
wait_until 60 "somebody looks" grep -qs looking "$work/follow.out"
start one mnemo-worker "$work/seeds/seed-11/endpoint" --threads 1
wait_until 60 "the page is that of the next seed" grep -qs next "$work/follow.out"
cmp -s "$work/seeds/page" "$work/seeds/seed-12/page" || die "the second seed has another address"
start two mnemo-worker "$work/seeds/seed-12/endpoint" --threads 1
exit_code_of 180 "$follow" follow
cat "$work/follow.out"
[ "$exit_code" -eq 0 ] || die "the page does not follow from seed to seed"
exit_code_of 60 "$seeds" seeds
[ "$exit_code" -eq 0 ] || die "train --seeds: exit code $exit_code"
[ ! -e "$work/seeds/page" ] || die "the address stays when all seeds are done"
finish
