// From a configuration to a session: engine chosen, data loaded, plans made.
#pragma once

#include <memory>

#include "src/config/config.h"
#include "src/session/session.h"

namespace convoy {

/// The engine that `device` and `train.precision` ask for; auto is CUDA where every rank sees a device. With
/// CUDA and distributed.bind: auto, a rank that nothing has bound is bound to cores near its device.
/// Collective; throws AgreedError where a rank's device lacks the precision.
std::unique_ptr<Engine> make_engine_for(const Config& config, const RankEnvironment& ranks);

/// Loads the data set while the engine starts. Collective; throws AgreedError on every rank when
/// one fails or they have not loaded the same. With `identify`, rank 0's session has data_identity().
std::unique_ptr<Session> make_session(const Config& config, const RankEnvironment& ranks,
                                      bool identify = false);

}  // namespace convoy
