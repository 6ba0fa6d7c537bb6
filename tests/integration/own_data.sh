#!/bin/bash
# Pictures in all the forms in which people have them: archives, arrays, records; good ones make the same packed file
# whatever the form, bad ones are told with what, where, what was expected, and leave nothing behind.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

python3 "$source_folder/tests/integration/own_pictures.py" "$work/own" || die "own_pictures.py failed"
cd "$work/own" || die "no folder"

import() { # NAME ARGUMENT...: an import that succeeds
    expect_code 0 "$1" mnemo data import "${@:2}"
}

words() { # NAME WORD...: exactly these
    local word
    for word in "${@:2}"; do
        grep -qF -- "$word" "$work/$1.log" "$work/$1.out" || die "$1: its message lacks '$word'"
    done
}

same_as() { # PACK WHAT ARGUMENT...: makes the same file
    import same "${@:3}" -o same.mnd
    cmp -s "$1" same.mnd || die "$2: another file than $1"
    rm same.mnd
}

refused() { # CODE WORDS ARGUMENT...
    expect_code "$1" refused mnemo data import "${@:3}" -o refused.mnd
    words refused "$2"
    [ ! -e refused.mnd ] || die "a half-made file was left by $*"
}

section "archives"
shares=(--size 12 --shares "0.5,0.2,0.3")
import dir folder dir "${shares[@]}" -o dir.mnd
for archive in plain.zip back.zip top.zip own.tar own.tar.gz own.tgz own.tar.bz2 own.tar.xz; do
    same_as dir.mnd "$archive" folder "$archive" "${shares[@]}"
done
ok "eight archives make the same file as the folder"
import top folder top.zip --dry-run
words top ' 5  hidden and system files' 'archives in an archive: unpack it' 'data/my set/more.zip' 'GIF: turn them' \
    'no pictures by their names' 'nothing was written'
import link folder own.tar --dry-run
words link 'neither file nor folder (own.tar: entry own/a/link.png)'
import evil folder evil.zip --dry-run
words evil ' 2  names that lead out of the archive (first: evil.zip: entry ../../evil.png)'
[ ! -e ../../evil.png ] || die "something was unpacked"
[ ! -e ../evil.png ] || die "something was unpacked"
import split folder split.zip -o split.mnd
[ "$(grep -cE '^(train|test) +3 ' "$work/split.out")" -eq 2 ] || die "folders of splits below another are no splits"
ok "what is beside the pictures is named, counted and harmless; train and test below another folder are splits"

section "damage"
refused 65 'crc.zip: entry a/0.png' folder crc.zip
refused 65 'truncated gzip' folder cut.tar.gz
refused 65 'cut.zip is no good zip or tar archive' folder cut.zip
refused 65 'would grow more than' folder bomb.tar.gz
refused 65 'would grow more than' folder bombs.tar.gz
refused 65 'entry b/3.png is a damaged PNG: it ends too early; 1 more are damaged' folder damaged.zip
import skipped folder damaged.zip --skip-damaged -o skipped.mnd
words skipped 'left: damaged.zip: entry b/3.png' 'left: damaged.zip: entry c/4.png' 'classes of fewer than 6 pictures'
ok "damaged archives and pictures are told; single pictures are left and listed where that is asked for"

section "arrays"
import arrays arrays X.npy Y.npy -o X.mnd
same_as X.mnd X.npy.gz arrays X.npy.gz Y.npy
same_as X.mnd i64.npy arrays i64.npy Y.npy
same_as X.mnd f32.npy arrays f32.npy Y.npy
same_as X.mnd f64be.npy arrays f64be.npy Y.npy
same_as X.mnd one.npz arrays one.npz
same_as X.mnd two.npz arrays two.npz --arrays x_train,y_train,x_test,y_test
same_as X.mnd both.safetensors arrays both.safetensors
same_as X.mnd images.idx idx images.idx labels.idx
same_as X.mnd images.idx.bz2 idx images.idx.bz2 labels.idx
same_as X.mnd f16.npy arrays f16.npy Y.npy
same_as X.mnd side.idx idx side.idx labels.idx --transposed
cp side.idx emnist-letters.idx
import emnist idx emnist-letters.idx labels.idx --dry-run
words emnist "EMNIST's files hold columns" "--transposed puts its images upright"
import last arrays last.npy Y.npy -o last.mnd
same_as last.mnd first.npy arrays first.npy Y.npy
ok "IDX, NPY, NPZ and safetensors of the same images make the same file, channels first or last"
refused 65 'nan.npy: image 3 has a value of nan; expected real numbers of 0 to 1' arrays nan.npy Y.npy
refused 65 "255.npy: image 0 has a value of 197; expected real numbers of 0 to 1: save X / 255" arrays 255.npy Y.npy
refused 65 'i16.npy: image 0 has a value of -1; expected whole numbers of 0 to 255' arrays i16.npy Y.npy
refused 65 'flat.npy is uint8 [30, 63]: expected images' arrays flat.npy Y.npy
refused 65 '(30, 9, 7, 1, 1)' arrays five.npy Y.npy
refused 65 'four.npy is uint8 [30, 9, 1, 7]: expected images' arrays four.npy Y.npy
refused 65 'numpy.ascontiguousarray(X)' arrays fortran.npy Y.npy
refused 65 "'|O'" arrays object.npy Y.npy
refused 65 'there are 28 of the 30' arrays cut.npy Y.npy
refused 65 'header is cut short' arrays header.npy Y.npy
refused 65 'larger than any memory' arrays huge.npy Y.npy
refused 65 'but there are 1099511627776 images' arrays many.npy Y.npy
refused 65 'its array is empty' arrays none.npy Y.npy
refused 65 'empty.npy is neither IDX' arrays empty.npy Y.npy
refused 65 'text.npy is neither IDX' arrays text.npy Y.npy
refused 66 'cannot open nowhere.npy' arrays nowhere.npy Y.npy
refused 65 'kind 0x0a' idx odd.idx labels.idx
refused 65 'there are 29 of the 30' idx cut.idx labels.idx
refused 65 'label 0 is -1' arrays X.npy minus.npy
refused 65 'y.argmax(1)' arrays X.npy onehot.npy
refused 65 "y.astype('int64')" arrays X.npy real.npy
refused 65 'y29.npy has 29 labels, but there are 30 images' arrays X.npy y29.npy
refused 65 'images come first, then labels' arrays Y.npy X.npy
refused 64 'x_train uint8 [15, 9, 7], y_train uint8 [15]' arrays two.npz
refused 64 'there is no array z' arrays two.npz --arrays x_train,z
refused 65 'there are 22 of the 30' arrays cut.safetensors
import nan arrays nan.npy Y.npy --skip-damaged --dry-run
words nan 'taken: 29 pictures' 'left: nan.npy: image 3 has a value of nan'
ok "other shapes, kinds and values are told with the file, the place and what to save"

section "CIFAR's records"
import ten cifar ten.bin --class-names names.txt -o ten.mnd
expect_code 0 show mnemo data show ten.mnd
words show '20 images of 32x32 pixels, colour, in 10 classes' 'all/class 9'
import hundred cifar hundred.bin --class-names table.tsv -o hundred.mnd
expect_code 0 show mnemo data show hundred.mnd
words show 'group 0/f90' 'group 1/f91'
same_as hundred.mnd hundred.bin.gz cifar hundred.bin.gz --class-names table.tsv
refused 65 '61455 bytes are no whole number of records' cifar cut.bin
refused 65 'records of labels that cannot be' cifar labels.bin
refused 65 'ten.bin is of CIFAR-10, and hundred.bin of CIFAR-100' cifar ten.bin hundred.bin
refused 65 'image 2 has label 2, which --class-names does not name' cifar ten.bin --class-names few.txt
refused 65 'labels 0 and 1 are both called zero' cifar ten.bin --class-names twice.txt
refused 65 'gap.txt:3: an empty line before' cifar ten.bin --class-names gap.txt
refused 65 'badtable.tsv:2: expected a label' cifar ten.bin --class-names badtable.tsv
refused 65 'header.tsv:1: expected names of columns' cifar ten.bin --class-names header.tsv
ok "both layouts, names and groups; other files are told"

section "no room"
expect_code 74 limit bash -c 'ulimit -f 10; exec mnemo data import cifar ten.bin -o limit.mnd'
words limit 'cannot keep a picture until it is packed, for which room is needed twice: File too large'
[ ! -e limit.mnd ] || die "a half-made file was left"
expect_code 66 nowhere mnemo data import cifar ten.bin -o nowhere/x.mnd
words nowhere 'no place for pictures in the folder of nowhere/x.mnd'
mkdir -p $'odd/new\nline'
cp dir/a/0.png $'odd/new\nline'
refused 65 'odd/new\x0aline/0.png: group, class and file must have names' folder odd
ok "what the disk or a limit refuses is told; names cannot forge lines of messages"

section "names"
cat >names.yaml <<'YAML'
seed: 1
tasks:
  kind: images
  data: hundred.mnd
  way: 2
  shot: 1
  query: 1
  image_size: 32
  rotations: false
model:
  input: conv4
  filters: 4
YAML
expect_code 0 task mnemo task names.yaml --split train --set run.data_path=.
words task 'label    0 is group '
expect_code 0 sheet mnemo task names.yaml --split train --set run.data_path=. --png sheet.png
ok "names of classes are in a task"
[ -z "$(find . -name '.mnemo-*')" ] || die "left behind: $(find . -name '.mnemo-*')"
finish
