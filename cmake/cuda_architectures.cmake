# The GPUs that a release has machine code for, unless CMAKE_CUDA_ARCHITECTURES names others: Turing to Hopper and, with a
# toolkit that knows them (12.8), Blackwell in servers (sm_100) and desktops (sm_120). The PTX of the newest is for GPUs
# that come later: their driver compiles it. To be included before CUDA is enabled, which would choose one by itself, and
# before the targets, which take the list over.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
    set(release 75-real 80-real 86-real 89-real 90a-real 100-real 120)
  else()
    set(release 75-real 80-real 86-real 89-real 90a-real 90-virtual)
  endif()
  set(CMAKE_CUDA_ARCHITECTURES ${release} CACHE STRING "GPUs to make machine code for")
endif()
