# One plugin for each kind of MPI whose compiler wrapper is found; the program opens the one that its launcher belongs to.
# Only mpi.h is needed: the program opens MPI's library, too. -DMPI_C_COMPILER=FILE or -DMPI_HOME=DIR name an MPI in an
# unusual place.
include(CheckCXXSourceCompiles)
set(CONVOY_MPI_PLUGINS "")

# Folders of mpi.h, as the wrapper would pass them to the compiler; empty where it cannot say.
function(convoy_mpi_includes wrapper result)
  execute_process(COMMAND ${wrapper} -show OUTPUT_VARIABLE command ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  separate_arguments(words UNIX_COMMAND "${command}")
  list(FILTER words INCLUDE REGEX "^-I.")
  list(TRANSFORM words REPLACE "^-I" "")
  set(${result} ${words} PARENT_SCOPE)
endfunction()

# Whether the mpi.h that `wrapper` finds is of this kind; if so, adds the plugin.
function(convoy_mpi_plugin kind wrapper condition)
  if(TARGET convoy_mpi_${kind} OR NOT EXISTS "${wrapper}")
    return()
  endif()
  convoy_mpi_includes(${wrapper} includes)
  string(MAKE_C_IDENTIFIER "CONVOY_${wrapper}_IS_${kind}" is_kind)
  set(CMAKE_REQUIRED_INCLUDES ${includes})
  set(CMAKE_REQUIRED_DEFINITIONS -DOMPI_SKIP_MPICXX -DMPICH_SKIP_MPICXX)
  set(CMAKE_REQUIRED_QUIET ON)
  check_cxx_source_compiles("#include <mpi.h>\n#if !(${condition})\n#error another\n#endif\nint main() {}" ${is_kind})
  if(NOT ${is_kind})
    return()
  endif()
  add_library(convoy_mpi_${kind} MODULE ${CONVOY_MPI_SOURCES})
  set_target_properties(convoy_mpi_${kind} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/convoy)
  target_include_directories(convoy_mpi_${kind} PRIVATE ${PROJECT_SOURCE_DIR})
  target_include_directories(convoy_mpi_${kind} SYSTEM PRIVATE ${includes})
  # The C++ bindings that MPI dropped in 2012 are not wanted.
  target_compile_definitions(convoy_mpi_${kind} PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
  target_link_libraries(convoy_mpi_${kind} PRIVATE convoy_warnings)
  target_link_options(convoy_mpi_${kind} PRIVATE LINKER:-z,undefs)
  message(STATUS "MPI plugin: ${kind}, with ${wrapper}")
  set(CONVOY_MPI_PLUGINS ${CONVOY_MPI_PLUGINS} convoy_mpi_${kind} PARENT_SCOPE)
endfunction()

find_program(CONVOY_MPICC NAMES mpicc HINTS ${MPI_HOME} ENV MPI_HOME PATH_SUFFIXES bin)
find_program(CONVOY_MPICC_OPENMPI NAMES mpicc.openmpi)
find_program(CONVOY_MPICC_MPICH NAMES mpicc.mpich)
foreach(wrapper IN ITEMS "${MPI_C_COMPILER}" "${CONVOY_MPICC}" "${CONVOY_MPICC_OPENMPI}" "${CONVOY_MPICC_MPICH}"
    /usr/lib64/openmpi/bin/mpicc /usr/lib64/mpich/bin/mpicc)  # the last two: where Red Hat has them
  convoy_mpi_plugin(openmpi "${wrapper}" "defined(OPEN_MPI)")
  convoy_mpi_plugin(mpich "${wrapper}" "defined(MPICH_VERSION) || defined(MPICH_NAME) || defined(I_MPI_VERSION)")
endforeach()

if(CONVOY_MPI_PLUGINS)
  add_dependencies(convoy ${CONVOY_MPI_PLUGINS})
else()
  message(WARNING "no mpicc found (libopenmpi-dev, libmpich-dev): this build runs on a single rank")
endif()
