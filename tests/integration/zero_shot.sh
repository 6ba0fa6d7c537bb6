#!/bin/bash
# Classes that attributes describe, as a user meets them: a task by the names of its classes, what is wrong with a table of
# attributes, and the table over random divisions that experiments/zero-shot-splits makes.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "no python3: no pictures can be made"

ridge "$work/ridge.yaml" 5
described "$work/described.yaml" 5

section "a task"
expect_code 0 shown mnemo task "$work/ridge.yaml" --index 1
expect_words shown '6 support images of seen classes' 'class[0-7] +unseen ' 'first' '3 attributes a class'
ok "tells its classes by name"

section "what is wrong with attributes"
wrong() { # NAME CODE WORDS: of bad.csv, on standard input
    cat >"$work/bad.csv"
    expect_code "$2" "$1" mnemo train "$work/ridge.yaml" --run-dir "$work/$1-run" --set tasks.descriptions=bad.csv
    expect_words "$1" "$3"
    ok "$1"
}
sed '/^class3,/d' "$work/described.csv" | wrong lacking 65 'a class class3 that bad.csv does not describe.*add a line of 3 attributes'
sed 's/^class3,.*/class3,1,?,1/' "$work/described.csv" | wrong missing 65 'bad.csv:5: class class3 lacks attribute second: put a number'
sed 's/^class3,.*/class3,1,nan,1/' "$work/described.csv" | wrong not-a-number 65 'bad.csv:5: column 3: "nan": expected a finite number'
sed 's/^class3,.*/class3,1,2/' "$work/described.csv" | wrong too-few 65 'bad.csv:5: 3 columns: expected 4'
expect_code 66 absent mnemo train "$work/ridge.yaml" --run-dir "$work/absent-run" --set tasks.descriptions=none.csv
expect_words absent 'no file none.csv \(tasks.descriptions\)'
expect_code 0 trained mnemo train "$work/described.yaml" --run-dir "$work/trained" --set pool.threads=1
sed 's/$/,1/; s/^class,.*/class,first,second,third,fourth/' "$work/described.csv" >"$work/more.csv"
expect_code 65 other mnemo evaluate "$work/trained" --set tasks.descriptions=more.csv
expect_words other 'describer'
ok "other attributes than a network was trained with"

section "a table over divisions"
export MNEMO=$bin/mnemo
expect_code 0 table "$source_folder/experiments/zero-shot-splits" "$work/described.yaml" "$work/runs" --splits 2 -- --set pool.threads=1
for row in '^| 1 | ' '^| 2 | ' '^| mean of 2, 95 % interval | .* +- .* |'; do
    grep -q "$row" "$work/table.out" || die "no row $row in the table"
done
expect_code 0 once mnemo train "$work/described.yaml" --run-dir "$work/once" --set seed=2 --set tasks.class_split=2 --set pool.threads=1
cmp -s "$work/once/test.json" "$work/runs/split-2/test.json" || die "division 2 is another one in the table"
ok "each is a run of its own"
finish
