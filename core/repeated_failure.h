// A failure that comes again and again, such as that of a full disk: said when it begins, changes or is over.
#pragma once

#include <string>
#include <utility>

namespace convoy {

class RepeatedFailure {
 public:
  /// It failed. Returns whether to say so: for the first time in a row, and for another reason.
  bool is_news(const std::string& reason) {
    const bool is_other = std::exchange(reason_, reason) != reason;
    return count_++ == 0 || is_other;
  }
  /// It worked. Returns how often it had failed in a row.
  int over() { return std::exchange(count_, 0); }
  int count() const { return count_; }  ///< failures in a row

 private:
  int count_ = 0;
  std::string reason_;  ///< of the last one
};

}  // namespace convoy
