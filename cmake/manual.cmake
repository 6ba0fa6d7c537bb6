# The manual, docs/manual/*.md, as man pages and as HTML, where lowdown is (Debian's package of that name): target `manual`, part of
# `all`. Without it nothing is lacking but these pages; the sources are readable as they are.
find_program(LOWDOWN lowdown)
find_program(AWK NAMES awk mawk gawk)
mark_as_advanced(LOWDOWN AWK)
option(MNEMO_MANUAL "make man pages and HTML of the manual, if lowdown is there" ON)
if(NOT MNEMO_MANUAL OR NOT LOWDOWN OR NOT AWK)
    return()
endif()

set(MN_MANUAL ${PROJECT_BINARY_DIR}/manual)
file(MAKE_DIRECTORY ${MN_MANUAL}/html ${MN_MANUAL}/man7)
set(MN_MANUAL_PAGES)

# mn_manual_page(CHAPTER SUMMARY): chapter.md -> mnemo-chapter(7) and chapter.html; README.md is the list of chapters.
function(mn_manual_page chapter summary)
    set(page ${chapter})
    set(html ${chapter})
    if(chapter STREQUAL README)
        set(page manual)
        set(html index)
    endif()
    set(source ${PROJECT_SOURCE_DIR}/docs/manual/${chapter}.md)
    set(filter ${PROJECT_SOURCE_DIR}/docs/manual/page.awk)
    string(TOUPPER mnemo-${page} title)
    foreach(kind man html)
        if(kind STREQUAL man)
            set(out ${MN_MANUAL}/man7/mnemo-${page}.7)
            set(metadata -m "title=${title}" -m section=7 -m volume=Mnemo -m "source=Mnemo ${PROJECT_VERSION}")
        else()
            set(out ${MN_MANUAL}/html/${html}.html)
            set(metadata -m "title=Mnemo: ${summary}" -m css=manual.css)
        endif()
        add_custom_command(OUTPUT ${out}
            COMMAND ${AWK} -v to=${kind} -v name=mnemo-${page} -v "summary=${summary}" -f ${filter} ${source} > ${out}.md
            COMMAND ${LOWDOWN} -s -t${kind} --out-no-smarty ${metadata} -o ${out} ${out}.md
            COMMAND ${CMAKE_COMMAND} -E rm ${out}.md
            DEPENDS ${source} ${filter} VERBATIM COMMENT "Manual: ${chapter}, ${kind}")
        set(MN_MANUAL_PAGES ${MN_MANUAL_PAGES} ${out})
    endforeach()
    set(MN_MANUAL_PAGES ${MN_MANUAL_PAGES} PARENT_SCOPE)
endfunction()

mn_manual_page(README "the manual, by chapters")
mn_manual_page(first-steps "train, look, stop, go on, ask")
mn_manual_page(own-data "pictures, tables and stories of your own")
mn_manual_page(own-model "put networks and rules together, and take them elsewhere")
mn_manual_page(cluster "ranks, workers, keys, Slurm, exit codes")
mn_manual_page(reading-results "what the numbers and files of a run mean")
mn_manual_page(python "a model and tasks of your own in Python")
mn_manual_page(plug-ins "a task set, a part or a rule of your own in C")
mn_manual_page(watching "its page, the terminal, why it waited, reports, Prometheus, TensorBoard")
mn_manual_page(sweeps "many settings and seeds on one pool")
mn_manual_page(mathematics "what is computed, and where it is from")
add_custom_target(manual ALL DEPENDS ${MN_MANUAL_PAGES})

install(DIRECTORY ${MN_MANUAL}/man7 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT mnemo-doc FILES_MATCHING PATTERN "*.7")
install(DIRECTORY ${MN_MANUAL}/html/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/manual COMPONENT mnemo-doc FILES_MATCHING PATTERN "*.html")
install(FILES ${PROJECT_SOURCE_DIR}/docs/manual/manual.css DESTINATION ${CMAKE_INSTALL_DOCDIR}/manual COMPONENT mnemo-doc)
