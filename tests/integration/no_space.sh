#!/bin/bash
# The disk fills up during a run: a clear error, no half-written file under a final name, the older checkpoint is there,
# and the run goes on to the same bits once there is room.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip "only root may mount a small file system"
disk=$work/disk
mkdir "$disk"
mount -t tmpfs -o size=8m tmpfs "$disk" 2>/dev/null || skip "no right to mount a small file system here"
mounts+=("$disk")

file=$work/sinusoid.yaml
sinusoid "$file" 20
wide=(--set 'model.hidden=[256,256]' --set pool.threads=2) # a checkpoint of about 800 kB
expect_code 0 reference mnemo train "$file" --run-dir "$work/reference" "${wide[@]}"

expect_code 0 begun mnemo train "$file" --run-dir "$disk/run" "${wide[@]}" --set outer.steps=5
kept=$(cd "$disk/run/checkpoints" && sha256sum -- *)

# All but 300 kB is taken: room for a log line, not for a checkpoint.
free=$(($(stat -f -c '%a * %S' "$disk") - 300000))
head -c "$free" /dev/zero >"$disk/ballast"
expect_code 74 full mnemo train "$file" --run-dir "$disk/run" "${wide[@]}"
expect_words full "$disk/run" "no space left"
ok "disk full: exit code 74: $(grep -i 'no space' "$work/full.log" | tail -n 1 | cut -c 1-160)"

(cd "$disk/run/checkpoints" && sha256sum --status -c <<<"$kept") || die "the older checkpoint is lost"
ok "the older checkpoint is untouched"
for name in "$disk/run/checkpoints"/*; do
    grep -q "${name##*/}" <<<"$kept" || die "a half-written file was left: $name"
done
ok "nothing half-written is left"

rm "$disk/ballast"
expect_code 0 room mnemo train "$file" --run-dir "$disk/run" "${wide[@]}"
[ "$(theta_of room)" = "$(theta_of reference)" ] || die "theta $(theta_of room) instead of $(theta_of reference)"
ok "with room again the run ends with the same theta"
finish
