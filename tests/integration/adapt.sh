#!/bin/bash
# A person's own examples: a run is trained, meets pictures in folders and points in a table, and says what it makes of new
# ones, at once and from the file that it leaves. Whatever they get wrong ends with the documented exit code and a sentence.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

python=$(command -v python3) || skip "no python3: no pictures can be made"
here=$(dirname "$0")

# A task that no run has trained on, as folders of pictures: drawings are dark on light.
draw() { # NAME EXPERIMENT [STYLE]
    expect_code 0 "$1-dump" mnemo task "$2" --split test --index 3 --set tasks.shot=4 --set evaluate.query=6 \
        --dump "$work/$1.safetensors"
    expect_code 0 "$1-draw" "$python" "$here/pictures.py" "$work/$1.safetensors" "$work/$1" "$work/$1-query" ${3:+"$3"}
}
number_of() { # NAME KEY: of what was printed as JSON
    "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/$1.out" "$2"
}
above() { # NUMBER LEAST WHAT
    awk -v n="$1" -v least="$2" 'BEGIN { exit !(n >= least) }' || die "$3: $1 is not $2 or more"
}

section "pictures"
glyphs "$work/glyphs.yaml" 300
expect_code 0 train mnemo train "$work/glyphs.yaml" --run-dir "$work/maml" --set meta.inner_lr=0.2
draw own "$work/glyphs.yaml"
expect_code 0 adapt mnemo adapt "$work/maml" --support "$work/own" --query "$work/own-query" -o "$work/out" --steps 3
expect_words adapt '20 examples of 5 classes in [0-9.]+ ms' 'inner step +support loss' ' of 30 right: accuracy' transductive \
    'depends on the company'
[ "$(grep -cE '^ +[0-3] +[0-9.e-]+$' "$work/adapt.out")" -eq 4 ] || die "not the losses of steps 0 to 3"
expect_code 0 json mnemo adapt "$work/maml" --support "$work/own" --query "$work/own-query" --steps 3 --json
expect_code 0 check "$python" - "$work/json.out" "$work/out/predictions.json" "$work/out/predictions.csv" <<'PYTHON'
import csv, json, sys
printed, written = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
rows = list(csv.DictReader(open(sys.argv[3])))
assert printed["classes"] == ["class%d" % c for c in range(5)], printed["classes"]
assert len(printed["support_loss"]) == 4 and printed["support_loss"][3] < 0.5 * printed["support_loss"][0], printed
assert printed["judged_together"] is True and printed["inner_steps"] == 3
assert printed["predictions"] == written["predictions"] and len(rows) == 30
for one, row in zip(printed["predictions"], rows):
    assert abs(sum(one["probabilities"]) - 1) < 1e-5 and max(one["probabilities"]) == one["probability"], one
    assert (row["item"], row["predicted"], row["is"]) == (one["item"], one["predicted"], one["is"]), row
    assert abs(float(row["p:class2"]) - one["probabilities"][2]) < 1e-8, row
    assert one["is"] == one["item"].split("/")[0] and one["right"] == (one["is"] == one["predicted"]), one
right = sum(one["right"] for one in printed["predictions"]) / 30
assert abs(printed["accuracy"] - right) < 1e-9, (printed["accuracy"], right)
PYTHON
above "$(number_of json accuracy)" 0.5 "accuracy of MAML"
ok "MAML, 5 classes of 4: $(grep right: "$work/adapt.out")"

expect_code 0 predict mnemo predict "$work/out" --query "$work/own-query" --json
mv "$work/maml" "$work/elsewhere"
expect_code 0 moved mnemo predict "$work/out/adapted.safetensors" --query "$work/own-query" -o "$work/again"
mv "$work/elsewhere" "$work/maml"
cmp "$work/out/predictions.csv" "$work/again/predictions.csv" || die "from its file it predicts otherwise"
[ "$(number_of predict accuracy)" = "$(number_of json accuracy)" ] || die "another accuracy from the file"
ok "the file alone predicts the same, without the run"
expect_code 0 same mnemo adapt "$work/maml" --support "$work/own" -o "$work/second" --steps 3
cmp "$work/out/adapted.safetensors" "$work/second/adapted.safetensors" || die "the same examples give another file"
[ ! -e "$work/second/predictions.csv" ] || die "predictions of nothing"
[ -z "$(find "$work/out" "$work/second" -name '*.tmp*')" ] || die "temporary files stay"
ok "the same examples give the same bytes"

mkdir "$work/flat"
cp "$work"/own-query/class[01]/*.png "$work/flat"
expect_code 0 flat mnemo predict "$work/out" --query "$work/flat"
grep -qE 'right|wrong' "$work/flat.out" && die "pictures without a class were compared with one"
[ "$(grep -c 'drawing' "$work/flat.out")" -eq 12 ] || die "not the 12 pictures"
expect_code 0 one mnemo predict "$work/out" --query "$work/own-query/class2/drawing12.png"
ok "pictures without a class, and a single one"

expect_code 0 holdout mnemo adapt "$work/maml" --support "$work/own" --query "$work/own-query" --holdout leave-one-out --json
expect_code 0 held "$python" - "$work/holdout.out" <<'PYTHON'
import json, sys
told = json.load(open(sys.argv[1]))
loss = told["held_out"]["loss"]
assert told["held_out"]["examples"] == 20 and len(loss) == 11, told["held_out"]
assert told["inner_steps"] == loss.index(min(loss)) and len(told["support_loss"]) == told["inner_steps"] + 1, told
PYTHON
expect_code 0 share mnemo adapt "$work/maml" --support "$work/own" --query "$work/own-query" --holdout 0.25 --steps 6
expect_words share 'inner steps chosen of 0 to 6, by 5 examples held out \(the last of each class\)'
ok "the number of steps by holding out: $(number_of holdout inner_steps) of 10"

section "other learners, other numbers of classes and examples"
mkdir "$work/uneven" "$work/uneven-query"
cp -r "$work"/own/class[0-3] "$work/uneven"
cp -r "$work"/own-query/class[0-3] "$work/uneven-query"
rm "$work"/uneven/class1/drawing0[5-7].png "$work"/uneven/class2/drawing11.png
for family in prototypes matching proto_maml; do
    "$family" "$work/$family.yaml" 400
    expect_code 0 "$family" mnemo train "$work/$family.yaml" --run-dir "$work/$family" --set outer.lr=0.005
    expect_code 0 "$family-adapt" mnemo adapt "$work/$family" --support "$work/uneven" --query "$work/uneven-query" \
        -o "$work/$family-out"
    expect_words "$family-adapt" '12 examples of 4 classes' inductive
    expect_code 0 "$family-predict" mnemo predict "$work/$family-out" --query "$work/uneven-query" -o "$work/$family-again"
    cmp "$work/$family-out/predictions.csv" "$work/$family-again/predictions.csv" || die "$family: predicts otherwise"
    above "$(grep -oE '[0-9.]+ %$' "$work/$family-adapt.out" | tail -n 1 | cut -d' ' -f1)" 40 "accuracy of $family"
    rm -rf "$work/three"
    mkdir "$work/three"
    cp -r "$work"/own/class[024] "$work/three"
    expect_code 0 "$family-three" mnemo adapt "$work/$family" --support "$work/three" --query "$work/flat"
    ok "$family: 4 classes of 1, 3 and 4 examples: $(grep right: "$work/$family-adapt.out"); and 3 classes"
done
draw bright "$work/glyphs.yaml" negative
expect_code 0 inverted mnemo adapt "$work/prototypes" --support "$work/bright" --query "$work/bright-query" --json
expect_words inverted 'look inverted' '--no-ink'
expect_code 0 righted mnemo adapt "$work/prototypes" --support "$work/bright" --query "$work/bright-query" --no-ink --json
expect_code 0 plain mnemo adapt "$work/prototypes" --support "$work/own" --query "$work/own-query" --json
grep -q 'inverted' "$work/righted.log" "$work/plain.log" && die "warned of pictures that are as they should be"
[ "$(number_of righted accuracy)" = "$(number_of plain accuracy)" ] || die "light on dark with --no-ink is not the same"
ok "pictures that look inverted are warned of, and --no-ink helps"
draw red "$work/glyphs.yaml" colour
expect_code 0 coloured mnemo adapt "$work/prototypes" --support "$work/red" --query "$work/red-query"
expect_words coloured 'have colours'
ok "colours that the run does not see are warned of"

sequences "$work/sequences.yaml" 20
expect_code 0 sequences mnemo train "$work/sequences.yaml" --run-dir "$work/sequences"
expect_code 0 shown mnemo adapt "$work/sequences" --support "$work/three" --query "$work/flat" -o "$work/shown-out"
expect_words shown '12 examples of 3 classes'
expect_code 0 shown-again mnemo predict "$work/shown-out" --query "$work/flat" -o "$work/shown-again"
cmp "$work/shown-out/predictions.csv" "$work/shown-again/predictions.csv" || die "a sequence learner predicts otherwise"
ok "a memory-augmented network is shown the examples one after the other"

section "points of a curve"
sinusoid "$work/sinusoid.yaml" 200
process "$work/process.yaml" 200
printf 'x,"y"\r\n-2,0.5\r\n-1,1.2\r\n"0",1\r\n1,-0.2\r\n2,-1\r\n3,-0.9\r\n' >"$work/points.csv"
printf '%s\n' -1.5 0.5 2.5 >"$work/asked.csv"
for family in sinusoid process; do
    expect_code 0 "$family" mnemo train "$work/$family.yaml" --run-dir "$work/$family" --set outer.lr=0.005
    expect_code 0 "$family-adapt" mnemo adapt "$work/$family" --support "$work/points.csv" --query "$work/asked.csv" \
        -o "$work/$family-out"
    expect_code 0 "$family-predict" mnemo predict "$work/$family-out" --query "$work/points.csv"
    expect_words "$family-predict" 'mean squared error [0-9.]+ over 6 points'
    [ "$(wc -l <"$work/$family-out/predictions.csv")" -eq 4 ] || die "$family: not three predictions and a header"
done
grep -q deviation "$work/process-predict.out" || die "a neural process tells no deviation"
ok "with steps, and by a neural process with deviations"

section "questions about stories"
stories "$work/plain.yaml" 20
sed -e 's/bundle: 8/bundle: 4, shot: 2/' -e '/^model/a meta: {kind: maml, inner_steps: 1, inner_lr: 0.1}' \
    -e 's/linear_start: 20/linear_start: 0/' "$work/plain.yaml" >"$work/adapting.yaml"
expect_code 0 adapting mnemo train "$work/adapting.yaml" --run-dir "$work/adapting"
printf '%s\n' "Mary went to the kitchen." "John moved to the garden." "Where is Mary?	kitchen" "Where is John?	garden" \
    "Mary travelled to the office." "Where is Mary?" >"$work/story.txt"
expect_code 0 story mnemo adapt "$work/adapting" --support "$work/story.txt" --query "$work/story.txt" --json -o "$work/story-out"
expect_code 0 asked mnemo ask "$work/adapting" --story "$work/story.txt" --json
expect_code 0 told mnemo predict "$work/story-out" --query "$work/story.txt" --json
expect_code 0 compare "$python" - "$work/story.out" "$work/asked.out" "$work/told.out" <<'PYTHON'
import json, sys
adapted, asked, told = (json.load(open(path)) for path in sys.argv[1:])
assert adapted["examples"] == 2 and adapted["support_loss"][1] < adapted["support_loss"][0], adapted
assert [one["item"] for one in adapted["predictions"]] == ["where is mary?", "where is john?", "where is mary?"]
best = asked["questions"][0]["answers"][0]  # of the open question: `ask` adapts to the two that are answered
assert adapted["predictions"][2]["predicted"] == best["word"], (adapted["predictions"][2], best)
assert abs(adapted["predictions"][2]["probability"] - best["probability"]) < 1e-5, best
assert told["predictions"] == adapted["predictions"], told["predictions"]
PYTHON
ok "a run that adapts to answered questions says what mnemo ask says, and the same from its file"
mkdir "$work/rooms"
printf '1 Mary went to the kitchen.\n2 Where is Mary?\tkitchen\t1\n3 Mary travelled to the office.\n4 Where is Mary?\toffice\t3\n%.0s' \
    $(seq 40) | tee "$work/rooms/qa1_rooms_train.txt" >"$work/rooms/qa1_rooms_test.txt"
sed -e 's/generated-stories/stories, data: rooms/' -e 's/bundle: 4/bundle: 2/' "$work/adapting.yaml" >"$work/read.yaml"
expect_code 0 read env MNEMO_DATA="$work" mnemo train "$work/read.yaml" --run-dir "$work/read"
rm -r "$work/rooms"
printf '%s\n' "Mary went to the office." "Where is Mary?	office" "Where is Mary?" >"$work/office.txt"
expect_code 0 gone mnemo adapt "$work/read" --support "$work/office.txt" --query "$work/office.txt"
expect_words gone 'adapted to 1 examples' 'where is mary\? +(office|kitchen)'
expect_code 0 gone-ask mnemo ask "$(echo "$work"/read/checkpoints/*.safetensors | tr ' ' '\n' | tail -n 1)" --story "$work/office.txt"
expect_words gone-ask 'adapted to 1 answered question'
ok "a checkpoint knows its words: adapted to and asked when the stories that it was trained on are gone"
# noted NAME FIELDS WORDS: the same checkpoint with other notes; "-": without one.
noted() {
    "$python" - "$work"/read/checkpoints/*.safetensors "$work/$1.safetensors" "$2" "$3" <<'PYTHON' || die "no file $1"
import json, struct, sys
*checkpoints, path, fields, words = sys.argv[1:]
bytes = open(checkpoints[-1], "rb").read()
end = 8 + struct.unpack("<Q", bytes[:8])[0]
header = json.loads(bytes[8:end])
notes = header["__metadata__"]
del notes["header_sha256"]
for key, value in ("fields", fields), ("words", words):
    del notes[key]
    if value != "-":
        notes[key] = value
text = json.dumps(header).encode()
open(path, "wb").write(struct.pack("<Q", len(text)) + text + bytes[end:])
PYTHON
}
noted older - -
noted torn "classes 5 1 2" -
for name in older torn; do
    expect_code "$([ $name = older ] && echo 78 || echo 65)" $name mnemo ask "$work/$name.safetensors" --story "$work/office.txt"
done
expect_words older 'tells too little, as an older mnemo wrote it: mnemo export'
expect_words torn 'its metadata has fields of no task that is known'
ok "a checkpoint that tells no fields, and one that tells wrong ones, are told apart"

section "tables of any meaning"
family "$work/tables.yaml" 1500 5 8 <<YAML
tasks: {kind: tables, way: 4, features: 3, shot: 24, query: 8}
model: {input: identity, memory: transformer, layers: 1, token_size: 16, heads: 2, mlp_size: 16, reasoning: read, output: linear}
meta: {kind: episodic}
YAML
expect_code 0 tables mnemo train "$work/tables.yaml" --run-dir "$work/tables" --set outer.lr=0.005
awk 'BEGIN { print "length,soil,tree"; for (i = 0; i < 24; i++)
    printf "%.1f,%s,%s\n", i % 2 ? 2 + i / 40 : 9 - i / 40, i == 5 ? "NA" : i, i % 2 ? "birch" : "\"willow, white\"" }' \
    >"$work/trees.csv"
printf 'a,b,c,d,kind\n1,2,3,4,x\n5,6,7,8,y\n' >"$work/own.csv"
printf 'tree;soil;length\n"willow, white";7;9.1\nbirch;7;2.2\n;;1e9\n' >"$work/leaves.csv"
expect_code 0 tabled mnemo adapt "$work/tables" --support "$work/trees.csv" --query "$work/leaves.csv" -o "$work/trees-out"
expect_words tabled 'classes are those of column .tree., the last' '24 examples of 2 classes' 'row 3 ' '2 of 2 right'
mv "$work/tables" "$work/tables-away"
expect_code 0 tabled-again mnemo predict "$work/trees-out" --query "$work/leaves.csv" -o "$work/trees-again"
mv "$work/tables-away" "$work/tables"
cmp "$work/trees-out/predictions.csv" "$work/trees-again/predictions.csv" || die "a table predicts otherwise from its file"
ok "a network of made-up tables tells the classes of a person's own, fewer than it was trained with: $(grep right: "$work/tabled.out")"

section "bad input"
refused() { # CODE NAME WORDS COMMAND-AND-ARGUMENTS...
    local code=$1 name=${2// /-} what=$2 words=$3
    shift 3
    expect_code "$code" "$name" mnemo "$@"
    # shellcheck disable=SC2086 # words are several
    expect_words "$name" $words
    [ ! -s "$work/$name.out" ] || die "$what: answered all the same"
    [ ! -e "$work/never" ] || die "$what: something was written"
    ok "$what: exit code $code: $(tail -n 1 "$work/$name.log" | cut -c 1-150)"
}
run=$work/maml
into=(-o "$work/never")
refused 64 "no support" "--support" adapt "$run" --query "$work/own-query"
refused 64 "nothing to do" "--query -o" adapt "$run" --support "$work/own"
refused 64 "no run" "expected.one.run" adapt --support "$work/own" --query "$work/own-query"
refused 64 "no query" "--query" predict "$work/out"
refused 64 "bad share" "leave-one-out between.0.and.1" adapt "$run" --support "$work/own" "${into[@]}" --holdout 1.5
refused 64 "bad steps" "--steps whole.number" adapt "$run" --support "$work/own" "${into[@]}" --steps many
refused 66 "missing examples" "nowhere folder" adapt "$run" --support "$work/nowhere" "${into[@]}"
refused 66 "missing run" "nowhere run" adapt "$work/nowhere" --support "$work/own" "${into[@]}"
refused 66 "missing adapted" "nowhere mnemo.adapt" predict "$work/nowhere" --query "$work/flat"
mkdir "$work/empty" "$work/lonely"
cp -r "$work/own/class0" "$work/lonely"
refused 65 "empty folder" "empty no.PNG.or.JPEG a.folder.for.each.class" adapt "$run" --support "$work/empty" "${into[@]}"
refused 65 "one class" "1.class two.or.more" adapt "$work/prototypes" --support "$work/lonely" "${into[@]}"
refused 78 "fewer classes than the head" "4.classes trained.with.5 tasks.way=4 model.output.distance" \
    adapt "$run" --support "$work/uneven" "${into[@]}"
cp -r "$work/own" "$work/wide"
cp -r "$work/own/class0" "$work/wide/class9"
refused 78 "wider than the head" "6.classes trained.with.5" adapt "$run" --support "$work/wide" "${into[@]}"
cp -r "$work/own" "$work/hollow"
mkdir "$work/hollow/void"
refused 65 "class without pictures" "class.void no.PNG" adapt "$run" --support "$work/hollow" "${into[@]}"
refused 65 "pictures in no class" "drawing00.png in.no.class" adapt "$run" --support "$work/flat" "${into[@]}"
cp -r "$work/own" "$work/torn"
head -c 70 "$work/own/class3/drawing12.png" >"$work/torn/class3/drawing12.png"
refused 65 "truncated picture" "torn/class3/drawing12.png ends.too.early" adapt "$run" --support "$work/torn" "${into[@]}"
refused 65 "truncated picture to judge" "drawing12.png ends" predict "$work/out" --query "$work/torn" -o "$work/never"
echo "no picture" >"$work/torn/class3/drawing12.png"
refused 65 "no picture" "drawing12.png" adapt "$run" --support "$work/torn" "${into[@]}"
cp -r "$work/own-query" "$work/strange"
mv "$work/strange/class4" "$work/strange/zebra"
refused 65 "unknown class" "zebra class0,.class1" adapt "$run" --support "$work/own" --query "$work/strange" "${into[@]}"
refused 65 "unknown class for predict" "zebra class4" predict "$work/out" --query "$work/strange"
refused 65 "table instead of pictures" "points.csv folder" adapt "$run" --support "$work/points.csv" "${into[@]}"
refused 65 "pictures instead of a table" "curves CSV" adapt "$work/sinusoid" --support "$work/own" "${into[@]}"
tar cf "$work/own.tar" -C "$work/own" .
refused 65 "archive instead of a folder" "own.tar unpacked" adapt "$run" --support "$work/own.tar" "${into[@]}"
printf 'x,y\n0,1\n1,nan\n' >"$work/nan.csv"
refused 65 "not a number" "nan.csv:3 column.2 nan" adapt "$work/sinusoid" --support "$work/nan.csv" "${into[@]}"
printf '1\n2\n' >"$work/thin.csv"
refused 65 "points without y" "thin.csv:1 1.column x,.y" adapt "$work/sinusoid" --support "$work/thin.csv" "${into[@]}"
refused 78 "steps of a learner without" "takes.none" adapt "$work/prototypes" --support "$work/own" "${into[@]}" --steps 2
for class in 0 1 2; do
    mkdir -p "$work/single/class$class"
    cp "$work"/own/class$class/drawing0[048].png "$work/single/class$class"
done
refused 78 "nothing to hold out" "nothing.can.be.held.out one.example" adapt "$work/proto_maml" --support "$work/single" \
    "${into[@]}" --holdout leave-one-out
refused 78 "another network" "model.filters 16.in.training" adapt "$run" --support "$work/own" "${into[@]}" --set model.filters=9
refused 65 "more columns than the network takes" "own.csv 4.numbers.of.a.row up.to.3 tasks.features=4" \
    adapt "$work/tables" --support "$work/own.csv" "${into[@]}"
printf 'a,kind\n1,oak\n2,"el\nm"\n' >"$work/broken.csv"
refused 65 "class with a line end" "broken.csv:.row.2,.column.kind el.x0am rename" adapt "$work/tables" --support "$work/broken.csv" "${into[@]}"
printf 'a;kind\n1,5;oak\n2;elm\n' >"$work/comma.csv"
expect_code 0 comma mnemo adapt "$work/tables" --support "$work/comma.csv" --query "$work/comma.csv"
expect_words comma 'column .a. has words beside numbers, as .1,5.' 'decimal point'
refused 65 "no such column of classes" "class-column nothing a," adapt "$work/tables" --support "$work/own.csv" "${into[@]}" \
    --class-column nothing
refused 64 "column of classes of pictures" "made-up.tables" adapt "$run" --support "$work/own" "${into[@]}" --class-column tree
stories "$work/stories.yaml" 5
expect_code 0 stories mnemo train "$work/stories.yaml" --run-dir "$work/stories"
refused 64 "run of stories" "needs.no.examples mnemo.ask" adapt "$work/stories" --support "$work/own" "${into[@]}"
refused 65 "run instead of an adapted model" "no.adapted.model mnemo.adapt" predict "$run"/checkpoints/*300.safetensors \
    --query "$work/flat"
refused 65 "adapted model instead of a run" "adapted.to.a.task.already mnemo.predict" adapt "$work/out/adapted.safetensors" \
    --support "$work/own" "${into[@]}"
refused 65 "folder instead of a story" "is.a.folder a.sentence.a.line" adapt "$work/adapting" --support "$work/own" "${into[@]}"
awk 'BEGIN { print "a,kind"; for (i = 0; i < 8; i++) print (i == 5 ? "1e999" : i) "," (i % 2 ? "oak" : "elm") }' >"$work/far.csv"
refused 65 "an infinite number beside numbers" "far.csv row.6,.column.a 1e999 finite.number" adapt "$work/tables" \
    --support "$work/far.csv" "${into[@]}"
printf 'Mary went home.\nWhere is Mary?\n' >"$work/open.txt"
refused 65 "story without answers" "open.txt question.with.its.answer tab" adapt "$work/adapting" --support "$work/open.txt" \
    "${into[@]}"
printf 'Mary went home.\nWhere is Mary?\tzanzibar\n' >"$work/strange.txt"
refused 65 "an answer that training had not" "strange.txt:2 zanzibar its.own.words" adapt "$work/adapting" \
    --support "$work/strange.txt" "${into[@]}"
expect_code 64 strange mnemo ask "$work/adapting" --story "$work/strange.txt" "where is mary?"
refused 64 "hold-out of stories" "pictures.and.points --steps" adapt "$work/adapting" --support "$work/story.txt" "${into[@]}" \
    --holdout 0.5
sequences "$work/sequences.yaml" 3
expect_code 0 letters mnemo train "$work/sequences.yaml" --run-dir "$work/letters" --set tasks.labels=letters
refused 64 "labels of letters" "letters one-hot" adapt "$work/letters" --support "$work/three" "${into[@]}"
mkdir "$work/cut" "$work/changed"
head -c 20000 "$work/out/adapted.safetensors" >"$work/cut/adapted.safetensors"
refused 65 "cut adapted model" "cut/adapted.safetensors" predict "$work/cut" --query "$work/flat"
cp "$work/out/adapted.safetensors" "$work/changed"
head -c 100 /dev/urandom | dd of="$work/changed/adapted.safetensors" bs=1 seek=9000 conv=notrunc status=none
refused 65 "damaged adapted model" "changed/adapted.safetensors sha256" predict "$work/changed" --query "$work/flat"
touch "$work/file"
refused 74 "no place" "file" adapt "$run" --support "$work/own" -o "$work/file/out"
finish
