# A chapter of the manual as lowdown is to have it: awk -v to=man|html -v name=PAGE -v summary=WORDS -f page.awk CHAPTER.md
#   man   the title becomes the section NAME, sections move up by one, links to chapters name their man pages
#   html  links to chapters lead to their pages, and the first line leads back to the list of them
# Comments go, for they are for the test of the manual. So do links out of the manual that would lead nowhere: in a terminal all of
# them, in a browser those into the source. Of documents that are installed the manual is a folder, of the source a folder's folder.
BEGIN {
    if (to == "html" && name != "mnemo-manual")
        print "[The manual of Mnemo](index.html)\n"
}
/^```/ { fenced = !fenced }
fenced || /^```/ { print; next }
/^<!--.*-->$/ { next }
to == "man" && /^# / { printf "# NAME\n\n%s - %s\n\n# DESCRIPTION\n", name, summary; next }
to == "man" && /^##/ { sub(/^#/, "") }
{
    rest = $0
    line = ""
    while (match(rest, /\[[^]]*\]\([^)]*\)/)) {
        line = line substr(rest, 1, RSTART - 1) linked(substr(rest, RSTART, RLENGTH))
        rest = substr(rest, RSTART + RLENGTH)
    }
    print line rest
}

function linked(link,    words, target, chapter, part) {
    words = substr(link, 2, index(link, "](") - 2)
    target = substr(link, index(link, "](") + 2)
    sub(/\)$/, "", target)
    part = ""
    if (target ~ /^[a-zA-Z-]+\.md#/) { # a heading of a chapter
        part = substr(target, index(target, "#"))
        target = substr(target, 1, index(target, "#") - 1)
    }
    if (target ~ /^[a-zA-Z-]+\.md$/) {
        chapter = substr(target, 1, length(target) - 3)
        if (to == "man")
            return words " (`mnemo-" (chapter == "README" ? "manual" : chapter) "`(7))"
        return "[" words "](" (chapter == "README" ? "index" : chapter) ".html" part ")"
    }
    if (target == "../../README.md" && to == "html")
        return "[" words "](../README.md)"
    return target ~ /:\/\// || (to == "html" && target !~ /^\.\.\/\.\.\//) ? link : words
}
