#!/bin/bash
# What a run's folder tells while the run is under way, when it was stopped, and when it is done; how it is followed, and several on one page.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

expect_code 66 nothing mnemo status "$work"
expect_words nothing 'is no run'

file=$work/sinusoid.yaml
run=$work/run
sinusoid "$file" 100000000
start train mnemo train "$file" --run-dir "$run" --set pool.threads=1
train=$started
wait_until 60 "the first meta-steps" has_steps "$run" 20
start top mnemo top "$run"
top=$started
expect_code 0 during mnemo status "$run"
expect_words during "running, process $train on" 'meta-step [0-9]+ of 100000000' 'to go' 'loss [0-9]' 'to join: mnemo-worker'
ok "a run that is under way: by whom, how far, how fast"

kill -TERM "$train"
exit_code_of 60 "$train" train
[ "$exit_code" -eq 75 ] || die "train: exit code $exit_code instead of 75"
exit_code_of 60 "$top" top
[ "$exit_code" -eq 0 ] || die "top: exit code $exit_code"
expect_words top running 'sinusoid: stopped' "to go on: mnemo train --run-dir $run"
expect_code 0 stopped mnemo status "$run" --json
steps=$(steps_of "$run")
python3 - "$work/stopped.out" "$steps" <<'PYTHON' || die "the JSON is not what is expected: $(cat "$work/stopped.out")"
import json, sys
state = json.load(open(sys.argv[1]))
sys.exit(not (state["state"] == "stopped" and state["step"] == int(sys.argv[2]) == state["checkpoint"]
              and state["steps"] == 100000000 and state["recent"]["loss"] > 0 and state["to_go_s"] > 0
              and state["test"] is None and state["recent_steps"] <= 100))
PYTHON
ok "a run that was stopped: top ends with it, and its checkpoint is that of its last step"

sinusoid "$file" 10
expect_code 0 whole mnemo train "$file" --run-dir "$work/whole" --set pool.threads=1 --set evaluate.every=5
expect_code 0 end mnemo status "$work/whole"
expect_words end 'sinusoid: done' 'meta-step 10 of 10' 'validation after meta-step 10: .*loss [0-9.]+ \+- ' 'test over 20 tasks'
ok "a run that is done: its scores"

sinusoid "$file" 12
other="$work/<b>other & co"
expect_code 0 second mnemo train "$file" --run-dir "$other" --set pool.threads=1 --set seed=5 --set evaluate.every=5
expect_code 0 report mnemo report "$work/whole" "$other" "$run" -o "$work/page.html"
page=$(<"$work/page.html")
for name in whole second; do
    [[ $page == *"$(theta_of "$name")"* ]] || die "the page lacks the fingerprint of $name"
done
[[ $page != *'<b>other'* && $page == *'&lt;b&gt;other &amp; co'* ]] || die "a name stands in the page as markup"
[[ $page == *'<th scope="row">seed</th>'* && $page == *'loss on validation'* ]] || die "the page lacks what differs, or a curve"
[[ $page == *'<svg'* ]] || ! command -v gnuplot >/dev/null || die "no picture in the page"
! grep -oE '(src|href)=.https?:' "$work/page.html" || die "the page fetches something"
[[ $page != *'batch norm'* ]] || die "batch norm is told of runs that have none"
glyphs "$work/glyphs.yaml" 2
expect_code 0 glyphs mnemo train "$work/glyphs.yaml" --run-dir "$work/glyphs" --set pool.threads=1
expect_code 0 glyphs-end mnemo status "$work/glyphs"
expect_words glyphs-end 'batch norm by the statistics of the batch at hand \(transductive\)'
expect_code 0 glyphs-report mnemo report "$work/glyphs" "$work/whole" -o "$work/glyphs.html"
[[ $(<"$work/glyphs.html") == *'<td>batch norm by the statistics of the batch at hand (transductive)</td><td>-</td>'* ]] ||
    die "the page has scores without the mode of batch norm"
python3 - "$work/page.html" <<'PYTHON' || die "the page's elements are not closed as they were opened"
import html.parser, sys
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], 0
    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)
    def handle_endtag(self, tag):
        self.wrong += not self.open or self.open.pop() != tag
page = Page()
page.feed(open(sys.argv[1]).read())
sys.exit(page.wrong > 0 or page.open != ["html"])
PYTHON
expect_code 66 none mnemo report "$work/whole" "$work"
ok "several runs on one page: fingerprints, curves, what differs; names are text"
finish
