#include "src/data/identity.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <utility>

#include "core/hash.h"
#include "core/thread_pool.h"
#include "src/data/class_names.h"
#include "src/data/data_source.h"

namespace convoy {
namespace {

using Ids = std::vector<std::int32_t>;

/// Positions count, too: the order of the files is the order of training.
std::uint64_t hash_of_pixels(const Dataset& data, const Ids& ids) {
  const auto bytes = static_cast<std::size_t>(data.image.count());
  std::atomic<std::uint64_t> sum{0};
  ThreadPool(default_threads()).for_each_range(std::ssize(ids), [&](std::int64_t first, std::int64_t end) {
    std::uint64_t part = 0;
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(end); ++i) {
      const auto sample = static_cast<std::size_t>(ids[i]);
      const auto image = std::as_bytes(std::span(data.images).subspan(sample * bytes, bytes));
      part += hash_term(i, hash_of(image) + mix(static_cast<std::uint64_t>(data.labels[sample])));
    }
    sum += part;
  });
  return sum;
}

template <class Hash>
PartIdentity identify_part(const Ids& ids, const Hash& hash) {
  PartIdentity part{std::ssize(ids), {}};
  if (!ids.empty()) part.contents = hash(ids);
  return part;
}

template <class Hash>
void identify_parts(DataIdentity& identity, const Ids& train, const Ids& validation, const Ids& test,
                    const Hash& hash) {
  identity.train = identify_part(train, hash);
  identity.validation = identify_part(validation, hash);
  identity.test = identify_part(test, hash);
}

void compare_part(const char* what, const PartIdentity& there, const PartIdentity& here, bool contents,
                  std::vector<std::string>& found) {
  if (there.images == 0 || here.images == 0) return;
  if (there.images != here.images)
    found.push_back(fmt::format("it has {} {} images here and {} there", here.images, what, there.images));
  else if (contents && there.contents && here.contents && *there.contents != *here.contents)
    found.push_back(fmt::format("its {} {} images are others", here.images, what));
}

}  // namespace

std::shared_future<DataIdentity> identify(const Dataset& data, const DataConfig& config, std::uint64_t seed) {
  DataIdentity identity;
  identity.class_names = data.class_names;
  if (data.source) {
    identity.kind = data.source->contents_kind();
    const auto look = [identity, source = data.source, train = data.train, validation = data.validation,
                       test = data.test]() mutable {
      identify_parts(identity, train, validation, test,
                     [&](const Ids& ids) { return source->hash_contents(ids); });
      return std::move(identity);
    };
    return std::async(std::launch::async, look).share();
  }
  identity.image = to_string(data.image);
  const std::string drawn_from = data_source(config.source).drawn_from(config, seed);
  if (drawn_from.empty()) {
    identity.kind = "pixels";
    identify_parts(identity, data.train, data.validation, data.test,
                   [&](const Ids& ids) { return hash_of_pixels(data, ids); });
  } else {
    identity.kind = "made";
    const std::uint64_t parameters = hash_of(drawn_from);
    identify_parts(identity, data.train, data.validation, data.test,
                   [&](const Ids& ids) { return parameters + hash_of(std::as_bytes(std::span(ids))); });
  }
  std::promise<DataIdentity> ready;
  ready.set_value(std::move(identity));
  return ready.get_future().share();
}

std::string difference(const DataIdentity& there, const DataIdentity& here) {
  std::vector<std::string> found;
  if (std::string classes = class_difference(there.class_names, here.class_names); !classes.empty())
    found.push_back(std::move(classes));
  const bool made = there.kind == "made", made_here = here.kind == "made";
  if (made != made_here)
    found.push_back(made ? "its images are from files here and generated there"
                         : "its images are drawn ones here and those of files there");
  if (!there.image.empty() && !here.image.empty() && there.image != here.image)
    found.push_back(fmt::format("its images are {} here and {} there", here.image, there.image));
  const bool comparable = found.empty() && there.kind == here.kind;  // labels and shapes are hashed, too
  compare_part("training", there.train, here.train, comparable, found);
  compare_part("validation", there.validation, here.validation, comparable, found);
  compare_part("test", there.test, here.test, comparable, found);
  return fmt::format("{}", fmt::join(found, "; "));
}

}  // namespace convoy
