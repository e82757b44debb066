// Which CUDA this binary was built with.
#pragma once

#include <string>

namespace convoy {

/// "12.4, NCCL 2.21.5": of the toolkit and of the NCCL that is loaded. Empty without the CUDA engine.
std::string cuda_build();

}  // namespace convoy
