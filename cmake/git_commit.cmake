# Writes the commit of the sources in SOURCE to the header OUTPUT, which is touched only when it is another than before:
# cmake -DSOURCE=... -DOUTPUT=... -P git_commit.cmake
cmake_policy(VERSION 3.25)
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} describe --always --dirty=+changes --abbrev=12 --exclude=*
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define CONVOY_COMMIT \"@commit@\"\n" @ONLY)
