# The GPUs that a release has machine code for, unless CMAKE_CUDA_ARCHITECTURES names others: Turing to Hopper and, with a
# toolkit that knows them (12.8), Blackwell in servers (sm_100) and desktops (sm_120). To be included before CUDA is
# enabled, which would choose one by itself, and before the targets, which take the list over.
if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
  set(CONVOY_RELEASE_GPUS 75-real 80-real 86-real 89-real 90a-real 100-real 120-real 80-virtual)
else()
  set(CONVOY_RELEASE_GPUS 75-real 80-real 86-real 89-real 90a-real 80-virtual)
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES ${CONVOY_RELEASE_GPUS} CACHE STRING "GPUs to make machine code for")
endif()

# convoy_release_code(TARGET): TARGET's kernels for all GPUs of a release. No kernel knows an instruction of sm_86, sm_89,
# sm_100 or sm_120 that sm_80 lacks, so one PTX, of compute_80, becomes the machine code of all of them, and drivers of GPUs
# that come later compile it, too: three runs of nvcc's optimiser instead of seven. Other lists are CMake's own affair.
function(convoy_release_code target)
  if(NOT "${CMAKE_CUDA_ARCHITECTURES}" STREQUAL "${CONVOY_RELEASE_GPUS}")
    return()
  endif()
  set(from_ampere "")
  foreach(gpu IN LISTS CONVOY_RELEASE_GPUS)
    if(gpu MATCHES "^(80|86|89|100|120)-real$")
      list(APPEND from_ampere sm_${CMAKE_MATCH_1})
    endif()
  endforeach()
  list(JOIN from_ampere "," from_ampere)
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES OFF)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:
    --generate-code=arch=compute_75,code=[sm_75]
    --generate-code=arch=compute_80,code=[${from_ampere},compute_80]
    --generate-code=arch=compute_90a,code=[sm_90a]>)
endfunction()
