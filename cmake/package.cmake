# Debian packages: `cpack -G DEB` in a build folder makes one of each of these. What they depend on is read off the
# programs (dpkg-shlibdeps).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mnemo)
set(CPACK_PACKAGE_VENDOR Mnemo)
set(CPACK_PACKAGE_CONTACT "The authors of Mnemo <mnemo@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL mnemo mnemo-worker libmnemo0 libmnemo-dev python3-mnemo-worker mnemo-doc)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)

# mn_package(COMPONENT "what it is" [DEPENDS ...] [RECOMMENDS ...] [NO_PROGRAMS])
function(mn_package name summary)
    cmake_parse_arguments(ARG NO_PROGRAMS DEPENDS;RECOMMENDS "" ${ARGN})
    string(TOUPPER ${name} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
    set(CPACK_COMPONENT_${upper}_DESCRIPTION ${summary} PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${ARG_DEPENDS}" PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_RECOMMENDS "${ARG_RECOMMENDS}" PARENT_SCOPE)
    if(ARG_NO_PROGRAMS)
        set(CPACK_DEBIAN_${upper}_PACKAGE_SHLIBDEPS OFF PARENT_SCOPE)
        set(CPACK_DEBIAN_${upper}_PACKAGE_ARCHITECTURE all PARENT_SCOPE)
    endif()
endfunction()

mn_package(mnemo "coordinator of distributed meta-training, with all its commands"
           DEPENDS openmpi-bin RECOMMENDS "gnuplot-nox, fonts-dejavu-core, mnemo-worker")
mn_package(mnemo-worker "worker that joins a meta-training and computes its tasks")
mn_package(libmnemo0 "adapting and predicting by what Mnemo has learned, as a library")
set(CPACK_DEBIAN_LIBMNEMO0_PACKAGE_GENERATE_SHLIBS ON)
mn_package(libmnemo-dev "header, pkg-config file and manual of libmnemo"
           DEPENDS "libmnemo0 (= ${PROJECT_VERSION})" NO_PROGRAMS)
set(CPACK_DEBIAN_LIBMNEMO-DEV_PACKAGE_ARCHITECTURE) # it has a link to the library of its architecture
mn_package(python3-mnemo-worker "workers in Python: a model and tasks of one's own, trained by Mnemo"
           DEPENDS "python3, python3-numpy, python3-zmq, python3-protobuf" RECOMMENDS python3-torch)
mn_package(mnemo-doc "design, measurements and examples of Mnemo" NO_PROGRAMS)

include(CPack)
