// The keys that YAML has for each update rule, beside those that all optimizers share.
#pragma once

#include "kernels/optimizers/all.h"
#include "src/config/schema.h"

namespace convoy {

// One per rule of OptimizerRule, defined in the rule's own file here. A rule without one does not compile.
Table<Sgd> keys_of(const Sgd&);
Table<Adam> keys_of(const Adam&);
Table<RmsProp> keys_of(const RmsProp&);
Table<Lion> keys_of(const Lion&);
Table<Lamb> keys_of(const Lamb&);

}  // namespace convoy
