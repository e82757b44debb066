// Instructions of sm_90a. They trap when compiled for anything else: launchers ask first which device they
// run on.
#pragma once

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define CONVOY_SM90A(...) asm volatile(__VA_ARGS__)
#else
#define CONVOY_SM90A(...) __trap()
#endif
