#!/bin/bash
# What a person sees of a memory: questions about a story of their own, what each hop went by, and tasks of stories and
# sequences in words and as pictures. Whatever they get wrong ends with the documented exit code and a sentence.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

python=$(command -v python3) || skip "no python3: the JSON cannot be read"
stories "$work/stories.yaml" 20
expect_code 0 train mnemo train "$work/stories.yaml" --run-dir "$work/run"
cat >"$work/story.txt" <<'TEXT'
Mary went to the kitchen.
Mary took the milk.
John moved to the garden.
Where is Mary?	kitchen
Mary travelled to the office.
Where is the milk?
TEXT

is_png() { # FILE
    [ "$(head -c 4 "$1" | tail -c 3)" = PNG ] || die "$1 is no PNG"
}

# No line of an answer is longer than 80 columns.
is_narrow() { # FILE
    local longest
    longest=$(awk '{ if (length($0) > n) n = length($0) } END { print n }' "$1")
    [ "$longest" -le 80 ] || die "$1: a line of $longest columns"
}

section "ask"
expect_code 0 file mnemo ask "$work/run" --story "$work/story.txt" --png "$work/answers.png"
expect_words file 'where is mary\?' 'where is the milk\?' 'hop 1 +hop 2 +\(attention\)' 'mary went to the kitchen'
grep -qE '^  (right|wrong: it is kitchen)$' "$work/file.out" || die "the answer in the file is not compared"
[ "$(grep -cE '^  (right|wrong)' "$work/file.out")" -eq 1 ] || die "a question without an answer was judged"
[ "$(grep -c 'mary travelled' "$work/file.out")" -eq 1 ] || die "a question is about more than was told before it"
is_narrow "$work/file.out"
is_png "$work/answers.png"
ok "the questions of the file, with a picture"
expect_code 0 typed mnemo ask "$work/run" --story "$work/story.txt" "Where is John" "where is the milk?"
[ "$(grep -c '?$' "$work/typed.out")" -eq 2 ] || die "not the two questions that were typed"
expect_words typed 'where is john\?' 'where is the milk\?'
ok "questions that are typed"
# shellcheck disable=SC2016 # for the inner shell
expect_code 0 piped sh -c 'printf "mary went to the garden\n" | mnemo ask "$1" --story - "where is mary"' sh "$work/run"
expect_words piped 'mary went to the garden'
ok "a story on standard input"

expect_code 0 json mnemo ask "$work/run" --story "$work/story.txt" --json
expect_code 0 parse "$python" - "$work/json.out" <<'PYTHON'
import json, sys
root = json.load(open(sys.argv[1]))
assert root["meta_step"] == 20 and root["unknown_words"] == [], root
first, second = root["questions"]
assert first["question"] == "where is mary" and first["is"] == "kitchen", first
assert first["right"] == (first["answers"][0]["word"] == "kitchen"), first
assert "is" not in second and "right" not in second, second
assert [s["text"] for s in second["sentences"]][-1] == "mary travelled to the office", second
assert [s["age"] for s in second["sentences"]] == [4, 3, 2, 1], second
for question in root["questions"]:
    chances = [a["probability"] for a in question["answers"]]
    assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1, chances
    for hop in range(2):
        total = sum(s["attention"][hop] for s in question["sentences"]) + question["empty_slots"]["attention"][hop]
        assert abs(total - 1) < 1e-4, total
PYTHON
ok "JSON: answers by probability, and attention that adds up to 1"

section "what is not as it was meant"
printf 'mary teleported to the gardan.\n' >"$work/odd.txt"
expect_code 0 odd mnemo ask "$work/run" --story "$work/odd.txt" "where is mary?"
expect_words odd 'odd.txt:1: "teleported" is no word' 'did you mean "garden"' 'mary teleported to the gardan'
ok "unknown words: $(grep -c 'is no word' "$work/odd.log") warnings"
yes "mary went to the garden." | head -n 8 >"$work/long.txt"
expect_code 0 long mnemo ask "$work/run" --story "$work/long.txt" "where is mary?"
expect_words long 'memory holds 6 sentences' 'oldest are left out'
[ "$(grep -c 'mary went' "$work/long.out")" -eq 6 ] || die "not the newest six sentences"
ok "a story that is longer than the memory"

section "bad input"
refused() { # CODE NAME WORDS ARGUMENT-OF-ASK...
    local code=$1 name=${2// /-} what=$2 words=$3
    shift 3
    expect_code "$code" "$name" mnemo ask "$@" </dev/null
    # shellcheck disable=SC2086 # words are several
    expect_words "$name" $words
    [ ! -s "$work/$name.out" ] || die "$what: answered all the same"
    ok "$what: exit code $code: $(tail -n 1 "$work/$name.log" | cut -c 1-160)"
}

run=$work/run
refused 64 "no story" "--story" "$run" "where is mary?"
refused 64 "no run" "folder --story" --story "$work/story.txt"
refused 64 "wrong option" "index" "$run" --story "$work/story.txt" --index 3
refused 66 "missing story" "none.txt sentence" "$run" --story "$work/none.txt" "where is mary?"
refused 65 "folder as story" "is.a.folder:.expected.a.story" "$run" --story "$work" "where is mary?"
: >"$work/empty.txt"
refused 65 "empty story" "empty.txt is.empty sentence.a.line" "$run" --story "$work/empty.txt" "where is mary?"
refused 65 "empty standard input" "standard.input is.empty" "$run" --story - "where is mary?"
head -c 3000 /dev/urandom >"$work/noise.txt"
refused 65 "binary story" "noise.txt:[0-9]+: expected" "$run" --story "$work/noise.txt" "where is mary?"
head -c 40 "$work/story.txt" >"$work/cut.txt"
refused 65 "cut story" "cut.txt:2: cut complete" "$run" --story "$work/cut.txt" "where is mary?"
echo "mary went to the very green garden." >"$work/wide.txt"
refused 65 "long sentence" "wide.txt:1: at.most.5.words shorten" "$run" --story "$work/wide.txt" "where is mary?"
echo "mary went home. john went home." >"$work/two.txt"
refused 65 "two sentences on a line" "two.txt:1: one.sentence" "$run" --story "$work/two.txt" "where is mary?"
refused 64 "empty question" "question expected.words" "$run" --story "$work/story.txt" ""
refused 64 "long question" "at.most.4.words" "$run" --story "$work/story.txt" "where is mary in the house"
echo "mary went to the garden." >"$work/silent.txt"
refused 64 "no question" "nothing.is.asked silent.txt" "$run" --story "$work/silent.txt"
printf '1 mary went home.\n1 john went home.\n' >"$work/several.txt"
refused 64 "several stories" "several.txt 2.stories" "$run" --story "$work/several.txt" "where is mary?"
sinusoid "$work/sinusoid.yaml" 3
expect_code 0 waves mnemo train "$work/sinusoid.yaml" --run-dir "$work/waves"
refused 64 "run of other tasks" "waves stories tasks.kind" "$work/waves" --story "$work/story.txt"
refused 65 "experiment as run" "stories.yaml safetensors" "$work/stories.yaml" --story "$work/story.txt"
refused 66 "no such run" "nowhere folder" "$work/nowhere" --story "$work/story.txt"
mkdir "$work/young"
cp "$run/experiment.yaml" "$work/young"
refused 66 "run without a checkpoint" "young no.checkpoint folder.of.a.run" "$work/young" --story "$work/story.txt"
cp -r "$run" "$work/damaged"
for file in "$work"/damaged/checkpoints/*; do
    head -c 1000 /dev/urandom | dd of="$file" bs=1 seek=600 conv=notrunc status=none
done
refused 65 "damaged checkpoints" "damaged/checkpoints/step-" "$work/damaged" --story "$work/story.txt"
expect_code 66 place mnemo ask "$run" --story "$work/story.txt" --png "$work/nowhere/x.png"
expect_words place "nowhere/x.png"
ok "no such place for the picture"

{
    echo "mary went to the garden."
    yes "where is mary?" | head -n 10001
} >"$work/many.txt"
refused 65 "too many questions" "many.txt asks.10001.questions at.most.10000" "$run" --story "$work/many.txt"

section "a run that adapts"
sed -e 's/bundle: 8/bundle: 4, shot: 2/' -e '/^model/a meta: {kind: maml, inner_steps: 1, inner_lr: 0.1}' \
    -e 's/linear_start: 20/linear_start: 0/' "$work/stories.yaml" >"$work/adapting.yaml"
expect_code 0 adapting mnemo train "$work/adapting.yaml" --run-dir "$work/adapting" --set outer.steps=3
expect_code 0 adapted mnemo ask "$work/adapting" --story "$work/story.txt"
expect_words adapted 'adapted to 1 answered question ' 'where is the milk\?'
grep -q 'where is mary?' "$work/adapted.out" && die "what it adapts to is asked as well"
ok "it is given the answered questions, and asked the others"
refused 64 "nothing to adapt to" "answered.questions up.to.2" "$work/adapting" --story "$work/long.txt" "where is mary?"

section "stories from files"
mkdir "$work/rooms"
awk -v folder="$work/rooms" 'BEGIN {
    srand(3)
    split("mary john sandra daniel", people, " ")
    split("kitchen garden office hallway", rooms, " ")
    for (test = 0; test < 2; test++)
        for (story = 0; story < (test ? 50 : 200); story++) {
            who = int(4 * rand()) + 1
            other = who % 4 + 1
            room = int(4 * rand()) + 1
            printf "1 %s went to the %s.\n2 %s went to the %s.\n3 Where is %s?\t%s\t1\n", people[who], rooms[room],
                people[other], rooms[int(4 * rand()) + 1], people[who], rooms[room] \
                >(folder "/qa1_rooms_" (test ? "test" : "train") ".txt")
        }
}'
cat >"$work/rooms.yaml" <<YAML
tasks: {kind: stories, data: rooms, bundle: 8, sentences: 6}
model: {embedding: 12, hops: 2}
outer: {steps: 20, batch: 8, lr: 0.01}
run: {pictures: false, data_path: "$work"}
YAML
expect_code 0 rooms mnemo train "$work/rooms.yaml" --run-dir "$work/rooms-run"
expect_code 0 all mnemo ask "$work/rooms-run" --story "$work/rooms/qa1_rooms_test.txt"
tested=$("$python" -c 'import json, sys; print(round(50 * json.load(open(sys.argv[1]))["scores"][0]["accuracy"]))' \
    "$work/rooms-run/test.json")
[ "$(tail -n 1 "$work/all.out")" = "$tested of 50 right" ] ||
    die "asked: $(tail -n 1 "$work/all.out"), but the test of the run says $tested"
ok "asked all 50 questions of the test file, as many are right as the test of the run says: $tested"

section "tasks of a run"
expect_code 0 shown mnemo task "$run" --png "$work/stories.png"
expect_words shown 'question 0, of ' 'hop 2' ' of 8 right'
is_narrow "$work/shown.out"
is_png "$work/stories.png"
ok "stories: text and picture"
sequences "$work/sequences.yaml" 5
expect_code 0 named mnemo train "$work/sequences.yaml" --run-dir "$work/named"
expect_code 0 drawings mnemo task "$work/named" --png "$work/sequences.png"
expect_words drawings 'answers to the first sequence at each showing' ' of 24 right'
is_png "$work/sequences.png"
ok "sequences: text and picture"
if command -v gnuplot >/dev/null; then
    for kind in stories sequences; do
        expect_code 0 "$kind-pictures" mnemo train "$work/$kind.yaml" --run-dir "$work/$kind-run" --set run.pictures=true
        is_png "$work/$kind-run/task.png"
        grep -q 'no picture' "$work/$kind-pictures.log" && die "$kind: warns that there is no picture"
    done
    ok "a training leaves a picture of a task"
else
    note "no gnuplot: no pictures at the end of a training"
fi

section "a network that has learned"
if [ "$patience" -gt 1 ]; then
    note "left out of slow builds"
    finish
fi
expect_code 0 learned mnemo train "$source_folder/experiments/generated-stories-memn2n.yaml" --run-dir "$work/learned" \
    --set run.pictures=false
expect_code 0 known mnemo ask "$work/learned" --story "$source_folder/experiments/story.txt" --json
expect_code 0 check "$python" - "$work/known.out" <<'PYTHON'
import json, sys
questions = json.load(open(sys.argv[1]))["questions"]
assert len(questions) >= 2 and all("is" in q for q in questions), questions
for question in questions:
    assert question["right"] and question["answers"][0]["probability"] > 0.9, question
PYTHON
ok "it answers $(grep -c '"question"' "$work/known.out") questions about experiments/story.txt rightly"
finish
