# Writes the files of configs/models as texts into <generated/named_models.h>, in the order of their names.
file(GLOB models CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/configs/models/*.yaml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${models})
set(texts "")
foreach(file IN LISTS models)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND texts "    {\"${name}\", R\"yaml(${text})yaml\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/named_models.h CONTENT
  "// Made by cmake/named_models.cmake.\n#pragma once\n\n#include <utility>\n\nnamespace convoy::generated {\n
inline constexpr std::pair<const char*, const char*> named_models[] = {\n@texts@};\n\n}  // namespace convoy::generated\n" @ONLY)
