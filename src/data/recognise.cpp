#include "src/data/recognise.h"

#include <memory>
#include <optional>
#include <string>

#include "core/error.h"
#include "src/data/data_source.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

struct Found {
  Match match = Match::no;
  Source source{};
  fs::path path;
};

/// The data set that is the surest to lie right at `path`, among equals the first of the list.
Found surest_at(const fs::path& path, bool with_pictures) {
  Found best;
  for (const SourceFacts& facts : source_list) {
    if (has_pictures(facts.source) && !with_pictures) continue;
    const Match match = data_source(facts.source).match(path);
    if (match > best.match) best = {match, facts.source, path};
  }
  return best;
}

/// What lies in folders of `folder`, or in folders of these. Pictures are not looked for: folders of theirs
/// are classes.
std::optional<Found> find_below(const fs::path& folder, int depth) {
  if (depth == 0) return std::nullopt;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored)) continue;
    if (Found found = surest_at(it->path(), /*with_pictures=*/false); found.match > Match::no) return found;
    if (auto found = find_below(it->path(), depth - 1)) return found;
  }
  return std::nullopt;
}

}  // namespace

bool is_data(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) || surest_at(path, /*with_pictures=*/false).match > Match::no;
}

FoundData find_data(const std::string& path, const std::optional<std::string>& source) {
  if (!source) {
    std::error_code ignored;
    if (!fs::exists(path, ignored))
      fail(
          "there is no such file or folder (from {}); where the data lies elsewhere, say what it is by "
          "data.source",
          fs::current_path(ignored).string());
    const DataConfig found = recognise_data(path);
    return {found.source, found.path, found.validation_fraction == 0};
  }
  for (const SourceFacts& facts : source_list) {
    if (*source != facts.name) continue;
    FoundData found{facts.source, path};
    if (!is_streamed(facts.source)) return found;
    try {
      found.sets_apart = data_source(facts.source).sets_apart(path);
    } catch (const Error&) {  // is told by whoever loads it
    }
    return found;
  }
  return {{}, path};  // an unknown word, which the schema refuses
}

DataConfig recognise_data(const fs::path& path) {
  constexpr double share = 0.1;
  constexpr int depth = 2;
  Found found = surest_at(path, /*with_pictures=*/true);
  if (found.match == Match::no) fail("{}: not the files of a data set", path.string());
  if (found.match == Match::possible) {
    if (auto below = find_below(path, depth)) found = std::move(*below);
  }
  DataConfig data;
  data.source = found.source;
  data.path = found.path.string();
  data.mark.source = std::make_shared<const std::string>(data.path);
  if (!data_source(found.source).sets_apart(found.path)) data.validation_fraction = share;
  return data;
}

}  // namespace convoy
