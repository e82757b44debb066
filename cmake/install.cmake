# What `cmake --install` puts where: the program with its plugins and, for programs of others, libconvoy.so with its
# header and a CMake package. All else that Convoy is made of stays inside the library, so that who links it needs no
# more than that.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
install(TARGETS convoy RUNTIME)
if(CONVOY_MPI_PLUGINS)
  install(TARGETS ${CONVOY_MPI_PLUGINS} LIBRARY DESTINATION lib/convoy)  # where comm/mpi_library.cpp looks, from bin
endif()

if(CONVOY_SHARED)
  add_library(convoy_shared SHARED)
  target_link_libraries(convoy_shared PRIVATE convoy_api convoy_lib)
  if(CONVOY_ONE_LIBRARY)
    target_link_libraries(convoy_shared PRIVATE convoy_cli)
    target_link_libraries(convoy PRIVATE convoy_shared)
    file(RELATIVE_PATH to_library /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
    set_target_properties(convoy PROPERTIES INSTALL_RPATH $ORIGIN/${to_library})
  endif()
  target_link_options(convoy_shared PRIVATE LINKER:--no-undefined LINKER:--as-needed LINKER:--gc-sections)
  target_compile_features(convoy_shared INTERFACE cxx_std_20)
  target_include_directories(convoy_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(convoy_shared PROPERTIES OUTPUT_NAME convoy EXPORT_NAME convoy LINKER_LANGUAGE CXX)
  if(NOT CONVOY_ONE_LIBRARY)  # a wheel would hold each link as a copy
    set_target_properties(convoy_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  endif()

  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/convoy)
  install(TARGETS convoy_shared EXPORT convoy-targets LIBRARY)
  install(FILES ${PROJECT_SOURCE_DIR}/include/convoy/convoy.h ${PROJECT_SOURCE_DIR}/include/convoy/c_api.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/convoy)
  install(EXPORT convoy-targets NAMESPACE convoy:: DESTINATION ${package})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/convoy-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/convoy-config-version.cmake ${CMAKE_CURRENT_LIST_DIR}/convoy-config.cmake
    DESTINATION ${package})
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs DESTINATION ${CMAKE_INSTALL_DATADIR}/convoy)
