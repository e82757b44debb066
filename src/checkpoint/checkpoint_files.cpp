#include "src/checkpoint/checkpoint_files.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "comm/agree.h"
#include "core/log.h"
#include "src/io/atomic_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view extension = ".safetensors", epoch_part = "epoch-", step_part = "-step-";

/// Epochs done, and steps done where the next one is under way: ascends as the run goes on.
using Place = std::pair<int, std::int64_t>;

Place place_of(const Progress& progress) {
  return {progress.epochs_done, progress.images_done > 0 ? progress.steps_done : 0};
}

/// Takes `prefix` and a number off the front of `text`.
template <class T>
std::optional<T> take_number(std::string_view& text, std::string_view prefix) {
  T value{};
  if (!text.starts_with(prefix)) return std::nullopt;
  const std::string_view digits = text.substr(prefix.size());
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Nothing when the name is not one of checkpoint_path()'s.
std::optional<Place> place_in(const std::string& file_name) {
  std::string_view text = file_name;
  const std::optional<int> epoch = take_number<int>(text, epoch_part);
  if (!epoch) return std::nullopt;
  if (text == extension) return Place{*epoch, 0};
  const std::optional<std::int64_t> step = take_number<std::int64_t>(text, step_part);
  if (!step || text != extension) return std::nullopt;
  return Place{*epoch - 1, *step};
}

/// A folder of the name is none. What cannot be looked at is one, so that reading it says why.
bool is_file(const fs::path& path) {
  std::error_code ignored;
  const fs::file_type type = fs::status(path, ignored).type();
  return type == fs::file_type::regular || type == fs::file_type::none;
}

/// Throws Error where that cannot be told: an older checkpoint must not be taken in silence.
bool is_folder(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::none) fail("cannot look at {}: {}", path.string(), error.message());
  return type == fs::file_type::directory;
}

void set_aside(const fs::path& path) {
  const std::string other = path.string() + ".old";
  std::error_code error;
  fs::rename(path, other, error);
  if (error) fail("cannot rename {} to {}: {}; move one of them away", path.string(), other, error.message());
}

TensorFile verified(const SharedBytes& bytes, const fs::path& path, const WantedTensors& wanted = {}) {
  TensorFile file = from_safetensors(bytes, path.string(), wanted);
  require_checkpoint(file, path.string());
  return file;
}

bool is_later(const fs::path& best, const Progress& progress) {
  try {
    return place_of(progress_in(verified(safetensors_in(best), best), best.string())) > place_of(progress);
  } catch (const Error&) {
    return true;  // not worth its name
  }
}

/// The candidates for `path`, best first.
std::vector<fs::path> candidates(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) fail("{} does not exist", path.string());
  if (type == fs::file_type::none) fail("cannot read {}: {}", path.string(), error.message());
  if (type != fs::file_type::directory) return {path};
  const fs::path folder = checkpoints_in(path);
  std::vector<fs::path> paths = list_checkpoints(folder);
  if (is_file(best_checkpoint_path(folder))) paths.push_back(best_checkpoint_path(folder));
  return paths;
}

struct Chosen {
  fs::path path;
  SharedBytes bytes;
  TensorFile file;
};

/// The first candidate that verifies; empty when there is none at all.
Chosen choose(const fs::path& path, const WantedTensors& wanted) {
  const std::vector<fs::path> paths = candidates(path);
  for (const fs::path& candidate : paths) {
    try {
      const SharedBytes bytes = safetensors_in(candidate);
      TensorFile file = verified(bytes, candidate, wanted);
      return {candidate, bytes, std::move(file)};
    } catch (const Error& error) {
      if (paths.size() == 1) throw;
      log_warn("skipping a checkpoint: {}", error.what());
    }
  }
  if (!paths.empty()) fail("{}: none of its {} checkpoints verifies", path.string(), paths.size());
  return {};
}

}  // namespace

fs::path checkpoint_path(const fs::path& folder, const Progress& progress) {
  const auto [epochs, step] = place_of(progress);
  if (step == 0) return folder / fmt::format("{}{:04}{}", epoch_part, epochs, extension);
  return folder / fmt::format("{}{:04}{}{:08}{}", epoch_part, epochs + 1, step_part, step, extension);
}

fs::path best_checkpoint_path(const fs::path& folder) {
  return folder / fmt::format("best{}", extension);
}

fs::path checkpoints_in(const fs::path& folder) {
  return is_folder(folder / "checkpoints") ? folder / "checkpoints" : folder;
}

fs::path chosen_checkpoint(const fs::path& path, bool best) {
  return best ? best_checkpoint_path(checkpoints_in(path)) : path;
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
  std::vector<std::pair<Place, fs::path>> found;
  if (is_folder(folder)) {
    std::error_code error;
    for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
      const auto place = place_in(it->path().filename().string());
      if (place && is_file(it->path())) found.emplace_back(*place, it->path());
    }
    if (error) fail("cannot list the checkpoints in {}: {}", folder.string(), error.message());
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<fs::path> paths;
  for (auto& [place, path] : found) paths.push_back(std::move(path));
  return paths;
}

void remove_old_checkpoints(const fs::path& folder, int keep) {
  if (keep == 0) return;
  const std::vector<fs::path> paths = list_checkpoints(folder);
  for (std::size_t i = static_cast<std::size_t>(keep); i < paths.size(); ++i) {
    std::error_code error;
    fs::remove(paths[i], error);
    if (error) fail("cannot remove {}: {}", paths[i].string(), error.message());
  }
}

void tidy_checkpoints(const fs::path& folder, const Progress& progress) {
  for (const fs::path& path : list_checkpoints(folder)) {
    if (place_in(path.filename().string()) > place_of(progress)) set_aside(path);
  }
  const fs::path best = best_checkpoint_path(folder);
  if (is_file(best) && is_later(best, progress)) set_aside(best);
  remove_abandoned(folder);
}

SharedBytes broadcast_bytes(const SharedBytes& bytes, const RankEnvironment& ranks) {
  std::uint64_t length = bytes.size();
  ranks.broadcast(&length, sizeof length);
  if (ranks.is_root()) {
    ranks.broadcast(const_cast<std::byte*>(bytes.data()), length);  // which reads them
    return bytes;
  }
  std::vector<std::byte> received(length);
  ranks.broadcast(received.data(), length);
  return received;
}

std::string no_checkpoint_at(const fs::path& path) {
  return fmt::format(
      "{}: no checkpoint there; give the folder of a run (runs/NAME) or one of its checkpoints",
      path.string());
}

std::optional<LoadedCheckpoint> load_checkpoint(const fs::path& path, const RankEnvironment& ranks,
                                                bool with_optimizer) {
  const WantedTensors wanted = [&](const std::string& tensor) {
    return with_optimizer || !tensor.starts_with(optimizer_prefix);
  };
  Chosen chosen;
  agree(ranks, [&] {
    if (ranks.is_root()) chosen = choose(path, wanted);
  });
  const std::string name = ranks.text_of(0, chosen.path.string());
  if (name.empty()) return std::nullopt;
  const SharedBytes bytes = broadcast_bytes(chosen.bytes, ranks);
  if (!ranks.is_root()) chosen.file = from_safetensors(bytes, name, wanted);
  return LoadedCheckpoint{name, std::move(chosen.file)};
}

}  // namespace convoy
