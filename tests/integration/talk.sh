#!/bin/bash
# A person talks with a run: a bot that learned from dialogues and keeps what was said, and stories that are told and
# asked about, a line at a time; through a pipe, with lines that are nonsense in between.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

dialogues "$work/dialogues.yaml" 150
expect_code 0 train mnemo train "$work/dialogues.yaml" --run-dir "$work/run" --set outer.lr=0.03
grep -q '^ *loss  *accuracy  *dialog_accuracy' "$work/train.out" || die "no accuracy of whole dialogues: $(cat "$work/train.out")"
expect_code 0 unseen mnemo evaluate "$work/run" --set tasks.oov=true
expect_words unseen 'dialog_accuracy' 'tasks.oov true instead of false'
accuracy=$(sed -n 's/^ *[0-9.]* +- [0-9.]* *\([0-9.]*\) %.*/\1/p' "$work/unseen.out")
[ "${accuracy%.*}" -ge 99 ] || die "with match types entities that training lacks are found, but accuracy is $accuracy %"
ok "trained; with entities that training lacks $accuracy % of the responses are right"
expect_code 0 shown mnemo task "$work/run" --split test --index 1
expect_words shown 'question 0: (hi|good morning)' 'hop 2' 'its phone please #user #2' ' of 3 right'
ok "a dialogue is shown, with what each hop went by"

talk() { # NAME RUN LINES [OPTION]...
    local name=$1 run=$2 lines=$3
    shift 3
    # shellcheck disable=SC2016 # for the inner shell
    expect_code 0 "$name" sh -c 'lines=$1; shift; printf "$lines" | mnemo ask "$@" --interactive' sh "$lines" "$run" "$@"
}

says() { # NAME EXPECTED
    [ "$(cat "$work/$1.out")" = "$(printf "$2")" ] || die "$1: said $(cat "$work/$1.out")"
}

section "a bot"
talk plain "$work/run" 'Hi!\nits phone please\n+ place_3 R_phone phone_3\nplace_3'
says plain 'hello what can i do\nwhich one\nhere it is phone_3\n'
ok "it answers, knows a fact that it is told, and keeps what was said; the last line has no end"
talk anew "$work/run" 'hi\nits phone please\n+ place_3 R_phone phone_3\nplace_3\n:new\nhi\nits phone please\n+ place_7 R_phone phone_7\nplace_7\n'
[ "$(sed -n 6p "$work/anew.out")" = "here it is phone_7" ] || die "begun anew: $(cat "$work/anew.out")"
ok "it begins anew when it is told to"
talk why "$work/run" 'hi\n:why\n:help\n'
expect_words why '%  hello what can i do' 'what a knowledge base tells' ':new'
ok ":why tells of the most probable answers, :help of the rest"
mv "$MNEMO_CACHE/babi" "$work/elsewhere"
talk nodata "$work/run" 'Hi!\nits phone please\n+ place_3 R_phone phone_3\nplace_3\n'
cmp "$work/nodata.out" "$work/plain.out" || die "without its data it says something else: $(cat "$work/nodata.out")"
mv "$work/elsewhere" "$MNEMO_CACHE/babi"
expect_code 0 export mnemo export "$work/run" -o "$work/bot.safetensors"
mv "$MNEMO_CACHE/babi" "$work/elsewhere"
talk exported "$work/bot.safetensors" 'Hi!\nits phone please\n+ place_3 R_phone phone_3\nplace_3\n'
mv "$work/elsewhere" "$MNEMO_CACHE/babi"
cmp "$work/exported.out" "$work/plain.out" || die "from the exported file it says something else: $(cat "$work/exported.out")"
expect_code 64 examples mnemo adapt "$work/run" --support "$work" --query "$work"
expect_words examples 'has learned from dialogues and needs no examples: talk to it'
ok "without the data that it learned from, from its run or an exported file"
talk json "$work/run" 'hi\nits phone please\n' --json
[ "$(grep -c '^{"question":' "$work/json.out")" -eq 2 ] || die "not an object a line: $(cat "$work/json.out")"
ok "JSON: an answer a line"
talk silent "$work/run" ''
says silent ''
ok "no input, no answer"
talk odd "$work/run" 'hi stranger\n:dance\n+ \n\001\nits phone please\n'
says odd 'hello what can i do\nwhich one\n'
expect_words odd '"stranger" is no word' ':dance: expected :help' 'a fact without words' 'control characters'
ok "what cannot be read is told, and the conversation goes on"
talk long "$work/run" 'hi\nhi\nhi\nhi\n'
expect_words long "memory holds 5 utterances and facts, and 6 were said: the oldest are left out"
ok "more than the memory holds"
{ head -c 5000 /dev/zero | tr '\0' a; echo; echo hi; } >"$work/wide.txt"
# shellcheck disable=SC2016 # for the inner shell
expect_code 0 wide sh -c 'mnemo ask "$1" --interactive <"$2"' sh "$work/run" "$work/wide.txt"
says wide 'hello what can i do\n'
expect_words wide 'a line of more than 4095 bytes'
ok "a line that is too long"

section "a model a set"
if command -v python3 >/dev/null; then
    sed -e 's/kind: dialogues/&\n  data: dialogs/' -e 's/steps: .*/steps: 20/' -e 's/every: .*/every: 10/' \
        "$source_folder/experiments/dialog-babi-memn2n.yaml" >"$work/small.yaml"
    export MNEMO=$bin/mnemo
    expect_code 0 table "$source_folder/experiments/dialog-babi" "$work/small.yaml" "$work/runs" --sets 1 --starts 2 \
        -- --set pool.threads=1
    grep -qE '^\| 1 \| 2 \| [0-9.]+ % \| [0-9.]+ % \| [0-9.]+ % \| [0-9.]+ % \| [0-9.]+ % \| ' "$work/table.out" ||
        die "no row of set 1 in the table: $(cat "$work/table.out")"
    expect_code 1 lacking "$source_folder/experiments/dialog-babi" "$work/small.yaml" "$work/runs" --sets 2
    expect_words lacking 'dialog-babi-task2-...-trn.txt'
    ok "experiments/dialog-babi: a table with both tests; a set that is not there is named"
fi

section "stories"
stories "$work/stories.yaml" 20
expect_code 0 stories mnemo train "$work/stories.yaml" --run-dir "$work/stories"
talk told "$work/stories" 'Mary went to the kitchen.\nJohn moved to the gardan\n\nWhere is Mary?\n:why\nwhere is john?\n'
expect_words told '"gardan" is no word' 'did you mean "garden"' 'where is mary\?' 'mary went to the kitchen' 'john moved'
[ "$(wc -w <<<"$(head -n 1 "$work/told.out")")" -eq 1 ] || die "the answer is no word: $(cat "$work/told.out")"
[ "$(grep -c 'where is john' "$work/told.out")" -eq 0 ] || die "questions are told"
ok "sentences and questions"
talk early "$work/stories" 'where is mary?\nmary went to the kitchen to the kitchen to the kitchen\nmary went. home.\n:why\n'
expect_words early 'a sentence of the story before the first question' 'at most 5 words' 'nothing has been answered yet'
says early ''
ok "what is no sentence is told"

section "bad input"
refused() { # CODE NAME WORDS ARGUMENT-OF-ASK...
    local code=$1 name=${2// /-} what=$2 words=$3
    shift 3
    expect_code "$code" "$name" mnemo ask "$@"
    # shellcheck disable=SC2086 # words are several
    expect_words "$name" $words
    ok "$what: exit code $code"
}
refused 64 "a question too" "folder.of.a.run" "$work/run" "hi" --interactive
refused 64 "a story too" "no.--story" "$work/run" --interactive --story "$work/wide.txt"
refused 64 "a story of a bot" "dialogues talk.to.it --interactive" "$work/run" --story "$work/wide.txt" hi
sinusoid "$work/sinusoid.yaml" 3
expect_code 0 waves mnemo train "$work/sinusoid.yaml" --run-dir "$work/waves"
refused 64 "a run of other tasks" "neither.from.stories.nor.from.dialogues" "$work/waves" --interactive
refused 66 "no such run" "nowhere" "$work/nowhere" --interactive
cp "$work/dialogues.yaml" "$work/sets.yaml"
for choice in 'tasks.dialog=7 1' 'tasks.dialog=3 dialog-babi-task3' 'tasks.data=none no.folder.none'; do
    code=0
    mnemo task "$work/sets.yaml" --set "${choice% *}" >"$work/set.out" 2>"$work/set.log" || code=$?
    [ "$code" -ne 0 ] || die "$choice: taken"
    expect_words set "${choice#* }"
done
ok "sets that are not there"
printf '1 hi\thello what can i do\n2 its pho' >"$MNEMO_CACHE/babi/dialogs/dialog-babi-task1-phones-dev.txt"
expect_code 65 cut mnemo task "$work/dialogues.yaml"
expect_words cut 'dev.txt:2: the file ends within this line'
ok "a cut file: $(tail -n 1 "$work/cut.log" | cut -c 1-160)"
finish
