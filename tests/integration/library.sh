#!/bin/bash
# libmnemo as another program finds it: installed, by pkg-config, from C, C++ and Python. Its answers are those of mnemo, bit by bit.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || die "cannot go to $work"

section "what is installed"
prefix=$work/prefix
expect_code 0 install cmake --install "$build" --prefix "$prefix"
pc=$(find "$prefix" -name mnemo.pc)
[ -n "$pc" ] || die "no mnemo.pc"
export PKG_CONFIG_PATH=${pc%/*}
version=$(mnemo --version)
[ "mnemo $(pkg-config --modversion mnemo)" = "$version" ] || die "mnemo.pc is not of $version"
library=$(pkg-config --variable=libdir mnemo)/libmnemo.so
[ -e "$library" ] || die "mnemo.pc says that the library is $library"
export LD_LIBRARY_PATH=${library%/*}
major_minor=${version#mnemo }
major_minor=${major_minor%.*}
objdump -p "$library" | grep -q "SONAME *libmnemo.so.$major_minor\$" || die "its soname is not libmnemo.so.$major_minor"
if nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | grep -v '^mnemo_[a-z_]*@@LIBMNEMO_'; then
    die "it exports more than what is public"
fi
sed -n 's/^MNEMO_API .*\(mnemo_[a-z_]*\)(.*/\1/p' "$prefix/include/mnemo/mnemo.h" | sort >declared
nm -D --defined-only "$library" | sed -n 's/.* T \(mnemo_[a-z_]*\)@.*/\1/p' | sort >exported
cmp -s declared exported || die "what it exports is not what mnemo.h declares: $(diff declared exported)"
[ -s declared ] || die "mnemo.h declares nothing"
if ldd "$library" | grep -E 'lib(mpi|zmq|protobuf|png|jpeg|zip|openblas)'; then
    die "it links what only the programs need"
fi
page=$prefix/share/man/man3/libmnemo.3
while read -r function; do
    grep -q "$function" "$page" || die "libmnemo.3 lacks $function"
done <declared
ok "the library, its header, mnemo.pc and man page; $(wc -l <declared) functions, and no other symbol"

section "models"
sinusoid sine.yaml 10
glyphs glyphs.yaml 3
prototypes prototypes.yaml 3
process process.yaml 3
stories stories.yaml 2
for name in sine glyphs prototypes process stories; do
    expect_code 0 train mnemo train $name.yaml --run-dir $name
    expect_code 0 export mnemo export $name -o $name.safetensors
    expect_code 0 task mnemo task $name --split test --index 5 --dump $name.task
done
ok "of each kind"

section "C"
compiler=$(command -v cc || command -v gcc || command -v clang) || die "no C compiler"
example=$(find "$prefix" -name adapt_and_predict.c)
# shellcheck disable=SC2046 # to be split
expect_code 0 compile "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror -Wstrict-prototypes "$example" -o example \
    $(pkg-config --cflags --libs mnemo)
expect_code 0 example ./example sine.safetensors -2,-0.9 -1,-0.8 0,0.1 1,0.8 2,0.9 -- -1.5 0.5
[ "$(wc -l <example.out)" -eq 2 ] || die "two questions, and other than two answers"
expect_code 0 of_run ./example sine -2,-0.9 -1,-0.8 0,0.1 1,0.8 2,0.9 -- -1.5 0.5
cmp -s example.out of_run.out || die "the run's folder answers otherwise than what was exported of it"
expect_code 1 none ./example nothing.safetensors 0,0 -- 1
expect_words none 'missing file: nothing.safetensors'
expect_code 1 pictures ./example glyphs.safetensors 0,0 -- 1
expect_words pictures 'wrong call: examples->x has 1 numbers: expected 400'
ok "the example, with pkg-config and every warning an error"
if compiler=$(command -v c++); then
    echo '#include <mnemo/mnemo.h>
int main() { return mnemo_version() == nullptr; }' >example.cc
    # shellcheck disable=SC2046
    expect_code 0 compile "$compiler" -Wall -Wextra -Wpedantic -Werror example.cc -o example_cc $(pkg-config --cflags --libs mnemo)
    expect_code 0 example_cc ./example_cc
    ok "C++"
fi

section "Python"
python=/usr/bin/python3
"$python" -c 'import ctypes' 2>/dev/null || skip "no python3"
MNEMO_LIBRARY=$library PYTHONPATH=$(dirname "$example") PYTHONDONTWRITEBYTECODE=1 \
    expect_code 0 python "$python" "$source_folder/tests/integration/library_answers.py" sine glyphs prototypes process
sed 's/^/ok: /' python.out
MNEMO_LIBRARY=$library PYTHONPATH=$(dirname "$example") PYTHONDONTWRITEBYTECODE=1 \
    expect_code 0 refused "$python" -c '
import mnemo
model = mnemo.Model("stories.safetensors")
assert model.item == 0 and model.reads_stories == 1
for wrong in (lambda: model.adapt([1.0], labels=[0]), lambda: model.ask("mary went home", "where is mary?"),
              lambda: model.ask("mary went to the garden.\n", ""), lambda: model.ask("mary went to the garden.\n", "where is mary?", 5000),
              lambda: mnemo.Model("sine.safetensors").ask("mary went to the garden.\n", "where is mary?")):
    try:
        wrong()
        print("taken")
    except mnemo.Error as error:
        print(error.code, error)'
expect_words refused '^4 this model reads stories' '^3 story:1: .*(cut|complete)' '^3 .*words' '^1 5000 answers: expected 1 to ' \
    '^4 this model has not learned from stories'
grep -q taken refused.out && die "something was answered: $(cat refused.out)"
ok "examples for stories, and what is no story, are refused"
sed -e 's/bundle: 8/bundle: 4, shot: 2/' -e '/^model/a meta: {kind: maml, inner_steps: 1, inner_lr: 0.1}' \
    -e 's/linear_start: 20/linear_start: 0/' stories.yaml >adapting.yaml
expect_code 0 train mnemo train adapting.yaml --run-dir adapting
printf '%s\n' "Mary went to the kitchen." "John moved to the garden." "Where is Mary?	kitchen" "Where is John?	garden" \
    "Mary travelled to the office." "The zebra sleeps." >story.txt
for name in stories adapting; do
    expect_code 0 $name mnemo ask $name --story story.txt --json "Where is Mary?"
    MNEMO_LIBRARY=$library PYTHONPATH=$(dirname "$example") PYTHONDONTWRITEBYTECODE=1 \
        expect_code 0 asked "$python" -c '
import json, sys
import mnemo
said = json.load(open(sys.argv[1] + ".out"))["questions"][0]["answers"]
answers = mnemo.Model(sys.argv[1]).ask(open("story.txt").read(), "Where is Mary?")
assert [one["word"] for one in said] == [word for word, _ in answers], (said, answers)
assert all(abs(one["probability"] - p) < 1e-5 for one, (_, p) in zip(said, answers)), (said, answers)
print(answers[0])' $name
done
ok "a question about a story is answered as mnemo ask does, after adapting to answered ones too"
sequences sequences.yaml 2
expect_code 0 train mnemo train sequences.yaml --run-dir sequences
MNEMO_LIBRARY=$library PYTHONPATH=$(dirname "$example") PYTHONDONTWRITEBYTECODE=1 \
    expect_code 0 shown "$python" -c '
import mnemo
model = mnemo.Model("sequences")
x = [float(i % 7 == k) for k in range(3) for i in range(model.item)]
adapted = model.adapt(x, labels=[0, 1, 2])
adapted.save("shown.safetensors")
again = mnemo.Adapted.load("shown.safetensors")
rows = adapted.predict(x)
assert rows == again.predict(x) and all(abs(sum(row) - 1) < 1e-5 for row in rows)
print(len(rows), "answers of", adapted.columns, "probabilities, the same from the file")'
ok "examples shown one after the other: $(cat shown.out)"
finish
