// A failure that comes again and again, such as that of a full disk: said when it begins, changes or is over.
#pragma once

#include <string>
#include <utility>

namespace convoy {

class RepeatedFailure {
 public:
  /// Records a failure. Returns whether to report it: the first in a row, or one with another reason.
  bool is_news(const std::string& reason) {
    const bool is_other = std::exchange(reason_, reason) != reason;
    return count_++ == 0 || is_other;
  }
  /// Records a success. Returns how many failures in a row came before.
  int over() { return std::exchange(count_, 0); }
  int count() const { return count_; }  ///< failures in a row

 private:
  int count_ = 0;
  std::string reason_;  ///< of the last one
};

}  // namespace convoy
