# find_package(convoy): the target convoy::convoy.
include(${CMAKE_CURRENT_LIST_DIR}/convoy-targets.cmake)
