# What `cmake --install build/release --prefix DIR` puts where. Man pages are made from what the programs say, so they cannot lie.
find_program(HELP2MAN help2man)
mark_as_advanced(HELP2MAN)

# `help` is the option or word that makes the program tell all.
function(mn_install_program name help summary)
    install(TARGETS ${name} RUNTIME COMPONENT ${name})
    if(NOT HELP2MAN OR MNEMO_SANITIZE OR CMAKE_CROSSCOMPILING)
        return()
    endif()
    set(page ${PROJECT_BINARY_DIR}/man/${name}.1)
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
    add_custom_command(OUTPUT ${page}
        COMMAND ${CMAKE_COMMAND} -E env SOURCE_DATE_EPOCH=${MN_EPOCH} ${HELP2MAN} --no-info --section=1 --help-option=${help} --name=${summary} --source=Mnemo --manual=Mnemo
                --include=${PROJECT_SOURCE_DIR}/docs/manual/see-also.h2m
                --output=${page} $<TARGET_FILE:${name}>
        DEPENDS ${name} VERBATIM COMMENT "Man page of ${name}")
    add_custom_target(${name}-man ALL DEPENDS ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${name})
endfunction()

mn_install_program(mnemo "help all" "meta-train memory networks on whatever machines there are")
mn_install_program(mnemo-worker "--help" "join a running meta-training and compute its tasks")

# The library, for other programs: pkg-config mnemo.
install(TARGETS libmnemo LIBRARY COMPONENT libmnemo0 NAMELINK_COMPONENT libmnemo-dev)
install(FILES ${PROJECT_SOURCE_DIR}/worker/library/mnemo/mnemo.h ${PROJECT_SOURCE_DIR}/worker/library/mnemo/plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mnemo COMPONENT libmnemo-dev)
install(FILES ${PROJECT_BINARY_DIR}/worker/library/mnemo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT libmnemo-dev)
install(FILES ${PROJECT_SOURCE_DIR}/worker/library/libmnemo.3 ${PROJECT_SOURCE_DIR}/worker/library/mnemo_plugin.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT libmnemo-dev)

# Workers in Python, where Debian's Python finds what packages bring; below another prefix, PYTHONPATH says it.
install(DIRECTORY ${PROJECT_BINARY_DIR}/python/mnemo_worker DESTINATION lib/python3/dist-packages COMPONENT python3-mnemo-worker
        PATTERN __pycache__ EXCLUDE)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/experiments DESTINATION ${CMAKE_INSTALL_DATADIR}/mnemo COMPONENT mnemo
        FILES_MATCHING PATTERN "*.yaml" PATTERN "story.txt")
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT mnemo-doc)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT mnemo-doc
        FILES_MATCHING PATTERN "*.md" PATTERN "*.json" PATTERN "*.png" PATTERN "*.svg" PATTERN "*.py" PATTERN "*.c")
install(PROGRAMS ${PROJECT_SOURCE_DIR}/cluster/mnemo.sbatch DESTINATION ${CMAKE_INSTALL_DATADIR}/mnemo/cluster COMPONENT mnemo OPTIONAL)

# What the shells ask the program by.
foreach(place bash:bash-completion/completions/mnemo zsh:zsh/vendor-completions/_mnemo fish:fish/vendor_completions.d/mnemo.fish)
    string(REGEX MATCH "^[^:]+" shell ${place})
    string(REGEX REPLACE "^[^:]+:" "" path ${place})
    get_filename_component(folder ${path} DIRECTORY)
    get_filename_component(name ${path} NAME)
    if(NOT CMAKE_CROSSCOMPILING AND NOT MNEMO_SANITIZE)
        set(script ${PROJECT_BINARY_DIR}/completion/${name})
        add_custom_command(OUTPUT ${script}.${shell}
            COMMAND mnemo complete ${shell} > ${script}.${shell} DEPENDS mnemo VERBATIM COMMENT "Completion for ${shell}")
        add_custom_target(completion-${shell} ALL DEPENDS ${script}.${shell})
        install(FILES ${script}.${shell} DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder} RENAME ${name} COMPONENT mnemo)
        if(NOT shell STREQUAL zsh) # which reads in a script for whom it is; the others go by its name
            string(REPLACE mnemo mnemo-worker worker_name ${name})
            install(FILES ${script}.${shell} DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder} RENAME ${worker_name} COMPONENT mnemo-worker)
        endif()
    endif()
endforeach()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/completion)

# An environment module, made when it is installed, for only then the prefix is known. No part of a Debian package: /usr is on the PATH.
install(CODE "set(MN_VERSION \"${PROJECT_VERSION}\")
set(MN_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
set(MN_PREFIX \"\${CMAKE_INSTALL_PREFIX}\")
configure_file(\"${PROJECT_SOURCE_DIR}/cluster/modulefile.in\"
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/modulefiles/mnemo/${PROJECT_VERSION}\" @ONLY)"
    COMPONENT modulefile)

include(cmake/manual.cmake)
include(cmake/package.cmake)
