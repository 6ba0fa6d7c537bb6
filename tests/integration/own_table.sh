#!/bin/bash
# A table of a person's own: tasks are drawn from its rows, a run learns from them and meets other rows; their columns are
# matched by name, labels may be any, and values are told in the table's own unit. Arrays of numpy are a table too.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

refused() { # CODE NAME WORDS COMMAND-AND-ARGUMENTS...
    local code=$1 name=${2// /-} what=$2 words=$3
    shift 3
    expect_code "$code" "$name" mnemo "$@"
    # shellcheck disable=SC2086 # words are several
    expect_words "$name" $words
    [ ! -e "$work/never" ] || die "$what: something was written"
    ok "$what: exit code $code: $(tail -n 1 "$work/$name.log" | cut -c 1-150)"
}
short=(--set pool.threads=1 --set outer.steps=40)

section "classes"
rows "$work/rows.yaml" 40
expect_code 0 train mnemo train "$work/rows.yaml" --run-dir "$work/run" --set pool.threads=1
printf 'c,kind,a,b\nred,"oak, old",0,0.1\nblue,elm,4,2.2\nred,"oak, old",0,0.3\n' >"$work/own.csv"
printf 'a;b;c;kind\r\n0;0.2;blue;oak, old\r\n4;2.0;red;\r\n4;2.1;red;elm\r\n' >"$work/query.csv"
expect_code 0 adapt mnemo adapt "$work/run" --support "$work/own.csv" --query "$work/query.csv" -o "$work/out"
expect_words adapt '3 examples of 2 classes' 'row 1 +oak, old .*right' 'row 2 +elm +[0-9.]+ %$' '2 of 2 right'
cut -d ';' -f 1-3 "$work/query.csv" >"$work/bare.csv"
mv "$work/run" "$work/elsewhere"
mv "$work/rows.csv" "$work/rows.away"
expect_code 0 predict mnemo predict "$work/out" --query "$work/bare.csv" -o "$work/again"
mv "$work/rows.away" "$work/rows.csv"
mv "$work/elsewhere" "$work/run"
grep -qE '^row 2,elm,' "$work/again/predictions.csv" || die "the adapted model alone says otherwise of row 2"
ok "labels of any text, columns by name, and from the adapted model alone, without run and table"

section "what is no such table"
run=$work/run into=(-o "$work/never")
printf 'kind,a,b,c,height\noak,1,1,red,2\nelm,2,2,red,2\n' >"$work/height.csv"
refused 65 "unknown column" "height.csv height none.of.the.table" adapt "$run" --support "$work/height.csv" "${into[@]}"
printf 'kind,a,c\noak,1,red\nelm,2,red\n' >"$work/thin.csv"
refused 65 "missing column" "thin.csv column..b" adapt "$run" --support "$work/thin.csv" "${into[@]}"
printf 'kind,a,b,c\noak,1,1,red\noak,2,2,red\n' >"$work/oaks.csv"
refused 65 "one class" "oaks.csv 1.class oak two.or.more" adapt "$run" --support "$work/oaks.csv" "${into[@]}"
refused 65 "a folder" "is.a.folder table" adapt "$run" --support "$work" "${into[@]}"
printf 'kind,a,b,c\n' >"$work/none.csv"
refused 65 "no rows" "none.csv no.row" adapt "$run" --support "$work/none.csv" "${into[@]}"
printf 'kind,a,b,c\noak,1,nan,red\nelm,2,2,red\n' >"$work/nan.csv"
refused 65 "not a number" "nan.csv row.1 column.b" adapt "$run" --support "$work/nan.csv" "${into[@]}"
printf 'kind,a,b,c\noak,1,inf,red\nelm,2,2,red\n' >"$work/inf.csv"
refused 65 "an infinite number" "inf.csv row.1 column.b a.finite.number;.mend" adapt "$run" --support "$work/inf.csv" "${into[@]}"
printf '\x93NUMPY\x01\x00' >"$work/torn.npy"
refused 65 "a cut array" "torn.npy cut.short" adapt "$run" --support "$work/torn.npy" "${into[@]}"
printf 'kind,a,b,c\noak,1,1,red\nelm,2\n' >"$work/ragged.csv"
refused 65 "a cut line" "ragged.csv:3 2.columns 4" adapt "$run" --support "$work/ragged.csv" "${into[@]}"
printf 'kind,a,b,c\n,1,2,red\nelm,2,2,red\n' >"$work/open.csv"
refused 65 "no class" "open.csv row.1 kind" adapt "$run" --support "$work/open.csv" "${into[@]}"
printf 'kind,a,b,c\nash,1,2,red\n' >"$work/ash.csv"
refused 65 "class that was not shown" "ash oak,.old elm" adapt "$run" --support "$work/own.csv" --query "$work/ash.csv" "${into[@]}"
refused 65 "class that was not shown, predict" "ash elm" predict "$work/out" --query "$work/ash.csv"
refused 66 "no file" "nowhere.csv" adapt "$run" --support "$work/nowhere.csv" "${into[@]}"
refused 66 "no table" "away.csv tasks.table MNEMO_DATA" train "$work/rows.yaml" --run-dir "$work/never" --set tasks.table=away.csv
refused 78 "too few rows" "fewer.rows.than shot" train "$work/rows.yaml" --run-dir "$work/never" --set tasks.shot=9
printf 'k0,9,0.5,red,1\n' >>"$work/rows.csv"
refused 78 "another table" "begun.with.data old.data" task "$run" --png "$work/never"
rm "$work/rows.csv"
expect_code 0 gone mnemo adapt "$run"/checkpoints/*40.safetensors --support "$work/own.csv" --query "$work/query.csv" -o "$work/from-file"
cmp "$work/out/predictions.csv" "$work/from-file/predictions.csv" || die "without its table it says otherwise"
ok "a checkpoint knows its columns: the table that it was trained on is not needed"

section "values"
row_values "$work/values.yaml" 40
expect_code 0 values mnemo train "$work/values.yaml" --run-dir "$work/values" "${short[@]}"
expect_words values explained_variance explained_within squared_error
awk 'BEGIN { print "a,b,y"; for (r = 0; r < 8; r++) printf "3,%.2f,%d\n", r / 4 + 1, 1000 + 2 * r }' >"$work/far.csv"
printf 'y,a,b\n1007,3,1.9\n,3,1.6\n' >"$work/asked.csv"
expect_code 0 far mnemo adapt "$work/values" --support "$work/far.csv" --query "$work/asked.csv" --steps 60 -o "$work/far"
expect_words far 'row 1 ' 'mean squared error [0-9.e+]+ over 1 rows'
awk -F, 'NR > 1 { n++; if ($2 < 900 || $2 > 1100) exit 1 } END { exit n != 2 }' "$work/far/predictions.csv" ||
    die "values are not in the unit of the table: $(cat "$work/far/predictions.csv")"
ok "values in the unit of the table: $(tail -n 1 "$work/far/predictions.csv")"

row_ids "$work/ids.yaml" 4
expect_code 0 ids mnemo train "$work/ids.yaml" --run-dir "$work/ids" --set pool.threads=1
expect_code 0 ids_task mnemo task "$work/ids"
expect_words ids_task 'ids +column c: 2 of training, from 1; others are 0'
refused 65 "examples without ids" "far.csv no.column..c tasks.id_column" adapt "$work/ids" --support "$work/far.csv" "${into[@]}"
awk 'BEGIN { print "a,b,c,y"; for (r = 0; r < 8; r++) printf "3,%.2f,red,%d\n", r / 4 + 1, 1000 + 2 * r }' >"$work/red.csv"
printf 'c,a,b\nRED,3,1.6\ngreen,3,1.6\n,3,1.6\n' >"$work/asked-ids.csv"
expect_code 0 with_ids mnemo adapt "$work/ids" --support "$work/red.csv" --query "$work/asked-ids.csv" --steps 1 --holdout leave-one-out -o "$work/with-ids"
expect_words with_ids '"c" of 2 rows has an id that training had not, as "green"' 'examples held out'
mv "$work/ids" "$work/ids.away"
expect_code 0 ids_later mnemo predict "$work/with-ids" --query "$work/asked-ids.csv" -o "$work/ids-later"
mv "$work/ids.away" "$work/ids"
cmp "$work/with-ids/predictions.csv" "$work/ids-later/predictions.csv" || die "the adapted model alone says otherwise of rows with ids"
awk -F, '{ says[NR] = $2 } END { exit says[2] == says[3] || says[3] != says[4] }' "$work/with-ids/predictions.csv" ||
    die "ids count for nothing, or unknown ones are not alike: $(cat "$work/with-ids/predictions.csv")"
ok "rows with ids, unknown ones and empty cells as id 0, and from the adapted model alone"
refused 78 "fewer slots than ids" "model.slots.is.2 3.ids" train "$work/ids.yaml" --run-dir "$work/never" --set model.slots=2
rm "$work/ids.yaml"

section "arrays"
python=/usr/bin/python3
"$python" -c 'import numpy' 2>/dev/null || skip "no numpy: no arrays can be made"
"$python" - "$work" <<'PYTHON'
import sys
import numpy
random = numpy.random.default_rng(0)
names = numpy.array(["class %d" % (i % 12) for i in range(96)])
x = random.normal(size=(12, 7)).repeat(8, 0).reshape(12, 8, 7).transpose(1, 0, 2).reshape(96, 7) + 0.1 * random.normal(size=(96, 7))
numpy.save(sys.argv[1] + "/x.npy", x.astype(numpy.float16))
numpy.save(sys.argv[1] + "/y.npy", names)
numpy.savez(sys.argv[1] + "/both.npz", x=x.astype(numpy.float16), y=names)
PYTHON
arrays=("${short[@]}" --set tasks.class_column=y --set tasks.columns= --set tasks.words=refuse)
expect_code 0 npy mnemo train "$work/rows.yaml" --run-dir "$work/npy" "${arrays[@]}" --set tasks.table=x.npy,y.npy
expect_code 0 npz mnemo train "$work/rows.yaml" --run-dir "$work/npz" "${arrays[@]}" --set tasks.table=both.npz
[ -n "$(theta_of npy)" ] || die "mnemo train printed no theta"
[ "$(theta_of npy)" = "$(theta_of npz)" ] || die "the same numbers give two answers"
expect_code 0 embedded mnemo adapt "$work/npy" --support "$work/x.npy,$work/y.npy" --query "$work/x.npy"
expect_words embedded '96 examples of 12 classes' 'row 1 +class 0'
expect_code 0 tensors mnemo adapt "$work/npz" --support "$work/both.npz" --query "$work/both.npz"
expect_words tensors '9[0-6] of 96 right'
"$python" - "$work/cifar" <<'PYTHON'
import os, sys
import numpy
os.makedirs(sys.argv[1])
random = numpy.random.default_rng(1)
records = random.integers(0, 256, (15 * 8, 3074), dtype=numpy.uint8)
records[:, 1] = numpy.arange(len(records)) % 15
records[:, 2:] = records[:, 2:] // 4 + records[:, 1:2] * 12  # brighter by class
records.tofile(sys.argv[1] + "/some.bin")
with open(sys.argv[1] + "/classes.tsv", "w") as file:
    file.write("fine_id\tfine\tcifar_fs_split\n")
    file.writelines("%d\tc%d\t%s\n" % (k, k, ("train", "val", "test")[k // 5]) for k in range(15))
PYTHON
expect_code 0 embed "$python" "$source_folder/experiments/embed_pictures.py" "$work/cifar" "$work"
expect_code 0 features mnemo train "$source_folder/experiments/cifar-features-5w1s-prototypes.yaml" --run-dir "$work/features" "${short[@]}" \
    --set tasks.way=5 --set tasks.query=4 --set evaluate.query=4 --set evaluate.tasks=20 --set evaluate.every=20
expect_words features accuracy '[3-9][0-9].[0-9]+ %'
ok "features of another program as .npy and .npz: $(grep right: "$work/tensors.out")"
finish
