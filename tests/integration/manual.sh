#!/bin/bash
# The manual: its command lines do what it says they do, what it names is there, and its pages are well made.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

python=$(command -v python3) || skip "no python3"
unset MNEMO_DATA # the chapters bring what they need
section "what it says"
"$python" "$source_folder/tests/integration/manual.py" "$source_folder" "$work" || die "the manual does not do what it says"

section "its pages"
pages=$build/manual
if [ ! -d "$pages" ]; then
    note "no pages: lowdown was not there when this was built"
    finish
fi
for chapter in "$source_folder"/docs/manual/*.md; do
    name=$(basename "$chapter" .md)
    page=$pages/man7/mnemo-${name/#README/manual}.7 html=$pages/html/${name/#README/index}.html
    for file in "$page" "$html"; do
        [ -s "$file" ] || die "$chapter has no page $file: is its line in cmake/manual.cmake?"
        [ ! "$chapter" -nt "$file" ] || die "$file is older than $chapter"
    done
    # Lines of a chapter that are in its pages, and the other way round: no heading is lost.
    grep -oE '^##+ .*' <(awk '/^```/ { f = !f } !f' "$chapter") | sed 's/^#* //' >"$work/headings"
    while read -r heading; do
        grep -qxF -- "$heading" "$page" || die "$page lacks the heading '$heading'"
    done <"$work/headings"
    if command -v lexgrog >/dev/null; then
        lexgrog "$page" >"$work/lexgrog.out" 2>&1 || die "$page: man -k would not find it: $(cat "$work/lexgrog.out")"
    fi
    if command -v man >/dev/null && command -v groff >/dev/null; then
        MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null | grep -vE 'cannot (adjust|break)|wider than' >"$work/warnings.log"
        [ ! -s "$work/warnings.log" ] || die "$page: groff has something to say"
    fi
    "$python" - "$html" <<'END' || die "$html is no whole page, or a link of it leads nowhere"
import html.parser, os, sys
path = sys.argv[1]
void, open_tags, links = {"meta", "link", "br", "hr", "img"}, [], []
class Reader(html.parser.HTMLParser):
    def handle_starttag(self, tag, attributes):
        links.extend(v for k, v in attributes if k in ("href", "src"))
        if tag not in void:
            open_tags.append(tag)
    def handle_startendtag(self, tag, attributes):
        pass
    def handle_endtag(self, tag):
        assert open_tags.pop() == tag, (tag, self.getpos())
Reader().feed(open(path, encoding="utf-8").read())
assert not open_tags, open_tags
for link in links:
    if "://" in link or link == "manual.css" or link.startswith("../"):
        continue
    page, _, heading = link.partition("#")
    page = os.path.join(os.path.dirname(path), page)
    assert os.path.exists(page), link
    assert not heading or f'id="{heading}"' in open(page, encoding="utf-8").read(), link
    assert not page.endswith(".md"), link
END
done
ok "a man page and an HTML page of each chapter"
finish
