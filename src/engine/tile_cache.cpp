#include "src/engine/tile_cache.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "src/io/json_reader.h"

namespace fs = std::filesystem;

namespace convoy {
namespace {

std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

constexpr std::uint64_t most_bytes = 1 << 24;  // of timings

/// Locks the file between reading and writing it. Does not wait for long: losing a few timings is better than
/// hanging on a file system without locks.
class FileLock {
 public:
  explicit FileLock(const fs::path& path)
      : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644)) {
    using namespace std::chrono_literals;
    if (!file_) fail("cannot create {}: {}", path.string(), std::strerror(errno));
    for (int attempt = 0; ::flock(file_.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
      if (errno != EWOULDBLOCK || attempt == 200)
        fail("cannot lock {}: {}", path.string(), std::strerror(errno));
      std::this_thread::sleep_for(10ms);
    }
  }

 private:
  FileDescriptor file_;
};

}  // namespace

TileCache::TileCache(const fs::path& folder, std::string identity)
    : path_(folder.empty() ? fs::path() : folder / fmt::format("tiles-{:016x}.json", hash_of(identity))),
      identity_(std::move(identity)) {}

TileChoices TileCache::load() const {
  TileChoices choices;
  if (path_.empty()) return choices;
  try {
    const auto json = read_json(read_file(path_, most_bytes), path_.string(), 2);
    if (json.at("for").get<std::string>() != identity_) return choices;
    for (const auto& [key, tile] : json.at("tiles").get_ref<const nlohmann::json::object_t&>()) {
      if (tile.is_number_unsigned()) choices.tiles[key] = tile.get<std::size_t>();
    }
  } catch (const std::exception&) {
    return {};  // also if there is no file: tiles that cannot be read are measured again
  }
  return choices;
}

void TileCache::save(const TileChoices& choices) const {
  if (path_.empty()) return;
  std::error_code error;
  fs::create_directories(path_.parent_path(), error);
  if (error) fail("cannot create {}: {}", path_.parent_path().string(), error.message());
  const FileLock lock(path_.string() + ".lock");
  TileChoices all = choices;
  all.tiles.merge(load().tiles);
  nlohmann::ordered_json json = {{"for", identity_}, {"tiles", nlohmann::ordered_json::object()}};
  for (const auto& [key, tile] : all.tiles) json["tiles"][key] = tile;
  write_file_atomically(path_, json.dump(1) + '\n');
}

fs::path user_cache_folder() {
  const auto folder_in = [](const char* variable) {
    const char* value = std::getenv(variable);
    const fs::path path = value == nullptr ? "" : value;
    return path.is_absolute() ? path : fs::path();  // the XDG specification: ignore relative ones
  };
  if (const fs::path cache = folder_in("XDG_CACHE_HOME"); !cache.empty()) return cache / "convoy";
  const fs::path home = folder_in("HOME");
  return home.empty() ? fs::path() : home / ".cache" / "convoy";
}

}  // namespace convoy
