#!/bin/bash
# A run that begins with the theta of another one: it is that theta, the bits do not depend on ranks or on a stop, and
# the other run is needed no more once this one has begun.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

file=$work/sinusoid.yaml
sinusoid "$file" 10
expect_code 0 first mnemo train "$file" --run-dir "$work/first" --set pool.threads=1
given=$(find "$work/first/checkpoints" -name '*.safetensors' | sort | tail -n 1)
[ -n "$given" ] || die "the first run left no checkpoint"

expect_code 0 same mnemo train "$file" --theta "$given" --run-dir "$work/same" --set pool.threads=1 --set outer.steps=0
[ "$(theta_of same)" = "$(theta_of first)" ] || die "theta $(theta_of same) instead of $(theta_of first)"
ok "theta of meta-step 0 is the one that was given"
expect_code 0 folder mnemo train "$file" --theta "$work/first" --run-dir "$work/folder" --set pool.threads=1 --set outer.steps=0
[ "$(theta_of folder)" = "$(theta_of first)" ] || die "of a run's folder: theta $(theta_of folder) instead of $(theta_of first)"
ok "of a run's folder it is the newest checkpoint's"

sinusoid "$file" 20
expect_code 0 whole mnemo train "$file" --theta "$given" --run-dir "$work/whole" --set pool.threads=1
reference=$(theta_of whole)
[ "$reference" != "$(theta_of first)" ] || die "20 meta-steps changed nothing"
expect_code 0 cold mnemo train "$file" --run-dir "$work/cold" --set pool.threads=1
[ "$reference" != "$(theta_of cold)" ] || die "the theta that was given made no difference"

mpi 2
expect_code 0 ranks "${launch[@]}" "$bin/mnemo" train "$file" --theta "$given" --run-dir "$work/ranks" --set pool.threads=1
[ "$(theta_of ranks)" = "$reference" ] || die "2 ranks: theta $(theta_of ranks) instead of $reference"
ok "2 ranks: theta ${reference:0:16}..., as with one"

# Stopped before the first checkpoint that training makes, and with the other run gone.
expect_code 0 begun mnemo train "$file" --theta "$given" --run-dir "$work/begun" --set pool.threads=1 --set outer.steps=0
expect_code 64 again mnemo train "$file" --theta "$given" --run-dir "$work/begun" --set pool.threads=1
expect_words again 'leave --theta out'
ok "a run that has begun takes no other theta"
mv "$given" "$work/elsewhere"
expect_code 0 on mnemo train "$file" --run-dir "$work/begun" --set pool.threads=1
[ "$(theta_of on)" = "$reference" ] || die "gone on: theta $(theta_of on) instead of $reference"
ok "gone on without the other run: theta ${reference:0:16}..."

expect_code 65 other mnemo train "$file" --theta "$work/elsewhere" --run-dir "$work/other" --set pool.threads=1 --set 'model.hidden=[25]'
expect_words other elsewhere
expect_code 66 missing mnemo train "$file" --theta "$work/none" --run-dir "$work/missing" --set pool.threads=1
expect_words missing none
[ ! -e "$work/other/experiment.yaml" ] && [ ! -e "$work/missing/experiment.yaml" ] || die "a run began without its theta"
ok "another network's theta, and none: refused before the run begins"

expect_code 0 partial mnemo train "$file" --theta "$work/elsewhere" --partial --run-dir "$work/partial" --set pool.threads=1 \
    --set 'model.hidden=[24, 25]' --set outer.steps=0
expect_words partial '3 of 6 tensors are taken' 'the first of them fc2\.weight'
expect_code 0 drawn mnemo train "$file" --run-dir "$work/drawn" --set pool.threads=1 --set 'model.hidden=[24, 25]' --set outer.steps=0
[ "$(theta_of partial)" != "$(theta_of drawn)" ] || die "nothing was taken"
expect_code 64 alone mnemo train "$file" --partial --run-dir "$work/alone" --set pool.threads=1
expect_words alone '--partial goes with --theta'
[ ! -e "$work/alone" ] || die "a mistyped command left a run's folder"
expect_code 64 drawn-partial mnemo task "$work/elsewhere" --partial
expect_words drawn-partial 'no option'
ok "of another network, what fits is taken when asked for"

section "theta as other programs save it"
cat >"$work/resave.py" <<'PY'
"""resave.py FILE TYPE PREFIX OUT: a checkpoint's theta without metadata, in another type, under other names."""
import json, struct, sys
path, kind, prefix, out = sys.argv[1:]
blob = open(path, "rb").read()
(n,) = struct.unpack("<Q", blob[:8])
header, data = json.loads(blob[8 : 8 + n]), b""
entries = {"extra.tensor": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}
data += struct.pack("<q", 7)
for name, entry in header.items():
    if name == "__metadata__" or name.startswith(("optimiser.", "best.", "average.")):
        continue
    begin, end = entry["data_offsets"]
    raw = blob[8 + n + begin : 8 + n + end]
    values = struct.unpack(f"<{len(raw) // 4}f", raw)
    if kind == "F16":
        raw = struct.pack(f"<{len(values)}e", *values)
    elif kind == "F64":
        raw = struct.pack(f"<{len(values)}d", *values)
    elif kind == "BF16":
        raw = b"".join(struct.pack("<f", value)[2:] for value in values)
    elif kind == "NAN":
        raw = struct.pack(f"<{len(values)}f", *[float("nan")] * len(values))
    dtype = "F32" if kind == "NAN" else kind
    entries[prefix + name] = {"dtype": dtype, "shape": entry["shape"], "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(entries).encode()
open(out, "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
begin_with() { # NAME CODE TYPE PREFIX
    python3 "$work/resave.py" "$work/elsewhere" "$3" "$4" "$work/$1.safetensors" || die "resave.py"
    expect_code "$2" "$1" mnemo train "$file" --theta "$work/$1.safetensors" --run-dir "$work/run-$1" \
        --set pool.threads=1 --set outer.steps=0
}
for case in "plain F32 " "double F64 " "wrapped F32 module." "compiled F32 _orig_mod."; do
    read -r name kind prefix <<<"$case"
    begin_with "$name" 0 "$kind" "$prefix"
    [ "$(theta_of "$name")" = "$(theta_of first)" ] || die "$name: theta $(theta_of "$name") instead of $(theta_of first)"
done
for kind in F16 BF16; do
    begin_with "$kind" 0 "$kind" ''
    [ "$(theta_of "$kind")" != "$(theta_of first)" ] || die "$kind has all bits of float32"
done
begin_with strange 65 F32 somebody.
expect_words strange 'holds no tensor fc1\.weight' 'mnemo export'
begin_with nan 65 NAN ''
expect_words nan 'fc1\.weight' 'not finite'
ok "without metadata, in half and double precision, with a prefix and other tensors; strange names and NaN are refused"
finish
