#!/bin/bash
# A model a set of bAbI, out of an archive that lacks a file: what experiments/babi-single makes and says.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
python3 -c 'import zipfile' 2>/dev/null || skip "no python3"

# Sets 1 and 2 whole, of set 3 the test alone, in an archive; set 3 whole in a folder.
python3 - "$work" <<'END' || die "no stories"
import os, sys, zipfile
def story(i):
    who, where = ('Mary', 'John')[i % 2], ('office', 'garden', 'hall')[i % 3]
    return '1 %s went to the %s.\n2 Where is %s?\t%s\t1\n' % (who, where, who, where)
text = ''.join(story(i) for i in range(60))
os.makedirs(os.path.join(sys.argv[1], 'babi', 'few'))
with zipfile.ZipFile(os.path.join(sys.argv[1], 'babi', 'many.zip'), 'w') as archive:
    for name in 'qa1_a_train', 'qa1_a_test', 'qa2_b_train', 'qa2_b_test', 'qa3_c_test':
        archive.writestr('many/%s.txt' % name, text)
for name in 'qa3_c_train', 'qa3_c_test':
    with open(os.path.join(sys.argv[1], 'babi', 'few', name + '.txt'), 'w') as file:
        file.write(text)
END
export MNEMO_DATA=$work MNEMO=$bin/mnemo

sed 's/data: .*/data: many/; s/steps: .*/steps: 20/; s/every: .*/every: 10/' "$source_folder/experiments/babi-10k-qrn.yaml" >"$work/small.yaml"
single() { # NAME CODE ARGUMENT...
    expect_code "$2" "$1" "$source_folder/experiments/babi-single" "$work/small.yaml" "$work/runs" --starts 2 "${@:3}"
}

section "a set whose training file is missing"
single missing 1 --sets 3
expect_words missing 'many has no file qa3_..._train.txt; get it, or leave set 3 out' 'sets=3' 'set 3, seed 1: mnemo ended with 66'
ok "is named"

section "a table of three sets, the third from elsewhere"
single table 0 --sets 1,2,3 --instead 3=few -- --set pool.threads=1
for row in '^| 1 | 2 | ' '^| 2 | 2 | ' '^| 3 | 2 | ' '^| mean of 3 | '; do
    grep -q "$row" "$work/table.out" || die "no row $row in the table"
done
grep -q 'data: "few"' "$work/runs/qa3-1/experiment.yaml" || die "set 3 is not from the other folder"
grep -q 'data: "many"' "$work/runs/qa1-1/experiment.yaml" || die "set 1 is not from the archive"
ok "two starts a set"

section "again"
before=$(stat -c %Y.%i "$work"/runs/*/test.json)
single again 0 --sets 1,2,3 --instead 3=few
[ "$before" = "$(stat -c %Y.%i "$work"/runs/*/test.json)" ] || die "runs were made again"
cmp -s "$work/table.out" "$work/again.out" || die "another table of the same runs"
rm -r "$work"/runs/qa1-?
single enough 0 --sets 1 --enough 1000
[ -e "$work/runs/qa1-1" ] && [ ! -e "$work/runs/qa1-2" ] || die "--enough did not end the starts of a set"
ok "nothing that is there is made again, and enough is enough"

section "starts that match: words in each sentence or question are zero, gates look for what the query holds"
expect_code 0 begun "$source_folder/experiments/babi-single" "$work/small.yaml" "$work/begun" --starts 1 --sets 1,3 --instead 3=few \
    --begin "$source_folder/experiments/matching-start" -- --set model.layer_weights=own --set model.gate_lean=0 --set outer.lr=0
for set in 1 3; do
    python3 - "$work/begun/qa$set-1-start.safetensors" "$work/begun/qa$set-1/checkpoints/"*.safetensors <<'END' || die "set $set does not begin so"
import array, json, sys
def tensors(path):
    file = open(path, 'rb')
    head = json.loads(file.read(int.from_bytes(file.read(8), 'little')))
    body = file.read()
    return {name: array.array('f', body[slice(*head[name]['data_offsets'])])
            for name in ('embed.weight', 'layers.1.update.weight', 'layers.1.update.bias', 'layers.1.candidate.weight')}
start, trained = tensors(sys.argv[1]), tensors(sys.argv[2])
assert start == trained
words = [''] + 'garden hall is john mary office the to went where'.split()
d = len(start['embed.weight']) // len(words)
known = {word for i, word in enumerate(words) if any(start['embed.weight'][i * d:(i + 1) * d])}
assert known - {''} == {'garden', 'hall', 'john', 'mary', 'office'}, known
assert start['layers.1.update.bias'][0] == -2.5
assert 0.4 < sum(start['layers.1.update.weight']) / d < 0.8
passed = [start['layers.1.candidate.weight'][i * 2 * d + d + i] for i in range(d)]
assert 1.8 < sum(passed) / d < 2.2
END
done
ok "of an archive and of a folder"
finish
