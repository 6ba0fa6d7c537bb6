# Equal source gives equal files, wherever and whenever it is built: no path of the build is in them, and their date is SOURCE_DATE_EPOCH
# (https://reproducible-builds.org/specs/source-date-epoch), by default the newest date of CHANGELOG.md. tests/reproducible shows it.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
    set(MN_EPOCH $ENV{SOURCE_DATE_EPOCH})
else()
    file(STRINGS ${PROJECT_SOURCE_DIR}/CHANGELOG.md released REGEX "^## .* - [0-9]+-[0-9]+-[0-9]+$" LIMIT_COUNT 1)
    string(REGEX MATCH "([0-9]+)-([0-9]+)-([0-9]+)$" date "${released}")
    if(NOT date)
        message(FATAL_ERROR "CHANGELOG.md has no heading '## VERSION - YYYY-MM-DD'")
    endif()
    set(year ${CMAKE_MATCH_1})
    set(month ${CMAKE_MATCH_2})
    set(day ${CMAKE_MATCH_3})
    # Days since 1970 of a date of the Gregorian calendar, whose years begin in March here.
    if(month LESS 3)
        math(EXPR year "${year} - 1")
        math(EXPR month "${month} + 12")
    endif()
    math(EXPR MN_EPOCH "86400 * (365 * ${year} + ${year} / 4 - ${year} / 100 + ${year} / 400 + (153 * (${month} - 3) + 2) / 5 + ${day} - 719469)")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/CHANGELOG.md)

# A debugger finds sources from the top of the repository. Builds for debugging keep their paths. Of two maps that fit the last one counts, and a
# build's folder is often in that of the source.
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options("-ffile-prefix-map=${PROJECT_SOURCE_DIR}=." "-ffile-prefix-map=${PROJECT_BINARY_DIR}=build")
endif()

# Nor does the umask of who installs decide who may enter a folder. Of a package it does, for cpack writes it down: cluster/package sets it.
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# cpack, too, is to write that date.
file(WRITE ${PROJECT_BINARY_DIR}/package_date.cmake "set(ENV{SOURCE_DATE_EPOCH} ${MN_EPOCH})\n")
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/package_date.cmake)
