// Pickles of Python read as data. A pickle is a program for a machine with a stack; this reader knows the
// instructions that make plain values, and what calls a function becomes a value that says which one. Nothing
// is run, and no name is looked up. The instructions: Lib/pickletools.py of CPython.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace convoy {

/// A value; others that it holds are numbers of them in their Pickle.
struct PickleValue {
  enum class Kind {
    none,
    boolean,
    integer,
    real,
    text,
    sequence,    ///< a tuple or a list: `items`
    dictionary,  ///< `items`: a key, its value, the next key, ...
    global,      ///< a function or a class, called `text`: "collections.OrderedDict"
    call,        ///< of the function `text` with the arguments of items[0], a sequence
    persistent   ///< what another file holds: items[0] says where
  };
  Kind kind = Kind::none;
  std::int64_t integer = 0;  ///< of a boolean too
  double real = 0;
  std::string text;
  std::vector<std::size_t> items;
};

class Pickle {
 public:
  /// Reads one. `known` are the functions and classes that it may name. Throws Error that names `name` for
  /// any other one, for an instruction that is none of a plain value's, for what is truncated, too large, or
  /// makes no sense.
  Pickle(std::span<const std::byte> bytes, const std::set<std::string>& known, const std::string& name);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& at(std::size_t index) const { return values_[index]; }

 private:
  friend class PickleMachine;
  std::vector<PickleValue> values_;
  std::size_t root_ = 0;
};

}  // namespace convoy
