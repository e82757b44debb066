// How long a rank may be stopped before the configuration is read.
#pragma once

namespace convoy {

/// distributed.timeout in seconds, as the command line sets it or the configuration or run that it names; the
/// default where nothing of these can be read. What is wrong with them is said later, once ranks can agree.
double launch_limit(int argc, char** argv);

}  // namespace convoy
