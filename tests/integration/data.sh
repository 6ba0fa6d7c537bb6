#!/bin/bash
# Real data, from the official archives of Omniglot to a trained net, and a folder of one's own pictures.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

archives=''
IFS=: read -r -a folders <<<"${MNEMO_DATA-}"
for folder in "${folders[@]}" "$source_folder/../shared/data"; do
    for place in "$folder" "$folder/omniglot"; do
        if [ -z "$archives" ] && [ -f "$place/images_background.zip" ] && [ -f "$place/images_evaluation.zip" ]; then
            archives=$(readlink -f "$place")
        fi
    done
done
[ -n "$archives" ] || skip "no Omniglot: images_background.zip and images_evaluation.zip are in no folder of MNEMO_DATA"
echo "Omniglot of $archives"
unset MNEMO_DATA
short=(--set outer.steps=8 --set outer.batch=8 --set model.filters=16 --set evaluate.tasks=40 --set evaluate.every=0
    --set evaluate.keep_best=false --set run.pictures=false)
omniglot=$source_folder/experiments/omniglot-5w1s-maml.yaml

section "import"
mkdir "$work/packed"
expect_code 0 import mnemo data import omniglot "$archives/images_background.zip" "$archives/images_evaluation.zip" \
    --splits "$archives/splits_vinyals" -o "$work/packed/omniglot28.mnd"
[ -s "$work/packed/omniglot28.mnd" ] || die "no packed file"
ok "official archives: $(stat -c %s "$work/packed/omniglot28.mnd") bytes"
head -c 3000000 "$archives/images_evaluation.zip" >"$work/images_evaluation.zip"
expect_code 65 truncated mnemo data import omniglot "$archives/images_background.zip" "$work/images_evaluation.zip" \
    -o "$work/truncated.mnd"
expect_words truncated images_evaluation.zip
[ ! -e "$work/truncated.mnd" ] || die "a half-made file was left"
ok "truncated archive: $(tail -n 1 "$work/truncated.log" | cut -c 1-160)"

section "train"
expect_code 0 packed mnemo train "$omniglot" --run-dir "$work/run-packed" "${short[@]}" --set "run.data_path=$work/packed" \
    --set pool.threads=2
reference=$(theta_of packed)
[ -n "$reference" ] || die "mnemo train printed no theta"
ok "from the packed file: theta ${reference:0:16}..."
mpi 2
MNEMO_DATA=$archives expect_code 0 straight "${launch[@]}" mnemo train "$omniglot" --run-dir "$work/run-straight" \
    "${short[@]}" --set pool.threads=1
[ "$(theta_of straight)" = "$reference" ] || die "straight from the archives: theta $(theta_of straight) instead of $reference"
ok "straight from the archives, 2 ranks: the same"

section "a worker's data"
start run mnemo train "$omniglot" --run-dir "$work/run-open" "${short[@]}" --set outer.steps=100000 \
    --set "run.data_path=$work/packed" --set pool.threads=1
job=$started
wait_until 60 "the run makes steps" has_steps "$work/run-open" 1
mkdir "$work/nothing" "$work/other"
# The rest of a mind: another file under the right name.
expect_code 0 other mnemo data import omniglot "$archives/images_background.zip" "$archives/images_evaluation.zip" \
    -o "$work/other/omniglot28.mnd"
expect_code 66 without env MNEMO_DATA="$work/nothing" MNEMO_CACHE="$work/nothing" mnemo-worker "$work/run-open/endpoint"
expect_words without omniglot28.mnd "$work/nothing"
ok "a worker without the data says which file and where to put it"
expect_code 66 archives-only env MNEMO_DATA="$archives" MNEMO_CACHE="$work/packed-here" timeout 60 mnemo-worker "$work/run-open/endpoint"
command=$(sed -n 's/.*pack them once with `mnemo \([^`]*\)`.*/\1/p' "$work/archives-only.log")
[ -n "$command" ] || die "a worker with the archives alone names no command: $(tail -n 1 "$work/archives-only.log")"
mkdir "$work/packed-here"
# shellcheck disable=SC2086 # words of a command
expect_code 0 as-told mnemo $command
start helper env MNEMO_DATA="$archives" MNEMO_CACHE="$work/packed-here" mnemo-worker "$work/run-open/endpoint" --threads 1
helped() {
    grep -qE '"threads": *2\b' <(tail -n 2 "$work/run-open/metrics.jsonl")
}
wait_until 30 "a worker that packed as it was told computes" helped
slay "$started"
ok "a worker with the archives alone says which command packs them, and that makes the same file"
expect_code 65 different env MNEMO_DATA="$work/other" mnemo-worker "$work/run-open/endpoint"
expect_words different omniglot28.mnd digest
ok "a worker with other data is told so"
kill -USR2 "$job"
exit_code_of 60 "$job" "the run"

section "a folder of one's own"
# Pictures: what mnemo itself draws of tasks.
glyphs "$work/glyphs.yaml" 1
for class in a b c d e f g h i j k l; do
    mkdir -p "$work/own/$class"
    for drawing in 1 2 3 4; do
        expect_code 0 draw mnemo task "$work/glyphs.yaml" --index "$((drawing + 10 * $(printf '%d' "'$class")))" \
            --png "$work/own/$class/$drawing.png"
    done
done
expect_code 0 own mnemo data import folder "$work/own" --size 20 -o "$work/packed/own.mnd"
sed -e 's/kind: glyphs/kind: images\n  data: own.mnd\n  rotations: false/; s/way: 5/way: 2/' "$work/glyphs.yaml" >"$work/own.yaml"
expect_code 0 own-run mnemo train "$work/own.yaml" --run-dir "$work/run-own" --set "run.data_path=$work/packed" \
    --set outer.steps=3
[ -n "$(theta_of own-run)" ] || die "mnemo train printed no theta"
ok "imported and trained on"
grep -qE '^taken: 48 pictures \(48 PNG, 0 JPEG\)$' "$work/own.out" || die "no account: $(cat "$work/own.out")"
expect_code 0 show mnemo data show "$work/packed/own.mnd"
expect_words show '48 images of 20x20 pixels, grey, in 12 classes' '... and 2 more'
ok "what was taken is told, and what is in the file"

section "splits of one's own"
mkdir -p "$work/parts/train" "$work/parts/test"
cp -r "$work"/own/[a-h] "$work/parts/train"
cp -r "$work"/own/[i-l] "$work/parts/test"
touch "$work/parts/test/i/photo.webp" "$work/parts/test/i/._1.png"
expect_code 0 parts mnemo data import folder "$work/parts" --size 20 -o "$work/packed/parts.mnd"
expect_words parts 'by the folders train, val and test' 'WebP' 'hidden and system files'
grep -qE '^train +8 .*' "$work/parts.out" && grep -qE '^test +4 .*' "$work/parts.out" ||
    die "not 8 and 4 classes: $(cat "$work/parts.out")"
sed 's/own.mnd/parts.mnd/' "$work/own.yaml" >"$work/parts.yaml"
expect_code 0 parts-run mnemo train "$work/parts.yaml" --run-dir "$work/run-parts" --set "run.data_path=$work/packed" \
    --set outer.steps=3 --set evaluate.every=0
expect_code 78 no-val mnemo train "$work/parts.yaml" --run-dir "$work/run-no-val" --set "run.data_path=$work/packed" \
    --set outer.steps=3 --set evaluate.every=2
expect_words no-val 'evaluate.every is 2' 'split val has 0 classes' '--shares'
ok "folders train and test are splits; without val one trains, unless validation is asked for"
cp -r "$work/own/a" "$work/parts/test"
expect_code 65 leak mnemo data import folder "$work/parts" -o "$work/leak.mnd"
expect_words leak 'class all/a is there twice' '--shares'
ok "a class in two splits is refused"
finish
