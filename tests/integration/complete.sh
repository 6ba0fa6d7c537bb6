#!/bin/bash
# What a shell completes: commands, options, keys and their choices, by the functions that it is given.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

choices() { # WORD...: what comes for the last of them
    mnemo complete -- "$@" | tr '\n' ' '
}
[ "$(choices tra)" = 'train ' ] || die "tra: $(choices tra)"
[ "$(choices train --ch)" = '--check ' ] || die "train --ch: $(choices train --ch)"
[ "$(choices keys -)" = '-o --help ' ] || die "keys -: $(choices keys -)"
[ "$(choices train --set outer.lr_f)" = 'outer.lr_factor= ' ] || die "a key: $(choices train --set outer.lr_f)"
[[ $(choices train --set tasks.kind=) == *'tasks.kind=sinusoid '* ]] || die "choices: $(choices train --set tasks.kind=)"
[ "$(choices train --set run.pictures=t)" = 'run.pictures=true ' ] || die "a switch: $(choices train --set run.pictures=t)"
[ -z "$(choices train some-file)" ] || die "a file's name is the shell's own to complete"
ok "commands, options, keys and choices"

# As bash does it when a person presses the tabulator: = ends a word there.
type_in() { # LINE: sets $reply
    reply=$(bash -c 'eval "$(mnemo complete bash)"
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<<"${1//=/ = }"
        [[ $1 != *" " && $1 != *= ]] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        compopt() { :; }
        case $1 in mnemo-worker*) _mnemo_worker ;; *) _mnemo ;; esac
        printf "%s " "${COMPREPLY[@]}"' bash "$1")
}
type_in 'mnemo eval'
[ "$reply" = 'evaluate ' ] || die "bash: '$reply' for mnemo eval"
type_in 'mnemo train x.yaml --set tasks.kind=glyp'
[ "$reply" = 'glyphs ' ] || die "bash: '$reply' for tasks.kind=glyp"
type_in 'mnemo train x.yaml --qu'
[ "$reply" = '--quiet ' ] || die "bash: '$reply' for --qu"
type_in 'mnemo-worker --pl'
[ "$reply" = '--plugin ' ] || die "bash: '$reply' for mnemo-worker --pl"
type_in 'mnemo-worker --se'
[ "$reply" = '--secret ' ] || die "bash: '$reply' for mnemo-worker --se"
ok "bash, by the functions that it is given"
for shell in zsh fish; do
    if command -v "$shell" >/dev/null; then
        mnemo complete "$shell" >"$work/script.$shell"
        expect_code 0 "$shell" "$shell" -n "$work/script.$shell"
        ok "$shell reads its script"
    else
        note "no $shell here"
    fi
done
expect_code 64 other mnemo complete tcsh
expect_words other 'expected bash, zsh or fish'
finish
