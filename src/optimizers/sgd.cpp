#include "src/optimizers/keys.h"

namespace convoy {

Table<Sgd> keys_of(const Sgd&) {
  Table<Sgd> table;
  table.fields = {field("momentum", &Sgd::momentum, number<float>(half_open(0, 1)),
                        "share of the last update that is kept"),
                  field("nesterov", &Sgd::nesterov, boolean(), "look ahead along the momentum")};
  table.check = [](const Sgd& sgd, const Place& place) {
    if (sgd.nesterov && sgd.momentum == 0) place.at("nesterov").refuse("needs momentum > 0");
  };
  return table;
}

}  // namespace convoy
